//! Rows of many batches in one order as new batches, column by column.
//!
//! Dictionaries are joined once, not for every row: a row's new code is looked up by its old one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, ListArray, RecordBatch,
    StringArray, new_null_array,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tracediff_core::model::SpanBatch;

/// Where a row is: the number of its batch and the row in it.
pub(crate) type Place = (u32, u32);

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

/// Batches whose rows can be had in any order, with the columns of one schema: null where a batch has no such column.
pub(crate) struct Gatherer {
    schema: SchemaRef,
    columns: Vec<Column>,
}

/// One column of all batches.
enum Column {
    Text(Texts),
    /// Ids, of this many bytes.
    Ids(i32, Vec<FixedSizeBinaryArray>),
    /// Lists that are all empty.
    Empty(ListArray),
    Other(Vec<ArrayRef>),
}

/// A dictionary column of all batches with one dictionary.
struct Texts {
    /// By batch: codes, which of them are there, and the joint code of every code. `None` where the batch has no such
    /// column.
    batches: Vec<Option<Codes>>,
    joint: ArrayRef,
}

struct Codes {
    codes: ScalarBuffer<i32>,
    nulls: Option<NullBuffer>,
    joint: Vec<i32>,
}

impl Gatherer {
    pub(crate) fn new(schema: &SchemaRef, batches: &[SpanBatch]) -> Self {
        let rows = batches.iter().map(SpanBatch::len).sum();
        let column = |field: &Arc<Field>| {
            let find = |batch: &SpanBatch| {
                let batch = batch.record_batch();
                let mut fields = batch.schema_ref().fields().iter();
                let is_it = |other: &Arc<Field>| {
                    other.name() == field.name() && other.metadata() == field.metadata()
                };
                fields
                    .position(is_it)
                    .map(|at| Arc::clone(batch.column(at)))
            };
            let columns: Vec<Option<ArrayRef>> = batches.iter().map(find).collect();
            if matches!(field.data_type(), DataType::Dictionary(..)) {
                return Column::Text(Texts::new(&columns, rows));
            }
            let columns: Vec<ArrayRef> = columns
                .into_iter()
                .zip(batches)
                .map(|(column, batch)| {
                    column.unwrap_or_else(|| new_null_array(field.data_type(), batch.len()))
                })
                .collect();
            match field.data_type() {
                DataType::FixedSizeBinary(length) => {
                    let ids = columns.iter().map(|c| c.as_fixed_size_binary().clone());
                    Column::Ids(*length, ids.collect())
                }
                DataType::List(_) if is_empty(&columns) => {
                    Column::Empty(columns[0].as_list().slice(0, 0))
                }
                _ => Column::Other(columns),
            }
        };
        Self {
            schema: Arc::clone(schema),
            columns: schema.fields().iter().map(column).collect(),
        }
    }

    /// The rows at these places, in this order.
    pub(crate) fn rows(&self, places: &[Place]) -> Result<SpanBatch, ArrowError> {
        let mut of_arrow: Vec<(usize, usize)> = Vec::new();
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let column: ArrayRef = match column {
                Column::Text(texts) => Arc::new(texts.rows(places)?),
                Column::Ids(length, ids) => Arc::new(ids_at(*length, ids, places)?),
                Column::Empty(list) => {
                    let offsets = OffsetBuffer::new_zeroed(places.len());
                    let (field, _, values, _) = list.clone().into_parts();
                    Arc::new(ListArray::try_new(
                        field,
                        offsets,
                        values.slice(0, 0),
                        None,
                    )?)
                }
                Column::Other(columns) => {
                    if of_arrow.is_empty() {
                        let place = |(batch, row): &Place| (*batch as usize, *row as usize);
                        of_arrow = places.iter().map(place).collect();
                    }
                    let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
                    arrow_select::interleave::interleave(&columns, &of_arrow)?
                }
            };
            columns.push(column);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        SpanBatch::try_from(batch).map_err(|e| ArrowError::SchemaError(e.to_string()))
    }
}

fn is_empty(lists: &[ArrayRef]) -> bool {
    let has_none = |list: &ArrayRef| {
        let offsets = list.as_list::<i32>().offsets();
        offsets.first() == offsets.last()
    };
    !lists.is_empty() && lists.iter().all(has_none)
}

/// The joint code of a text that no row has.
const NONE: i32 = -1;

impl Texts {
    fn new(columns: &[Option<ArrayRef>], rows: usize) -> Self {
        let used = |column: &ArrayRef| {
            column
                .as_dictionary::<Int32Type>()
                .values()
                .len()
                .min(column.len())
        };
        let count: usize = columns.iter().flatten().map(used).sum();
        // Where nearly every row has a text of its own there is little to join.
        let is_joined = count < rows / 2;
        let mut known: HashMap<&str, i32, RandomState> = HashMap::default();
        let mut joint: Vec<&str> = Vec::new();
        let mut batches = Vec::with_capacity(columns.len());
        for column in columns {
            let Some(column) = column else {
                batches.push(None);
                continue;
            };
            let dictionary = column.as_dictionary::<Int32Type>();
            let texts = dictionary.values().as_string::<i32>();
            let mut code_of = |text| {
                let mut add = || {
                    joint.push(text);
                    joint.len() as i32 - 1
                };
                if is_joined {
                    *known.entry(text).or_insert_with(add)
                } else {
                    add()
                }
            };
            let codes = dictionary.keys();
            let of_codes = if texts.len() <= codes.len() {
                (0..texts.len())
                    .map(|code| code_of(texts.value(code)))
                    .collect()
            } else {
                // A few rows of a large dictionary.
                let mut of_codes = vec![NONE; texts.len()];
                for code in codes.iter().flatten() {
                    let joint = &mut of_codes[code as usize];
                    if *joint == NONE {
                        *joint = code_of(texts.value(code as usize));
                    }
                }
                of_codes
            };
            batches.push(Some(Codes {
                joint: of_codes,
                codes: codes.values().clone(),
                nulls: codes.nulls().filter(|n| n.null_count() > 0).cloned(),
            }));
        }
        Self {
            batches,
            joint: Arc::new(StringArray::from_iter_values(joint)),
        }
    }

    fn rows(&self, places: &[Place]) -> Result<DictionaryArray<Int32Type>, ArrowError> {
        let whole = |batch: &Option<Codes>| batch.as_ref().is_some_and(|b| b.nulls.is_none());
        if self.batches.iter().all(whole) {
            let batches: Vec<(&[i32], &[i32])> = self
                .batches
                .iter()
                .flatten()
                .map(|batch| (&batch.codes[..], &batch.joint[..]))
                .collect();
            let code = |(batch, row): &Place| {
                let (codes, joint) = batches[*batch as usize];
                joint[codes[*row as usize] as usize]
            };
            let codes: ScalarBuffer<i32> = places.iter().map(code).collect::<Vec<i32>>().into();
            return DictionaryArray::try_new(Int32Array::new(codes, None), Arc::clone(&self.joint));
        }
        let code = |(batch, row): &Place| {
            let batch = self.batches[*batch as usize].as_ref()?;
            let row = *row as usize;
            let is_there = batch.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            is_there.then(|| batch.joint[batch.codes[row] as usize])
        };
        let codes: Int32Array = places.iter().map(code).collect();
        DictionaryArray::try_new(codes, Arc::clone(&self.joint))
    }
}

fn ids_at(
    length: i32,
    ids: &[FixedSizeBinaryArray],
    places: &[Place],
) -> Result<FixedSizeBinaryArray, ArrowError> {
    let mut bytes = Vec::with_capacity(places.len() * length as usize);
    for (batch, row) in places {
        bytes.extend_from_slice(ids[*batch as usize].value(*row as usize));
    }
    let has_nulls = ids.iter().any(|ids| ids.null_count() > 0);
    let is_there = |(batch, row): &Place| ids[*batch as usize].is_valid(*row as usize);
    let nulls = has_nulls.then(|| places.iter().map(is_there).collect::<NullBuffer>());
    FixedSizeBinaryArray::try_new(length, Buffer::from_vec(bytes), nulls)
}
