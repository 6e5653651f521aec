//! The beginning and the end: ports that are taken, requests that run while the process is to stop.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::net::TcpStream;
use tracediff_server::bind;

use crate::support::http1::{Raw, get};
use crate::support::spans::json;
use crate::support::{Running, config, in_time};

const FREE: &str = "tracediff_in_flight_free_bytes";

/// A request of which half has arrived, and its other half.
async fn half_a_request(server: &Running) -> (Raw, Vec<u8>) {
    let free = server.metric(FREE).await;
    let body = json(100, 0);
    let mut client = Raw::connect(server.at.otlp_http).await;
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write(head.as_bytes()).await;
    client.write(&body[..1000]).await;
    server.until(FREE, |now| now < free).await;
    (client, body[1000..].to_vec())
}

#[tokio::test]
async fn a_running_request_finishes() {
    let server = Running::start().await;
    // A connection that idles does not keep the server from stopping.
    let mut idle = server.http().await;
    let content_type = ["content-type: application/json"];
    let answer = idle.post("/v1/traces", &content_type, json(1, 0)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let (mut client, rest) = half_a_request(&server).await;
    assert_eq!(get(server.at.main, "/readyz").await.text(), "ok");

    server.stop.cancel();
    let refused = async {
        while TcpStream::connect(server.at.otlp_http).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    in_time(refused).await;
    let ready = get(server.at.main, "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.text(), "the process is stopping");
    assert_eq!(get(server.at.main, "/healthz").await.text(), "ok");

    client.write(&rest).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("{}"), "{answer}");
    let main = server.at.main;
    assert_eq!(server.stop().await.cut_off, 0);
    assert!(TcpStream::connect(main).await.is_err());
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut_off() {
    let server = Running::with(|limits| limits.shutdown_grace = Duration::from_millis(50)).await;
    let (client, _) = half_a_request(&server).await;
    assert_eq!(server.stop().await.cut_off, 1);
    assert_eq!(client.read_to_end().await, "");
}

#[tokio::test]
async fn a_port_that_is_taken_says_which_and_what_to_do() {
    let server = Running::start().await;
    let taken = server.at.otlp_grpc;
    let mut config = config(|_| ());
    config.otlp_grpc = taken;
    let error = bind(config).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {taken} for OTLP over gRPC: something listens there already; stop that, or set `otlp-grpc` \
             to another port (0 picks a free one)"
        )
    );
}
