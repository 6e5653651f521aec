//! Lightstep stored traces: `{"data":[{"attributes":{"spans":[…]},"relationships":{"reporters":[…]}}]}`; `data` may
//! be one object, and an entry or an array of entries by itself is read too.

mod decode;
mod encode;
mod model;

pub use decode::decode_lightstep;
pub use encode::encode_lightstep;

#[cfg(test)]
mod tests;
