//! Makes one trace of its spans: drops duplicates, links parents, breaks cycles, finds roots and orphans.

use std::cmp::Reverse;

use super::index::{SpanRef, trace_hash};
use crate::model::{SpanBatch, SpanId, TraceId};

const NONE: u32 = u32::MAX;
const CLIENT: u8 = 3;
const SERVER: u8 = 2;
const PRODUCER: u8 = 4;
const CONSUMER: u8 = 5;

/// What a span is to its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has no parent.
    Root,
    /// Its parent is in the trace.
    Child,
    /// Its parent is not in the trace.
    Orphan,
    /// Its chain of parents leads back to it; the link to its parent was cut here.
    CutFromCycle,
}

/// A span inside its trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TraceSpan {
    /// Where its columns are.
    pub at: SpanRef,
    /// Its id.
    pub span_id: SpanId,
    /// What it is to its trace.
    pub role: Role,
    /// The parent's id, zero for none.
    parent_id: SpanId,
    /// Index of its parent in [`Trace::spans`]; meaningless unless it is a child.
    parent: u32,
    /// Nanoseconds since the epoch.
    pub start_ns: i64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// OpenTelemetry's number of the span kind.
    pub kind: u8,
    /// Whether it failed.
    pub is_error: bool,
    /// The adjusted count, 1 where the producer did not tell.
    pub weight: f64,
    /// Whether the producer told the adjusted count.
    pub weight_known: bool,
}

impl TraceSpan {
    /// Index of the parent in [`Trace::spans`].
    pub fn parent(&self) -> Option<usize> {
        (self.role == Role::Child).then_some(self.parent as usize)
    }

    /// Nanoseconds since the epoch.
    pub fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add_unsigned(self.duration_ns)
    }
}

/// What was odd in a trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceOddities {
    /// Spans that were there twice (same trace and span id) and were dropped.
    pub duplicates: u32,
    /// Spans whose parent is not in the trace.
    pub orphans: u32,
    /// Parent links that were cut because they led in a circle.
    pub cycles: u32,
    /// Synchronous children that stick out of their parent by more than 1 ms and 1 % of it: clock skew, mostly.
    pub outside_parent: u32,
}

/// One assembled trace.
#[derive(Debug)]
pub struct Trace<'a> {
    /// The batches that the spans are in.
    pub batches: &'a [SpanBatch],
    /// The trace's id.
    pub id: TraceId,
    /// A well-mixed number for the id.
    pub hash: u64,
    /// Its spans without duplicates, by start, then span id.
    pub spans: &'a [TraceSpan],
    /// What was odd.
    pub oddities: TraceOddities,
}

impl Trace<'_> {
    /// Index of the trace's root: the first span without a parent.
    pub fn root(&self) -> Option<usize> {
        self.spans.iter().position(|s| s.role == Role::Root)
    }

    /// When the trace began: its root's start, or the earliest span's where no root arrived.
    pub fn start_ns(&self) -> i64 {
        let first = self.root().unwrap_or(0);
        self.spans.get(first).map_or(0, |s| s.start_ns)
    }

    /// Whether everything arrived as far as can be told: exactly one root, no orphans, no cycles.
    pub fn is_complete(&self) -> bool {
        let roots = self.spans.iter().filter(|s| s.role == Role::Root).count();
        roots == 1 && self.oddities.orphans == 0 && self.oddities.cycles == 0
    }

    /// How many traces this one stands for. All spans of a trace share one random number under consistent sampling, so
    /// a trace is seen at all with the largest probability among its spans: its weight is the smallest of theirs.
    pub fn weight(&self) -> f64 {
        self.spans
            .iter()
            .map(|s| s.weight)
            .reduce(f64::min)
            .unwrap_or(1.0)
    }

    /// Whether a span begins a request or a message's processing: a root, or the consumer of a message.
    pub fn is_entry(&self, index: usize) -> bool {
        let span = &self.spans[index];
        match span.role {
            Role::Root => true,
            Role::Child => {
                span.kind == CONSUMER
                    && span
                        .parent()
                        .is_some_and(|p| self.spans[p].kind != CONSUMER)
            }
            Role::Orphan | Role::CutFromCycle => false,
        }
    }
}

/// What spans are ordered by, as far as it mostly takes.
#[derive(Debug, Clone, Copy)]
struct Order {
    start_ns: i64,
    span_id: SpanId,
    at: SpanRef,
}

/// Among spans with one id: servers behind all others, then by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct IdPlace {
    is_server: bool,
    index: u32,
}

/// Assembles traces one after the other in buffers that are used again.
#[derive(Debug, Default)]
pub struct Assembler {
    order: Vec<Order>,
    spans: Vec<TraceSpan>,
    /// Id and index of every span, by id. The server half of a shared id comes last, so that it is found as the
    /// parent of its children.
    by_id: Vec<(u64, IdPlace)>,
    state: Vec<u8>,
    chain: Vec<usize>,
}

impl Assembler {
    /// The trace of these spans, which must share one trace id and not be empty.
    pub fn assemble<'a>(
        &'a mut self,
        batches: &'a [SpanBatch],
        refs: impl Iterator<Item = SpanRef>,
    ) -> Trace<'a> {
        let mut oddities = TraceOddities::default();
        self.gather(batches, refs);
        self.index_ids();
        oddities.duplicates = self.drop_duplicates(batches);
        self.link(&mut oddities);
        self.cut_cycles(&mut oddities);
        oddities.outside_parent = self.count_outside_parent();
        let id = self.spans.first().map_or_else(TraceId::default, |s| {
            batches[s.at.batch as usize].trace_id(s.at.row as usize)
        });
        Trace {
            batches,
            id,
            hash: trace_hash(&id),
            spans: &self.spans,
            oddities,
        }
    }

    fn gather(&mut self, batches: &[SpanBatch], refs: impl Iterator<Item = SpanRef>) {
        self.order.clear();
        self.order.extend(refs.map(|at| {
            let (batch, row) = (&batches[at.batch as usize], at.row as usize);
            Order {
                start_ns: batch.start_ns(row),
                span_id: batch.span_id(row),
                at,
            }
        }));
        // Copies of one span that differ in anything are ordered by what they hold, so that the same one is kept in
        // whatever order they came.
        let rest = |order: &Order| {
            let (batch, row) = (&batches[order.at.batch as usize], order.at.row as usize);
            let names = (batch.service().text(row), batch.operation().text(row));
            let duration = Reverse(batch.duration_ns(row));
            let parent = batch.parent_span_id(row);
            (
                batch.kind(row),
                duration,
                parent,
                batch.is_error(row),
                names,
                order.at,
            )
        };
        self.order.sort_unstable_by(|a, b| {
            (a.start_ns, a.span_id)
                .cmp(&(b.start_ns, b.span_id))
                .then_with(|| rest(a).cmp(&rest(b)))
        });
        self.spans.clear();
        self.spans.extend(self.order.iter().map(|order| {
            let at = order.at;
            let (batch, row) = (&batches[at.batch as usize], at.row as usize);
            let weight = batch.weight(row);
            TraceSpan {
                at,
                span_id: order.span_id,
                role: Role::Root,
                parent_id: batch.parent_span_id(row).unwrap_or_default(),
                parent: NONE,
                start_ns: order.start_ns,
                duration_ns: batch.duration_ns(row),
                kind: batch.kind(row),
                is_error: batch.is_error(row),
                weight: weight.unwrap_or(1.0).max(1.0),
                weight_known: weight.is_some(),
            }
        }));
    }

    /// Spans with one id are one span, but for Zipkin's way of giving a call's client and server the same id.
    fn drop_duplicates(&mut self, batches: &[SpanBatch]) -> u32 {
        if !self.shares_ids() {
            return 0;
        }
        let mut dropped: Vec<u32> = Vec::new();
        for run in self.by_id.chunk_by(|a, b| a.0 == b.0) {
            let mut kept = [NONE; 2];
            for (_, place) in run {
                let span = &self.spans[place.index as usize];
                let slot = usize::from(span.kind == SERVER);
                let other = kept[1 - slot];
                let is_other_half = other == NONE
                    || (self.spans[other as usize].kind + span.kind == CLIENT + SERVER
                        && service(batches, span) != service(batches, &self.spans[other as usize]));
                if kept[slot] == NONE && is_other_half {
                    kept[slot] = place.index;
                } else {
                    dropped.push(place.index);
                }
            }
        }
        if !dropped.is_empty() {
            dropped.sort_unstable();
            let mut index = 0;
            self.spans.retain(|_| {
                let keep = dropped.binary_search(&index).is_err();
                index += 1;
                keep
            });
            self.index_ids();
        }
        dropped.len() as u32
    }

    fn index_ids(&mut self) {
        self.by_id.clear();
        self.by_id
            .extend((0..).zip(&self.spans).map(|(index, span)| {
                let is_server = span.kind == SERVER;
                (number(span.span_id), IdPlace { is_server, index })
            }));
        self.by_id.sort_unstable();
    }

    /// Whether two spans have one id.
    fn shares_ids(&self) -> bool {
        self.by_id.windows(2).any(|pair| pair[0].0 == pair[1].0)
    }

    fn find(&self, id: SpanId) -> Option<u32> {
        let id = number(id);
        let after = self.by_id.partition_point(|(other, _)| *other <= id);
        let (found, place) = self.by_id.get(after.checked_sub(1)?)?;
        (*found == id).then_some(place.index)
    }

    /// The client half of a call whose server half has the same span id.
    fn shared_client(&self, index: u32) -> Option<u32> {
        let span = &self.spans[index as usize];
        if span.kind != SERVER {
            return None;
        }
        let id = number(span.span_id);
        let first = self.by_id.partition_point(|(other, _)| *other < id);
        let (found, place) = self.by_id.get(first)?;
        (place.index != index && *found == id).then_some(place.index)
    }

    fn link(&mut self, oddities: &mut TraceOddities) {
        let shares_ids = self.shares_ids();
        for index in 0..self.spans.len() as u32 {
            let parent_id = self.spans[index as usize].parent_id;
            let client = shares_ids.then(|| self.shared_client(index)).flatten();
            let (role, parent) = match (client, parent_id.is_zero()) {
                (Some(client), _) => (Role::Child, client),
                (None, true) => (Role::Root, NONE),
                (None, false) => match self.find(parent_id) {
                    Some(parent) => (Role::Child, parent),
                    None => (Role::Orphan, NONE),
                },
            };
            oddities.orphans += u32::from(role == Role::Orphan);
            let span = &mut self.spans[index as usize];
            (span.role, span.parent) = (role, parent);
        }
    }

    /// Follows every chain of parents once; where it meets itself, the earliest span of the circle loses its parent.
    fn cut_cycles(&mut self, oddities: &mut TraceOddities) {
        const UNSEEN: u8 = 0;
        const ON_CHAIN: u8 = 1;
        const DONE: u8 = 2;
        self.state.clear();
        self.state.resize(self.spans.len(), UNSEEN);
        for start in 0..self.spans.len() {
            let mut at = Some(start);
            while let Some(index) = at.filter(|i| self.state[*i] == UNSEEN) {
                self.state[index] = ON_CHAIN;
                self.chain.push(index);
                at = self.spans[index].parent();
            }
            if let Some(index) = at.filter(|i| self.state[*i] == ON_CHAIN) {
                let (mut earliest, mut next) = (index, self.spans[index].parent());
                while let Some(other) = next.filter(|i| *i != index) {
                    // Spans are ordered by start, so the smaller index began first.
                    earliest = earliest.min(other);
                    next = self.spans[other].parent();
                }
                self.spans[earliest].role = Role::CutFromCycle;
                oddities.cycles += 1;
            }
            for index in self.chain.drain(..) {
                self.state[index] = DONE;
            }
        }
    }

    fn count_outside_parent(&self) -> u32 {
        let sticks_out = |span: &&TraceSpan| {
            let Some(parent) = span.parent().map(|p| &self.spans[p]) else {
                return false;
            };
            let tolerance = 1_000_000.max(parent.duration_ns / 100) as i64;
            let asynchronous = span.kind == CONSUMER
                || parent.kind == PRODUCER
                || span.start_ns >= parent.end_ns().saturating_add(tolerance);
            !asynchronous
                && (span.start_ns < parent.start_ns.saturating_sub(tolerance)
                    || span.end_ns() > parent.end_ns().saturating_add(tolerance))
        };
        self.spans.iter().filter(sticks_out).count() as u32
    }
}

fn number(id: SpanId) -> u64 {
    u64::from_be_bytes(id.0)
}

fn service<'a>(batches: &'a [SpanBatch], span: &TraceSpan) -> Option<&'a str> {
    batches[span.at.batch as usize]
        .service()
        .text(span.at.row as usize)
}

#[cfg(test)]
mod tests;
