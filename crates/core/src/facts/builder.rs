//! Builds facts in one pass: traces are gathered into blocks, and each key folds a whole block at a time, so that the
//! hot loop stays in one column and one key's groups.

use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::exemplars::Exemplar;
use super::group::{BlockTrace, Observation, OpenGroup};
use super::histogram::bucket_of_ns;
use super::key::{ENDPOINT, ENTRY_POINT, KeyRole, OPERATION, SERVICE};
use super::open_key::OpenKey;
use super::{Facts, Quality, SliceTraces};
use crate::model::{SERVICE_NAME, Slicing, SpanBatch, semconv};
use crate::trace::{SpanRef, Trace};

/// Spans after which a block is folded into the groups.
const BLOCK_SPANS: usize = 8_192;
/// Attribute keys that are scanned; keys that come later are counted only.
const MAX_KEYS: usize = 2_000;
/// What facts to take.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The slices of the window; traces that begin outside are left out.
    pub slicing: Slicing,
    /// Keys to group by, beside `service`, `operation` and every attribute that is found.
    pub group_by: Vec<String>,
}

/// A span of the block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Where its columns are.
    pub(super) at: SpanRef,
    /// Whether it begins a request.
    pub(super) is_entry: bool,
    pub(super) seen: Observation,
}

/// Rows of the block that follow each other in one batch.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) batch: usize,
    pub(super) rows: Range<usize>,
}

/// Builds [`Facts`] from traces whose spans are in the batches it was made with.
#[derive(Debug)]
pub struct FactsBuilder {
    slicing: Slicing,
    slice_traces: Vec<SliceTraces>,
    all: OpenGroup,
    keys: Vec<OpenKey>,
    keys_by_name: HashMap<String, usize, FixedState>,
    keys_not_scanned: u64,
    quality: Quality,
    batches: Vec<SpanBatch>,
    rows: Vec<Row>,
    runs: Vec<Run>,
    traces: Vec<BlockTrace>,
}

impl FactsBuilder {
    /// A builder for traces of these batches. Batches are cheap to clone.
    pub fn new(plan: &Plan, batches: &[SpanBatch]) -> Self {
        let mut builder = Self {
            slicing: plan.slicing.clone(),
            slice_traces: vec![SliceTraces::default(); plan.slicing.slices().len()],
            all: OpenGroup::default(),
            keys: Vec::new(),
            keys_by_name: HashMap::default(),
            keys_not_scanned: 0,
            quality: Quality::default(),
            batches: batches.to_vec(),
            rows: Vec::with_capacity(BLOCK_SPANS + 1_024),
            runs: Vec::new(),
            traces: Vec::new(),
        };
        builder.add_key(ENTRY_POINT, KeyRole::EntryPoint);
        for name in [SERVICE, OPERATION]
            .into_iter()
            .chain(plan.group_by.iter().map(String::as_str))
        {
            builder.add_key(canonical(name), KeyRole::GroupBy);
        }
        builder.add_key(ENDPOINT, KeyRole::Scanned);
        for batch in batches {
            for column in batch.attribute_columns() {
                builder.add_key(canonical(&column.key), KeyRole::Scanned);
            }
        }
        builder
    }

    /// The number of a key; `None` past the cap of keys.
    fn add_key(&mut self, name: &str, role: KeyRole) -> Option<usize> {
        if let Some(index) = self.keys_by_name.get(name) {
            return Some(*index);
        }
        if self.keys.len() >= MAX_KEYS && role == KeyRole::Scanned {
            self.keys_not_scanned += 1;
            return None;
        }
        let index = self.keys.len();
        self.keys.push(OpenKey::new(name, role, &self.batches));
        self.keys_by_name.insert(name.to_owned(), index);
        Some(index)
    }

    /// Adds a trace: those of its spans that `include` picks (all, or the ones that match a query). Nothing is added
    /// when it picks none, or when the trace begins outside the window.
    pub fn observe(&mut self, trace: &Trace<'_>, include: impl Fn(SpanRef) -> bool) {
        let Some(slice) = self.slicing.find(trace.start_ns()) else {
            self.quality.traces_outside_window += 1;
            return;
        };
        if !trace.spans.iter().any(|span| include(span.at)) {
            return;
        }
        self.quality.add(trace);
        let weight = trace.weight();
        let totals = &mut self.slice_traces[slice];
        totals.traces += 1;
        totals.weight += weight;
        totals.weight_squared += weight * weight;
        let slice = slice as u32;
        let exemplar = Exemplar {
            trace_id: trace.id,
            hash: trace.hash,
            duration_ns: 0,
        };
        self.traces.push(BlockTrace {
            exemplar,
            slice,
            weight,
        });
        let number = self.traces.len() as u32;
        for (index, span) in trace
            .spans
            .iter()
            .enumerate()
            .filter(|(_, s)| include(s.at))
        {
            let seen = Observation {
                trace: number,
                bucket: bucket_of_ns(span.duration_ns),
                is_error: span.is_error,
                duration_ns: span.duration_ns,
                weight: span.weight,
                weighted_duration_ns: span.weight * span.duration_ns as f64,
            };
            self.rows.push(Row {
                at: span.at,
                is_entry: trace.is_entry(index),
                seen,
            });
        }
        if self.rows.len() >= BLOCK_SPANS {
            self.fold();
        }
    }

    /// Folds the block into all keys.
    fn fold(&mut self) {
        for row in &self.rows {
            self.all.add(&row.seen, &self.traces);
        }
        self.all.end_trace(&self.traces);
        let mut start = 0;
        for rows in self.rows.chunk_by(|a, b| a.at.batch == b.at.batch) {
            let end = start + rows.len();
            self.runs.push(Run {
                batch: rows[0].at.batch as usize,
                rows: start..end,
            });
            start = end;
        }
        for key in &mut self.keys {
            key.fold(&self.rows, &self.runs, &self.traces);
        }
        self.fold_other_attributes();
        for key in &mut self.keys {
            key.end_block(&self.traces);
        }
        self.rows.clear();
        self.runs.clear();
        self.traces.clear();
    }

    /// Attributes that found no column of their own: few, so by name.
    fn fold_other_attributes(&mut self) {
        for run in 0..self.runs.len() {
            let Run { batch, rows } = self.runs[run].clone();
            if !self.batches[batch].has_other_attributes() {
                continue;
            }
            let batch = self.batches[batch].clone();
            for row in rows {
                let row = self.rows[row];
                for attribute in batch.other_attributes(row.at.row as usize) {
                    if let Some(index) = self.add_key(canonical(attribute.key), KeyRole::Scanned) {
                        self.keys[index].add_other(&row, attribute.text, &self.traces);
                    }
                }
            }
        }
    }

    /// The facts of all traces that were added.
    pub fn finish(mut self) -> Facts {
        self.fold();
        let keys = self.keys.into_iter().map(OpenKey::close);
        Facts {
            slicing: self.slicing,
            slice_traces: self.slice_traces,
            all: self.all.close(),
            keys: keys.filter(|(_, key)| key.spans > 0).collect(),
            keys_not_scanned: self.keys_not_scanned,
            quality: self.quality,
        }
    }
}

/// The name by which a key is kept: the newest of an attribute, and `service` for `service.name`.
fn canonical(name: &str) -> &str {
    if name == SERVICE_NAME {
        SERVICE
    } else {
        semconv::canonical(name)
    }
}
