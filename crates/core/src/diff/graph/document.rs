//! The service graph's part of the document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::diff::document::{CallDiff, ErrorDiff, LatencyDiff, QuantileSummary};

/// The service graphs of both sides, put over each other. Services are nodes, and so is what they call that sends no
/// spans.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GraphDiff {
    /// How much of the graph is the same, over all nodes and edges, those left out below too.
    pub summary: GraphSummary,
    /// At most 200 nodes, those that get and make most calls per trace first; where there are more, what is new, gone
    /// or changed, or has such an edge, is kept before others.
    pub nodes: Vec<GraphNodeDiff>,
    /// At most 500 edges between these nodes, most calls per trace first and what changed kept likewise.
    pub edges: Vec<GraphEdgeDiff>,
    /// Nodes past the cap.
    pub nodes_left_out: usize,
    /// Edges past the cap, and those of nodes past theirs.
    pub edges_left_out: usize,
}

/// How much of a service graph changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct GraphSummary {
    /// Σ min / Σ max over the edges of the two sides' calls per trace, 0–1: 1 where every edge has as many calls on
    /// both sides, 0 where the sides have no edge in common; `null` where no side has an edge.
    pub jaccard: Option<f64>,
    /// What became of the nodes.
    pub nodes: GraphCounts,
    /// What became of the edges.
    pub edges: GraphCounts,
}

/// Numbers of nodes or edges by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GraphCounts {
    /// Only the candidate has them.
    pub new: usize,
    /// Only the baseline has them.
    pub gone: usize,
    /// Both have them, with other calls, errors or times.
    pub changed: usize,
    /// Both have them, and nothing of that is sure and big enough.
    pub unchanged: usize,
    /// One side has them, too seldom to tell that from chance.
    pub inconclusive: usize,
}

/// What became of a node or edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GraphChange {
    /// Only the candidate has it, and that is hardly chance.
    New,
    /// Only the baseline has it, and that is hardly chance.
    Gone,
    /// Both have it; calls per trace, errors or times changed as `calls`, `errors` and `latency` say.
    Changed,
    /// Both have it, and nothing of that is sure and big enough.
    Unchanged,
    /// One side has it, too seldom to tell that from chance.
    Inconclusive,
}

/// A service, or something that services call and that sends no spans.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GraphNodeDiff {
    /// The service's name; of a dependency the system, host or topic that its callers name.
    pub name: String,
    /// Whether it sends no spans.
    pub is_dependency: bool,
    /// How the sides compare. Calls are visits of the service, or calls of the dependency. Time is what a visit took
    /// less what its calls took, or what the dependency's caller waited.
    #[serde(flatten)]
    pub comparison: GraphComparison,
}

/// Calls from a service to a service or dependency.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GraphEdgeDiff {
    /// The service that calls.
    pub caller: String,
    /// The service or dependency that is called.
    pub callee: String,
    /// Whether the callee is a dependency: a service may have the same name.
    pub is_dependency: bool,
    /// Whether these are messages, which nobody waits for.
    pub is_async: bool,
    /// How the sides compare. Time is the client span's less the server span's: the way there and back, and waiting in
    /// queues; to a dependency it is all that the caller waited; none of messages between services.
    #[serde(flatten)]
    pub comparison: GraphComparison,
}

/// A node or edge on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GraphComparison {
    /// What became of it.
    pub change: GraphChange,
    /// The probability that all its traces fall on one side by chance; `null` where both sides have it.
    pub p: Option<f64>,
    /// The baseline's; `null` where it has none.
    pub baseline: Option<GraphSide>,
    /// The candidate's; `null` where it has none.
    pub candidate: Option<GraphSide>,
    /// How calls per trace compare; `null` where a side has none.
    pub calls: Option<CallDiff>,
    /// How error ratios compare; `null` where a side has no calls.
    pub errors: Option<ErrorDiff>,
    /// How times compare; `null` where a side has none.
    pub latency: Option<LatencyDiff>,
}

/// A node or edge on one side.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GraphSide {
    /// Raw calls.
    pub calls: u64,
    /// Raw failed calls: those whose own span says so, on the caller's side where it has one.
    pub errors: u64,
    /// Raw traces with a call.
    pub traces: u64,
    /// Slices with a call.
    pub slices: usize,
    /// Σ of adjusted counts: the calls that were there before sampling.
    pub weighted_calls: f64,
    /// Calls for each trace of the side, those without any too, weighted.
    pub per_trace: f64,
    /// Share of calls that failed, weighted.
    pub error_ratio: f64,
    /// Times; `null` where none can be told.
    pub time: Option<GraphTime>,
    /// Ids of up to three traces with such a call.
    pub examples: Vec<String>,
}

/// Times of a node or edge on one side.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GraphTime {
    /// Mean in nanoseconds, weighted.
    pub mean_ns: f64,
    /// Quantiles by name (`p50`, `p90`, `p95`, `p99`); those for which there are too few calls are left out.
    pub quantiles: BTreeMap<&'static str, QuantileSummary>,
}
