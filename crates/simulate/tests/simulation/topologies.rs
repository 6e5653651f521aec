//! Topologies that are not the shop.

use tracediff_simulate::{
    Call, Dependency, Entry, Latency, Operation, Produce, Property, Service, Settings, Simulation,
    Step, Topology,
};

use crate::spans::read;

fn pair(front: Vec<Step>, back: Operation) -> Topology {
    Topology {
        namespace: "test".to_owned(),
        environment: "test".to_owned(),
        zones: Vec::new(),
        hosts: 1,
        services: vec![
            Service::new("front", "1", "rust").operation(Operation::http("GET /", front)),
            Service::new("back", "1", "rust").operation(back),
        ],
        dependencies: vec![Dependency::database("db", 1, "sqlite", "main")],
        properties: vec![Property::identifier("app.id", "")],
        entries: vec![Entry::new("front", "GET /", 1.0)],
    }
}

fn back(steps: Vec<Step>) -> Operation {
    Operation::grpc("t.Back/Do", steps)
}

fn error(topology: &Topology) -> String {
    let made = Simulation::with_topology(&Settings::default(), topology);
    made.err()
        .map_or_else(String::new, |error| error.to_string())
}

#[test]
fn topologies_that_make_no_sense_are_errors() {
    let check = |front: Vec<Step>, operation: Operation, expected: &str| {
        assert_eq!(error(&pair(front, operation)), expected);
    };
    let call = || Step::call("back", "t.Back/Do");
    check(vec![call()], back(vec![]), "");
    check(
        vec![Step::call("back", "t.Back/Did")],
        back(vec![]),
        "front GET / names operation `back t.Back/Did`, which is not in the topology",
    );
    check(
        vec![Step::maybe(0.5, Step::query("cache", "GET", "", 1.0, 0.0))],
        back(vec![]),
        "front GET / names dependency `cache`, which is not in the topology",
    );
    check(
        vec![],
        back(vec![]).records(&["app.user"]),
        "back t.Back/Do names property `app.user`, which is not in the topology",
    );
    check(
        vec![call()],
        back(vec![Step::internal(
            "again",
            vec![Step::call("front", "GET /")],
        )]),
        "front GET / calls itself, directly or through others",
    );
    check(
        vec![],
        Operation::grpc("Do", vec![]),
        "operation `Do` of back is not named like `shop.Catalog/GetProduct`",
    );
    check(
        vec![Step::call("back", "process jobs")],
        Operation::queue("process jobs", vec![]),
        "front GET / calls back process jobs, which is reached through a queue",
    );
    check(
        vec![Step::work(-1.0, 0.0)],
        back(vec![]),
        "a median of time in front GET / is -1, expected 0 or more",
    );
    check(
        vec![Step::maybe(1.5, call())],
        back(vec![]),
        "a probability in front GET / is 1.5, expected 0 to 1",
    );
    let mut twice = pair(vec![], back(vec![]));
    twice.services.push(Service::new("back", "2", "go"));
    assert_eq!(error(&twice), "the topology has service `back` twice");
    let mut nowhere = pair(vec![], back(vec![]));
    nowhere.entries.clear();
    assert_eq!(
        error(&nowhere),
        "the sum of the weights of the entries is 0, expected above 0, of weights of 0 or more"
    );
}

/// The steps in a topology of fixed times: each span's name, start and duration in microseconds.
#[test]
fn steps_take_their_time() {
    let call = |retries| {
        let mut call = Call::new("back", "t.Back/Do").retries(retries);
        call.network = Latency::new(10.0, 0.0);
        Step::Call(call)
    };
    let send = Step::Produce(Produce {
        service: "worker".to_owned(),
        operation: "process jobs".to_owned(),
        latency: Latency::new(5.0, 0.0),
        delay: Latency::new(1_000.0, 0.0),
        new_trace: false,
    });
    let front = vec![
        Step::work(100.0, 0.0),
        Step::Parallel(vec![call(0), Step::query("db", "SELECT", "t", 300.0, 0.0)]),
        Step::internal(
            "twice",
            vec![Step::repeat(2, 2, Step::query("db", "PING", "", 7.0, 0.0))],
        ),
        Step::maybe(0.0, call(0)),
        send,
        Step::maybe(1.0, Step::Sequence(vec![Step::work(50.0, 0.0)])),
    ];
    let mut topology = pair(front, back(vec![Step::work(80.0, 0.0)]));
    let worker = Operation::queue("process jobs", vec![Step::work(9.0, 0.0)]);
    topology
        .services
        .push(Service::new("worker", "1", "go").operation(worker));
    let settings = Settings {
        load: tracediff_simulate::Load::none(),
        clock_skew_us: 0.0,
        minutes: 0.1,
        rate_per_second: 5.0,
        ..Settings::default()
    };
    let made = Simulation::with_topology(&settings, &topology).unwrap();
    let spans = read(&made.into_batches().unwrap());
    let trace_id = spans[0].trace_id;
    let mut trace: Vec<_> = spans.iter().filter(|s| s.trace_id == trace_id).collect();
    trace.sort_by_key(|s| (s.start_ns, std::cmp::Reverse(s.duration_ns)));
    let start_ns = trace[0].start_ns;
    // Times are cut to whole nanoseconds, up to one lost at each step.
    let us = |ns: i64| (ns as f64 / 1e3).round() as i64;
    let found: Vec<_> = trace
        .iter()
        .map(|s| {
            (
                s.operation.as_str(),
                us(s.start_ns - start_ns),
                us(s.duration_ns as i64),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("GET /", 0, 469),
            ("SELECT t", 100, 300),
            ("t.Back/Do", 100, 100),
            ("t.Back/Do", 110, 80),
            ("twice", 400, 14),
            ("PING", 400, 7),
            ("PING", 407, 7),
            ("send jobs", 414, 5),
            ("process jobs", 1419, 9),
        ]
    );
}
