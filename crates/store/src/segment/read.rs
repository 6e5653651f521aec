//! Reads spans of a segment by trace id: only the pages that can hold them.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::OnceCell;
use tracediff_core::model::{SpanBatch, Window, attribute_key};

use super::file::SegmentFile;
use super::filter::{FilterPlace, filter_places};
use super::scan::Engine;
use crate::manifest::SegmentMeta;
use crate::objects::Objects;
use crate::read::TraceIds;

/// Rows of a batch that is read.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Trace ids in their order.
pub(crate) type Ids = RangeInclusive<u128>;

/// A segment that can be read.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) meta: SegmentMeta,
    objects: Objects,
    /// Few bytes, so that they stay here, unlike the rest of the footer.
    filters: OnceCell<Vec<FilterPlace>>,
}

/// What is known from a segment's footer.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(super) metadata: ArrowReaderMetadata,
    /// The first trace id of every page of the trace ids' column, and the row where the page begins.
    pages: Vec<(u128, usize)>,
    rows: usize,
}

/// Bytes of footers that are kept for the next look at their segments.
const FOOTERS_BYTES: u64 = 64 << 20;

/// Footers that were read lately, by segment number.
#[derive(Debug)]
pub(crate) struct Footers(Cache<u64, Arc<Known>, ByBytes>);

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<u64, Arc<Known>> for ByBytes {
    fn weight(&self, _segment: &u64, known: &Arc<Known>) -> u64 {
        known.metadata.metadata().memory_size() as u64 + size_of_val(&known.pages[..]) as u64
    }
}

impl Default for Footers {
    fn default() -> Self {
        let most = FOOTERS_BYTES / (64 << 10);
        Self(Cache::with_weighter(most as usize, FOOTERS_BYTES, ByBytes))
    }
}

impl Segment {
    pub(crate) fn new(meta: SegmentMeta, objects: Objects) -> Self {
        Self {
            meta,
            objects,
            filters: OnceCell::new(),
        }
    }

    /// Whether a span of it can start in a window.
    pub(crate) fn overlaps(&self, window: Window) -> bool {
        self.meta.first_start_ns < window.to_ns() && self.meta.last_start_ns >= window.from_ns()
    }

    /// Whether every span of it starts in a window.
    pub(crate) fn is_within(&self, window: Window) -> bool {
        self.meta.first_start_ns >= window.from_ns() && self.meta.last_start_ns < window.to_ns()
    }

    pub(super) fn file(&self) -> SegmentFile {
        SegmentFile {
            store: self.objects.store(),
            path: self.meta.path(),
            bytes: self.meta.bytes,
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.objects.scans().engine
    }

    pub(crate) async fn known(&self) -> Result<Arc<Known>, ParquetError> {
        let load = async {
            let options =
                ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load_async(&mut self.file(), options).await?;
            let (pages, rows) = pages(&metadata)?;
            Ok(Arc::new(Known {
                metadata,
                pages,
                rows,
            }))
        };
        let footers = &self.objects.scans().footers.0;
        footers.get_or_insert_async(&self.meta.number, load).await
    }

    /// What its footer says.
    pub(super) async fn metadata(&self) -> Result<ArrowReaderMetadata, ParquetError> {
        Ok(self.known().await?.metadata.clone())
    }

    /// The columns of its spans.
    pub(crate) async fn schema(&self) -> Result<SchemaRef, ParquetError> {
        Ok(Arc::clone(self.known().await?.metadata.schema()))
    }

    /// Where its filters of trace ids are.
    pub(crate) async fn filters(&self) -> Result<&[FilterPlace], ParquetError> {
        let find = async || Ok(filter_places(self.known().await?.metadata.metadata()));
        self.filters.get_or_try_init(find).await.map(Vec::as_slice)
    }

    /// All columns of these rows.
    pub(super) fn stream(
        &self,
        known: &Known,
        rows: RowSelection,
    ) -> Result<BoxStream<'static, Result<SpanBatch, ParquetError>>, ParquetError> {
        let metadata = known.metadata.clone();
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(self.file(), metadata)
            .with_batch_size(BATCH_ROWS)
            .with_row_selection(rows)
            .build()?;
        let batches = stream.and_then(async |batch| {
            SpanBatch::try_from(batch).map_err(|e| ParquetError::General(e.to_string()))
        });
        Ok(Box::pin(batches))
    }
}

impl Known {
    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The key of every attribute column, and how many rows have a value there.
    pub(crate) fn attribute_keys(&self) -> Vec<(String, u64)> {
        let schema = self.metadata.schema();
        let fields = schema.fields().iter().enumerate();
        let keys = fields.filter_map(|(at, field)| Some((at, attribute_key(field)?)));
        keys.map(|(at, key)| (key.to_owned(), self.values_of(at)))
            .collect()
    }

    /// Whether some attribute has no column of its own.
    pub(crate) fn has_other_attributes(&self) -> bool {
        let at = self.metadata.schema().index_of("other_attributes");
        at.is_ok_and(|at| self.values_of(at) > 0)
    }

    /// How many values a column has, by its statistics; all rows where these do not tell.
    fn values_of(&self, field: usize) -> u64 {
        let file = self.metadata.metadata();
        let parquet = file.file_metadata().schema_descr();
        let mut leaves = 0..parquet.num_columns();
        let Some(leaf) = leaves.find(|leaf| parquet.get_column_root_idx(*leaf) == field) else {
            return 0;
        };
        let columns = file.row_groups().iter().map(|group| group.column(leaf));
        let values = columns.map(|column| {
            let nulls = column.statistics().and_then(Statistics::null_count_opt);
            (column.num_values() as u64).saturating_sub(nulls.unwrap_or(0))
        });
        values.sum()
    }

    /// First trace ids of pages: about as many rows lie between any two neighbours.
    pub(crate) fn page_ids(&self) -> impl Iterator<Item = u128> {
        self.pages.iter().map(|(id, _)| *id)
    }

    /// The rows of those pages that can hold a trace whose id is among these, of `traces` where there are some.
    pub(crate) fn rows_of(&self, ids: &Ids, traces: Option<&TraceIds>) -> Vec<Range<usize>> {
        // A trace may begin on the page before the one that begins with it.
        let first = self
            .pages
            .partition_point(|(first, _)| first < ids.start())
            .saturating_sub(1);
        let end = self.pages.partition_point(|(first, _)| first <= ids.end());
        let row = |page: usize| self.pages.get(page).map_or(self.rows, |(_, row)| *row);
        let mut rows: Vec<Range<usize>> = Vec::new();
        for page in first..end {
            let last = self.pages.get(page + 1).map_or(u128::MAX, |(id, _)| *id);
            if traces.is_some_and(|traces| !traces.any_in(self.pages[page].0..=last)) {
                continue;
            }
            match rows.last_mut() {
                Some(before) if before.end == row(page) => before.end = row(page + 1),
                _ => rows.push(row(page)..row(page + 1)),
            }
        }
        rows
    }
}

/// The pages of the trace ids' column, and the number of rows.
fn pages(metadata: &ArrowReaderMetadata) -> Result<(Vec<(u128, usize)>, usize), ParquetError> {
    let missing = || ParquetError::General("the segment has no page index of trace ids".to_owned());
    let file = metadata.metadata();
    let (columns, offsets) = (
        file.column_index().ok_or_else(missing)?,
        file.offset_index().ok_or_else(missing)?,
    );
    let mut pages = Vec::new();
    let mut row = 0;
    for (number, group) in file.row_groups().iter().enumerate() {
        let is_key = |path: &parquet::file::metadata::ColumnChunkMetaData| {
            path.column_path().string() == "trace_id"
        };
        let column = group
            .columns()
            .iter()
            .position(is_key)
            .ok_or_else(missing)?;
        let ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) = &columns[number][column] else {
            return Err(missing());
        };
        let locations = offsets[number][column].page_locations();
        for (page, location) in locations.iter().enumerate() {
            let id = index.min_value(page).and_then(|id| id.try_into().ok());
            let id = u128::from_be_bytes(id.ok_or_else(missing)?);
            pages.push((id, row + location.first_row_index as usize));
        }
        row += group.num_rows() as usize;
    }
    Ok((pages, row))
}
