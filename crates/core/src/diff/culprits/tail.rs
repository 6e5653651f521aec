//! Where the time of slow requests goes: means over bands of requests add up node by node, which percentiles do not
//! (Euler allocation; Tasche 1999, for risk contributions).

use std::collections::BTreeMap;

use super::document::{NodeChange, TailBand};
use crate::diff::document::Sides;
use crate::paths::{Band, Label, NodeKind, PathTree};

/// The bands: shares of a side's requests, by their own durations.
const BANDS: [(f64, f64); 5] = [
    (0.0, 0.5),
    (0.5, 0.9),
    (0.9, 0.95),
    (0.95, 0.99),
    (0.99, 1.0),
];
/// Traces that a band needs on either side.
const MIN_TRACES: f64 = 20.0;
/// Nodes that are listed for a band.
const NODES: usize = 5;

/// One side's requests, from the shortest to the longest.
struct Requests<'a> {
    traces: f64,
    /// Σ w and Σ w·duration by band of duration.
    sums: BTreeMap<Band, [f64; 2]>,
    /// Time on the critical path of every node, by band of the request's duration.
    nodes: BTreeMap<&'a Label, BTreeMap<Band, f64>>,
}

/// The mean request of a band, and the time of every node in it.
struct Mean<'a> {
    traces: f64,
    duration_ns: f64,
    nodes: BTreeMap<&'a Label, f64>,
}

impl<'a> Requests<'a> {
    fn of(tree: &'a PathTree) -> Self {
        let mut all = Self {
            traces: 0.0,
            sums: BTreeMap::new(),
            nodes: BTreeMap::new(),
        };
        for node in tree.nodes().values() {
            let is_request = node.label.kind == NodeKind::Request;
            if tree.nodes()[&node.top].label.kind != NodeKind::Request {
                continue;
            }
            if is_request {
                all.traces += node.strata.iter().map(|s| s.traces as f64).sum::<f64>();
            }
            for band in &node.bands {
                if is_request {
                    let sums = all.sums.entry(band.band).or_default();
                    sums[0] += band.weight;
                    sums[1] += band.time_ns;
                } else {
                    let of_node = all.nodes.entry(&node.label).or_default();
                    *of_node.entry(band.band).or_default() += band.time_ns;
                }
            }
        }
        all
    }

    /// The requests between two shares. A band of durations across the border counts in part, with all its nodes, so
    /// that nothing is lost.
    fn mean(&self, (from, to): (f64, f64)) -> Mean<'a> {
        let whole: f64 = self.sums.values().map(|s| s[0]).sum();
        let (from, to) = (from * whole, to * whole);
        let mut below = 0.0;
        let mut parts: BTreeMap<Band, f64> = BTreeMap::new();
        let (mut weight, mut duration_ns) = (0.0, 0.0);
        for (band, [w, d]) in &self.sums {
            let inside = (to.min(below + w) - from.max(below)).max(0.0);
            below += w;
            if inside > 0.0 {
                let part = inside / w;
                parts.insert(*band, part);
                weight += inside;
                duration_ns += part * d;
            }
        }
        let time = |of_node: &BTreeMap<Band, f64>| {
            let times = parts
                .iter()
                .filter_map(|(band, part)| Some(part * of_node.get(band)?));
            times.sum::<f64>() / weight
        };
        Mean {
            traces: self.traces * weight / whole,
            duration_ns: duration_ns / weight,
            nodes: self.nodes.iter().map(|(l, t)| (*l, time(t))).collect(),
        }
    }
}

/// The change of the mean request of every band that has enough traces on both sides.
pub(super) fn bands(baseline: &PathTree, candidate: &PathTree) -> Vec<TailBand> {
    let (a, b) = (Requests::of(baseline), Requests::of(candidate));
    if a.sums.is_empty() || b.sums.is_empty() {
        return Vec::new();
    }
    let means = BANDS.map(|shares| (shares, a.mean(shares), b.mean(shares)));
    let enough = means
        .iter()
        .filter(|(_, a, b)| a.traces.min(b.traces) >= MIN_TRACES);
    enough.map(|(shares, a, b)| band(*shares, a, b)).collect()
}

fn band((from, to): (f64, f64), a: &Mean<'_>, b: &Mean<'_>) -> TailBand {
    let mut times: BTreeMap<&Label, [f64; 2]> = BTreeMap::new();
    for (side, mean) in [a, b].into_iter().enumerate() {
        for (label, time_ns) in &mean.nodes {
            times.entry(label).or_default()[side] = *time_ns;
        }
    }
    let mut nodes: Vec<NodeChange> = times
        .into_iter()
        .map(|(label, times)| NodeChange {
            node: label.clone(),
            time_ns: times.into(),
            difference_ns: times[1] - times[0],
        })
        .collect();
    nodes.sort_by(|x, y| y.difference_ns.abs().total_cmp(&x.difference_ns.abs()));
    let difference_ns = b.duration_ns - a.duration_ns;
    let explained: f64 = nodes.iter().map(|n| n.difference_ns).sum();
    let others = nodes.iter().skip(NODES).map(|n| n.difference_ns).sum();
    nodes.truncate(NODES);
    TailBand {
        from_share: from,
        to_share: to,
        mean_ns: Sides {
            baseline: a.duration_ns,
            candidate: b.duration_ns,
        },
        difference_ns,
        nodes,
        other_nodes_ns: others,
        remainder_ns: difference_ns - explained,
    }
}
