//! Zipkin v2 JSON into the builder.

use std::collections::BTreeMap;

use tracediff_core::model::{SERVICE_NAME, SpanBatchBuilder, SpanCore, ValueRef};

use super::model::{
    ERROR, Element, LOCAL_ADDRESS, LOCAL_PORT, PEER_ADDRESS, PEER_PORT, PEER_SERVICE, SHARED, Span,
};
use crate::decoded::Decoded;
use crate::error::DecodeError;
use crate::ids::{BadId, Ids};
use crate::json::any::Any;
use crate::json::scalar::kind_of_name;
use crate::json::{Source, commit, is_array, read_document};
use crate::tags::TagFields;

/// Decodes one document into the builder and commits it; `line_base` is the number of lines before it in its file.
///
/// A tag `error` makes the span an error with the tag's text as its message, unless `otel.status_code` says
/// otherwise. A span without a timestamp starts at its first annotation. `shared` becomes the attribute
/// `zipkin.shared`. A span whose ids are not valid is left out and counted. On an error nothing is kept.
pub fn decode_zipkin(
    bytes: &[u8],
    line_base: u64,
    builder: &mut SpanBatchBuilder,
) -> Result<Decoded, DecodeError> {
    let source = Source::new(bytes, line_base);
    let elements: Vec<Element<'_>> = if is_array(bytes) {
        read_document(source)?
    } else {
        vec![Element::Span(Box::new(read_document(source)?))]
    };
    let mut decoded = Decoded::default();
    for element in &elements {
        let spans = match element {
            Element::Span(span) => std::slice::from_ref(&**span),
            Element::Trace(spans) => spans,
        };
        for span in spans {
            match ids(span) {
                Ok(ids) => {
                    append_span(span, ids, builder);
                    decoded.spans += 1;
                }
                Err(bad) => decoded.reject(bad.rejection(source)),
            }
        }
    }
    commit(source, builder)?;
    Ok(decoded)
}

fn ids<'s>(span: &'s Span<'_>) -> Result<Ids, BadId<'s>> {
    Ids::parse(
        ("traceId", &span.trace_id),
        ("id", &span.id),
        ("parentId", &span.parent_id.0),
    )
}

fn append_span(span: &Span<'_>, ids: Ids, builder: &mut SpanBatchBuilder) {
    builder.begin_resource();
    let service = &span.local_endpoint.service_name.0;
    if !service.is_empty() {
        let service = ValueRef::String(service.as_bytes());
        builder.resource_attribute(SERVICE_NAME.as_bytes(), service);
    }
    let mut fields = TagFields::default();
    let mut error = None;
    let mut attributes = Vec::new();
    for (key, value) in &span.tags {
        match value {
            Any::String(text) if key == ERROR => error = Some(text),
            Any::String(text) if fields.take(key, text) => {}
            value => attributes.extend(value.borrow().map(|value| (key, value))),
        }
    }
    fields.begin_scope(builder);
    append_endpoints(span, builder);
    for (key, value) in attributes {
        builder.span_attribute(key.as_bytes(), value);
    }
    for annotation in &span.annotations {
        append_event(annotation.time_ns, &annotation.value, builder);
    }
    let first_annotation = span.annotations.iter().map(|a| a.time_ns).min();
    let start_ns = match span.start_ns {
        0 => first_annotation.unwrap_or(0),
        start_ns => start_ns,
    };
    // Some tracers write `error=true`, which says no more than that there was one.
    let reason = error.filter(|text| **text != "true");
    let message = match &*fields.message {
        "" => reason.map_or("", |text| text),
        message => message,
    };
    builder.end_span(&SpanCore {
        trace_id: ids.trace_id,
        span_id: ids.span_id,
        parent_span_id: ids.parent,
        operation: span.name.0.as_bytes(),
        kind: match &*span.kind.0 {
            "" => fields.kind,
            kind => kind_of_name(kind),
        },
        status: fields.status.unwrap_or(if error.is_some() { 2 } else { 0 }),
        status_message: message.as_bytes(),
        trace_state: fields.trace_state.as_bytes(),
        start_ns,
        end_ns: start_ns.saturating_add(span.duration_ns),
    });
}

fn append_endpoints(span: &Span<'_>, builder: &mut SpanBatchBuilder) {
    let (local, remote) = (&span.local_endpoint, &span.remote_endpoint);
    for (key, text) in [
        (LOCAL_ADDRESS, local.address()),
        (PEER_SERVICE, &remote.service_name.0),
        (PEER_ADDRESS, remote.address()),
    ] {
        if !text.is_empty() {
            builder.span_attribute(key.as_bytes(), ValueRef::String(text.as_bytes()));
        }
    }
    for (key, port) in [(LOCAL_PORT, local.port), (PEER_PORT, remote.port)] {
        if port != 0 {
            builder.span_attribute(key.as_bytes(), ValueRef::Int(port));
        }
    }
    if span.shared {
        builder.span_attribute(SHARED.as_bytes(), ValueRef::Bool(true));
    }
}

/// An annotation is the event's name, or `"name":{"key":value,…}` where an OpenTelemetry exporter had attributes
/// to write.
fn append_event(time_ns: u64, text: &str, builder: &mut SpanBatchBuilder) {
    if text.starts_with('"') {
        let object = format!("{{{text}}}");
        let parsed: Result<BTreeMap<String, BTreeMap<String, Any<'_>>>, _> =
            serde_json::from_str(&object);
        if let Ok(events) = parsed
            && events.len() == 1
        {
            for (name, attributes) in &events {
                for (key, value) in attributes {
                    if let Some(value) = value.borrow() {
                        builder.event_attribute(key.as_bytes(), value);
                    }
                }
                builder.event(time_ns, name.as_bytes());
            }
            return;
        }
    }
    builder.event(time_ns, text.as_bytes());
}
