//! Input that does not fit: read in several passes with the same result, or refused with a clear message.

use insta::assert_snapshot;
use serde_json::Value;
use tracediff_testkit::Traces;

use super::shop::{sandbox, sandbox_of, shop};

/// Compares two documents; numbers may differ in their last digits, as sums are added in another order.
fn assert_close(path: &str, a: &Value, b: &Value) {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
            assert!((x - y).abs() <= 1e-9 * x.abs().max(1e-6), "{path}: {x} {y}");
        }
        (Value::Array(x), Value::Array(y)) => {
            assert_eq!(x.len(), y.len(), "{path}");
            for (index, (x, y)) in x.iter().zip(y).enumerate() {
                assert_close(&format!("{path}/{index}"), x, y);
            }
        }
        (Value::Object(x), Value::Object(y)) => {
            assert!(x.keys().eq(y.keys()), "{path}");
            for (key, value) in x {
                assert_close(&format!("{path}/{key}"), value, &y[key]);
            }
        }
        _ => assert_eq!(a, b, "{path}"),
    }
}

#[track_caller]
fn check(line: &str, files: &[(&str, Traces)]) {
    let sandbox = sandbox();
    for (name, traces) in files {
        sandbox.write(name, traces.otlp_json_lines());
    }
    let once = sandbox.run(&format!("{line} --format json")).json();
    let passes = sandbox
        .run(&format!("{line} --format json --memory-limit 128KiB"))
        .json();
    assert!(!once["findings"].as_array().unwrap().is_empty());
    assert_close("", &once, &passes);
}

#[test]
fn several_passes_give_the_same_document() {
    let files = [("before", shop(10, 40)), ("after", shop(10, 90))];
    check("compare before after", &files);
    check(
        "compare before after --where 'service = cart' --scope match --by app.tier",
        &files,
    );
}

#[test]
fn several_passes_give_the_same_windows_and_splits() {
    let slow = shop(10, 90).edit(|span| {
        for (_, value) in &mut span.resource {
            *value = tracediff_testkit::Value::Text("1.5".to_owned());
        }
    });
    let mut later = slow.clone();
    later.shift(std::time::Duration::from_secs(600));
    check(
        "compare traces --baseline-window start/start+10m --candidate-window start+10m/end",
        &[("traces", shop(10, 40).and(later))],
    );
    check(
        "compare traces --split service.version=1.4,1.5",
        &[("traces", shop(10, 40).and(slow))],
    );
}

#[test]
fn standard_input_that_does_not_fit_is_refused() {
    let sandbox = sandbox_of(&shop(1, 40), &shop(1, 90));
    let traces = shop(10, 40).otlp_json_lines();
    for path in ["-", "/dev/stdin"] {
        let output = sandbox.run_with(
            &format!("compare {path} after.jsonl --memory-limit 128KiB"),
            &[],
            traces.as_bytes(),
        );
        assert_eq!(output.expect_code(2), "");
        assert!(
            output.stderr.contains("save it to a file"),
            "{path}: {output}"
        );
    }
    let output = sandbox.run_with(
        "compare - after.jsonl --memory-limit 128KiB",
        &[],
        traces.as_bytes(),
    );
    assert_snapshot!(output, @"
    exit 2
    --- stderr
    error: standard input
      because: the spans need more than 64.0 KiB, and standard input can be read only once; save it to a file, which can be read in several passes, or raise --memory-limit
    ");
}

#[test]
fn a_document_that_does_not_fit_is_refused() {
    let sandbox = sandbox_of(&shop(1, 40), &shop(1, 90));
    sandbox.write("document.json", shop(10, 40).otlp_json_document());
    assert_snapshot!(sandbox.run("compare document.json after.jsonl --memory-limit 256KiB"), @"
    exit 2
    --- stderr
    error: document.json
      because: line 1, column 1: what begins here is longer than 64.0 KiB, the most that one document or line may take; raise --memory-limit, or write one request a line
    ");
}

#[test]
fn a_document_in_a_folder_that_does_not_fit_is_not_taken_for_something_else() {
    let sandbox = sandbox_of(&shop(1, 40), &shop(1, 90));
    sandbox
        .write("before/1.jsonl", shop(1, 40).otlp_json_lines())
        .write("before/2.json", shop(10, 40).otlp_json_document());
    assert_snapshot!(sandbox.run("compare before after.jsonl --memory-limit 256KiB"), @"
    exit 2
    --- stderr
    error: before/2.json
      because: line 1, column 1: what begins here is longer than 64.0 KiB, the most that one document or line may take; raise --memory-limit, or write one request a line
    ");
}

#[test]
fn a_limit_that_would_take_too_many_passes_is_refused() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    for limit in ["0", "1", "4KiB"] {
        let output = sandbox.run(&format!(
            "compare before.jsonl after.jsonl --memory-limit {limit}"
        ));
        assert_eq!(output.expect_code(2), "");
        assert!(
            output.stderr.contains("--memory-limit"),
            "{limit}: {output}"
        );
    }
    let output = sandbox.run("compare before.jsonl after.jsonl --memory-limit 4KiB");
    assert!(
        output.stderr.starts_with("error: the spans need ")
            && output.stderr.ends_with(
                " passes within 2.0 KiB; raise --memory-limit or compare shorter windows\n"
            ),
        "{output}"
    );
}

#[test]
fn a_limit_that_is_no_size_is_told() {
    let sandbox = sandbox_of(&shop(1, 40), &shop(1, 90));
    assert_snapshot!(sandbox.run("compare before.jsonl after.jsonl --memory-limit 2parsecs"), @"
    exit 2
    --- stderr
    error: invalid value '2parsecs' for '--memory-limit <BYTES>': `parsecs` is not a unit; write bytes, KiB, MiB, GiB, KB, MB or GB

    For more information, try '--help'.
    ");
}

#[test]
fn the_limit_may_come_from_the_environment() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    let output = sandbox.run_with(
        "compare before.jsonl after.jsonl",
        &[("TRACEDIFF_MEMORY_LIMIT", "1")],
        b"",
    );
    assert_eq!(output.expect_code(2), "");
}
