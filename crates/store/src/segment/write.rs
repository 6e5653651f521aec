//! Spans of a generation as a Parquet file.

use arrow_schema::{DataType, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use tracediff_core::model::SpanBatch;

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
    writer: ArrowWriter<Vec<u8>>,
    spans: u64,
    first_start_ns: i64,
    last_start_ns: i64,
}

impl SegmentWriter {
    pub(crate) fn new(schema: SchemaRef, level: i32) -> Result<Self, ParquetError> {
        let properties = properties(&schema, level)?;
        Ok(Self {
            writer: ArrowWriter::try_new(Vec::new(), schema, Some(properties))?,
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
        self.writer.write(batch.record_batch())
    }

    pub(crate) fn finish(self) -> Result<Written, ParquetError> {
        Ok(Written {
            file: self.writer.into_inner()?.into(),
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
