//! OTLP protobuf: trace requests to span batches and back, and where one message ends in a stream of them.
//!
//! Requests are walked, never turned into objects: each field is read off the wire and handed to the builder, which
//! interns it. Nothing here trusts a length, allocates by one, or panics on any input.

mod any_value;
mod decode;
mod encode;
mod framing;
mod json_value;
mod message;
mod reply;
mod shape;
mod write;

pub use decode::decode_otlp_protobuf;
pub use encode::{encode_otlp_protobuf, encode_otlp_protobuf_delimited};
pub use framing::{Frame, Framing, detect_protobuf_framing, next_message};
pub use reply::{encode_export_response, encode_status};

#[cfg(test)]
mod tests;
