//! Where the time of slow requests goes: means over bands of requests add up node by node, which percentiles do not
//! (Euler allocation; Tasche 1999, for risk contributions).

use std::collections::BTreeMap;

use super::document::{NodeChange, TailBand};
use crate::diff::document::Sides;
use crate::diff::paths::{PathAt, Paths};
use crate::paths::{Band, Label, NodeKind};

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
struct Requests {
    traces: f64,
    /// Bands of durations, with Σ w and Σ w·duration.
    bands: Vec<(Band, [f64; 2])>,
    /// Time on the critical path by label, and by band of the request's duration.
    nodes: Vec<f64>,
}

/// The mean request of a band, and the time of every label in it.
struct Mean {
    traces: f64,
    duration_ns: f64,
    nodes: Vec<f64>,
}

impl Requests {
    fn of(paths: &Paths<'_>, side: usize) -> Self {
        let is_inside_request =
            |path: &&PathAt<'_>| paths.tops[path.top as usize].kind == NodeKind::Request;
        let paths_of_requests = || paths.sides[side].iter().filter(is_inside_request);
        let mut traces = 0.0;
        let mut sums: BTreeMap<Band, [f64; 2]> = BTreeMap::new();
        for path in paths_of_requests().filter(|path| path.is_request()) {
            traces += path
                .node
                .strata
                .iter()
                .map(|s| s.traces as f64)
                .sum::<f64>();
            for band in &path.node.bands {
                let sums = sums.entry(band.band).or_default();
                sums[0] += band.weight;
                sums[1] += band.time_ns;
            }
        }
        let bands: Vec<(Band, [f64; 2])> = sums.into_iter().collect();
        let mut nodes = vec![0.0; paths.labels.len() * bands.len()];
        for path in paths_of_requests().filter(|path| !path.is_request()) {
            let times = &mut nodes[path.label as usize * bands.len()..][..bands.len()];
            for of_path in &path.node.bands {
                if let Ok(place) = bands.binary_search_by_key(&of_path.band, |(band, _)| *band) {
                    times[place] += of_path.time_ns;
                }
            }
        }
        Self {
            traces,
            bands,
            nodes,
        }
    }

    /// The requests between two shares. A band of durations across the border counts in part, with all its nodes, so
    /// that nothing is lost.
    fn mean(&self, (from, to): (f64, f64)) -> Mean {
        let whole: f64 = self.bands.iter().map(|(_, s)| s[0]).sum();
        let (from, to) = (from * whole, to * whole);
        let mut below = 0.0;
        let mut parts = Vec::with_capacity(self.bands.len());
        let (mut weight, mut duration_ns) = (0.0, 0.0);
        for (_, [w, d]) in &self.bands {
            let inside = (to.min(below + w) - from.max(below)).max(0.0);
            below += w;
            let part = if inside > 0.0 { inside / w } else { 0.0 };
            parts.push(part);
            weight += inside;
            duration_ns += part * d;
        }
        let time = |times: &[f64]| {
            let times = times.iter().zip(&parts).map(|(time, part)| part * time);
            times.sum::<f64>() / weight
        };
        Mean {
            traces: self.traces * weight / whole,
            duration_ns: duration_ns / weight,
            nodes: self
                .nodes
                .chunks_exact(self.bands.len())
                .map(time)
                .collect(),
        }
    }
}

/// The change of the mean request of every band that has enough traces on both sides.
pub(super) fn bands(paths: &Paths<'_>) -> Vec<TailBand> {
    let (a, b) = (Requests::of(paths, 0), Requests::of(paths, 1));
    if a.bands.is_empty() || b.bands.is_empty() {
        return Vec::new();
    }
    let means = BANDS.map(|shares| (shares, a.mean(shares), b.mean(shares)));
    let enough = means
        .iter()
        .filter(|(_, a, b)| a.traces.min(b.traces) >= MIN_TRACES);
    let told = enough.map(|(shares, a, b)| band(*shares, [a, b], &paths.labels));
    told.collect()
}

fn band((from, to): (f64, f64), sides: [&Mean; 2], labels: &[&Label]) -> TailBand {
    let times = |number: usize| sides.map(|mean| mean.nodes[number]);
    let change = |number: usize| sides[1].nodes[number] - sides[0].nodes[number];
    let mut numbers: Vec<usize> = (0..labels.len()).collect();
    let most = |x: &usize, y: &usize| change(*y).abs().total_cmp(&change(*x).abs());
    if numbers.len() > NODES {
        numbers.select_nth_unstable_by(NODES, most);
    }
    let others = numbers.iter().skip(NODES).map(|n| change(*n)).sum();
    let explained: f64 = (0..labels.len()).map(change).sum();
    numbers.truncate(NODES);
    numbers.sort_by(most);
    let nodes = numbers.into_iter().filter(|n| change(*n) != 0.0);
    let nodes = nodes.map(|number| NodeChange {
        node: labels[number].clone(),
        time_ns: times(number).into(),
        difference_ns: change(number),
    });
    let means = sides.map(|mean| mean.duration_ns);
    let difference_ns = means[1] - means[0];
    TailBand {
        from_share: from,
        to_share: to,
        mean_ns: Sides::from(means),
        difference_ns,
        nodes: nodes.collect(),
        other_nodes_ns: others,
        remainder_ns: difference_ns - explained,
    }
}
