//! What producers send, what becomes of it, and why it may be refused.

use std::time::Duration;

use thiserror::Error;
use tracediff_wire::{DecodeError, ErrorKind};

/// How a request's spans are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `ExportTraceServiceRequest` as protobuf.
    OtlpProtobuf,
    /// The same as JSON.
    OtlpJson,
    /// A list of Zipkin v2 spans as JSON.
    Zipkin,
}

/// A request with spans, decompressed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// How `bytes` are written.
    pub encoding: Encoding,
    /// The request itself.
    pub bytes: &'a [u8],
    /// The same bytes as zstd frames, where the producer sent them so: the log keeps these and need not compress.
    pub zstd: Option<&'a [u8]>,
}

/// What became of a request that was accepted. Its spans are durable, as far as the store's durability promises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// Spans that were kept.
    pub spans: u64,
    /// Those of them that had ended longer ago than the settle time.
    pub late: u64,
    /// Spans left out because their ids are not valid.
    pub rejected: u64,
    /// Why the first of them was left out.
    pub first_rejection: Option<DecodeError>,
}

impl From<DecodeError> for AppendError {
    fn from(error: DecodeError) -> Self {
        match error.kind {
            ErrorKind::Malformed => Self::Malformed(error),
            ErrorKind::TooLarge => Self::TooLarge(error),
        }
    }
}

/// Why a request was refused.
#[derive(Debug, Error)]
pub enum AppendError {
    /// It cannot be decoded, and never will be.
    #[error("the request cannot be decoded")]
    Malformed(#[source] DecodeError),
    /// Its columns would take more memory than one request may, and always would: it must be sent in parts.
    #[error("the request is too large")]
    TooLarge(#[source] DecodeError),
    /// A bound was reached; the request may be sent again after a while.
    #[error("{reason}")]
    Busy {
        /// Which bound, in words for the producer's log.
        reason: String,
        /// How long to wait.
        retry_after: Duration,
    },
    /// The log cannot be written (a full or broken disk), or the store is closing. The request may be sent again.
    #[error("{reason}")]
    Unavailable {
        /// Why, in words for the producer's log.
        reason: String,
        /// How long to wait.
        retry_after: Duration,
    },
}
