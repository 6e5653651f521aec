//! Where the change of the mean request duration comes from: exact shares of nodes of the call tree.
//!
//! Every nanosecond of a request is on the critical path of one node, so the means of the nodes add up to the mean of
//! the requests, and their changes to its change. The change of the traffic mix is apart (Kitagawa 1955; Oaxaca 1973).

use std::collections::BTreeMap;

use crate::diff::side::SideFacts;
use crate::facts::Facts;
use crate::paths::{Label, NodeKind, PathCell, PathId, PathNode, PathTree};
use crate::stats::time::clustered_variance;
use crate::stats::{Test, Variance};

/// The change of the mean duration of all requests, taken apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// Mean duration of a request before and after, in nanoseconds.
    pub(super) mean_ns: [f64; 2],
    /// What the change of the traffic mix is worth: other shares of the types of requests.
    pub(super) mix_ns: f64,
    /// What nodes are worth, at the candidate's mix. Adds up to the rest of the change.
    pub(super) entries: Vec<Entry>,
    /// The same for each type of requests with enough traces: baseline mean in nanoseconds, and entries.
    pub(super) by_request: Vec<(f64, Vec<Entry>)>,
}

/// One node's part of the change.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) label: Label,
    /// Its time on the critical path per request, before and after, in nanoseconds, at the candidate's mix.
    pub(super) time_ns: [f64; 2],
    /// Calls per request, whether or not on the critical path.
    pub(super) calls: [f64; 2],
    /// Change of its time per request, with its uncertainty.
    pub(super) change: Test,
    /// The part of the change that is due to more or fewer calls.
    pub(super) by_calls_ns: f64,
    /// That part by the service that makes more or fewer of them.
    pub(super) callers: BTreeMap<String, f64>,
}

impl Entry {
    /// Time per call on one side, in nanoseconds.
    pub(super) fn per_call_ns(&self, side: usize) -> f64 {
        if self.calls[side] > 0.0 {
            self.time_ns[side] / self.calls[side]
        } else {
            0.0
        }
    }
}

/// Traces of a type of requests that either side needs for a ledger of its own.
const MIN_TRACES: u64 = 30;

/// One node's cells below one type of requests, by slice.
type Cells = BTreeMap<u32, PathCell>;

/// A type of requests: its sums, and its cells by slice.
type Request<'a> = (PathCell, &'a [(u32, PathCell)]);

/// One side: its requests, and the nodes that requests wait for.
struct Sums<'a> {
    requests: BTreeMap<PathId, Request<'a>>,
    nodes: BTreeMap<&'a Label, BTreeMap<PathId, Cells>>,
    weight: f64,
    slices: usize,
    persistence: f64,
}

impl<'a> Sums<'a> {
    fn of(side: &SideFacts<'a>) -> Self {
        let facts: &'a Facts = side.facts;
        let tree = facts.paths();
        let mut requests = BTreeMap::new();
        let mut weight = 0.0;
        for (id, node) in tree.requests() {
            let total = node.total();
            weight += total.weight;
            requests.insert(*id, (total, &node.cells[..]));
        }
        let mut nodes: BTreeMap<&Label, BTreeMap<PathId, Cells>> = BTreeMap::new();
        for node in tree.nodes().values() {
            let is_part = node.is_awaited
                && requests.contains_key(&node.top)
                && !matches!(node.label.kind, NodeKind::Request | NodeKind::Fragment);
            if !is_part {
                continue;
            }
            let cells = nodes.entry(&node.label).or_default();
            let cells = cells.entry(node.top).or_default();
            for (slice, cell) in &node.cells {
                cells.entry(*slice).or_default().merge(cell);
            }
        }
        Self {
            requests,
            nodes,
            weight,
            slices: facts.slice_traces().iter().filter(|s| s.traces > 0).count(),
            persistence: side.persistence,
        }
    }

    fn share(&self, request: &PathId) -> f64 {
        self.requests
            .get(request)
            .map_or(0.0, |(total, _)| total.weight / self.weight)
    }

    fn mean_ns(&self, request: &PathId) -> Option<f64> {
        let (total, _) = self.requests.get(request)?;
        (total.weight > 0.0).then(|| total.duration_ns / total.weight)
    }

    /// The node's time and calls per request at the given mix, and the variance of that time.
    fn node(&self, label: &Label, mix: &BTreeMap<PathId, f64>) -> Standardized {
        let mut out = Standardized::default();
        let mut slices: BTreeMap<u32, f64> = BTreeMap::new();
        let mut by_trace = 0.0;
        let Some(below) = self.nodes.get(label) else {
            return out;
        };
        for (request, share) in mix {
            let (Some(cells), Some((total, of_request))) =
                (below.get(request), self.requests.get(request))
            else {
                continue;
            };
            let mut sum = PathCell::default();
            cells.values().for_each(|cell| sum.merge(cell));
            let (time, calls) = (sum.critical_ns / total.weight, sum.calls / total.weight);
            out.time_ns += share * time;
            out.calls += share * calls;
            let scale = share / total.weight;
            let squares = sum.critical_squared - 2.0 * time * sum.critical_weight
                + time * time * total.weight_squared;
            by_trace += scale * scale * squares.max(0.0);
            for (slice, cell) in *of_request {
                let critical = cells.get(slice).map_or(0.0, |c| c.critical_ns);
                *slices.entry(*slice).or_default() += scale * (critical - time * cell.weight);
            }
            out.traces += total.traces as f64;
        }
        let m = self.slices as f64;
        let squares: f64 = slices.values().map(|u| u * u).sum();
        let by_slice = (self.slices > 1).then(|| m / (m - 1.0) * squares);
        out.variance = clustered_variance(
            by_trace,
            out.traces,
            by_slice,
            self.slices,
            self.persistence,
        );
        out
    }
}

/// A node's time and calls per request at one mix of requests.
struct Standardized {
    time_ns: f64,
    calls: f64,
    variance: Variance,
    traces: f64,
}

impl Default for Standardized {
    fn default() -> Self {
        Self {
            time_ns: 0.0,
            calls: 0.0,
            variance: Variance {
                value: 0.0,
                degrees_of_freedom: 1.0,
            },
            traces: 0.0,
        }
    }
}

/// Takes the change of the mean apart.
pub(super) fn build(baseline: &SideFacts<'_>, candidate: &SideFacts<'_>) -> Ledger {
    let (a, b) = (Sums::of(baseline), Sums::of(candidate));
    let mean = |side: &Sums<'_>| {
        let means = side.requests.keys();
        means
            .map(|r| side.share(r) * side.mean_ns(r).unwrap_or(0.0))
            .sum::<f64>()
    };
    let mut ledger = Ledger {
        mean_ns: [mean(&a), mean(&b)],
        ..Ledger::default()
    };
    if a.weight <= 0.0 || b.weight <= 0.0 {
        return ledger;
    }
    // The candidate's shares of the types that both sides have.
    let mut mix: BTreeMap<PathId, f64> = BTreeMap::new();
    for request in b.requests.keys() {
        match a.mean_ns(request) {
            Some(before) => {
                mix.insert(*request, b.share(request));
                ledger.mix_ns += (b.share(request) - a.share(request)) * before;
            }
            None => ledger.mix_ns += b.share(request) * b.mean_ns(request).unwrap_or(0.0),
        }
    }
    for request in a.requests.keys().filter(|r| !b.requests.contains_key(r)) {
        ledger.mix_ns -= a.share(request) * a.mean_ns(request).unwrap_or(0.0);
    }
    let links = Links::between(baseline.facts.paths(), candidate.facts.paths());
    ledger.entries = entries(&a, &b, &mix, &links);
    for request in mix.keys() {
        let traces = |side: &Sums<'_>| side.requests.get(request).map_or(0, |(r, _)| r.traces);
        if traces(&a).min(traces(&b)) >= MIN_TRACES {
            let alone = BTreeMap::from([(*request, 1.0)]);
            let mean_ns = a.mean_ns(request).unwrap_or(0.0);
            ledger
                .by_request
                .push((mean_ns, entries(&a, &b, &alone, &links)));
        }
    }
    ledger
}

/// The parts of all nodes that requests of this mix have.
fn entries(
    a: &Sums<'_>,
    b: &Sums<'_>,
    mix: &BTreeMap<PathId, f64>,
    links: &Links<'_>,
) -> Vec<Entry> {
    let has = |below: &&BTreeMap<PathId, Cells>| below.keys().any(|r| mix.contains_key(r));
    let of_side = |side: &Sums<'_>| {
        let nodes = side.nodes.iter().filter(|(_, below)| has(below));
        nodes
            .map(|(label, _)| *label)
            .cloned()
            .collect::<Vec<Label>>()
    };
    let mut labels = of_side(a);
    labels.extend(of_side(b));
    labels.sort_unstable();
    labels.dedup();
    let mut callers = links.callers([a, b], mix);
    labels
        .into_iter()
        .map(|label| {
            let (before, after) = (a.node(&label, mix), b.node(&label, mix));
            let change = Test::welch(
                after.time_ns - before.time_ns,
                before.variance,
                after.variance,
            );
            let callers = callers.remove(&label).unwrap_or_default();
            Entry {
                time_ns: [before.time_ns, after.time_ns],
                calls: [before.calls, after.calls],
                change,
                by_calls_ns: callers.values().sum(),
                callers,
                label,
            }
        })
        .collect()
}

/// One path on both sides.
struct Link<'a> {
    node: &'a PathNode,
    sums: [PathCell; 2],
    /// Whose decision it is how often the path is taken from its parent.
    caller: &'a str,
}

/// All paths of both sides.
struct Links<'a>(BTreeMap<PathId, Link<'a>>);

impl<'a> Links<'a> {
    fn between(a: &'a PathTree, b: &'a PathTree) -> Self {
        let mut links: BTreeMap<PathId, Link<'a>> = BTreeMap::new();
        for (side, tree) in [a, b].into_iter().enumerate() {
            for (id, node) in tree.nodes() {
                let parent = node.parent.and_then(|p| tree.nodes().get(&p));
                let caller = match (node.label.kind, parent) {
                    (NodeKind::Work, Some(parent)) => &parent.label.service,
                    _ => &node.label.service,
                };
                let link = links.entry(*id).or_insert_with(|| Link {
                    node,
                    sums: [PathCell::default(); 2],
                    caller,
                });
                link.sums[side] = node.total();
            }
        }
        Self(links)
    }

    /// What more or fewer calls are worth at a mix, by label and by the service that makes them: Σ over paths of
    /// Δ(calls) · mean time per call, the exact midpoint decomposition.
    fn callers(
        &self,
        sides: [&Sums<'_>; 2],
        mix: &BTreeMap<PathId, f64>,
    ) -> BTreeMap<Label, BTreeMap<String, f64>> {
        let mut all: BTreeMap<Label, BTreeMap<String, f64>> = BTreeMap::new();
        for link in self.0.values() {
            let node = link.node;
            let is_top = matches!(node.label.kind, NodeKind::Request | NodeKind::Fragment);
            let Some(share) = mix.get(&node.top).filter(|_| node.is_awaited && !is_top) else {
                continue;
            };
            let weights = sides.map(|s| s.requests.get(&node.top).map_or(0.0, |(r, _)| r.weight));
            let calls = [0, 1].map(|side| link.sums[side].calls / weights[side]);
            let time = [0, 1].map(|side| {
                let sums = &link.sums[side];
                (sums.calls > 0.0).then(|| sums.critical_ns / sums.calls)
            });
            let (Some(before), Some(after)) = (time[0].or(time[1]), time[1].or(time[0])) else {
                continue;
            };
            let worth = share * (calls[1] - calls[0]) * f64::midpoint(before, after);
            let caller = self.caller(link, worth > 0.0);
            let of_label = all.entry(node.label.clone()).or_default();
            *of_label.entry(caller.to_owned()).or_default() += worth;
        }
        all
    }

    /// The service that calls differently: at the link from the request down to this path where calls per call of the
    /// parent changed most.
    fn caller(&self, link: &'a Link<'a>, more: bool) -> &'a str {
        let mut most = 0.0;
        let mut caller = link.caller;
        let mut at = Some(link);
        while let Some(link) = at {
            let parent = link.node.parent.and_then(|p| self.0.get(&p));
            let ratio = [0, 1].map(|side| {
                let above = parent.map_or(0.0, |p: &Link<'_>| p.sums[side].calls);
                (above > 0.0).then(|| link.sums[side].calls / above)
            });
            if let [Some(before), Some(after)] = ratio {
                // Near nothing, a little more is not many times more.
                let change = ((after + 0.01) / (before + 0.01)).ln();
                if (change > 0.0) == more && change.abs() > most {
                    most = change.abs();
                    caller = link.caller;
                }
            }
            at = parent;
        }
        caller
    }
}
