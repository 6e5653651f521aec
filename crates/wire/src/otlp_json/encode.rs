//! Batches as one OTLP JSON request on one line.

use tracediff_core::model::{Attribute, SERVICE_NAME, SpanBatch, ValueType};

use super::encode_value::push_any_value;
use crate::json::text::{push_comma, push_string};
use crate::rows::{Groups, RowAttributes, identity, service};

const SCOPE_NAME: &str = "otel.scope.name";
const SCOPE_VERSION: &str = "otel.scope.version";

/// Rows of one resource, by scope.
struct Resource<'a> {
    service: &'a str,
    attributes: Vec<Attribute<'a>>,
    scopes: Groups<crate::rows::Identity<'a>, Scope<'a>>,
}

struct Scope<'a> {
    attributes: Vec<Attribute<'a>>,
    spans: String,
}

/// The batch as one request on one line, without a newline at its end. Rows are grouped by resource and scope in
/// the order in which these come. What the batch copied from events into attributes is not written twice, and a
/// weight is told by the trace state only.
pub fn encode_otlp_json(batch: &SpanBatch) -> String {
    encode_otlp_json_batches(std::slice::from_ref(batch))
}

/// The same for several batches, which become one request: what they share of resources and scopes is written once.
pub fn encode_otlp_json_batches(batches: &[SpanBatch]) -> String {
    let mut resources = Groups::new();
    for batch in batches {
        for row in 0..batch.len() {
            let attributes = RowAttributes::of(batch, row);
            let key = (service(batch, row), identity(&attributes.resource));
            let (_, resource) = resources.entry(key, || Resource {
                service: service(batch, row),
                attributes: attributes.resource,
                scopes: Groups::new(),
            });
            let (_, scope) = resource
                .scopes
                .entry(identity(&attributes.scope), || Scope {
                    attributes: attributes.scope,
                    spans: String::new(),
                });
            if !scope.spans.is_empty() {
                scope.spans.push(',');
            }
            push_span(&mut scope.spans, batch, row, &attributes.span);
        }
    }
    let mut out = String::from(r#"{"resourceSpans":["#);
    let mut first = true;
    for resource in resources.into_groups() {
        push_comma(&mut out, &mut first);
        push_resource(&mut out, resource);
    }
    out.push_str("]}");
    out
}

fn push_resource(out: &mut String, resource: Resource<'_>) {
    out.push_str(r#"{"resource":{"attributes":["#);
    let name = Attribute {
        key: SERVICE_NAME,
        origin: tracediff_core::model::Origin::Resource,
        value_type: ValueType::String,
        text: resource.service,
    };
    push_attribute(out, &name);
    for attribute in &resource.attributes {
        out.push(',');
        push_attribute(out, attribute);
    }
    out.push_str(r#"]},"scopeSpans":["#);
    let mut first = true;
    for scope in resource.scopes.into_groups() {
        push_comma(out, &mut first);
        push_scope(out, &scope);
    }
    out.push_str("]}");
}

fn push_scope(out: &mut String, scope: &Scope<'_>) {
    out.push_str(r#"{"scope":{"#);
    let mut first = true;
    let mut others = Vec::new();
    for attribute in &scope.attributes {
        let field = match (attribute.key, attribute.value_type) {
            (SCOPE_NAME, ValueType::String) => "\"name\":",
            (SCOPE_VERSION, ValueType::String) => "\"version\":",
            _ => {
                others.push(*attribute);
                continue;
            }
        };
        push_comma(out, &mut first);
        out.push_str(field);
        push_string(out, attribute.text);
    }
    if !others.is_empty() {
        push_comma(out, &mut first);
        push_attributes(out, &others);
    }
    out.push_str(r#"},"spans":["#);
    out.push_str(&scope.spans);
    out.push_str("]}");
}

fn push_span(out: &mut String, batch: &SpanBatch, row: usize, attributes: &[Attribute<'_>]) {
    let start_ns = batch.start_ns(row);
    let end_ns = (start_ns as u64).saturating_add(batch.duration_ns(row));
    out.push_str(&format!(
        r#"{{"traceId":"{}","spanId":"{}""#,
        batch.trace_id(row),
        batch.span_id(row)
    ));
    if let Some(parent) = batch.parent_span_id(row) {
        out.push_str(&format!(r#","parentSpanId":"{parent}""#));
    }
    if let Some(trace_state) = batch.trace_state(row) {
        out.push_str(r#","traceState":"#);
        push_string(out, trace_state);
    }
    out.push_str(r#","name":"#);
    push_string(out, batch.operation().text(row).unwrap_or_default());
    out.push_str(&format!(
        r#","kind":{},"startTimeUnixNano":"{start_ns}","endTimeUnixNano":"{end_ns}""#,
        batch.kind(row)
    ));
    if !attributes.is_empty() {
        out.push(',');
        push_attributes(out, attributes);
    }
    push_events(out, batch, row);
    push_links(out, batch, row);
    out.push_str(r#","status":{"#);
    let mut first = true;
    if batch.status(row) != 0 {
        push_comma(out, &mut first);
        out.push_str(&format!(r#""code":{}"#, batch.status(row)));
    }
    if let Some(message) = batch.status_message(row) {
        push_comma(out, &mut first);
        out.push_str(r#""message":"#);
        push_string(out, message);
    }
    out.push_str("}}");
}

fn push_events(out: &mut String, batch: &SpanBatch, row: usize) {
    let mut first = true;
    for event in batch.events(row) {
        out.push_str(if first { r#","events":["# } else { "," });
        first = false;
        out.push_str(&format!(r#"{{"timeUnixNano":"{}","name":"#, event.time_ns));
        push_string(out, event.name);
        if !event.attributes.is_empty() {
            out.push(',');
            push_attributes(out, &event.attributes);
        }
        out.push('}');
    }
    if !first {
        out.push(']');
    }
}

fn push_links(out: &mut String, batch: &SpanBatch, row: usize) {
    let mut first = true;
    for link in batch.links(row) {
        out.push_str(if first { r#","links":["# } else { "," });
        first = false;
        out.push_str(&format!(
            r#"{{"traceId":"{}","spanId":"{}""#,
            link.trace_id, link.span_id
        ));
        if !link.trace_state.is_empty() {
            out.push_str(r#","traceState":"#);
            push_string(out, link.trace_state);
        }
        if !link.attributes.is_empty() {
            out.push(',');
            push_attributes(out, &link.attributes);
        }
        out.push('}');
    }
    if !first {
        out.push(']');
    }
}

/// `"attributes":[…]`.
fn push_attributes(out: &mut String, attributes: &[Attribute<'_>]) {
    out.push_str(r#""attributes":["#);
    let mut first = true;
    for attribute in attributes {
        push_comma(out, &mut first);
        push_attribute(out, attribute);
    }
    out.push(']');
}

fn push_attribute(out: &mut String, attribute: &Attribute<'_>) {
    out.push_str(r#"{"key":"#);
    push_string(out, attribute.key);
    out.push_str(r#","value":"#);
    push_any_value(out, attribute.value_type, attribute.text);
    out.push('}');
}
