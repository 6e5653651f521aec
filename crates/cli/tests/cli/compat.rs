//! The shape of the replaced system, with numbers worked out by hand.

use insta::assert_snapshot;
use tracediff_testkit::{Sandbox, Traces};

use super::shop::sandbox_of;

/// `key: +new −missing value:occurrence/avg_latency/error_ratio …`, a key a line.
#[track_caller]
fn compat(sandbox: &Sandbox, arguments: &str) -> String {
    let json = sandbox
        .run(&format!(
            "compare before.jsonl after.jsonl --format compat {arguments}"
        ))
        .json();
    let names: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(names, ["diffs"]);
    let mut lines = Vec::new();
    for key in json["diffs"].as_array().unwrap() {
        let names: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert_eq!(names, ["diffs", "key", "missing", "new"]);
        let mut line = format!("{}:", key["key"].as_str().unwrap());
        for (sign, list) in [("+", &key["new"]), ("−", &key["missing"])] {
            for value in list.as_array().unwrap() {
                line += &format!(" {sign}{}", value.as_str().unwrap());
            }
        }
        for value in key["diffs"].as_array().unwrap() {
            line += &format!(
                " {}:{}/{}/{}",
                value["value"].as_str().unwrap(),
                value["occurrence"].as_i64().unwrap(),
                value["avg_latency"].as_i64().unwrap(),
                value["error_ratio"]
            );
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn by_hand() -> Sandbox {
    sandbox_of(
        &Traces::parse(
            "
             web: GET /cart 10.0016ms error tier=gold
             web: GET /cart 20.0011ms tier=gold
             web: GET /cart 30ms tier=silver
             # The first span again, as a retried export brings it: it counts once.
             web: GET /cart 10.0016ms error tier=gold trace=1 id=1 @0s",
        ),
        &Traces::parse(
            "
             web: GET /cart 40.0003ms error tier=gold
             web: GET /cart 45ms error tier=platinum
             web: GET /cart 50ms
             web: GET /pay 1ms",
        ),
    )
}

#[test]
fn numbers_are_those_of_the_replaced_system() {
    // `GET /cart`: 3 spans each; means 20 000.9 µs and 45 000.1 µs, whose floors differ by 25 000 (the means
    // themselves by 24 999.2); error ratios 1/3 and 2/3, whose difference is 0.33 (rounded first it would be 0.34).
    // `gold`: 2 spans and 1; means 15 001.35 µs and 40 000.3 µs; error ratios 1/2 and 1.
    // `web`: 3 spans and 4; means 20 000.9 µs and 34 000.075 µs; error ratios 1/3 and 2/4.
    // The span without a tier is in no group of it.
    assert_snapshot!(compat(&by_hand(), "--by tier"), @"
    service: web:1/14000/0.17
    operation: +GET /pay GET /cart:0/25000/0.33
    tier: +platinum −silver gold:-1/24999/0.5
    ");
}

#[test]
fn a_share_below_half_a_percent_rounds_to_zero_without_a_sign() {
    let traces = |errors: u64| {
        Traces::parse("web: GET / 1ms")
            .repeat(1_000, std::time::Duration::from_millis(10))
            .edit(|span| span.is_error = span.trace <= errors)
    };
    let sandbox = sandbox_of(&traces(4), &traces(0));
    assert_snapshot!(compat(&sandbox, ""), @"
    service: web:0/0/0.0
    operation: GET /:0/0/0.0
    ");
    let sandbox = sandbox_of(&traces(0), &traces(6));
    assert_snapshot!(compat(&sandbox, ""), @"
    service: web:0/0/0.01
    operation: GET /:0/0/0.01
    ");
}

#[test]
fn keys_come_in_the_order_in_which_they_were_asked_for_and_once() {
    let keys = |arguments: &str| -> Vec<String> {
        let text = compat(&by_hand(), arguments);
        text.lines()
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys(""), ["service", "operation"]);
    assert_eq!(
        keys("--by zone --by tier --by operation --by zone"),
        ["service", "operation", "zone", "tier"]
    );
}

#[test]
fn a_key_that_no_span_has_is_there_and_empty() {
    assert_snapshot!(compat(&by_hand(), "--by zone"), @"
    service: web:1/14000/0.17
    operation: +GET /pay GET /cart:0/25000/0.33
    zone:
    ");
}

#[test]
fn a_key_keeps_the_name_that_was_typed_and_finds_both_names() {
    let sandbox = sandbox_of(
        &Traces::parse(
            "
             web: GET / 1ms http.status_code=200
             web: GET / 1ms http.response.status_code=200
             web: GET / 1ms http.response.status_code=404",
        ),
        &Traces::parse(
            "
             web: GET / 2ms http.status_code=200
             web: GET / 2ms http.status_code=500",
        ),
    );
    for name in ["http.status_code", "http.response.status_code"] {
        let text = compat(&sandbox, &format!("--by {name}"));
        assert_eq!(
            text.lines().last().unwrap(),
            format!("{name}: +500 −404 200:-1/1000/0.0")
        );
    }
    let text = compat(&sandbox, "--by service.name");
    assert_eq!(
        text.lines().last().unwrap(),
        "service.name: web:-1/1000/0.0"
    );
}

#[test]
fn a_resource_attribute_is_a_key_and_the_spans_own_value_wins() {
    let sandbox = sandbox_of(
        &Traces::parse("web: GET / 1ms resource:zone=a"),
        &Traces::parse(
            "
             web: GET / 1ms resource:zone=a
             web: GET / 1ms resource:zone=a zone=b",
        ),
    );
    assert_snapshot!(compat(&sandbox, "--by zone").lines().last().unwrap(), @"zone: +b a:0/0/0.0");
}

#[test]
fn counts_are_of_spans_as_they_are_not_of_those_that_sampling_left_out() {
    let sandbox = sandbox_of(
        &Traces::parse("web: GET / 1ms tracestate=ot=th:8"),
        &Traces::parse(
            "
             web: GET / 1ms tracestate=ot=th:8
             web: GET / 1ms tracestate=ot=th:8",
        ),
    );
    assert_snapshot!(compat(&sandbox, "").lines().next().unwrap(), @"service: web:1/0/0.0");
}
