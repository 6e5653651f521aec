//! Odd telemetry is data: duplicates, cycles, orphans, very many names, very long values.

use std::time::{Duration, Instant};

use tracediff_testkit::{Output, Traces, Value};

use super::shop::{sandbox_of, shop, small, values, warnings};

fn run(traces: &Traces) -> Output {
    let sandbox = small();
    sandbox.write("odd", traces.otlp_json_lines());
    sandbox.run("compare odd after.jsonl --format json")
}

#[test]
fn ten_thousand_duplicates_count_once() {
    let span = Traces::parse("web: GET / 5ms\nweb: GET / 7ms").spans;
    let mut spans = vec![span[0].clone(); 10_001];
    spans.push(span[1].clone());
    let output = run(&Traces { spans });
    assert_eq!(output.json()["quality"]["baseline"]["spans"], 2);
    assert!(
        warnings(&output).contains(
            "duplicates: the baseline held 10\u{202f}000 spans twice or more; each counts once"
        ),
        "{output}"
    );
}

#[test]
fn circles_of_parents_are_cut_and_told() {
    let traces = Traces::parse(
        "
         web: a 5ms parent=2
           web: b 4ms parent=3
             web: c 3ms parent=1
         web: self 5ms parent=1
         web: sound 5ms",
    );
    let output = run(&traces);
    let baseline = &output.json()["quality"]["baseline"];
    assert_eq!(
        (&baseline["spans"], &baseline["parent_cycles"]),
        (&5.into(), &2.into())
    );
    assert!(
        warnings(&output).contains("parent_cycles: the baseline has 2 circles of parents"),
        "{output}"
    );
}

#[test]
fn a_clock_that_is_ahead_is_told_in_one_pass_and_in_several() {
    let text = "
     web: GET / 100ms server resource:host.name=one
       web: call 40ms client @5ms resource:host.name=one
         stock: read 30ms server @5ms resource:host.name=two";
    let traces = Traces::parse(text).repeat(200, Duration::from_secs(1));
    let traces = traces.edit(|span| {
        if span.service == "stock" {
            span.start_ns += 70_000_000;
            span.end_ns += 70_000_000;
        }
    });
    let sandbox = small();
    sandbox.write("odd", traces.otlp_json_lines());
    for limit in ["", " --memory-limit 128KiB"] {
        let output = sandbox.run(&format!("compare odd after.jsonl --format json{limit}"));
        let baseline = &output.json()["quality"]["baseline"];
        let expected = r#"[{"compared_with":"one","host":"two","offset_ns":-70000000}]"#;
        assert_eq!(baseline["clock_offsets"].to_string(), expected);
        assert_eq!(baseline["corrected_clocks"], 1);
        assert!(
            warnings(&output).contains(
                "clocks_differ: clocks of the baseline's hosts differ (two up to 70 ms ahead of one); 1 was corrected \
                 in the call tree, durations are not affected"
            ),
            "{output}"
        );
    }
}

#[test]
fn traces_whose_roots_did_not_arrive_count_wherever_they_lie() {
    // The first traces and the last ones lost their roots, and so did those of an hour later.
    let mut later = shop(1, 40);
    later.shift(Duration::from_secs(3_600));
    let all = shop(3, 40).and(later);
    let rootless = Traces {
        spans: all
            .spans
            .into_iter()
            .filter(|span| span.parent != 0 || (61..=120).contains(&span.trace))
            .collect(),
    };
    let output = run(&rootless);
    let baseline = &output.json()["quality"]["baseline"];
    assert_eq!(
        (&baseline["traces"], &baseline["traces_outside_window"]),
        (&240.into(), &0.into())
    );
    assert_eq!(baseline["ranges"].as_array().unwrap().len(), 2);
}

#[test]
fn orphans_are_counted_and_their_services_named() {
    let traces = Traces::parse(
        "
         web: GET / 5ms
         cart: load 5ms parent=77
         cart: load 5ms parent=78",
    );
    let output = run(&traces);
    assert_eq!(
        output.json()["quality"]["baseline"]["orphans_by_service"]["cart"],
        2
    );
    assert!(
        warnings(&output).contains(
            "orphans: the parents of 66.7 % of the baseline's spans did not arrive, mostly in cart"
        ),
        "{output}"
    );
}

#[test]
fn a_chain_of_ten_thousand_parents() {
    let mut spans = Traces::parse("web: step 5ms").spans;
    for id in 2..=10_000 {
        let mut span = spans[0].clone();
        (span.id, span.parent) = (id, id - 1);
        spans.push(span);
    }
    let output = run(&Traces { spans });
    assert_eq!(output.json()["quality"]["baseline"]["complete_traces"], 1);
}

#[test]
fn a_hundred_thousand_operation_names() {
    let traces = shop(1, 40)
        .repeat(834, Duration::from_millis(1))
        .edit(|span| {
            span.operation = format!("GET /cart/{}/{}", span.trace, span.id);
        });
    assert!(traces.spans.len() > 100_000);
    let sandbox = small();
    sandbox.write("odd", traces.otlp_protobuf_delimited());
    let start = Instant::now();
    let output = sandbox.run("compare odd odd --format json");
    let json = output.json();
    let operation = json["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["key"] == "operation")
        .unwrap();
    let groups = operation["groups"].as_array().unwrap();
    let other = operation["other"]["baseline"]["spans"].as_u64().unwrap();
    assert!(groups.len() <= 2_000, "{}", groups.len());
    assert!(output.stdout.len() < 50_000_000, "{}", output.stdout.len());
    let kept: u64 = groups
        .iter()
        .map(|g| g["baseline"]["spans"].as_u64().unwrap())
        .sum();
    assert_eq!(kept + other, traces.spans.len() as u64, "no span is lost");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn an_attribute_of_ten_megabytes() {
    let with_note = |length: usize| {
        shop(1, 40).edit(move |span| {
            if span.trace == 1 && span.parent == 0 {
                let note = Value::Text("x".repeat(length));
                span.attributes.push(("note".to_owned(), note));
            }
        })
    };
    let sandbox = sandbox_of(&with_note(10_000_000), &with_note(5));
    let output = sandbox.run("compare before.jsonl after.jsonl --format json");
    let [new, missing, _] = values(&output.json(), "note");
    assert_eq!(new, ["xxxxx"]);
    assert!(
        missing[0].starts_with("xxx") && missing[0].contains("10000000 bytes"),
        "{missing:?}"
    );
    assert!(output.stdout.len() < 1_000_000, "it is not printed whole");
}

#[test]
fn spans_without_a_service_are_told() {
    let text = Traces::parse("web: GET / 5ms").otlp_json_lines();
    let sandbox = small();
    sandbox.write("odd", text.replace("service.name", "other.name"));
    let output = sandbox.run("compare odd after.jsonl --format json");
    assert!(
        warnings(&output).contains("without_service: 1 span of the baseline"),
        "{output}"
    );
    assert_eq!(values(&output.json(), "service")[1], ["unknown_service"]);
}

#[test]
fn sides_that_were_sampled_differently_are_told_and_rates_not_compared() {
    let sampled = shop(1, 40).edit(|span| span.trace_state = "ot=th:8".to_owned());
    let output =
        sandbox_of(&shop(1, 40), &sampled).run("compare before.jsonl after.jsonl --format json");
    assert!(warnings(&output).contains("weights_differ: 0 % of the baseline's spans tell how they were sampled and 100 % of the candidate's"), "{output}");
    let json = output.json();
    assert_eq!(json["quality"]["candidate"]["mean_weight"], 2.0);
    assert_eq!(
        json["keys"][0]["groups"][0]["rate"]["factor"],
        serde_json::Value::Null
    );
}
