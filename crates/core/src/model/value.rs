//! Attribute values as OpenTelemetry types them, and the text by which they compare in group-by and `IN`.

use std::borrow::Cow;

/// The type an attribute value had on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// UTF-8 text.
    String = 0,
    /// Signed 64-bit integer; its text is decimal.
    Int = 1,
    /// IEEE 754 double; its text is the shortest that reads back, always with `.`, `e`, `NaN` or `inf` in it.
    Double = 2,
    /// `true` or `false`.
    Bool = 3,
    /// Bytes; their text is standard base64 with padding.
    Bytes = 4,
    /// A list of values; its text is JSON.
    Array = 5,
    /// A list of key-value pairs; its text is a JSON object.
    Map = 6,
}

impl ValueType {
    /// Every type, in the order of its number.
    pub const ALL: [Self; 7] = [
        Self::String,
        Self::Int,
        Self::Double,
        Self::Bool,
        Self::Bytes,
        Self::Array,
        Self::Map,
    ];

    /// The name used in column names and metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Bool => "bool",
            Self::Bytes => "bytes",
            Self::Array => "array",
            Self::Map => "map",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// The type of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Where an attribute was attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Origin {
    /// The resource: the process that produced the span.
    Resource = 0,
    /// The instrumentation scope; its name and version are `otel.scope.name` and `otel.scope.version`.
    Scope = 1,
    /// The span itself.
    Span = 2,
    /// Read off the span's events: `exception.type` of the first exception.
    Event = 3,
}

impl Origin {
    /// Every origin, in the order of its number.
    pub const ALL: [Self; 4] = [Self::Resource, Self::Scope, Self::Span, Self::Event];

    /// The name used in column names and metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Scope => "scope",
            Self::Span => "span",
            Self::Event => "event",
        }
    }

    /// The origin of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == name)
    }
}

/// A value on its way into a batch, borrowed from the bytes it was decoded from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Text that should be UTF-8; checked once per distinct value, bad sequences become U+FFFD.
    String(&'a [u8]),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An array, as compact JSON text.
    Array(&'a str),
    /// A map, as a compact JSON object.
    Map(&'a str),
}

impl<'a> ValueRef<'a> {
    /// The value's type.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Int(_) => ValueType::Int,
            Self::Double(_) => ValueType::Double,
            Self::Bool(_) => ValueType::Bool,
            Self::Bytes(_) => ValueType::Bytes,
            Self::Array(_) => ValueType::Array,
            Self::Map(_) => ValueType::Map,
        }
    }

    /// The text by which the value compares (see [`ValueType`]).
    pub fn text(&self) -> Cow<'a, str> {
        match *self {
            Self::String(bytes) => String::from_utf8_lossy(bytes),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(double_text(value)),
            Self::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Self::Bytes(bytes) => Cow::Owned(base64_text(bytes)),
            Self::Array(text) | Self::Map(text) => Cow::Borrowed(text),
        }
    }
}

/// The text of a double: the shortest that reads back, and never that of an integer.
pub fn double_text(value: f64) -> String {
    format!("{value:?}")
}

/// The text of bytes: standard base64 with padding.
pub fn base64_text(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// An attribute as it comes out of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The key, as the producer wrote it.
    pub key: &'a str,
    /// Where it was attached.
    pub origin: Origin,
    /// The type it had.
    pub value_type: ValueType,
    /// Its text (see [`ValueType`]).
    pub text: &'a str,
}
