//! `SpanBatch`: spans in memory, an Arrow record batch with a typed view over its columns.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{
    Array, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, ListArray, RecordBatch,
    StringArray, StructArray, TimestampNanosecondArray, UInt8Array, UInt64Array,
};
use arrow_buffer::NullBuffer;

use super::ids::{SpanId, TraceId};
use super::schema::{SchemaError, core_fields, read_attribute_field};
use super::semconv;
use super::value::{Attribute, Origin, ValueType};

/// A dictionary column: a code per row and the text of every code.
#[derive(Debug, Clone)]
pub struct TextColumn {
    codes: Int32Array,
    values: StringArray,
}

impl TextColumn {
    fn new(name: &str, array: &DictionaryArray<Int32Type>) -> Result<Self, SchemaError> {
        let codes = array.keys().clone();
        let values = array
            .values()
            .as_string_opt::<i32>()
            .cloned()
            .ok_or_else(|| SchemaError::Type {
                column: name.to_owned(),
                found: array.values().data_type().to_string(),
                expected: "Utf8".to_owned(),
            })?;
        let valid = |code: i32| (0..values.len() as i32).contains(&code);
        // Codes under a null may be anything, but seldom are, and looking at all without a branch is quick.
        let all_valid = codes
            .values()
            .iter()
            .fold(true, |all, code| all & valid(*code));
        if !all_valid && !codes.iter().flatten().all(valid) {
            return Err(SchemaError::Code(name.to_owned()));
        }
        Ok(Self { codes, values })
    }

    /// The code of a row; `None` where the row has no value.
    #[inline]
    pub fn code(&self, row: usize) -> Option<usize> {
        self.codes
            .is_valid(row)
            .then(|| self.codes.value(row) as usize)
    }

    /// The codes of all rows. What stands at a row without a value means nothing.
    pub(crate) fn codes(&self) -> &[i32] {
        self.codes.values()
    }

    /// Which rows have a value; `None` where all have.
    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        self.codes.nulls().filter(|nulls| nulls.null_count() > 0)
    }

    /// The text of a row; `None` where the row has no value.
    pub fn text(&self, row: usize) -> Option<&str> {
        self.code(row).map(|code| self.values.value(code))
    }

    /// All texts, by code. Some may be in no row.
    pub fn values(&self) -> &StringArray {
        &self.values
    }
}

/// The values of one key that had one origin and one type.
#[derive(Debug, Clone)]
pub struct AttributeColumn {
    /// The key, as the producer wrote it.
    pub key: String,
    /// Where the attribute was attached.
    pub origin: Origin,
    /// The type of its values.
    pub value_type: ValueType,
    /// The values.
    pub column: TextColumn,
}

/// Spans as columns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SpanBatch {
    record_batch: RecordBatch,
    trace_ids: FixedSizeBinaryArray,
    span_ids: FixedSizeBinaryArray,
    parent_span_ids: FixedSizeBinaryArray,
    service: TextColumn,
    operation: TextColumn,
    kinds: UInt8Array,
    statuses: UInt8Array,
    status_message: TextColumn,
    trace_state: TextColumn,
    starts: TimestampNanosecondArray,
    durations: UInt64Array,
    weights: Float64Array,
    events: ListArray,
    links: ListArray,
    other_attributes: ListArray,
    attributes: Vec<AttributeColumn>,
}

impl TryFrom<RecordBatch> for SpanBatch {
    type Error = SchemaError;

    fn try_from(batch: RecordBatch) -> Result<Self, SchemaError> {
        for field in core_fields() {
            let column = batch.column_by_name(field.name());
            let name = core_name(field.name());
            let column = column.ok_or(SchemaError::Missing(name))?;
            if column.data_type() != field.data_type()
                || (!field.is_nullable() && column.null_count() > 0)
            {
                return Err(SchemaError::Type {
                    column: name.to_owned(),
                    found: column.data_type().to_string(),
                    expected: field.data_type().to_string(),
                });
            }
        }
        let column = |name: &str| &batch[name];
        let text = |name: &str| TextColumn::new(name, column(name).as_dictionary());
        let mut attributes = Vec::new();
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            if core_name(field.name()).is_empty() {
                let (key, origin, value_type) = read_attribute_field(field)?;
                let array = array.as_dictionary_opt().ok_or_else(|| SchemaError::Type {
                    column: field.name().clone(),
                    found: field.data_type().to_string(),
                    expected: "Dictionary(Int32, Utf8)".to_owned(),
                })?;
                let column = TextColumn::new(field.name(), array)?;
                attributes.push(AttributeColumn {
                    key,
                    origin,
                    value_type,
                    column,
                });
            }
        }
        Ok(Self {
            trace_ids: column("trace_id").as_fixed_size_binary().clone(),
            span_ids: column("span_id").as_fixed_size_binary().clone(),
            parent_span_ids: column("parent_span_id").as_fixed_size_binary().clone(),
            service: text("service")?,
            operation: text("operation")?,
            kinds: column("kind").as_primitive().clone(),
            statuses: column("status").as_primitive().clone(),
            status_message: text("status_message")?,
            trace_state: text("trace_state")?,
            starts: column("start")
                .as_primitive::<TimestampNanosecondType>()
                .clone(),
            durations: column("duration").as_primitive().clone(),
            weights: column("weight").as_primitive().clone(),
            events: column("events").as_list().clone(),
            links: column("links").as_list().clone(),
            other_attributes: column("other_attributes").as_list().clone(),
            attributes,
            record_batch: batch,
        })
    }
}

/// The name of a core column as a static text; empty for any other.
fn core_name(name: &str) -> &'static str {
    const NAMES: [&str; 15] = [
        "trace_id",
        "span_id",
        "parent_span_id",
        "service",
        "operation",
        "kind",
        "status",
        "status_message",
        "trace_state",
        "start",
        "duration",
        "weight",
        "events",
        "links",
        "other_attributes",
    ];
    NAMES.into_iter().find(|n| *n == name).unwrap_or("")
}

impl SpanBatch {
    /// The number of spans.
    pub fn len(&self) -> usize {
        self.record_batch.num_rows()
    }

    /// Whether there is no span.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns as Arrow sees them.
    pub fn record_batch(&self) -> &RecordBatch {
        &self.record_batch
    }

    /// Memory of all columns in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.record_batch.get_array_memory_size()
    }

    /// The trace that a span is part of.
    #[inline]
    pub fn trace_id(&self, row: usize) -> TraceId {
        TraceId::from_slice(self.trace_ids.value(row)).unwrap_or_default()
    }

    /// A span's id.
    #[inline]
    pub fn span_id(&self, row: usize) -> SpanId {
        SpanId::from_slice(self.span_ids.value(row)).unwrap_or_default()
    }

    /// The parent's id; `None` at a root.
    #[inline]
    pub fn parent_span_id(&self, row: usize) -> Option<SpanId> {
        self.parent_span_ids
            .is_valid(row)
            .then(|| SpanId::from_slice(self.parent_span_ids.value(row)).unwrap_or_default())
    }

    /// The services of all rows.
    pub fn service(&self) -> &TextColumn {
        &self.service
    }

    /// The operations (span names) of all rows.
    pub fn operation(&self) -> &TextColumn {
        &self.operation
    }

    /// OpenTelemetry's number of the span kind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    #[inline]
    pub fn kind(&self, row: usize) -> u8 {
        self.kinds.value(row)
    }

    /// OpenTelemetry's number of the status: 0 unset, 1 ok, 2 error.
    #[inline]
    pub fn status(&self, row: usize) -> u8 {
        self.statuses.value(row)
    }

    /// Whether the span failed.
    #[inline]
    pub fn is_error(&self, row: usize) -> bool {
        self.status(row) == 2
    }

    /// What the status says; `None` for nothing.
    pub fn status_message(&self, row: usize) -> Option<&str> {
        self.status_message.text(row)
    }

    /// W3C `tracestate`; `None` for none.
    pub fn trace_state(&self, row: usize) -> Option<&str> {
        self.trace_state.text(row)
    }

    /// Start, in nanoseconds since the epoch.
    #[inline]
    pub fn start_ns(&self, row: usize) -> i64 {
        self.starts.value(row)
    }

    /// Duration in nanoseconds.
    #[inline]
    pub fn duration_ns(&self, row: usize) -> u64 {
        self.durations.value(row)
    }

    /// The adjusted count: how many spans this one stands for; `None` where the producer did not tell.
    #[inline]
    pub fn weight(&self, row: usize) -> Option<f64> {
        self.weights.is_valid(row).then(|| self.weights.value(row))
    }

    /// All attribute columns.
    pub fn attribute_columns(&self) -> &[AttributeColumn] {
        &self.attributes
    }

    /// The columns in which to look for a key, first answer wins: newest name first, and for one name the span's own
    /// value before the resource's. `service.name` is not among them: it is [`service`](Self::service).
    pub fn columns_of(&self, key: &str) -> Vec<&AttributeColumn> {
        let mut found = Vec::new();
        for name in semconv::names(key) {
            let from = found.len();
            found.extend(self.attributes.iter().filter(|c| c.key == name));
            found[from..].sort_by_key(|c| preference(c.origin));
        }
        found
    }

    /// All attributes of a span, its own and those of its resource and scope.
    pub fn attributes(&self, row: usize) -> Vec<Attribute<'_>> {
        let columns = self.attributes.iter().filter_map(|c| {
            let text = c.column.text(row)?;
            Some(Attribute {
                key: &c.key,
                origin: c.origin,
                value_type: c.value_type,
                text,
            })
        });
        columns.chain(self.other_attributes(row)).collect()
    }

    /// Whether some attribute of the batch has no column of its own.
    pub fn has_other_attributes(&self) -> bool {
        !self.other_attributes.values().is_empty()
    }

    /// The attributes of a span that have no column of their own.
    pub fn other_attributes(&self, row: usize) -> Vec<Attribute<'_>> {
        nested_attributes(&self.other_attributes, row)
    }

    /// The events of a span.
    pub fn events(&self, row: usize) -> Vec<Event<'_>> {
        let (structs, range) = children(&self.events, row);
        range
            .map(|i| Event {
                time_ns: structs
                    .column(0)
                    .as_primitive::<TimestampNanosecondType>()
                    .value(i),
                name: dictionary_text(structs, 1, i),
                attributes: nested_attributes(structs.column(2).as_list(), i),
            })
            .collect()
    }

    /// The links of a span.
    pub fn links(&self, row: usize) -> Vec<Link<'_>> {
        let (structs, range) = children(&self.links, row);
        range
            .map(|i| Link {
                trace_id: TraceId::from_slice(structs.column(0).as_fixed_size_binary().value(i))
                    .unwrap_or_default(),
                span_id: SpanId::from_slice(structs.column(1).as_fixed_size_binary().value(i))
                    .unwrap_or_default(),
                trace_state: dictionary_text(structs, 2, i),
                attributes: nested_attributes(structs.column(3).as_list(), i),
            })
            .collect()
    }
}

/// Which of two columns with one key answers first.
fn preference(origin: Origin) -> u8 {
    match origin {
        Origin::Span => 0,
        Origin::Event => 1,
        Origin::Scope => 2,
        Origin::Resource => 3,
    }
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Nanoseconds since the epoch.
    pub time_ns: i64,
    /// The event's name.
    pub name: &'a str,
    /// Its attributes.
    pub attributes: Vec<Attribute<'a>>,
}

/// A reference to a span, mostly of another trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// The linked trace.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
    /// The linked span's `tracestate`, empty for none.
    pub trace_state: &'a str,
    /// The link's attributes.
    pub attributes: Vec<Attribute<'a>>,
}

fn children(list: &ListArray, row: usize) -> (&StructArray, std::ops::Range<usize>) {
    let offsets = list.value_offsets();
    (
        list.values().as_struct(),
        offsets[row] as usize..offsets[row + 1] as usize,
    )
}

fn dictionary_text(structs: &StructArray, column: usize, row: usize) -> &str {
    let dictionary = structs.column(column).as_dictionary::<Int32Type>();
    dictionary
        .values()
        .as_string::<i32>()
        .value(dictionary.keys().value(row) as usize)
}

fn nested_attributes(list: &ListArray, row: usize) -> Vec<Attribute<'_>> {
    let (structs, range) = children(list, row);
    range
        .map(|i| {
            let number = |column: usize| {
                structs
                    .column(column)
                    .as_primitive::<arrow_array::types::UInt8Type>()
                    .value(i)
            };
            Attribute {
                origin: Origin::ALL[usize::from(number(0)) % Origin::ALL.len()],
                key: dictionary_text(structs, 1, i),
                value_type: ValueType::from_number(number(2)).unwrap_or(ValueType::String),
                text: structs.column(3).as_string::<i32>().value(i),
            }
        })
        .collect()
}

mod reshape;
#[cfg(test)]
mod tests;
