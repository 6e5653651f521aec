//! Which format an input is in, told from its content and never from a name.

mod describe;
mod json_keys;

use std::fmt;

use thiserror::Error;

use crate::otlp_protobuf::{Framing, detect_protobuf_framing};

pub(crate) use describe::{EXPECTED, describe};
pub(crate) use json_keys::{JsonStart, json_start};

/// A format that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `ExportTraceServiceRequest` or `TracesData` as JSON: one document, or one a line.
    OtlpJson,
    /// The same as protobuf.
    OtlpProtobuf(Framing),
    /// Jaeger's query API and UI downloads.
    Jaeger,
    /// Zipkin v2 JSON.
    Zipkin,
    /// Lightstep stored traces.
    Lightstep,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtlpJson => "OTLP JSON",
            Self::OtlpProtobuf(Framing::Single) => "OTLP protobuf",
            Self::OtlpProtobuf(_) => "OTLP protobuf, length-delimited",
            Self::Jaeger => "Jaeger JSON",
            Self::Zipkin => "Zipkin v2 JSON",
            Self::Lightstep => "Lightstep stored traces",
        })
    }
}

/// What the beginning of an input tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detection {
    /// The format.
    Known(Format),
    /// Nothing yet: the beginning is too short. At the end of the input this means that it is cut off.
    NeedMore,
    /// It is no format that can be decoded.
    Unknown(Unrecognized),
}

/// What was found in place of traces, and what is understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found {found}; expected {EXPECTED}")]
pub struct Unrecognized {
    /// What the input looks like.
    pub found: String,
}

/// Tells the format from the beginning of an input (some kilobytes; all of it, if it is small).
///
/// JSON is told by the names in its first object, in whatever order they stand; everything that is not text by
/// whether it reads as protobuf.
pub fn detect_format(prefix: &[u8]) -> Detection {
    match json_start(prefix) {
        JsonStart::At(start) => json_keys::detect_json(&prefix[start..]),
        JsonStart::NeedMore => Detection::NeedMore,
        JsonStart::No => match detect_protobuf_framing(prefix, None) {
            Some(framing) => Detection::Known(Format::OtlpProtobuf(framing)),
            None => Detection::Unknown(describe(prefix)),
        },
    }
}

/// How an input is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// The compression that the first four bytes of an input tell; `None` for none.
    pub fn detect(prefix: &[u8]) -> Option<Self> {
        if prefix.starts_with(&[0x1f, 0x8b]) {
            Some(Self::Gzip)
        } else if prefix.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
