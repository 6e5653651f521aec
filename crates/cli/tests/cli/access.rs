//! Who may do what on a server's ports: tokens with roles, and pages in a browser.

use std::time::{Duration, Instant};

use tracediff_testkit::{Connection, Sandbox, Server};

use super::shop::sandbox;

const BINARY: &str = env!("CARGO_BIN_EXE_tracediff");
const SPAN: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0000000000000000000000000000000a","spanId":"000000000000000b","name":"a","startTimeUnixNano":"1000","endTimeUnixNano":"2000"}]}]}]}"#;

fn token(sandbox: &Sandbox, role: &str) -> String {
    let line = format!("token create --data-dir data --role {role} --name {role}");
    let output = sandbox.run(&line);
    output.expect_code(0);
    output.stdout.trim().to_owned()
}

/// The status and, of a problem document, the code that a request of the API has.
fn api(server: &Server, token: Option<&str>, method: &str, path: &str) -> (u16, String) {
    let mut connection = Connection::open(&server.api).unwrap();
    if let Some(token) = token {
        connection = connection.with("Authorization", &format!("Bearer {token}"));
    }
    let (status, body) = connection
        .json(method, path, r#"{"query": "service"}"#)
        .unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

fn export(server: &Server, token: Option<&str>) -> (u16, String) {
    let mut connection = Connection::open(&server.otlp_http).unwrap();
    if let Some(token) = token {
        connection = connection.with("Authorization", &format!("Bearer {token}"));
    }
    let answer = connection.post("/v1/traces", "application/json", SPAN.as_bytes());
    let (status, body) = answer.unwrap();
    (status, String::from_utf8(body).unwrap())
}

#[test]
fn each_role_may_do_its_own_and_no_more() {
    let sandbox = sandbox();
    let roles = ["ingest", "read", "write"];
    let [ingest, read, write] = roles.map(|role| token(&sandbox, role));
    let data = sandbox.folder().join("data");
    let server = Server::start(BINARY, &data, &["--access", "tokens"]);

    let listed = |token: Option<&str>| api(&server, token, "GET", "/api/queries");
    let validated = |token: &str| api(&server, Some(token), "POST", "/api/query/validate");
    let created = |token: &str| api(&server, Some(token), "POST", "/api/queries");
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(listed(None), refused(401, "unauthorized"));
    assert_eq!(listed(Some("guess")), refused(401, "unauthorized"));
    assert_eq!(listed(Some(&ingest)), refused(403, "forbidden"));
    assert_eq!(listed(Some(&read)).0, 200);
    assert_eq!(listed(Some(&write)).0, 200);
    assert_eq!(validated(&read).0, 200);
    assert_eq!(created(&read), refused(403, "forbidden"));
    // With the role, the query's text is looked at: it is not one.
    assert_eq!(created(&write), refused(400, "invalid_query"));

    let no_token =
        r#"{"code":16,"message":"a token is needed: send it as `Authorization: Bearer TOKEN`"}"#;
    assert_eq!(export(&server, None), refused(401, no_token));
    assert_eq!(export(&server, Some(&read)).0, 403);
    assert_eq!(export(&server, Some(&ingest)), refused(200, "{}"));

    let mut anybody = Connection::open(&server.api).unwrap();
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 401)] {
        assert_eq!(anybody.get(path).unwrap().0, status, "{path}");
    }
}

#[test]
fn tokens_come_and_go_while_a_server_runs() {
    let sandbox = sandbox();
    let data = sandbox.folder().join("data");
    let server = Server::start(BINARY, &data, &["--access", "tokens"]);
    assert_eq!(export(&server, None).0, 401);
    let ingest = token(&sandbox, "ingest");
    let until = |token: &str, status: u16| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while export(&server, Some(token)).0 != status {
            assert!(Instant::now() < deadline, "never {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until(&ingest, 200);
    let list = sandbox.run("token list --data-dir data");
    list.expect_code(0);
    let list = list.stdout;
    assert!(list.contains("ingest") && !list.contains(&ingest), "{list}");
    let id = list.lines().nth(1).unwrap().split(' ').next().unwrap();
    sandbox
        .run(&format!("token rm {id} --data-dir data"))
        .expect_code(0);
    until(&ingest, 401);
    let gone = sandbox.run(&format!("token rm {id} --data-dir data"));
    gone.expect_code(2);
    assert!(gone.stderr.contains("there is no token"), "{}", gone.stderr);
    sandbox
        .run("token create --role admin --name me")
        .expect_code(2);
}

#[test]
fn an_address_that_others_reach_needs_tokens() {
    let sandbox = sandbox();
    let data = sandbox.folder().join("data");
    let open = |more: &[&str]| {
        let server = Server::start(BINARY, &data, more);
        let answer = api(&server, None, "GET", "/api/queries").0;
        assert!(server.stop());
        answer
    };
    assert_eq!(open(&[]), 200);
    // The last argument of a kind counts.
    assert_eq!(open(&["--otlp-http", "0.0.0.0:0"]), 401);
    assert_eq!(open(&["--otlp-http", "0.0.0.0:0", "--access", "open"]), 200);
}

#[test]
fn a_page_of_another_origin_may_not_call() {
    let sandbox = sandbox();
    let data = sandbox.folder().join("data");
    let allowed = "https://pages.example";
    let server = Server::start(BINARY, &data, &["--cors-origin", allowed]);
    let own = format!("http://{}", server.api);
    let from = |name: &str, value: &str| {
        let connection = Connection::open(&server.api).unwrap();
        let (status, body) = connection
            .with(name, value)
            .json("GET", "/api/queries", "")
            .unwrap();
        (status, body["code"].as_str().map(str::to_owned))
    };
    assert_eq!(from("Origin", &own), (200, None));
    assert_eq!(from("Origin", allowed), (200, None));
    let code = Some("cross_origin".to_owned());
    assert_eq!(from("Origin", "https://evil.example"), (403, code));
    // A name that was made to point here.
    let mut renamed = Connection::open(&server.api)
        .unwrap()
        .called("evil.example:4000");
    let (status, body) = renamed.json("GET", "/api/queries", "").unwrap();
    assert_eq!((status, body["code"].as_str()), (403, Some("other_host")));
}
