//! What is told of culprits and of the change of the mean request.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diff::document::Sides;
use crate::explain::{Explanation, WhatIf};
use crate::paths::Label;
use crate::stats::Interval;

/// How sure it is that a service is where the change comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Look here first, but expect surprises.
    Low,
    /// The evidence is as strong as it is for known faults.
    Confident,
}

/// A service that the change likely comes from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Culprit {
    /// The service.
    pub service: String,
    /// The operation in which it moved most; `null` where that is an edge or a dependency.
    pub operation: Option<String>,
    /// The edge into the service that moved most; `null` where that is an operation or a dependency.
    pub edge: Option<EdgeName>,
    /// What the service calls that moved most and sends no spans; `null` where that is an operation or an edge.
    pub dependency: Option<String>,
    /// Strength of the evidence; comparable between services and diffs.
    pub score: f64,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why, in a sentence.
    pub sentence: String,
    /// The parts of the score.
    pub evidence: CulpritEvidence,
    /// Change of the mean request duration that the service's nodes explain, in nanoseconds.
    pub explained_ns: f64,
    /// 95 % interval of it, nodes taken as independent.
    pub explained_interval_ns: Interval,
    /// The same as a share of the change of the mean at an unchanged mix of requests; `null` where that is less than
    /// 1 % of the mean.
    pub explained_ratio: Option<f64>,
    /// The nodes that it consists of, largest change first; at most ten.
    pub ledger: Vec<LedgerEntry>,
    /// Failures that begin at the service more often than before, strongest first; at most five.
    pub failures: Vec<FailureRise>,
    /// What the service calls more or less often than before, strongest first; at most five.
    pub branches: Vec<BranchChange>,
    /// Whether it is over: in the last third of the candidate's slices it is back where the baseline was.
    pub is_over: bool,
    /// A culprit further up that calls this service, or is called by it, and whose evidence goes up and down with this
    /// one's (correlation over the candidate's slices above 0.95): likely one thing seen twice.
    pub same_course_as: Option<String>,
    /// What the traces behind it have in common; `null` where that was not looked at (all but the first five).
    pub explanation: Option<Explanation>,
    /// What requests would take if its slowest node took what it did before; `null` where it is not slower, or where that
    /// was not looked at.
    pub what_if: Option<WhatIf>,
}

/// A call from one service to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EdgeName {
    /// The service that calls.
    pub caller: String,
    /// The service that is called.
    pub callee: String,
    /// The operation that is called.
    pub operation: String,
}

/// Where a culprit's score comes from; the score is the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct CulpritEvidence {
    /// Slower: local work, edges, dependencies.
    pub slowness: f64,
    /// Calls made or left out differently.
    pub structure: f64,
    /// Failures that begin here.
    pub failures: f64,
    /// Share of the requests' mean duration that it added, at least (0–1).
    pub share: f64,
}

impl CulpritEvidence {
    pub(super) fn score(&self) -> f64 {
        self.slowness + self.structure + self.failures + self.share
    }
}

/// The change of the mean duration of a request, taken apart.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Attribution {
    /// Mean duration of a request, in nanoseconds.
    pub mean_ns: Sides<f64>,
    /// Candidate − baseline, in nanoseconds.
    pub difference_ns: f64,
    /// The part of it that is due to another mix of requests.
    pub mix_ns: f64,
    /// The part of it that all nodes explain, those that are not listed too.
    pub nodes_ns: f64,
    /// What is left: rounding, and paths past the limits.
    pub remainder_ns: f64,
    /// The nodes with the largest changes, either way; at most twenty.
    pub nodes: Vec<LedgerEntry>,
    /// The same for requests by how long they took compared with others of their side: fast ones, slow ones, the
    /// slowest. Bands with fewer than 20 traces on a side are left out. The mix of requests is not kept apart here.
    pub bands: Vec<TailBand>,
    /// Where the failures of entry points whose error ratio changed begin, largest change first; at most ten.
    pub failures: Vec<EntryFailures>,
}

/// The change of the share of an entry point's requests that fail, taken apart by where failures begin.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EntryFailures {
    /// The entry point: `service: operation`.
    pub entry_point: String,
    /// Share of its requests that failed (0–1).
    pub ratio: Sides<f64>,
    /// Candidate − baseline.
    pub difference: f64,
    /// The nodes that changed it most, either way; at most five.
    pub origins: Vec<FailureOrigin>,
    /// What all other nodes add to the difference.
    pub other_nodes: f64,
    /// What is left of it: rounding, and paths past the limits.
    pub remainder: f64,
}

/// A node at which failures of requests begin.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FailureOrigin {
    /// The node.
    pub node: Label,
    /// Share of the entry point's requests that failed because of it; a request that failed because of several counts
    /// for each in part.
    pub ratio: Sides<f64>,
    /// Candidate − baseline: what it adds to the entry point's difference. The sum of `fires_more` and
    /// `propagates_more`.
    pub difference: f64,
    /// Failures that begin at the node, per request of the entry point, whether the request fails by them or not.
    pub fired: Sides<f64>,
    /// The part of `difference` that comes from the node failing by itself more often.
    pub fires_more: f64,
    /// The part of `difference` that comes from its failures reaching the entry point more often: retries and
    /// fallbacks that no longer absorb them.
    pub propagates_more: f64,
}

/// The change of the mean duration of the requests between two shares of all, ordered by duration.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TailBand {
    /// The share of the side's requests that are shorter (0–1).
    pub from_share: f64,
    /// The share that are shorter or belong to the band (0–1).
    pub to_share: f64,
    /// Mean duration, in nanoseconds.
    pub mean_ns: Sides<f64>,
    /// Candidate − baseline, in nanoseconds.
    pub difference_ns: f64,
    /// The nodes with the largest changes, either way; at most five.
    pub nodes: Vec<NodeChange>,
    /// What all other nodes explain, in nanoseconds.
    pub other_nodes_ns: f64,
    /// What is left: rounding, and paths past the limits.
    pub remainder_ns: f64,
}

/// The change of one node's time per request of a band.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NodeChange {
    /// The node.
    pub node: Label,
    /// Time on the critical path per request, in nanoseconds.
    pub time_ns: Sides<f64>,
    /// Candidate − baseline, in nanoseconds.
    pub difference_ns: f64,
}

/// One node's part of the change of the mean request. Times are on the critical path, per request, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LedgerEntry {
    /// The node.
    pub node: Label,
    /// Time per request.
    pub time_ns: Sides<f64>,
    /// Calls per request, whether or not on the critical path.
    pub calls: Sides<f64>,
    /// Time on the critical path per call; 0 where there are none.
    pub time_per_call_ns: Sides<f64>,
    /// Candidate − baseline of the time per request.
    pub difference_ns: f64,
    /// 95 % interval of it; `null` ends where too little is known.
    pub interval_ns: Interval,
    /// The part that is due to more or fewer calls; the rest is due to more or less time per call.
    pub by_calls_ns: f64,
}

/// More failures that begin at one node.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FailureRise {
    /// The node.
    pub node: Label,
    /// Share of the traces with the node in which it failed by itself.
    pub ratio: Sides<f64>,
    /// Share of all requests that failed because of it; one that failed because of several counts for each in part.
    pub reaching_ratio: Sides<f64>,
    /// p-value, corrected for the number of nodes (Benjamini–Hochberg).
    pub q: f64,
}

/// A call that became more or less frequent within one type of requests.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BranchChange {
    /// What calls.
    pub parent: Label,
    /// What is called; `null` for "nothing at all".
    pub child: Option<Label>,
    /// Share of the parent's calls that have it.
    pub ratio: Sides<f64>,
    /// Standard errors that the change amounts to.
    pub z: f64,
}
