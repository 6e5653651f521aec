//! Spans that were sent to a server: counted, exported and compared, while it runs and after it has ended.

use std::collections::BTreeMap;
use std::process::Command;

use insta::assert_snapshot;
use tracediff_testkit::{Connection, Sandbox, Server};

use super::shop::sandbox;

const BINARY: &str = env!("CARGO_BIN_EXE_tracediff");
const WINDOWS: &str = "--baseline-window 2026-01-05T10:00:00Z/2026-01-05T10:02:00Z \
                       --candidate-window 2026-01-05T10:02:00Z/2026-01-05T10:04:00Z";

/// Two minutes of the shop in order, and two in which a service is slow.
pub(super) fn recorded() -> Sandbox {
    let sandbox = sandbox();
    for (out, scenario, seed, start) in [
        ("before.jsonl", "healthy", "1", "10:00:00"),
        ("after.jsonl", "slow-service", "2", "10:02:00"),
    ] {
        let line = format!(
            "simulate --out {out} --scenario {scenario} --seed {seed} --minutes 2 --start 2026-01-05T{start}Z"
        );
        sandbox.run(&line).expect_code(0);
    }
    sandbox
}

/// A server that was sent all of it, request by request.
pub(super) fn served(sandbox: &Sandbox) -> Server {
    let server = Server::start(BINARY, &sandbox.folder().join("data"), &[]);
    let mut connection = Connection::open(&server.otlp_http).unwrap();
    for file in ["before.jsonl", "after.jsonl"] {
        for line in sandbox.read(file).lines() {
            let answer = connection.post("/v1/traces", "application/json", line.as_bytes());
            assert_eq!(answer.unwrap(), (200, b"{}".to_vec()));
        }
    }
    server
}

/// Which findings there are, and what they say. (Slices follow the windows' ends, so p-values differ a little.)
fn findings(document: &serde_json::Value) -> BTreeMap<String, String> {
    let findings = document["findings"].as_array().unwrap().iter();
    let said = |of: &serde_json::Value| format!("{} {}", of["verdict"], of["text"]);
    findings
        .map(|finding| (finding["id"].to_string(), said(finding)))
        .collect()
}

fn compared(sandbox: &Sandbox, line: &str) -> serde_json::Value {
    sandbox.run(&format!("compare {line} --format json")).json()
}

#[test]
fn what_was_sent_compares_as_the_files_do() {
    let sandbox = recorded();
    let of_files = compared(&sandbox, "before.jsonl after.jsonl");
    assert_eq!(of_files["outcome"], "regressed");
    let server = served(&sandbox);
    let url = format!("http://{}", server.api);
    let of_server = compared(&sandbox, &format!("--source {url} {WINDOWS}"));
    assert_eq!(of_server["sentence"], of_files["sentence"]);
    assert_eq!(findings(&of_server), findings(&of_files));
    assert!(server.stop());
    let of_folder = compared(&sandbox, &format!("--source data {WINDOWS}"));
    assert_eq!(findings(&of_folder), findings(&of_server));
    assert_eq!(of_folder["culprits"], of_server["culprits"]);
    let split = compared(&sandbox, "--source data --split app.currency=EUR,USD");
    assert_ne!(split["quality"]["baseline"]["counts"]["spans"], 0);
}

#[test]
fn spans_are_counted_and_exported() {
    let sandbox = recorded();
    let all: usize = ["before.jsonl", "after.jsonl"]
        .map(|file| sandbox.read(file).matches("\"startTimeUnixNano\"").count())
        .iter()
        .sum();
    let server = served(&sandbox);
    let source = format!("--source http://{}", server.api);
    let count = |more: &str| {
        let output = sandbox.run(&format!("spans count {source} {more}"));
        output.expect_code(0).trim().replace('\u{a0}', " ")
    };
    let digits: String = count("")
        .chars()
        .take_while(|c| *c != 's')
        .filter(char::is_ascii_digit)
        .collect();
    let spans: usize = digits.parse().unwrap();
    assert_eq!(spans, all);
    assert_snapshot!(count("--window start/start+60s"), @"10 892 spans in 701 traces");
    assert_snapshot!(count("--where 'service = pricing'"), @"4 020 of 40 299 spans match, in 1 527 traces");
    assert_snapshot!(count("--last 30s --where 'service = nobody'"), @"0 of 5 306 spans match, in 0 traces");

    // What is exported compares as what was sent.
    let line = format!(
        "spans export {source} --where 'service = pricing' --window start/start+2m --out b.pb"
    );
    sandbox.run(&line).expect_code(0);
    let line = format!(
        "spans export {source} --where 'service = pricing' --window start+2m/end --out a.jsonl.gz"
    );
    sandbox.run(&line).expect_code(0);
    let exported = compared(&sandbox, "b.pb a.jsonl.gz");
    let sent = compared(
        &sandbox,
        "before.jsonl after.jsonl --where 'service = pricing'",
    );
    assert_eq!(findings(&exported), findings(&sent));
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let url = format!("http://{}", server.api);
    let error = |line: &str| {
        let output = sandbox.run(line);
        assert_eq!(output.code, Some(2), "{output}");
        output.stderr.replace(&url, "[URL]")
    };
    assert_snapshot!(error(&format!("compare --source {url}")), @"error: --source holds both sides; give --baseline-window and --candidate-window, e.g. -30m/-15m and -15m/end, or --split");
    assert_snapshot!(error("spans count --source data"), @"error: the folder data is in use by another process; stop that, ask it by its URL, or take another folder");
    assert_snapshot!(error("spans count --source nowhere"), @"error: `nowhere` is no data folder; give that of a server that has ended, or http://HOST:PORT of one that runs");
    assert_snapshot!(error("spans count --source ftp://there"), @"error: `ftp://there` cannot be asked; give http://HOST:PORT of a server, or its data folder");
    assert_snapshot!(error(&format!("spans count --source {url}/what")), @"error: there is nothing at /what/api/status");
    assert_snapshot!(error(&format!("spans count --source {url} --last soon")), @r#"
    error: --last `soon` is not a duration; write one such as 15m
      because: failed to parse input in the "friendly" duration format: expected duration to start with a unit value (a decimal integer) after an optional sign, but no integer was found
    "#);
    assert_snapshot!(error(&format!("spans count --source {url} --where 'service ='")), @r#"
    error: --where cannot be used
    service =
             ^ column 10: expected a value after `=`, found the end
    "#);
    let taken = server.api.clone();
    let second = Command::new(BINARY)
        .args([
            "serve",
            "--otlp-http",
            "127.0.0.1:0",
            "--otlp-grpc",
            "127.0.0.1:0",
        ])
        .args(["--listen", &taken])
        .output()
        .unwrap();
    let text = String::from_utf8(second.stderr)
        .unwrap()
        .replace(&taken, "[ADDRESS]");
    assert_snapshot!(text, @r#"
    error: cannot listen on [ADDRESS] for the API: something listens there already; stop that, or set `listen` to another port (0 picks a free one)
      because: Address already in use (os error 98)
    "#);
    assert_eq!(second.status.code(), Some(2));
}
