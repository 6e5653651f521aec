//! Tags that say of a span what its format has no field for, as OpenTelemetry's exporters and the Collector write
//! them: kind, status, scope, trace state. Jaeger, Zipkin and Lightstep share them.

use std::borrow::Cow;

use tracediff_core::model::{KIND_NAMES, SpanBatch, SpanBatchBuilder, ValueRef};

use crate::json::scalar::{kind_of_name, status_of_name};

const KIND: &str = "span.kind";
const STATUS_CODE: &str = "otel.status_code";
const STATUS_MESSAGE: &str = "otel.status_description";
const TRACE_STATE: &str = "w3c.tracestate";
const SCOPE_NAME: &str = "otel.scope.name";
const SCOPE_VERSION: &str = "otel.scope.version";
/// What the scope's name and version were called before.
const LIBRARY_NAME: &str = "otel.library.name";
const LIBRARY_VERSION: &str = "otel.library.version";

/// What the tags of a span say.
#[derive(Debug, Default)]
pub(crate) struct TagFields<'a> {
    /// OpenTelemetry's number of the kind.
    pub(crate) kind: u8,
    /// OpenTelemetry's number of the status, where a tag tells it.
    pub(crate) status: Option<u8>,
    pub(crate) message: Cow<'a, str>,
    pub(crate) trace_state: Cow<'a, str>,
    scope_name: Cow<'a, str>,
    scope_version: Cow<'a, str>,
}

impl<'a> TagFields<'a> {
    /// Takes a tag that says something of this; false where it is an attribute like any other.
    #[expect(
        clippy::ptr_arg,
        reason = "a borrowed text is kept without a copy, which a &str would not tell"
    )]
    pub(crate) fn take(&mut self, key: &str, value: &Cow<'a, str>) -> bool {
        match key {
            KIND => match kind_of_name(value) {
                0 => return false,
                kind => self.kind = kind,
            },
            STATUS_CODE => self.status = Some(status_of_name(value)),
            STATUS_MESSAGE => self.message = value.clone(),
            TRACE_STATE => self.trace_state = value.clone(),
            SCOPE_NAME | LIBRARY_NAME => self.scope_name = value.clone(),
            SCOPE_VERSION | LIBRARY_VERSION => self.scope_version = value.clone(),
            _ => return false,
        }
        true
    }

    /// Starts the scope that the tags name.
    pub(crate) fn begin_scope(&self, builder: &mut SpanBatchBuilder) {
        builder.begin_scope();
        for (key, text) in [
            (SCOPE_NAME, &self.scope_name),
            (SCOPE_VERSION, &self.scope_version),
        ] {
            if !text.is_empty() {
                builder.scope_attribute(key.as_bytes(), ValueRef::String(text.as_bytes()));
            }
        }
    }
}

/// The tag that tells a row's kind.
pub(crate) fn kind_tag(batch: &SpanBatch, row: usize) -> Option<(&'static str, &'static str)> {
    let kind = usize::from(batch.kind(row));
    (kind > 0).then(|| (KIND, KIND_NAMES.get(kind).copied().unwrap_or(KIND_NAMES[0])))
}

/// The tags that tell a row's status and trace state. Its scope is told by the scope's attributes.
pub(crate) fn status_tags(batch: &SpanBatch, row: usize) -> Vec<(&'static str, &str)> {
    let mut tags = Vec::new();
    match batch.status(row) {
        1 => tags.push((STATUS_CODE, "OK")),
        2 => tags.push((STATUS_CODE, "ERROR")),
        _ => {}
    }
    if let Some(message) = batch.status_message(row) {
        tags.push((STATUS_MESSAGE, message));
    }
    if let Some(trace_state) = batch.trace_state(row) {
        tags.push((TRACE_STATE, trace_state));
    }
    tags
}
