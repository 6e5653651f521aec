//! The commands that are clients of a running server.

use insta::assert_snapshot;
use tracediff_testkit::{Output, Sandbox, Server};

use super::snapshots::START;
use super::stored::{recorded, served};

const BINARY: &str = env!("CARGO_BIN_EXE_tracediff");

/// Runs a command against a server; what differs from run to run is replaced.
fn run(sandbox: &Sandbox, server: &Server, line: &str) -> Output {
    let mut output = sandbox.run(&format!("{line} --server http://{}", server.api));
    output.stdout = settled(&output.stdout);
    output.stderr = settled(&output.stderr);
    output
}

/// A text without ids and the times of now.
fn settled(text: &str) -> String {
    let is_id = |word: &str| word.len() >= 10 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let this_year = jiff::Zoned::now().strftime("%Y-").to_string();
    let is_now = |word: &str| word.starts_with(&this_year) || word.ends_with('Z');
    let settled = |word: &str| {
        if is_id(word) {
            "[ID]".to_owned()
        } else if is_now(word) && !word.starts_with("10:") {
            "[NOW]".to_owned()
        } else {
            word.to_owned()
        }
    };
    let lines = text
        .lines()
        .map(|line| line.split(' ').map(settled).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

fn time(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap().to_string()
}

#[test]
fn from_a_query_to_a_verdict() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let run = |line: &str| run(&sandbox, &server, line);
    let text = |line: &str| {
        let output = run(line);
        output.expect_code(0);
        output.stdout
    };
    assert_snapshot!(text("query list"), @"there is no query: save one with `tracediff query add 'service = cart'`");
    assert_snapshot!(text("diff list"), @"there is no diff: there must be two snapshots of a query first");
    let added = text(
        "query add 'service = pricing' --name prices --by app.currency --unscheduled --baseline ago=7d --window 2m",
    );
    assert!(added.contains("by         app.currency"), "{added}");
    assert!(added.contains(r#"baseline   {"ago":"7d"}"#), "{added}");
    text("query rm prices");
    text("query add 'service = pricing' --name prices --unscheduled");
    assert_snapshot!(text("query list"), @r"
    ID          NAME    EVERY       QUERY
    [ID]  prices  on request  service = pricing
    ");

    // No diff yet: that is no verdict.
    let none = run("verdict prices");
    none.expect_code(2);
    assert!(none.stderr.contains("has no diff yet"), "{}", none.stderr);
    for from in [START, START + 120] {
        let (from, to) = (time(from), time(from + 120));
        let taken = text(&format!(
            "snapshot take prices --from {from} --to {to} --wait"
        ));
        assert!(taken.contains("status      ready"), "{taken}");
    }
    let snapshots = text("snapshot list --query prices --status ready");
    assert_eq!(snapshots.lines().count(), 3, "{snapshots}");

    let list = |command: &str| {
        let line = format!(
            "{command} list --format json --server http://{}",
            server.api
        );
        sandbox.run(&line).json()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while list("diff").as_array().unwrap().is_empty() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let snapshots = list("snapshot");
    let ids: Vec<&str> = snapshots
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["_id"].as_str().unwrap())
        .collect();
    let shown = text(&format!("diff now {} {}", ids[0], &ids[1][20..]));
    let sentence = shown.lines().next().unwrap().to_owned();
    assert!(sentence.contains("start at pricing"), "{shown}");
    assert!(
        shown.contains("Where to look first\n  1. pricing"),
        "{shown}"
    );
    assert!(shown.contains("\nFindings\n  "), "{shown}");
    let diff = list("diff")[0]["_id"].as_str().unwrap().to_owned();
    assert_eq!(text(&format!("diff show {}", &diff[22..])), shown);

    let verdict = run("verdict prices");
    verdict.expect_code(1);
    assert_eq!(verdict.stdout.lines().next(), Some(&*sentence));
    run("verdict prices --fail-on never").expect_code(0);
    run("verdict prices --fail-on any").expect_code(1);

    let pinned = text(&format!("snapshot pin {}", ids[0]));
    assert!(pinned.contains("status      ready, pinned"), "{pinned}");
    let unpinned = text(&format!("snapshot unpin {}", ids[0]));
    assert!(unpinned.contains("status      ready\n"), "{unpinned}");
    assert_snapshot!(text(&format!("diff rm {diff}")), @"removed [ID]");
    assert_snapshot!(text(&format!("snapshot rm {}", ids[0])), @"removed [ID]");
    assert!(server.stop());
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let error = |line: &str| {
        let output = run(&sandbox, &server, line);
        output.expect_code(2);
        output.stderr
    };
    assert_snapshot!(error("query show nothing"), @"error: there is no query `nothing`: `tracediff query list` shows them");
    assert_snapshot!(error("query add 'service = '"), @r"
    error: service =
              ^ column 11: expected a value after `=`, found the end
    ");
    assert_snapshot!(error("query add service --baseline yesterday"), @"error: `yesterday` is no baseline: give previous, ago=7d or snapshot=ID");
    assert_snapshot!(error("snapshot list --status done"), @"error: `status` is `done`, but must be pending, collecting, ready, failed or cancelled");
    assert_snapshot!(error("diff show 12"), @"error: there is no diff `12`: `tracediff diff list` shows them");
    for _ in 0..2 {
        let line = "query add 'EXISTS service' --name twice --unscheduled";
        run(&sandbox, &server, line).expect_code(0);
    }
    assert_snapshot!(error("query rm twice"), @"error: 2 queries are called `twice`: give the id");
    let nobody = sandbox.run("query list --server http://127.0.0.1:9");
    nobody.expect_code(2);
    let first = nobody.stderr.lines().next();
    assert_eq!(
        first,
        Some("error: nothing listens at http://127.0.0.1:9: is `tracediff serve` running there?")
    );
    let nowhere = sandbox.run("query list --server localhost:4000");
    nowhere.expect_code(2);
    assert!(
        nowhere
            .stderr
            .contains("give http://HOST:PORT or https://HOST:PORT"),
        "{}",
        nowhere.stderr
    );
}

#[test]
fn with_a_token_over_tls() {
    let sandbox = recorded();
    let names = ["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let file = |name: &str| sandbox.folder().join(name).display().to_string();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let created = sandbox.run("token create --data-dir data --role read --name me");
    created.expect_code(0);
    let token = created.stdout.trim().to_owned();
    let data = sandbox.folder().join("data");
    let flags = [
        "--access",
        "tokens",
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
    ];
    let server = Server::start(BINARY, &data, &flags);
    let line = format!("query list --format json --server {}", server.api);

    let with = |variables: &[(&str, &str)]| sandbox.run_with(&line, variables, b"");
    let unknown = with(&[("TRACEDIFF_TOKEN", &token)]);
    unknown.expect_code(2);
    assert!(
        unknown.stderr.contains("cannot be asked"),
        "{}",
        unknown.stderr
    );
    let trusted = ("TRACEDIFF_CA_CERT", &*certificate);
    let nobody = with(&[trusted]);
    nobody.expect_code(2);
    assert!(
        nobody.stderr.contains("set TRACEDIFF_TOKEN to one that"),
        "{}",
        nobody.stderr
    );
    let known = with(&[trusted, ("TRACEDIFF_TOKEN", &token)]);
    known.expect_code(0);
    assert_eq!(known.stdout, "[]\n");
    let counted = sandbox.run_with(
        &format!("spans count --source {}", server.api),
        &[trusted, ("TRACEDIFF_TOKEN", &token)],
        b"",
    );
    // It was let in, and there are none.
    assert!(
        counted.stderr.contains("holds no spans"),
        "{}",
        counted.stderr
    );
    let wrong = with(&[("TRACEDIFF_CA_CERT", "nowhere.pem")]);
    wrong.expect_code(2);
    assert!(
        wrong.stderr.contains("nowhere.pem, which cannot be read"),
        "{}",
        wrong.stderr
    );
}
