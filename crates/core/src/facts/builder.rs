//! Builds facts in one pass: traces are gathered into blocks, and each key folds a whole block at a time, so that the
//! hot loop stays in one column and one key's groups.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::cell::Sums;
use super::exemplars::Exemplar;
use super::group::{BlockTrace, Observation, OpenGroup};
use super::histogram::bucket_of_ns;
use super::key::{ENDPOINT, ENTRY_POINT, KeyRole, OPERATION, SERVICE};
use super::open_key::OpenKey;
use super::{Facts, Quality, SliceTraces};
use crate::model::{SERVICE_NAME, Slicing, SpanBatch, semconv};
use crate::paths::{Call, ClockOffset, Clocks, PathBuilder};
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
    /// Whether to take the call tree too, without which no culprit can be named. Costs about as much again.
    pub paths: bool,
    /// How far hosts' clocks are apart, for the call tree; `None` where no clock is known to be off.
    pub clocks: Option<Arc<Clocks>>,
}

/// Spans of the block that follow each other in one batch.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) batch: usize,
    pub(super) spans: Range<usize>,
}

/// Some traces, with their spans one after the other.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The row of every span in its batch. Apart from what was seen there, because most rows have no value of a key.
    pub(super) rows: Vec<u32>,
    pub(super) spans: Vec<Observation>,
    pub(super) runs: Vec<Run>,
    pub(super) traces: Vec<BlockTrace>,
}

impl Block {
    fn add(&mut self, at: SpanRef, seen: Observation) {
        let (batch, place) = (at.batch as usize, self.rows.len());
        match self.runs.last_mut().filter(|run| run.batch == batch) {
            Some(run) => run.spans.end += 1,
            None => self.runs.push(Run {
                batch,
                spans: place..place + 1,
            }),
        }
        self.rows.push(at.row);
        self.spans.push(seen);
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.spans.clear();
        self.runs.clear();
        self.traces.clear();
    }
}

/// Builds [`Facts`] from traces whose spans are in the batches it was made with.
#[derive(Debug)]
pub struct FactsBuilder {
    slicing: Slicing,
    slice_traces: Vec<SliceTraces>,
    all: OpenGroup,
    keys: Vec<OpenKey>,
    keys_by_name: HashMap<String, usize, FixedState>,
    /// Hashes of the keys past the cap.
    keys_not_scanned: HashSet<u64, FixedState>,
    quality: Quality,
    batches: Vec<SpanBatch>,
    block: Block,
    paths: Option<PathBuilder>,
    /// Visits, edges and dependencies of the block, each with the number of its label.
    calls_seen: Vec<(u32, Observation)>,
    /// The same as groups, by label.
    calls: Vec<OpenGroup>,
    /// Visits and calls of the block, each with the number of its node or edge of the service graph.
    graph_seen: Vec<(u32, Observation)>,
    /// The same as groups, by node or edge.
    graph: Vec<OpenGroup>,
    clock_offsets: BTreeMap<String, ClockOffset>,
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
            keys_not_scanned: HashSet::default(),
            quality: Quality::default(),
            batches: batches.to_vec(),
            block: Block::default(),
            paths: plan
                .paths
                .then(|| PathBuilder::new(batches, plan.clocks.clone())),
            calls_seen: Vec::new(),
            calls: Vec::new(),
            graph_seen: Vec::new(),
            graph: Vec::new(),
            clock_offsets: plan
                .clocks
                .as_ref()
                .filter(|_| plan.paths)
                .map(|clocks| clocks.corrected())
                .unwrap_or_default(),
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
            self.keys_not_scanned
                .insert(FixedState::default().hash_one(name));
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
        self.block.traces.push(BlockTrace {
            exemplar,
            slice,
            weight,
        });
        let number = self.block.traces.len() as u32;
        if let Some(paths) = &mut self.paths {
            let keep = |seen: &mut Vec<(u32, Observation)>, call: Call| {
                seen.push((call.label, observation_of_call(&call, number)));
            };
            let (calls, graph) = (&mut self.calls_seen, &mut self.graph_seen);
            paths.observe(
                trace,
                slice,
                weight,
                |call| keep(calls, call),
                |call| keep(graph, call),
            );
        }
        for (index, span) in trace
            .spans
            .iter()
            .enumerate()
            .filter(|(_, s)| include(s.at))
        {
            let bucket = bucket_of_ns(span.duration_ns);
            let seen = Observation {
                trace: number,
                bucket,
                is_error: span.is_error,
                is_entry: trace.is_entry(index),
                duration_ns: span.duration_ns,
                weight: span.weight,
                sums: Sums::of_span(span.duration_ns, bucket, span.is_error, span.weight),
            };
            self.block.add(span.at, seen);
        }
        if self.block.rows.len() >= BLOCK_SPANS {
            self.fold();
        }
    }

    /// Folds the block into all keys.
    fn fold(&mut self) {
        let block = std::mem::take(&mut self.block);
        for span in &block.spans {
            self.all.add(span, &block.traces);
        }
        self.all.end_trace(&block.traces);
        for key in &mut self.keys {
            key.fold(&block);
        }
        self.fold_other_attributes(&block);
        for key in &mut self.keys {
            key.end_block(&block.traces);
        }
        self.fold_paths(&block.traces);
        self.block = block;
        self.block.clear();
    }

    fn fold_paths(&mut self, traces: &[BlockTrace]) {
        let Some(paths) = &self.paths else {
            return;
        };
        fold_seen(
            &mut self.calls,
            &mut self.calls_seen,
            paths.label_count(),
            traces,
        );
        fold_seen(
            &mut self.graph,
            &mut self.graph_seen,
            paths.graph_len(),
            traces,
        );
    }

    /// Attributes that found no column of their own: few, so by name.
    fn fold_other_attributes(&mut self, block: &Block) {
        for run in &block.runs {
            if !self.batches[run.batch].has_other_attributes() {
                continue;
            }
            let batch = self.batches[run.batch].clone();
            for place in run.spans.clone() {
                for attribute in batch.other_attributes(block.rows[place] as usize) {
                    if let Some(index) = self.add_key(canonical(attribute.key), KeyRole::Scanned) {
                        self.keys[index].add_other(attribute.text, place, block);
                    }
                }
            }
        }
    }

    /// The facts of all traces that were added.
    pub fn finish(mut self) -> Facts {
        self.fold();
        let keys = self.keys.into_iter().map(OpenKey::close);
        let (paths, labels, items) = self.paths.map(PathBuilder::finish).unwrap_or_default();
        let graph = items.into_iter().zip(self.graph);
        let calls = self.calls.into_iter().map(OpenGroup::close);
        let labels = labels.into_iter().map(Arc::unwrap_or_clone);
        let calls = labels.zip(calls);
        Facts {
            slicing: self.slicing,
            slice_traces: self.slice_traces,
            all: self.all.close(),
            keys: keys.filter(|(_, key)| key.spans > 0).collect(),
            keys_not_scanned: self.keys_not_scanned.len() as u64,
            quality: self.quality,
            clock_offsets: self.clock_offsets,
            calls: calls.filter(|(_, group)| group.spans() > 0).collect(),
            graph: graph.map(|(item, group)| (item, group.close())).collect(),
            paths,
        }
    }
}

/// Adds what was seen to the groups of its numbers, of which there are `count` by now.
fn fold_seen(
    groups: &mut Vec<OpenGroup>,
    seen: &mut Vec<(u32, Observation)>,
    count: usize,
    traces: &[BlockTrace],
) {
    groups.resize_with(count, OpenGroup::default);
    for (number, call) in &*seen {
        groups[*number as usize].add(call, traces);
    }
    for (number, _) in seen.drain(..) {
        groups[number as usize].end_trace(traces);
    }
}

fn observation_of_call(call: &Call, trace: u32) -> Observation {
    let bucket = bucket_of_ns(call.time_ns);
    Observation {
        trace,
        bucket,
        is_error: call.is_error,
        is_entry: false,
        duration_ns: call.time_ns,
        weight: call.weight,
        sums: Sums::of_span(call.time_ns, bucket, call.is_error, call.weight),
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
