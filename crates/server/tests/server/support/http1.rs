//! A client of HTTP/1 that keeps its connection, and one that writes what it likes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic_types::pb;

use super::in_time;

/// One connection.
pub(crate) struct Client(SendRequest<Body>);

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Answer {
        self.0.ready().await.unwrap();
        let answer = self.0.send_request(request).await.unwrap();
        Answer::read(answer).await
    }

    /// Posts a body with headers, `name: value`.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &[&str],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::post(path).header("host", "localhost");
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }
}

impl Answer {
    async fn read(answer: Response<Incoming>) -> Self {
        let (head, body) = answer.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Code and message of the `Status` that the body is, in the encoding that its content type says.
    pub(crate) fn rpc_status(&self) -> (i32, String) {
        if self.header("content-type") == "application/x-protobuf" {
            let status = pb::Status::decode(&self.body[..]).unwrap();
            return (status.code, status.message);
        }
        assert_eq!(self.header("content-type"), "application/json");
        let status: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let code = status["code"].as_i64().unwrap() as i32;
        (code, status["message"].as_str().unwrap().to_owned())
    }
}

/// Gets a path over a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let request = Request::get(path).header("host", "localhost");
    let mut client = Client::connect(address).await;
    client.send(request.body(Body::empty()).unwrap()).await
}

/// A body whose length is not told.
pub(crate) fn chunked(parts: Vec<Bytes>) -> Body {
    let frames = parts
        .into_iter()
        .map(|part| Ok::<_, Infallible>(Frame::data(part)));
    Body::new(StreamBody::new(tonic::codegen::tokio_stream::iter(frames)))
}

/// A connection on which anything can be written.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Everything until the other side closes.
    pub(crate) async fn read_to_end(mut self) -> String {
        let mut bytes = Vec::new();
        in_time(self.0.read_to_end(&mut bytes)).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Writes the same over and over, until for this time nothing of it can be written.
    pub(crate) async fn flood(&mut self, bytes: &[u8], patience: Duration) {
        while let Ok(written) = timeout(patience, self.0.write_all(bytes)).await {
            written.unwrap();
        }
    }

    /// Writes a byte at a time until the other side answers, and returns what it says until it closes.
    pub(crate) async fn drip(mut self, byte: u8, every: Duration) -> String {
        let mut first = [0];
        let dripping = async {
            while timeout(every, self.0.peek(&mut first)).await.is_err() {
                self.0.write_all(&[byte]).await.unwrap();
            }
        };
        in_time(dripping).await;
        self.read_to_end().await
    }
}
