//! What makes the exit code 1, and the policy that decides what counts.

use insta::assert_snapshot;
use tracediff_testkit::{Sandbox, Traces};

use super::shop::{sandbox_of, shop, small};

/// Exit codes with `--fail-on never`, `any` and `regressed`.
#[track_caller]
fn codes(sandbox: &Sandbox, arguments: &str) -> [Option<i32>; 3] {
    ["never", "any", "regressed"].map(|fail_on| {
        let line = format!("compare before.jsonl after.jsonl --fail-on {fail_on} {arguments}");
        sandbox.run(&line).code
    })
}

const NOTHING: [Option<i32>; 3] = [Some(0), Some(0), Some(0)];
const ANY: [Option<i32>; 3] = [Some(0), Some(1), Some(0)];
const REGRESSED: [Option<i32>; 3] = [Some(0), Some(1), Some(1)];

#[test]
fn nothing_changed() {
    assert_eq!(
        codes(&sandbox_of(&shop(10, 40), &shop(10, 40)), ""),
        NOTHING
    );
}

#[test]
fn a_regression() {
    assert_eq!(
        codes(&sandbox_of(&shop(10, 40), &shop(10, 90)), ""),
        REGRESSED
    );
}

#[test]
fn an_improvement() {
    assert_eq!(codes(&sandbox_of(&shop(10, 90), &shop(10, 40)), ""), ANY);
}

#[test]
fn more_errors() {
    let failing = shop(10, 40).edit(|span| span.is_error = span.trace % 5 == 0);
    assert_eq!(codes(&sandbox_of(&shop(10, 40), &failing), ""), REGRESSED);
}

#[test]
fn a_new_value() {
    let other_tier = shop(10, 40).edit(|span| {
        for (key, value) in &mut span.attributes {
            if key == "app.tier" && span.trace % 2 == 0 {
                *value = tracediff_testkit::Value::Text("platinum".to_owned());
            }
        }
    });
    assert_eq!(codes(&sandbox_of(&shop(10, 40), &other_tier), ""), ANY);
}

#[test]
fn what_is_only_suggestive_does_not_fail_a_build() {
    // Of 25 s there are too few slices of 5 s to be sure; of a minute there are enough.
    let sandbox = sandbox_of(&shop(1, 40), &shop(1, 90));
    let cut = |traces: Traces| Traces {
        spans: traces.spans[..50].to_vec(),
    };
    let short = sandbox_of(&cut(shop(1, 40)), &cut(shop(1, 90)));
    assert_eq!(codes(&short, ""), NOTHING);
    let output = short
        .run("compare before.jsonl after.jsonl --format json")
        .json();
    assert_eq!(output["findings"][0]["strength"], "suggestive");
    assert_eq!(codes(&sandbox, ""), REGRESSED);
}

#[test]
fn the_result_is_printed_all_the_same() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    let found = sandbox.run("compare before.jsonl after.jsonl --fail-on any");
    let ignored = sandbox.run("compare before.jsonl after.jsonl");
    assert_eq!(found.expect_code(1), ignored.expect_code(0));
}

#[test]
fn a_policy_says_what_counts() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    sandbox.write(
        "lax.toml",
        "[latency]\nmin_difference_ms = 500\n[errors]\nmin_difference = 0.5\n",
    );
    assert_eq!(codes(&sandbox, "--policy lax.toml"), NOTHING);
    let document = sandbox
        .run("compare before.jsonl after.jsonl --policy lax.toml --format json")
        .json();
    assert_eq!(document["policy"]["latency"]["min_difference_ms"], 500.0);
    assert_eq!(
        document["policy"]["latency"]["min_delta"], 0.147,
        "the rest is the default"
    );
}

#[test]
fn a_policy_that_cannot_be_used_is_told() {
    let sandbox = small();
    sandbox
        .write("key.toml", "max_p = 0.05\n")
        .write("range.toml", "max_q = 5\n")
        .write("nan.toml", "[latency]\nmin_delta = nan\n")
        .write("syntax.toml", "max_q = \n")
        .write("bytes.toml", [0xff, 0xfe]);
    let run = |policy: &str| {
        sandbox.run(&format!(
            "compare before.jsonl after.jsonl --policy {policy}"
        ))
    };
    assert_snapshot!(run("key.toml"), @r#"
exit 2
--- stderr
error: the policy `key.toml` cannot be used
  because: TOML parse error at line 1, column 1
  |
1 | max_p = 0.05
  | ^^^^^
unknown field `max_p`, expected one of `max_q`, `confirmed_q`, `min_traces`, `latency`, `errors`, `calls`, `values`, `keys`, `ignored`
"#);
    assert_snapshot!(run("range.toml"), @"
    exit 2
    --- stderr
    error: the policy `range.toml` cannot be used
      because: `max_q` is 5, but must be above 0 and below 1
    ");
    assert_snapshot!(run("nan.toml"), @"
    exit 2
    --- stderr
    error: the policy `nan.toml` cannot be used
      because: `latency.min_delta` is NaN, but must be at least 0 and below 1
    ");
    assert_snapshot!(run("syntax.toml"), @"
    exit 2
    --- stderr
    error: the policy `syntax.toml` cannot be used
      because: TOML parse error at line 1, column 9
      |
    1 | max_q = 
      |         ^
    string values must be quoted, expected literal string
    ");
    assert_snapshot!(run("bytes.toml"), @"
    exit 2
    --- stderr
    error: the policy `bytes.toml` cannot be used
      because: stream did not contain valid UTF-8
    ");
    assert_snapshot!(run("missing.toml"), @"
    exit 2
    --- stderr
    error: the policy `missing.toml` cannot be used
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn bad_input_is_two_whatever_fails_a_build() {
    let sandbox = small();
    sandbox.write("empty.jsonl", "");
    for fail_on in ["never", "any", "regressed"] {
        let output = sandbox.run(&format!(
            "compare before.jsonl empty.jsonl --fail-on {fail_on}"
        ));
        assert_eq!(output.expect_code(2), "");
    }
    assert_eq!(
        sandbox
            .run("compare before.jsonl after.jsonl --fail-on always")
            .code,
        Some(2)
    );
}
