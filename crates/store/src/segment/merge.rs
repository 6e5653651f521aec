//! Several segments as one, in bounded memory: batch by batch, up to the trace id that all of them have been read to.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use parquet::errors::ParquetError;
use tracediff_core::model::SpanBatch;

use super::read::{ALL_IDS, Segment};
use super::write::{SegmentWriter, Written, sorted};
use crate::gather::{Gatherer, Place, joint_schema};
use crate::narrow::{narrow, narrow_schema};

/// A segment while it is read.
struct Source {
    batches: BoxStream<'static, Result<SpanBatch, ParquetError>>,
    /// What was read and is not written yet.
    open: Option<SpanBatch>,
    is_at_end: bool,
}

impl Source {
    /// The last trace id that was read.
    fn last(&self) -> Option<u128> {
        let open = self.open.as_ref()?;
        Some(u128::from_be_bytes(open.trace_id(open.len() - 1).0))
    }
}

/// The spans of all segments, each once, as one file; `None` where they have too many columns, and what these hold takes
/// too much beside each other.
pub(crate) async fn merge(
    segments: &[Arc<Segment>],
    level: i32,
) -> Result<Option<Written>, ParquetError> {
    let mut schemas = Vec::new();
    let mut sources = Vec::new();
    for segment in segments {
        schemas.push(segment.schema().await?);
        sources.push(Source {
            batches: segment.spans(&ALL_IDS).await?,
            open: None,
            is_at_end: false,
        });
    }
    let joint = joint_schema(&schemas);
    // What most segments have stays. A key that is an id is in one of them.
    let columns = schemas.iter().flat_map(|schema| schema.fields());
    let narrower = narrow_schema(&joint, columns.map(|field| (&**field, 1)));
    let is_narrower = narrower.is_some();
    let schema = narrower.unwrap_or(joint);
    let mut writer = SegmentWriter::new(Arc::clone(&schema), level)?;
    loop {
        for source in &mut sources {
            while source.open.is_none() && !source.is_at_end {
                match source.batches.try_next().await? {
                    None => source.is_at_end = true,
                    Some(batch) if batch.is_empty() => {}
                    Some(batch) => source.open = Some(batch),
                }
            }
        }
        // The rest of the trace with this id may still be unread, so it is written with what comes next.
        let unfinished = sources.iter().filter(|source| !source.is_at_end);
        let bound = unfinished.filter_map(Source::last).min();
        let mut ready = Vec::new();
        let mut is_stuck = true;
        for source in &mut sources {
            let Some(open) = source.open.take() else {
                continue;
            };
            let is_ready = |row: &usize| {
                bound.is_none_or(|bound| u128::from_be_bytes(open.trace_id(*row).0) < bound)
            };
            let rows = partition_point(open.len(), is_ready);
            if rows > 0 {
                ready.push(open.slice(0, rows));
            }
            if rows < open.len() {
                source.open = Some(open.slice(rows, open.len() - rows));
            }
            is_stuck &= rows == 0;
        }
        if ready.is_empty() && sources.iter().all(|s| s.is_at_end && s.open.is_none()) {
            return writer.finish().map(Some);
        }
        if is_narrower {
            match narrow(&ready, &schema) {
                Some(narrowed) => ready = narrowed,
                None => return Ok(None),
            }
        }
        sorted(&schema, &ready, |batch| writer.write(&batch))?;
        if is_stuck {
            read_on(&mut sources, bound).await?;
        }
    }
}

/// Reads on where the bound comes from: a trace that is longer than a batch.
async fn read_on(sources: &mut [Source], bound: Option<u128>) -> Result<(), ParquetError> {
    for source in sources {
        if source.is_at_end || source.last() != bound {
            continue;
        }
        match source.batches.try_next().await? {
            None => source.is_at_end = true,
            Some(next) => {
                // In order already: one goes on where the other ends.
                let both = source.open.take().into_iter().chain([next]);
                source.open = Some(joined(&both.collect::<Vec<_>>())?);
            }
        }
    }
    Ok(())
}

fn joined(batches: &[SpanBatch]) -> Result<SpanBatch, ParquetError> {
    let schemas: Vec<SchemaRef> = batches.iter().map(|b| b.record_batch().schema()).collect();
    let rows =
        |(number, batch): (u32, &SpanBatch)| (0..batch.len() as u32).map(move |row| (number, row));
    let places: Vec<Place> = (0..).zip(batches).flat_map(rows).collect();
    Ok(Gatherer::new(&joint_schema(&schemas), batches).rows(&places)?)
}

/// How many of the first rows satisfy what rows before them do too.
fn partition_point(rows: usize, is_before: impl Fn(&usize) -> bool) -> usize {
    let (mut low, mut high) = (0, rows);
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_before(&middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
