//! Takes facts of the traces that a selection picks out of batches: what a snapshot holds.

use arrow_buffer::BooleanBuffer;

use crate::facts::{Facts, FactsBuilder, Plan};
use crate::model::{OccupiedTime, SpanBatch};
use crate::query::{Matcher, Query};
use crate::trace::{Assembler, SpanRef, TraceIndex};

/// What a matching span brings in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All spans of every trace that has a matching span.
    #[default]
    Trace,
    /// Only the spans that match.
    Match,
}

/// Which traces and spans are taken.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// For every batch, whether each row matches; `None` takes everything.
    pub matching: Option<Vec<BooleanBuffer>>,
    /// For every batch, whether each row keeps its trace out (with [`Scope::Trace`]) or itself (with
    /// [`Scope::Match`]), whatever else matches.
    pub excluding: Option<Vec<BooleanBuffer>>,
    /// What a matching span brings in.
    pub scope: Scope,
}

impl Selection {
    /// What `matching` queries (all of them) pick and an `excluding` query keeps out of these batches.
    pub fn of_queries(
        batches: &[SpanBatch],
        matching: &[Query],
        excluding: Option<&Query>,
        scope: Scope,
    ) -> Self {
        let rows = |query: &Query| {
            let matcher = Matcher::new(query);
            batches
                .iter()
                .map(|batch| matcher.matching_rows(batch))
                .collect::<Vec<_>>()
        };
        let both = |a: Vec<BooleanBuffer>, b: Vec<BooleanBuffer>| {
            a.iter().zip(&b).map(|(a, b)| a & b).collect()
        };
        Self {
            matching: matching.iter().map(rows).reduce(both),
            excluding: excluding.map(rows),
            scope,
        }
    }

    fn matches(&self, span: SpanRef) -> bool {
        self.matching
            .as_ref()
            .is_none_or(|rows| rows[span.batch as usize].value(span.row as usize))
    }

    fn excludes(&self, span: SpanRef) -> bool {
        self.excluding
            .as_ref()
            .is_some_and(|rows| rows[span.batch as usize].value(span.row as usize))
    }

    fn takes_all(&self) -> bool {
        self.matching.is_none() && self.excluding.is_none()
    }
}

/// When traces began: read off root spans, and off all spans where no root arrived at all.
#[derive(Debug, Clone, Default)]
pub struct TraceStarts {
    roots: OccupiedTime,
    all: OccupiedTime,
}

impl TraceStarts {
    /// Notes the spans of a batch.
    pub fn add(&mut self, batch: &SpanBatch) {
        for row in 0..batch.len() {
            if batch.parent_span_id(row).is_none() {
                self.roots.add(batch.start_ns(row));
            }
            if self.roots.is_empty() {
                self.all.add(batch.start_ns(row));
            }
        }
    }

    /// The time that the traces occupy.
    pub fn occupied(&self) -> &OccupiedTime {
        if self.roots.is_empty() {
            &self.all
        } else {
            &self.roots
        }
    }
}

/// When the traces of these batches began (see [`TraceStarts`]).
pub fn occupied_time(batches: &[SpanBatch]) -> OccupiedTime {
    let mut starts = TraceStarts::default();
    batches.iter().for_each(|batch| starts.add(batch));
    starts.occupied().clone()
}

/// Facts and how many traces matched both the selection and what it excludes.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The facts.
    pub facts: Facts,
    /// Traces that were kept out although they match.
    pub excluded_traces: u64,
}

/// The facts of the selected traces among those of `part` of `parts` (see [`TraceIndex::build`]).
///
/// Parts can be taken on different cores; merged in order they are the facts of all.
pub fn take(
    batches: &[SpanBatch],
    plan: &Plan,
    selection: &Selection,
    part: u64,
    parts: u64,
) -> Taken {
    let index = TraceIndex::build(batches, part, parts);
    let mut builder = FactsBuilder::new(plan, batches);
    let mut assembler = Assembler::default();
    let mut excluded_traces = 0;
    for spans in index.traces() {
        let mut refs = spans.iter().copied();
        if !selection.takes_all() && !refs.clone().any(|span| selection.matches(span)) {
            continue;
        }
        if selection.scope == Scope::Trace && refs.clone().any(|span| selection.excludes(span)) {
            excluded_traces += 1;
            continue;
        }
        let trace = assembler.assemble(batches, &mut refs);
        match selection.scope {
            Scope::Trace => builder.observe(&trace, |_| true),
            Scope::Match => {
                builder.observe(&trace, |span| {
                    selection.matches(span) && !selection.excludes(span)
                });
            }
        }
    }
    Taken {
        facts: builder.finish(),
        excluded_traces,
    }
}
