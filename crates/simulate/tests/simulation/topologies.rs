//! Topologies that are not the shop.

use std::collections::HashMap;

use tracediff_simulate::{
    Call, Dependency, Edit, Entry, Failure, FailureKind, Latency, Operation, Produce, Property,
    Service, Settings, Simulation, Step, Topology,
};

use crate::spans::{Span, read};

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

fn spans_of(topology: &Topology) -> Vec<Span> {
    let settings = Settings {
        minutes: 0.5,
        ..Settings::default()
    };
    let made = Simulation::with_topology(&settings, topology).unwrap();
    read(&made.into_batches().unwrap())
}

/// A service without spans hands on the context: what it calls hangs under the span of its caller.
#[test]
fn silent_services_hand_on_the_context() {
    let mut shop = Topology::shop();
    let before = spans_of(&shop);
    let service = "checkout".to_owned();
    shop.apply(&Edit::Silence { service }).unwrap();
    let by_id: HashMap<_, &Span> = before.iter().map(|s| (s.span_id, s)).collect();
    let mut expected = before.clone();
    expected.retain(|s| s.service != "checkout");
    let mut moved = 0;
    for span in &mut expected {
        while let Some(parent) = span.parent.map(|id| by_id[&id])
            && parent.service == "checkout"
        {
            span.parent = parent.parent;
            moved += 1;
        }
        span.links.retain(|(_, id)| by_id[id].service != "checkout");
    }
    assert!(moved > 50);
    assert_eq!(spans_of(&shop), expected);
}

/// An operation that fails has done its first work, whether or not a span is around that.
#[test]
fn wrapped_operations_fail_as_late_as_others() {
    let failure = Failure::new(1.0, FailureKind::Internal, "Broken", "it is broken");
    let front = vec![Step::work(70.0, 0.0), Step::call("back", "t.Back/Do")];
    let mut topology = pair(front, back(vec![Step::work(80.0, 0.0)]).fails(failure));
    let took = |topology: &Topology| -> Vec<u64> {
        let spans = spans_of(topology).into_iter();
        let back = spans.filter(|s| s.service == "back" && s.is_error);
        back.map(|s| s.duration_ns / 40_000).collect()
    };
    let before = took(&topology);
    assert!(before.iter().all(|took| *took > 0));
    let wrap = Edit::Wrap {
        service: "back".to_owned(),
        operation: "t.Back/Do".to_owned(),
        name: "middleware".to_owned(),
    };
    topology.apply(&wrap).unwrap();
    assert_eq!(took(&topology), before);
}
