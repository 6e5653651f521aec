//! A batch as Jaeger JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use tracediff_core::model::{Attribute, SpanBatch, TraceId, ValueType};

use super::model::{CHILD_OF, EVENT, FOLLOWS_FROM, REF_TYPE};
use crate::json::any::AnyOut;
use crate::rows::{Groups, Identity, RowAttributes, identity, service};
use crate::tags::{kind_tag, status_tags};

#[derive(Serialize)]
struct Document<'a> {
    data: Vec<Trace<'a>>,
}

#[derive(Serialize)]
struct Trace<'a> {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<Span<'a>>,
    processes: BTreeMap<String, Process<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: &'a str,
    references: Vec<Reference>,
    /// Microseconds since the epoch.
    start_time: i64,
    /// Microseconds.
    duration: u64,
    tags: Vec<Tag<'a>>,
    logs: Vec<Log<'a>>,
    #[serde(rename = "processID")]
    process_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'a> {
    service_name: &'a str,
    tags: Vec<Tag<'a>>,
}

#[derive(Serialize)]
struct Tag<'a> {
    key: &'a str,
    #[serde(rename = "type")]
    value_type: &'static str,
    value: AnyOut<'a>,
}

#[derive(Serialize)]
struct Log<'a> {
    /// Microseconds since the epoch.
    timestamp: i64,
    fields: Vec<Tag<'a>>,
}

/// A trace whose processes are still being numbered.
struct Open<'a> {
    trace_id: TraceId,
    spans: Vec<Span<'a>>,
    processes: Groups<(&'a str, Identity<'a>), Process<'a>>,
}

/// The batch as one Jaeger document, traces and spans in the order in which they come. Times are cut to whole
/// microseconds; docs/formats.md says what else Jaeger's format cannot hold.
pub fn encode_jaeger(batch: &SpanBatch) -> String {
    let mut traces = Groups::new();
    for row in 0..batch.len() {
        let trace_id = batch.trace_id(row);
        let (_, open) = traces.entry(trace_id, || Open {
            trace_id,
            spans: Vec::new(),
            processes: Groups::new(),
        });
        let attributes = RowAttributes::of(batch, row);
        let service_name = service(batch, row);
        let key = (service_name, identity(&attributes.resource));
        let (process, _) = open.processes.entry(key, || Process {
            service_name,
            tags: attributes.resource.iter().map(Tag::of).collect(),
        });
        open.spans.push(Span {
            trace_id: trace_id.to_string(),
            span_id: batch.span_id(row).to_string(),
            operation_name: batch.operation().text(row).unwrap_or_default(),
            references: references(batch, row),
            start_time: batch.start_ns(row).div_euclid(1_000),
            duration: batch.duration_ns(row) / 1_000,
            tags: tags(batch, row, &attributes),
            logs: logs(batch, row),
            process_id: process_id(process),
        });
    }
    let data = traces.into_groups().into_iter().map(|open| Trace {
        trace_id: open.trace_id.to_string(),
        spans: open.spans,
        processes: open
            .processes
            .into_groups()
            .into_iter()
            .enumerate()
            .map(|(number, process)| (process_id(number), process))
            .collect(),
    });
    let document = Document {
        data: data.collect(),
    };
    serde_json::to_string(&document).unwrap_or_default()
}

fn process_id(number: usize) -> String {
    format!("p{}", number + 1)
}

fn references(batch: &SpanBatch, row: usize) -> Vec<Reference> {
    let parent = batch.parent_span_id(row).map(|parent| Reference {
        ref_type: CHILD_OF,
        trace_id: batch.trace_id(row).to_string(),
        span_id: parent.to_string(),
    });
    let links = batch.links(row).into_iter().map(|link| {
        let is_child = link
            .attributes
            .iter()
            .any(|a| a.key == REF_TYPE && a.text == "child_of");
        Reference {
            ref_type: if is_child { CHILD_OF } else { FOLLOWS_FROM },
            trace_id: link.trace_id.to_string(),
            span_id: link.span_id.to_string(),
        }
    });
    parent.into_iter().chain(links).collect()
}

fn tags<'a>(batch: &'a SpanBatch, row: usize, attributes: &RowAttributes<'a>) -> Vec<Tag<'a>> {
    let own = attributes.span.iter().chain(&attributes.scope).map(Tag::of);
    let told = kind_tag(batch, row)
        .into_iter()
        .chain(status_tags(batch, row));
    let failed = batch.is_error(row).then_some(Tag {
        key: "error",
        value_type: "bool",
        value: AnyOut::Bool(true),
    });
    own.chain(told.map(|(key, text)| Tag::text(key, text)))
        .chain(failed)
        .collect()
}

fn logs(batch: &SpanBatch, row: usize) -> Vec<Log<'_>> {
    let events = batch.events(row).into_iter();
    events
        .map(|event| {
            let name = (!event.name.is_empty()).then(|| Tag::text(EVENT, event.name));
            Log {
                timestamp: event.time_ns.div_euclid(1_000),
                fields: name
                    .into_iter()
                    .chain(event.attributes.iter().map(Tag::of))
                    .collect(),
            }
        })
        .collect()
}

impl<'a> Tag<'a> {
    fn of(attribute: &Attribute<'a>) -> Self {
        let value_type = match attribute.value_type {
            ValueType::Int => "int64",
            ValueType::Double => "float64",
            ValueType::Bool => "bool",
            ValueType::Bytes => "binary",
            ValueType::String | ValueType::Array | ValueType::Map => {
                return Self::text(attribute.key, attribute.text);
            }
        };
        Self {
            key: attribute.key,
            value_type,
            value: AnyOut::of(attribute),
        }
    }

    fn text(key: &'a str, text: &'a str) -> Self {
        Self {
            key,
            value_type: "string",
            value: AnyOut::String(text),
        }
    }
}
