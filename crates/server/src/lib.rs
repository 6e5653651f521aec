//! The ports: spans come in over OTLP/gRPC, OTLP/HTTP and as Zipkin; health, metrics and traces by id go out.
//!
//! Nothing here decodes a span: bytes are read within bounds of size, time and memory, decompressed, and handed to the
//! store, which answers when they are durable. Every way to refuse a request is in `refusal.rs`, with what it
//! becomes in HTTP and in gRPC.

mod access;
mod api;
mod app;
mod body;
pub mod compat;
mod compression;
mod config;
mod connections;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grpc;
mod http;
mod intake;
mod memory;
mod metrics;
mod refusal;
mod snapshots;
mod stream;
mod tls;

pub use access::{Access, FixedToken, Role, Secret};
pub use api::openapi;
pub use axum::http::HeaderValue;

pub use app::{Addresses, BindError, ServeError, Server, Stopped, bind};
pub use config::{Config, Limits};
pub use snapshots::Retention;
pub use tls::{Tls, TlsError};
