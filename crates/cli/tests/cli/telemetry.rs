//! What a server tells of itself: lines, and its own traces, which another server receives.

use serde_json::{Value, json};
use tracediff_testkit::Server;

use super::shop::sandbox;
use super::snapshots::{ask, got, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tracediff");

#[test]
fn requests_are_spans_at_the_receiver_and_lines_are_json() {
    let sandbox = sandbox();
    let folder = |name: &str| sandbox.folder().join(name);
    let receiver = Server::start(BINARY, &folder("receiver"), &[]);
    let endpoint = format!("http://{}", receiver.otlp_http);
    let told = Server::logging(
        BINARY,
        &folder("told"),
        &["--log-format", "json", "--log-level", "debug"],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)],
        &folder("log"),
    );
    assert_eq!(got(&told, "/api/queries"), json!([]));
    assert_eq!(ask(&told, "GET", "/api/diffs/none", &Value::Null).0, 404);
    // Nothing can be taken where nothing was received.
    let query = json!({ "query": "service = cart", "scheduled": false, "settle": "0s" });
    let (_, query) = ask(&told, "POST", "/api/queries", &query);
    let path = format!("/api/queries/{}/snapshots", query["_id"].as_str().unwrap());
    let (_, snapshot) = ask(&told, "POST", &path, &json!({ "from": 1, "to": 60 }));
    let path = format!("/api/snapshots/{}", snapshot["_id"].as_str().unwrap());
    until(&told, &path, |snapshot| snapshot["status"] == "ready");
    assert!(told.stop(), "what is left is sent before it ends");

    let operations = got(&receiver, "/api/operations?service=tracediff");
    for name in ["GET /api/queries", "GET /api/diffs/{id}", "take snapshot"] {
        assert!(operations.to_string().contains(name), "{operations}");
    }
    let text = sandbox.read("log");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_ready = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "INFO" && message.starts_with("it is ready")
    };
    assert_eq!(lines.filter(is_ready).count(), 1, "{text}");
}

#[test]
fn what_the_environment_asks_for_and_cannot_be_is_told() {
    let sandbox = sandbox();
    let folder = |name: &str| sandbox.folder().join(name);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    let server = Server::logging(BINARY, &folder("data"), &[], &variables, &folder("log"));
    assert!(server.stop());
    let text = sandbox.read("log");
    assert!(text.contains(" WARN "), "{text}");
    assert!(text.contains("http/protobuf only, not as grpc"), "{text}");
}
