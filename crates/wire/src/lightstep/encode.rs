//! A batch as Lightstep stored traces: what the server answers to clients of that API.

use std::collections::BTreeMap;

use serde::Serialize;
use tracediff_core::model::{Attribute, SpanBatch, TraceId};

use super::model::{COMPONENT, HOST_NAME, HOSTNAME, PARENT};
use crate::json::any::AnyOut;
use crate::rows::{Groups, Identity, RowAttributes, identity, service};
use crate::tags::{kind_tag, status_tags};

#[derive(Serialize)]
struct Document<'a> {
    data: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: String,
    attributes: Attributes<'a>,
    relationships: Relationships<'a>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    spans: Vec<Span<'a>>,
}

#[derive(Serialize)]
struct Relationships<'a> {
    reporters: Vec<Reporter<'a>>,
}

type Tags<'a> = BTreeMap<&'a str, AnyOut<'a>>;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Span<'a> {
    span_id: String,
    span_name: &'a str,
    is_error: bool,
    start_time_micros: i64,
    end_time_micros: i64,
    reporter_id: String,
    tags: BTreeMap<&'a str, Tag<'a>>,
}

/// A tag's value; the parent's id is text of our own.
#[derive(Serialize)]
#[serde(untagged)]
enum Tag<'a> {
    Value(AnyOut<'a>),
    Id(String),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Reporter<'a> {
    reporter_id: String,
    attributes: Tags<'a>,
}

/// A trace whose reporters are still being numbered.
struct Open<'a> {
    trace_id: TraceId,
    spans: Vec<Span<'a>>,
    reporters: Groups<(&'a str, Identity<'a>), Tags<'a>>,
}

/// The batch as one answer, traces and spans in the order in which they come. Times are cut to whole microseconds;
/// docs/formats.md says what else the format cannot hold.
pub fn encode_lightstep(batch: &SpanBatch) -> String {
    let mut traces = Groups::new();
    for row in 0..batch.len() {
        let trace_id = batch.trace_id(row);
        let (_, open) = traces.entry(trace_id, || Open {
            trace_id,
            spans: Vec::new(),
            reporters: Groups::new(),
        });
        let attributes = RowAttributes::of(batch, row);
        let service_name = service(batch, row);
        let key = (service_name, identity(&attributes.resource));
        let (reporter, _) = open
            .reporters
            .entry(key, || reporter(service_name, &attributes.resource));
        let start_ns = batch.start_ns(row);
        let end_ns = start_ns.saturating_add_unsigned(batch.duration_ns(row));
        open.spans.push(Span {
            span_id: batch.span_id(row).to_string(),
            span_name: batch.operation().text(row).unwrap_or_default(),
            is_error: batch.is_error(row),
            start_time_micros: start_ns.div_euclid(1_000),
            end_time_micros: end_ns.div_euclid(1_000),
            reporter_id: reporter_id(reporter),
            tags: tags(batch, row, &attributes),
        });
    }
    let document = Document {
        data: traces.into_groups().into_iter().map(Entry::of).collect(),
    };
    serde_json::to_string(&document).unwrap_or_default()
}

impl<'a> Entry<'a> {
    fn of(open: Open<'a>) -> Self {
        let reporters = open.reporters.into_groups().into_iter().enumerate();
        Self {
            id: open.trace_id.to_string(),
            attributes: Attributes { spans: open.spans },
            relationships: Relationships {
                reporters: reporters
                    .map(|(number, attributes)| Reporter {
                        reporter_id: reporter_id(number),
                        attributes,
                    })
                    .collect(),
            },
        }
    }
}

fn reporter_id(number: usize) -> String {
    format!("{}", number + 1)
}

fn reporter<'a>(service_name: &'a str, resource: &[Attribute<'a>]) -> Tags<'a> {
    let attributes = resource.iter().map(|attribute| {
        let key = match attribute.key {
            HOST_NAME => HOSTNAME,
            key => key,
        };
        (key, AnyOut::of(attribute))
    });
    std::iter::once((COMPONENT, AnyOut::String(service_name)))
        .chain(attributes)
        .collect()
}

fn tags<'a>(
    batch: &'a SpanBatch,
    row: usize,
    attributes: &RowAttributes<'a>,
) -> BTreeMap<&'a str, Tag<'a>> {
    // The span's own attribute wins over the scope's of that name.
    let own = attributes.scope.iter().chain(&attributes.span);
    let own = own.map(|a| (a.key, Tag::Value(AnyOut::of(a))));
    let told = kind_tag(batch, row)
        .into_iter()
        .chain(status_tags(batch, row));
    let told = told.map(|(key, text)| (key, Tag::Value(AnyOut::String(text))));
    let parent = batch.parent_span_id(row);
    let parent = parent.map(|parent| (PARENT, Tag::Id(parent.to_string())));
    own.chain(told).chain(parent).collect()
}
