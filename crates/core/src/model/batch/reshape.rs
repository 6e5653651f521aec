//! Batches made of batches: with fewer rows, with fewer columns, and with columns that were left out.

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions,
    StringArray, make_array, new_null_array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::dictionary::garbage_collect_dictionary;
use arrow_select::filter::filter_record_batch;

use super::{AttributeColumn, SpanBatch, core_name};
use crate::model::nested::NestedAttributes;
use crate::model::schema::{SchemaError, core_fields};

/// Text that [`SpanBatch::narrowed`] may copy.
const MAX_FOLDED_BYTES: usize = 64 << 20;

/// Rows of a batch as it is read, mostly.
const READY_ROWS: usize = 8_192;
/// Core columns that say nothing, made once: to write zeros for every batch takes longer than to read a small column.
static NOTHING: LazyLock<Vec<(Arc<Field>, ArrayRef)>> = LazyLock::new(|| {
    let fields = core_fields().into_iter();
    fields
        .map(|field| {
            let column = nothing(&field, READY_ROWS);
            (Arc::new(field), column)
        })
        .collect()
});

/// A column of so many rows that says nothing.
fn nothing(field: &Field, rows: usize) -> ArrayRef {
    if field.is_nullable() {
        return new_null_array(field.data_type(), rows);
    }
    if let DataType::Dictionary(..) = field.data_type() {
        let codes = Int32Array::new(vec![0; rows].into(), None);
        let empty = Arc::new(StringArray::from_iter_values([""]));
        return Arc::new(DictionaryArray::new(codes, empty));
    }
    // What is null lies there as zeros.
    let zeros = new_null_array(field.data_type(), rows).to_data();
    #[expect(clippy::expect_used, reason = "zeros are a value of each type")]
    make_array(
        zeros
            .into_builder()
            .nulls(None)
            .build()
            .expect("a column of zeros"),
    )
}

impl SpanBatch {
    /// A batch of columns of which some were left out: these read as if spans had nothing there, ids and numbers as
    /// zero, texts as empty.
    pub fn from_some_columns(batch: &RecordBatch) -> Result<Self, SchemaError> {
        let rows = batch.num_rows();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, ready) in NOTHING.iter() {
            columns.push(match batch.column_by_name(field.name()) {
                Some(column) => ArrayRef::clone(column),
                None if rows <= ready.len() => ready.slice(0, rows),
                None => nothing(field, rows),
            });
            fields.push(Arc::clone(field));
        }
        let schema = batch.schema_ref();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if core_name(field.name()).is_empty() {
                fields.push(Arc::clone(field));
                columns.push(ArrayRef::clone(column));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|e| SchemaError::Columns(e.to_string()))?;
        Self::try_from(batch)
    }

    /// Rows next to each other, from `offset` on, without a copy.
    ///
    /// # Panics
    ///
    /// Where there are fewer rows than that.
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        #[expect(clippy::expect_used, reason = "the schema is that of self")]
        Self::try_from(self.record_batch.slice(offset, length)).expect("the schema stays")
    }

    /// The rows for which `keep` is true, with dictionaries that hold no more than these rows need.
    pub fn filter(&self, keep: &[bool]) -> Self {
        let rows = BooleanArray::from(keep.to_vec());
        let kept = filter_record_batch(&self.record_batch, &rows).map(|batch| {
            let columns = batch.columns().iter().map(|column| {
                let dictionary = column.as_dictionary_opt::<Int32Type>();
                match dictionary.map(garbage_collect_dictionary) {
                    Some(Ok(smaller)) => Arc::new(smaller) as ArrayRef,
                    Some(Err(_)) | None => column.clone(),
                }
            });
            RecordBatch::try_new(batch.schema(), columns.collect())
        });
        #[expect(
            clippy::expect_used,
            reason = "the mask has one entry per row and the columns keep their types"
        )]
        let batch = kept
            .and_then(|batch| batch)
            .expect("a batch can be filtered");
        #[expect(clippy::expect_used, reason = "the schema is that of self")]
        Self::try_from(batch).expect("the schema stays")
    }

    /// The same spans without the attribute columns that `keeps` does not keep: what these hold is among
    /// [`other_attributes`](Self::other_attributes). `None` where their texts, of which a column has each once, would take
    /// more than 64 MiB there.
    pub fn narrowed(&self, keeps: impl Fn(&Field) -> bool) -> Option<Self> {
        let schema = self.record_batch.schema();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        let mut folded: Vec<&AttributeColumn> = Vec::new();
        let mut attributes = self.attributes.iter();
        for (field, column) in schema.fields().iter().zip(self.record_batch.columns()) {
            let attribute = match core_name(field.name()) {
                "" => attributes.next().filter(|_| !keeps(field)),
                _ => None,
            };
            match attribute {
                Some(attribute) => folded.push(attribute),
                None => {
                    fields.push(Arc::clone(field));
                    columns.push(Arc::clone(column));
                }
            }
        }
        let mut places: Vec<(usize, usize)> = Vec::new();
        let mut bytes = 0;
        for (number, attribute) in folded.iter().enumerate() {
            for row in 0..self.len() {
                if let Some(text) = attribute.column.text(row) {
                    bytes += text.len();
                    places.push((row, number));
                }
            }
        }
        if bytes > MAX_FOLDED_BYTES {
            return None;
        }
        places.sort_unstable();
        let mut places = places.into_iter().peekable();
        let mut nested = NestedAttributes::default();
        for row in 0..self.len() {
            for other in self.other_attributes(row) {
                let key = other.key.as_bytes();
                nested.push_text(other.origin, key, other.value_type, other.text);
            }
            while let Some((_, number)) = places.next_if(|(of, _)| *of == row) {
                let AttributeColumn {
                    key,
                    origin,
                    value_type,
                    column,
                } = folded[number];
                let text = column.text(row).unwrap_or_default();
                nested.push_text(*origin, key.as_bytes(), *value_type, text);
            }
            nested.end_list();
        }
        let others = fields.iter().position(|f| f.name() == "other_attributes")?;
        columns[others] = Arc::new(nested.take());
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).ok()?;
        Self::try_from(batch).ok()
    }
}
