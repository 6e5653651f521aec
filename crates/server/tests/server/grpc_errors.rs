//! OTLP over gRPC, where a request is refused: code, message, and whether it may be sent again.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding;
use tonic::codegen::tokio_stream::{self, StreamExt as _};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::support::Running;
use crate::support::raw_grpc::call;
use crate::support::spans::protobuf;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Sends a message that says of itself how it is compressed.
async fn refused(server: &Running, encoding: &'static str, message: &[u8]) -> Status {
    let mut request = Request::new(Bytes::copy_from_slice(message));
    if !encoding.is_empty() {
        let encoding = MetadataValue::from_static(encoding);
        request.metadata_mut().insert("grpc-encoding", encoding);
    }
    let answer = call(server.grpc().await, EXPORT, request, None).await;
    answer.unwrap_err()
}

fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

#[tokio::test]
async fn what_cannot_be_decoded_says_where() {
    let server = Running::start().await;
    let status = refused(&server, "", &protobuf(3, 0)[..40]).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().starts_with("byte 3: resource_spans: "),
        "{status}"
    );
    assert_eq!(retry_after(&status), None);
}

#[tokio::test]
async fn other_compressions_are_not_understood() {
    let server = Running::start().await;
    let status = refused(&server, "br", &protobuf(1, 0)).await;
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(
        status.message(),
        "the encoding `br` is not understood: use one of identity, gzip, zstd"
    );
    let understood = status.metadata().get("grpc-accept-encoding").unwrap();
    assert_eq!(understood, "identity, gzip, zstd");
}

#[tokio::test]
async fn past_its_memory_the_server_asks_to_come_again() {
    let server = Running::with(|limits| limits.in_flight_bytes = 20_000).await;
    let status = refused(&server, "", &[0; 100_000]).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(retry_after(&status), Some(Duration::from_secs(1)));
    assert!(
        status.message().starts_with("requests in flight"),
        "{status}"
    );
}

#[tokio::test]
async fn what_is_too_large_may_not_come_again() {
    let server = Running::with(|limits| limits.decompressed_bytes = 100_000).await;
    let status = refused(&server, "", &[0; 100_001]).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(retry_after(&status), None);
    assert!(
        status.message().contains("more than 100000 bytes"),
        "{status}"
    );
}

#[tokio::test]
async fn bombs_are_refused() {
    let server = Running::with(|limits| {
        limits.decompressed_bytes = 1_000_000;
        limits.in_flight_bytes = 2_000_000;
    })
    .await;
    for compression in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let request = Request::new(Bytes::from(vec![0; 100 << 20]));
        let answer = call(server.grpc().await, EXPORT, request, Some(compression)).await;
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(retry_after(&status), None);
        let message = "more than 1000000 bytes when decompressed";
        assert!(status.message().contains(message), "{status}");
    }
    let free = "tracediff_in_flight_free_bytes";
    assert_eq!(server.metric(free).await, 2_000_000.0);
}

#[tokio::test]
async fn a_message_that_stops_is_given_up() {
    let server = Running::with(|limits| {
        limits.body_idle_timeout = Duration::from_millis(50);
    })
    .await;
    let stream = TcpStream::connect(server.at.otlp_grpc).await.unwrap();
    let (mut client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let start = Frame::data(Bytes::from_static(b"\0\0\0\0\x09ab"));
    let frames = tokio_stream::iter([Ok::<_, Infallible>(start)]).chain(tokio_stream::pending());
    let request = axum::http::Request::post(format!("http://test{EXPORT}"))
        .header("content-type", "application/grpc")
        .body(StreamBody::new(frames))
        .unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(
        answer.headers()["grpc-status"],
        (Code::DeadlineExceeded as i32).to_string()
    );
}

#[tokio::test]
async fn other_methods_and_services_are_not_implemented() {
    let server = Running::start().await;
    for path in [
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    ] {
        let request = Request::new(Bytes::new());
        let status = call(server.grpc().await, path, request, None)
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}
