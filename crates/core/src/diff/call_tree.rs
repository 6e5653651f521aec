//! The call trees of both sides, path by path: what a differential icicle is drawn from.
//!
//! A path's time is what it adds to the critical path of a request of its type: Σ w·t of the path over Σ w of the
//! requests, so that paths of one request add up to its duration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::join::joined;
use super::policy::Policy;
use super::side::persistence;
use crate::facts::Facts;
use crate::paths::{NodeKind, PathId, PathNode, PathSum, PathTree};
use crate::stats::fdr::benjamini_hochberg;
use crate::stats::ratio::{Ratio, SliceSums};
use crate::stats::{Interval, Test};

/// The call trees of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallTreeDiff {
    /// Requests and fragments of the baseline: the weight of its traces.
    pub baseline_traces: f64,
    /// The same of the candidate.
    pub candidate_traces: f64,
    /// Every path of either side, each after the one that it is below; those below one path by the order of their
    /// labels.
    pub paths: Vec<PathDiff>,
}

/// One path on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathDiff {
    /// Its place in the list.
    pub id: usize,
    /// The place of the path that it is below; `None` for requests and fragments.
    pub parent: Option<usize>,
    /// What its last link is.
    pub kind: NodeKind,
    /// Whether nobody waits for it.
    pub is_async: bool,
    /// The service that the span is of; of an edge or a dependency the caller.
    pub service: String,
    /// The service or dependency that is called; of a request what it calls first; else empty.
    pub peer: String,
    /// The operation, without ids and numbers.
    pub operation: String,
    /// What the baseline has of it.
    pub baseline: Option<PathSide>,
    /// What the candidate has of it.
    pub candidate: Option<PathSide>,
    /// Candidate − baseline of its time on the critical path of one request, in nanoseconds; `None` where a side has
    /// no request of the type.
    pub change_ns: Option<f64>,
    /// 95 % interval of that change.
    pub change_interval_ns: Option<Interval>,
    /// The change's p-value, corrected over all paths (Benjamini–Hochberg); `None` where no test was possible.
    pub q: Option<f64>,
    /// Whether q is at most what the policy asks for.
    pub is_significant: bool,
}

/// Sums of one side over its whole window. Times are in nanoseconds; traces count for those that they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathSide {
    /// Traces that have the path.
    pub traces: f64,
    /// Spans of the path.
    pub occurrences: f64,
    /// Those that failed.
    pub errors: f64,
    /// Time not covered by children.
    pub exclusive_ns: f64,
    /// Time on the critical path.
    pub critical_ns: f64,
    /// Durations.
    pub duration_ns: f64,
    /// Requests of its type.
    pub requests: f64,
}

/// Joins the call trees of two facts; changes are judged by the policy's q.
pub fn compare_call_trees(baseline: &Facts, candidate: &Facts, policy: &Policy) -> CallTreeDiff {
    let trees = [baseline.paths(), candidate.paths()];
    let persistence = persistence(baseline, candidate);
    let mut below: BTreeMap<Option<PathId>, Vec<Pair<'_>>> = BTreeMap::new();
    for (id, sides) in joined(trees.map(|tree| tree.nodes().iter())) {
        let ([Some(node), _] | [None, Some(node)]) = sides else {
            continue;
        };
        below.entry(node.parent).or_default().push((*id, sides));
    }
    for pairs in below.values_mut() {
        pairs.sort_by(|(_, a), (_, b)| label(a).cmp(&label(b)));
    }
    let mut paths = Vec::new();
    let mut open: Vec<(Option<usize>, Pair<'_>)> = Vec::new();
    let mut add = |open: &mut Vec<_>, parent, of| {
        let pairs = below.remove(&of).unwrap_or_default();
        open.extend(pairs.into_iter().rev().map(|pair| (parent, pair)));
    };
    add(&mut open, None, None);
    while let Some((parent, (id, sides))) = open.pop() {
        let place = paths.len();
        paths.extend(path(place, parent, sides, trees, persistence));
        add(&mut open, Some(place), Some(id));
    }
    let p_values: Vec<f64> = paths.iter().map(|(_, p)| *p).collect();
    let q_values = benjamini_hochberg(&p_values);
    let paths = paths.into_iter().zip(q_values).map(|((mut path, _), q)| {
        path.q = (!q.is_nan()).then_some(q);
        path.is_significant = q <= policy.max_q;
        path
    });
    CallTreeDiff {
        baseline_traces: traces(trees[0]),
        candidate_traces: traces(trees[1]),
        paths: paths.collect(),
    }
}

/// A path on both sides.
type Pair<'a> = (PathId, [Option<&'a PathNode>; 2]);

fn label<'a>(sides: &[Option<&'a PathNode>; 2]) -> Option<&'a crate::paths::Label> {
    sides[0].or(sides[1]).map(|node| &*node.label)
}

fn traces(tree: &PathTree) -> f64 {
    let tops = tree.nodes().values().filter(|node| node.parent.is_none());
    // An empty sum is −0.
    tops.map(|node| node.total.weight).sum::<f64>() + 0.0
}

/// A path and the p-value of its change; NaN where no test was possible.
fn path(
    id: usize,
    parent: Option<usize>,
    sides: [Option<&PathNode>; 2],
    trees: [&PathTree; 2],
    persistence: f64,
) -> Option<(PathDiff, f64)> {
    let node = sides[0].or(sides[1])?;
    let tops = trees.map(|tree| tree.nodes().get(&node.top));
    let time = |side: usize| Some(per_request(tops[side]?, sides[side])).flatten();
    let (times, is_told) = ([time(0), time(1)], node.is_awaited);
    let test = match times {
        [Some(a), Some(b)] if is_told => Some(Test::welch(
            b.value - a.value,
            a.variance(persistence),
            b.variance(persistence),
        )),
        _ => None,
    };
    let side = |place: usize| sides[place].map(|node| side(node, tops[place]));
    let diff = PathDiff {
        id,
        parent,
        kind: node.label.kind,
        is_async: node.label.is_async,
        service: node.label.service.clone(),
        peer: node.label.peer.clone(),
        operation: node.label.operation.clone(),
        baseline: side(0),
        candidate: side(1),
        change_ns: test.map(|test| test.difference),
        change_interval_ns: test.map(|t| t.interval()).filter(|i| i.low.is_finite()),
        q: None,
        is_significant: false,
    };
    // What takes no time on either side is no test of anything.
    let is_tested = times.iter().flatten().any(|time| time.value > 0.0);
    let p = test.map_or(f64::NAN, |test| test.p);
    Some((diff, if is_tested { p } else { f64::NAN }))
}

fn side(node: &PathNode, top: Option<&PathNode>) -> PathSide {
    PathSide {
        traces: node.total.weight,
        occurrences: node.total.calls,
        errors: node.total.errors,
        exclusive_ns: node.total.exclusive_ns,
        critical_ns: node.total.critical_ns,
        duration_ns: node.total.duration_ns,
        requests: top.map_or(0.0, |top| top.total.weight),
    }
}

/// Time on the critical path of a request of the type, with the variance of both traces and slices. A side that has the
/// request but not the path spends no time there.
fn per_request(top: &PathNode, node: Option<&PathNode>) -> Option<Ratio> {
    let mut slices: BTreeMap<usize, SliceSums> = BTreeMap::new();
    for (slice, weight) in top.slices.each(PathSum::Weight) {
        slices.entry(slice).or_default().x = weight;
    }
    if let Some(node) = node {
        for (slice, critical_ns) in node.slices.each(PathSum::CriticalNs) {
            slices.entry(slice).or_default().y = critical_ns;
        }
    }
    // Squares are kept over all slices only; the estimate adds them up anyway.
    let first = slices.values_mut().next()?;
    first.traces = top.total.traces as f64;
    first.xx = top.total.weight_squared;
    if let Some(node) = node {
        first.xy = node.total.critical_weight;
        first.yy = node.total.critical_squared;
    }
    Ratio::estimate(slices.values().copied())
}
