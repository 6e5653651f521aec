//! Protobuf's wire format, read: a cursor over the fields of one message.
//!
//! Source: protobuf.dev, "Encoding". Groups were given up before OTLP began, so they are errors.

use super::shape::{Shape, wire_type};
use crate::error::{DecodeError, Position};

/// A decode error on its way up; boxed so that results of the hot path stay in registers.
pub(super) type Failure = Box<DecodeError>;

/// The fields of one message, read from front to back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    /// The next byte to read.
    at: usize,
    /// The tag read last.
    tag: u32,
    /// Where `bytes` starts in the input.
    start: u64,
    shape: &'static Shape,
}

/// Bytes of a field and where they are in the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) offset: u64,
}

impl<'a> Message<'a> {
    /// The message in `bytes`, which start at `start` in the input.
    pub(super) fn new(bytes: &'a [u8], start: u64, shape: &'static Shape) -> Self {
        Self {
            bytes,
            at: 0,
            tag: 0,
            start,
            shape,
        }
    }

    /// Where the next byte to read is in the input.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The tag of the next field; `None` at the end.
    #[inline(always)]
    pub(super) fn next_tag(&mut self) -> Result<Option<u32>, Failure> {
        let Some(byte) = self.bytes.get(self.at) else {
            return Ok(None);
        };
        // Fields 1 to 15 of the low wire types: nearly all tags there are.
        if (8..0x80).contains(byte) {
            self.at += 1;
            self.tag = u32::from(*byte);
            return Ok(Some(self.tag));
        }
        self.long_tag().map(Some)
    }

    #[inline(never)]
    fn long_tag(&mut self) -> Result<u32, Failure> {
        let offset = self.offset();
        self.tag = 0;
        let tag = self.varint()?;
        self.tag = u32::try_from(tag)
            .ok()
            .filter(|tag| *tag >= 8)
            .ok_or_else(|| {
                self.fail(
                    offset,
                    "expected a field number from 1 to 536870911".to_owned(),
                )
            })?;
        Ok(self.tag)
    }

    /// The field's value, of wire type 0.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, Failure> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Failure> {
        let offset = self.offset();
        let mut value = 0;
        for i in 0..10 {
            let Some(byte) = self.bytes.get(self.at).copied() else {
                return Err(self.fail(
                    offset,
                    format!("expected a varint, found the end of the message after {i} bytes"),
                ));
            };
            self.at += 1;
            // The tenth byte holds the last of 64 bits.
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.fail(
            offset,
            "expected a varint, found one of more than 64 bits".to_owned(),
        ))
    }

    /// The field's value, of wire type 1.
    #[inline(always)]
    pub(super) fn fixed64(&mut self) -> Result<u64, Failure> {
        match self.bytes[self.at..].first_chunk() {
            Some(bytes) => {
                self.at += 8;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => Err(self.too_short(8)),
        }
    }

    /// The field's value, of wire type 2.
    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Failure> {
        let length = self.varint()?;
        let rest = &self.bytes[self.at..];
        if length > rest.len() as u64 {
            return Err(self.too_long(length));
        }
        self.at += length as usize;
        Ok(&rest[..length as usize])
    }

    /// The field's value, of wire type 2, and where it is.
    #[inline(always)]
    pub(super) fn located_bytes(&mut self) -> Result<Located<'a>, Failure> {
        let bytes = self.bytes()?;
        let offset = self.offset() - bytes.len() as u64;
        Ok(Located { bytes, offset })
    }

    /// The field's value, a message.
    #[inline(always)]
    pub(super) fn child(&mut self, shape: &'static Shape) -> Result<Message<'a>, Failure> {
        let bytes = self.bytes()?;
        let start = self.offset() - bytes.len() as u64;
        Ok(Message::new(bytes, start, shape))
    }

    /// Passes over a field that nobody asked for. One that is known but has another wire type is an error.
    pub(super) fn skip(&mut self) -> Result<(), Failure> {
        let found = self.tag & 7;
        if let Some((tag, _)) = self.shape.field(self.tag)
            && tag & 7 != found
        {
            let problem = format!(
                "expected {}, found {}",
                wire_type_name(tag & 7),
                wire_type_name(found)
            );
            return Err(self.fail(self.offset(), problem));
        }
        match found {
            wire_type::VARINT => self.varint().map(drop),
            wire_type::FIXED64 => self.fixed64().map(drop),
            wire_type::LEN => self.bytes().map(drop),
            wire_type::FIXED32 if self.bytes.len() - self.at >= 4 => {
                self.at += 4;
                Ok(())
            }
            wire_type::FIXED32 => Err(self.too_short(4)),
            other => Err(self.fail(
                self.offset(),
                format!(
                    "expected wire type 0, 1, 2 or 5, found {}",
                    wire_type_name(other)
                ),
            )),
        }
    }

    /// A failure at `offset` in the field read last.
    #[cold]
    pub(super) fn fail(&self, offset: u64, problem: String) -> Failure {
        self.fail_in(self.tag, offset, problem)
    }

    /// A failure at `offset` in the field of `tag`.
    #[cold]
    pub(super) fn fail_in(&self, tag: u32, offset: u64, problem: String) -> Failure {
        Box::new(DecodeError {
            position: Position::Byte(offset),
            problem: format!("{}: {problem}", self.shape.path(tag)),
        })
    }

    #[cold]
    fn too_short(&self, expected: usize) -> Failure {
        let found = self.bytes.len() - self.at;
        self.fail(
            self.offset(),
            format!("expected {expected} bytes, found {found} before the end of the message"),
        )
    }

    #[cold]
    fn too_long(&self, length: u64) -> Failure {
        let left = self.bytes.len() - self.at;
        self.fail(
            self.offset(),
            format!("has length {length}, but only {left} bytes of the message are left"),
        )
    }
}

fn wire_type_name(wire_type: u32) -> String {
    let name = match wire_type {
        wire_type::VARINT => "varint",
        wire_type::FIXED64 => "64 bits",
        wire_type::LEN => "length-delimited",
        wire_type::START_GROUP => "start of a group",
        wire_type::END_GROUP => "end of a group",
        wire_type::FIXED32 => "32 bits",
        _ => "unassigned",
    };
    format!("wire type {wire_type} ({name})")
}
