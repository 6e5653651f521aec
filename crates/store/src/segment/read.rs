//! Reads spans of a segment by trace id: only the pages that can hold them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use tokio::sync::OnceCell;
use tracediff_core::model::SpanBatch;

use super::file::SegmentFile;
use crate::manifest::SegmentMeta;
use crate::objects::Objects;

/// Rows of a batch that is read.
const BATCH_ROWS: usize = 8_192;

/// Trace ids in their order.
pub(crate) type Ids = RangeInclusive<u128>;

/// A segment that can be read.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) meta: SegmentMeta,
    objects: Objects,
    known: OnceCell<Known>,
}

/// What is known from the file's footer.
#[derive(Debug, Clone)]
struct Known {
    metadata: ArrowReaderMetadata,
    /// The first trace id of every page of the trace ids' column, and the row where the page begins.
    pages: Arc<Vec<(u128, usize)>>,
    rows: usize,
}

impl Segment {
    pub(crate) fn new(meta: SegmentMeta, objects: Objects) -> Self {
        Self {
            meta,
            objects,
            known: OnceCell::new(),
        }
    }

    pub(super) fn file(&self) -> SegmentFile {
        SegmentFile {
            store: self.objects.store(),
            path: self.meta.path(),
            bytes: self.meta.bytes,
        }
    }

    async fn known(&self) -> Result<&Known, ParquetError> {
        let load = || async {
            let options =
                ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load_async(&mut self.file(), options).await?;
            let (pages, rows) = pages(&metadata)?;
            Ok(Known {
                metadata,
                pages: Arc::new(pages),
                rows,
            })
        };
        self.known.get_or_try_init(load).await
    }

    /// What its footer says.
    pub(super) async fn metadata(&self) -> Result<&ArrowReaderMetadata, ParquetError> {
        Ok(&self.known().await?.metadata)
    }

    /// The columns of its spans.
    pub(crate) async fn schema(&self) -> Result<SchemaRef, ParquetError> {
        Ok(Arc::clone(self.known().await?.metadata.schema()))
    }

    /// First trace ids of pages: about as many rows lie between any two neighbours.
    pub(crate) async fn page_ids(&self) -> Result<impl Iterator<Item = u128>, ParquetError> {
        Ok(self.known().await?.pages.iter().map(|(id, _)| *id))
    }

    /// Its spans of these traces in order, and of some of their neighbours.
    pub(crate) async fn spans(
        &self,
        ids: &Ids,
    ) -> Result<BoxStream<'static, Result<SpanBatch, ParquetError>>, ParquetError> {
        let known = self.known().await?;
        let after = |id: u128| known.pages.partition_point(|(first, _)| *first <= id);
        // A trace may begin on the page before the one that begins with it.
        let first = known
            .pages
            .partition_point(|(first, _)| first < ids.start())
            .saturating_sub(1);
        let row = |page: usize| known.pages.get(page).map_or(known.rows, |(_, row)| *row);
        let rows = row(first)..row(after(*ids.end()));
        let builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(self.file(), known.metadata.clone());
        let selection = RowSelection::from_consecutive_ranges(std::iter::once(rows), known.rows);
        let stream = builder
            .with_batch_size(BATCH_ROWS)
            .with_row_selection(selection)
            .build()?;
        let batches = stream.and_then(async |batch| {
            SpanBatch::try_from(batch).map_err(|e| ParquetError::General(e.to_string()))
        });
        Ok(Box::pin(batches))
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
