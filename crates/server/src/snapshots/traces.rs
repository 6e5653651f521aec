//! The traces that a query touches in a window of the store: their facts, and what they say to questions about a diff.
//! Everything here blocks and keeps all cores busy.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use tokio::runtime::Handle;
use tracediff_core::explain::{Question, Testimony, WholeTrace, ask, whole_traces};
use tracediff_core::facts::{Facts, Plan, SlicesOverlap};
use tracediff_core::model::{
    EmptyWindow, OccupiedTime, Projection, Slicing, SpanBatch, TraceId, Window, slice_length_ns,
};
use tracediff_core::query::Query;
use tracediff_core::snapshot::{Scope, Selection, TraceStarts, estimate_clocks, take_part};
use tracediff_core::trace::TraceIndex;
use tracediff_store::{ReadError, Reading, Store, Wanted};

/// Spans that one core works on at a time.
const PART_SPANS: u64 = 250_000;
/// How much before and after a window spans are read, so that traces that begin in it are whole.
const BEFORE_NS: i64 = 60_000_000_000;
const AFTER_NS: i64 = 300_000_000_000;

/// Why traces cannot be gone through.
#[derive(Debug, Error)]
pub(crate) enum TracesError {
    #[error("the spans cannot be read")]
    Read(#[from] ReadError),
    #[error("the window cannot be used")]
    Window(#[from] EmptyWindow),
    #[error("the parts of the facts do not fit together")]
    Merge(#[from] SlicesOverlap),
    /// Whoever wanted it does not want it any more.
    #[error("it was cancelled")]
    Cancelled,
}

/// The traces of a window that a query touches.
#[derive(Debug, Clone)]
pub(crate) struct WindowTraces {
    pub(crate) store: Store,
    pub(crate) query: Query,
    pub(crate) group_by: Vec<String>,
    pub(crate) window: Window,
}

impl WindowTraces {
    /// The facts of the traces that begin in the window. `progress` is told the share that is done, 0 to 1, and says
    /// whether to go on.
    pub(crate) fn facts(
        &self,
        progress: &(dyn Fn(f64) -> bool + Sync),
    ) -> Result<Facts, TracesError> {
        let ranges = self.occupied()?;
        let slice_ns = slice_length_ns(&[self.window], &[self.window]);
        let slicing = Slicing::cut(&ranges, slice_ns);
        let reading = self.reading()?;
        let plan = self.plan(slicing, &reading)?;
        let done = std::sync::atomic::AtomicUsize::new(0);
        let parts = reading.on_all_cores(|batches| {
            let count = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if !progress(count as f64 / reading.parts() as f64) {
                return None;
            }
            let index = TraceIndex::build(&batches);
            Some(take_part(&batches, &index, &plan, &touched(), 0, 1).facts)
        })?;
        let mut all: Option<Facts> = None;
        for part in parts {
            let part = part.ok_or(TracesError::Cancelled)?;
            match &mut all {
                Some(all) => all.merge(&part)?,
                None => all = Some(part),
            }
        }
        // Without a part there is no trace, which is a fact as well.
        let mut all = all.unwrap_or_else(|| {
            take_part(&[], &TraceIndex::build(&[]), &plan, &touched(), 0, 1).facts
        });
        all.prune();
        Ok(all)
    }

    /// What the traces say to questions about a diff whose facts had this slicing.
    pub(crate) fn ask(
        &self,
        slicing: &Slicing,
        questions: &[Question],
        left_out: &BTreeSet<String>,
    ) -> Result<Testimony, TracesError> {
        let reading = self.reading()?;
        let plan = self.plan(slicing.clone(), &reading)?;
        let heard = reading.on_all_cores(|batches| {
            let index = TraceIndex::build(&batches);
            ask(
                &batches,
                &index,
                &plan,
                &touched(),
                questions,
                left_out,
                (0, 1),
            )
        })?;
        let mut all = Testimony::default();
        heard.into_iter().for_each(|part| all.merge(part));
        Ok(all)
    }

    /// The traces with these ids that are stored, in the ids' order.
    pub(crate) fn whole(
        &self,
        slicing: &Slicing,
        ids: &[String],
        side: &'static str,
    ) -> Result<Vec<WholeTrace>, TracesError> {
        let reading = self.reading()?;
        let plan = self.plan(slicing.clone(), &reading)?;
        let mut found = BTreeMap::new();
        for id in ids {
            let Ok(trace) = id.parse::<TraceId>() else {
                continue;
            };
            let batches = Handle::current().block_on(self.store.trace(trace))?;
            let index = TraceIndex::build(&batches);
            found.append(&mut whole_traces(&batches, &index, &plan, ids, side));
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// The parts of the window in which there was traffic, of whatever kind: a time in which nothing was received is
    /// not a time without requests. All of it where there was none.
    fn occupied(&self) -> Result<Vec<Window>, TracesError> {
        let wanted = Wanted {
            projection: Projection::default().with_core(&["parent_span_id"]),
            ..Wanted::all(self.window, PART_SPANS)
        };
        let reading = Handle::current().block_on(self.store.read(wanted))?;
        let parts = reading.on_all_cores(|batches| {
            let mut starts = TraceStarts::not_before(self.window.from_ns());
            batches.iter().for_each(|batch| starts.add(batch));
            starts.into_time()
        })?;
        let mut time = OccupiedTime::default();
        parts.iter().for_each(|part| time.merge(part));
        let ranges: Vec<Window> = time
            .ranges()
            .iter()
            .filter_map(|range| range.intersection(&self.window))
            .collect();
        Ok(if ranges.is_empty() {
            vec![self.window]
        } else {
            ranges
        })
    }

    fn reading(&self) -> Result<Reading, TracesError> {
        let (from_ns, to_ns) = (self.window.from_ns(), self.window.to_ns());
        let around = Window::new(
            from_ns.saturating_sub(BEFORE_NS),
            to_ns.saturating_add(AFTER_NS),
        )?;
        let wanted = Wanted {
            query: Some(self.query.clone()),
            around,
            projection: Projection::of_facts(),
            ..Wanted::all(self.window, PART_SPANS)
        };
        Ok(Handle::current().block_on(self.store.read(wanted))?)
    }

    /// How facts are taken; clocks are estimated from the first traces: chosen by their ids, they are of all times.
    fn plan(&self, slicing: Slicing, reading: &Reading) -> Result<Plan, TracesError> {
        let mut clocks = None;
        for part in 0..reading.parts() {
            let batches: Vec<SpanBatch> = Handle::current().block_on(reading.part(part))?;
            if !batches.is_empty() {
                let index = TraceIndex::build(&batches);
                clocks = estimate_clocks(&batches, &index, &slicing);
                break;
            }
        }
        Ok(Plan {
            slicing,
            group_by: self.group_by.clone(),
            paths: true,
            clocks,
        })
    }
}

/// Every trace that is read is touched by the query: nothing is left to select.
fn touched() -> Selection {
    Selection {
        scope: Scope::Trace,
        ..Selection::default()
    }
}
