//! What was sent comes back.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;

use crate::support::Running;
use crate::support::http1::get;
use crate::support::spans::{TRACE_ID, json, protobuf, request, zstd};

#[tokio::test]
async fn a_trace_is_one_document_however_it_came() {
    let server = Running::start().await;
    let mut client = server.http().await;
    for (content_type, body) in [
        ("content-type: application/x-protobuf", protobuf(1, 0)),
        ("content-type: application/json", json(2, 0)),
    ] {
        let headers = [content_type, "content-encoding: zstd"];
        let answer = client.post("/v1/traces", &headers, zstd(&body)).await;
        assert_eq!(answer.status, 200);
    }
    let zipkin = format!(r#"[{{"traceId":"{TRACE_ID}","id":"abababababababab","name":"zip"}}]"#);
    let answer = client.post("/api/v2/spans", &[], zipkin).await;
    assert_eq!(answer.status, 202);
    let mut client = TraceServiceClient::new(server.grpc().await);
    client.export(request(3, 0)).await.unwrap();

    let answer = get(server.at.main, &format!("/api/traces/{TRACE_ID}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    // Requests share some of their spans, and each of those counts once.
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let text = document.to_string();
    assert_eq!(text.matches(TRACE_ID).count(), 4, "{text}");
    for (name, count) in [
        ("operation 0", 1),
        ("operation 1", 1),
        ("operation 2", 1),
        ("zip", 1),
    ] {
        let name = format!(r#""name":"{name}""#);
        assert_eq!(text.matches(&name).count(), count, "{name} in {text}");
    }
    assert_eq!(server.metric("tracediff_store_spans_total").await, 7.0);
}
