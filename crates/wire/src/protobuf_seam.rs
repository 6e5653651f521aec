//! The seam for OTLP protobuf: the names that detection and the stream decoder use. Here they stand for what
//! `otlp_protobuf` gives; joining the two means to delete this file and to name that module in its place.

use tracediff_core::model::SpanBatchBuilder;

use crate::decoded::Decoded;
use crate::error::{DecodeError, Position};

/// How messages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The input is one message.
    Single,
    /// Each message has its length before it, as a varint.
    VarintDelimited,
    /// Each message has its length before it, as four bytes, most significant first.
    BigEndianDelimited,
}

/// Where the first message of a buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of the length before the message.
    pub header_bytes: usize,
    /// Bytes of the message, which may be more than the buffer holds yet.
    pub message_bytes: usize,
}

pub(crate) fn next_message(
    buffer: &[u8],
    framing: Framing,
    _offset: u64,
) -> Result<Option<Frame>, DecodeError> {
    let (header_bytes, message_bytes) = match (framing, buffer) {
        (Framing::Single, _) => (0, buffer.len()),
        (Framing::VarintDelimited, [length, ..]) => (1, usize::from(*length)),
        (Framing::BigEndianDelimited, [_, _, high, low, ..]) => {
            (4, usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => return Ok(None),
    };
    Ok(Some(Frame {
        header_bytes,
        message_bytes,
    }))
}

pub(crate) fn detect_protobuf_framing(prefix: &[u8], _whole_len: Option<u64>) -> Option<Framing> {
    match prefix {
        [0x0a, ..] => Some(Framing::Single),
        [0, 0, _, _, 0x0a, ..] => Some(Framing::BigEndianDelimited),
        [1..0x20, 0x0a, ..] => Some(Framing::VarintDelimited),
        _ => None,
    }
}

pub(crate) fn decode_otlp_protobuf(
    bytes: &[u8],
    base_offset: u64,
    _builder: &mut SpanBatchBuilder,
) -> Result<Decoded, DecodeError> {
    match bytes {
        [] | [0x0a, 0, ..] => Ok(Decoded::default()),
        _ => Err(DecodeError {
            position: Position::Byte(base_offset),
            problem: "protobuf is not joined in yet".to_owned(),
        }),
    }
}
