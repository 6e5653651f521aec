//! The shape of Jaeger JSON as it is read.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use crate::json::any::{Any, null_as_default};
use crate::json::scalar::microseconds_as_ns;

/// A reference to a parent.
pub(super) const CHILD_OF: &str = "CHILD_OF";
/// A reference to what caused the span but does not wait for it.
pub(super) const FOLLOWS_FROM: &str = "FOLLOWS_FROM";
/// The tag in which logs have their name.
pub(super) const EVENT: &str = "event";
/// The semantic conventions' name for the kind of a reference.
pub(super) const REF_TYPE: &str = "opentracing.ref_type";

/// An answer of the query API, or a trace by itself.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with `data`, or a trace with `spans` and `processes`")]
pub(super) struct Document<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) data: Vec<Trace<'a>>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) errors: Vec<Failure<'a>>,
    #[serde(rename = "traceID", borrow, default)]
    pub(super) trace_id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) spans: Vec<Span<'a>>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) processes: HashMap<Cow<'a, str>, Process<'a>>,
}

/// Why the query API has no answer.
#[derive(Debug, Deserialize)]
pub(super) struct Failure<'a> {
    #[serde(borrow, default)]
    pub(super) msg: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a trace with `spans` and `processes`")]
pub(super) struct Trace<'a> {
    #[serde(rename = "traceID", borrow, default)]
    pub(super) trace_id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) spans: Vec<Span<'a>>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) processes: HashMap<Cow<'a, str>, Process<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a span")]
pub(super) struct Span<'a> {
    #[serde(rename = "traceID", borrow, default)]
    pub(super) trace_id: Cow<'a, str>,
    #[serde(rename = "spanID", borrow, default)]
    pub(super) span_id: Cow<'a, str>,
    /// Written by old versions in place of a reference.
    #[serde(rename = "parentSpanID", borrow, default)]
    pub(super) parent_span_id: Cow<'a, str>,
    #[serde(rename = "operationName", borrow, default)]
    pub(super) operation: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) references: Vec<Reference<'a>>,
    #[serde(rename = "startTime", default, deserialize_with = "microseconds_as_ns")]
    pub(super) start_ns: u64,
    #[serde(rename = "duration", default, deserialize_with = "microseconds_as_ns")]
    pub(super) duration_ns: u64,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) tags: Vec<Tag<'a>>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) logs: Vec<Log<'a>>,
    #[serde(rename = "processID", borrow, default)]
    pub(super) process_id: Cow<'a, str>,
    /// Where a span stands by itself, as in Jaeger's stores.
    #[serde(borrow, default)]
    pub(super) process: Option<Process<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a reference with `refType`, `traceID` and `spanID`")]
pub(super) struct Reference<'a> {
    #[serde(rename = "refType", borrow, default)]
    pub(super) ref_type: Cow<'a, str>,
    #[serde(rename = "traceID", borrow, default)]
    pub(super) trace_id: Cow<'a, str>,
    #[serde(rename = "spanID", borrow, default)]
    pub(super) span_id: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a process with `serviceName` and `tags`")]
pub(super) struct Process<'a> {
    #[serde(rename = "serviceName", borrow, default)]
    pub(super) service: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) tags: Vec<Tag<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a tag with `key`, `type` and `value`")]
pub(super) struct Tag<'a> {
    #[serde(borrow, default)]
    pub(super) key: Cow<'a, str>,
    #[serde(rename = "type", borrow, default)]
    pub(super) value_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: Any<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a log with `timestamp` and `fields`")]
pub(super) struct Log<'a> {
    #[serde(rename = "timestamp", default, deserialize_with = "microseconds_as_ns")]
    pub(super) time_ns: u64,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) fields: Vec<Tag<'a>>,
}
