//! A span batch as a trace request.

use std::collections::HashMap;

use base64::Engine as _;
use tracediff_core::model::{
    Attribute, AttributeColumn, Event, Link, Origin, SERVICE_NAME, SpanBatch, ValueType,
};

use super::decode::{SCOPE_NAME, SCOPE_VERSION};
use super::json_value::write_json;
use super::shape;
use super::write::Writer;

/// The batch as one `ExportTraceServiceRequest`.
///
/// Spans are grouped by what their resources and scopes say, in the order in which these come first, so rows may
/// change their order. Values keep their types. What a batch derives is not written: attributes read off events, and
/// the weight, which is in the trace state.
pub fn encode_otlp_protobuf(batch: &SpanBatch) -> Vec<u8> {
    let mut writer = Writer::default();
    write_request(&mut writer, batch);
    writer.0
}

/// The same behind its length as a varint: one message of a delimited protobuf file.
pub fn encode_otlp_protobuf_delimited(batch: &SpanBatch) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.length_prefixed(|writer| write_request(writer, batch));
    writer.0
}

fn write_request(writer: &mut Writer, batch: &SpanBatch) {
    let encoder = Encoder::new(batch);
    for resource in group(&encoder) {
        writer.message_field(shape::request::RESOURCE_SPANS, |writer| {
            encoder.resource(writer, resource.row);
            for scope in &resource.scopes {
                writer.message_field(shape::resource_spans::SCOPE_SPANS, |writer| {
                    encoder.scope(writer, scope.row);
                    for row in &scope.rows {
                        encoder.span(writer, *row);
                    }
                });
            }
        });
    }
}

/// The spans of one resource.
struct ResourceGroup {
    /// A row that shows the resource.
    row: usize,
    scopes: Vec<ScopeGroup>,
}

/// The spans of one scope of a resource.
struct ScopeGroup {
    /// A row that shows the scope.
    row: usize,
    rows: Vec<usize>,
}

/// Groups rows by codes, never by text, but for attributes without a column of their own.
fn group(encoder: &Encoder<'_>) -> Vec<ResourceGroup> {
    let mut groups: Vec<ResourceGroup> = Vec::new();
    let mut resource_index: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut scope_index: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut key = Vec::new();
    for row in 0..encoder.batch.len() {
        key.clear();
        push_code(&mut key, encoder.batch.service().code(row));
        encoder.push_identity(&mut key, Origin::Resource, row);
        let resource = index_of(&mut resource_index, &key, || {
            let scopes = Vec::new();
            groups.push(ResourceGroup { row, scopes });
            groups.len() - 1
        });
        key.clear();
        push_code(&mut key, Some(resource));
        encoder.push_identity(&mut key, Origin::Scope, row);
        let scopes = &mut groups[resource].scopes;
        let scope = index_of(&mut scope_index, &key, || {
            let rows = Vec::new();
            scopes.push(ScopeGroup { row, rows });
            scopes.len() - 1
        });
        scopes[scope].rows.push(row);
    }
    groups
}

fn index_of(
    index: &mut HashMap<Vec<u8>, usize>,
    key: &[u8],
    create: impl FnOnce() -> usize,
) -> usize {
    if let Some(found) = index.get(key) {
        return *found;
    }
    let created = create();
    index.insert(key.to_vec(), created);
    created
}

fn push_code(key: &mut Vec<u8>, code: Option<usize>) {
    let code = code.map_or(0, |code| code as u32 + 1);
    key.extend_from_slice(&code.to_le_bytes());
}

struct Encoder<'a> {
    batch: &'a SpanBatch,
    /// The attribute columns by the number of their origin.
    columns: [Vec<&'a AttributeColumn>; Origin::ALL.len()],
}

impl<'a> Encoder<'a> {
    fn new(batch: &'a SpanBatch) -> Self {
        let columns = Origin::ALL.map(|origin| {
            let columns = batch.attribute_columns().iter();
            columns.filter(|column| column.origin == origin).collect()
        });
        Self { batch, columns }
    }

    /// The attributes that a row has from `origin`.
    fn attributes(&self, origin: Origin, row: usize) -> impl Iterator<Item = Attribute<'a>> {
        let columns = self.columns[origin as usize].iter();
        let in_columns = columns.filter_map(move |column| {
            Some(Attribute {
                key: &column.key,
                origin,
                value_type: column.value_type,
                text: column.column.text(row)?,
            })
        });
        in_columns.chain(self.other_attributes(origin, row))
    }

    fn other_attributes(&self, origin: Origin, row: usize) -> impl Iterator<Item = Attribute<'a>> {
        let others = if self.batch.has_other_attributes() {
            self.batch.other_attributes(row)
        } else {
            Vec::new()
        };
        others.into_iter().filter(move |a| a.origin == origin)
    }

    /// Bytes that two rows share if, and only if, they have the same attributes from `origin`.
    fn push_identity(&self, key: &mut Vec<u8>, origin: Origin, row: usize) {
        for column in &self.columns[origin as usize] {
            push_code(key, column.column.code(row));
        }
        for attribute in self.other_attributes(origin, row) {
            for text in [attribute.key, attribute.text] {
                key.extend_from_slice(&(text.len() as u64).to_le_bytes());
                key.extend_from_slice(text.as_bytes());
            }
            key.push(attribute.value_type as u8);
        }
    }

    fn resource(&self, writer: &mut Writer, row: usize) {
        writer.message_field(shape::resource_spans::RESOURCE, |writer| {
            let service = Attribute {
                key: SERVICE_NAME,
                origin: Origin::Resource,
                value_type: ValueType::String,
                text: self.batch.service().text(row).unwrap_or_default(),
            };
            write_attribute(writer, shape::resource::ATTRIBUTES, service);
            for attribute in self.attributes(Origin::Resource, row) {
                write_attribute(writer, shape::resource::ATTRIBUTES, attribute);
            }
        });
    }

    fn scope(&self, writer: &mut Writer, row: usize) {
        writer.message_field(shape::scope_spans::SCOPE, |writer| {
            for attribute in self.attributes(Origin::Scope, row) {
                let is_text = attribute.value_type == ValueType::String;
                match attribute.key {
                    // A name of another type, or an empty one, would not come back from the field.
                    SCOPE_NAME if is_text && !attribute.text.is_empty() => {
                        writer.text_field(shape::scope::NAME, attribute.text);
                    }
                    SCOPE_VERSION if is_text && !attribute.text.is_empty() => {
                        writer.text_field(shape::scope::VERSION, attribute.text);
                    }
                    _ => write_attribute(writer, shape::scope::ATTRIBUTES, attribute),
                }
            }
        });
    }

    fn span(&self, writer: &mut Writer, row: usize) {
        let batch = self.batch;
        writer.message_field(shape::scope_spans::SPANS, |writer| {
            writer.bytes_field(shape::span::TRACE_ID, &batch.trace_id(row).0);
            writer.bytes_field(shape::span::SPAN_ID, &batch.span_id(row).0);
            let trace_state = batch.trace_state(row).unwrap_or_default();
            writer.text_field(shape::span::TRACE_STATE, trace_state);
            if let Some(parent) = batch.parent_span_id(row) {
                writer.bytes_field(shape::span::PARENT_SPAN_ID, &parent.0);
            }
            let operation = batch.operation().text(row).unwrap_or_default();
            writer.text_field(shape::span::NAME, operation);
            if batch.kind(row) != 0 {
                writer.varint_field(shape::span::KIND, u64::from(batch.kind(row)));
            }
            let start_ns = u64::try_from(batch.start_ns(row)).unwrap_or(0);
            let end_ns = start_ns.saturating_add(batch.duration_ns(row));
            writer.fixed64_field(shape::span::START_TIME, start_ns);
            writer.fixed64_field(shape::span::END_TIME, end_ns);
            for attribute in self.attributes(Origin::Span, row) {
                write_attribute(writer, shape::span::ATTRIBUTES, attribute);
            }
            for event in batch.events(row) {
                write_event(writer, &event);
            }
            for link in batch.links(row) {
                write_link(writer, &link);
            }
            self.status(writer, row);
        });
    }

    fn status(&self, writer: &mut Writer, row: usize) {
        let message = self.batch.status_message(row).unwrap_or_default();
        let code = u64::from(self.batch.status(row));
        if code == 0 && message.is_empty() {
            return;
        }
        writer.message_field(shape::span::STATUS, |writer| {
            writer.text_field(shape::status::MESSAGE, message);
            writer.varint_field(shape::status::CODE, code);
        });
    }
}

fn write_event(writer: &mut Writer, event: &Event<'_>) {
    writer.message_field(shape::span::EVENTS, |writer| {
        let time_ns = u64::try_from(event.time_ns).unwrap_or(0);
        writer.fixed64_field(shape::event::TIME, time_ns);
        writer.text_field(shape::event::NAME, event.name);
        for attribute in &event.attributes {
            write_attribute(writer, shape::event::ATTRIBUTES, *attribute);
        }
    });
}

fn write_link(writer: &mut Writer, link: &Link<'_>) {
    writer.message_field(shape::span::LINKS, |writer| {
        writer.bytes_field(shape::link::TRACE_ID, &link.trace_id.0);
        writer.bytes_field(shape::link::SPAN_ID, &link.span_id.0);
        writer.text_field(shape::link::TRACE_STATE, link.trace_state);
        for attribute in &link.attributes {
            write_attribute(writer, shape::link::ATTRIBUTES, *attribute);
        }
    });
}

fn write_attribute(writer: &mut Writer, tag: u32, attribute: Attribute<'_>) {
    writer.message_field(tag, |writer| {
        writer.text_field(shape::key_value::KEY, attribute.key);
        writer.message_field(shape::key_value::VALUE, |writer| {
            write_any_value(writer, attribute.value_type, attribute.text);
        });
    });
}

/// The content of an `AnyValue`. A text that is not one of its type is written as a string.
fn write_any_value(writer: &mut Writer, value_type: ValueType, text: &str) {
    let string = |writer: &mut Writer| {
        writer.bytes_field(shape::any_value::STRING, text.as_bytes());
    };
    match value_type {
        ValueType::String => string(writer),
        ValueType::Int => match text.parse::<i64>() {
            Ok(number) => writer.varint_field(shape::any_value::INT, number as u64),
            Err(_) => string(writer),
        },
        ValueType::Double => match text.parse::<f64>() {
            Ok(number) => writer.fixed64_field(shape::any_value::DOUBLE, number.to_bits()),
            Err(_) => string(writer),
        },
        ValueType::Bool => match text.parse::<bool>() {
            Ok(truth) => writer.varint_field(shape::any_value::BOOL, u64::from(truth)),
            Err(_) => string(writer),
        },
        ValueType::Bytes => match base64::engine::general_purpose::STANDARD.decode(text) {
            Ok(bytes) => writer.bytes_field(shape::any_value::BYTES, &bytes),
            Err(_) => string(writer),
        },
        ValueType::Array | ValueType::Map => write_json(writer, text),
    }
}
