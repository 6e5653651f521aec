//! The rows that a request should become, told from prost's messages: slow, plain, and by other code.

use std::collections::BTreeMap;

use base64::Engine as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use tracediff_core::model::sampling::adjusted_count;

use super::{AttributeRow, Row};

/// The rows of all sound spans, in order, and the number of those that are not.
pub(super) fn expected_rows(request: &ExportTraceServiceRequest) -> (Vec<Row>, usize) {
    let (mut rows, mut rejected) = (Vec::new(), 0);
    for resource_spans in &request.resource_spans {
        for scope_spans in &resource_spans.scope_spans {
            for span in &scope_spans.spans {
                if is_sound(span) {
                    rows.push(expected_row(
                        resource_spans,
                        scope_spans.scope.as_ref(),
                        span,
                    ));
                } else {
                    rejected += 1;
                }
            }
        }
    }
    (rows, rejected)
}

fn is_sound(span: &Span) -> bool {
    let is_id = |id: &[u8], len| id.len() == len && id.iter().any(|byte| *byte != 0);
    let may_be_id = |id: &[u8], len| id.is_empty() || id.len() == len;
    let mut links = span.links.iter();
    is_id(&span.trace_id, 16)
        && is_id(&span.span_id, 8)
        && may_be_id(&span.parent_span_id, 8)
        && links.all(|link| may_be_id(&link.trace_id, 16) && may_be_id(&link.span_id, 8))
}

fn expected_row(
    resource: &ResourceSpans,
    scope: Option<&InstrumentationScope>,
    span: &Span,
) -> Row {
    let resource = resource.resource.iter().flat_map(|r| &r.attributes);
    let mut resource = last_of_each(resource);
    let service = resource.remove("service.name");
    let mut scope_attributes = last_of_each(scope.iter().flat_map(|s| &s.attributes));
    if let Some(scope) = scope {
        for (key, text) in [
            ("otel.scope.name", &scope.name),
            ("otel.scope.version", &scope.version),
        ] {
            if !text.is_empty() {
                scope_attributes.insert(key.to_owned(), ("string", text.clone()));
            }
        }
    }
    let own = last_of_each(&span.attributes);
    let mut of_events = BTreeMap::new();
    for attribute in span.events.iter().flat_map(|e| &e.attributes) {
        if attribute.key == "exception.type"
            && let Some(value) = typed_text(attribute)
        {
            of_events.entry(attribute.key.clone()).or_insert(value);
        }
    }
    of_events.retain(|key, _| !own.contains_key(key));
    let overridden = |key: &str| own.contains_key(key) || of_events.contains_key(key);
    resource.retain(|key, _| !overridden(key));
    scope_attributes.retain(|key, _| !overridden(key));
    let mut attributes = Vec::new();
    for (origin, set) in [
        ("resource", resource),
        ("scope", scope_attributes),
        ("event", of_events.clone()),
        ("span", own.clone()),
    ] {
        for (key, (value_type, text)) in set {
            attributes.push((origin, key, value_type, text));
        }
    }
    attributes.sort();
    let status = span.status.clone().unwrap_or_default();
    Row {
        trace_id: hex(&span.trace_id, 16),
        span_id: hex(&span.span_id, 8),
        parent_span_id: (span.parent_span_id.iter().any(|byte| *byte != 0))
            .then(|| hex(&span.parent_span_id, 8)),
        service: service.map_or("unknown_service".to_owned(), |(_, text)| text),
        operation: span.name.clone(),
        kind: u8::try_from(span.kind)
            .ok()
            .filter(|kind| *kind <= 5)
            .unwrap_or(0),
        status: u8::try_from(status.code)
            .ok()
            .filter(|code| *code <= 2)
            .unwrap_or(0),
        status_message: status.message,
        trace_state: span.trace_state.clone(),
        start_ns: i64::try_from(span.start_time_unix_nano).unwrap_or(i64::MAX),
        duration_ns: span
            .end_time_unix_nano
            .saturating_sub(span.start_time_unix_nano),
        weight: adjusted_count(&span.trace_state),
        attributes,
        events: span
            .events
            .iter()
            .map(|event| {
                let time_ns = i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX);
                (
                    time_ns,
                    event.name.clone(),
                    nested("event", &event.attributes),
                )
            })
            .collect(),
        links: span
            .links
            .iter()
            .map(|link| {
                (
                    hex(&link.trace_id, 16),
                    hex(&link.span_id, 8),
                    link.trace_state.clone(),
                    nested("span", &link.attributes),
                )
            })
            .collect(),
    }
}

/// The id in hex; zeros for none.
fn hex(id: &[u8], len: usize) -> String {
    let mut padded = id.to_vec();
    padded.resize(len, 0);
    padded.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn last_of_each<'a>(
    attributes: impl IntoIterator<Item = &'a KeyValue>,
) -> BTreeMap<String, (&'static str, String)> {
    let attributes = attributes.into_iter();
    attributes
        .filter_map(|a| Some((a.key.clone(), typed_text(a)?)))
        .collect()
}

fn nested(origin: &'static str, attributes: &[KeyValue]) -> Vec<AttributeRow> {
    let attributes = attributes.iter();
    attributes
        .filter_map(|a| {
            let (value_type, text) = typed_text(a)?;
            Some((origin, a.key.clone(), value_type, text))
        })
        .collect()
}

fn typed_text(attribute: &KeyValue) -> Option<(&'static str, String)> {
    Some(match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => ("string", text.clone()),
        Value::IntValue(number) => ("int", number.to_string()),
        Value::DoubleValue(number) => ("double", format!("{number:?}")),
        Value::BoolValue(truth) => ("bool", truth.to_string()),
        Value::BytesValue(bytes) => ("bytes", base64(bytes)),
        value @ Value::ArrayValue(_) => ("array", json(Some(value))),
        value @ Value::KvlistValue(_) => ("map", json(Some(value))),
        Value::StringValueStrindex(_) => return None,
    })
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn json(value: Option<&Value>) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    match value {
        None | Some(Value::StringValueStrindex(_)) => "null".to_owned(),
        Some(Value::StringValue(text)) => quoted(text),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) if number.is_nan() => quoted("NaN"),
        Some(Value::DoubleValue(f64::INFINITY)) => quoted("Infinity"),
        Some(Value::DoubleValue(f64::NEG_INFINITY)) => quoted("-Infinity"),
        Some(Value::DoubleValue(number)) => format!("{number:?}"),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::BytesValue(bytes)) => format!("{{\"bytesValue\":\"{}\"}}", base64(bytes)),
        Some(Value::ArrayValue(list)) => {
            let values = list.values.iter();
            let texts: Vec<_> = values.map(|v| json(v.value.as_ref())).collect();
            format!("[{}]", texts.join(","))
        }
        Some(Value::KvlistValue(list)) => {
            let pair = |pair: &KeyValue| {
                let value = pair.value.as_ref().and_then(|v| v.value.as_ref());
                format!("{}:{}", quoted(&pair.key), json(value))
            };
            let texts: Vec<_> = list.values.iter().map(pair).collect();
            format!("{{{}}}", texts.join(","))
        }
    }
}
