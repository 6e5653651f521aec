//! Lightstep stored traces into the builder.

use tracediff_core::model::{SERVICE_NAME, SpanBatchBuilder, SpanCore};

use super::model::{
    COMPONENT, Document, Entry, HOST_NAME, HOSTNAME, OneOrMore, PARENT, Span, Tags, reporters_by_id,
};
use crate::decoded::Decoded;
use crate::error::DecodeError;
use crate::ids::{BadId, Ids, parse_span_id, parse_trace_id};
use crate::json::any::Any;
use crate::json::{Source, commit, is_array, read_document};
use crate::tags::TagFields;

/// Decodes one document into the builder and commits it; `line_base` is the number of lines before it in its file.
///
/// The trace's id is the span's `trace-id`, else the entry's `id`; where neither is an id, it is made from the root's
/// span id, so that it is the same whichever span led to the trace. A span whose ids are not valid is left out and
/// counted. On an error nothing is kept.
pub fn decode_lightstep(
    bytes: &[u8],
    line_base: u64,
    builder: &mut SpanBatchBuilder,
) -> Result<Decoded, DecodeError> {
    let source = Source::new(bytes, line_base);
    let entries = if is_array(bytes) {
        read_document::<OneOrMore<'_>>(source)?.0
    } else {
        let document: Document<'_> = read_document(source)?;
        let own = Entry {
            id: document.id,
            attributes: document.attributes,
            relationships: document.relationships,
        };
        document.data.0.into_iter().chain([own]).collect()
    };
    let mut decoded = Decoded::default();
    for entry in &entries {
        append_entry(source, entry, builder, &mut decoded);
    }
    commit(source, builder)?;
    Ok(decoded)
}

fn append_entry(
    source: Source<'_>,
    entry: &Entry<'_>,
    builder: &mut SpanBatchBuilder,
    decoded: &mut Decoded,
) {
    let reporters = reporters_by_id(entry);
    let trace_id = trace_id(entry);
    for span in &entry.attributes.spans {
        match ids(&trace_id, span) {
            Ok(ids) => {
                builder.begin_resource();
                if let Some(attributes) = reporters.get(&*span.reporter_id.text()) {
                    append_resource(attributes, builder);
                }
                append_span(span, ids, builder);
                decoded.spans += 1;
            }
            Err(bad) => decoded.reject(bad.rejection(source)),
        }
    }
}

/// The id of a trace, for spans that do not tell it.
fn trace_id(entry: &Entry<'_>) -> String {
    if parse_trace_id(&entry.id.0).is_ok() {
        return entry.id.0.to_string();
    }
    let spans = entry.attributes.spans.iter();
    let ids = spans.filter_map(|span| {
        let id = parse_span_id(&span.span_id).ok()?;
        Some((!parent_text(span).is_empty(), id))
    });
    ids.min()
        .map_or(String::new(), |(_, root)| root.to_string())
}

/// The ids of a span, or which of them is wrong.
fn ids<'s>(of_entry: &'s str, span: &'s Span<'_>) -> Result<Ids, BadId<'s>> {
    let trace_id = match &*span.trace_id.0 {
        "" => of_entry,
        own => own,
    };
    Ids::parse(
        ("trace-id", trace_id),
        ("span-id", &span.span_id),
        ("tags.parent_span_guid", parent_text(span)),
    )
}

fn parent_text<'s>(span: &'s Span<'_>) -> &'s str {
    match span.tags.get(PARENT) {
        Some(Any::String(text)) => text,
        _ => "",
    }
}

fn append_resource(attributes: &Tags<'_>, builder: &mut SpanBatchBuilder) {
    for (key, value) in attributes {
        let key = match &**key {
            COMPONENT => SERVICE_NAME,
            HOSTNAME => HOST_NAME,
            key => key,
        };
        if let Some(value) = value.borrow() {
            builder.resource_attribute(key.as_bytes(), value);
        }
    }
}

fn append_span(span: &Span<'_>, ids: Ids, builder: &mut SpanBatchBuilder) {
    let mut fields = TagFields::default();
    let mut attributes = Vec::new();
    for (key, value) in &span.tags {
        match value {
            Any::String(_) if key == PARENT => {}
            Any::String(text) if fields.take(key, text) => {}
            value => attributes.extend(value.borrow().map(|value| (key, value))),
        }
    }
    fields.begin_scope(builder);
    for (key, value) in attributes {
        builder.span_attribute(key.as_bytes(), value);
    }
    let status = if span.is_error { 2 } else { 0 };
    builder.end_span(&SpanCore {
        trace_id: ids.trace_id,
        span_id: ids.span_id,
        parent_span_id: ids.parent,
        operation: span.span_name.as_bytes(),
        kind: fields.kind,
        status: fields.status.unwrap_or(status),
        status_message: fields.message.as_bytes(),
        trace_state: fields.trace_state.as_bytes(),
        start_ns: span.start_ns,
        end_ns: span.end_ns,
    });
}
