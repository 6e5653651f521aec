//! Protobuf's wire format, read: a cursor over the fields of one message.
//!
//! Source: protobuf.dev, "Encoding". Groups were given up before OTLP began, so they are errors.

use super::shape::{Shape, wire_type};
use crate::error::{DecodeError, Position};

/// A decode error on its way up; boxed so that results of the hot path stay in registers.
pub(super) type Failure = Box<DecodeError>;

/// The fields of one message, read from front to back.
///
/// What is seldom needed takes the message by value: a message that nothing points to can stay in registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// What is still to be read.
    rest: &'a [u8],
    /// Where the message ends in the input.
    end: u64,
    /// The tag read last.
    tag: u32,
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
            rest: bytes,
            end: start + bytes.len() as u64,
            tag: 0,
            shape,
        }
    }

    /// What is still to be read.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Where the next byte to read is in the input.
    #[inline(always)]
    pub(super) fn offset(&self) -> u64 {
        self.end - self.rest.len() as u64
    }

    /// The tag of the next field; `None` at the end.
    #[inline(always)]
    pub(super) fn next_tag(&mut self) -> Result<Option<u32>, Failure> {
        match self.rest {
            [] => Ok(None),
            // Fields 1 to 15, and up to 2047: all that OTLP has.
            [byte @ 8..0x80, rest @ ..] => {
                self.rest = rest;
                self.tag = u32::from(*byte);
                Ok(Some(self.tag))
            }
            [low @ 0x80..=0xff, high @ 1..0x80, rest @ ..] => {
                self.rest = rest;
                self.tag = u32::from(low & 0x7f) | u32::from(*high) << 7;
                Ok(Some(self.tag))
            }
            _ => {
                (self.tag, self.rest) = self.long_tag()?;
                Ok(Some(self.tag))
            }
        }
    }

    #[inline(never)]
    fn long_tag(mut self) -> Result<(u32, &'a [u8]), Failure> {
        self.tag = 0;
        let (tag, rest) = self.long_varint()?;
        match u32::try_from(tag) {
            Ok(tag @ 8..) => Ok((tag, rest)),
            _ => {
                let problem = "expected a field number from 1 to 536870911".to_owned();
                Err(self.fail(self.offset(), problem))
            }
        }
    }

    /// The field's value, of wire type 0.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, Failure> {
        let value;
        (value, self.rest) = match self.rest {
            [byte @ ..0x80, rest @ ..] => (u64::from(*byte), rest),
            _ => self.long_varint()?,
        };
        Ok(value)
    }

    /// A varint of any length, and what follows it.
    #[inline(never)]
    fn long_varint(self) -> Result<(u64, &'a [u8]), Failure> {
        let mut value = 0;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte holds the last of 64 bits.
            if i == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                return Ok((value, &self.rest[i + 1..]));
            }
        }
        let problem = match self.rest.len() {
            found @ ..10 => {
                format!("expected a varint, found the end of the message after {found} bytes")
            }
            _ => "expected a varint, found one of more than 64 bits".to_owned(),
        };
        Err(self.fail(self.offset(), problem))
    }

    /// The field's value, of wire type 1.
    #[inline(always)]
    pub(super) fn fixed64(&mut self) -> Result<u64, Failure> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => Err(self.too_short(8)),
        }
    }

    /// Passes over the field's value, of wire type 5: OTLP has only flags there.
    #[inline(always)]
    pub(super) fn fixed32(&mut self) -> Result<(), Failure> {
        match self.rest.split_at_checked(4) {
            Some((_, rest)) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.too_short(4)),
        }
    }

    /// The field's value, of wire type 2.
    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Failure> {
        let length = self.varint()?;
        if length > self.rest.len() as u64 {
            return Err(self.too_long(length));
        }
        let (value, rest) = self.rest.split_at(length as usize);
        self.rest = rest;
        Ok(value)
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
        Ok(Message {
            rest: self.bytes()?,
            end: self.offset(),
            tag: 0,
            shape,
        })
    }

    /// Passes over a field that nobody asked for. One that is known but has another wire type is an error.
    #[inline(always)]
    pub(super) fn skip(&mut self) -> Result<(), Failure> {
        self.rest = self.skipped()?;
        Ok(())
    }

    /// What follows the field.
    #[inline(never)]
    fn skipped(mut self) -> Result<&'a [u8], Failure> {
        let found = self.tag & 7;
        if let Some((tag, _)) = self.shape.field(self.tag)
            && tag & 7 != found
        {
            let [expected, found] = [tag & 7, found].map(wire_type_name);
            let problem = format!("expected {expected}, found {found}");
            return Err(self.fail(self.offset(), problem));
        }
        match found {
            wire_type::VARINT => self.varint().map(drop)?,
            wire_type::FIXED64 => self.fixed64().map(drop)?,
            wire_type::LEN => self.bytes().map(drop)?,
            wire_type::FIXED32 => self.fixed32()?,
            other => {
                let found = wire_type_name(other);
                let problem = format!("expected wire type 0, 1, 2 or 5, found {found}");
                return Err(self.fail(self.offset(), problem));
            }
        }
        Ok(self.rest)
    }

    /// A failure at `offset` in the field read last.
    #[cold]
    pub(super) fn fail(self, offset: u64, problem: String) -> Failure {
        self.fail_in(self.tag, offset, problem)
    }

    /// A failure at `offset` in the field of `tag`.
    #[cold]
    pub(super) fn fail_in(self, tag: u32, offset: u64, problem: String) -> Failure {
        Box::new(DecodeError::malformed(
            Position::Byte(offset),
            format!("{}: {problem}", self.shape.path(tag)),
        ))
    }

    #[cold]
    fn too_short(self, expected: usize) -> Failure {
        let found = self.rest.len();
        self.fail(
            self.offset(),
            format!("expected {expected} bytes, found {found} before the end of the message"),
        )
    }

    #[cold]
    fn too_long(self, length: u64) -> Failure {
        let left = self.rest.len();
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
