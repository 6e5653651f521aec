//! What a set of traces is worth as data: completeness, duplicates, orphans, weights.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trace::{Role, Trace};

/// Services that are named as missing parents; more are counted only.
const SERVICES_NAMED: usize = 1_000;

/// Counts over all traces of a side. Raw, not weighted, unless it says so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// Traces.
    pub traces: u64,
    /// Spans, without duplicates.
    pub spans: u64,
    /// Traces with exactly one root, no orphans and no circle of parents.
    pub complete_traces: u64,
    /// Spans whose parent did not arrive.
    pub orphan_spans: u64,
    /// The same by the orphan's service.
    pub orphans_by_service: BTreeMap<String, u64>,
    /// Spans that were there more than once (same trace and span id) and were counted once.
    pub duplicate_spans: u64,
    /// Circles of parents that were cut.
    pub parent_cycles: u64,
    /// Synchronous children that stick out of their parent by more than 1 ms and 1 % of it.
    pub spans_outside_parent: u64,
    /// Spans whose producer told a sampling probability.
    pub spans_with_known_weight: u64,
    /// Σ of adjusted counts over all spans; equal to `spans` without sampling.
    pub weighted_spans: f64,
    /// Σ of squared adjusted counts.
    pub squared_weights: f64,
    /// Traces that began outside the window and were left out.
    pub traces_outside_window: u64,
}

impl Quality {
    /// Notes a trace.
    pub(crate) fn add(&mut self, trace: &Trace<'_>) {
        self.traces += 1;
        self.spans += trace.spans.len() as u64;
        self.complete_traces += u64::from(trace.is_complete());
        self.orphan_spans += u64::from(trace.oddities.orphans);
        self.duplicate_spans += u64::from(trace.oddities.duplicates);
        self.parent_cycles += u64::from(trace.oddities.cycles);
        self.spans_outside_parent += u64::from(trace.oddities.outside_parent);
        for span in trace.spans {
            self.spans_with_known_weight += u64::from(span.weight_known);
            self.weighted_spans += span.weight;
            self.squared_weights += span.weight * span.weight;
            if span.role == Role::Orphan {
                let batch = &trace.batches[span.at.batch as usize];
                self.add_orphan(
                    batch
                        .service()
                        .text(span.at.row as usize)
                        .unwrap_or_default(),
                    1,
                );
            }
        }
    }

    fn add_orphan(&mut self, service: &str, count: u64) {
        if let Some(known) = self.orphans_by_service.get_mut(service) {
            *known += count;
        } else if self.orphans_by_service.len() < SERVICES_NAMED {
            self.orphans_by_service.insert(service.to_owned(), count);
        }
    }

    /// Adds another's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.traces += other.traces;
        self.spans += other.spans;
        self.complete_traces += other.complete_traces;
        self.orphan_spans += other.orphan_spans;
        self.duplicate_spans += other.duplicate_spans;
        self.parent_cycles += other.parent_cycles;
        self.spans_outside_parent += other.spans_outside_parent;
        self.spans_with_known_weight += other.spans_with_known_weight;
        self.weighted_spans += other.weighted_spans;
        self.squared_weights += other.squared_weights;
        self.traces_outside_window += other.traces_outside_window;
        other
            .orphans_by_service
            .iter()
            .for_each(|(service, count)| self.add_orphan(service, *count));
    }

    /// Share of traces that are complete, 0–1; 1 where there are none.
    pub fn completeness_ratio(&self) -> f64 {
        share(self.complete_traces, self.traces, 1.0)
    }

    /// Mean adjusted count of a span; 1 where there are none.
    pub fn mean_weight(&self) -> f64 {
        if self.spans == 0 {
            1.0
        } else {
            self.weighted_spans / self.spans as f64
        }
    }

    /// Share of spans whose producer told a sampling probability, 0–1.
    pub fn known_weight_ratio(&self) -> f64 {
        share(self.spans_with_known_weight, self.spans, 0.0)
    }

    /// (Σw)² / Σw²: the unweighted spans that would carry as much information.
    pub fn effective_spans(&self) -> f64 {
        if self.squared_weights == 0.0 {
            0.0
        } else {
            self.weighted_spans * self.weighted_spans / self.squared_weights
        }
    }
}

fn share(part: u64, whole: u64, of_nothing: f64) -> f64 {
    if whole == 0 {
        of_nothing
    } else {
        part as f64 / whole as f64
    }
}
