//! Bytes to span batches and back, without I/O: OTLP protobuf and JSON, Jaeger JSON, Zipkin v2 JSON, Lightstep
//! stored traces. The only crate that names protobuf.

mod decoded;
mod error;
mod format;
mod ids;
mod jaeger;
mod json;
mod lightstep;
mod otlp_json;
mod otlp_protobuf;
mod rows;
mod stream;
mod tags;
mod zipkin;

pub use decoded::Decoded;
pub use error::{DecodeError, ErrorKind, Position};
pub use format::{Compression, Detection, Format, Unrecognized, detect_format};
pub use jaeger::{decode_jaeger, encode_jaeger};
pub use lightstep::{decode_lightstep, encode_lightstep};
pub use otlp_json::{
    decode_otlp_json, encode_export_response_json, encode_otlp_json, encode_otlp_json_batches,
    encode_status_json,
};
pub use otlp_protobuf::{
    Frame, Framing, decode_otlp_protobuf, detect_protobuf_framing, encode_export_response,
    encode_otlp_protobuf, encode_otlp_protobuf_delimited, encode_status, next_message,
};
pub use stream::{StreamDecoder, StreamOptions, StreamSummary};
pub use zipkin::{decode_zipkin, encode_zipkin};
