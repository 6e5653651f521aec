//! What is compared: `--where`, `--scope`, windows and `--split`.

use std::time::Duration;

use insta::assert_snapshot;
use tracediff_testkit::{Output, Sandbox, Traces};

use super::shop::{sandbox, sandbox_of, small, values, warnings};

/// `traces/spans` of both sides.
#[track_caller]
fn sizes(output: &Output) -> String {
    let quality = &output.json()["quality"];
    let size = |side: &str| format!("{}/{}", quality[side]["traces"], quality[side]["spans"]);
    format!("{} {}", size("baseline"), size("candidate"))
}

#[test]
fn where_picks_whole_traces_or_with_scope_match_only_spans() {
    let sandbox = small();
    let run = |arguments: &str| {
        let output = sandbox.run(&format!(
            "compare before.jsonl after.jsonl --format json {arguments}"
        ));
        sizes(&output)
    };
    assert_eq!(run(""), "2/3 2/3");
    assert_eq!(run("--where 'service = cart'"), "1/2 1/2");
    assert_eq!(run("--where 'service = cart' --scope trace"), "1/2 1/2");
    assert_eq!(run("--where 'duration >= 100ms'"), "2/3 1/2");
    assert_eq!(run("--where 'app.tier IN (gold)'"), "1/2 2/3");
    let output = sandbox.run(
        "compare before.jsonl after.jsonl --format json --where 'service = cart' --scope match",
    );
    assert_eq!(values(&output.json(), "service")[2], ["cart"]);
    assert_eq!(values(&output.json(), "operation")[2], ["load"]);
}

#[test]
fn a_query_that_is_wrong_is_shown_with_the_place() {
    let run = |query: &str| {
        small().run(&format!(
            "compare before.jsonl after.jsonl --where '{query}'"
        ))
    };
    assert_snapshot!(run("service = cart AND duration > 250"), @"
    exit 2
    --- stderr
    error: --where cannot be used
    service = cart AND duration > 250
                                  ^^^ column 31: `250` has no unit; write `250ms`, or another of ns, us, ms, s, m, h
    ");
    assert_snapshot!(run("service == cart"), @"
    exit 2
    --- stderr
    error: --where cannot be used
    service == cart
            ^^ column 9: `==` is not an operator; use `=`
    ");
    assert_snapshot!(run(""), @"
    exit 2
    --- stderr
    error: --where cannot be used

    ^ column 1: the query is empty; to match every span write `EXISTS service`
    ");
}

#[test]
fn a_query_that_nothing_matches_is_told_with_the_side() {
    assert_snapshot!(small().run("compare before.jsonl after.jsonl --where 'service = basket'"), @"
    exit 2
    --- stderr
    error: none of the 3 spans of before.jsonl matches --where `service = basket`
    ");
    assert_snapshot!(small().run("compare before.jsonl after.jsonl --where 'operation = \"GET /pay\"'"), @r#"
    exit 2
    --- stderr
    error: none of the 3 spans of before.jsonl matches --where `operation = "GET /pay"`
    "#);
}

/// Twenty minutes, a trace a second: `old` in the first ten, `new` in the last ten.
fn recording() -> Sandbox {
    let traces = Traces::parse("web: GET / 10ms")
        .repeat(1_200, Duration::from_secs(1))
        .edit(|span| {
            span.operation = if span.trace <= 600 { "old" } else { "new" }.to_owned();
        });
    let sandbox = sandbox();
    sandbox.write("traces.jsonl", traces.otlp_json_lines());
    sandbox
}

#[track_caller]
fn windows(sandbox: &Sandbox, baseline: &str, candidate: &str) -> Output {
    sandbox.run(&format!(
        "compare traces.jsonl --baseline-window {baseline} --candidate-window {candidate} --format json"
    ))
}

#[test]
fn windows_are_absolute_or_relative_to_the_data() {
    let sandbox = recording();
    // The last trace begins at 10:19:59, and the data's end is right behind that.
    for (baseline, candidate) in [
        (
            "2026-01-05T10:00:00Z/2026-01-05T10:10:00Z",
            "2026-01-05T10:10:00Z/2026-01-05T10:20:00Z",
        ),
        (
            "2026-01-05T11:00:00+01:00/2026-01-05T10:10:00Z",
            "2026-01-05T10:10:00Z/end",
        ),
        ("start/start+10m", "start+10m/end"),
        ("start/-600s", "-599.5s/end"),
        ("start/end-599.5s", "end-599.5s/end"),
    ] {
        let output = windows(&sandbox, baseline, candidate);
        assert_eq!(sizes(&output), "600/600 600/600", "{baseline} {candidate}");
        let [new, missing, both] = values(&output.json(), "operation");
        assert_eq!(
            (new, missing, both),
            (vec!["new".to_owned()], vec!["old".to_owned()], vec![])
        );
        assert!(!warnings(&output).contains("outside_window"), "{output}");
    }
}

#[test]
fn a_window_is_half_open() {
    let output = windows(
        &recording(),
        "2026-01-05T10:00:00Z/2026-01-05T10:00:05Z",
        "2026-01-05T10:00:05Z/2026-01-05T10:00:06Z",
    );
    assert_eq!(sizes(&output), "5/5 1/1");
}

#[test]
fn a_window_that_is_empty_or_ends_before_it_starts_is_told() {
    let sandbox = recording();
    assert_snapshot!(windows(&sandbox, "-5m/-5m", "-5m/end"), @"
    exit 2
    --- stderr
    error: the window `-5m/-5m` cannot be used
      because: it ends at 2026-01-05T10:14:59.000000001Z, which is not after its start at 2026-01-05T10:14:59.000000001Z; its end must be later
    ");
    assert_snapshot!(windows(&sandbox, "-5m/-10m", "-5m/end"), @"
    exit 2
    --- stderr
    error: the window `-5m/-10m` cannot be used
      because: it ends at 2026-01-05T10:09:59.000000001Z, which is not after its start at 2026-01-05T10:14:59.000000001Z; its end must be later
    ");
}

#[test]
fn windows_that_overlap_are_told() {
    assert_snapshot!(windows(&recording(), "-10m/-4m", "-5m/end"), @"
    exit 2
    --- stderr
    error: the windows -10m/-4m and -5m/end overlap; a trace can be on one side only
    ");
}

#[test]
fn a_window_without_traces_is_told() {
    assert_snapshot!(windows(&recording(), "2025-01-05T10:00:00Z/2025-01-05T10:10:00Z", "-5m/end"), @"
    exit 2
    --- stderr
    error: no trace begins in the window 2025-01-05T10:00:00Z/2025-01-05T10:10:00Z
    ");
}

#[test]
fn a_window_that_cannot_be_read_is_told() {
    let sandbox = recording();
    assert_snapshot!(windows(&sandbox, "-5m", "-5m/end"), @"
    exit 2
    --- stderr
    error: the window `-5m` cannot be used
      because: expected FROM/TO, e.g. -30m/-15m or 2026-01-05T10:00:00Z/2026-01-05T10:15:00Z
    ");
    assert_snapshot!(windows(&sandbox, "-5minutes/noon", "-5m/end"), @"
    exit 2
    --- stderr
    error: the window `-5minutes/noon` cannot be used
      because: `noon` is not a time; write one such as 2026-01-05T10:00:00Z, or one relative to the data: -15m (before its end), end, start, start+5m
    ");
    assert_snapshot!(sandbox.run("compare traces.jsonl --baseline-window -10m/-5m"), @"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      --candidate-window <FROM/TO>

    Usage: tracediff compare --baseline-window <FROM/TO> --candidate-window <FROM/TO> <BASELINE CANDIDATE | FILES>...

    For more information, try '--help'.
    ");
}

/// Two versions at the same time, and a trace that has spans of both.
fn rollout() -> Sandbox {
    let traces = Traces::parse(
        "
         web: GET / 10ms service.version=1.4
         web: GET / 10ms service.version=1.4
         web: GET /new 10ms service.version=1.5
         web: GET / 10ms service.version=1.5
           cart: load 5ms service.version=1.4
         web: GET / 10ms service.version=1.3
         web: GET / 10ms",
    );
    let sandbox = sandbox();
    sandbox.write("traces.jsonl", traces.otlp_json_lines());
    sandbox
}

#[test]
fn split_takes_two_values_of_an_attribute_as_the_sides() {
    let output =
        rollout().run("compare traces.jsonl --split service.version=1.4,1.5 --format json");
    assert_eq!(sizes(&output), "2/2 1/1");
    assert!(
        warnings(&output).starts_with(
            "on_both_sides: 1 trace has spans of both values and was left out; --scope match compares the spans themselves"
        ),
        "{output}"
    );
}

#[test]
fn split_with_scope_match_takes_every_span_to_its_side() {
    let output = rollout()
        .run("compare traces.jsonl --split service.version=1.4,1.5 --scope match --format json");
    assert_eq!(
        values(&output.json(), "service"),
        [vec![], vec!["cart".to_owned()], vec!["web".to_owned()]]
    );
    assert!(!warnings(&output).contains("on_both_sides"), "{output}");
}

#[test]
fn a_split_and_a_query_that_leave_nothing_are_told() {
    let output = rollout().run(
        "compare traces.jsonl --split service.version=1.4,1.5 --where 'operation != \"GET /new\"' --format json",
    );
    assert_snapshot!(output, @r#"
    exit 2
    --- stderr
    error: no trace has service.version=1.5 and matches --where `operation != "GET /new"`; check the key and the value
    "#);
}

#[test]
fn a_split_that_cannot_be_used_is_told() {
    let sandbox = rollout();
    assert_snapshot!(sandbox.run("compare traces.jsonl --split service.version"), @"
    exit 2
    --- stderr
    error: --split `service.version` cannot be used; write KEY=BASELINE,CANDIDATE, e.g. service.version=1.4,1.5
    ");
    assert_snapshot!(sandbox.run("compare traces.jsonl --split service.version=1.4,1.4"), @"
    exit 2
    --- stderr
    error: --split `service.version=1.4,1.4` names the same value twice; a trace can be on one side only
    ");
    assert_snapshot!(sandbox.run("compare traces.jsonl --split service.version=1.4,2.0"), @"
    exit 2
    --- stderr
    error: no trace has service.version=2.0; check the key and the value
    ");
}

#[test]
fn a_split_finds_the_older_name_of_an_attribute() {
    let sandbox = sandbox();
    let traces = Traces::parse(
        "
         web: GET / 10ms http.status_code=200
         web: GET / 20ms http.status_code=500",
    );
    sandbox.write("traces.jsonl", traces.otlp_json_lines());
    let output =
        sandbox.run("compare traces.jsonl --split http.response.status_code=200,500 --format json");
    assert_eq!(sizes(&output), "1/1 1/1");
}

#[test]
fn attributes_that_are_identifiers_are_left_out_and_that_is_told() {
    let traces = Traces::parse("web: GET / 10ms")
        .repeat(100, Duration::from_secs(1))
        .edit(|span| {
            let id = tracediff_testkit::Value::Text(format!("order-{}", span.trace));
            span.attributes.push(("order.id".to_owned(), id));
        });
    let output = sandbox_of(&traces, &traces).run("compare before.jsonl after.jsonl --format json");
    let left_out = &output.json()["left_out"];
    assert_eq!(left_out[0]["key"], "order.id", "{left_out}");
    assert!(!output.json()["keys"].to_string().contains("order.id"));
    // Asked for, it is compared whatever it looks like.
    let output = sandbox_of(&traces, &traces)
        .run("compare before.jsonl after.jsonl --by order.id --format json");
    assert_eq!(values(&output.json(), "order.id")[2].len(), 100);
}
