//! What the ports can be told: where to listen, and every bound on what a stranger may take of this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::HeaderValue;

use tracediff_core::diff::Policy;

use crate::access::{Access, FixedToken};
use crate::snapshots::Retention;
use crate::tls::Tls;

/// Where to listen, and within which bounds. Port 0 picks a free one.
#[derive(Debug, Clone)]
pub struct Config {
    /// Health, metrics and traces by id.
    pub listen: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP, and Zipkin.
    pub otlp_http: SocketAddr,
    /// When tokens are asked for.
    pub access: Access,
    /// Tokens beside those of the catalog.
    pub tokens: Vec<FixedToken>,
    /// Origins whose pages may call the API and send spans over HTTP, such as `https://pages.example`.
    pub cors_origins: Vec<HeaderValue>,
    /// What secures the ports; `None`: nothing does.
    pub tls: Option<Tls>,
    /// Which snapshots may go, with their diffs.
    pub retention: Retention,
    /// What counts as a change, for saved queries that do not say so themselves.
    pub policy: Policy,
    /// The bounds.
    pub limits: Limits,
}

impl Default for Config {
    /// The usual ports on loopback.
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            listen: local(4000),
            otlp_grpc: local(4317),
            otlp_http: local(4318),
            access: Access::default(),
            tokens: Vec::new(),
            cors_origins: Vec::new(),
            tls: None,
            retention: Retention::default(),
            policy: Policy::default(),
            limits: Limits::default(),
        }
    }
}

/// Bounds on size, number and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a compressed request as it is sent.
    pub compressed_bytes: usize,
    /// Bytes of a request once it is decompressed, or if it never was compressed.
    pub decompressed_bytes: usize,
    /// Bytes of all requests that are being read or appended. Past it producers are told to come again.
    pub in_flight_bytes: usize,
    /// Open connections of each port. Further ones wait, unaccepted, until one closes.
    pub connections: usize,
    /// Requests that one HTTP/2 connection may have open.
    pub streams_per_connection: u32,
    /// From the start of a connection, or the end of its last request, to the end of a request's headers. It is also
    /// how long an HTTP/1 connection may be idle.
    pub header_timeout: Duration,
    /// From the headers of a request to the end of its body.
    pub body_timeout: Duration,
    /// From one part of a request's body to the next.
    pub body_idle_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long an HTTP/2 connection may say nothing before it is asked whether it lives.
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub ping_timeout: Duration,
    /// How long running requests may take to finish once the process is to stop.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compressed_bytes: 32 << 20,
            decompressed_bytes: 64 << 20,
            in_flight_bytes: 512 << 20,
            connections: 1024,
            streams_per_connection: 128,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
