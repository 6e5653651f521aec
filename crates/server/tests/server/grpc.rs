//! OTLP over gRPC with a real client, where all goes well or nearly so.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;

use crate::support::Running;
use crate::support::spans::request;

#[tokio::test]
async fn every_compression() {
    let server = Running::start().await;
    let client = TraceServiceClient::new(server.grpc().await);
    let (gzip, zstd) = (CompressionEncoding::Gzip, CompressionEncoding::Zstd);
    for mut client in [
        client.clone(),
        client.clone().send_compressed(gzip),
        client.clone().send_compressed(zstd).accept_compressed(zstd),
    ] {
        let answer = client.export(request(100, 0)).await.unwrap().into_inner();
        assert_eq!(answer, ExportTraceServiceResponse::default());
    }
    let labels = r#"{protocol="grpc",encoding="protobuf",status="ok"}"#;
    let name = format!("tracediff_requests_total{labels}");
    assert_eq!(server.metric(&name).await, 3.0);
}

#[tokio::test]
async fn spans_left_out_are_told() {
    let server = Running::start().await;
    let mut client = TraceServiceClient::new(server.grpc().await);
    let answer = client.export(request(3, 2)).await.unwrap().into_inner();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    let message = partial.error_message;
    assert!(message.contains("expected 16 bytes, found 15"), "{message}");
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let server = Running::with(|limits| limits.connections = 1).await;
    let client = TraceServiceClient::new(server.grpc().await);
    let exports: Vec<_> = (0..50)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.export(request(20, 0)).await })
        })
        .collect();
    for export in exports {
        export.await.unwrap().unwrap();
    }
}
