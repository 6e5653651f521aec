//! Jaeger JSON: what the UI downloads and what the query API answers, `{"data":[{"traceID":…,"spans":[…],
//! "processes":{…}}]}`; a trace by itself and an array of traces are read too.

mod decode;
mod encode;
mod model;

pub use decode::decode_jaeger;
pub use encode::encode_jaeger;

#[cfg(test)]
mod tests;
