//! Which segments may hold a trace: a look at one block of 32 bytes of each segment's Bloom filter.
//!
//! Parquet's own reader reads the whole filter, a megabyte of each segment; which block tells of an id follows from its
//! hash alone (Parquet format, "Bloom Filter").

use std::ops::Range;
use std::sync::Arc;

use object_store::Error as StorageError;
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use tracediff_core::model::TraceId;
use twox_hash::XxHash64;

use super::read::Segment;
use crate::objects::Objects;

/// Bytes of a block.
const BLOCK_BYTES: u64 = 32;

/// The filter of a row group: where its blocks are in the file. `None` where it has none.
#[derive(Debug, Clone)]
pub(crate) struct FilterPlace(Option<Range<u64>>);

pub(super) fn filter_places(metadata: &ParquetMetaData) -> Vec<FilterPlace> {
    let groups = metadata.row_groups().iter();
    let place = |group: &parquet::file::metadata::RowGroupMetaData| {
        let mut columns = group.columns().iter();
        let column = columns.find(|column| column.column_path().string() == "trace_id")?;
        let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(column.bloom_filter_length()?).ok()?;
        // A header of a few bytes comes first, and blocks are a power of two.
        let blocks = 1 << length.checked_ilog2()?;
        Some(start + length - blocks..start + length)
    };
    groups.map(|group| FilterPlace(place(group))).collect()
}

impl FilterPlace {
    /// The block that tells of an id.
    fn block(&self, id: &TraceId) -> Option<Range<u64>> {
        let Self(blocks) = self;
        let blocks = blocks.as_ref()?;
        let count = (blocks.end - blocks.start) / BLOCK_BYTES;
        let number = ((XxHash64::oneshot(0, &id.0) >> 32) * count) >> 32;
        let start = blocks.start + number * BLOCK_BYTES;
        Some(start..start + BLOCK_BYTES)
    }
}

/// Those of the segments that may hold spans of a trace: all that do, and few others.
pub(crate) async fn may_hold(
    segments: &[Arc<Segment>],
    objects: &Objects,
    id: &TraceId,
) -> Result<Vec<Arc<Segment>>, (u64, ParquetError)> {
    let (mut blocks, mut of, mut found) = (Vec::new(), Vec::new(), vec![false; segments.len()]);
    for (number, segment) in segments.iter().enumerate() {
        let filters = segment.filters().await;
        for filter in filters.map_err(|e| (segment.meta.number, e))? {
            match filter.block(id) {
                Some(block) => {
                    blocks.push((segment.meta.path(), block));
                    of.push(number);
                }
                None => found[number] = true,
            }
        }
    }
    let failed = |error: StorageError| {
        let number = of.first().map_or(0, |number| segments[*number].meta.number);
        (number, ParquetError::External(Box::new(error)))
    };
    let blocks = objects.get_each(blocks).await.map_err(failed)?;
    for (block, number) in blocks.iter().zip(of) {
        found[number] |= Sbbf::new(block).check(&id.0[..]);
    }
    let segments = segments.iter().zip(found);
    Ok(segments
        .filter(|(_, found)| *found)
        .map(|(segment, _)| Arc::clone(segment))
        .collect())
}
