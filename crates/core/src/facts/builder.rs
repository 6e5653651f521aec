//! Builds facts in one pass: traces are gathered into blocks, and each key folds a whole block at a time, so that the
//! hot loop stays in one column and one key's groups.

use arrow_array::Array as _;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::exemplars::Exemplar;
use super::group::{BlockTrace, Group, Observation, OpenGroup};
use super::histogram::bucket_of_ns;
use super::key::{ENDPOINT, ENTRY_POINT, Key, KeyRole, OPERATION, PRUNE_FACTOR, SERVICE};
use super::{Facts, Quality, SliceTraces};
use crate::model::{SERVICE_NAME, Slicing, SpanBatch, TextColumn, semconv};
use crate::trace::{SpanRef, Trace};

/// Spans after which a block is folded into the groups.
const BLOCK_SPANS: usize = 8_192;
/// Attribute keys that are scanned; keys that come later are counted only.
const MAX_KEYS: usize = 2_000;
/// Longer values are cut, with a hash of the whole behind them, to name a group.
const MAX_LABEL_BYTES: usize = 256;

const UNRESOLVED: u32 = u32::MAX;

/// What facts to take.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The slices of the window; traces that begin outside are left out.
    pub slicing: Slicing,
    /// Keys to group by, beside `service`, `operation` and every attribute that is found.
    pub group_by: Vec<String>,
}

/// A key under construction.
#[derive(Debug)]
struct OpenKey {
    name: String,
    key: Key,
    groups: Vec<OpenGroup>,
    labels: Vec<String>,
    by_label: HashMap<String, u32, FixedState>,
    /// Where the key's values are, by batch.
    sources: Vec<Source>,
    touched: Vec<u32>,
}

/// Where a key's values are in one batch.
#[derive(Debug)]
enum Source {
    Absent,
    /// Columns to look into, first answer wins, each with the group of every code.
    Columns(Vec<(TextColumn, Vec<u32>)>),
    /// Groups of pairs of service and operation codes; of spans that begin a request only, or of all.
    Endpoints {
        service: TextColumn,
        operation: TextColumn,
        groups: HashMap<(u32, u32), u32, FixedState>,
        entries_only: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Row {
    at: SpanRef,
    is_entry: bool,
    seen: Observation,
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
        self.keys.push(OpenKey {
            name: name.to_owned(),
            key: Key::new(role),
            groups: Vec::new(),
            labels: Vec::new(),
            by_label: HashMap::default(),
            sources: self
                .batches
                .iter()
                .map(|batch| source(name, batch))
                .collect(),
            touched: Vec::new(),
        });
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
                slice,
                bucket: bucket_of_ns(span.duration_ns),
                is_error: span.is_error,
                duration_ns: span.duration_ns,
                weight: span.weight,
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
        for key in &mut self.keys {
            key.fold(&self.rows, &self.traces);
        }
        if self.batches.iter().any(SpanBatch::has_other_attributes) {
            self.fold_other_attributes();
        }
        for key in &mut self.keys {
            key.end_block(&self.traces);
        }
        self.rows.clear();
        self.traces.clear();
    }

    /// Attributes that found no column of their own: few, so by name.
    fn fold_other_attributes(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        for row in &rows {
            let batch = self.batches[row.at.batch as usize].clone();
            for attribute in batch.other_attributes(row.at.row as usize) {
                if let Some(index) = self.add_key(canonical(attribute.key), KeyRole::Scanned) {
                    self.keys[index].add_other(row, attribute.text, &self.traces);
                }
            }
        }
        self.rows = rows;
    }

    /// The facts of all traces that were added.
    pub fn finish(mut self) -> Facts {
        self.fold();
        let keys = self
            .keys
            .into_iter()
            .map(|open| (open.name.clone(), open.close()));
        Facts {
            slicing: self.slicing,
            slice_traces: self.slice_traces,
            all: self.all.group,
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

fn source(key: &str, batch: &SpanBatch) -> Source {
    let column = |column: &TextColumn| (column.clone(), vec![UNRESOLVED; column.values().len()]);
    let endpoints = |entries_only| Source::Endpoints {
        service: batch.service().clone(),
        operation: batch.operation().clone(),
        groups: HashMap::default(),
        entries_only,
    };
    match key {
        SERVICE => Source::Columns(vec![column(batch.service())]),
        OPERATION => Source::Columns(vec![column(batch.operation())]),
        ENTRY_POINT => endpoints(true),
        ENDPOINT => endpoints(false),
        _ => {
            let columns: Vec<_> = batch
                .columns_of(key)
                .iter()
                .map(|c| column(&c.column))
                .collect();
            if columns.is_empty() {
                Source::Absent
            } else {
                Source::Columns(columns)
            }
        }
    }
}

impl OpenKey {
    fn fold(&mut self, rows: &[Row], traces: &[BlockTrace]) {
        if self.key.identifier.is_some() {
            return;
        }
        let Self {
            sources,
            groups,
            labels,
            by_label,
            touched,
            key,
            ..
        } = self;
        let mut open = Groups {
            groups,
            labels,
            by_label,
        };
        for row in rows {
            let at = row.at.row as usize;
            let group = match &mut sources[row.at.batch as usize] {
                Source::Absent => continue,
                Source::Columns(columns) => {
                    let found = columns
                        .iter_mut()
                        .find_map(|(c, g)| c.code(at).map(|code| (c, g, code)));
                    let Some((column, groups_of, code)) = found else {
                        continue;
                    };
                    if groups_of[code] == UNRESOLVED {
                        groups_of[code] = open.resolve(column.values().value(code));
                    }
                    groups_of[code]
                }
                Source::Endpoints {
                    service,
                    operation,
                    groups,
                    entries_only,
                } => {
                    if *entries_only && !row.is_entry {
                        continue;
                    }
                    let (Some(s), Some(o)) = (service.code(at), operation.code(at)) else {
                        continue;
                    };
                    *groups.entry((s as u32, o as u32)).or_insert_with(|| {
                        open.resolve(&endpoint(
                            service.values().value(s),
                            operation.values().value(o),
                        ))
                    })
                }
            };
            key.spans += 1;
            if open.groups[group as usize].add(&row.seen, traces) {
                touched.push(group);
            }
        }
    }

    fn add_other(&mut self, row: &Row, value: &str, traces: &[BlockTrace]) {
        if self.key.identifier.is_some() {
            return;
        }
        let Self {
            groups,
            labels,
            by_label,
            ..
        } = self;
        let group = Groups {
            groups,
            labels,
            by_label,
        }
        .resolve(value);
        self.key.spans += 1;
        if self.groups[group as usize].add(&row.seen, traces) {
            self.touched.push(group);
        }
    }

    /// Ends the traces of the block and keeps the groups within bounds.
    fn end_block(&mut self, traces: &[BlockTrace]) {
        for group in self.touched.drain(..) {
            self.groups[group as usize].end_trace(traces);
        }
        if self.groups.len() > PRUNE_FACTOR * self.key.role.cap() {
            self.move_groups();
            self.key.prune();
            self.reopen();
        }
    }

    /// Moves the open groups into the key.
    fn move_groups(&mut self) {
        let groups = self.groups.drain(..).map(|open| open.group);
        self.key.groups.extend(self.labels.drain(..).zip(groups));
        self.by_label.clear();
    }

    /// Opens the groups that the key kept, under new numbers.
    fn reopen(&mut self) {
        for source in &mut self.sources {
            match source {
                Source::Absent => {}
                Source::Columns(columns) => columns
                    .iter_mut()
                    .for_each(|(_, groups)| groups.fill(UNRESOLVED)),
                Source::Endpoints { groups, .. } => groups.clear(),
            }
        }
        for (label, group) in std::mem::take(&mut self.key.groups) {
            self.by_label
                .insert(label.clone(), self.groups.len() as u32);
            self.labels.push(label);
            self.groups.push(OpenGroup::holding(group));
        }
    }

    fn close(mut self) -> Key {
        self.move_groups();
        if self.key.groups.len() > self.key.role.cap() {
            self.key.prune();
        }
        self.key
    }
}

/// The groups of a key, by label.
struct Groups<'a> {
    groups: &'a mut Vec<OpenGroup>,
    labels: &'a mut Vec<String>,
    by_label: &'a mut HashMap<String, u32, FixedState>,
}

impl Groups<'_> {
    #[cold]
    fn resolve(&mut self, value: &str) -> u32 {
        let label = label(value);
        if let Some(group) = self.by_label.get(&*label) {
            return *group;
        }
        let group = self.groups.len() as u32;
        self.groups.push(OpenGroup::holding(Group::default()));
        self.labels.push(label.clone().into_owned());
        self.by_label.insert(label.into_owned(), group);
        group
    }
}

/// The name of a group: the value, cut where it is very long.
fn label(value: &str) -> std::borrow::Cow<'_, str> {
    use std::hash::BuildHasher;
    if value.len() <= MAX_LABEL_BYTES {
        return value.into();
    }
    let end = value.floor_char_boundary(MAX_LABEL_BYTES);
    let hash = FixedState::default().hash_one(value);
    format!("{}… ({} bytes, #{hash:016x})", &value[..end], value.len()).into()
}

/// The value of an endpoint or entry point.
pub(crate) fn endpoint(service: &str, operation: &str) -> String {
    format!("{service}: {operation}")
}
