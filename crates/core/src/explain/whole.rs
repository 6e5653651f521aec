//! Traces kept whole, to be looked at.

use std::collections::BTreeMap;

use super::document::{WholeAttribute, WholeSpan, WholeTrace};
use crate::facts::Plan;
use crate::model::{KIND_NAMES, SpanBatch};
use crate::paths::PathBuilder;
use crate::trace::{Assembler, Trace, TraceIndex};

/// The traces with these ids among the batches of one side, by id.
pub fn whole_traces(
    batches: &[SpanBatch],
    index: &TraceIndex,
    plan: &Plan,
    ids: &[String],
    side: &'static str,
) -> BTreeMap<String, WholeTrace> {
    let mut assembler = Assembler::default();
    let mut paths = PathBuilder::new(batches, plan.clocks.clone());
    let mut found = BTreeMap::new();
    for spans in index.traces() {
        let first = spans[0];
        let id = batches[first.batch as usize].trace_id(first.row as usize);
        let id = id.to_string();
        if ids.contains(&id) {
            let trace = assembler.assemble(batches, spans.iter().copied());
            paths.observe(&trace, 0, 1.0, |_| {}, |_| {});
            found.insert(id.clone(), whole(&trace, &paths, id, side));
        }
    }
    found
}

fn whole(trace: &Trace<'_>, paths: &PathBuilder, id: String, side: &'static str) -> WholeTrace {
    let spans = trace.spans.iter().zip(paths.parts()).map(|(span, part)| {
        let (batch, row) = (&trace.batches[span.at.batch as usize], span.at.row as usize);
        let text = |text: Option<&str>| text.map(str::to_owned);
        let attributes = batch.attributes(row).into_iter().map(|a| WholeAttribute {
            key: a.key.to_owned(),
            value: a.text.to_owned(),
        });
        WholeSpan {
            span_id: span.span_id.to_string(),
            parent_span_id: batch.parent_span_id(row).map(|parent| parent.to_string()),
            service: text(batch.service().text(row)),
            operation: text(batch.operation().text(row)),
            kind: KIND_NAMES
                .get(usize::from(span.kind))
                .unwrap_or(&KIND_NAMES[0]),
            is_error: span.is_error,
            start_ns: span.start_ns.to_string(),
            duration_ns: span.duration_ns,
            critical_ns: part.critical_ns,
            attributes: attributes.collect(),
        }
    });
    WholeTrace {
        trace_id: id,
        side,
        spans: spans.collect(),
    }
}
