//! The main port.

use axum::body::Body;
use axum::http::Request;

use crate::support::Running;
use crate::support::http1::{Answer, Client, get};
use crate::support::spans::TRACE_ID;

fn error(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn it_lives_and_is_ready() {
    let server = Running::start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = get(server.at.main, path).await;
        assert_eq!((answer.status.as_u16(), &answer.text()[..]), (200, "ok"));
    }
}

#[tokio::test]
async fn ids_that_are_none_and_traces_that_are_not_there() {
    let server = Running::start().await;
    let check = async |id: &str, status: u16, text: &str| {
        let answer = get(server.at.main, &format!("/api/traces/{id}")).await;
        assert_eq!(
            (answer.status.as_u16(), &error(&answer)[..]),
            (status, text)
        );
    };
    check(
        "abc",
        400,
        "`abc` is not a trace id: expected 32 hex digits, found 3 characters",
    )
    .await;
    check(
        "5b8efff798038103d269b633813fc60x",
        400,
        "`5b8efff798038103d269b633813fc60x` is not a trace id: `x` at position 31 is not a hex digit",
    )
    .await;
    let text = format!("no span of trace {TRACE_ID} is stored");
    check(TRACE_ID, 404, &text).await;
    check(&TRACE_ID.to_uppercase(), 404, &text).await;
}

#[tokio::test]
async fn other_paths_and_methods() {
    let server = Running::start().await;
    let answer = get(server.at.main, "/api").await;
    assert_eq!(
        (answer.status.as_u16(), &error(&answer)[..]),
        (404, "there is nothing at /api")
    );
    let request = Request::post("/metrics").header("host", "localhost");
    let mut client = Client::connect(server.at.main).await;
    let answer = client.send(request.body(Body::empty()).unwrap()).await;
    let text = "POST is not understood at /metrics";
    assert_eq!((answer.status.as_u16(), &error(&answer)[..]), (405, text));
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let server = Running::start().await;
    let mut client = server.http().await;
    let content_type = ["content-type: application/json"];
    for _ in 0..2 {
        client.post("/v1/traces", &content_type, "{}").await;
    }
    let answer = get(server.at.main, "/metrics").await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), content_type);
    let text = answer.text();
    let labels = r#"protocol="http",encoding="json""#;
    for line in [
        format!(r#"tracediff_requests_total{{{labels},status="ok"}} 2"#),
        format!("tracediff_received_bytes_total{{{labels}}} 4"),
        format!("tracediff_request_duration_seconds_count{{{labels}}} 2"),
        r#"tracediff_connections{port="otlp_http"} 1"#.to_owned(),
        r#"tracediff_connections{port="main"} 1"#.to_owned(),
        "# TYPE tracediff_store_spans counter".to_owned(),
        format!("tracediff_in_flight_free_bytes {}", 512 << 20),
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
    drop(client);
    let open = r#"tracediff_connections{port="otlp_http"}"#;
    server.until(open, |open| open == 0.0).await;
}

#[tokio::test]
async fn what_was_received_is_counted_and_offered() {
    let server = Running::start().await;
    let spans = |service: &str, tier: &str, id: u8| {
        format!(
            r#"{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{TRACE_ID}","spanId":"{id:016x}","name":"{service} works","startTimeUnixNano":"{id}000","endTimeUnixNano":"{id}900","attributes":[{{"key":"tier","value":{{"stringValue":"{tier}"}}}}]}}]}}]}}"#
        )
    };
    let resources = [
        spans("cart", "gold", 1),
        spans("web", "gold", 2),
        spans("web", "tin", 3),
    ];
    let body = format!(r#"{{"resourceSpans":[{}]}}"#, resources.join(","));
    let content_type = ["content-type: application/json"];
    let mut client = server.http().await;
    client.post("/v1/traces", &content_type, body).await;

    let check = async |path: &str, status: u16, text: &str| {
        let answer = get(server.at.main, path).await;
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert_eq!(
            (answer.status.as_u16(), &answer.text()[..]),
            (status, text),
            "{path}"
        );
    };
    for (path, text) in [
        (
            "/api/count?from_ns=0&to_ns=9000",
            r#"{"matching":3,"spans":3,"traces":1}"#,
        ),
        (
            "/api/count?from_ns=2000&to_ns=9000&where=tier+%3D+gold",
            r#"{"matching":1,"spans":2,"traces":1}"#,
        ),
        (
            "/api/services",
            r#"{"has_more":false,"values":[{"spans":2,"value":"web"},{"spans":1,"value":"cart"}]}"#,
        ),
        (
            "/api/operations?service=cart",
            r#"{"has_more":false,"values":[{"spans":1,"value":"cart works"}]}"#,
        ),
        (
            "/api/attributes?prefix=T",
            r#"{"has_more":false,"values":[{"spans":3,"value":"tier"}]}"#,
        ),
        (
            "/api/attributes/tier/values?limit=1&to_ns=3000",
            r#"{"has_more":false,"values":[{"spans":2,"value":"gold"}]}"#,
        ),
    ] {
        check(path, 200, text).await;
    }
    for (path, text) in [
        (
            "/api/count?from_ns=9&to_ns=9",
            "the window ends at 9 ns, which is not after its start at 9 ns; its end must be later; give from_ns and to_ns, in nanoseconds since 1970",
        ),
        (
            "/api/spans?from_ns=0&to_ns=9&where=tier+%3D",
            "where cannot be used",
        ),
        (
            "/api/services?limit=100000",
            "limit is 100000, and 10000 is the most",
        ),
        ("/api/services?form_ns=1", "unknown field `form_ns`"),
    ] {
        let answer = get(server.at.main, path).await;
        let found = error(&answer);
        assert_eq!(answer.status.as_u16(), 400, "{path}");
        assert!(found.contains(text), "{path}: {found}");
    }
}
