//! Rows of many batches in one order as one batch, column by column.
//!
//! Dictionaries are joined instead of decoded: every text is looked at once a batch, not once a row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tracediff_core::model::SpanBatch;

/// Where a row is: the number of its batch and the row in it.
pub(crate) type Place = (u32, u32);

/// The columns of all schemas: core columns, then attributes in order of their names.
pub(crate) fn joint_schema<'a>(schemas: impl IntoIterator<Item = &'a SchemaRef>) -> SchemaRef {
    let mut core: Vec<Arc<Field>> = Vec::new();
    let mut attributes: std::collections::BTreeMap<String, Arc<Field>> = Default::default();
    for schema in schemas {
        for field in schema.fields() {
            if !field.metadata().is_empty() {
                attributes
                    .entry(field.name().clone())
                    .or_insert_with(|| Arc::clone(field));
            } else if !core.iter().any(|known| known.name() == field.name()) {
                core.push(Arc::clone(field));
            }
        }
    }
    core.extend(attributes.into_values());
    Arc::new(Schema::new(core))
}

/// The rows at these places, in this order, with the columns of `schema`: null where a batch has no such column.
pub(crate) fn gather(
    schema: &SchemaRef,
    batches: &[SpanBatch],
    places: &[Place],
) -> Result<SpanBatch, ArrowError> {
    let places_as_usize: Vec<(usize, usize)> = places
        .iter()
        .map(|(batch, row)| (*batch as usize, *row as usize))
        .collect();
    let columns = schema.fields().iter().map(|field| {
        let of_batch =
            |batch: &SpanBatch| batch.record_batch().column_by_name(field.name()).cloned();
        let columns: Vec<Option<ArrayRef>> = batches.iter().map(of_batch).collect();
        if matches!(field.data_type(), DataType::Dictionary(..)) {
            return Ok(Arc::new(gather_texts(&columns, places)) as ArrayRef);
        }
        let columns: Vec<ArrayRef> = columns
            .into_iter()
            .zip(batches)
            .map(|(column, batch)| {
                column.unwrap_or_else(|| new_null_array(field.data_type(), batch.len()))
            })
            .collect();
        let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        arrow_select::interleave::interleave(&columns, &places_as_usize)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let batch = RecordBatch::try_new(Arc::clone(schema), columns)?;
    SpanBatch::try_from(batch).map_err(|e| ArrowError::SchemaError(e.to_string()))
}

const NONE: i32 = -1;

fn gather_texts(columns: &[Option<ArrayRef>], places: &[Place]) -> DictionaryArray<Int32Type> {
    let mut codes: HashMap<&str, i32, FixedState> = HashMap::default();
    let mut texts: Vec<&str> = Vec::new();
    // The joint code of every code of every batch; codes that no row has would only make the dictionary larger.
    let mut joint: Vec<Vec<i32>> = columns
        .iter()
        .map(|column| {
            let values = column
                .as_ref()
                .map_or(0, |c| c.as_dictionary::<Int32Type>().values().len());
            vec![NONE; values]
        })
        .collect();
    let dictionaries: Vec<Option<(&Int32Array, &StringArray)>> = columns
        .iter()
        .map(|column| {
            let dictionary = column.as_ref()?.as_dictionary::<Int32Type>();
            Some((dictionary.keys(), dictionary.values().as_string::<i32>()))
        })
        .collect();
    let keys = places.iter().map(|(batch, row)| {
        let (batch, row) = (*batch as usize, *row as usize);
        let (keys, values) = dictionaries[batch]?;
        if keys.is_null(row) {
            return None;
        }
        let code = keys.value(row) as usize;
        let known = &mut joint[batch][code];
        if *known == NONE {
            let text = values.value(code);
            *known = *codes.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() as i32 - 1
            });
        }
        Some(*known)
    });
    let keys: Int32Array = keys.collect();
    let values = StringArray::from_iter_values(texts);
    DictionaryArray::new(keys, Arc::new(values))
}
