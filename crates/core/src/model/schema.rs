//! The Arrow schema of a span batch: names, types and the metadata of attribute columns.
//!
//! An attribute column is named `<origin>.<key>`, with `:<type>` behind it where the type is not text, so that
//! other readers of the same data see `resource.service.version` and `span.http.response.status_code:int`. What a
//! column holds is told by its metadata, never by its name.

use std::collections::HashMap;

use arrow_schema::{DataType, Field};
use thiserror::Error;

use super::nested::{attributes_type, dictionary_type, events_type, links_type, timestamp_type};
use super::value::{Origin, ValueType};

/// Names of span kinds by OpenTelemetry's number.
pub const KIND_NAMES: [&str; 6] = [
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
];

/// The resource attribute that becomes the `service` column.
pub const SERVICE_NAME: &str = "service.name";
/// The event attribute that also becomes an attribute of its span.
pub const EXCEPTION_TYPE: &str = "exception.type";

const KEY: &str = "tracediff.key";
const ORIGIN: &str = "tracediff.origin";
const TYPE: &str = "tracediff.type";

/// Why a record batch is not a span batch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// A core column is missing.
    #[error("the batch has no column `{0}`")]
    Missing(&'static str),
    /// A column has another type.
    #[error("column `{column}` is {found}, expected {expected}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// The type it should have.
        expected: String,
    },
    /// An attribute column whose metadata cannot be read.
    #[error("column `{0}` is no core column and has no `{KEY}`, `{ORIGIN}` and `{TYPE}` metadata")]
    Attribute(String),
    /// Columns that do not make one batch.
    #[error("the columns do not fit together: {0}")]
    Columns(String),
    /// A code that points past its dictionary.
    #[error("column `{0}` has codes outside its dictionary")]
    Code(String),
}

/// The core columns, in order.
pub(crate) fn core_fields() -> Vec<Field> {
    vec![
        Field::new("trace_id", DataType::FixedSizeBinary(16), false),
        Field::new("span_id", DataType::FixedSizeBinary(8), false),
        Field::new("parent_span_id", DataType::FixedSizeBinary(8), true),
        Field::new("service", dictionary_type(), false),
        Field::new("operation", dictionary_type(), false),
        Field::new("kind", DataType::UInt8, false),
        Field::new("status", DataType::UInt8, false),
        Field::new("status_message", dictionary_type(), true),
        Field::new("trace_state", dictionary_type(), true),
        Field::new("start", timestamp_type(), false),
        Field::new("duration", DataType::UInt64, false),
        Field::new("weight", DataType::Float64, true),
        Field::new("events", events_type(), false),
        Field::new("links", links_type(), false),
        Field::new("other_attributes", attributes_type(), false),
    ]
}

/// The field of an attribute column.
pub(crate) fn attribute_field(key: &str, origin: Origin, value_type: ValueType) -> Field {
    let mut name = format!("{}.{key}", origin.name());
    if value_type != ValueType::String {
        name = format!("{name}:{}", value_type.name());
    }
    Field::new(name, dictionary_type(), true).with_metadata(HashMap::from([
        (KEY.to_owned(), key.to_owned()),
        (ORIGIN.to_owned(), origin.name().to_owned()),
        (TYPE.to_owned(), value_type.name().to_owned()),
    ]))
}

/// The key of an attribute column; `None` where the field is of another column.
pub fn attribute_key(field: &Field) -> Option<&str> {
    field.metadata().get(KEY).map(String::as_str)
}

/// Key, origin and type of an attribute column.
pub(crate) fn read_attribute_field(
    field: &Field,
) -> Result<(String, Origin, ValueType), SchemaError> {
    let metadata = field.metadata();
    let read = || {
        let key = metadata.get(KEY)?.clone();
        let origin = Origin::from_name(metadata.get(ORIGIN)?)?;
        let value_type = ValueType::from_name(metadata.get(TYPE)?)?;
        Some((key, origin, value_type))
    };
    read().ok_or_else(|| SchemaError::Attribute(field.name().clone()))
}
