//! Facts of one side: in one go where its spans fit in memory, in several passes over the files where they do not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use tracediff_core::explain::{Question, Testimony, WholeTrace, ask, whole_traces};
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

impl Survey {
    /// What was read.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }
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

impl Filter {
    fn selection(&self, batches: &[SpanBatch]) -> Selection {
        Selection::of_queries(batches, &self.matching, self.excluding.as_ref(), self.scope)
    }
}

/// The facts of the traces that the plan's window and the filter pick. The plan gets the clocks that are found first.
pub(crate) fn take_facts(
    survey: &Survey,
    plan: &mut Plan,
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
    plan: &mut Plan,
    filter: &Filter,
    reading: Reading<'_>,
    limit_bytes: u64,
) -> anyhow::Result<Taken> {
    let mut all: Option<Taken> = None;
    in_passes(survey, reading, limit_bytes, &mut |batches, index| {
        if all.is_none() {
            // Each pass holds traces of all times, chosen by their ids: a sample as good as any.
            plan.clocks = estimate_clocks(batches, index, &plan.slicing);
        }
        let (plan, selection) = (&*plan, filter.selection(batches));
        let taken = on_all_cores(batches, |part, parts| {
            take_part(batches, index, plan, &selection, part, parts)
        });
        for taken in taken {
            match &mut all {
                Some(all) => {
                    all.facts.merge(&taken.facts)?;
                    all.excluded_traces += taken.excluded_traces;
                }
                None => all = Some(taken),
            }
        }
        Ok(())
    })?;
    all.context("no part was taken")
}

/// What the traces of a side say to questions about a diff.
pub(crate) fn ask_all(
    survey: &Survey,
    plan: &Plan,
    filter: &Filter,
    (reading, limit_bytes): (Reading<'_>, u64),
    (questions, left_out): (&[Question], &BTreeSet<String>),
) -> anyhow::Result<Testimony> {
    let mut all = Testimony::default();
    in_passes(survey, reading, limit_bytes, &mut |batches, index| {
        let selection = filter.selection(batches);
        let heard = on_all_cores(batches, |part, parts| {
            let part = (part, parts);
            ask(batches, index, plan, &selection, questions, left_out, part)
        });
        heard.into_iter().for_each(|part| all.merge(part));
        Ok(())
    })?;
    Ok(all)
}

/// The traces of a side with these ids, by id.
pub(crate) fn fetch_all(
    survey: &Survey,
    plan: &Plan,
    (reading, limit_bytes): (Reading<'_>, u64),
    ids: &[String],
    side: &'static str,
) -> anyhow::Result<BTreeMap<String, WholeTrace>> {
    let mut all = BTreeMap::new();
    in_passes(survey, reading, limit_bytes, &mut |batches, index| {
        all.append(&mut whole_traces(batches, index, plan, ids, side));
        Ok(())
    })?;
    Ok(all)
}

/// Hands out all spans of a side: at once where they fit in memory, else the spans of a part of the traces at a time.
fn in_passes(
    survey: &Survey,
    reading: Reading<'_>,
    limit_bytes: u64,
    each: &mut dyn FnMut(&[SpanBatch], &TraceIndex) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if let Some(batches) = &survey.batches {
        return each(batches, &TraceIndex::build(batches));
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
    for pass in 0..passes {
        let mut batches = Vec::new();
        read(&survey.sources, reading, &mut |batch| {
            let keep: Vec<bool> = (0..batch.len())
                .map(|row| in_part(&batch.trace_id(row), pass, passes))
                .collect();
            batches.push(batch.filter(&keep));
            Ok(())
        })?;
        each(&batches, &TraceIndex::build(&batches))?;
    }
    Ok(())
}

/// What comes of every part of the traces, worked on by all cores; in order of the parts.
fn on_all_cores<T: Send>(batches: &[SpanBatch], work: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    let spans: usize = batches.iter().map(SpanBatch::len).sum();
    let parts = if spans < SPANS_FOR_PARTS { 1 } else { PARTS };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(parts);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    if part >= parts {
                        break;
                    }
                    let result = work(part, parts);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((part, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(part, _)| *part);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Whether facts hold any span.
pub(crate) fn is_empty(facts: &Facts) -> bool {
    facts.quality.spans == 0
}
