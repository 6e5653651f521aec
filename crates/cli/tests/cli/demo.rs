//! The demonstration: what a newcomer sees first.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tracediff_testkit::{Connection, Server};

use super::shop::sandbox;

const BINARY: &str = env!("CARGO_BIN_EXE_tracediff");

fn got(server: &Server, path: &str) -> Value {
    let mut connection = Connection::open(&server.api).unwrap();
    let (status, body) = connection.json("GET", path, "").unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|of| of["name"].as_str().unwrap()).collect()
}

#[test]
fn the_first_diff_names_the_incident_and_a_restart_doubles_nothing() {
    let sandbox = sandbox();
    let data = sandbox.folder().join("data");
    let data = data.to_str().unwrap();
    let server = Server::demo(BINARY, &["--data-dir", data]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let diff = loop {
        let diffs = got(&server, "/api/diffs");
        let mut diffs = diffs.as_array().unwrap().iter();
        if let Some(diff) = diffs.find(|diff| diff["name"] == "demo: the whole shop") {
            break diff.clone();
        }
        assert!(Instant::now() < deadline, "no diff within a minute");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(diff["verdict"], "regressed", "{diff}");
    assert_eq!(diff["culprits"][0], "pricing", "{diff}");
    let saved = got(&server, "/api/queries");
    assert_eq!(
        names(&saved),
        [
            "demo: the whole shop",
            "demo: checkout",
            "demo: pages with prices"
        ]
    );
    assert!(server.stop());

    let restarted = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let server = Server::demo(BINARY, &["--data-dir", data]);
    // Requests of now are sent after queries are saved.
    let path = format!(
        "/api/count?from_ns={}&to_ns={}",
        restarted.as_nanos(),
        i64::MAX
    );
    while got(&server, &path)["spans"] == 0 {
        assert!(
            deadline.elapsed() < Duration::from_secs(60),
            "no more spans"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(server.stop());
    let server = Server::start(BINARY, data.as_ref(), &[]);
    assert_eq!(got(&server, "/api/queries"), saved);
}

#[test]
fn others_cannot_reach_it() {
    let refused = sandbox().run("demo --listen 0.0.0.0:0");
    refused.expect_code(2);
    assert!(
        refused.stderr.contains("loopback only"),
        "{}",
        refused.stderr
    );
}
