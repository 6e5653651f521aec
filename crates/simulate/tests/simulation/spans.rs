//! Batches as plain spans.

use std::collections::BTreeMap;

use tracediff_core::model::{SpanBatch, SpanId, TraceId};
use tracediff_simulate::{Settings, simulate};

/// A span, its attributes by key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) service: String,
    pub(crate) operation: String,
    pub(crate) kind: u8,
    pub(crate) is_error: bool,
    pub(crate) start_ns: i64,
    pub(crate) duration_ns: u64,
    pub(crate) weight: Option<f64>,
    pub(crate) trace_state: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) links: Vec<(TraceId, SpanId)>,
    pub(crate) exceptions: usize,
}

impl Span {
    pub(crate) fn end_ns(&self) -> i64 {
        self.start_ns + self.duration_ns as i64
    }

    pub(crate) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// The spans of a window.
pub(crate) fn spans(settings: &Settings) -> Vec<Span> {
    read(&simulate(settings).unwrap())
}

pub(crate) fn read(batches: &[SpanBatch]) -> Vec<Span> {
    let rows = batches
        .iter()
        .flat_map(|b| (0..b.len()).map(move |row| (b, row)));
    rows.map(|(batch, row)| Span {
        trace_id: batch.trace_id(row),
        span_id: batch.span_id(row),
        parent: batch.parent_span_id(row),
        service: batch.service().text(row).unwrap().to_owned(),
        operation: batch.operation().text(row).unwrap().to_owned(),
        kind: batch.kind(row),
        is_error: batch.is_error(row),
        start_ns: batch.start_ns(row),
        duration_ns: batch.duration_ns(row),
        weight: batch.weight(row),
        trace_state: batch.trace_state(row).map(str::to_owned),
        attributes: batch
            .attributes(row)
            .into_iter()
            .map(|a| (a.key.to_owned(), a.text.to_owned()))
            .collect(),
        links: batch
            .links(row)
            .into_iter()
            .map(|l| (l.trace_id, l.span_id))
            .collect(),
        exceptions: batch.events(row).len(),
    })
    .collect()
}
