//! `tracediff.toml`: what stands above what, what is shown of it, and what is said of a file that cannot be used.

use insta::assert_snapshot;
use tracediff_testkit::{Connection, Sandbox, Server};

use super::shop::sandbox;

const BINARY: &str = env!("CARGO_BIN_EXE_tracediff");
const SECRET: &str = "a-secret-that-nobody-guesses";
/// `printf %s a-secret-that-nobody-guesses-either | sha256sum`
const SHA256: &str = "f0a866a186d92eccb6bc94dc07ab2bc68002b5397e66b7dd77112568cd1af6bb";

const FILE: &str = r#"
data_dir = "here"
head_age = "2s"
head_bytes = 1048576
retention_bytes = "50GiB"
catalog = "postgres://me:hidden@db/tracediff"
cors_origins = ["https://shop.example", "https://pages.example"]

[policy.latency]
min_difference_ms = 5

[[tokens]]
name = "collector"
role = "ingest"
secret = "a-secret-that-nobody-guesses"
"#;

fn shown(sandbox: &Sandbox, options: &str, environment: &[(&str, &str)]) -> String {
    let line = format!("config show {options}");
    let output = sandbox.run_with(&line, environment, b"");
    output.expect_code(0);
    output.stdout
}

fn line<'t>(text: &'t str, key: &str) -> &'t str {
    let lines = text.lines().map(str::trim);
    let mut found = lines.filter(|line| line.starts_with(&format!("{key} = ")));
    found
        .next_back()
        .unwrap_or_else(|| panic!("no {key} in {text}"))
}

#[test]
fn an_option_goes_before_a_variable_and_a_variable_before_the_file() {
    let sandbox = sandbox();
    let of = |options: &str, environment: &[(&str, &str)]| {
        let text = shown(&sandbox, options, environment);
        let line = line(&text, "head_age");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("", &[]), r#"head_age = "5s" # default"#);
    sandbox.write("tracediff.toml", "head_age = \"2s\"\n");
    assert_eq!(of("", &[]), r#"head_age = "2s" # tracediff.toml"#);
    let variable = [("TRACEDIFF_HEAD_AGE", "3s")];
    assert_eq!(of("", &variable), r#"head_age = "3s" # TRACEDIFF_HEAD_AGE"#);
    assert_eq!(of("--head-age 4s", &variable), r#"head_age = "4s" # typed"#);
    sandbox.write("other.toml", "head_age = \"6s\"\n");
    assert_eq!(
        of("--config other.toml", &[]),
        r#"head_age = "6s" # other.toml"#
    );
    let variable = [("TRACEDIFF_CONFIG", "other.toml")];
    assert_eq!(of("", &variable), r#"head_age = "6s" # other.toml"#);
}

#[test]
fn what_is_in_force_is_shown_without_secrets_as_a_file_that_can_be_used() {
    let sandbox = sandbox();
    sandbox.write("tracediff.toml", FILE);
    let text = shown(&sandbox, "", &[]);
    assert!(!text.contains("hidden") && !text.contains(SECRET), "{text}");
    assert!(
        line(&text, "catalog").contains("postgres://me:…@db/tracediff"),
        "{text}"
    );
    assert!(line(&text, "min_difference_ms").ends_with("5.0"), "{text}");
    assert!(text.contains("# retention_age is not set"), "{text}");
    let list = r#"cors_origins = ["https://shop.example", "https://pages.example"]"#;
    assert!(line(&text, "cors_origins").starts_with(list), "{text}");
    let checked = sandbox.run("config check");
    checked.expect_code(0);
    assert_snapshot!(checked.stdout.trim(), @"tracediff.toml can be used: 6 settings, a policy, 1 token");

    let again = text.replace('…', "and-here-is-another-secret");
    sandbox.write("again.toml", &again);
    let output = sandbox.run("config check --config again.toml");
    output.expect_code(0);
}

#[test]
fn a_file_that_cannot_be_used_is_said_where() {
    let sandbox = sandbox();
    let said = |file: &str| {
        sandbox.write("tracediff.toml", file);
        let output = sandbox.run("config check");
        output.expect_code(2);
        let text = output.stderr.trim();
        text.strip_prefix("error: the configuration `tracediff.toml` cannot be used\n  because: ")
            .unwrap_or_else(|| panic!("{text}"))
            .to_owned()
    };
    assert_snapshot!(said("\nhead_age = \"5 apples\""), @"line 2: `head_age` is `5 apples`: expected a duration such as 200ms, 15m or 7d");
    assert_snapshot!(said("access = \"none\""), @"line 1: `access` is `none`, but must be one of guarded, tokens, open");
    assert_snapshot!(said("snapshots_per_query = 1"), @"line 1: `snapshots_per_query` is `1`: 1 is not in 2..=4294967295");
    assert_snapshot!(said("listen = { port = 1 }"), @"line 1: `listen` must be a text, a number or a list of texts");
    assert_snapshot!(said("[policy.errors]\nmin_factor = 0.5"), @r#"
`policy`
  because: `errors.min_factor` is 0.5, but must be at least 1
"#);
    assert_snapshot!(said("[policy]\nmin_trace = 5"), @r#"
TOML parse error at line 2, column 1
  |
2 | min_trace = 5
  | ^^^^^^^^^
unknown field `min_trace`, expected one of `max_q`, `confirmed_q`, `min_traces`, `latency`, `errors`, `calls`, `values`, `keys`, `ignored`
"#);
    assert_snapshot!(said("[[tokens]]\nname = \"me\"\nrole = \"admin\"\nsecret = \"x\""), @r#"
TOML parse error at line 3, column 8
  |
3 | role = "admin"
  |        ^^^^^^^
`admin` is no role: ingest, read or write
"#);
    assert_snapshot!(said("[[tokens]]\nname = \"me\"\nrole = \"read\"\nsecret = \"short\""), @r#"
the token `me`
  because: its `secret` has 5 characters, but needs 24: `openssl rand -hex 32` makes a good one
"#);
    assert_snapshot!(said("[[tokens]]\nname = \"me\"\nrole = \"read\""), @r#"
the token `me`
  because: give either `secret` or `sha256`
"#);
    let unknown = said("a = 1");
    assert!(
        unknown.starts_with("line 1: there is no setting `a`; there are data_dir,"),
        "{unknown}"
    );
    let broken = said("a = ");
    assert!(broken.contains("line 1, column 5"), "{broken}");
    let missing = sandbox.run("serve --config nowhere.toml");
    missing.expect_code(2);
    assert_snapshot!(missing.stderr.trim(), @r#"
error: the configuration `nowhere.toml` cannot be used
  because: No such file or directory (os error 2)
"#);
    sandbox.write("tracediff.toml", "tls_cert = \"cert.pem\"");
    let half = sandbox.run("serve");
    half.expect_code(2);
    assert_snapshot!(half.stderr.trim(), @"error: `tls_cert` and `tls_key` are given together or not at all");
}

#[test]
fn tokens_of_the_file_open_the_ports_they_are_for() {
    let sandbox = sandbox();
    let tokens = format!(
        "access = \"tokens\"\n[[tokens]]\nname = \"me\"\nrole = \"read\"\nsecret = \"{SECRET}\"\n\
         [[tokens]]\nname = \"ci\"\nrole = \"write\"\nsha256 = \"{SHA256}\"\n"
    );
    sandbox.write("tracediff.toml", tokens);
    let file = sandbox.folder().join("tracediff.toml");
    let data = sandbox.folder().join("data");
    let server = Server::start(BINARY, &data, &["--config", file.to_str().unwrap()]);
    let status = |secret: &str, method: &str| {
        let connection = Connection::open(&server.api).unwrap();
        let mut connection = connection.with("Authorization", &format!("Bearer {secret}"));
        let answer = connection.json(method, "/api/queries", r#"{"query": "service = cart"}"#);
        answer.unwrap().0
    };
    assert_eq!(status(SECRET, "GET"), 200);
    assert_eq!(status(SECRET, "POST"), 403);
    assert_eq!(status("a-secret-that-nobody-guesses-either", "POST"), 201);
    assert_eq!(status("something-else-altogether", "GET"), 401);
}

#[test]
fn queries_have_the_policy_of_the_server_where_they_have_none() {
    let sandbox = sandbox();
    sandbox.write(
        "tracediff.toml",
        "[policy]\nmin_traces = 77\n[policy.latency]\nmin_ratio = 0.3\n",
    );
    let file = sandbox.folder().join("tracediff.toml");
    let data = sandbox.folder().join("data");
    let start = |options: &[&str]| Server::start(BINARY, &data, options);
    let server = start(&["--config", file.to_str().unwrap()]);
    let body = r#"{"query": "service = cart", "policy": {"latency": {"min_delta": 0.4}}}"#;
    let (status, query) = Connection::open(&server.api)
        .unwrap()
        .json("POST", "/api/queries", body)
        .unwrap();
    assert_eq!(status, 201);
    let policy = &query["policy"];
    assert_eq!(policy["min_traces"], 77);
    assert_eq!(
        (
            &policy["latency"]["min_ratio"],
            &policy["latency"]["min_delta"]
        ),
        (&0.3.into(), &0.4.into())
    );
    assert!(server.stop());
    // What the query has not said goes with the server.
    let server = start(&[]);
    let (_, all) = Connection::open(&server.api)
        .unwrap()
        .json("GET", "/api/queries", "")
        .unwrap();
    assert_eq!(all[0]["policy"]["min_traces"], 20);
    assert_eq!(all[0]["policy"]["latency"]["min_delta"], 0.4);
}
