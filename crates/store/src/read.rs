//! Reads whole traces: first the ids of the traces that a query touches, then every span of these, part by part.
//!
//! A part is a range of trace ids, so that no trace is in two of them and memory is bounded by their size, whatever the
//! window. Parts do not depend on each other: they are read on all cores.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use futures::TryStreamExt as _;
use hashbrown::HashSet;
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracediff_core::model::{Projection, SpanBatch, TraceId, Window};
use tracediff_core::query::{Matcher, Query};

use crate::segment::{Ids, Segment, Sought, may_hold};
use crate::store::Store;

/// Why spans cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A segment.
    #[error("segment {segment} cannot be read")]
    Segment {
        /// The segment's number.
        segment: u64,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// A thread to read on cannot be had.
    #[error("the spans cannot be read on all cores")]
    Threads(#[source] std::io::Error),
}

pub(crate) fn failed(segment: &Segment) -> impl Fn(ParquetError) -> ReadError {
    let segment = segment.meta.number;
    move |source| ReadError::Segment { segment, source }
}

/// Which traces are read, and what of them.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Traces with a span that starts in here and matches the query.
    pub window: Window,
    /// `None` where every span matches.
    pub query: Option<Query>,
    /// Of these traces, the spans that start in here. Wider than `window` where traces are to be whole.
    pub around: Window,
    /// The columns that are looked at. Of others nothing may be there; ids and starts always are.
    pub projection: Projection,
    /// About as many spans are looked at for a part.
    pub part_spans: u64,
}

impl Wanted {
    /// Everything of all spans that start in a window.
    pub fn all(window: Window, part_spans: u64) -> Self {
        Self {
            window,
            query: None,
            around: window,
            projection: Projection::all(),
            part_spans,
        }
    }
}

/// Ids of traces, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TraceIds(Vec<u128>);

impl TraceIds {
    fn new(mut ids: Vec<u128>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self(ids)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, id: &u128) -> bool {
        self.0.binary_search(id).is_ok()
    }

    fn iter(&self) -> impl Iterator<Item = &u128> {
        self.0.iter()
    }

    /// Whether one of them is in a range.
    pub(crate) fn any_in(&self, ids: RangeInclusive<u128>) -> bool {
        let first = self.0.partition_point(|id| id < ids.start());
        self.0.get(first).is_some_and(|id| id <= ids.end())
    }
}

/// Spans, and of how many of them a query is true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Spans that start in the window.
    pub spans: u64,
    /// Those that match.
    pub matching: u64,
    /// The traces that those are of.
    pub traces: u64,
}

/// What the store held at one moment, in parts by trace id that are read one by one.
#[derive(Debug)]
pub struct Reading {
    wanted: Wanted,
    matcher: Option<Matcher>,
    segments: Vec<Arc<Segment>>,
    head: Vec<SpanBatch>,
    parts: Vec<Ids>,
}

/// A small part of what traces are put together from.
const IDS: [&str; 3] = ["trace_id", "span_id", "start"];

impl Store {
    /// All spans of a trace that have arrived, each once; empty where there is none.
    pub async fn trace(&self, id: TraceId) -> Result<Vec<SpanBatch>, ReadError> {
        let (segments, head) = self.view().snapshot();
        let segments = may_hold(&segments, self.objects(), &id)
            .await
            .map_err(|(segment, source)| ReadError::Segment { segment, source })?;
        let number = u128::from_be_bytes(id.0);
        let traces = Arc::new(TraceIds(vec![number]));
        let sought = Sought {
            window: None,
            traces: Some(Arc::clone(&traces)),
        };
        let mut found = Vec::new();
        for segment in segments {
            let ids = number..=number;
            found.extend(scan(&segment, &ids, &Projection::all(), &sought).await?);
        }
        let keeps = |batch: &SpanBatch, row| batch.trace_id(row) == id;
        found.extend(head.iter().filter_map(|batch| kept(batch, keeps)));
        Ok(once(found))
    }

    /// Earliest and latest start of a span, in nanoseconds since the epoch; `None` where there is no span. Starts in the
    /// future are not believed: they would be the end of all data for as long as they are kept.
    pub fn extent_ns(&self) -> Option<(i64, i64)> {
        self.view().read().extent_ns()
    }

    /// How many spans start in a window, how many of these match, and of how many traces they are. Spans that were sent
    /// again count once.
    pub async fn count(&self, query: Option<Query>, window: Window) -> Result<Counts, ReadError> {
        const PART_SPANS: u64 = 1_000_000;
        let matcher = query.as_ref().map(Matcher::new);
        let projection = matcher
            .as_ref()
            .map_or_else(Projection::default, Matcher::projection);
        let reading = self
            .read(Wanted {
                projection,
                ..Wanted::all(window, PART_SPANS)
            })
            .await?;
        let count = move |batches: Vec<SpanBatch>| {
            let mut counts = Counts::default();
            let mut traces: HashSet<u128, RandomState> = HashSet::default();
            for batch in once(batches) {
                counts.spans += batch.len() as u64;
                let matching: Vec<usize> = match &matcher {
                    Some(matcher) => matcher.matching_rows(&batch).set_indices().collect(),
                    None => (0..batch.len()).collect(),
                };
                counts.matching += matching.len() as u64;
                traces.extend(matching.iter().map(|row| trace_number(&batch, *row)));
            }
            counts.traces = traces.len() as u64;
            counts
        };
        let count = move || reading.on_all_cores(count);
        let parts = tokio::task::spawn_blocking(count)
            .await
            .map_err(|e| ReadError::Threads(e.into()))??;
        Ok(parts.into_iter().fold(Counts::default(), |a, b| Counts {
            spans: a.spans + b.spans,
            matching: a.matching + b.matching,
            traces: a.traces + b.traces,
        }))
    }

    /// Traces, to be read in parts.
    pub async fn read(&self, wanted: Wanted) -> Result<Reading, ReadError> {
        let (segments, head) = self.view().snapshot();
        let overlaps = |segment: &Arc<Segment>| segment.overlaps(wanted.around);
        let segments: Vec<_> = segments.into_iter().filter(overlaps).collect();
        let mut spans: u64 = head.iter().map(|batch| batch.len() as u64).sum();
        // Ids that stand for about as many spans each.
        let mut ids = BTreeSet::new();
        for batch in &head {
            let rows = (0..batch.len()).step_by(8_192);
            ids.extend(rows.map(|row| trace_number(batch, row)));
        }
        for segment in &segments {
            spans += segment.meta.spans;
            let known = segment.known().await.map_err(failed(segment))?;
            ids.extend(known.page_ids());
        }
        let count = spans
            .div_ceil(wanted.part_spans.max(1))
            .clamp(1, ids.len().max(1) as u64) as usize;
        let ids: Vec<u128> = ids.into_iter().collect();
        let bounds: BTreeSet<u128> = (1..count)
            .map(|part| ids[part * ids.len() / count])
            .collect();
        let mut parts = Vec::new();
        let mut first = 0;
        for bound in bounds {
            if bound > first {
                parts.push(first..=bound - 1);
                first = bound;
            }
        }
        parts.push(first..=u128::MAX);
        Ok(Reading {
            matcher: wanted.query.as_ref().map(Matcher::new),
            wanted,
            segments,
            head,
            parts,
        })
    }
}

impl Reading {
    /// The number of parts.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The spans of one part. No trace is in two parts. A span that was sent again may be there twice.
    pub async fn part(&self, number: usize) -> Result<Vec<SpanBatch>, ReadError> {
        let ids = &self.parts[number];
        let touched = match &self.matcher {
            None if self.wanted.window == self.wanted.around => None,
            matcher => {
                let touched = self.touched(ids, matcher.as_ref()).await?;
                if touched.traces.len() == 0 {
                    return Ok(Vec::new());
                }
                Some(touched)
            }
        };
        let around = self.wanted.around;
        let sought = Sought {
            window: Some(around),
            traces: None,
        };
        let projection = self.wanted.projection.clone().with_core(&IDS);
        let mut found = Vec::new();
        for (number, segment) in self.segments.iter().enumerate() {
            found.extend(match &touched {
                None => scan(segment, ids, &projection, &sought).await?,
                Some(touched) => {
                    let rows = touched.rows_of(number, segment, ids).await?;
                    scan_rows(segment, rows, &projection, &sought).await?
                }
            });
        }
        let traces = touched.map(|touched| touched.traces);
        let keeps = |batch: &SpanBatch, row| {
            let id = trace_number(batch, row);
            ids.contains(&id)
                && around.contains(batch.start_ns(row))
                && traces.as_ref().is_none_or(|traces| traces.contains(&id))
        };
        found.extend(self.head.iter().filter_map(|batch| kept(batch, keeps)));
        Ok(found)
    }

    /// The traces with ids in this range that have a matching span in the window.
    async fn touched(&self, ids: &Ids, matcher: Option<&Matcher>) -> Result<Touched, ReadError> {
        let window = self.wanted.window;
        let mut touched: Vec<u128> = Vec::new();
        let mut add = |batch: &SpanBatch, is_inside: &dyn Fn(usize) -> bool| {
            let rows: &mut dyn Iterator<Item = usize> = match matcher {
                Some(matcher) => {
                    let rows: Vec<usize> = matcher.matching_rows(batch).set_indices().collect();
                    &mut rows.into_iter()
                }
                None => &mut (0..batch.len()),
            };
            for row in rows.filter(|row| is_inside(*row)) {
                let id = trace_number(batch, row);
                if touched.last() != Some(&id) && ids.contains(&id) {
                    touched.push(id);
                }
            }
        };
        let looked_at = matcher.map_or_else(Projection::default, Matcher::projection);
        let mut runs = Vec::new();
        for segment in &self.segments {
            if !segment.overlaps(window) {
                runs.push(None);
                continue;
            }
            let is_within = segment.is_within(window);
            let projection = looked_at.clone();
            let projection = match is_within {
                true => projection,
                false => projection.with_core(&["start"]),
            };
            let look = |batch: &SpanBatch| {
                add(batch, &|row| {
                    is_within || window.contains(batch.start_ns(row))
                });
            };
            runs.push(Some(
                trace_runs(segment, ids, None, &projection, look).await?,
            ));
        }
        for batch in &self.head {
            add(batch, &|row| window.contains(batch.start_ns(row)));
        }
        Ok(Touched {
            traces: TraceIds::new(touched),
            runs,
        })
    }

    /// What comes of the spans of every part, worked on by all cores; in order of the parts. Blocks, so it must not be
    /// called from asynchronous code.
    pub fn on_all_cores<T: Send>(
        &self,
        work: impl Fn(Vec<SpanBatch>) -> T + Sync,
    ) -> Result<Vec<T>, ReadError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
        let run = || -> Result<(), ReadError> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(ReadError::Threads)?;
            while !has_failed.load(Ordering::Relaxed) {
                let part = next.fetch_add(1, Ordering::Relaxed);
                if part >= self.parts() {
                    break;
                }
                let spans = runtime.block_on(self.part(part)).inspect_err(|_| {
                    has_failed.store(true, Ordering::Relaxed);
                })?;
                let result = work(spans);
                done.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((part, result));
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads.min(self.parts()))
                .map(|_| scope.spawn(run))
                .collect();
            let mut result = run();
            for other in others {
                match other.join() {
                    Ok(other) => result = result.and(other),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            result
        })?;
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(part, _)| *part);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }
}

fn trace_number(batch: &SpanBatch, row: usize) -> u128 {
    u128::from_be_bytes(batch.trace_id(row).0)
}

/// The traces that a query touches, in a range of ids.
#[derive(Debug)]
struct Touched {
    traces: TraceIds,
    /// Where the traces of each segment are, whichever are touched; `None` of segments that were not looked at.
    runs: Vec<Option<Vec<Run>>>,
}

/// The rows of a trace in a segment: they follow each other.
#[derive(Debug)]
struct Run {
    id: u128,
    rows: Range<usize>,
}

impl Touched {
    /// The rows of the touched traces in the segment with this number.
    async fn rows_of(
        &self,
        number: usize,
        segment: &Segment,
        ids: &Ids,
    ) -> Result<Vec<Range<usize>>, ReadError> {
        let found;
        let runs = match &self.runs[number] {
            Some(runs) => runs,
            None => {
                let traces = Some(&self.traces);
                found = trace_runs(segment, ids, traces, &Projection::default(), |_| ()).await?;
                &found
            }
        };
        // Both are in order of their ids.
        let mut touched = self.traces.iter().peekable();
        let mut rows: Vec<Range<usize>> = Vec::new();
        for run in runs {
            while touched.next_if(|id| **id < run.id).is_some() {}
            if touched.peek() != Some(&&run.id) {
                continue;
            }
            match rows.last_mut() {
                Some(before) if before.end == run.rows.start => before.end = run.rows.end,
                _ => rows.push(run.rows.clone()),
            }
        }
        Ok(rows)
    }
}

/// Where the traces are on those pages of a segment that can hold a trace in a range of ids, of `traces` where there are
/// some. `look` sees every span there, with the columns of `projection`.
async fn trace_runs(
    segment: &Segment,
    ids: &Ids,
    traces: Option<&TraceIds>,
    projection: &Projection,
    mut look: impl FnMut(&SpanBatch),
) -> Result<Vec<Run>, ReadError> {
    let failed = failed(segment);
    let known = segment.known().await.map_err(&failed)?;
    let pages = known.rows_of(ids, traces);
    let mut runs: Vec<Run> = Vec::new();
    if pages.is_empty() {
        return Ok(runs);
    }
    let projection = projection.clone().with_core(&["trace_id"]);
    let mut rows = pages.clone().into_iter().flatten();
    let every = Sought::default();
    let batches = segment.scan(pages.into_iter(), &projection, &every).await;
    let mut batches = batches.map_err(&failed)?;
    while let Some(batch) = batches.try_next().await.map_err(&failed)? {
        for (at, row) in (0..batch.len()).zip(&mut rows) {
            let id = trace_number(&batch, at);
            match runs.last_mut() {
                Some(run) if run.id == id && run.rows.end == row => run.rows.end = row + 1,
                _ => runs.push(Run {
                    id,
                    rows: row..row + 1,
                }),
            }
        }
        look(&batch);
    }
    if rows.next().is_some() {
        let fewer = "there are fewer rows than its footer says".to_owned();
        return Err(failed(ParquetError::General(fewer)));
    }
    Ok(runs)
}

/// What a segment holds of the traces in a range of ids.
async fn scan(
    segment: &Segment,
    ids: &Ids,
    projection: &Projection,
    sought: &Sought,
) -> Result<Vec<SpanBatch>, ReadError> {
    let known = segment.known().await.map_err(failed(segment))?;
    let rows = known.rows_of(ids, sought.traces.as_deref());
    let batches = scan_rows(segment, rows, projection, sought).await?;
    // Rows are in order of their ids: those out of the range are at the ends.
    let inside = batches.into_iter().filter_map(|batch| {
        let first = first_row(&batch, |id| id >= *ids.start());
        let end = first_row(&batch, |id| id > *ids.end());
        match (first, end) {
            _ if first == end => None,
            (0, end) if end == batch.len() => Some(batch),
            _ => Some(batch.slice(first, end - first)),
        }
    });
    Ok(inside.collect())
}

/// What a segment holds in these rows.
async fn scan_rows(
    segment: &Segment,
    rows: Vec<Range<usize>>,
    projection: &Projection,
    sought: &Sought,
) -> Result<Vec<SpanBatch>, ReadError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let failed = failed(segment);
    let batches = segment.scan(rows.into_iter(), projection, sought).await;
    let batches = batches.map_err(&failed)?;
    let filled = batches.try_filter(|batch| std::future::ready(!batch.is_empty()));
    filled.try_collect().await.map_err(&failed)
}

/// The first row whose trace id is so, where all behind it are so, too.
fn first_row(batch: &SpanBatch, is_so: impl Fn(u128) -> bool) -> usize {
    let (mut low, mut high) = (0, batch.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_so(trace_number(batch, middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// The rows that are kept; `None` where there are none.
fn kept(batch: &SpanBatch, keeps: impl Fn(&SpanBatch, usize) -> bool) -> Option<SpanBatch> {
    let keep: Vec<bool> = (0..batch.len()).map(|row| keeps(batch, row)).collect();
    if keep.iter().all(|keep| *keep) {
        return (!batch.is_empty()).then(|| batch.clone());
    }
    keep.contains(&true).then(|| batch.filter(&keep))
}

/// The same spans, each once: what was sent again may be in two segments that are not merged yet, or in one request.
pub fn once(batches: Vec<SpanBatch>) -> Vec<SpanBatch> {
    // Seeded, so that nobody can choose ids that all fall into one place.
    let mut seen: HashSet<(u128, u64), RandomState> = HashSet::default();
    let unseen = |batch: SpanBatch| {
        let keep: Vec<bool> = (0..batch.len())
            .map(|row| {
                let span = u64::from_be_bytes(batch.span_id(row).0);
                seen.insert((trace_number(&batch, row), span))
            })
            .collect();
        kept(&batch, |_, row| keep[row])
    };
    batches.into_iter().filter_map(unseen).collect()
}
