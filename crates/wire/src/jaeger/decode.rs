//! Jaeger JSON into the builder.

use std::borrow::Cow;

use tracediff_core::model::{
    IdError, SERVICE_NAME, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef, sampling,
};

use super::model::{
    CHILD_OF, Document, EVENT, FOLLOWS_FROM, Process, REF_TYPE, Reference, Span, Tag, Trace,
};
use crate::decoded::Decoded;
use crate::error::DecodeError;
use crate::json::any::Any;
use crate::json::scalar::parse_base64;
use crate::json::{Source, commit, is_array, read_document};
use crate::tags::TagFields;

/// Decodes one document into the builder and commits it; `line_base` is the number of lines before it in its file.
///
/// A span's parent is its first `CHILD_OF` reference into the same trace; where there is none, the first
/// `FOLLOWS_FROM` one. All references but such a `CHILD_OF` become links. Where the root says that it was sampled
/// with a probability, every span of its trace that has no trace state gets `ot=th:…` with that probability and so
/// its weight. A span whose ids are not valid is left out and counted. On an error nothing is kept.
pub fn decode_jaeger(
    bytes: &[u8],
    line_base: u64,
    builder: &mut SpanBatchBuilder,
) -> Result<Decoded, DecodeError> {
    let source = Source::new(bytes, line_base);
    let traces: Vec<Trace<'_>> = if is_array(bytes) {
        read_document(source)?
    } else {
        let document: Document<'_> = read_document(source)?;
        if let (Some(failure), true) = (document.errors.first(), document.data.is_empty()) {
            return Err(DecodeError {
                position: source.start(),
                problem: format!("Jaeger answered with an error: {}", failure.msg),
            });
        }
        let own = Trace {
            trace_id: document.trace_id,
            spans: document.spans,
            processes: document.processes,
        };
        document.data.into_iter().chain([own]).collect()
    };
    let mut decoded = Decoded::default();
    for trace in &traces {
        append_trace(source, trace, builder, &mut decoded);
    }
    commit(source, builder)?;
    Ok(decoded)
}

fn append_trace(
    source: Source<'_>,
    trace: &Trace<'_>,
    builder: &mut SpanBatchBuilder,
    decoded: &mut Decoded,
) {
    let sampled = trace.spans.iter().find_map(|span| sampled(trace, span));
    for span in &trace.spans {
        match Ids::of(trace, span) {
            Ok(ids) => {
                append_span(trace, span, ids, sampled.as_deref(), builder);
                decoded.spans += 1;
            }
            Err((field, text, error)) => decoded.reject(DecodeError {
                position: source.position_of(text.as_bytes()),
                problem: format!("{field}: {error}"),
            }),
        }
    }
}

/// The ids of a span that has sound ones.
struct Ids {
    trace_id: TraceId,
    span_id: SpanId,
    parent: SpanId,
}

impl Ids {
    /// The ids, or the field that is wrong, what it says, and why that is no id.
    fn of<'s>(
        trace: &'s Trace<'_>,
        span: &'s Span<'_>,
    ) -> Result<Self, (&'static str, &'s str, IdError)> {
        let trace_text = trace_id_text(trace, span);
        let trace_id = TraceId::parse_lenient(trace_text.as_bytes())
            .and_then(|id| {
                if id.is_zero() {
                    Err(IdError::Zero)
                } else {
                    Ok(id)
                }
            })
            .map_err(|error| ("traceID", trace_text, error))?;
        let span_id = SpanId::parse_lenient(span.span_id.as_bytes())
            .and_then(|id| {
                if id.is_zero() {
                    Err(IdError::Zero)
                } else {
                    Ok(id)
                }
            })
            .map_err(|error| ("spanID", &*span.span_id, error))?;
        let (field, parent_text) = match parent_reference(trace_id, span) {
            Some(reference) => ("references", &*reference.span_id),
            None => ("parentSpanID", &*span.parent_span_id),
        };
        let parent = if parent_text.is_empty() {
            SpanId::default()
        } else {
            SpanId::parse_lenient(parent_text.as_bytes())
                .map_err(|error| (field, parent_text, error))?
        };
        Ok(Self {
            trace_id,
            span_id,
            parent,
        })
    }
}

fn trace_id_text<'s>(trace: &'s Trace<'_>, span: &'s Span<'_>) -> &'s str {
    if span.trace_id.is_empty() {
        &trace.trace_id
    } else {
        &span.trace_id
    }
}

/// The reference that names the parent.
fn parent_reference<'s, 'a>(trace_id: TraceId, span: &'s Span<'a>) -> Option<&'s Reference<'a>> {
    [CHILD_OF, FOLLOWS_FROM].into_iter().find_map(|ref_type| {
        span.references
            .iter()
            .find(|r| r.ref_type == ref_type && is_of(r, trace_id))
    })
}

/// Whether a reference leads into that trace. One without a trace id does.
fn is_of(reference: &Reference<'_>, trace_id: TraceId) -> bool {
    reference.trace_id.is_empty()
        || TraceId::parse_lenient(reference.trace_id.as_bytes()) == Ok(trace_id)
}

/// The trace state that tells the sampling probability of a root, where its tags tell that.
fn sampled(trace: &Trace<'_>, span: &Span<'_>) -> Option<String> {
    let tag = |key: &str| span.tags.iter().find(|tag| tag.key == key);
    if tag("sampler.type")?.text() != "probabilistic" {
        return None;
    }
    let probability: f64 = tag("sampler.param")?.text().parse().ok()?;
    let is_root = Ids::of(trace, span).is_ok_and(|ids| ids.parent.is_zero());
    (is_root && probability > 0.0 && probability <= 1.0).then(|| {
        let threshold = sampling::threshold_of_probability(probability);
        format!("ot=th:{}", sampling::threshold_text(threshold))
    })
}

fn append_span(
    trace: &Trace<'_>,
    span: &Span<'_>,
    ids: Ids,
    sampled: Option<&str>,
    builder: &mut SpanBatchBuilder,
) {
    builder.begin_resource();
    let named = || trace.processes.get(&span.process_id);
    if let Some(process) = span.process.as_ref().or_else(named) {
        append_resource(process, builder);
    }
    let mut fields = TagFields::default();
    let mut failed = false;
    for tag in &span.tags {
        if tag.key == "error" && tag.text() == "true" {
            failed = true;
        } else if !fields.take(&tag.key, &tag.text()) {
            tag.with_value(|value| builder.span_attribute(tag.key.as_bytes(), value));
        }
    }
    fields.begin_scope(builder);
    append_logs(span, builder);
    append_links(span, ids.trace_id, builder);
    let trace_state = match &*fields.trace_state {
        "" => sampled.unwrap_or_default(),
        own => own,
    };
    builder.end_span(&SpanCore {
        trace_id: ids.trace_id,
        span_id: ids.span_id,
        parent_span_id: ids.parent,
        operation: span.operation.as_bytes(),
        kind: fields.kind,
        status: fields.status.unwrap_or(if failed { 2 } else { 0 }),
        status_message: fields.message.as_bytes(),
        trace_state: trace_state.as_bytes(),
        start_ns: span.start_ns,
        end_ns: span.start_ns.saturating_add(span.duration_ns),
    });
}

fn append_resource(process: &Process<'_>, builder: &mut SpanBatchBuilder) {
    if !process.service.is_empty() {
        let service = ValueRef::String(process.service.as_bytes());
        builder.resource_attribute(SERVICE_NAME.as_bytes(), service);
    }
    for tag in &process.tags {
        tag.with_value(|value| builder.resource_attribute(tag.key.as_bytes(), value));
    }
}

fn append_logs(span: &Span<'_>, builder: &mut SpanBatchBuilder) {
    for log in &span.logs {
        let name = log.fields.iter().position(|field| field.key == EVENT);
        for (i, field) in log.fields.iter().enumerate() {
            if Some(i) != name {
                field.with_value(|value| builder.event_attribute(field.key.as_bytes(), value));
            }
        }
        let name = name.map_or(Cow::Borrowed(""), |i| log.fields[i].text());
        builder.event(log.time_ns, name.as_bytes());
    }
}

/// A reference whose ids are not valid is left out.
fn append_links(span: &Span<'_>, trace_id: TraceId, builder: &mut SpanBatchBuilder) {
    let parent = parent_reference(trace_id, span);
    for reference in &span.references {
        let is_child = reference.ref_type != FOLLOWS_FROM;
        if is_child && parent.is_some_and(|parent| std::ptr::eq(parent, reference)) {
            continue;
        }
        let linked_trace = if reference.trace_id.is_empty() {
            Ok(trace_id)
        } else {
            TraceId::parse_lenient(reference.trace_id.as_bytes())
        };
        let linked_span = SpanId::parse_lenient(reference.span_id.as_bytes());
        let (Ok(linked_trace), Ok(linked_span)) = (linked_trace, linked_span) else {
            continue;
        };
        if is_child {
            builder.link_attribute(REF_TYPE.as_bytes(), ValueRef::String(b"child_of"));
        }
        builder.link(linked_trace, linked_span, b"");
    }
}

impl<'a> Tag<'a> {
    /// The value as text, whatever its type.
    fn text(&self) -> Cow<'a, str> {
        match &self.value {
            Any::String(text) => text.clone(),
            Any::Array(text) | Any::Map(text) => Cow::Owned(text.clone()),
            Any::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Any::Int(value) => Cow::Owned(value.to_string()),
            Any::Double(value) => Cow::Owned(tracediff_core::model::double_text(*value)),
            Any::Null => Cow::Borrowed(""),
        }
    }

    /// Hands over the value with the type that the tag says; with its own where the tag says none or is wrong.
    fn with_value(&self, take: impl FnOnce(ValueRef<'_>)) {
        let parsed = match (&*self.value_type, &self.value) {
            ("int64", Any::String(text)) => text.parse().ok().map(ValueRef::Int),
            ("float64", Any::String(text)) => text.parse().ok().map(ValueRef::Double),
            ("float64", Any::Int(value)) => Some(ValueRef::Double(*value as f64)),
            ("bool", Any::String(text)) => text.parse().ok().map(ValueRef::Bool),
            ("binary", Any::String(text)) => {
                if let Some(bytes) = parse_base64(text.as_bytes()) {
                    return take(ValueRef::Bytes(&bytes));
                }
                None
            }
            _ => None,
        };
        if let Some(value) = parsed.or_else(|| self.value.borrow()) {
            take(value);
        }
    }
}
