//! The diff as a document: what `--format json` prints, versioned, with its JSON Schema.
//!
//! Durations are nanoseconds, ratios 0–1, times nanoseconds since the epoch as strings. A field that is `null` could
//! not be computed: too little data, or nothing on that side. Differences are candidate − baseline.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::culprits::{Attribution, Culprit};
use super::graph::GraphDiff;
use super::policy::Policy;
use super::structure::StructureDiff;
use crate::explain::{Explanation, RequestStratum, WholeTrace};
use crate::facts::{KeyRole, Other, Quality};
use crate::model::Window;
use crate::stats::Interval;

/// Version of the document's form; it grows by one when a field changes its meaning or goes away.
pub const DOCUMENT_VERSION: u32 = 1;

/// The comparison of two sets of traces.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Diff {
    /// Version of this form.
    pub version: u32,
    /// What it comes to.
    pub outcome: Outcome,
    /// What changed, in one sentence.
    pub sentence: String,
    /// What the two sides are worth as data, and what to keep in mind.
    pub quality: QualityHeader,
    /// What counted as a change.
    pub policy: Policy,
    /// Everything that passed the policy, most important first.
    pub findings: Vec<Finding>,
    /// The services that the change likely comes from, best first; empty where the evidence is thin.
    pub culprits: Vec<Culprit>,
    /// Where the change of the mean request duration comes from.
    pub attribution: Attribution,
    /// How requests are made up, and what changed about it.
    pub structure: StructureDiff,
    /// Who calls whom, and what changed about it; `null` where facts were taken without the call tree.
    pub graph: Option<GraphDiff>,
    /// The keys: entry points first, then those asked for, then those found.
    pub keys: Vec<KeyDiff>,
    /// Keys that were found and not compared, and why.
    pub left_out: Vec<LeftOut>,
    /// The most frequent types of requests by outcome and duration: how many, and some of each.
    pub requests: Vec<RequestStratum>,
    /// Traces kept whole, where that was asked for: those that explanations name.
    pub traces: Vec<WholeTrace>,
}

/// What a comparison comes to, by its confirmed findings. Services, operations and attributes that were found count
/// towards `regressed` and `improved` only if a culprit is named with confidence, or if no entry point was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Latency or errors got worse.
    Regressed,
    /// Latency or errors got better, and nothing worse.
    Improved,
    /// Something else changed: values that are new or missing, calls per trace, something inside that no entry point
    /// shows.
    Changed,
    /// There are no confirmed findings.
    NoChangeFound,
    /// A side has no spans.
    NothingToCompare,
}

/// The data-quality header.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct QualityHeader {
    /// The baseline.
    pub baseline: SideQuality,
    /// The candidate.
    pub candidate: SideQuality,
    /// Whether a finding can be confirmed; otherwise every finding is at most suggestive, and `warnings` says why.
    pub can_confirm: bool,
    /// How much of a slice's latency level lasts into the next slice (0–0.7); variances are widened for it.
    pub persistence: f64,
    /// The latency changes at equal load; `null` unless traces per second differ by a fifth or more.
    pub load_matched: Option<LoadMatched>,
    /// What to keep in mind, most important first.
    pub warnings: Vec<Warning>,
}

/// Latency changes of entry points, services and operations in slices of both sides that had equal load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LoadMatched {
    /// Slices of either side that have a partner with traces per second within 10 %.
    pub slices: usize,
    /// Groups whose latency regressed or improved.
    pub changes: usize,
    /// Those of them whose δ is at least half as large, and of the same sign, in these slices; `null` with fewer than
    /// six slices.
    pub remaining: Option<usize>,
}

/// One side of the header.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SideQuality {
    /// The ranges of time that the side covers.
    pub ranges: Vec<Window>,
    /// Their length in seconds.
    pub seconds: f64,
    /// Slices of time.
    pub slices: usize,
    /// Slices in which a trace began.
    pub occupied_slices: usize,
    /// Length of a slice in seconds (of the longest, where ranges were cut differently).
    pub slice_seconds: f64,
    /// Share of traces that are complete.
    pub completeness_ratio: f64,
    /// Mean adjusted count of a span.
    pub mean_weight: f64,
    /// Share of spans whose producer told a sampling probability.
    pub known_weight_ratio: f64,
    /// (Σw)² / Σw² over spans.
    pub effective_spans: f64,
    /// Traces per second, weighted.
    pub requests_per_second: f64,
    /// Hosts whose clocks were corrected in the call tree.
    pub corrected_clocks: usize,
    /// Those of them that were furthest off, at most 20, the furthest first.
    pub clock_offsets: Vec<HostClock>,
    /// Counts.
    #[serde(flatten)]
    pub counts: Quality,
}

/// A host whose clock was corrected in the call tree. Durations do not depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostClock {
    /// The host, as its spans' resource names it; the service where it names none.
    pub host: String,
    /// The host whose clock it was compared with.
    pub compared_with: String,
    /// What was added to the times of the host's spans, in nanoseconds, in the minute in which it was most; above 0
    /// where its clock is slow.
    pub offset_ns: i64,
}

/// Something to keep in mind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Warning {
    /// A name that stays the same.
    pub code: &'static str,
    /// What it is and what to do.
    pub message: String,
}

/// What a test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Worse, sure enough and big enough.
    Regressed,
    /// Better, sure enough and big enough.
    Improved,
    /// More of it; neither better nor worse by itself.
    Increased,
    /// Less of it; neither better nor worse by itself.
    Decreased,
    /// Whatever changed is smaller than the policy asks for.
    NoMaterialChange,
    /// The data cannot tell; see the minimum detectable change.
    Inconclusive,
}

/// How much a verdict can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Seen over enough slices of time on both sides, and of a change: with a corrected p-value up to `confirmed_q`.
    Confirmed,
    /// Too few slices, so that it may be how those minutes were; or not that sure.
    Suggestive,
}

/// How big a change is: |Cliff's δ| below 0.33, below 0.474 or above; for errors, a difference of the ratio below 0.01,
/// below 0.05 or above. Calls are always minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The smallest step.
    Minor,
    /// The step in between.
    Medium,
    /// The largest step.
    Major,
}

/// One tested quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// How much it can be relied on.
    pub strength: Strength,
    /// How big the change is; `null` unless there is one.
    pub severity: Option<Severity>,
    /// Two-sided p-value; `null` where no test was possible.
    pub p: Option<f64>,
    /// The p-value corrected for its family (Benjamini–Hochberg); of a change the larger of `p` and `p_within`.
    pub q: Option<f64>,
    /// Of a change of a service, an operation or an endpoint: the p-value of what happened on its call paths (or in its
    /// operations), at equal shares of them; `null` where their shares hardly moved or it cannot be told.
    pub p_within: Option<f64>,
    /// Whether there is a change that passes the policy, but of the mix only: slower or failing call paths make up more
    /// (or less) of the group, and the paths themselves hardly changed. The verdict is then `no_material_change`.
    pub is_mix: bool,
}

/// A key and how its groups compare.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct KeyDiff {
    /// The key, by its newest name.
    pub key: String,
    /// Why it is here.
    pub role: KeyRole,
    /// Values that only the candidate has, most traces first.
    pub new: Vec<ValueEvidence>,
    /// Values that only the baseline has, most traces first.
    pub missing: Vec<ValueEvidence>,
    /// Values that both have, by value.
    pub groups: Vec<GroupDiff>,
    /// Spans without the key.
    pub without: Sides<u64>,
    /// Values past the cap.
    pub other: Sides<Other>,
}

/// A value for the baseline and one for the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sides<T> {
    /// Of the baseline.
    pub baseline: T,
    /// Of the candidate.
    pub candidate: T,
}

impl<T> From<[T; 2]> for Sides<T> {
    fn from([baseline, candidate]: [T; 2]) -> Self {
        Self {
            baseline,
            candidate,
        }
    }
}

/// A value that only one side has.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ValueEvidence {
    /// The value.
    pub value: String,
    /// Its group on the side that has it.
    pub group: GroupSummary,
    /// Share of that side's traces that have it.
    pub trace_ratio: f64,
    /// Probability that all its traces fall on one side by chance.
    pub p: f64,
    /// Whether it passes the policy.
    pub passes: bool,
}

/// A group on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GroupDiff {
    /// The value of the key.
    pub value: String,
    /// The baseline's group.
    pub baseline: GroupSummary,
    /// The candidate's group.
    pub candidate: GroupSummary,
    /// How durations compare.
    pub latency: LatencyDiff,
    /// How error ratios compare.
    pub errors: ErrorDiff,
    /// How the numbers of spans per trace compare; `null` for entry points, whose number is demand.
    pub calls: Option<CallDiff>,
    /// How the rates compare: context, not a finding.
    pub rate: RateDiff,
}

/// A group on one side.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GroupSummary {
    /// Raw spans.
    pub spans: u64,
    /// Raw failed spans.
    pub errors: u64,
    /// Raw traces that have the group.
    pub traces: u64,
    /// Slices in which it occurs.
    pub slices: usize,
    /// Σ of adjusted counts: the spans that were there before sampling.
    pub weighted_spans: f64,
    /// (Σw)² / Σw².
    pub effective_spans: f64,
    /// Share of spans that failed, weighted.
    pub error_ratio: f64,
    /// Its 95 % interval (Wilson, on the effective number of spans).
    pub error_interval: Interval,
    /// Mean duration, weighted.
    pub mean_ns: f64,
    /// Sum of durations, raw; a string, as it can pass 2^53.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub duration_sum_ns: u128,
    /// Quantiles by name (`p50`, `p90`, `p95`, `p99`); those for which there are too few spans are left out.
    pub quantiles: BTreeMap<&'static str, QuantileSummary>,
    /// Spans per second, weighted.
    pub per_second: f64,
    /// Traces that show what these numbers mean.
    pub exemplars: ExemplarIds,
}

fn as_text<S: serde::Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A quantile and its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct QuantileSummary {
    /// The quantile.
    pub value_ns: f64,
    /// Its 95 % interval (Woodruff).
    pub interval_ns: Interval,
}

/// Traces of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct ExemplarIds {
    /// Those with the longest spans, longest first.
    pub slowest: Vec<String>,
    /// Some with a failed span.
    pub failed: Vec<String>,
    /// Some near the median.
    pub typical: Vec<String>,
}

/// How durations compare.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LatencyDiff {
    /// The verdict on Cliff's δ.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// θ: probability that a random candidate span takes longer than a random baseline span.
    pub theta: Option<f64>,
    /// Cliff's δ = 2θ − 1, positive when the candidate is slower.
    pub delta: Option<f64>,
    /// Its 95 % interval.
    pub delta_interval: Option<Interval>,
    /// Smallest |δ| that this much data would show four times out of five.
    pub minimum_detectable_delta: Option<f64>,
    /// Difference of the means in nanoseconds.
    pub mean_difference_ns: f64,
    /// Its 95 % interval.
    pub mean_interval_ns: Option<Interval>,
    /// Changes of the quantiles by name.
    pub quantiles: BTreeMap<&'static str, QuantileDiff>,
}

/// How a quantile compares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct QuantileDiff {
    /// candidate − baseline in nanoseconds.
    pub difference_ns: f64,
    /// candidate / baseline; `null` where the baseline's is 0.
    pub factor: Option<f64>,
    /// 95 % interval of the factor.
    pub factor_interval: Option<Interval>,
    /// Smallest factor above 1 that would be found four times out of five.
    pub minimum_detectable_factor: Option<f64>,
}

/// How error ratios compare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct ErrorDiff {
    /// The verdict.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// candidate − baseline of the error ratio.
    pub difference: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// Smallest difference that would be found four times out of five.
    pub minimum_detectable: Option<f64>,
    /// With no error on a side: the largest ratio that its data leave possible (rule of three).
    pub upper_bound_of_none: Option<f64>,
    /// `clustered` (logit of the ratio, clustered variance) or `exact` (Fisher's mid-p on effective counts).
    pub test: &'static str,
}

/// How the numbers of spans per trace compare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct CallDiff {
    /// The verdict: increased or decreased.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// Spans per trace, over all traces of the side.
    pub per_trace: Sides<f64>,
    /// candidate / baseline; `null` where the baseline's is 0.
    pub factor: Option<f64>,
    /// Its 95 % interval.
    pub factor_interval: Option<Interval>,
    /// Smallest factor above 1 that would be found four times out of five.
    pub minimum_detectable_factor: Option<f64>,
}

/// How rates compare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct RateDiff {
    /// candidate / baseline of spans per second; `null` where it cannot be told.
    pub factor: Option<f64>,
    /// Its 95 % interval.
    pub factor_interval: Option<Interval>,
    /// Two-sided p-value, not corrected: context only.
    pub p: Option<f64>,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// Error ratio.
    Errors,
    /// Durations.
    Latency,
    /// A value that only the candidate has.
    NewValue,
    /// A value that only the baseline has.
    MissingValue,
    /// Spans per trace.
    Calls,
}

/// A change that passed the policy.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// A name that stays the same from run to run: `key=value/aspect`.
    pub id: String,
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Why the key was looked at.
    pub role: KeyRole,
    /// What changed.
    pub aspect: Aspect,
    /// The verdict.
    pub verdict: Verdict,
    /// How much it can be relied on.
    pub strength: Strength,
    /// How big it is.
    pub severity: Option<Severity>,
    /// The corrected p-value; the plain one for new and missing values.
    pub q: Option<f64>,
    /// How big it is, in the aspect's own measure: |Cliff's δ| for latency, difference of the ratio for errors, share
    /// of traces for new and missing values, |ln(factor)| for calls.
    pub effect: f64,
    /// The finding in words.
    pub text: String,
    /// The id of an earlier finding about exactly the same spans under another key.
    pub same_as: Option<String>,
    /// What the traces behind it have in common; `null` where that was not looked at: for all but the first ten
    /// regressions of entry points, services and operations.
    pub explanation: Option<Explanation>,
}

/// A key that was found and not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftOut {
    /// The key.
    pub key: String,
    /// Why, in words.
    pub reason: String,
}
