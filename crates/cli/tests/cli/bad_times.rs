//! Times that cannot be: in the wrong unit, negative durations, the far past and future.

use insta::assert_snapshot;
use tracediff_testkit::traces::START_NS;
use tracediff_testkit::{Output, Traces};

use super::shop::{sandbox_of, shop, small, warnings};

fn run(traces: &Traces) -> Output {
    let sandbox = small();
    sandbox.write("bad", traces.otlp_json_lines());
    sandbox.run("compare bad after.jsonl --format json")
}

/// A minute of the shop with times in a coarser unit.
fn in_unit(unit_ns: u64) -> Traces {
    shop(1, 40).edit(|span| {
        span.start_ns /= unit_ns;
        span.end_ns /= unit_ns;
    })
}

#[test]
fn a_coarser_unit_where_nanoseconds_belong() {
    assert_snapshot!(run(&in_unit(1_000_000_000)), @"
    exit 2
    --- stderr
    error: bad: spans begin at 1767607259, which looks like seconds since 1970 where nanoseconds belong; multiply all times by 1,000,000,000
    ");
    assert_snapshot!(run(&in_unit(1_000_000)), @"
    exit 2
    --- stderr
    error: bad: spans begin at 1767607259002, which looks like milliseconds since 1970 where nanoseconds belong; multiply all times by 1,000,000
    ");
    assert_snapshot!(run(&in_unit(1_000)), @"
    exit 2
    --- stderr
    error: bad: spans begin at 1767607259002000, which looks like microseconds since 1970 where nanoseconds belong; multiply all times by 1,000
    ");
    assert_snapshot!(run(&in_unit(u64::MAX)), @"
    exit 2
    --- stderr
    error: bad: every span begins at 0; expected nanoseconds since 1970
    ");
}

#[test]
fn some_spans_in_the_wrong_unit_are_left_out_and_told() {
    let traces = shop(1, 40).edit(|span| {
        if span.trace <= 3 {
            span.start_ns /= 1_000_000;
            span.end_ns /= 1_000_000;
        }
    });
    let output = run(&traces);
    assert_eq!(output.json()["quality"]["baseline"]["traces"], 57);
    assert!(
        warnings(&output).contains("early_spans: 6 spans of the baseline begin before 1990"),
        "{output}"
    );
}

#[test]
fn negative_durations_count_as_zero_and_are_told() {
    let traces = Traces::parse("web: GET / 0ms\nweb: GET / 5ms\nweb: GET / 10ms");
    let end = format!(r#""endTimeUnixNano":"{START_NS}""#);
    let earlier = format!(r#""endTimeUnixNano":"{}""#, START_NS - 5_000_000);
    let text = traces.otlp_json_lines();
    assert!(text.contains(&end));
    let sandbox = sandbox_of(&traces, &Traces::parse("web: GET / 5ms"));
    sandbox.write("before.jsonl", text.replace(&end, &earlier));
    let output = sandbox.run("compare before.jsonl after.jsonl --format json");
    assert!(
        warnings(&output)
            .contains("negative_durations: 1 span of the baseline end before they start"),
        "{output}"
    );
    let compat = sandbox
        .run("compare before.jsonl after.jsonl --format compat")
        .json();
    // The mean of 0, 5 and 10 ms is 5 ms.
    assert_eq!(compat["diffs"][0]["diffs"][0]["avg_latency"], 0, "{compat}");
}

#[test]
fn the_end_of_time() {
    let traces = shop(1, 40);
    let text = traces.otlp_json_lines();
    let one = traces.spans[0].start_ns.to_string();
    assert!(text.contains(&one));
    let sandbox = small();
    for time in [i64::MAX as u64 - 1, i64::MAX as u64, u64::MAX] {
        sandbox.write("bad", text.replace(&one, &time.to_string()));
        let output = sandbox.run("compare bad after.jsonl --format json");
        assert_eq!(output.json()["quality"]["baseline"]["traces"], 60);
    }
}

#[test]
fn every_span_at_the_end_of_time() {
    let text = Traces::parse("web: GET / 5ms").otlp_json_lines();
    let sandbox = small();
    let end = START_NS + 5_000_000;
    let text = text
        .replace(&START_NS.to_string(), &u64::MAX.to_string())
        .replace(&end.to_string(), &u64::MAX.to_string());
    sandbox.write("bad", text);
    let output = sandbox.run("compare bad bad --format json");
    assert_eq!(output.json()["quality"]["baseline"]["traces"], 1);
}

#[test]
fn durations_of_centuries() {
    let traces = shop(1, 40).edit(|span| span.end_ns = i64::MAX as u64);
    let sandbox = sandbox_of(&traces, &traces);
    let text = sandbox.read("before.jsonl");
    let end = i64::MAX.to_string();
    assert!(text.contains(&end));
    sandbox.write("after.jsonl", text.replace(&end, &u64::MAX.to_string()));
    let compat = sandbox
        .run("compare before.jsonl after.jsonl --format compat")
        .json();
    // The candidate's spans end 2^63 ns later; of the means only whole microseconds count.
    let difference = compat["diffs"][0]["diffs"][0]["avg_latency"].as_u64();
    assert_eq!(difference, Some((1 << 63) / 1_000 + 1), "{compat}");
}

#[test]
fn traces_in_two_ages_are_two_ranges_of_time() {
    let mut later = shop(5, 40);
    later.shift(std::time::Duration::from_secs(400 * 86_400));
    let traces = shop(5, 40).and(later);
    let output = run(&traces).json();
    let baseline = &output["quality"]["baseline"];
    assert_eq!(baseline["ranges"].as_array().unwrap().len(), 2);
    assert_eq!(baseline["traces"], 600);
    assert!(baseline["seconds"].as_f64().unwrap() < 601.0, "{baseline}");
}
