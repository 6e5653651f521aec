//! Reads whole traces: every span of every trace whose id is in a range, from segments and head.

use std::collections::BTreeSet;

use foldhash::fast::RandomState;
use futures::TryStreamExt;
use hashbrown::HashSet;
use parquet::errors::ParquetError;
use thiserror::Error;
use tracediff_core::model::{SpanBatch, TraceId, Window};

use crate::segment::{Ids, Segment};
use crate::store::Store;

/// Why spans cannot be read.
#[derive(Debug, Error)]
#[error("segment {segment} cannot be read")]
pub struct ReadError {
    /// The segment's number.
    pub segment: u64,
    /// Why.
    #[source]
    pub source: ParquetError,
}

/// What the store held at one moment, in parts by trace id that are read one by one.
#[derive(Debug)]
pub struct Reading {
    window: Window,
    segments: Vec<std::sync::Arc<Segment>>,
    head: Vec<SpanBatch>,
    parts: Vec<Ids>,
}

impl Store {
    /// All spans of a trace that have arrived, each once; empty where there is none.
    pub async fn trace(&self, id: TraceId) -> Result<Vec<SpanBatch>, ReadError> {
        let (segments, head) = self.view().snapshot();
        let id = u128::from_be_bytes(id.0);
        read_ids(&segments, &head, &(id..=id), |_| true).await
    }

    /// Earliest and latest start of a span, in nanoseconds since the epoch; `None` where there is no span. Starts in the
    /// future are not believed: they would be the end of all data for as long as they are kept.
    pub fn extent_ns(&self) -> Option<(i64, i64)> {
        self.view().read().extent_ns()
    }

    /// Spans that start in a window, to be read in parts of about `part_spans` spans, each of whole traces. A window that
    /// is to hold whole traces must have a margin.
    pub async fn read(&self, window: Window, part_spans: u64) -> Result<Reading, ReadError> {
        let (segments, head) = self.view().snapshot();
        let overlaps = |segment: &std::sync::Arc<Segment>| {
            segment.meta.first_start_ns < window.to_ns()
                && segment.meta.last_start_ns >= window.from_ns()
        };
        let segments: Vec<_> = segments.into_iter().filter(overlaps).collect();
        let mut spans: u64 = head.iter().map(|batch| batch.len() as u64).sum();
        // Ids that stand for about as many spans each.
        let mut ids = BTreeSet::new();
        for batch in &head {
            let rows = (0..batch.len()).step_by(8_192);
            ids.extend(rows.map(|row| u128::from_be_bytes(batch.trace_id(row).0)));
        }
        for segment in &segments {
            spans += segment.meta.spans;
            let failed = |source| ReadError {
                segment: segment.meta.number,
                source,
            };
            ids.extend(segment.page_ids().await.map_err(failed)?);
        }
        let count = spans
            .div_ceil(part_spans.max(1))
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
            window,
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

    /// The spans of one part. No trace is in two parts.
    pub async fn part(&self, number: usize) -> Result<Vec<SpanBatch>, ReadError> {
        let window = self.window;
        let is_inside = |start_ns: i64| window.contains(start_ns);
        read_ids(&self.segments, &self.head, &self.parts[number], is_inside).await
    }
}

async fn read_ids(
    segments: &[std::sync::Arc<Segment>],
    head: &[SpanBatch],
    ids: &Ids,
    is_inside: impl Fn(i64) -> bool,
) -> Result<Vec<SpanBatch>, ReadError> {
    let mut found = Vec::new();
    let mut add = |batch: SpanBatch| {
        let keeps = |row: usize| {
            ids.contains(&u128::from_be_bytes(batch.trace_id(row).0))
                && is_inside(batch.start_ns(row))
        };
        let keep: Vec<bool> = (0..batch.len()).map(keeps).collect();
        if keep.iter().all(|keep| *keep) {
            found.extend((!batch.is_empty()).then_some(batch));
        } else if keep.contains(&true) {
            found.push(batch.filter(&keep));
        }
    };
    for segment in segments {
        let failed = |source| ReadError {
            segment: segment.meta.number,
            source,
        };
        let mut batches = segment.spans(ids).await.map_err(failed)?;
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            add(batch);
        }
    }
    head.iter().cloned().for_each(add);
    Ok(once(found))
}

/// The same spans, each once: what was sent again may be in two segments that are not merged yet, or in one request.
fn once(batches: Vec<SpanBatch>) -> Vec<SpanBatch> {
    // Seeded, so that nobody can choose ids that all fall into one place.
    let mut seen: HashSet<(u128, u64), RandomState> = HashSet::default();
    let unseen = |batch: SpanBatch| {
        let keep: Vec<bool> = (0..batch.len())
            .map(|row| {
                let trace = u128::from_be_bytes(batch.trace_id(row).0);
                seen.insert((trace, u64::from_be_bytes(batch.span_id(row).0)))
            })
            .collect();
        if keep.iter().all(|keep| *keep) {
            Some(batch)
        } else {
            keep.contains(&true).then(|| batch.filter(&keep))
        }
    };
    batches.into_iter().filter_map(unseen).collect()
}
