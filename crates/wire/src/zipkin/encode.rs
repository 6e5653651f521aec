//! A batch as Zipkin v2 JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use tracediff_core::model::{Attribute, Event, SpanBatch};

use super::model::{
    ERROR, LOCAL_ADDRESS, LOCAL_PORT, PEER_ADDRESS, PEER_PORT, PEER_SERVICE, SHARED,
};
use crate::json::any::AnyOut;
use crate::rows::{RowAttributes, service};
use crate::tags::status_tags;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    name: &'a str,
    /// Microseconds since the epoch.
    timestamp: i64,
    /// Microseconds.
    duration: u64,
    local_endpoint: Endpoint<'a>,
    #[serde(skip_serializing_if = "Endpoint::is_empty")]
    remote_endpoint: Endpoint<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    service_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ipv4: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ipv6: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

#[derive(Serialize)]
struct Annotation {
    /// Microseconds since the epoch.
    timestamp: i64,
    value: String,
}

/// The batch as one Zipkin document, spans in order. Times are cut to whole microseconds, attributes become text;
/// docs/formats.md says what else Zipkin's format cannot hold.
pub fn encode_zipkin(batch: &SpanBatch) -> String {
    let spans: Vec<Span<'_>> = (0..batch.len()).map(|row| span(batch, row)).collect();
    serde_json::to_string(&spans).unwrap_or_default()
}

fn span(batch: &SpanBatch, row: usize) -> Span<'_> {
    let mut span = Span {
        trace_id: batch.trace_id(row).to_string(),
        id: batch.span_id(row).to_string(),
        parent_id: batch.parent_span_id(row).map(|id| id.to_string()),
        kind: match batch.kind(row) {
            2 => Some("SERVER"),
            3 => Some("CLIENT"),
            4 => Some("PRODUCER"),
            5 => Some("CONSUMER"),
            _ => None,
        },
        name: batch.operation().text(row).unwrap_or_default(),
        timestamp: batch.start_ns(row).div_euclid(1_000),
        duration: batch.duration_ns(row) / 1_000,
        local_endpoint: Endpoint {
            service_name: service(batch, row),
            ..Endpoint::default()
        },
        remote_endpoint: Endpoint::default(),
        annotations: batch.events(row).iter().map(Annotation::of).collect(),
        tags: BTreeMap::new(),
        shared: false,
    };
    let attributes = RowAttributes::of(batch, row);
    // The span's own attribute wins over the scope's and the resource's of that name.
    let all = attributes.resource.iter().chain(&attributes.scope);
    for attribute in all.chain(&attributes.span) {
        span.set(attribute);
    }
    span.tags.extend(status_tags(batch, row));
    if batch.is_error(row) {
        let message = batch.status_message(row);
        span.tags.insert(ERROR, message.unwrap_or("true"));
    }
    span
}

impl<'a> Span<'a> {
    fn set(&mut self, attribute: &Attribute<'a>) {
        let text = attribute.text;
        match attribute.key {
            PEER_SERVICE => self.remote_endpoint.service_name = text,
            LOCAL_ADDRESS => self.local_endpoint.set_address(text),
            PEER_ADDRESS => self.remote_endpoint.set_address(text),
            LOCAL_PORT if text.parse::<u16>().is_ok() => {
                self.local_endpoint.port = text.parse().ok();
            }
            PEER_PORT if text.parse::<u16>().is_ok() => {
                self.remote_endpoint.port = text.parse().ok();
            }
            SHARED if text == "true" => self.shared = true,
            key => {
                self.tags.insert(key, text);
            }
        }
    }
}

impl<'a> Endpoint<'a> {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn set_address(&mut self, address: &'a str) {
        if address.contains(':') {
            self.ipv6 = address;
        } else {
            self.ipv4 = address;
        }
    }
}

impl Annotation {
    /// `"name":{"key":value,…}` where there are attributes, as OpenTelemetry's exporters write it; also where the
    /// name could be taken for that.
    fn of(event: &Event<'_>) -> Self {
        let value = if event.attributes.is_empty() && !event.name.starts_with('"') {
            event.name.to_owned()
        } else {
            let attributes = event.attributes.iter().map(|a| (a.key, AnyOut::of(a)));
            let attributes: BTreeMap<&str, AnyOut<'_>> = attributes.collect();
            let object = BTreeMap::from([(event.name, attributes)]);
            let text = serde_json::to_string(&object).unwrap_or_default();
            text.trim_start_matches('{')
                .strip_suffix('}')
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            timestamp: event.time_ns.div_euclid(1_000),
            value,
        }
    }
}
