//! Several segments as one: first the order of all rows, from their ids and starts, then column by column, so that no more
//! than one column is in memory beside what is written. Every segment is in order itself, so each is read from front to
//! back.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampNanosecondType, UInt8Type};
use arrow_array::{ArrayRef, ListArray, RecordBatch};
use arrow_schema::{ArrowError, Field, SchemaRef};
use bytes::Bytes;
use futures::future::try_join_all;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;
use tracediff_core::model::SpanBatch;

use super::chunk::{Encoder, PAGE_ROWS};
use super::column::{SegmentColumn, TextColumn};
use super::read::Segment;
use super::texts::{CodedTexts, Dictionary, SingleTexts};
use super::write::{ROW_GROUP_ROWS, Rows, SegmentWriter, Written};
use crate::gather::{Lists, append_ids, append_numbers, joint_schema, position};
use crate::narrow::{narrow, narrow_schema};

/// The column of attributes that have none of their own.
const OTHER_ATTRIBUTES: &str = "other_attributes";
/// Segments that can be merged at a time.
pub(crate) const MAX_SEGMENTS: usize = SENT_AGAIN as usize;
/// Set at rows that were sent again and are in another segment already.
const SENT_AGAIN: u8 = 0x80;
/// After so many texts it is seen whether they repeat.
const SAMPLE: usize = 4 * PAGE_ROWS;

/// The spans of all segments, each once, as one file; `None` where there are too many of them.
pub(crate) async fn merge(segments: &[Arc<Segment>], level: i32) -> Result<Option<Written>> {
    merge_in_groups(segments, level, ROW_GROUP_ROWS).await
}

async fn merge_in_groups(
    segments: &[Arc<Segment>],
    level: i32,
    group_rows: usize,
) -> Result<Option<Written>> {
    let mut schemas = Vec::new();
    for segment in segments {
        schemas.push(segment.schema().await?);
    }
    if segments.len() > MAX_SEGMENTS {
        return Ok(None);
    }
    let joint = joint_schema(&schemas);
    // What most segments have stays. A key that is an id is in one of them.
    let columns = schemas.iter().flat_map(|schema| schema.fields());
    let narrower = narrow_schema(&joint, columns.map(|field| (&**field, 1)));
    let shared: Vec<&Field> = match &narrower {
        None => Vec::new(),
        Some(schema) => {
            let stays = |field: &&Arc<Field>| position(schema, field).is_some();
            let fields = joint.fields().iter();
            fields.filter(|f| !stays(f)).map(|f| &**f).collect()
        }
    };
    let schema = narrower.as_ref().unwrap_or(&joint);
    let order = order(segments, &schemas).await?;
    let bytes: u64 = segments.iter().map(|segment| segment.meta.bytes).sum();
    let mut writer = SegmentWriter::new(Arc::clone(schema), level, bytes as usize)?;
    let mut first = vec![0; segments.len()];
    for order in order.chunks(group_rows) {
        let mut counts = vec![0; segments.len()];
        order
            .iter()
            .for_each(|from| counts[(from & !SENT_AGAIN) as usize] += 1);
        let mut group = writer.begin_group()?;
        for field in schema.fields() {
            let rows = first.iter().zip(&counts);
            let mut fields: Vec<&Field> = vec![field];
            if field.name() == OTHER_ATTRIBUTES {
                fields.extend(&shared);
            }
            let parts = segments.iter().zip(rows).map(|(segment, (first, count))| {
                SegmentColumn::read(segment, fields.clone(), *first..first + count)
            });
            let sources = try_join_all(parts).await?;
            group.write(&mut Column {
                order,
                counts: &counts,
                sources,
                schema,
            })?;
        }
        group.end()?;
        first
            .iter_mut()
            .zip(counts)
            .for_each(|(first, count)| *first += count);
    }
    writer.finish().map(Some)
}

/// The column of attributes that have none of their own, with those of columns that the schema does not have.
fn shared_lists(batch: &RecordBatch, schema: &SchemaRef) -> Result<ArrayRef> {
    let cannot = |problem: String| ParquetError::General(problem);
    let spans = SpanBatch::from_some_columns(batch).map_err(|e| cannot(e.to_string()))?;
    let narrowed = narrow(&[spans], schema)
        .and_then(|mut batches| batches.pop())
        .ok_or_else(|| cannot("attributes with too many keys take too much memory".to_owned()))?;
    Ok(Arc::clone(&narrowed.record_batch()[OTHER_ATTRIBUTES]))
}

/// What segments are sorted by: trace id, start, span id.
type Key = (u128, i64, u64);

/// The keys of a segment's rows.
struct Keys<I> {
    batches: I,
    keys: Vec<Key>,
    at: usize,
}

impl<I: Iterator<Item = Result<RecordBatch, ArrowError>>> Keys<I> {
    fn key(&self) -> Option<&Key> {
        self.keys.get(self.at)
    }

    fn advance(&mut self) -> Result<()> {
        self.at += 1;
        while self.at >= self.keys.len() {
            let Some(batch) = self.batches.next() else {
                return Ok(());
            };
            let batch = batch?;
            let (mut traces, mut spans) = (Vec::new(), Vec::new());
            append_ids::<16>(batch["trace_id"].as_fixed_size_binary(), &mut traces);
            append_ids::<8>(batch["span_id"].as_fixed_size_binary(), &mut spans);
            let starts = batch["start"].as_primitive::<TimestampNanosecondType>();
            self.keys.clear();
            self.keys
                .extend(traces.iter().zip(&spans).zip(starts.values()).map(
                    |((trace, span), start_ns)| {
                        let (trace, span) =
                            (u128::from_be_bytes(*trace), u64::from_be_bytes(*span));
                        (trace, *start_ns, span)
                    },
                ));
            self.at = 0;
        }
        Ok(())
    }
}

/// The segment that each row comes from.
async fn order(segments: &[Arc<Segment>], schemas: &[SchemaRef]) -> Result<Vec<u8>> {
    let mut sources = Vec::new();
    for (segment, schema) in segments.iter().zip(schemas) {
        let mut fields: Vec<&Field> = Vec::new();
        for name in ["trace_id", "span_id", "start"] {
            fields.push(schema.field_with_name(name)?);
        }
        let rows = 0..segment.meta.spans as usize;
        let missing = || ParquetError::General("a segment has no ids".to_owned());
        let column = SegmentColumn::read(segment, fields, rows).await?;
        let mut keys = Keys {
            batches: column.ok_or_else(missing)?.batches()?,
            keys: Vec::new(),
            at: 0,
        };
        keys.advance()?;
        sources.push(keys);
    }
    let rows: u64 = segments.iter().map(|segment| segment.meta.spans).sum();
    let mut order = Vec::with_capacity(rows as usize);
    let mut last = None;
    loop {
        // The segment with the least key, and the least key of the others.
        let (mut least, mut others): (Option<(Key, usize)>, Option<Key>) = (None, None);
        for (number, source) in sources.iter().enumerate() {
            let Some(key) = source.key() else {
                continue;
            };
            match least {
                Some((of_least, _)) if *key >= of_least => {
                    others = Some(others.map_or(*key, |others| others.min(*key)));
                }
                _ => {
                    others = least.map(|(key, _)| key);
                    least = Some((*key, number));
                }
            }
        }
        let Some((_, number)) = least else {
            return Ok(order);
        };
        let source = &mut sources[number];
        // Of a span that was sent again the one in the first of the segments stays.
        let mut is_first = true;
        while let Some(key) = source.key()
            && (is_first || others.is_none_or(|others| *key < others))
        {
            is_first = false;
            let is_again = last == Some(*key);
            last = Some(*key);
            order.push(number as u8 | if is_again { SENT_AGAIN } else { 0 });
            source.advance()?;
        }
    }
}

/// One column of a row group's rows, in all segments.
struct Column<'a> {
    /// The segment of each row.
    order: &'a [u8],
    /// Rows by segment.
    counts: &'a [usize],
    /// By segment; `None` where it has no such column.
    sources: Vec<Option<SegmentColumn>>,
    /// The columns that are written. What is read beside them goes to the column that the others share.
    schema: &'a SchemaRef,
}

/// The values of a segment's rows, some at a time.
struct Values<T> {
    batches: Option<ParquetRecordBatchReader>,
    values: Vec<T>,
    at: usize,
}

impl<T: Copy> Values<T> {
    fn read_on(&mut self, none: T, append: impl Fn(&ArrayRef, &mut Vec<T>)) -> Result<()> {
        self.values.clear();
        self.at = 0;
        let Some(batches) = &mut self.batches else {
            self.values.resize(PAGE_ROWS, none);
            return Ok(());
        };
        while self.values.is_empty() {
            let too_few = || ParquetError::General("a segment has too few rows".to_owned());
            let batch = batches.next().ok_or_else(too_few)??;
            append(batch.column(0), &mut self.values);
        }
        Ok(())
    }
}

impl Column<'_> {
    /// One value for each row; `none` where its segment has no such column.
    fn values<T: Copy>(&self, none: T, append: impl Fn(&ArrayRef, &mut Vec<T>)) -> Result<Vec<T>> {
        let mut sources = Vec::new();
        for source in &self.sources {
            sources.push(Values {
                batches: source.as_ref().map(SegmentColumn::batches).transpose()?,
                values: Vec::new(),
                at: 0,
            });
        }
        let mut merged = Vec::with_capacity(self.order.len());
        for from in self.order {
            let source = &mut sources[(from & !SENT_AGAIN) as usize];
            if source.at == source.values.len() {
                source.read_on(none, &append)?;
            }
            if from & SENT_AGAIN == 0 {
                merged.push(source.values[source.at]);
            }
            source.at += 1;
        }
        Ok(merged)
    }

    fn text_columns(&self) -> Result<Vec<Option<TextColumn>>> {
        let texts = |source: &Option<SegmentColumn>| source.as_ref().map(|s| s.texts()).transpose();
        self.sources.iter().map(texts).collect()
    }

    /// One dictionary for all texts; `None` where they hardly repeat.
    fn dictionary(&self) -> Result<Option<Dictionary>> {
        let mut dictionary = Dictionary::default();
        let mut columns = self.text_columns()?;
        let mut bytes = 0;
        for column in columns.iter_mut().flatten() {
            column.join(&mut dictionary);
            let (of_texts, texts) = column.dictionary_size();
            bytes += of_texts / texts.max(1);
        }
        let plain_bytes = bytes / columns.len().max(1) * self.order.len();
        if dictionary.is_too_large(plain_bytes) {
            return Ok(None);
        }
        // Where pages have texts of their own, these must be looked at.
        for ((column, source), count) in columns.iter_mut().zip(&self.sources).zip(self.counts) {
            let (Some(column), Some(source)) = (column, source) else {
                continue;
            };
            if source.has_dictionary_alone() {
                continue;
            }
            for row in 1..=*count {
                column.next_code(&mut dictionary)?;
                let is_seen = row % SAMPLE == 0 || row == *count;
                if is_seen && (dictionary.len() * 2 > row || dictionary.is_too_large(plain_bytes)) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(dictionary))
    }

    fn single_texts(
        &self,
        encoder: &mut Encoder,
        column: ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let mut columns = self.text_columns()?;
        let mut writing = SingleTexts::begin(encoder, column);
        for from in self.order {
            let text = match &mut columns[(from & !SENT_AGAIN) as usize] {
                Some(column) => column.next_text()?,
                None => None,
            };
            if from & SENT_AGAIN == 0 {
                writing.push(text)?;
            }
        }
        writing.close()
    }
}

impl Rows for Column<'_> {
    fn count(&self) -> usize {
        let counts = |from: &&u8| **from & SENT_AGAIN == 0;
        self.order.iter().filter(counts).count()
    }

    fn ids<const N: usize>(&mut self) -> Result<Vec<[u8; N]>> {
        self.values([0; N], |array, into| {
            append_ids(array.as_fixed_size_binary(), into)
        })
    }

    fn numbers(&mut self) -> Result<Vec<i64>> {
        self.values(0, append_numbers)
    }

    fn small_numbers(&mut self) -> Result<Vec<u8>> {
        self.values(0, |array, into| {
            into.extend_from_slice(array.as_primitive::<UInt8Type>().values());
        })
    }

    fn weights(&mut self) -> Result<Option<Vec<Option<f64>>>> {
        if self.sources.iter().flatten().all(SegmentColumn::is_empty) {
            return Ok(None);
        }
        let weights = self.values(None, |array, into| {
            into.extend(array.as_primitive::<Float64Type>().iter());
        });
        weights.map(Some)
    }

    fn texts(
        &mut self,
        encoder: &mut Encoder,
        column: ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let Some(mut dictionary) = self.dictionary()? else {
            return self.single_texts(encoder, column);
        };
        let mut writing = CodedTexts::begin(encoder, column, &dictionary)?;
        let mut columns = self.text_columns()?;
        let is_whole = |c: &Option<TextColumn>| c.as_ref().is_some_and(TextColumn::is_whole);
        if dictionary.len() == 1 && columns.iter().all(is_whole) {
            writing.write_constant(0, self.count())?;
            return writing.close();
        }
        for column in columns.iter_mut().flatten() {
            column.join(&mut dictionary);
        }
        let mut page = Vec::with_capacity(PAGE_ROWS);
        for from in self.order {
            let code = match &mut columns[(from & !SENT_AGAIN) as usize] {
                Some(column) => column.next_code(&mut dictionary)?,
                None => super::chunk::NONE,
            };
            if from & SENT_AGAIN != 0 {
                continue;
            }
            page.push(code);
            if page.len() == PAGE_ROWS {
                writing.write(&page)?;
                page.clear();
            }
        }
        if !page.is_empty() {
            writing.write(&page)?;
        }
        writing.close()
    }

    fn lists(&mut self, each: &mut dyn FnMut(ArrayRef) -> Result<()>) -> Result<()> {
        struct Open {
            batches: ParquetRecordBatchReader,
            /// The number of the array that is being read.
            array: usize,
            rows: std::ops::Range<usize>,
        }
        let mut sources = Vec::new();
        for source in &self.sources {
            sources.push(match source {
                Some(source) => Some(Open {
                    batches: source.batches()?,
                    array: 0,
                    rows: 0..0,
                }),
                None => None,
            });
        }
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut lists = Lists::default();
        let mut hand_on = |lists: &mut Lists, arrays: &[ArrayRef]| -> Result<()> {
            let arrays: Vec<&ListArray> = arrays.iter().map(|array| array.as_list()).collect();
            each(lists.take(&arrays)?)
        };
        let mut rows = 0;
        for from in self.order {
            let too_few = || ParquetError::General("a segment has too few lists".to_owned());
            // It is one of the core columns, which every segment has.
            let source = sources[(from & !SENT_AGAIN) as usize]
                .as_mut()
                .ok_or_else(too_few)?;
            while source.rows.is_empty() {
                let batch = source.batches.next().ok_or_else(too_few)??;
                let array = match batch.num_columns() {
                    1 => Arc::clone(batch.column(0)),
                    _ => shared_lists(&batch, self.schema)?,
                };
                source.rows = 0..array.len();
                source.array = arrays.len();
                arrays.push(array);
            }
            let row = source.rows.next().ok_or_else(too_few)?;
            if from & SENT_AGAIN != 0 {
                continue;
            }
            rows += 1;
            let is_enough = lists.add(arrays[source.array].as_list(), source.array, row);
            if is_enough || rows == PAGE_ROWS {
                hand_on(&mut lists, &arrays)?;
                rows = 0;
                // Arrays that are done are let go of.
                let mut kept = Vec::new();
                for source in sources.iter_mut().flatten().filter(|s| !s.rows.is_empty()) {
                    kept.push(Arc::clone(&arrays[source.array]));
                    source.array = kept.len() - 1;
                }
                arrays = kept;
            }
        }
        if rows > 0 {
            hand_on(&mut lists, &arrays)?;
        }
        Ok(())
    }

    fn has_lists(&self) -> bool {
        !self.sources.iter().flatten().all(SegmentColumn::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use tracediff_core::model::{SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};
    use tracediff_wire::encode_otlp_json;

    use super::*;
    use crate::gather::write_sorted_in_groups;
    use crate::manifest::SegmentMeta;
    use crate::objects::Objects;

    /// Spans of traces of five, some of which are in every part. A part has columns that others do not have.
    fn part(number: u64, spans: u64) -> Vec<SpanBatch> {
        let mut builder = SpanBatchBuilder::new();
        for span in 0..spans {
            // Every seventh was sent in all parts.
            let id = if span.is_multiple_of(7) {
                span
            } else {
                span + number * 1_000_000
            };
            let text = |text: String| text.into_bytes();
            builder.begin_resource();
            builder.resource_attribute(b"service.name", ValueRef::String(b"shop"));
            let mut attributes = vec![
                (&b"same"[..], text("always".to_owned())),
                (b"few", text(format!("value {}", id % 11))),
                (b"different", text(format!("{id:032x}"))),
            ];
            if number == 1 {
                attributes.push((b"of one part", text(format!("{}", id % 3))));
            }
            if id % 1_000 < 30 {
                attributes.push((b"rare", text(format!("{}", id % 700))));
            }
            // Hardly any repeat in a part, and all do over all parts.
            attributes.push((b"of many", text(format!("user {}", id % 9_000))));
            for (key, text) in &attributes {
                builder.span_attribute(key, ValueRef::String(text));
            }
            if id % 50 == 3 {
                builder.event_attribute(b"why", ValueRef::String(format!("{id}").as_bytes()));
                builder.event(id, b"exception");
            }
            let mut trace_id = [1; 16];
            let trace = (id / 5).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            trace_id[..8].copy_from_slice(&trace.to_be_bytes());
            // Traces that begin alike are told apart.
            trace_id[15] = (id % 5 % 2) as u8;
            builder.end_span(&SpanCore {
                trace_id: TraceId(trace_id),
                span_id: SpanId((id + 1).to_be_bytes()),
                parent_span_id: SpanId(if id % 5 == 0 { [0; 8] } else { [3; 8] }),
                operation: if id % 2 == 0 { b"even" } else { b"odd" },
                kind: (id % 6) as u8,
                status: (id % 3) as u8,
                status_message: b"",
                trace_state: if number == 2 && id % 4 == 0 {
                    b"ot=th:8"
                } else {
                    b""
                },
                start_ns: 1_000_000 - id % 5,
                end_ns: 2_000_000 + id,
            });
        }
        builder.commit().unwrap();
        builder.finish()
    }

    fn rows(file: Bytes) -> Vec<SpanBatch> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let batches = reader.with_batch_size(1_000).build().unwrap();
        batches
            .map(|batch| SpanBatch::try_from(batch.unwrap()).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn merged_segments_hold_what_one_would_hold() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let parts = [part(0, 21_000), part(1, 40_000), part(2, 9_500), part(3, 1)];
        let mut segments = Vec::new();
        for (number, batches) in (0..).zip(&parts) {
            let written = write_sorted_in_groups(batches, 1, 13_000).unwrap();
            let meta = SegmentMeta {
                number,
                spans: written.spans,
                bytes: written.file.len() as u64,
                first_start_ns: written.first_start_ns,
                last_start_ns: written.last_start_ns,
                written_ns: 0,
            };
            objects.create(&meta.path(), written.file).await.unwrap();
            segments.push(Arc::new(Segment::new(meta, objects.clone())));
        }
        let expected = write_sorted_in_groups(&parts.concat(), 1, usize::MAX).unwrap();
        for group_rows in [usize::MAX, 9_999] {
            let merged = merge_in_groups(&segments, 1, group_rows)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(merged.spans, expected.spans);
            assert_eq!(merged.first_start_ns, expected.first_start_ns);
            assert_eq!(merged.last_start_ns, expected.last_start_ns);
            let (merged, expected) = (rows(merged.file), rows(expected.file.clone()));
            assert_eq!(merged.len(), expected.len());
            for (merged, expected) in merged.iter().zip(&expected) {
                assert!(encode_otlp_json(merged) == encode_otlp_json(expected));
            }
        }
    }
}
