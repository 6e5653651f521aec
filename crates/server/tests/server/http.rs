//! OTLP over HTTP and Zipkin, where all goes well or nearly so.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tokio::net::TcpStream;

use crate::support::Running;
use crate::support::http1::chunked;
use crate::support::spans::{COMPRESSIONS, json, protobuf};

const PROTOBUF: &str = "content-type: application/x-protobuf";
const JSON: &str = "content-type: application/json";

#[tokio::test]
async fn both_encodings_with_every_compression() {
    let server = Running::start().await;
    let mut client = server.http().await;
    for (name, compress) in COMPRESSIONS {
        let compression = format!("content-encoding: {name}");
        for (content_type, bytes, expected) in
            [(PROTOBUF, protobuf(3, 0), ""), (JSON, json(3, 0), "{}")]
        {
            let headers = [content_type, &compression];
            let answer = client.post("/v1/traces", &headers, compress(&bytes)).await;
            assert_eq!(answer.status, StatusCode::OK, "{headers:?}: {answer:?}");
            let answered = format!("content-type: {}", answer.header("content-type"));
            assert_eq!(answered, content_type);
            assert_eq!(answer.text(), expected);
        }
    }
    for encoding in ["protobuf", "json"] {
        let labels = format!(r#"{{protocol="http",encoding="{encoding}",status="ok"}}"#);
        let name = format!("tracediff_requests_total{labels}");
        assert_eq!(server.metric(&name).await, 3.0);
    }
}

#[tokio::test]
async fn content_types_have_parameters_and_any_case() {
    let server = Running::start().await;
    let mut client = server.http().await;
    for content_type in [
        "content-type: application/json; charset=utf-8",
        "content-type: Application/JSON ;x=y",
    ] {
        let answer = client.post("/v1/traces", &[content_type], json(1, 0)).await;
        assert_eq!((answer.status, &answer.text()[..]), (StatusCode::OK, "{}"));
    }
}

#[tokio::test]
async fn a_request_without_spans_is_fine() {
    let server = Running::start().await;
    let mut client = server.http().await;
    let answer = client.post("/v1/traces", &[PROTOBUF], "").await;
    assert_eq!((answer.status, &answer.text()[..]), (StatusCode::OK, ""));
    let answer = client.post("/v1/traces", &[JSON], "{}").await;
    assert_eq!((answer.status, &answer.text()[..]), (StatusCode::OK, "{}"));
}

#[tokio::test]
async fn a_length_that_is_not_told_is_fine() {
    let server = Running::start().await;
    let mut client = server.http().await;
    let bytes = json(100, 0);
    let (head, tail) = bytes.split_at(1000);
    let body = chunked(vec![head.to_vec().into(), tail.to_vec().into()]);
    let answer = client.post("/v1/traces", &[JSON], body).await;
    assert_eq!((answer.status, &answer.text()[..]), (StatusCode::OK, "{}"));
}

#[tokio::test]
async fn http2_is_spoken_too() {
    let server = Running::with(|limits| limits.compressed_bytes = 1000).await;
    let stream = TcpStream::connect(server.at.otlp_http).await.unwrap();
    let (mut client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    for (encoding, size, expected) in [
        ("identity", 200_000, StatusCode::OK),
        ("gzip", 200_000, StatusCode::PAYLOAD_TOO_LARGE),
        ("identity", 10, StatusCode::OK),
    ] {
        let body = [&b"{}"[..], &vec![b' '; size]].concat();
        let request = Request::post("http://test/v1/traces")
            .header("content-type", "application/json")
            .header("content-encoding", encoding)
            .body(Body::from(body));
        let answer = client.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn spans_left_out_are_told() {
    let server = Running::start().await;
    let mut client = server.http().await;

    let answer = client.post("/v1/traces", &[PROTOBUF], protobuf(3, 2)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let response = ExportTraceServiceResponse::decode(&answer.body[..]).unwrap();
    let partial = response.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    let message = partial.error_message;
    assert!(message.contains("the first at byte "), "{message}");
    assert!(message.contains("expected 16 bytes, found 15"), "{message}");

    let answer = client.post("/v1/traces", &[JSON], json(3, 1)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let response: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(response["partialSuccess"]["rejectedSpans"], "1");
    let message = &response["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("the first at line 1, column "),
        "{message}"
    );
    assert!(message.contains("found 30 characters"), "{message}");

    let name = r#"tracediff_requests_total{protocol="http",encoding="json",status="partial"}"#;
    assert_eq!(server.metric(name).await, 1.0);
}

#[tokio::test]
async fn zipkin_spans_are_accepted() {
    let server = Running::start().await;
    let mut client = server.http().await;
    let spans = r#"[{"traceId":"a1","id":"b1","localEndpoint":{"serviceName":"cart"}}]"#;
    for (name, compress) in COMPRESSIONS {
        let headers = [JSON, &format!("content-encoding: {name}")];
        let body = compress(spans.as_bytes());
        let answer = client.post("/api/v2/spans", &headers, body).await;
        assert_eq!(
            (answer.status, answer.text()),
            (StatusCode::ACCEPTED, String::new())
        );
    }
    let answer = client.post("/api/v2/spans", &[], spans).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);

    let spans = spans.replace("b1", "");
    let answer = client.post("/api/v2/spans", &[JSON], spans).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(
        answer.text().contains(r#""rejectedSpans":"1""#),
        "{}",
        answer.text()
    );

    let answer = client.post("/api/v2/spans", &[JSON], "[{]").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let (code, message) = answer.rpc_status();
    assert!(
        code == 3 && message.starts_with("line 1, column 3"),
        "{message}"
    );
}
