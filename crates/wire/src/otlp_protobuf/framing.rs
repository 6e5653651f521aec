//! Where one message ends and the next begins in a file or stream of trace requests.
//!
//! Protobuf messages do not tell their length. The OpenTelemetry file exporter's specification puts a varint before
//! each; the Collector's file exporter puts four bytes, big-endian. A file may also be one bare message.

use tracediff_core::model::MAX_REQUEST_BYTES;

use super::shape::{self, Shape, wire_type};
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

/// Finds the message that `buffer` begins with; `None` where its length is not complete yet. A `Single` message is
/// all of the buffer, so ask only when all of the input is in it.
///
/// `offset` is where the buffer starts in the input. A length past [`MAX_REQUEST_BYTES`] is an error.
pub fn next_message(
    buffer: &[u8],
    framing: Framing,
    offset: u64,
) -> Result<Option<Frame>, DecodeError> {
    let fail = |problem: String| DecodeError::malformed(Position::Byte(offset), problem);
    match read_header(buffer, framing) {
        Header::Incomplete => Ok(None),
        Header::Malformed => Err(fail(
            "length of the next message: expected a varint, found one of more than 64 bits"
                .to_owned(),
        )),
        Header::Length(_, length) if length > MAX_REQUEST_BYTES as u64 => Err(fail(format!(
            "length of the next message: expected at most {MAX_REQUEST_BYTES} bytes, found {length}"
        ))),
        Header::Length(header_bytes, length) => Ok(Some(Frame {
            header_bytes,
            message_bytes: length as usize,
        })),
    }
}

enum Header {
    Incomplete,
    Malformed,
    /// Bytes of the header, bytes of the message.
    Length(usize, u64),
}

fn read_header(buffer: &[u8], framing: Framing) -> Header {
    match framing {
        Framing::Single => Header::Length(0, buffer.len() as u64),
        Framing::VarintDelimited => read_varint(buffer),
        Framing::BigEndianDelimited => match buffer.first_chunk() {
            Some(length) => Header::Length(4, u64::from(u32::from_be_bytes(*length))),
            None => Header::Incomplete,
        },
    }
}

/// The varint that `bytes` begin with, as a header: its length and its value.
fn read_varint(bytes: &[u8]) -> Header {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if i == 9 && *byte > 1 {
            return Header::Malformed;
        }
        if *byte < 0x80 {
            return Header::Length(i + 1, value);
        }
    }
    if bytes.len() < 10 {
        Header::Incomplete
    } else {
        Header::Malformed
    }
}

/// Tells from the first bytes of an input how its messages follow each other; `None` where they are no trace
/// requests. `whole_len` is the length of the whole input, where it is known.
///
/// A length prefix of 10 looks like the tag of `resource_spans` (both are byte 0x0a), so no single byte decides: each
/// framing is tried by walking the fields from the request down to the span, and has to hold for all of `prefix`.
pub fn detect_protobuf_framing(prefix: &[u8], whole_len: Option<u64>) -> Option<Framing> {
    // An input that was cut short fits no framing to the end, but its beginning still tells which was meant.
    likeliest(prefix, whole_len.unwrap_or(u64::MAX)).or_else(|| likeliest(prefix, u64::MAX))
}

/// The framing that fits and explains most fields. The order decides between equals: four bytes go before a varint,
/// which would have to begin with empty messages.
fn likeliest(prefix: &[u8], whole_len: u64) -> Option<Framing> {
    let candidates = [
        Framing::Single,
        Framing::BigEndianDelimited,
        Framing::VarintDelimited,
    ];
    let mut best = None;
    let mut most = 0;
    for framing in candidates {
        if let Some(fields) = count_fields(prefix, whole_len, framing)
            && fields > most
        {
            most = fields;
            best = Some(framing);
        }
    }
    best
}

/// The fields that a framing explains in `prefix`; `None` where it does not fit.
fn count_fields(prefix: &[u8], whole_len: u64, framing: Framing) -> Option<u64> {
    if framing == Framing::Single {
        return Level::Request.count_fields(prefix, whole_len);
    }
    let (mut rest, mut left, mut fields) = (prefix, whole_len, 0);
    while !rest.is_empty() {
        match read_header(rest, framing) {
            Header::Incomplete if (rest.len() as u64) < left => break,
            Header::Incomplete | Header::Malformed => return None,
            // A varint of four bytes, read as the other framing, is such a length.
            Header::Length(_, length) if length > MAX_REQUEST_BYTES as u64 => return None,
            Header::Length(header_bytes, length) => {
                rest = &rest[header_bytes..];
                left = left.checked_sub(header_bytes as u64)?.checked_sub(length)?;
                fields += Level::Request.count_fields(rest, length)?;
                rest = after(rest, length);
            }
        }
    }
    Some(fields)
}

/// What is behind the first `length` bytes: nothing, where these are not all there.
fn after(bytes: &[u8], length: u64) -> &[u8] {
    usize::try_from(length)
        .ok()
        .and_then(|length| bytes.get(length..))
        .unwrap_or_default()
}

/// The messages that lead from a request to its spans.
#[derive(Clone, Copy)]
enum Level {
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
}

impl Level {
    fn shape(self) -> &'static Shape {
        match self {
            Self::Request => &shape::REQUEST,
            Self::ResourceSpans => &shape::RESOURCE_SPANS,
            Self::ScopeSpans => &shape::SCOPE_SPANS,
            Self::Span => &shape::SPAN,
        }
    }

    fn child(self, tag: u32) -> Option<Self> {
        match (self, tag) {
            (Self::Request, shape::request::RESOURCE_SPANS) => Some(Self::ResourceSpans),
            (Self::ResourceSpans, shape::resource_spans::SCOPE_SPANS) => Some(Self::ScopeSpans),
            (Self::ScopeSpans, shape::scope_spans::SPANS) => Some(Self::Span),
            _ => None,
        }
    }

    /// The fields of a message of `length` bytes of which `bytes` has the first, or more than all; `None` where it is
    /// not such a message. Fields that OTLP does not have speak against it.
    fn count_fields(self, bytes: &[u8], length: u64) -> Option<u64> {
        let (mut rest, mut left, mut fields) = (bytes, length, 0);
        while left > 0 && !rest.is_empty() {
            let Some(tag) = take_varint(&mut rest, &mut left)? else {
                break;
            };
            let tag = u32::try_from(tag).ok()?;
            self.shape().field(tag).filter(|(known, _)| *known == tag)?;
            fields += 1;
            let size = match tag & 7 {
                wire_type::VARINT => match take_varint(&mut rest, &mut left)? {
                    Some(_) => 0,
                    None => break,
                },
                wire_type::FIXED64 => 8,
                wire_type::FIXED32 => 4,
                _ => match take_varint(&mut rest, &mut left)? {
                    Some(size) => size,
                    None => break,
                },
            };
            left = left.checked_sub(size)?;
            if let Some(child) = self.child(tag) {
                fields += child.count_fields(rest, size)?;
            }
            rest = after(rest, size);
        }
        Some(fields)
    }
}

/// The next varint: the inner `None` where the prefix ends inside it, the outer where it is none.
fn take_varint(rest: &mut &[u8], left: &mut u64) -> Option<Option<u64>> {
    match read_varint(rest) {
        Header::Length(size, value) => {
            *left = left.checked_sub(size as u64)?;
            *rest = &rest[size..];
            Some(Some(value))
        }
        Header::Incomplete if (rest.len() as u64) < *left => Some(None),
        Header::Incomplete | Header::Malformed => None,
    }
}
