//! Takes facts of the traces that a selection picks out of batches: what a snapshot holds.

use std::sync::Arc;

use arrow_buffer::BooleanBuffer;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::facts::{Facts, FactsBuilder, Plan};
use crate::model::{OccupiedTime, Slicing, SpanBatch};
use crate::paths::{Clocks, ClocksBuilder};
use crate::query::{Matcher, Query};
use crate::trace::{Assembler, SpanRef, TraceIndex, trace_hash};

/// What a matching span brings in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All spans of every trace that has a matching span.
    #[default]
    Trace,
    /// Only the spans that match.
    Match,
}

/// What becomes of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    Taken,
    NotMatching,
    /// It matches, and has a span that keeps it out.
    KeptOut,
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

    /// Whether a trace is taken, given its spans.
    pub(crate) fn pick(&self, mut spans: impl Iterator<Item = SpanRef> + Clone) -> Pick {
        if !self.takes_all() && !spans.clone().any(|span| self.matches(span)) {
            Pick::NotMatching
        } else if self.scope == Scope::Trace && spans.any(|span| self.excludes(span)) {
            Pick::KeptOut
        } else {
            Pick::Taken
        }
    }

    fn takes_all(&self) -> bool {
        self.matching.is_none() && self.excluding.is_none()
    }
}

/// When the traces of these batches began.
pub fn occupied_time(batches: &[SpanBatch]) -> OccupiedTime {
    let mut starts = TraceStarts::not_before(i64::MIN);
    batches.iter().for_each(|batch| starts.add(batch));
    starts.into_time()
}

/// Gathers when traces began, batch by batch: at their roots, or at their earliest span where no root arrived. What
/// comes out does not depend on the order of the spans.
#[derive(Debug)]
pub struct TraceStarts {
    not_before_ns: i64,
    of_roots: OccupiedTime,
    /// Hashes of the traces that have a root.
    with_root: HashSet<u64, RandomState>,
    /// The earliest span of every other trace, by the trace's hash.
    without_root: HashMap<u64, i64, RandomState>,
}

impl TraceStarts {
    /// Starts before this time, in nanoseconds since the epoch, are passed over.
    pub fn not_before(not_before_ns: i64) -> Self {
        Self {
            not_before_ns,
            of_roots: OccupiedTime::default(),
            with_root: HashSet::default(),
            without_root: HashMap::default(),
        }
    }

    /// Notes the spans of a batch.
    pub fn add(&mut self, batch: &SpanBatch) {
        // Most often a trace's spans follow each other.
        let mut last_with_root = None;
        for row in 0..batch.len() {
            let trace = trace_hash(&batch.trace_id(row));
            let start_ns = batch.start_ns(row);
            if batch.parent_span_id(row).is_none() {
                if self.with_root.insert(trace) {
                    self.without_root.remove(&trace);
                }
                if start_ns >= self.not_before_ns {
                    self.of_roots.add(start_ns);
                }
                last_with_root = Some(trace);
            } else if last_with_root == Some(trace) || self.with_root.contains(&trace) {
                last_with_root = Some(trace);
            } else {
                let earliest = self.without_root.entry(trace).or_insert(start_ns);
                *earliest = start_ns.min(*earliest);
            }
        }
    }

    /// When the traces began.
    pub fn into_time(self) -> OccupiedTime {
        let mut time = self.of_roots;
        self.without_root
            .into_values()
            .filter(|start_ns| *start_ns >= self.not_before_ns)
            .for_each(|start_ns| time.add(start_ns));
        time
    }
}

/// Traces that clocks are estimated from.
const CLOCK_TRACES: usize = 10_000;

/// How far hosts' clocks are apart, from those 10,000 of the traces inside `slicing` whose ids have the smallest
/// hashes; `None` where no clock is seen to be off.
pub fn estimate_clocks(
    batches: &[SpanBatch],
    index: &TraceIndex,
    slicing: &Slicing,
) -> Option<Arc<Clocks>> {
    let starts_inside = |spans: &[SpanRef]| {
        let start_ns = |at: &SpanRef| batches[at.batch as usize].start_ns(at.row as usize);
        let earliest_ns = spans.iter().map(start_ns).min();
        earliest_ns.is_some_and(|start_ns| slicing.find(start_ns).is_some())
    };
    let hash = |spans: &[SpanRef]| {
        let at = spans.first()?;
        Some(trace_hash(
            &batches[at.batch as usize].trace_id(at.row as usize),
        ))
    };
    let mut sample: Vec<(u64, &[SpanRef])> = index
        .traces()
        // A call and its answer are two spans.
        .filter(|spans| spans.len() > 1 && starts_inside(spans))
        .filter_map(|spans| Some((hash(spans)?, spans)))
        .collect();
    if sample.len() > CLOCK_TRACES {
        sample.select_nth_unstable_by_key(CLOCK_TRACES, |(hash, _)| *hash);
        sample.truncate(CLOCK_TRACES);
        // By time again: neighbours have their columns in the cache.
        sample.sort_unstable_by_key(|(_, spans)| spans.first().copied());
    }
    let mut assembler = Assembler::default();
    let mut builder = ClocksBuilder::new(batches);
    for (_, spans) in sample {
        builder.observe(&assembler.assemble(batches, spans.iter().copied()));
    }
    let clocks = builder.finish();
    clocks.correct_any().then(|| Arc::new(clocks))
}

/// Facts and how many traces matched both the selection and what it excludes.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The facts.
    pub facts: Facts,
    /// Traces that were kept out although they match.
    pub excluded_traces: u64,
}

/// The facts of the selected traces.
pub fn take(batches: &[SpanBatch], plan: &Plan, selection: &Selection) -> Taken {
    take_part(batches, &TraceIndex::build(batches), plan, selection, 0, 1)
}

/// The facts of the selected traces among those of `part` of `parts` (see [`TraceIndex::part`]).
///
/// Parts can be taken on different cores; merged in order they are the facts of all.
pub fn take_part(
    batches: &[SpanBatch],
    index: &TraceIndex,
    plan: &Plan,
    selection: &Selection,
    part: usize,
    parts: usize,
) -> Taken {
    let mut builder = FactsBuilder::new(plan, batches);
    let mut assembler = Assembler::default();
    let mut excluded_traces = 0;
    for spans in index.part(part, parts) {
        let mut refs = spans.iter().copied();
        match selection.pick(refs.clone()) {
            Pick::Taken => {}
            Pick::NotMatching => continue,
            Pick::KeptOut => {
                excluded_traces += 1;
                continue;
            }
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
