//! Zipkin v2 JSON: an array of spans; an array of traces (arrays of spans) and a span by itself are read too.

mod decode;
mod encode;
mod model;

pub use decode::decode_zipkin;
pub use encode::encode_zipkin;

#[cfg(test)]
mod tests;
