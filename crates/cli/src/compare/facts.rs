//! Facts of one side: in one go where its spans fit in memory, in several passes over the files where they do not, and
//! part by part where they are in a span store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, bail};
use tracediff_core::explain::{Question, Testimony, WholeTrace, ask, whole_traces};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{OccupiedTime, Projection, SpanBatch, Window};
use tracediff_core::paths::Clocks;
use tracediff_core::query::Query;
use tracediff_core::snapshot::{Scope, Selection, Taken, TraceStarts, estimate_clocks, take_part};
use tracediff_core::trace::{TraceIndex, in_part};
use tracediff_store::Wanted;

use super::input::Source;
use super::memory::bytes_text;
use super::reading::{EARLIEST_NS, Notes, Reading, read};
use crate::stored::{OpenFolder, around};

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
    spans: Spans,
    column_bytes: u64,
    pub(crate) time: OccupiedTime,
    pub(crate) notes: Notes,
}

/// Where the spans are when they are gone through.
#[derive(Debug)]
enum Spans {
    /// In memory.
    Held(Vec<SpanBatch>),
    /// In the sources: they do not fit into memory at once.
    InSources,
    /// In a span store's folder, which gives them part by part.
    Stored(Arc<OpenFolder>),
}

impl Survey {
    /// What was read.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }
}

/// Looks at when the traces of a span store's folder began: of those that start in these windows.
pub(crate) fn survey_stored(
    folder: &Arc<OpenFolder>,
    windows: &[Window],
    limit_bytes: u64,
) -> anyhow::Result<Survey> {
    let mut time = OccupiedTime::default();
    let mut notes = Notes::default();
    for window in windows {
        let wanted = Wanted {
            projection: Projection::default().with_core(&["parent_span_id"]),
            ..Wanted::all(*window, 0)
        };
        let reading = folder.read(wanted, limit_bytes)?;
        let parts = reading.on_all_cores(|batches| {
            let mut starts = TraceStarts::not_before(EARLIEST_NS);
            batches.iter().for_each(|batch| starts.add(batch));
            let spans: usize = batches.iter().map(SpanBatch::len).sum();
            (starts.into_time(), spans as u64)
        })?;
        for (part, spans) in parts {
            time.merge(&part);
            notes.spans += spans;
        }
    }
    Ok(Survey {
        sources: Vec::new(),
        spans: Spans::Stored(Arc::clone(folder)),
        column_bytes: 0,
        time,
        notes,
    })
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
        spans: kept.map_or(Spans::InSources, Spans::Held),
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

/// One side as it is gone through: the traces of a survey that a plan and a filter pick.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) survey: &'a Survey,
    pub(crate) plan: &'a Plan,
    pub(crate) filter: &'a Filter,
    pub(crate) reading: Reading<'a>,
    pub(crate) limit_bytes: u64,
}

impl Side<'_> {
    /// The facts of the traces, and the clocks they were taken with: the plan's, or those found on the way.
    pub(crate) fn take_facts(&self) -> anyhow::Result<(Taken, Option<Arc<Clocks>>)> {
        // Of the first traces that are read: they are of all times, chosen by their ids, a sample as good as any.
        let clocks = OnceLock::new();
        let estimate = |batches: &[SpanBatch], index: &TraceIndex| {
            clocks
                .get_or_init(|| estimate_clocks(batches, index, &self.plan.slicing))
                .clone()
        };
        if let Spans::Stored(folder) = &self.survey.spans {
            let stored = self.stored(folder)?;
            for part in 0..stored.parts() {
                let batches = folder.part(&stored, part)?;
                if !batches.is_empty() {
                    estimate(&batches, &TraceIndex::build(&batches));
                    break;
                }
            }
        }
        let prepare = |batches: &[SpanBatch], index: &TraceIndex| {
            let clocks = estimate(batches, index);
            (
                Plan {
                    clocks,
                    ..self.plan.clone()
                },
                self.filter.selection(batches),
            )
        };
        let taken = self.traces(prepare, |batches, index, (plan, selection), part| {
            take_part(batches, index, plan, selection, part.0, part.1)
        })?;
        let mut all: Option<Taken> = None;
        for taken in taken {
            match &mut all {
                Some(all) => {
                    all.facts.merge(&taken.facts)?;
                    all.excluded_traces += taken.excluded_traces;
                }
                None => all = Some(taken),
            }
        }
        let mut all = all.context("no part was taken")?;
        all.facts.prune();
        Ok((all, clocks.into_inner().flatten()))
    }

    /// What the traces say to questions about a diff.
    pub(crate) fn ask(
        &self,
        questions: &[Question],
        left_out: &BTreeSet<String>,
    ) -> anyhow::Result<Testimony> {
        let prepare = |batches: &[SpanBatch], _: &TraceIndex| self.filter.selection(batches);
        let heard = self.traces(prepare, |batches, index, selection, part| {
            ask(
                batches, index, self.plan, selection, questions, left_out, part,
            )
        })?;
        let mut all = Testimony::default();
        heard.into_iter().for_each(|part| all.merge(part));
        Ok(all)
    }

    /// The traces with these ids, by id.
    pub(crate) fn fetch(
        &self,
        ids: &[String],
        name: &'static str,
    ) -> anyhow::Result<BTreeMap<String, WholeTrace>> {
        let whole = |batches: &[SpanBatch], index: &TraceIndex| {
            whole_traces(batches, index, self.plan, ids, name)
        };
        if let Spans::Stored(folder) = &self.survey.spans {
            let mut all = BTreeMap::new();
            for id in ids {
                let batches = folder.trace(id.parse()?)?;
                all.append(&mut whole(&batches, &TraceIndex::build(&batches)));
            }
            return Ok(all);
        }
        let found = self.traces(whole, |_, _, found, (part, _)| match part {
            0 => found.clone(),
            _ => BTreeMap::new(),
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    /// What comes of every part of the traces, worked on by all cores; in order of the parts. `prepare` is called once for
    /// the batches that several parts share.
    fn traces<S: Sync, T: Send>(
        &self,
        prepare: impl Fn(&[SpanBatch], &TraceIndex) -> S + Sync,
        work: impl Fn(&[SpanBatch], &TraceIndex, &S, (usize, usize)) -> T + Sync,
    ) -> anyhow::Result<Vec<T>> {
        let mut all = Vec::new();
        let mut of_batches = |batches: &[SpanBatch]| {
            let index = TraceIndex::build(batches);
            let prepared = prepare(batches, &index);
            all.extend(on_all_cores(batches, |part, parts| {
                work(batches, &index, &prepared, (part, parts))
            }));
        };
        match &self.survey.spans {
            Spans::Held(batches) => of_batches(batches),
            Spans::InSources => {
                let passes = self.passes()?;
                for pass in 0..passes {
                    of_batches(&self.pass(pass, passes)?);
                }
            }
            Spans::Stored(folder) => {
                return Ok(self.stored(folder)?.on_all_cores(|batches| {
                    let index = TraceIndex::build(&batches);
                    let prepared = prepare(&batches, &index);
                    work(&batches, &index, &prepared, (0, 1))
                })?);
            }
        }
        Ok(all)
    }

    /// The side's traces in a span store.
    fn stored(&self, folder: &OpenFolder) -> anyhow::Result<tracediff_store::Reading> {
        let slices = self.plan.slicing.slices();
        let (Some(first), Some(last)) = (slices.first(), slices.last()) else {
            bail!("there is no time in which to look for traces");
        };
        let window = around(Window::new(first.from_ns(), last.to_ns())?)?;
        let wanted = Wanted {
            // The others are looked at when the traces are there.
            query: self.filter.matching.last().cloned(),
            projection: Projection::of_facts(),
            ..Wanted::all(window, 0)
        };
        folder.read(wanted, self.limit_bytes)
    }

    /// How often the sources are read.
    fn passes(&self) -> anyhow::Result<u64> {
        let bytes = (self.survey.column_bytes as f64 * OVERHEAD) as u64;
        let passes = bytes.div_ceil(self.limit_bytes).saturating_add(1);
        const MOST_PASSES: u64 = 64;
        if passes > MOST_PASSES {
            bail!(
                "the spans need {} of memory, which would take {passes} passes within {}; raise --memory-limit or \
                 compare shorter windows",
                bytes_text(bytes),
                bytes_text(self.limit_bytes)
            );
        }
        Ok(passes)
    }

    /// The spans of a part of the traces.
    fn pass(&self, pass: u64, passes: u64) -> anyhow::Result<Vec<SpanBatch>> {
        let mut batches = Vec::new();
        read(&self.survey.sources, self.reading, &mut |batch| {
            let keep: Vec<bool> = (0..batch.len())
                .map(|row| in_part(&batch.trace_id(row), pass, passes))
                .collect();
            batches.push(batch.filter(&keep));
            Ok(())
        })?;
        Ok(batches)
    }
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
