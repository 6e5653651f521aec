//! Jaeger JSON into the builder.

use std::borrow::Cow;

use tracediff_core::model::{SERVICE_NAME, SpanBatchBuilder, SpanCore, ValueRef, sampling};

use super::model::{
    CHILD_OF, Document, EVENT, FOLLOWS_FROM, Process, REF_TYPE, Reference, Span, Tag, Trace,
};
use crate::decoded::Decoded;
use crate::error::DecodeError;
use crate::ids::{BadId, Ids, parse_span_id, parse_trace_id};
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
            return Err(DecodeError::malformed(
                source.start(),
                format!("Jaeger answered with an error: {}", failure.msg),
            ));
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
        match ids(trace, span) {
            Ok(ids) => {
                append_span(trace, span, ids, sampled.as_deref(), builder);
                decoded.spans += 1;
            }
            Err(bad) => decoded.reject(bad.rejection(source)),
        }
    }
}

/// The ids of a span, or which of them is wrong.
fn ids<'s>(trace: &'s Trace<'_>, span: &'s Span<'_>) -> Result<Ids, BadId<'s>> {
    let trace_id = trace_id_text(trace, span);
    let parent = match parent_reference(trace_id, span) {
        Some(reference) => ("references", &*reference.span_id),
        None => ("parentSpanID", &*span.parent_span_id),
    };
    Ids::parse(("traceID", trace_id), ("spanID", &span.span_id), parent)
}

fn trace_id_text<'s>(trace: &'s Trace<'_>, span: &'s Span<'_>) -> &'s str {
    if span.trace_id.is_empty() {
        &trace.trace_id
    } else {
        &span.trace_id
    }
}

/// The reference that names the parent.
fn parent_reference<'s, 'a>(trace_id: &str, span: &'s Span<'a>) -> Option<&'s Reference<'a>> {
    [CHILD_OF, FOLLOWS_FROM].into_iter().find_map(|ref_type| {
        span.references
            .iter()
            .find(|r| r.ref_type == ref_type && is_of(r, trace_id))
    })
}

/// Whether a reference leads into that trace. One without a trace id does.
fn is_of(reference: &Reference<'_>, trace_id: &str) -> bool {
    reference.trace_id.is_empty()
        || reference.trace_id == trace_id
        || parse_trace_id(&reference.trace_id)
            .is_ok_and(|linked| parse_trace_id(trace_id) == Ok(linked))
}

/// The trace state that tells the sampling probability of a root, where its tags tell that.
fn sampled(trace: &Trace<'_>, span: &Span<'_>) -> Option<String> {
    let tag = |key: &str| span.tags.iter().find(|tag| tag.key == key);
    if tag("sampler.type")?.value.text() != "probabilistic" {
        return None;
    }
    let probability: f64 = tag("sampler.param")?.value.text().parse().ok()?;
    let is_root = ids(trace, span).is_ok_and(|ids| ids.parent.is_zero());
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
    let mut attributes = Vec::new();
    for tag in &span.tags {
        if tag.key == "error" && tag.value.text() == "true" {
            failed = true;
        } else if !fields.take(&tag.key, &tag.value.text()) {
            attributes.push(tag);
        }
    }
    fields.begin_scope(builder);
    for tag in attributes {
        tag.with_value(|value| builder.span_attribute(tag.key.as_bytes(), value));
    }
    append_logs(span, builder);
    append_links(trace_id_text(trace, span), span, builder);
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
        let name = name.map_or(Cow::Borrowed(""), |i| log.fields[i].value.text());
        builder.event(log.time_ns, name.as_bytes());
    }
}

/// A reference whose ids are not valid is left out.
fn append_links(trace_id: &str, span: &Span<'_>, builder: &mut SpanBatchBuilder) {
    let parent = parent_reference(trace_id, span);
    for reference in &span.references {
        let is_child = reference.ref_type != FOLLOWS_FROM;
        if is_child && parent.is_some_and(|parent| std::ptr::eq(parent, reference)) {
            continue;
        }
        let linked_trace = match &*reference.trace_id {
            "" => trace_id,
            text => text,
        };
        let (Ok(linked_trace), Ok(linked_span)) = (
            parse_trace_id(linked_trace),
            parse_span_id(&reference.span_id),
        ) else {
            continue;
        };
        if is_child {
            builder.link_attribute(REF_TYPE.as_bytes(), ValueRef::String(b"child_of"));
        }
        builder.link(linked_trace, linked_span, b"");
    }
}

impl Tag<'_> {
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
