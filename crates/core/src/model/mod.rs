//! The words of the domain as types: ids, attribute values, spans as columns, windows and slices.

mod batch;
mod builder;
mod columns;
mod ids;
mod interner;
mod nested;
mod projection;
pub mod sampling;
mod schema;
pub mod semconv;
mod value;
mod window;

pub use batch::{AttributeColumn, Event, Link, SpanBatch, TextColumn};
pub use builder::{
    MAX_REQUEST_BYTES, Mark, Oddities, SpanBatchBuilder, SpanCore, TooLarge, UNKNOWN_SERVICE,
};
pub use ids::{IdError, SpanId, TraceId};
pub use projection::Projection;
pub use schema::{EXCEPTION_TYPE, KIND_NAMES, SERVICE_NAME, SchemaError, attribute_key};
pub use value::{Attribute, Origin, ValueRef, ValueType, base64_text, double_text};
pub use window::{EmptyWindow, OccupiedTime, RANGE_GAP_NS, Slicing, Window, slice_length_ns};
