//! What a span of OTLP JSON has lists of: events and links.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};
use tracediff_core::model::{IdError, SpanId, TraceId};

use super::span::{NANOSECONDS, parse_span_id, parse_trace_id};
use super::value::KeyValue;
use super::{Attributes, Target, Walk};
use crate::error::DecodeError;
use crate::json::message::{Elements, Message, Read, ReadAll, skip};
use crate::json::scalar::Text;

/// The events of a span.
pub(super) struct Events<'w, 'de, 'b>(pub(super) &'w mut Walk<'de, 'b>);

impl<'de> Elements<'de> for Events<'_, 'de, '_> {
    const EXPECTED: &'static str = "an array of events";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let seed = Read(Event {
            walk: self.0,
            time_ns: 0,
            name: Cow::Borrowed(b""),
        });
        Ok(seq.next_element_seed(seed)?.is_some())
    }
}

struct Event<'w, 'de, 'b> {
    walk: &'w mut Walk<'de, 'b>,
    time_ns: u64,
    name: Cow<'de, [u8]>,
}

impl<'de> Message<'de> for Event<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "an event";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"timeUnixNano" | b"time_unix_nano" => {
                self.time_ns = map.next_value_seed(NANOSECONDS)?
            }
            b"name" => self.name = map.next_value_seed(Text)?,
            b"attributes" => map.next_value_seed(ReadAll(Attributes {
                walk: self.walk,
                target: Target::Event,
            }))?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        self.walk.builder.event(self.time_ns, &self.name);
        Ok(())
    }
}

/// The links of a span.
pub(super) struct Links<'w, 'de, 'b>(pub(super) &'w mut Walk<'de, 'b>);

impl<'de> Elements<'de> for Links<'_, 'de, '_> {
    const EXPECTED: &'static str = "an array of links";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let seed = Read(Link {
            walk: self.0,
            trace_id: TraceId::default(),
            span_id: SpanId::default(),
            trace_state: Cow::Borrowed(b""),
            attributes: Vec::new(),
            bad: None,
        });
        Ok(seq.next_element_seed(seed)?.is_some())
    }
}

/// A link. Its attributes are held back because its ids may come behind them, and a bad one rejects the span.
struct Link<'w, 'de, 'b> {
    walk: &'w mut Walk<'de, 'b>,
    trace_id: TraceId,
    span_id: SpanId,
    trace_state: Cow<'de, [u8]>,
    attributes: Vec<KeyValue<'de>>,
    bad: Option<DecodeError>,
}

impl<'de> Message<'de> for Link<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "a link";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"traceId" | b"trace_id" => {
                let text = map.next_value_seed(Text)?;
                self.trace_id = self.id("links.traceId", &text, parse_trace_id);
            }
            b"spanId" | b"span_id" => {
                let text = map.next_value_seed(Text)?;
                self.span_id = self.id("links.spanId", &text, parse_span_id);
            }
            b"traceState" | b"trace_state" => self.trace_state = map.next_value_seed(Text)?,
            b"attributes" => map.next_value_seed(ReadAll(Collect(&mut self.attributes)))?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        let links = &mut self.walk.links;
        match (*links, self.bad) {
            (LinkMode::Append, None) => {}
            (LinkMode::Append, Some(_)) => return Err(E::custom("a link has a bad id")),
            (LinkMode::Check, None) => return Ok(()),
            (LinkMode::Check, Some(why)) => {
                self.walk.bad_link.get_or_insert(why);
                return Ok(());
            }
        }
        let builder = &mut *self.walk.builder;
        for item in &self.attributes {
            if let Some(value) = &item.value {
                builder.link_attribute(&item.key, value.borrow());
            }
        }
        builder.link(self.trace_id, self.span_id, &self.trace_state);
        Ok(())
    }
}

impl Link<'_, '_, '_> {
    /// An id; zero where there is none.
    fn id<T: Default>(
        &mut self,
        field: &str,
        text: &[u8],
        parse: impl Fn(&[u8]) -> Result<T, IdError>,
    ) -> T {
        match parse(text) {
            Ok(id) => id,
            Err(IdError::Zero) => T::default(),
            Err(_) if text.is_empty() => T::default(),
            Err(error) => {
                self.bad.get_or_insert_with(|| {
                    let position = self.walk.source.position_of(text);
                    DecodeError::malformed(position, format!("{field}: {error}"))
                });
                T::default()
            }
        }
    }
}

/// What is done with links that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkMode {
    /// The builder gets them; a bad one is an error, by which the careful walk begins.
    Append,
    /// The builder gets nothing yet; a bad one is noted.
    Check,
}

struct Collect<'v, 'de>(&'v mut Vec<KeyValue<'de>>);

impl<'de> Elements<'de> for Collect<'_, 'de> {
    const EXPECTED: &'static str = "an array of attributes";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let item = seq.next_element_seed(Read(KeyValue::default()))?;
        let more = item.is_some();
        self.0.extend(item);
        Ok(more)
    }
}
