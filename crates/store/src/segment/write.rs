//! Spans of a generation as a Parquet file.

use std::sync::Arc;

use arrow_schema::{DataType, Field, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use tracediff_core::model::SpanBatch;

use super::texts::TextChunk;
use crate::gather::{Gatherer, Place};

/// Rows of a row group.
pub(super) const ROW_GROUP_ROWS: usize = 1 << 19;
/// Rows of a page: what a look-up of one trace reads of a column.
const PAGE_ROWS: usize = 8_192;

/// A file and what the manifest says of it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) file: Bytes,
    pub(crate) spans: u64,
    pub(crate) first_start_ns: i64,
    pub(crate) last_start_ns: i64,
}

/// Rows that are handed on at a time.
const CHUNK_ROWS: usize = 8_192;

/// All spans in the order of segments, each once, some at a time. Spans with the same trace id, span id and start are one
/// that was sent again.
pub(crate) fn sorted(
    schema: &SchemaRef,
    batches: &[SpanBatch],
    mut each: impl FnMut(SpanBatch) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    let mut spans: Vec<(u128, i64, u64, Place)> = Vec::new();
    for (number, batch) in (0..).zip(batches) {
        spans.extend((0..batch.len()).map(|row| {
            let trace = u128::from_be_bytes(batch.trace_id(row).0);
            let span = u64::from_be_bytes(batch.span_id(row).0);
            (trace, batch.start_ns(row), span, (number, row as u32))
        }));
    }
    spans.sort_unstable();
    spans.dedup_by_key(|(trace, start_ns, span, _)| (*trace, *start_ns, *span));
    let gatherer = Gatherer::new(schema, batches);
    for chunk in spans.chunks(CHUNK_ROWS) {
        let places: Vec<Place> = chunk.iter().map(|(.., place)| *place).collect();
        each(gatherer.rows(&places)?)?;
    }
    Ok(())
}

/// Writes batches that are in order, one behind the other.
pub(crate) struct SegmentWriter {
    schema: SchemaRef,
    level: i32,
    file: SerializedFileWriter<Vec<u8>>,
    factory: ArrowRowGroupWriterFactory,
    group: Option<Group>,
    spans: u64,
    first_start_ns: i64,
    last_start_ns: i64,
}

/// A row group that is being written, column by column.
struct Group {
    rows: usize,
    columns: Vec<Column>,
}

enum Column {
    Text(Box<TextChunk>),
    /// One writer for each leaf.
    Other(Vec<ArrowColumnWriter>),
}

impl SegmentWriter {
    pub(crate) fn new(schema: SchemaRef, level: i32) -> Result<Self, ParquetError> {
        let mut properties = properties(&schema, level)?;
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let parquet = ArrowSchemaConverter::new().convert(&schema)?;
        let root = parquet.root_schema_ptr();
        let file = SerializedFileWriter::new(Vec::new(), root, Arc::new(properties))?;
        Ok(Self {
            factory: ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema)),
            schema,
            level,
            file,
            group: None,
            spans: 0,
            first_start_ns: i64::MAX,
            last_start_ns: i64::MIN,
        })
    }

    pub(crate) fn write(&mut self, batch: &SpanBatch) -> Result<(), ParquetError> {
        self.spans += batch.len() as u64;
        for row in 0..batch.len() {
            self.first_start_ns = self.first_start_ns.min(batch.start_ns(row));
            self.last_start_ns = self.last_start_ns.max(batch.start_ns(row));
        }
        let mut group = match self.group.take() {
            Some(group) => group,
            None => self.begin_group()?,
        };
        let fields = self
            .schema
            .fields()
            .iter()
            .zip(batch.record_batch().columns());
        for ((field, array), column) in fields.zip(&mut group.columns) {
            match column {
                Column::Text(chunk) => chunk.write(array)?,
                Column::Other(writers) => {
                    for (leaf, writer) in compute_leaves(field, array)?.iter().zip(writers) {
                        writer.write(leaf)?;
                    }
                }
            }
        }
        group.rows += batch.len();
        self.group = Some(group);
        if self
            .group
            .as_ref()
            .is_some_and(|group| group.rows >= ROW_GROUP_ROWS)
        {
            self.end_group()?;
        }
        Ok(())
    }

    fn begin_group(&self) -> Result<Group, ParquetError> {
        let number = self.file.flushed_row_groups().len();
        let mut writers = self.factory.create_column_writers(number)?.into_iter();
        let parquet = self.file.schema_descr();
        let leaves = |field: usize| {
            let roots = (0..parquet.num_columns()).map(|leaf| parquet.get_column_root_idx(leaf));
            roots.filter(|root| *root == field).count()
        };
        let column = |(number, field): (usize, &Arc<Field>)| {
            let writers: Vec<_> = writers.by_ref().take(leaves(number)).collect();
            match field.data_type() {
                DataType::Dictionary(..) => {
                    Column::Text(Box::new(TextChunk::new(self.level, field.is_nullable())))
                }
                _ => Column::Other(writers),
            }
        };
        let columns = self.schema.fields().iter().enumerate().map(column);
        Ok(Group {
            rows: 0,
            columns: columns.collect(),
        })
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let parquet = self.file.schema_descr();
        let descriptions: Vec<_> = (0..parquet.num_columns())
            .map(|leaf| parquet.column(leaf))
            .collect();
        let mut into = self.file.next_row_group()?;
        let mut leaf = 0;
        for column in group.columns {
            match column {
                Column::Text(chunk) => {
                    let (bytes, close) = chunk.close(Arc::clone(&descriptions[leaf]))?;
                    into.append_column(&bytes, close)?;
                    leaf += 1;
                }
                Column::Other(writers) => {
                    for writer in writers {
                        writer.close()?.append_to_row_group(&mut into)?;
                        leaf += 1;
                    }
                }
            }
        }
        into.close()?;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Written, ParquetError> {
        self.end_group()?;
        Ok(Written {
            file: self.file.into_inner()?.into(),
            spans: self.spans,
            first_start_ns: self.first_start_ns,
            last_start_ns: self.last_start_ns,
        })
    }
}

fn properties(schema: &SchemaRef, level: i32) -> Result<WriterProperties, ParquetError> {
    let column = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_created_by("tracediff".to_owned())
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_bloom_filter_enabled(false);
    // Texts are few and dictionary-encoded; these have nearly as many values as rows.
    for (name, encoding) in [
        ("trace_id", Encoding::DELTA_BYTE_ARRAY),
        ("span_id", Encoding::PLAIN),
        ("parent_span_id", Encoding::PLAIN),
        ("start", Encoding::DELTA_BINARY_PACKED),
        ("duration", Encoding::DELTA_BINARY_PACKED),
    ] {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), encoding);
    }
    for name in ["span_id", "parent_span_id"] {
        // Random bytes neither compress nor tell pages apart.
        properties = properties
            .set_column_compression(column(name), Compression::UNCOMPRESSED)
            .set_column_statistics_enabled(column(name), EnabledStatistics::None);
    }
    properties = properties
        .set_column_bloom_filter_enabled(column("trace_id"), true)
        .set_column_bloom_filter_fpp(column("trace_id"), 0.01);
    for field in schema.fields() {
        if let DataType::List(_) = field.data_type() {
            continue;
        }
        let is_key = ["trace_id", "start", "duration"].contains(&field.name().as_str());
        if !is_key && !["span_id", "parent_span_id"].contains(&field.name().as_str()) {
            properties = properties.set_column_statistics_enabled(
                ColumnPath::from(vec![field.name().clone()]),
                EnabledStatistics::Chunk,
            );
        }
    }
    Ok(properties.build())
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use tracediff_core::model::{SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};

    use super::*;
    use crate::gather::joint_schema;

    /// A text for a row, or none: few texts and many, long ones, in every row and in few, and in runs.
    fn texts(row: u64) -> [(&'static str, Option<String>); 6] {
        [
            ("few", Some(format!("value {}", row * 7 % 5))),
            ("many", Some(format!("{row:x}"))),
            (
                "long",
                (!row.is_multiple_of(3)).then(|| format!("{row:0>300}")),
            ),
            ("rare", (row % 1_000 == 17).then(|| "here".to_owned())),
            ("runs", Some((row / 1_000).to_string())),
            (
                "sparse runs",
                (row / 100)
                    .is_multiple_of(2)
                    .then(|| (row / 5_000).to_string()),
            ),
        ]
    }

    fn batches(rows: u64) -> Vec<SpanBatch> {
        let mut builder = SpanBatchBuilder::new();
        let mut batches = Vec::new();
        for row in 0..rows {
            builder.begin_resource();
            for (key, text) in texts(row) {
                if let Some(text) = text {
                    builder.span_attribute(key.as_bytes(), ValueRef::String(text.as_bytes()));
                }
            }
            let mut trace_id = [0; 16];
            // In another order than they are written in.
            trace_id[..8].copy_from_slice(&row.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            builder.end_span(&SpanCore {
                trace_id: TraceId(trace_id),
                span_id: SpanId((row + 1).to_be_bytes()),
                parent_span_id: SpanId([0; 8]),
                operation: b"work",
                kind: 1,
                status: 0,
                status_message: b"",
                trace_state: b"",
                start_ns: row,
                end_ns: row + 1,
            });
            builder.commit().unwrap();
            batches.append(&mut builder.take_sealed());
        }
        batches.append(&mut builder.finish());
        batches
    }

    #[test]
    fn texts_are_read_as_they_were_written() {
        const ROWS: u64 = 30_000;
        let batches = batches(ROWS);
        let schemas: Vec<_> = batches.iter().map(|b| b.record_batch().schema()).collect();
        let schema = joint_schema(&schemas);
        let mut writer = SegmentWriter::new(Arc::clone(&schema), 1).unwrap();
        sorted(&schema, &batches, |batch| writer.write(&batch)).unwrap();
        let written = writer.finish().unwrap();
        assert_eq!((written.spans, written.first_start_ns), (ROWS, 0));
        assert_eq!(written.last_start_ns, ROWS as i64 - 1);
        let reader = ParquetRecordBatchReaderBuilder::try_new(written.file).unwrap();
        let (mut last, mut rows) = (None, 0);
        for batch in reader.with_batch_size(1_000).build().unwrap() {
            let batch = SpanBatch::try_from(batch.unwrap()).unwrap();
            for at in 0..batch.len() {
                let id = batch.trace_id(at);
                assert!(last < Some(id));
                (last, rows) = (Some(id), rows + 1);
                let row = u64::from_be_bytes(batch.span_id(at).0) - 1;
                for (key, text) in texts(row) {
                    let columns = batch.columns_of(key);
                    let found = columns.iter().find_map(|column| column.column.text(at));
                    assert_eq!(found, text.as_deref(), "{key} of row {row}");
                }
            }
        }
        assert_eq!(rows, ROWS);
    }
}
