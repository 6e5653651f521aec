//! OTLP JSON: one `ExportTraceServiceRequest` or `TracesData`, straight into the builder.
//!
//! The walk appends as it reads and keeps nothing: no tree, no copies of texts without escapes. What is odd (a resource
//! that comes after its spans, a span whose id turns out bad after its attributes were appended) or wrong ends that
//! first attempt, and a second one puts such parts off until all they need is known. So the common file pays
//! nothing for the rare one.

mod encode;
mod encode_value;
mod parts;
mod reply;
mod span;
mod value;

use serde::de::{self, Error as _, MapAccess, SeqAccess};
use serde_json::value::RawValue;
use tracediff_core::model::SpanBatchBuilder;

use crate::decoded::Decoded;
use crate::error::{DecodeError, Position};
use crate::json::message::{Elements, Message, Read, ReadAll, skip};
use crate::json::scalar::Text;
use crate::json::{Source, path_goes_on};
use parts::LinkMode;
use span::Spans;
use value::KeyValue;

pub use encode::{encode_otlp_json, encode_otlp_json_batches};
pub use reply::{encode_export_response_json, encode_status_json};

/// Decodes one request into the builder and commits it; `line_base` is the number of lines before it in its file.
///
/// Names may be in camelCase or snake_case, unknown ones are ignored. Tempo's answers (`batches`, ids in base64) are
/// read too. A span whose ids, parent's id or link's ids are not valid is left out and counted (a parent or a
/// linked id may be absent). An attribute without a value is left out. On an error nothing of the request is kept.
pub fn decode_otlp_json(
    bytes: &[u8],
    line_base: u64,
    builder: &mut SpanBatchBuilder,
) -> Result<Decoded, DecodeError> {
    let source = Source::new(bytes, line_base);
    let decoded = match walk_straight(source, builder) {
        Some(decoded) => decoded,
        None => {
            builder.rollback();
            walk_carefully(source, builder).inspect_err(|_| builder.rollback())?
        }
    };
    let committed = builder.commit();
    committed.map_err(|error| DecodeError::too_large(source.start(), error))?;
    Ok(decoded)
}

fn walk_straight(source: Source<'_>, builder: &mut SpanBatchBuilder) -> Option<Decoded> {
    let mut walk = Walk::new(source, builder, false);
    source.try_read(Read(Request(&mut walk)))?;
    Some(walk.decoded)
}

fn walk_carefully(
    source: Source<'_>,
    builder: &mut SpanBatchBuilder,
) -> Result<Decoded, DecodeError> {
    let mut walk = Walk::new(source, builder, true);
    let read = source.read_all(Read(Request(&mut walk)));
    match (read, walk.late_position) {
        (Ok(()), _) => Ok(walk.decoded),
        (Err(error), None) => Err(error),
        (Err(error), Some(position)) => Err(DecodeError { position, ..error }),
    }
}

/// What a walk over a request carries along.
struct Walk<'de, 'b> {
    source: Source<'de>,
    builder: &'b mut SpanBatchBuilder,
    decoded: Decoded,
    /// Whether parts that need what may come later are put off.
    careful: bool,
    links: LinkMode,
    /// A link that makes its span be left out.
    bad_link: Option<DecodeError>,
    /// Where something is wrong in a part that was put off.
    late_position: Option<Position>,
}

impl<'de, 'b> Walk<'de, 'b> {
    fn new(source: Source<'de>, builder: &'b mut SpanBatchBuilder, careful: bool) -> Self {
        Self {
            source,
            builder,
            decoded: Decoded::default(),
            careful,
            links: LinkMode::Append,
            bad_link: None,
            late_position: None,
        }
    }

    /// Reads a part that was put off, the value of the field `name`.
    fn read_late<E: de::Error>(
        &mut self,
        name: &str,
        part: &'de RawValue,
        read: impl FnOnce(&mut Self, Source<'de>, &'de [u8]) -> Result<(), DecodeError>,
    ) -> Result<(), E> {
        let source = self.source;
        read(self, source, part.get().as_bytes()).map_err(|error| {
            self.late_position.get_or_insert(error.position);
            E::custom(path_goes_on(name, &error.problem))
        })
    }
}

/// `{"resourceSpans":[…]}`.
struct Request<'w, 'de, 'b>(&'w mut Walk<'de, 'b>);

impl<'de> Message<'de> for Request<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "an object with `resourceSpans`";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"resourceSpans" | b"resource_spans" | b"batches" => {
                map.next_value_seed(ReadAll(Resources(self.0)))
            }
            b"trace" => map.next_value_seed(Read(Request(self.0))),
            b"resourceMetrics" | b"resource_metrics" => {
                Err(A::Error::custom("these are metrics, expected traces"))
            }
            b"resourceLogs" | b"resource_logs" => {
                Err(A::Error::custom("these are logs, expected traces"))
            }
            _ => skip(map),
        }
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

struct Resources<'w, 'de, 'b>(&'w mut Walk<'de, 'b>);

impl<'de> Elements<'de> for Resources<'_, 'de, '_> {
    const EXPECTED: &'static str = "an array of resources with their spans";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        self.0.builder.begin_resource();
        let seed = Read(ResourceSpans {
            walk: self.0,
            scopes_seen: false,
            late: Vec::new(),
        });
        Ok(seq.next_element_seed(seed)?.is_some())
    }
}

/// `{"resource":{…},"scopeSpans":[…]}`.
struct ResourceSpans<'w, 'de, 'b> {
    walk: &'w mut Walk<'de, 'b>,
    scopes_seen: bool,
    late: Vec<&'de RawValue>,
}

impl<'de> Message<'de> for ResourceSpans<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "an object with `resource` and `scopeSpans`";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"resource" if self.scopes_seen => Err(A::Error::custom("the resource comes late")),
            b"resource" => map.next_value_seed(Read(Resource(self.walk))),
            b"scopeSpans"
            | b"scope_spans"
            | b"instrumentationLibrarySpans"
            | b"instrumentation_library_spans" => {
                if self.walk.careful {
                    self.late.push(map.next_value()?);
                    return Ok(());
                }
                self.scopes_seen = true;
                map.next_value_seed(ReadAll(Scopes(self.walk)))
            }
            _ => skip(map),
        }
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        for part in self.late {
            self.walk
                .read_late("scopeSpans", part, |walk, source, bytes| {
                    source.read(bytes, ReadAll(Scopes(walk)))
                })?;
        }
        Ok(())
    }
}

struct Scopes<'w, 'de, 'b>(&'w mut Walk<'de, 'b>);

impl<'de> Elements<'de> for Scopes<'_, 'de, '_> {
    const EXPECTED: &'static str = "an array of scopes with their spans";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        self.0.builder.begin_scope();
        let seed = Read(ScopeSpans {
            walk: self.0,
            spans_seen: false,
            late: Vec::new(),
        });
        Ok(seq.next_element_seed(seed)?.is_some())
    }
}

/// `{"scope":{…},"spans":[…]}`.
struct ScopeSpans<'w, 'de, 'b> {
    walk: &'w mut Walk<'de, 'b>,
    spans_seen: bool,
    late: Vec<&'de RawValue>,
}

impl<'de> Message<'de> for ScopeSpans<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "an object with `scope` and `spans`";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"scope" | b"instrumentationLibrary" | b"instrumentation_library" => {
                if self.spans_seen {
                    return Err(A::Error::custom("the scope comes late"));
                }
                map.next_value_seed(Read(Scope(self.walk)))
            }
            b"spans" => {
                if self.walk.careful {
                    self.late.push(map.next_value()?);
                    return Ok(());
                }
                self.spans_seen = true;
                map.next_value_seed(ReadAll(Spans(self.walk)))
            }
            _ => skip(map),
        }
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        for part in self.late {
            self.walk.read_late("spans", part, |walk, source, bytes| {
                source.read(bytes, ReadAll(Spans(walk)))
            })?;
        }
        Ok(())
    }
}

/// `{"name":"…","version":"…","attributes":[…]}`.
struct Scope<'w, 'de, 'b>(&'w mut Walk<'de, 'b>);

impl<'de> Message<'de> for Scope<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "an instrumentation scope";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        let key: &[u8] = match name {
            b"name" => b"otel.scope.name",
            b"version" => b"otel.scope.version",
            b"attributes" => {
                return map.next_value_seed(ReadAll(Attributes {
                    walk: self.0,
                    target: Target::Scope,
                }));
            }
            _ => return skip(map),
        };
        let text = map.next_value_seed(Text)?;
        if !text.is_empty() {
            let value = tracediff_core::model::ValueRef::String(&text);
            self.0.builder.scope_attribute(key, value);
        }
        Ok(())
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// What attributes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Resource,
    Scope,
    Span,
    Event,
}

/// `{"attributes":[…]}`.
struct Resource<'w, 'de, 'b>(&'w mut Walk<'de, 'b>);

impl<'de> Message<'de> for Resource<'_, 'de, '_> {
    type Value = ();
    const EXPECTED: &'static str = "a resource with `attributes`";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"attributes" => map.next_value_seed(ReadAll(Attributes {
                walk: self.0,
                target: Target::Resource,
            })),
            _ => skip(map),
        }
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

struct Attributes<'w, 'de, 'b> {
    walk: &'w mut Walk<'de, 'b>,
    target: Target,
}

impl<'de> Elements<'de> for Attributes<'_, 'de, '_> {
    const EXPECTED: &'static str = "an array of attributes";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let Some(item) = seq.next_element_seed(Read(KeyValue::default()))? else {
            return Ok(false);
        };
        let Some(value) = &item.value else {
            return Ok(true);
        };
        let (builder, value) = (&mut *self.walk.builder, value.borrow());
        match self.target {
            Target::Resource => builder.resource_attribute(&item.key, value),
            Target::Scope => builder.scope_attribute(&item.key, value),
            Target::Span => builder.span_attribute(&item.key, value),
            Target::Event => builder.event_attribute(&item.key, value),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
