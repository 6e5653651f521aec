//! Rows of many batches in the order of segments, column by column.
//!
//! Dictionaries are joined once, not for every row: a row's new code is looked up by its old one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampNanosecondType, UInt8Type, UInt64Type};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, ListArray, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;
use tracediff_core::model::SpanBatch;

use crate::segment::{
    CodedTexts, Dictionary, Encoder, NONE, PAGE_ROWS, ROW_GROUP_ROWS, Rows, SegmentWriter,
    SingleTexts, Written,
};

/// The columns of all schemas: core columns, then attributes in order of their names.
pub(crate) fn joint_schema<'a>(schemas: impl IntoIterator<Item = &'a SchemaRef>) -> SchemaRef {
    let mut core: Vec<Arc<Field>> = Vec::new();
    // By what their metadata says, too: the text `code:int` and the number `code` have the same name.
    let mut attributes: BTreeMap<(&str, BTreeMap<&String, &String>), &Arc<Field>> = BTreeMap::new();
    for schema in schemas {
        for field in schema.fields() {
            if !field.metadata().is_empty() {
                let metadata = field.metadata().iter().collect();
                attributes.entry((field.name(), metadata)).or_insert(field);
            } else if !core.iter().any(|known| known.name() == field.name()) {
                core.push(Arc::clone(field));
            }
        }
    }
    core.extend(attributes.into_values().cloned());
    Arc::new(Schema::new(core))
}

/// The number of a field in another schema.
pub(crate) fn position(schema: &SchemaRef, field: &Field) -> Option<usize> {
    let is_it =
        |other: &Arc<Field>| other.name() == field.name() && other.metadata() == field.metadata();
    schema.fields().iter().position(is_it)
}

/// Bytes that a span often has in a segment.
const SPAN_BYTES: usize = 50;

/// All spans as a segment, each once. Spans with the same trace id, span id and start are one that was sent again.
pub(crate) fn write_sorted(batches: &[SpanBatch], level: i32) -> Result<Written> {
    write_sorted_in_groups(batches, level, ROW_GROUP_ROWS)
}

pub(crate) fn write_sorted_in_groups(
    batches: &[SpanBatch],
    level: i32,
    group_rows: usize,
) -> Result<Written> {
    let schemas: Vec<_> = batches.iter().map(|b| b.record_batch().schema()).collect();
    let schema = joint_schema(&schemas);
    let order = sorted(batches)?;
    let mut writer = SegmentWriter::new(Arc::clone(&schema), level, order.len() * SPAN_BYTES)?;
    let mut gatherer = Gatherer::new(batches);
    for places in order.chunks(group_rows) {
        let mut group = writer.begin_group()?;
        for field in schema.fields() {
            group.write(&mut gatherer.column(field, places))?;
        }
        group.end()?;
    }
    writer.finish()
}

/// The rows of all batches in the order of segments, numbered from the first row of the first batch on.
fn sorted(batches: &[SpanBatch]) -> Result<Vec<u32>> {
    let rows: usize = batches.iter().map(SpanBatch::len).sum();
    if u32::try_from(rows).is_err() {
        return Err(ParquetError::General(format!("{rows} spans are too many")));
    }
    // By what nearly always tells: half of the trace id, and the start.
    let mut keys: Vec<(u64, i64, u32)> = Vec::with_capacity(rows);
    for batch in batches {
        let first = keys.len() as u32;
        keys.extend((0..batch.len()).map(|row| {
            let id = u128::from_be_bytes(batch.trace_id(row).0);
            ((id >> 64) as u64, batch.start_ns(row), first + row as u32)
        }));
    }
    keys.sort_unstable();
    let starts = first_rows(batches);
    let whole = |row: u32| {
        let (batch, row) = place(&starts, row);
        let batch = &batches[batch];
        let trace = u128::from_be_bytes(batch.trace_id(row).0);
        let span = u64::from_be_bytes(batch.span_id(row).0);
        (trace, batch.start_ns(row), span)
    };
    let mut order: Vec<u32> = Vec::with_capacity(rows);
    for of_trace in keys.chunk_by(|a, b| a.0 == b.0) {
        let [(.., first), rest @ ..] = of_trace else {
            continue;
        };
        if rest.is_empty() {
            order.push(*first);
            continue;
        }
        let mut spans: Vec<_> = of_trace
            .iter()
            .map(|(.., row)| (whole(*row), *row))
            .collect();
        spans.sort_unstable();
        spans.dedup_by_key(|(key, _)| *key);
        order.extend(spans.iter().map(|(_, row)| *row));
    }
    Ok(order)
}

/// The number of every batch's first row.
fn first_rows(batches: &[SpanBatch]) -> Vec<u32> {
    let mut rows = 0;
    let first = |batch: &SpanBatch| {
        let first = rows;
        rows += batch.len() as u32;
        first
    };
    batches.iter().map(first).collect()
}

/// The batch of a row, and the row in it.
fn place(first_rows: &[u32], row: u32) -> (usize, usize) {
    let batch = first_rows.partition_point(|first| *first <= row) - 1;
    (batch, (row - first_rows[batch]) as usize)
}

/// Batches whose rows can be had in any order; keeps its buffers.
struct Gatherer<'b> {
    batches: &'b [SpanBatch],
    first_rows: Vec<u32>,
    /// Codes by row.
    codes: Vec<u32>,
    page: Vec<u32>,
}

impl<'b> Gatherer<'b> {
    fn new(batches: &'b [SpanBatch]) -> Self {
        Self {
            batches,
            first_rows: first_rows(batches),
            codes: Vec::new(),
            page: Vec::new(),
        }
    }

    fn column<'g>(&'g mut self, field: &Field, places: &'g [u32]) -> Column<'g, 'b> {
        let of_batch = |batch: &'b SpanBatch| {
            let batch = batch.record_batch();
            let at = position(batch.schema_ref(), field);
            at.map(|at| batch.column(at))
        };
        Column {
            arrays: self.batches.iter().map(of_batch).collect(),
            gatherer: self,
            places,
        }
    }
}

/// One column of all batches, of some rows.
struct Column<'g, 'b> {
    /// By batch; `None` where it has no such column.
    arrays: Vec<Option<&'b ArrayRef>>,
    gatherer: &'g mut Gatherer<'b>,
    places: &'g [u32],
}

impl<'b> Column<'_, 'b> {
    /// One value for each row, from those of each batch.
    fn values<T: Copy>(&self, of: impl Fn(&'b ArrayRef, &mut Vec<T>)) -> Vec<T> {
        let mut values = Vec::new();
        for array in self.arrays.iter().flatten() {
            of(array, &mut values);
        }
        self.places
            .iter()
            .map(|row| values[*row as usize])
            .collect()
    }

    fn dictionaries(&self) -> impl Iterator<Item = Option<Texts<'b>>> {
        self.arrays.iter().map(|array| array.map(Texts::new))
    }
}

/// A dictionary column of one batch.
struct Texts<'b> {
    array: &'b arrow_array::DictionaryArray<Int32Type>,
    values: &'b StringArray,
    /// Rows that have a text.
    there: usize,
}

impl<'b> Texts<'b> {
    fn new(array: &'b ArrayRef) -> Self {
        let array = array.as_dictionary::<Int32Type>();
        Self {
            array,
            values: array.values().as_string::<i32>(),
            there: array.len() - array.null_count(),
        }
    }

    /// Appends what `code` is for the code of every row.
    fn map(&self, code: impl Fn(usize) -> u32, into: &mut Vec<u32>) {
        let codes = self.array.keys().values();
        match self.array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => into.extend(codes.iter().map(|of| code(*of as usize))),
            Some(_) if self.there == 0 => into.resize(into.len() + codes.len(), NONE),
            Some(nulls) => {
                let rows = codes.iter().zip(nulls.iter());
                into.extend(rows.map(|(of, there)| if there { code(*of as usize) } else { NONE }));
            }
        }
    }

    fn text_bytes(&self) -> usize {
        let bytes = self.values.value_data().len();
        bytes / self.values.len().max(1) * self.there
    }
}

impl Rows for Column<'_, '_> {
    fn count(&self) -> usize {
        self.places.len()
    }

    fn ids<const N: usize>(&mut self) -> Result<Vec<[u8; N]>> {
        Ok(self.values(|array, into| append_ids(array.as_fixed_size_binary(), into)))
    }

    fn numbers(&mut self) -> Result<Vec<i64>> {
        Ok(self.values(append_numbers))
    }

    fn small_numbers(&mut self) -> Result<Vec<u8>> {
        Ok(self.values(|array, into| {
            into.extend_from_slice(array.as_primitive::<UInt8Type>().values());
        }))
    }

    fn weights(&mut self) -> Result<Option<Vec<Option<f64>>>> {
        let mut arrays = self.arrays.iter().flatten();
        if arrays.all(|array| array.null_count() == array.len()) {
            return Ok(None);
        }
        Ok(Some(self.values(|array, into| {
            into.extend(array.as_primitive::<Float64Type>().iter());
        })))
    }

    fn texts(
        &mut self,
        encoder: &mut Encoder,
        column: ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let there: usize = self.dictionaries().flatten().map(|texts| texts.there).sum();
        let distinct = self
            .dictionaries()
            .flatten()
            .map(|texts| texts.values.len());
        // Where nearly every row has a text of its own there is little to join.
        if distinct.sum::<usize>() * 2 > there {
            return self.single_texts(encoder, column);
        }
        let text_bytes = self
            .dictionaries()
            .flatten()
            .map(|texts| texts.text_bytes());
        let text_bytes = text_bytes.sum();
        let mut dictionary = Dictionary::default();
        let mut joint = Vec::new();
        let mut codes = std::mem::take(&mut self.gatherer.codes);
        codes.clear();
        for (texts, batch) in self.dictionaries().zip(self.gatherer.batches) {
            let Some(texts) = texts else {
                codes.resize(codes.len() + batch.len(), NONE);
                continue;
            };
            joint.clear();
            let values = (0..texts.values.len()).map(|code| texts.values.value(code).as_bytes());
            joint.extend(values.map(|text| dictionary.code_of(text)));
            texts.map(|code| joint[code], &mut codes);
            if dictionary.is_too_large(text_bytes) {
                break;
            }
        }
        if dictionary.is_too_large(text_bytes) {
            self.gatherer.codes = codes;
            return self.single_texts(encoder, column);
        }
        let mut writing = CodedTexts::begin(encoder, column, &dictionary)?;
        if dictionary.len() == 1 && there == codes.len() {
            writing.write_constant(0, self.places.len())?;
        } else {
            for places in self.places.chunks(PAGE_ROWS) {
                let page = &mut self.gatherer.page;
                page.clear();
                page.extend(places.iter().map(|row| codes[*row as usize]));
                writing.write(page)?;
            }
        }
        self.gatherer.codes = codes;
        writing.close()
    }

    fn lists(&mut self, each: &mut dyn FnMut(ArrayRef) -> Result<()>) -> Result<()> {
        let arrays: Vec<&ListArray> = self.arrays.iter().flatten().map(|a| a.as_list()).collect();
        for places in self.places.chunks(PAGE_ROWS) {
            let mut lists = Lists::default();
            for row in places {
                let (batch, row) = place(&self.gatherer.first_rows, *row);
                if lists.add(arrays[batch], batch, row) {
                    each(lists.take(&arrays)?)?;
                }
            }
            each(lists.take(&arrays)?)?;
        }
        Ok(())
    }

    fn has_lists(&self) -> bool {
        let has = |array: &&ArrayRef| {
            let offsets = array.as_list::<i32>().offsets();
            offsets.first() != offsets.last()
        };
        self.arrays.iter().flatten().any(has)
    }
}

impl Column<'_, '_> {
    /// Texts as they are, each for itself.
    fn single_texts(
        &mut self,
        encoder: &mut Encoder,
        column: ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let mut all: Vec<&str> = Vec::new();
        let mut codes = std::mem::take(&mut self.gatherer.codes);
        codes.clear();
        for (texts, batch) in self.dictionaries().zip(self.gatherer.batches) {
            let Some(texts) = texts else {
                codes.resize(codes.len() + batch.len(), NONE);
                continue;
            };
            let first = all.len();
            all.extend((0..texts.values.len()).map(|code| texts.values.value(code)));
            texts.map(|code| (first + code) as u32, &mut codes);
        }
        let mut writing = SingleTexts::begin(encoder, column);
        for row in self.places {
            let text = all.get(codes[*row as usize] as usize);
            writing.push(text.map(|text| text.as_bytes()))?;
        }
        self.gatherer.codes = codes;
        writing.close()
    }
}

/// Appends ids; zeros where there is none.
pub(crate) fn append_ids<const N: usize>(array: &FixedSizeBinaryArray, into: &mut Vec<[u8; N]>) {
    let id = |row: usize| match array.value(row).try_into() {
        Ok(id) if array.is_valid(row) => id,
        _ => [0; N],
    };
    into.extend((0..array.len()).map(id));
}

/// Appends times or the bits of durations.
pub(crate) fn append_numbers(array: &ArrayRef, into: &mut Vec<i64>) {
    match array.data_type() {
        DataType::UInt64 => {
            let numbers = array.as_primitive::<UInt64Type>().values();
            into.extend(numbers.iter().map(|number| *number as i64));
        }
        _ => into.extend_from_slice(array.as_primitive::<TimestampNanosecondType>().values()),
    }
}

/// Bytes of texts in lists past which they are handed on.
const LIST_BYTES: usize = 64 << 20;

/// Rows of lists, most of them empty, from some arrays.
#[derive(Default)]
pub(crate) struct Lists {
    /// Where the lists are that are not empty.
    places: Vec<(usize, usize)>,
    lengths: Vec<usize>,
    bytes: usize,
}

impl Lists {
    /// Adds a row of an array; whether it is enough.
    pub(crate) fn add(&mut self, array: &ListArray, number: usize, row: usize) -> bool {
        let (from, to) = (
            array.offsets()[row] as usize,
            array.offsets()[row + 1] as usize,
        );
        self.lengths.push(to - from);
        if from < to {
            self.places.push((number, row));
            self.bytes += text_bytes(array.values(), from, to);
        }
        self.bytes > LIST_BYTES
    }

    /// The rows so far as one array.
    pub(crate) fn take(&mut self, arrays: &[&ListArray]) -> Result<ArrayRef> {
        let Some(first) = arrays.first() else {
            return Err(ParquetError::General("lists of no batch".to_owned()));
        };
        let values = if self.places.is_empty() {
            first.values().slice(0, 0)
        } else {
            let arrays: Vec<&dyn Array> = arrays.iter().map(|array| *array as &dyn Array).collect();
            let lists = arrow_select::interleave::interleave(&arrays, &self.places)?;
            Arc::clone(lists.as_list::<i32>().values())
        };
        let offsets = OffsetBuffer::from_lengths(self.lengths.iter().copied());
        let DataType::List(field) = first.data_type() else {
            return Err(ParquetError::General("a list is none".to_owned()));
        };
        *self = Self::default();
        Ok(Arc::new(ListArray::try_new(
            Arc::clone(field),
            offsets,
            values,
            None,
        )?))
    }
}

/// Bytes of the texts in some rows of nested columns.
fn text_bytes(array: &ArrayRef, from: usize, to: usize) -> usize {
    match array.data_type() {
        DataType::Utf8 => {
            let offsets = array.as_string::<i32>().offsets();
            (offsets[to] - offsets[from]) as usize
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offset = |row: usize| list.offsets()[row] as usize;
            text_bytes(list.values(), offset(from), offset(to))
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.map(|column| text_bytes(column, from, to)).sum()
        }
        _ => 8 * (to - from),
    }
}
