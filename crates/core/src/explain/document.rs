//! What is told of the traces behind a finding or a culprit.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diff::Sides;
use crate::paths::Label;

/// What the traces behind a finding have in common, and which of them to look at.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Explanation {
    /// What makes a trace bad, in words.
    pub bad: String,
    /// Traces that were looked at: those concerned, drawn by a hash of their ids where there are more than 5,000.
    pub traces: Sides<usize>,
    /// The share of them that is bad.
    pub bad_ratio: Sides<f64>,
    /// The attribute values, and pairs of values, that the bad traces of the candidate have more than their part of:
    /// best first, at most five.
    pub attributes: Vec<AttributeEvidence>,
    /// The bad trace of the candidate that is most like the others: nearest to their mean.
    pub typical: Option<String>,
    /// The one that is worse than 95 % of the others that are bad.
    pub extreme: Option<String>,
    /// The trace of the baseline that is most like the typical one but for what is bad: look at the two side by side.
    pub matched: Option<String>,
}

/// What a request would take if the calls of one node took what they did before. Times in nanoseconds per request, over
/// all requests, whether they make the call or not.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WhatIf {
    /// The node.
    pub node: Label,
    /// Requests that wait for it and were looked at: drawn by a hash of their ids where there are more than 1,000.
    pub requests: Sides<usize>,
    /// What the mean request would take less, its calls timed again: what waits for the node comes sooner, and what runs
    /// beside it may take over.
    pub recovered_ns: f64,
    /// The same as a share of the change of the mean at an unchanged mix of requests; `null` where that is less than
    /// 1 % of the mean.
    pub recovered_ratio: Option<f64>,
    /// What the node's time per call added to the mean request's critical path.
    pub subtracted_ns: f64,
    /// The same as a share.
    pub subtracted_ratio: Option<f64>,
}

/// An attribute value of a service's spans.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct AttributeValue {
    /// The service.
    pub service: String,
    /// The attribute; `service` where it is only said that the trace has spans of the service.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// How much of what is bad comes with an attribute value, or with two at once.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AttributeEvidence {
    /// One value, or two that a trace must have both.
    pub values: Vec<AttributeValue>,
    /// Values that occur in exactly the same traces.
    pub same_as: Vec<AttributeValue>,
    /// Share of what is bad beyond the baseline that is in these traces (above 1 where the others got better).
    pub coverage: f64,
    /// Share of the candidate's traces that have the values.
    pub trace_ratio: f64,
    /// Coverage over that share.
    pub concentration: f64,
    /// Share of bad traces among those with the values.
    pub bad_ratio: Sides<f64>,
    /// Share of bad traces among those without.
    pub bad_ratio_without: Sides<f64>,
    /// p-value of being worse than those without, corrected for all values that were looked at (Benjamini–Hochberg).
    pub q: f64,
    /// Whether it is confined to these traces: at least 70 % of it, in at most 30 % of the traces.
    pub is_confined: bool,
}

/// Requests of one type by outcome and duration, how many there are, and some of them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RequestStratum {
    /// The root's service.
    pub service: String,
    /// Its operation.
    pub operation: String,
    /// What the request calls first in another service; empty for nothing.
    pub first_call: String,
    /// Whether they failed.
    pub is_failed: bool,
    /// Share of the baseline's requests of the type that are shorter (0, 0.5, 0.9 or 0.99).
    pub from_share: f64,
    /// Where the band ends (0.5, 0.9, 0.99 or 1).
    pub to_share: f64,
    /// Traces, raw.
    pub traces: Sides<u64>,
    /// Traces, weighted.
    pub weighted_traces: Sides<f64>,
    /// Some of them, drawn by a hash of their ids: at most four a side.
    pub exemplars: Sides<Vec<String>>,
}

/// A trace, whole.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WholeTrace {
    /// Its id.
    pub trace_id: String,
    /// The side that it is of: `baseline` or `candidate`.
    pub side: &'static str,
    /// Its spans by start.
    pub spans: Vec<WholeSpan>,
}

/// A span of a whole trace.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WholeSpan {
    /// Its id.
    pub span_id: String,
    /// Its parent's id; `null` at a root.
    pub parent_span_id: Option<String>,
    /// Its service.
    pub service: Option<String>,
    /// Its name.
    pub operation: Option<String>,
    /// `unspecified`, `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// Whether it failed.
    pub is_error: bool,
    /// Nanoseconds since the epoch; a string, as it passes 2^53.
    pub start_ns: String,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// Its time on the critical path of its request, in nanoseconds.
    pub critical_ns: i64,
    /// Attributes of the span and of its resource, as text.
    pub attributes: Vec<WholeAttribute>,
}

/// An attribute of a span.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WholeAttribute {
    /// The attribute.
    pub key: String,
    /// Its value as text.
    pub value: String,
}
