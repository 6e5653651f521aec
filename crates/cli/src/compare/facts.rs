//! Facts of one side: in one go where its spans fit in memory, in several passes over the files where they do not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{OccupiedTime, SpanBatch};
use tracediff_core::query::Query;
use tracediff_core::snapshot::{Scope, Selection, Taken, TraceStarts, estimate_clocks, take_part};
use tracediff_core::trace::{TraceIndex, in_part};

use super::input::Source;
use super::memory::bytes_text;
use super::reading::{EARLIEST_NS, Notes, Reading, read};

/// Spans below which one core does it.
const SPANS_FOR_PARTS: usize = 100_000;
/// Parts that traces are dealt into. Fixed, so that the result does not depend on the number of cores.
const PARTS: usize = 4;
/// What facts and the index of traces need beside the columns.
const OVERHEAD: f64 = 1.3;

/// What one reading of a side found.
#[derive(Debug)]
pub(crate) struct Survey {
    sources: Vec<Source>,
    /// All spans; `None` where they did not fit.
    batches: Option<Vec<SpanBatch>>,
    column_bytes: u64,
    pub(crate) time: OccupiedTime,
    pub(crate) notes: Notes,
}

/// Reads a side once: keeps its spans as long as they fit into `limit_bytes`, and when its traces began.
pub(crate) fn survey(
    sources: Vec<Source>,
    reading: Reading<'_>,
    limit_bytes: u64,
) -> anyhow::Result<Survey> {
    let mut kept = Some(Vec::new());
    let mut column_bytes = 0;
    let mut starts = TraceStarts::not_before(EARLIEST_NS);
    let once = sources.iter().find(|source| !source.can_be_read_again());
    let notes = read(&sources, reading, &mut |batch| {
        column_bytes += batch.memory_bytes() as u64;
        starts.add(&batch);
        if (column_bytes as f64 * OVERHEAD) as u64 > limit_bytes {
            if let Some(source) = once {
                bail!(
                    "the spans need more than {}, and {} can be read only once; save it to a file, which can be read \
                     in several passes, or raise --memory-limit",
                    bytes_text(limit_bytes),
                    source.name()
                );
            }
            kept = None;
        }
        if let Some(batches) = &mut kept {
            batches.push(batch);
        }
        Ok(())
    })?;
    Ok(Survey {
        sources,
        batches: kept,
        column_bytes,
        time: starts.into_time(),
        notes,
    })
}

/// Which spans of a side count, as queries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Spans must match all of these.
    pub(crate) matching: Vec<Query>,
    /// Traces (or spans) that match this are kept out.
    pub(crate) excluding: Option<Query>,
    pub(crate) scope: Scope,
}

/// The facts of the traces that the plan's window and the filter pick.
pub(crate) fn take_facts(
    survey: &Survey,
    plan: &Plan,
    filter: &Filter,
    reading: Reading<'_>,
    limit_bytes: u64,
) -> anyhow::Result<Taken> {
    let mut taken = take_all(survey, plan, filter, reading, limit_bytes)?;
    taken.facts.prune();
    Ok(taken)
}

fn take_all(
    survey: &Survey,
    plan: &Plan,
    filter: &Filter,
    reading: Reading<'_>,
    limit_bytes: u64,
) -> anyhow::Result<Taken> {
    let mut plan = plan.clone();
    if let Some(batches) = &survey.batches {
        let index = TraceIndex::build(batches);
        plan.clocks = estimate_clocks(batches, &index, &plan.slicing);
        return take_parallel(batches, &index, &plan, filter);
    }
    let parts = (survey.column_bytes as f64 * OVERHEAD / limit_bytes as f64).ceil() as u64;
    let passes = parts.saturating_add(1);
    const MOST_PASSES: u64 = 64;
    if passes > MOST_PASSES {
        bail!(
            "the spans need {} of memory, which would take {passes} passes within {}; raise --memory-limit or compare \
             shorter windows",
            bytes_text((survey.column_bytes as f64 * OVERHEAD) as u64),
            bytes_text(limit_bytes)
        );
    }
    let mut all: Option<Taken> = None;
    for pass in 0..passes {
        let mut batches = Vec::new();
        read(&survey.sources, reading, &mut |batch| {
            let keep: Vec<bool> = (0..batch.len())
                .map(|row| in_part(&batch.trace_id(row), pass, passes))
                .collect();
            batches.push(batch.filter(&keep));
            Ok(())
        })?;
        let index = TraceIndex::build(&batches);
        if pass == 0 {
            // Each pass holds traces of all times, chosen by their ids: a sample as good as any.
            plan.clocks = estimate_clocks(&batches, &index, &plan.slicing);
        }
        join(&mut all, take_parallel(&batches, &index, &plan, filter)?)?;
    }
    all.context("no pass was made")
}

fn join(all: &mut Option<Taken>, taken: Taken) -> anyhow::Result<()> {
    match all {
        Some(all) => {
            all.facts.merge(&taken.facts)?;
            all.excluded_traces += taken.excluded_traces;
        }
        None => *all = Some(taken),
    }
    Ok(())
}

/// Takes parts on all cores and merges them in order.
fn take_parallel(
    batches: &[SpanBatch],
    index: &TraceIndex,
    plan: &Plan,
    filter: &Filter,
) -> anyhow::Result<Taken> {
    let selection = Selection::of_queries(
        batches,
        &filter.matching,
        filter.excluding.as_ref(),
        filter.scope,
    );
    let spans: usize = batches.iter().map(SpanBatch::len).sum();
    let parts = if spans < SPANS_FOR_PARTS { 1 } else { PARTS };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(parts);
    let next = AtomicUsize::new(0);
    let taken: Mutex<Vec<(usize, Taken)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    if part >= parts {
                        break;
                    }
                    let facts = take_part(batches, index, plan, &selection, part, parts);
                    taken
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((part, facts));
                }
            });
        }
    });
    let mut taken = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
    taken.sort_by_key(|(part, _)| *part);
    let mut all = None;
    for (_, part) in taken {
        join(&mut all, part)?;
    }
    all.context("no part was taken")
}

/// Whether facts hold any span.
pub(crate) fn is_empty(facts: &Facts) -> bool {
    facts.quality.spans == 0
}
