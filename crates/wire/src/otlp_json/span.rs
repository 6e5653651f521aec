//! A span of OTLP JSON with its events, links and status.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tracediff_core::model::{IdError, SpanCore, SpanId, TraceId};

use super::parts::{Events, LinkMode, Links};
use super::{Attributes, Target, Walk};
use crate::error::DecodeError;
use crate::json::message::{Elements, Message, Read, ReadAll, skip};
use crate::json::scalar::{Text, Unsigned, kind_of_name, parse_base64, seed, status_of_name};

/// The spans of a scope.
pub(super) struct Spans<'w, 'de, 'b>(pub(super) &'w mut Walk<'de, 'b>);

impl<'de> Elements<'de> for Spans<'_, 'de, '_> {
    const EXPECTED: &'static str = "an array of spans";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let seed = Read(Span {
            walk: self.0,
            trace_id: None,
            span_id: None,
            parent_span_id: SpanId::default(),
            name: Cow::Borrowed(b""),
            trace_state: Cow::Borrowed(b""),
            kind: 0,
            status: Status::default(),
            start_ns: 0,
            end_ns: 0,
            rejection: None,
            appended: false,
            late: Vec::new(),
        });
        Ok(seq.next_element_seed(seed)?.is_some())
    }
}

struct Span<'w, 'de, 'b> {
    walk: &'w mut Walk<'de, 'b>,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    parent_span_id: SpanId,
    name: Cow<'de, [u8]>,
    trace_state: Cow<'de, [u8]>,
    kind: u8,
    status: Status<'de>,
    start_ns: u64,
    end_ns: u64,
    /// Why the span is left out.
    rejection: Option<DecodeError>,
    /// Whether the builder has parts of it already.
    appended: bool,
    late: Vec<(Part, &'de RawValue)>,
}

/// What the builder takes before the span it belongs to is complete.
#[derive(Debug, Clone, Copy)]
enum Part {
    Attributes,
    Events,
    Links,
}

impl<'de> Message<'de> for Span<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "a span";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"attributes" => return self.part(Part::Attributes, map),
            b"events" => return self.part(Part::Events, map),
            b"links" => return self.part(Part::Links, map),
            b"traceId" | b"trace_id" => {
                let text = map.next_value_seed(Text)?;
                self.trace_id = self.id("traceId", &text, parse_trace_id);
            }
            b"spanId" | b"span_id" => {
                let text = map.next_value_seed(Text)?;
                self.span_id = self.id("spanId", &text, parse_span_id);
            }
            b"parentSpanId" | b"parent_span_id" => {
                let text = map.next_value_seed(Text)?;
                let parse = |text: &[u8]| match parse_span_id(text) {
                    Err(IdError::Zero) => Ok(SpanId::default()),
                    parsed => parsed,
                };
                if !text.is_empty() {
                    let parent = self.id("parentSpanId", &text, parse);
                    self.parent_span_id = parent.unwrap_or_default();
                }
            }
            b"name" => self.name = map.next_value_seed(Text)?,
            b"kind" => self.kind = map.next_value_seed(KIND)?,
            b"startTimeUnixNano" | b"start_time_unix_nano" => {
                self.start_ns = map.next_value_seed(NANOSECONDS)?;
            }
            b"endTimeUnixNano" | b"end_time_unix_nano" => {
                self.end_ns = map.next_value_seed(NANOSECONDS)?;
            }
            b"status" => self.status = map.next_value_seed(Read(Status::default()))?,
            b"traceState" | b"trace_state" => self.trace_state = map.next_value_seed(Text)?,
            _ => return skip(map),
        }
        Ok(())
    }

    fn end<E: de::Error>(mut self) -> Result<(), E> {
        self.id_must_be("traceId", self.trace_id.is_some());
        self.id_must_be("spanId", self.span_id.is_some());
        let late = std::mem::take(&mut self.late);
        if self.rejection.is_none() {
            self.rejection = self.walk.check_links(&late)?;
        }
        let (Some(trace_id), Some(span_id), None) = (self.trace_id, self.span_id, &self.rejection)
        else {
            if self.appended {
                return Err(E::custom("the bad id comes late"));
            }
            if let Some(why) = self.rejection {
                self.walk.decoded.reject(why);
            }
            return Ok(());
        };
        for (part, raw) in late {
            self.walk.read_part(part, raw)?;
        }
        self.walk.builder.end_span(&SpanCore {
            trace_id,
            span_id,
            parent_span_id: self.parent_span_id,
            operation: &self.name,
            kind: self.kind,
            status: self.status.code,
            status_message: &self.status.message,
            trace_state: &self.trace_state,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
        });
        self.walk.decoded.spans += 1;
        Ok(())
    }
}

impl<'de> Span<'_, 'de, '_> {
    fn part<A: MapAccess<'de>>(&mut self, part: Part, map: &mut A) -> Result<(), A::Error> {
        if self.rejection.is_some() {
            return skip(map);
        }
        if self.walk.careful {
            self.late.push((part, map.next_value()?));
            return Ok(());
        }
        self.appended = true;
        match part {
            Part::Attributes => map.next_value_seed(ReadAll(span_attributes(self.walk))),
            Part::Events => map.next_value_seed(ReadAll(Events(self.walk))),
            Part::Links => map.next_value_seed(ReadAll(Links(self.walk))),
        }
    }

    fn id<T>(
        &mut self,
        field: &str,
        text: &[u8],
        parse: impl Fn(&[u8]) -> Result<T, IdError>,
    ) -> Option<T> {
        match parse(text) {
            Ok(id) => Some(id),
            Err(error) => {
                self.rejection.get_or_insert_with(|| {
                    let position = self.walk.source.position_of(text);
                    DecodeError::malformed(position, format!("{field}: {error}"))
                });
                None
            }
        }
    }

    fn id_must_be(&mut self, field: &str, there: bool) {
        if !there && self.rejection.is_none() {
            self.rejection = Some(DecodeError::malformed(
                self.walk.source.position_of(&self.name),
                format!("{field}: a span has none"),
            ));
        }
    }
}

impl<'de> Walk<'de, '_> {
    /// Why a link among parts that were put off makes its span be left out.
    fn check_links<E: de::Error>(
        &mut self,
        late: &[(Part, &'de RawValue)],
    ) -> Result<Option<DecodeError>, E> {
        for (part, raw) in late {
            if let Part::Links = part {
                self.links = LinkMode::Check;
                self.read_part(*part, raw)?;
                self.links = LinkMode::Append;
            }
        }
        Ok(self.bad_link.take())
    }

    /// Reads a part that was put off.
    fn read_part<E: de::Error>(&mut self, part: Part, raw: &'de RawValue) -> Result<(), E> {
        let name = match part {
            Part::Attributes => "attributes",
            Part::Events => "events",
            Part::Links => "links",
        };
        self.read_late(name, raw, |walk, source, bytes| match part {
            Part::Attributes => source.read(bytes, ReadAll(span_attributes(walk))),
            Part::Events => source.read(bytes, ReadAll(Events(walk))),
            Part::Links => source.read(bytes, ReadAll(Links(walk))),
        })
    }
}

fn span_attributes<'w, 'de, 'b>(walk: &'w mut Walk<'de, 'b>) -> Attributes<'w, 'de, 'b> {
    Attributes {
        walk,
        target: Target::Span,
    }
}

/// Hex as OTLP says, or base64 as protobuf's own JSON mapping has it (Tempo): the length tells which.
pub(super) fn parse_trace_id(text: &[u8]) -> Result<TraceId, IdError> {
    let from_base64 = (text.len() == 24)
        .then(|| parse_base64(text).and_then(|bytes| TraceId::from_slice(&bytes)))
        .flatten();
    match from_base64.map_or_else(|| TraceId::parse_hex(text), Ok)? {
        id if id.is_zero() => Err(IdError::Zero),
        id => Ok(id),
    }
}

/// Like [`parse_trace_id`].
pub(super) fn parse_span_id(text: &[u8]) -> Result<SpanId, IdError> {
    let from_base64 = (text.len() == 12)
        .then(|| parse_base64(text).and_then(|bytes| SpanId::from_slice(&bytes)))
        .flatten();
    match from_base64.map_or_else(|| SpanId::parse_hex(text), Ok)? {
        id if id.is_zero() => Err(IdError::Zero),
        id => Ok(id),
    }
}

/// What a time is.
pub(super) const NANOSECONDS: Unsigned = Unsigned("nanoseconds since the epoch");

/// The status of a span.
#[derive(Debug, Default)]
struct Status<'de> {
    code: u8,
    message: Cow<'de, [u8]>,
}

impl<'de> Message<'de> for Status<'de> {
    type Value = Self;
    const EXPECTED: &'static str = "a status such as {\"code\":2,\"message\":\"…\"}";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"code" => self.code = map.next_value_seed(STATUS_CODE)?,
            b"message" => self.message = map.next_value_seed(Text)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn end<E: de::Error>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// A number of an enumeration, or the name of one.
#[derive(Clone, Copy)]
struct EnumNumber {
    expected: &'static str,
    of_name: fn(&str) -> u8,
}
seed!(EnumNumber, u8, deserialize_any);

const KIND: EnumNumber = EnumNumber {
    expected: "a span kind as a number or a name such as SPAN_KIND_SERVER",
    of_name: kind_of_name,
};
const STATUS_CODE: EnumNumber = EnumNumber {
    expected: "a status code as a number or a name such as STATUS_CODE_ERROR",
    of_name: status_of_name,
};

impl Visitor<'_> for EnumNumber {
    type Value = u8;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u8, E> {
        Ok(u8::try_from(value).unwrap_or(0))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<u8, E> {
        Ok(0)
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<u8, E> {
        Ok((self.of_name)(name))
    }

    fn visit_unit<E: de::Error>(self) -> Result<u8, E> {
        Ok(0)
    }
}
