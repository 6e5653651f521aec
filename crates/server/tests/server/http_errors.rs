//! OTLP over HTTP, where a request is refused: status, headers, and a `Status` in the request's own encoding.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;

use crate::support::Running;
use crate::support::http1::{Answer, Client, chunked};
use crate::support::spans::{gzip, json, protobuf, zstd};

const PROTOBUF: &str = "content-type: application/x-protobuf";
const JSON: &str = "content-type: application/json";

/// Status, content type, and the `Status` that the body is.
#[track_caller]
fn check(answer: &Answer, status: u16, content_type: &str, code: i32, message: &str) {
    let answered = format!("content-type: {}", answer.header("content-type"));
    assert_eq!(
        (answer.status.as_u16(), &answered[..]),
        (status, content_type)
    );
    let (found, text) = answer.rpc_status();
    assert_eq!(found, code, "{text}");
    assert!(
        text.contains(message),
        "`{text}` does not contain `{message}`"
    );
}

/// The connection still works.
async fn check_alive(client: &mut Client) {
    let answer = client.post("/v1/traces", &[JSON], json(1, 0)).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_decoded_says_where() {
    let server = Running::start().await;
    let mut client = server.http().await;
    let mut cut_off = protobuf(3, 0);
    cut_off.truncate(40);
    let answer = client.post("/v1/traces", &[PROTOBUF], cut_off).await;
    check(&answer, 400, PROTOBUF, 3, "byte 3: resource_spans: ");
    let answer = client
        .post("/v1/traces", &[JSON], "{\n\"resourceSpans\":1}")
        .await;
    check(&answer, 400, JSON, 3, "line 2, column 17: ");
    for (compression, name) in [
        ("content-encoding: gzip", "gzip"),
        ("content-encoding: zstd", "zstd"),
    ] {
        let headers = [PROTOBUF, compression];
        let answer = client.post("/v1/traces", &headers, protobuf(1, 0)).await;
        check(
            &answer,
            400,
            PROTOBUF,
            3,
            &format!("cannot be decompressed as {name}"),
        );
    }
    check_alive(&mut client).await;
}

#[tokio::test]
async fn other_types_and_compressions_are_not_understood() {
    let server = Running::start().await;
    let mut client = server.http().await;
    let answer = client
        .post("/v1/traces", &["content-type: text/plain"], "x")
        .await;
    let message = "`text/plain` is not understood: use application/x-protobuf or application/json";
    check(&answer, 415, JSON, 12, message);
    let answer = client.post("/v1/traces", &[], "x").await;
    check(&answer, 415, JSON, 12, "the request has no content type");
    let answer = client.post("/api/v2/spans", &[PROTOBUF], "x").await;
    check(&answer, 415, JSON, 12, "use application/json");
    let headers = [PROTOBUF, "content-encoding: br"];
    let answer = client.post("/v1/traces", &headers, "x").await;
    check(
        &answer,
        415,
        PROTOBUF,
        12,
        "`br` is not understood: use one of identity, gzip, zstd",
    );
    assert_eq!(answer.header("accept-encoding"), "identity, gzip, zstd");
    let headers = [JSON, "content-encoding: gzip", "content-encoding: gzip"];
    let answer = client.post("/v1/traces", &headers, "x").await;
    check(&answer, 415, JSON, 12, "is not understood");
    check_alive(&mut client).await;
}

#[tokio::test]
async fn other_paths_and_methods() {
    let server = Running::start().await;
    let mut client = server.http().await;
    for path in ["/", "/v1/traces/", "/v1/logs"] {
        let answer = client.post(path, &[PROTOBUF], protobuf(1, 0)).await;
        check(
            &answer,
            404,
            PROTOBUF,
            5,
            "/v1/traces (OTLP) and /api/v2/spans (Zipkin)",
        );
    }
    let answer = client.post("/", &[PROTOBUF], vec![0; 20 << 20]).await;
    check(&answer, 404, PROTOBUF, 5, "there is nothing at /: ");
    for path in ["/v1/traces", "/api/v2/spans"] {
        let request = Request::get(path).header("host", "localhost");
        let answer = client.send(request.body(Body::empty()).unwrap()).await;
        check(&answer, 405, JSON, 12, "use POST");
        assert_eq!(answer.header("allow"), "POST");
    }
    check_alive(&mut client).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_whatever_it_says() {
    let server = Running::with(|limits| {
        limits.compressed_bytes = 300_000;
        limits.decompressed_bytes = 500_000;
    })
    .await;
    let message = "more than 500000 bytes: send fewer spans at a time";
    let bytes = vec![b' '; 500_001];

    let mut client = server.http().await;
    let answer = client.post("/v1/traces", &[JSON], bytes.clone()).await;
    check(&answer, 413, JSON, 8, message);
    let parts = bytes.chunks(7000).map(Bytes::copy_from_slice).collect();
    let mut client = server.http().await;
    let answer = client.post("/v1/traces", &[JSON], chunked(parts)).await;
    check(&answer, 413, JSON, 8, message);

    let mut client = server.http().await;
    let headers = [PROTOBUF, "content-encoding: gzip"];
    let answer = client.post("/v1/traces", &headers, vec![0; 300_001]).await;
    check(&answer, 413, PROTOBUF, 8, "more than 300000 bytes: ");

    let largest = [json(1, 0), bytes[json(1, 0).len() + 1..].to_vec()].concat();
    assert_eq!(largest.len(), 500_000);
    let answer = client.post("/v1/traces", &[JSON], largest).await;
    assert_eq!(answer.status, StatusCode::OK, "the connection outlived it");
}

#[tokio::test]
async fn bombs_are_refused() {
    let server = Running::with(|limits| {
        limits.decompressed_bytes = 1_000_000;
        limits.in_flight_bytes = 2_000_000;
    })
    .await;
    let mut client = server.http().await;
    let zeros = vec![0; 100 << 20];
    for (compression, bomb) in [
        ("content-encoding: gzip", gzip(&zeros)),
        ("content-encoding: zstd", zstd(&zeros)),
    ] {
        let headers = [PROTOBUF, compression];
        let answer = client.post("/v1/traces", &headers, bomb).await;
        let message = "more than 1000000 bytes when decompressed";
        check(&answer, 413, PROTOBUF, 8, message);
    }
    check_alive(&mut client).await;
    let free = "tracediff_in_flight_free_bytes";
    assert_eq!(server.metric(free).await, 2_000_000.0);
}

#[tokio::test]
async fn past_its_memory_the_server_asks_to_come_again() {
    let server = Running::with(|limits| limits.in_flight_bytes = 20_000).await;
    let mut client = server.http().await;
    for (content_type, compression, bytes) in [
        (PROTOBUF, "content-encoding: identity", vec![0; 30_000]),
        (JSON, "content-encoding: gzip", gzip(&[b' '; 30_000])),
    ] {
        let headers = [content_type, compression];
        let answer = client.post("/v1/traces", &headers, bytes).await;
        check(
            &answer,
            429,
            content_type,
            8,
            "requests in flight take all the memory",
        );
        assert_eq!(answer.header("retry-after"), "1");
    }
    check_alive(&mut client).await;
    let name = r#"tracediff_requests_total{protocol="http",encoding="protobuf",status="busy"}"#;
    assert_eq!(server.metric(name).await, 1.0);
}
