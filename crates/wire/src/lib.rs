//! Bytes to span batches and back, without I/O: OTLP protobuf and JSON, Jaeger JSON, Zipkin v2 JSON, Lightstep
//! stored traces. The only crate that names protobuf.

mod error;

pub use error::{DecodeError, Position};
