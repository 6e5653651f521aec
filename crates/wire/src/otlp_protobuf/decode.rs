//! A trace request to rows of a batch, in one walk over its bytes.

use tracediff_core::model::{
    MAX_REQUEST_BYTES, SpanBatchBuilder, SpanCore, SpanId, TooLarge, TraceId, ValueRef,
};

use super::any_value::{AnyValue, read_key_value, read_plain_key_value, write_array, write_map};
use super::message::{Failure, Located, Message};
use super::shape::{self, AttributeShape};
use crate::decoded::Decoded;
use crate::error::{DecodeError, Position};

/// Appends the spans of one `ExportTraceServiceRequest` or `TracesData` message to `builder` and commits them.
///
/// A span whose trace or span id is missing, of another length or all zeros, or whose parent id or a link's id has a
/// wrong length, is left out and counted; anything else that is wrong fails the request, and the builder is as it was
/// before. Texts that are not UTF-8 are mended, attributes without a value are left out, unknown fields are skipped,
/// and fields may stand in any order.
///
/// `base_offset` is where `bytes` starts in the input: offsets in errors count from the input's start.
pub fn decode_otlp_protobuf(
    bytes: &[u8],
    base_offset: u64,
    builder: &mut SpanBatchBuilder,
) -> Result<Decoded, DecodeError> {
    let too_large = |error| DecodeError::too_large(Position::Byte(base_offset), error);
    if bytes.len() > MAX_REQUEST_BYTES {
        return Err(too_large(TooLarge::Text));
    }
    let mut walk = Walk {
        builder,
        decoded: Decoded::default(),
        json: String::new(),
    };
    let result = walk.request(Message::new(bytes, base_offset, &shape::REQUEST));
    let decoded = walk.decoded;
    match result {
        Ok(()) => builder.commit().map(|()| decoded).map_err(too_large),
        Err(failure) => {
            builder.rollback();
            Err(*failure)
        }
    }
}

struct Walk<'b> {
    builder: &'b mut SpanBatchBuilder,
    decoded: Decoded,
    /// The text of the list or map that is being read.
    json: String,
}

impl Walk<'_> {
    fn request(&mut self, mut message: Message<'_>) -> Result<(), Failure> {
        while let Some(tag) = message.next_tag()? {
            match tag {
                shape::request::RESOURCE_SPANS => {
                    self.resource_spans(message.child(&shape::RESOURCE_SPANS)?)?;
                }
                _ => message.skip()?,
            }
        }
        Ok(())
    }

    /// Reads the resource first, wherever it stands, because the builder needs it before the spans.
    fn resource_spans(&mut self, mut message: Message<'_>) -> Result<(), Failure> {
        self.builder.begin_resource();
        let mut ahead = message;
        while let Some(tag) = ahead.next_tag()? {
            match tag {
                shape::resource_spans::RESOURCE => self.resource(ahead.child(&shape::RESOURCE)?)?,
                _ => ahead.skip()?,
            }
        }
        while let Some(tag) = message.next_tag()? {
            match tag {
                shape::resource_spans::SCOPE_SPANS => {
                    self.scope_spans(message.child(&shape::SCOPE_SPANS)?)?;
                }
                _ => message.skip()?,
            }
        }
        Ok(())
    }

    fn resource(&mut self, mut message: Message<'_>) -> Result<(), Failure> {
        while let Some(tag) = message.next_tag()? {
            match tag {
                shape::resource::ATTRIBUTES => self.attribute(
                    &mut message,
                    &shape::RESOURCE_ATTRIBUTE,
                    SpanBatchBuilder::resource_attribute,
                )?,
                _ => message.skip()?,
            }
        }
        Ok(())
    }

    /// The builder needs the scope before the spans, and nearly every producer writes it there. To look ahead for it
    /// would mean a cache miss for each span, so where it stands behind spans, these are read twice.
    fn scope_spans(&mut self, message: Message<'_>) -> Result<(), Failure> {
        let (mark, decoded) = (self.builder.mark(), self.decoded.clone());
        if self.scope_then_spans(message)? {
            return Ok(());
        }
        self.builder.rewind(mark);
        self.decoded = decoded;
        self.builder.begin_scope();
        let mut scopes = message;
        while let Some(tag) = scopes.next_tag()? {
            match tag {
                shape::scope_spans::SCOPE => self.scope(scopes.child(&shape::SCOPE)?)?,
                _ => scopes.skip()?,
            }
        }
        let mut spans = message;
        while let Some(tag) = spans.next_tag()? {
            match tag {
                shape::scope_spans::SPANS => self.span(spans.child(&shape::SPAN)?)?,
                _ => spans.skip()?,
            }
        }
        Ok(())
    }

    /// Reads the scope and its spans in the order of the wire; false where a scope stands behind a span.
    fn scope_then_spans(&mut self, mut message: Message<'_>) -> Result<bool, Failure> {
        self.builder.begin_scope();
        let mut after_span = false;
        while let Some(tag) = message.next_tag()? {
            match tag {
                shape::scope_spans::SPANS => {
                    self.span(message.child(&shape::SPAN)?)?;
                    after_span = true;
                }
                shape::scope_spans::SCOPE if after_span => return Ok(false),
                shape::scope_spans::SCOPE => self.scope(message.child(&shape::SCOPE)?)?,
                _ => message.skip()?,
            }
        }
        Ok(true)
    }

    fn scope(&mut self, mut message: Message<'_>) -> Result<(), Failure> {
        let (mut name, mut version): (&[u8], &[u8]) = (b"", b"");
        while let Some(tag) = message.next_tag()? {
            match tag {
                shape::scope::NAME => name = message.bytes()?,
                shape::scope::VERSION => version = message.bytes()?,
                shape::scope::ATTRIBUTES => self.attribute(
                    &mut message,
                    &shape::SCOPE_ATTRIBUTE,
                    SpanBatchBuilder::scope_attribute,
                )?,
                _ => message.skip()?,
            }
        }
        for (key, text) in [(SCOPE_NAME, name), (SCOPE_VERSION, version)] {
            if !text.is_empty() {
                self.builder
                    .scope_attribute(key.as_bytes(), ValueRef::String(text));
            }
        }
        Ok(())
    }

    fn span(&mut self, message: Message<'_>) -> Result<(), Failure> {
        // A copy of its own can stay in registers.
        let mut message = message;
        let missing = Located {
            bytes: b"",
            offset: message.offset(),
        };
        let (mut trace_id, mut span_id, mut parent_span_id) = (missing, missing, missing);
        let mut span = SpanCore::default();
        let mut rejection = None;
        while let Some(tag) = message.next_tag()? {
            match tag {
                shape::span::ATTRIBUTES => self.attribute(
                    &mut message,
                    &shape::SPAN_ATTRIBUTE,
                    SpanBatchBuilder::span_attribute,
                )?,
                shape::span::TRACE_ID => trace_id = message.located_bytes()?,
                shape::span::SPAN_ID => span_id = message.located_bytes()?,
                shape::span::PARENT_SPAN_ID => parent_span_id = message.located_bytes()?,
                shape::span::TRACE_STATE => span.trace_state = message.bytes()?,
                shape::span::NAME => span.operation = message.bytes()?,
                shape::span::KIND => span.kind = enum_number(message.varint()?),
                shape::span::START_TIME => span.start_ns = message.fixed64()?,
                shape::span::END_TIME => span.end_ns = message.fixed64()?,
                shape::span::EVENTS => self.event(message.child(&shape::EVENT)?)?,
                shape::span::LINKS => {
                    let invalid = self.link(message.child(&shape::LINK)?)?.err();
                    rejection = rejection.or(invalid);
                }
                shape::span::FLAGS => message.fixed32()?,
                shape::span::STATUS => read_status(message.child(&shape::STATUS)?, &mut span)?,
                _ => message.skip()?,
            }
        }
        let mut ids = || {
            span.trace_id = TraceId(required_id(&message, shape::span::TRACE_ID, trace_id)?);
            span.span_id = SpanId(required_id(&message, shape::span::SPAN_ID, span_id)?);
            span.parent_span_id = SpanId(optional_id(
                &message,
                shape::span::PARENT_SPAN_ID,
                parent_span_id,
            )?);
            Ok(())
        };
        match ids().err().or(rejection) {
            None => {
                self.builder.end_span(&span);
                self.decoded.spans += 1;
            }
            Some(rejection) => {
                self.builder.discard_span();
                self.decoded.rejected += 1;
                self.decoded.first_rejection.get_or_insert(*rejection);
            }
        }
        Ok(())
    }

    fn event(&mut self, mut message: Message<'_>) -> Result<(), Failure> {
        let (mut time_ns, mut name): (u64, &[u8]) = (0, b"");
        while let Some(tag) = message.next_tag()? {
            match tag {
                shape::event::TIME => time_ns = message.fixed64()?,
                shape::event::NAME => name = message.bytes()?,
                shape::event::ATTRIBUTES => self.attribute(
                    &mut message,
                    &shape::EVENT_ATTRIBUTE,
                    SpanBatchBuilder::event_attribute,
                )?,
                _ => message.skip()?,
            }
        }
        self.builder.event(time_ns, name);
        Ok(())
    }

    /// Reads a link. The inner error rejects the span, the outer the request.
    fn link(&mut self, mut message: Message<'_>) -> Result<Result<(), Failure>, Failure> {
        let missing = Located {
            bytes: b"",
            offset: message.offset(),
        };
        let (mut trace_id, mut span_id, mut trace_state) = (missing, missing, &b""[..]);
        while let Some(tag) = message.next_tag()? {
            match tag {
                shape::link::TRACE_ID => trace_id = message.located_bytes()?,
                shape::link::SPAN_ID => span_id = message.located_bytes()?,
                shape::link::TRACE_STATE => trace_state = message.bytes()?,
                shape::link::ATTRIBUTES => self.attribute(
                    &mut message,
                    &shape::LINK_ATTRIBUTE,
                    SpanBatchBuilder::link_attribute,
                )?,
                _ => message.skip()?,
            }
        }
        let ids = optional_id(&message, shape::link::TRACE_ID, trace_id).and_then(|trace_id| {
            let span_id = optional_id(&message, shape::link::SPAN_ID, span_id)?;
            Ok((TraceId(trace_id), SpanId(span_id)))
        });
        Ok(ids.map(|(trace_id, span_id)| self.builder.link(trace_id, span_id, trace_state)))
    }

    /// Reads the attribute that `message` stands at and hands it to `set`.
    #[inline(always)]
    fn attribute(
        &mut self,
        message: &mut Message<'_>,
        shape: &'static AttributeShape,
        set: impl FnOnce(&mut SpanBatchBuilder, &[u8], ValueRef<'_>),
    ) -> Result<(), Failure> {
        let message = message.child(&shape.pair)?;
        if let Some((key, value)) = read_plain_key_value(message) {
            set(self.builder, key, value);
            return Ok(());
        }
        let pair = read_key_value(message, &shape.value)?;
        let value = match pair.value {
            AnyValue::Scalar(value) => value,
            AnyValue::Empty => return Ok(()),
            AnyValue::Array(list) => {
                self.json.clear();
                write_array(&mut self.json, list, 0)?;
                ValueRef::Array(&self.json)
            }
            AnyValue::Map(list) => {
                self.json.clear();
                write_map(&mut self.json, list, 0)?;
                ValueRef::Map(&self.json)
            }
        };
        set(self.builder, pair.key, value);
        Ok(())
    }
}

/// The scope attribute that holds the scope's name.
pub(super) const SCOPE_NAME: &str = "otel.scope.name";
/// The scope attribute that holds the scope's version.
pub(super) const SCOPE_VERSION: &str = "otel.scope.version";

fn read_status<'a>(mut message: Message<'a>, span: &mut SpanCore<'a>) -> Result<(), Failure> {
    while let Some(tag) = message.next_tag()? {
        match tag {
            shape::status::MESSAGE => span.status_message = message.bytes()?,
            shape::status::CODE => span.status = enum_number(message.varint()?),
            _ => message.skip()?,
        }
    }
    Ok(())
}

/// An enum's number, cut to 32 bits as protobuf does; numbers that no enum of OTLP has are 0, "unspecified".
fn enum_number(value: u64) -> u8 {
    u8::try_from(value as i32).unwrap_or(0)
}

/// An id that must be there and not only zeros.
#[inline(always)]
fn required_id<const N: usize>(
    message: &Message<'_>,
    tag: u32,
    field: Located<'_>,
) -> Result<[u8; N], Failure> {
    match field.bytes.try_into() {
        Ok(id) if id != [0; N] => Ok(id),
        Ok(_) => {
            let problem = "an id of only zeros is not valid".to_owned();
            Err(message.fail_in(tag, field.offset, problem))
        }
        Err(_) => Err(wrong_length(message, tag, field, N)),
    }
}

/// An id that may be missing, which is zeros.
#[inline(always)]
fn optional_id<const N: usize>(
    message: &Message<'_>,
    tag: u32,
    field: Located<'_>,
) -> Result<[u8; N], Failure> {
    if field.bytes.is_empty() {
        return Ok([0; N]);
    }
    field
        .bytes
        .try_into()
        .map_err(|_| wrong_length(message, tag, field, N))
}

#[cold]
fn wrong_length(message: &Message<'_>, tag: u32, field: Located<'_>, expected: usize) -> Failure {
    let found = field.bytes.len();
    message.fail_in(
        tag,
        field.offset,
        format!("expected {expected} bytes, found {found}"),
    )
}
