//! Spans in order as a Parquet file, row group by row group and column by column, whoever has the rows.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Encoder, PAGE_ROWS};
use super::fixed;

/// Rows of a row group.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 19;

/// A file and what the manifest says of it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) file: Bytes,
    pub(crate) spans: u64,
    pub(crate) first_start_ns: i64,
    pub(crate) last_start_ns: i64,
}

/// One column of the rows of a row group, wherever they come from.
pub(crate) trait Rows {
    /// How many there are.
    fn count(&self) -> usize;

    /// Ids; zeros where a row has none.
    fn ids<const N: usize>(&mut self) -> Result<Vec<[u8; N]>>;

    /// Times, or the bits of durations.
    fn numbers(&mut self) -> Result<Vec<i64>>;

    /// OpenTelemetry's small numbers.
    fn small_numbers(&mut self) -> Result<Vec<u8>>;

    /// Weights; `None` where no row has one.
    fn weights(&mut self) -> Result<Option<Vec<Option<f64>>>>;

    /// Writes texts.
    fn texts(
        &mut self,
        encoder: &mut Encoder,
        column: ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult)>;

    /// Lists, some rows at a time; not called where no row has one.
    fn lists(&mut self, each: &mut dyn FnMut(ArrayRef) -> Result<()>) -> Result<()>;

    /// Whether any row has a list that is not empty.
    fn has_lists(&self) -> bool;
}

/// Writes row groups one behind the other.
pub(crate) struct SegmentWriter {
    schema: SchemaRef,
    file: SerializedFileWriter<Vec<u8>>,
    /// Makes Parquet's own writers, for lists alone.
    lists: ArrowRowGroupWriterFactory,
    encoder: Encoder,
    extent: Extent,
}

/// What was written so far.
struct Extent {
    spans: u64,
    first_start_ns: i64,
    last_start_ns: i64,
}

impl SegmentWriter {
    /// `bytes` is how many the file is likely to have.
    pub(crate) fn new(schema: SchemaRef, level: i32, bytes: usize) -> Result<Self> {
        let lists = schema.fields().iter().filter(|field| is_list(field));
        let lists = Arc::new(Schema::new(lists.cloned().collect::<Vec<_>>()));
        Ok(Self {
            lists: ArrowRowGroupWriterFactory::new(&file(&lists, level, Vec::new())?, lists),
            file: file(&schema, level, Vec::with_capacity(bytes))?,
            schema,
            encoder: Encoder::new(level)?,
            extent: Extent {
                spans: 0,
                first_start_ns: i64::MAX,
                last_start_ns: i64::MIN,
            },
        })
    }

    /// A row group, whose columns are to be written in the schema's order.
    pub(crate) fn begin_group(&mut self) -> Result<Group<'_>> {
        let number = self.file.flushed_row_groups().len();
        let parquet = self.file.schema_descr();
        let leaves = (0..parquet.num_columns())
            .map(|leaf| (parquet.get_column_root_idx(leaf), parquet.column(leaf)));
        Ok(Group {
            number,
            schema: &self.schema,
            leaves: leaves.collect(),
            lists: &self.lists,
            encoder: &mut self.encoder,
            extent: &mut self.extent,
            next: 0,
            writers: None,
            next_writer: 0,
            into: self.file.next_row_group()?,
        })
    }

    pub(crate) fn finish(self) -> Result<Written> {
        Ok(Written {
            file: self.file.into_inner()?.into(),
            spans: self.extent.spans,
            first_start_ns: self.extent.first_start_ns,
            last_start_ns: self.extent.last_start_ns,
        })
    }
}

/// A row group that is being written.
pub(crate) struct Group<'a> {
    number: usize,
    schema: &'a SchemaRef,
    /// By leaf: the number of its field, and what it is.
    leaves: Vec<(usize, ColumnDescPtr)>,
    lists: &'a ArrowRowGroupWriterFactory,
    encoder: &'a mut Encoder,
    extent: &'a mut Extent,
    /// The number of the next field.
    next: usize,
    /// Parquet's own writers of the leaves of lists. Only there once a column needs them.
    writers: Option<Vec<Option<ArrowColumnWriter>>>,
    /// The number of the next leaf of lists.
    next_writer: usize,
    into: SerializedRowGroupWriter<'a, Vec<u8>>,
}

impl Group<'_> {
    /// Writes the next column.
    pub(crate) fn write(&mut self, rows: &mut impl Rows) -> Result<()> {
        let field = Arc::clone(&self.schema.fields()[self.next]);
        let of_field = self.leaves.iter().filter(|(root, _)| *root == self.next);
        let leaves: Vec<ColumnDescPtr> = of_field.map(|(_, column)| Arc::clone(column)).collect();
        self.next += 1;
        if is_list(&field) {
            return self.write_lists(&field, leaves, rows);
        }
        let [column] = &leaves[..] else {
            return Err(unknown(&field));
        };
        let (encoder, column) = (&mut *self.encoder, Arc::clone(column));
        let (bytes, close) = match (field.name().as_str(), field.data_type()) {
            (_, DataType::Dictionary(..)) => rows.texts(encoder, column)?,
            ("trace_id", _) => fixed::trace_ids(encoder, column, &rows.ids()?)?,
            ("span_id", _) => fixed::span_ids(encoder, column, &rows.ids()?)?,
            ("parent_span_id", _) => fixed::parent_ids(encoder, column, &rows.ids()?)?,
            ("start", _) => {
                let starts = rows.numbers()?;
                self.extent.spans += starts.len() as u64;
                for start_ns in &starts {
                    self.extent.first_start_ns = self.extent.first_start_ns.min(*start_ns);
                    self.extent.last_start_ns = self.extent.last_start_ns.max(*start_ns);
                }
                fixed::numbers(encoder, column, &starts, |number| *number)?
            }
            ("duration", _) => {
                // They have no sign: in the order of signed numbers after the highest bit is turned round.
                fixed::numbers(encoder, column, &rows.numbers()?, |number| {
                    number ^ i64::MIN
                })?
            }
            (_, DataType::UInt8) => fixed::small_numbers(encoder, column, &rows.small_numbers()?)?,
            (_, DataType::Float64) => match rows.weights()? {
                Some(weights) => fixed::weights(encoder, column, &weights)?,
                None => fixed::empty(encoder, column, rows.count())?,
            },
            _ => return Err(unknown(&field)),
        };
        self.into.append_column(&bytes, close)
    }

    fn write_lists(
        &mut self,
        field: &Field,
        leaves: Vec<ColumnDescPtr>,
        rows: &mut impl Rows,
    ) -> Result<()> {
        let first = self.next_writer;
        self.next_writer += leaves.len();
        if !rows.has_lists() {
            for column in leaves {
                let (bytes, close) = fixed::empty(self.encoder, column, rows.count())?;
                self.into.append_column(&bytes, close)?;
            }
            return Ok(());
        }
        let writers = match self.writers.take() {
            Some(writers) => writers,
            None => {
                let writers = self.lists.create_column_writers(self.number)?;
                writers.into_iter().map(Some).collect()
            }
        };
        let writers = self.writers.insert(writers);
        let of_field = writers[first..self.next_writer].iter_mut();
        let mut of_field: Vec<ArrowColumnWriter> = of_field.filter_map(Option::take).collect();
        rows.lists(&mut |array| {
            for (leaf, writer) in compute_leaves(field, &array)?.iter().zip(&mut of_field) {
                writer.write(leaf)?;
            }
            Ok(())
        })?;
        for writer in of_field {
            writer.close()?.append_to_row_group(&mut self.into)?;
        }
        Ok(())
    }

    /// Ends the row group, after its last column.
    pub(crate) fn end(self) -> Result<()> {
        self.into.close().map(|_| ())
    }
}

fn unknown(field: &Field) -> ParquetError {
    ParquetError::General(format!("a column `{}` is not written", field.name()))
}

fn is_list(field: &Field) -> bool {
    matches!(field.data_type(), DataType::List(_))
}

fn file(schema: &SchemaRef, level: i32, into: Vec<u8>) -> Result<SerializedFileWriter<Vec<u8>>> {
    let mut properties = properties(level)?;
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    let parquet = ArrowSchemaConverter::new().convert(schema)?;
    SerializedFileWriter::new(into, parquet.root_schema_ptr(), Arc::new(properties))
}

/// For lists, which Parquet's own writer writes.
fn properties(level: i32) -> Result<WriterProperties> {
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level.max(1))?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_created_by("tracediff".to_owned())
        // What follows a dictionary that is full. The encoding that would be chosen takes two MiB for each column before
        // the first row, and Arrow's C++ library does not read it into dictionary columns.
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    Ok(properties.build())
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use tracediff_core::model::{SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};

    use crate::gather::write_sorted;

    /// A text for a row, or none: few texts and many, long ones, in every row and in few, and in runs.
    fn texts(row: u64) -> [(&'static str, Option<String>); 7] {
        [
            ("one", Some("always".to_owned())),
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
        let written = write_sorted(&batches(ROWS), 1).unwrap();
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
