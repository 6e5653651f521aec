//! The ids of a span where a format writes them leniently: 64-bit trace ids, no leading zeros.

use tracediff_core::model::{IdError, SpanId, TraceId};

use crate::error::DecodeError;
use crate::json::Source;

/// The ids of a span that has sound ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// Zero at a root.
    pub(crate) parent: SpanId,
}

/// A field and its text.
pub(crate) type Field<'t> = (&'static str, &'t str);

/// A field that is no id.
#[derive(Debug)]
pub(crate) struct BadId<'t> {
    field: Field<'t>,
    error: IdError,
}

impl Ids {
    /// The ids, or which of them is wrong. An empty parent is none.
    pub(crate) fn parse<'t>(
        trace: Field<'t>,
        span: Field<'t>,
        parent: Field<'t>,
    ) -> Result<Self, BadId<'t>> {
        let bad = |field| move |error| BadId { field, error };
        Ok(Self {
            span_id: parse_span_id(span.1).map_err(bad(span))?,
            trace_id: parse_trace_id(trace.1).map_err(bad(trace))?,
            parent: match parent.1 {
                "" => SpanId::default(),
                text => SpanId::parse_lenient(text.as_bytes()).map_err(bad(parent))?,
            },
        })
    }
}

/// A trace id of any length; zero is none.
pub(crate) fn parse_trace_id(text: &str) -> Result<TraceId, IdError> {
    let id = TraceId::parse_lenient(text.as_bytes())?;
    if id.is_zero() {
        Err(IdError::Zero)
    } else {
        Ok(id)
    }
}

/// A span id of any length; zero is none.
pub(crate) fn parse_span_id(text: &str) -> Result<SpanId, IdError> {
    let id = SpanId::parse_lenient(text.as_bytes())?;
    if id.is_zero() {
        Err(IdError::Zero)
    } else {
        Ok(id)
    }
}

impl BadId<'_> {
    /// Why the span is left out, and where its id stands.
    pub(crate) fn rejection(&self, source: Source<'_>) -> DecodeError {
        let (name, text) = self.field;
        DecodeError::malformed(
            source.position_of(text.as_bytes()),
            format!("{name}: {}", self.error),
        )
    }
}
