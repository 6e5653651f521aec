//! Bytes to span batches and back, without I/O: OTLP protobuf and JSON, Jaeger JSON, Zipkin v2 JSON, Lightstep
//! stored traces. The only crate that names protobuf.

mod error;
mod otlp_protobuf;

pub use error::{DecodeError, Position};
pub use otlp_protobuf::{
    Decoded, Frame, Framing, decode_otlp_protobuf, detect_protobuf_framing, encode_otlp_protobuf,
    encode_otlp_protobuf_delimited, next_message,
};
