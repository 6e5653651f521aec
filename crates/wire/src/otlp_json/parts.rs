//! What a span of OTLP JSON has lists of: events and links.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};
use tracediff_core::model::{SpanId, TraceId};

use super::span::{NANOSECONDS, parse_span_id, parse_trace_id};
use super::value::KeyValue;
use super::{Attributes, Target, Walk};
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
            trace_id: None,
            span_id: None,
            trace_state: Cow::Borrowed(b""),
            attributes: Vec::new(),
        });
        Ok(seq.next_element_seed(seed)?.is_some())
    }
}

/// A link. Its attributes are held back because a link whose ids are not valid is left out.
struct Link<'w, 'de, 'b> {
    walk: &'w mut Walk<'de, 'b>,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    trace_state: Cow<'de, [u8]>,
    attributes: Vec<KeyValue<'de>>,
}

impl<'de> Message<'de> for Link<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "a link";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"traceId" | b"trace_id" => {
                self.trace_id = parse_trace_id(&map.next_value_seed(Text)?).ok();
            }
            b"spanId" | b"span_id" => {
                self.span_id = parse_span_id(&map.next_value_seed(Text)?).ok();
            }
            b"traceState" | b"trace_state" => self.trace_state = map.next_value_seed(Text)?,
            b"attributes" => map.next_value_seed(ReadAll(Collect(&mut self.attributes)))?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        let (Some(trace_id), Some(span_id)) = (self.trace_id, self.span_id) else {
            return Ok(());
        };
        let builder = &mut *self.walk.builder;
        for item in &self.attributes {
            if let Some(value) = &item.value {
                builder.link_attribute(&item.key, value.borrow());
            }
        }
        builder.link(trace_id, span_id, &self.trace_state);
        Ok(())
    }
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
