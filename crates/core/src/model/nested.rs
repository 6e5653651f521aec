//! Events, links and attributes that found no column of their own: the nested parts of a batch while it is built.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, ListArray, StringArray,
    StructArray, TimestampNanosecondArray, UInt8Array,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::builder::MAX_REQUEST_BYTES;
use super::ids::{SpanId, TraceId};
use super::interner::{Interner, string_array};
use super::value::{Origin, ValueRef, ValueType};

/// The type of dictionary-encoded text everywhere in a batch.
pub(crate) fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Nanoseconds since the epoch, UTC.
pub(crate) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

fn attribute_fields() -> Fields {
    Fields::from(vec![
        Field::new("origin", DataType::UInt8, false),
        Field::new("key", dictionary_type(), false),
        Field::new("type", DataType::UInt8, false),
        Field::new("value", DataType::Utf8, false),
    ])
}

fn item(fields: Fields) -> DataType {
    DataType::List(Arc::new(Field::new(
        "item",
        DataType::Struct(fields),
        false,
    )))
}

/// `List<Struct<origin, key, type, value>>`.
pub(crate) fn attributes_type() -> DataType {
    item(attribute_fields())
}

fn event_fields() -> Fields {
    Fields::from(vec![
        Field::new("time", timestamp_type(), false),
        Field::new("name", dictionary_type(), false),
        Field::new("attributes", attributes_type(), false),
    ])
}

/// `List<Struct<time, name, attributes>>`.
pub(crate) fn events_type() -> DataType {
    item(event_fields())
}

fn link_fields() -> Fields {
    Fields::from(vec![
        Field::new("trace_id", DataType::FixedSizeBinary(16), false),
        Field::new("span_id", DataType::FixedSizeBinary(8), false),
        Field::new("trace_state", dictionary_type(), false),
        Field::new("attributes", attributes_type(), false),
    ])
}

/// `List<Struct<trace_id, span_id, trace_state, attributes>>`.
pub(crate) fn links_type() -> DataType {
    item(link_fields())
}

/// Ends of lists, one for every parent.
#[derive(Debug, Default)]
pub(crate) struct Ends(Vec<i32>);

impl Ends {
    pub(crate) fn push(&mut self, end: usize) {
        self.0.push(end as i32);
    }

    /// Cuts to `len` lists and gives where the last of them ends.
    pub(crate) fn truncate(&mut self, len: usize) -> usize {
        self.0.truncate(len);
        self.0.last().copied().unwrap_or(0) as usize
    }

    fn take(&mut self) -> OffsetBuffer<i32> {
        let mut offsets = Vec::with_capacity(self.0.len() + 1);
        offsets.push(0);
        offsets.append(&mut self.0);
        OffsetBuffer::new(ScalarBuffer::from(offsets))
    }
}

/// A list of struct values per parent.
pub(crate) fn list(ends: &mut Ends, fields: Fields, columns: Vec<ArrayRef>) -> ListArray {
    let len = columns.first().map_or(0, |c| c.len());
    let values = StructArray::try_new_with_length(fields.clone(), columns, None, len);
    #[expect(
        clippy::expect_used,
        reason = "the columns are built here, from the same fields and of equal length"
    )]
    let values = values.expect("columns fit their fields");
    let field = Arc::new(Field::new("item", DataType::Struct(fields), false));
    ListArray::new(field, ends.take(), Arc::new(values), None)
}

/// Codes and the dictionary they point into.
pub(crate) fn dictionary(codes: Int32Array, values: StringArray) -> DictionaryArray<Int32Type> {
    DictionaryArray::new(codes, Arc::new(values))
}

/// Fixed-size ids end to end.
pub(crate) fn ids<const N: usize>(ids: Vec<[u8; N]>) -> FixedSizeBinaryArray {
    FixedSizeBinaryArray::new(N as i32, Buffer::from_vec(ids.into_flattened()), None)
}

/// What columns may take in memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) usize);

impl Default for Limit {
    fn default() -> Self {
        Self(MAX_REQUEST_BYTES)
    }
}

/// Lists of attributes under construction.
#[derive(Debug, Default)]
pub(crate) struct NestedAttributes {
    ends: Ends,
    origins: Vec<u8>,
    pub(crate) keys: Interner,
    key_codes: Vec<i32>,
    types: Vec<u8>,
    value_ends: Vec<i32>,
    value_bytes: Vec<u8>,
    pub(crate) limit: Limit,
    too_large: bool,
}

impl NestedAttributes {
    pub(crate) fn push(&mut self, origin: Origin, key: &[u8], value: ValueRef<'_>) {
        self.push_text(origin, key, value.value_type(), &value.text());
    }

    pub(crate) fn push_text(
        &mut self,
        origin: Origin,
        key: &[u8],
        value_type: ValueType,
        text: &str,
    ) {
        // A resource of long texts that found no column is copied to each of its spans, so this is not bounded by
        // the size of the request.
        if self.bytes() + text.len() > self.limit.0 {
            self.too_large = true;
            return;
        }
        self.origins.push(origin as u8);
        self.key_codes.push(self.keys.intern(key) as i32);
        self.types.push(value_type as u8);
        self.value_bytes.extend_from_slice(text.as_bytes());
        self.value_ends.push(self.value_bytes.len() as i32);
    }

    /// Ends the list of the current parent.
    pub(crate) fn end_list(&mut self) {
        self.ends.push(self.types.len());
    }

    pub(crate) fn bytes(&self) -> usize {
        self.value_bytes.len() + 16 * self.types.len()
    }

    /// Whether an attribute was left out because there was too much.
    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// Forgives what was left out, once the request that had it is taken back.
    pub(crate) fn rollback(&mut self) {
        self.too_large = false;
    }

    /// Cuts to the first `lists` lists.
    pub(crate) fn truncate(&mut self, lists: usize) {
        let len = self.ends.truncate(lists);
        self.origins.truncate(len);
        self.key_codes.truncate(len);
        self.types.truncate(len);
        self.value_ends.truncate(len);
        self.value_bytes
            .truncate(self.value_ends.last().copied().unwrap_or(0) as usize);
    }

    pub(crate) fn take(&mut self) -> ListArray {
        let mut value_offsets = vec![0];
        value_offsets.append(&mut self.value_ends);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from(std::mem::take(&mut self.origins))),
            Arc::new(dictionary(
                std::mem::take(&mut self.key_codes).into(),
                self.keys.take_values(),
            )),
            Arc::new(UInt8Array::from(std::mem::take(&mut self.types))),
            Arc::new(string_array(
                value_offsets,
                std::mem::take(&mut self.value_bytes),
            )),
        ];
        list(&mut self.ends, attribute_fields(), columns)
    }
}

/// Lists of events under construction.
#[derive(Debug, Default)]
pub(crate) struct Events {
    ends: Ends,
    times: Vec<i64>,
    pub(crate) names: Interner,
    name_codes: Vec<i32>,
    pub(crate) attributes: NestedAttributes,
}

impl Events {
    /// Adds an event whose attributes were pushed before; ends their list.
    pub(crate) fn push(&mut self, time_ns: i64, name: &[u8]) {
        // Two bytes of a request are enough for an event.
        if self.bytes() > self.attributes.limit.0 {
            self.attributes.too_large = true;
            return;
        }
        self.times.push(time_ns);
        self.name_codes.push(self.names.intern(name) as i32);
        self.attributes.end_list();
    }

    pub(crate) fn end_row(&mut self) {
        self.ends.push(self.times.len());
    }

    pub(crate) fn bytes(&self) -> usize {
        self.attributes.bytes() + 12 * self.times.len()
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        let len = self.ends.truncate(rows);
        self.times.truncate(len);
        self.name_codes.truncate(len);
        self.attributes.truncate(len);
    }

    pub(crate) fn take(&mut self) -> ListArray {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(
                TimestampNanosecondArray::from(std::mem::take(&mut self.times))
                    .with_timezone("UTC"),
            ),
            Arc::new(dictionary(
                std::mem::take(&mut self.name_codes).into(),
                self.names.take_values(),
            )),
            Arc::new(self.attributes.take()),
        ];
        list(&mut self.ends, event_fields(), columns)
    }
}

/// Lists of links under construction.
#[derive(Debug, Default)]
pub(crate) struct Links {
    ends: Ends,
    trace_ids: Vec<[u8; 16]>,
    span_ids: Vec<[u8; 8]>,
    pub(crate) trace_states: Interner,
    trace_state_codes: Vec<i32>,
    pub(crate) attributes: NestedAttributes,
}

impl Links {
    /// Adds a link whose attributes were pushed before; ends their list.
    pub(crate) fn push(&mut self, trace_id: TraceId, span_id: SpanId, trace_state: &[u8]) {
        if self.bytes() > self.attributes.limit.0 {
            self.attributes.too_large = true;
            return;
        }
        self.trace_ids.push(trace_id.0);
        self.span_ids.push(span_id.0);
        self.trace_state_codes
            .push(self.trace_states.intern(trace_state) as i32);
        self.attributes.end_list();
    }

    pub(crate) fn end_row(&mut self) {
        self.ends.push(self.trace_ids.len());
    }

    pub(crate) fn bytes(&self) -> usize {
        self.attributes.bytes() + 28 * self.trace_ids.len()
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        let len = self.ends.truncate(rows);
        self.trace_ids.truncate(len);
        self.span_ids.truncate(len);
        self.trace_state_codes.truncate(len);
        self.attributes.truncate(len);
    }

    pub(crate) fn take(&mut self) -> ListArray {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(ids(std::mem::take(&mut self.trace_ids))),
            Arc::new(ids(std::mem::take(&mut self.span_ids))),
            Arc::new(dictionary(
                std::mem::take(&mut self.trace_state_codes).into(),
                self.trace_states.take_values(),
            )),
            Arc::new(self.attributes.take()),
        ];
        list(&mut self.ends, link_fields(), columns)
    }
}
