//! Clients that are slow, or silent, or many.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::Running;
use crate::support::http1::{Client, Raw};
use crate::support::spans::json;

const SHORT: Duration = Duration::from_millis(50);

const HEAD: &[u8] =
    b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
    content-length: 1000\r\n\r\n";

#[tokio::test]
async fn headers_that_do_not_come_close_the_connection() {
    let server = Running::with(|limits| limits.header_timeout = SHORT).await;
    let at = server.at;
    let preface = b"PRI * HTTP/2.0\r\n";
    let half = &HEAD[..40];
    for (address, bytes) in [
        (at.otlp_http, &b""[..]),
        (at.otlp_http, preface),
        (at.otlp_http, half),
        (at.otlp_grpc, b""),
        (at.otlp_grpc, preface),
        (at.main, b""),
        (at.main, half),
    ] {
        let mut client = Raw::connect(address).await;
        client.write(bytes).await;
        let answer = client.read_to_end().await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let server = Running::with(|limits| limits.body_idle_timeout = SHORT).await;
    let mut client = Raw::connect(server.at.otlp_http).await;
    client.write(HEAD).await;
    client.write(b"{").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#"{"code":4,"message":"#), "{answer}");
    assert!(answer.contains("nothing came for 50ms"), "{answer}");
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let server = Running::with(|limits| limits.body_timeout = 4 * SHORT).await;
    let mut client = Raw::connect(server.at.otlp_http).await;
    client.write(HEAD).await;
    let answer = client.drip(b' ', SHORT / 10).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("it took longer than 200ms"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Running::with(|limits| limits.header_timeout = 5 * SHORT).await;
    let mut client = Raw::connect(server.at.main).await;
    client
        .write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    let server = Running::with(|limits| limits.write_timeout = 40 * SHORT).await;
    let mut client = Raw::connect(server.at.main).await;
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    client.flood(&request.repeat(1000), 4 * SHORT).await;
    let open = r#"tracediff_connections{port="main"}"#;
    // Of these two, one is the connection that asks.
    assert_eq!(server.metric(open).await, 2.0);
    server.until(open, |open| open == 1.0).await;
}

#[tokio::test]
async fn connections_past_the_limit_wait() {
    let server = Running::with(|limits| limits.connections = 1).await;
    let open = r#"tracediff_connections{port="otlp_http"}"#;
    let mut first = server.http().await;
    let content_type = ["content-type: application/json"];
    let answer = first.post("/v1/traces", &content_type, json(1, 0)).await;
    assert_eq!(answer.status, 200);

    let mut second = Client::connect(server.at.otlp_http).await;
    let mut answer = Box::pin(second.post("/v1/traces", &content_type, json(1, 0)));
    let early = timeout(4 * SHORT, &mut answer).await;
    assert!(early.is_err(), "answered beside the first: {early:?}");
    assert_eq!(server.metric(open).await, 1.0);
    drop(first);
    assert_eq!(answer.await.status, 200);
}
