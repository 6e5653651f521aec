//! Where the change of the mean request duration comes from: exact shares of nodes of the call tree.
//!
//! Every nanosecond of a request is on the critical path of one node, so the means of the nodes add up to the mean of
//! the requests, and their changes to its change. The change of the traffic mix is apart (Kitagawa 1955; Oaxaca 1973).

use super::links::Links;
use crate::diff::paths::{PathAt, Paths};
use crate::diff::side::SideFacts;
use crate::paths::{Label, PathCell};
use crate::stats::time::clustered_variance;
use crate::stats::{Test, Variance};

/// The change of the mean duration of all requests, taken apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger<'a> {
    /// Mean duration of a request before and after, in nanoseconds.
    pub(super) mean_ns: [f64; 2],
    /// What the change of the traffic mix is worth: other shares of the types of requests.
    pub(super) mix_ns: f64,
    /// What nodes are worth, at the candidate's mix. Adds up to the rest of the change.
    pub(super) entries: Vec<Entry<'a>>,
    /// The same for each type of requests with enough traces: baseline mean in nanoseconds, and entries.
    pub(super) by_request: Vec<(f64, Vec<Entry<'a>>)>,
}

/// One node's part of the change.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) label: &'a Label,
    /// Its time on the critical path per request, before and after, in nanoseconds, at the candidate's mix.
    pub(super) time_ns: [f64; 2],
    /// Calls per request, whether or not on the critical path.
    pub(super) calls: [f64; 2],
    /// Change of its time per request, with its uncertainty.
    pub(super) change: Test,
    /// The part of the change that is due to more or fewer calls.
    pub(super) by_calls_ns: f64,
    /// That part by the service that makes more or fewer of them.
    pub(super) callers: Vec<(&'a str, f64)>,
}

impl Entry<'_> {
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

/// The share that every type of requests counts with, by number.
pub(super) enum Mix {
    /// `None` for types that do not count.
    All(Vec<Option<f64>>),
    /// One type alone.
    One(u32),
}

impl Mix {
    pub(super) fn share(&self, top: u32) -> Option<f64> {
        match self {
            Self::All(shares) => shares[top as usize],
            Self::One(only) => (*only == top).then_some(1.0),
        }
    }
}

/// One side: its requests, and the nodes that requests wait for.
pub(super) struct Sums<'p, 'a> {
    paths: &'p [PathAt<'a>],
    /// Places of requests by number of the top.
    requests: Vec<Option<u32>>,
    /// Places of the paths with a label, by the label's number, those below one top together.
    of_label: Vec<Vec<u32>>,
    weight: f64,
    /// Slices, and those of them in which a trace began.
    all_slices: usize,
    slices: usize,
    persistence: f64,
}

impl<'p, 'a> Sums<'p, 'a> {
    fn of(side: &SideFacts<'a>, all: &'p Paths<'a>, number: usize) -> Self {
        let paths = &all.sides[number][..];
        let mut requests = vec![None; all.tops.len()];
        let mut weight = 0.0;
        for (place, path) in (0..).zip(paths).filter(|(_, path)| path.is_request()) {
            weight += path.total.weight;
            requests[path.top as usize] = Some(place);
        }
        let mut of_label: Vec<Vec<u32>> = vec![Vec::new(); all.labels.len()];
        for (place, path) in (0..).zip(paths) {
            let is_below_request = requests[path.top as usize].is_some();
            if path.node.is_awaited && is_below_request && path.is_inside() {
                of_label[path.label as usize].push(place);
            }
        }
        for places in &mut of_label {
            places.sort_by_key(|place| paths[*place as usize].top);
        }
        let slices = side.facts.slice_traces();
        Self {
            paths,
            requests,
            of_label,
            weight,
            all_slices: slices.len(),
            slices: slices.iter().filter(|s| s.traces > 0).count(),
            persistence: side.persistence,
        }
    }

    pub(super) fn request(&self, top: u32) -> Option<&'p PathAt<'a>> {
        let place = self.requests[top as usize]?;
        Some(&self.paths[place as usize])
    }

    fn share(&self, top: u32) -> f64 {
        self.request(top)
            .map_or(0.0, |r| r.total.weight / self.weight)
    }

    fn mean_ns(&self, top: u32) -> Option<f64> {
        let total = &self.request(top)?.total;
        (total.weight > 0.0).then(|| total.duration_ns / total.weight)
    }

    /// The node's time and calls per request at the given mix, and the variance of that time.
    fn node(&self, label: u32, mix: &Mix) -> Standardized {
        let mut out = Standardized::default();
        let mut slices = vec![0.0; self.all_slices];
        let mut by_trace = 0.0;
        let places = &self.of_label[label as usize];
        let tops =
            places.chunk_by(|x, y| self.paths[*x as usize].top == self.paths[*y as usize].top);
        for places in tops {
            let top = self.paths[places[0] as usize].top;
            let (Some(share), Some(request)) = (mix.share(top), self.request(top)) else {
                continue;
            };
            let total = &request.total;
            let mut sum = PathCell::default();
            places
                .iter()
                .for_each(|p| sum.merge(&self.paths[*p as usize].total));
            let (time, calls) = (sum.critical_ns / total.weight, sum.calls / total.weight);
            out.time_ns += share * time;
            out.calls += share * calls;
            let scale = share / total.weight;
            let squares = sum.critical_squared - 2.0 * time * sum.critical_weight
                + time * time * total.weight_squared;
            by_trace += scale * scale * squares.max(0.0);
            for place in places {
                for (slice, cell) in &self.paths[*place as usize].node.cells {
                    slices[*slice as usize] += scale * cell.critical_ns;
                }
            }
            for (slice, cell) in &request.node.cells {
                slices[*slice as usize] -= scale * time * cell.weight;
            }
            out.traces += total.traces as f64;
        }
        let m = self.slices as f64;
        let squares: f64 = slices.iter().map(|u| u * u).sum();
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
pub(super) fn build<'a>(
    paths: &Paths<'a>,
    baseline: &SideFacts<'a>,
    candidate: &SideFacts<'a>,
) -> Ledger<'a> {
    let (a, b) = (Sums::of(baseline, paths, 0), Sums::of(candidate, paths, 1));
    let tops = 0..paths.tops.len() as u32;
    let mean = |side: &Sums<'_, '_>| {
        let means = tops.clone();
        means
            .map(|top| side.share(top) * side.mean_ns(top).unwrap_or(0.0))
            .sum::<f64>()
    };
    let mut ledger = Ledger::default();
    if a.weight > 0.0 {
        ledger.mean_ns[0] = mean(&a);
    }
    if b.weight > 0.0 {
        ledger.mean_ns[1] = mean(&b);
    }
    if a.weight <= 0.0 || b.weight <= 0.0 {
        return ledger;
    }
    // The candidate's shares of the types that both sides have.
    let mut mix = vec![None; paths.tops.len()];
    for top in tops.clone() {
        match (a.mean_ns(top), b.mean_ns(top)) {
            (Some(before), Some(_)) => {
                mix[top as usize] = Some(b.share(top));
                ledger.mix_ns += (b.share(top) - a.share(top)) * before;
            }
            (None, Some(after)) => ledger.mix_ns += b.share(top) * after,
            (Some(before), None) => ledger.mix_ns -= a.share(top) * before,
            (None, None) => {}
        }
    }
    let links = Links::between(paths);
    let counts = |top: u32| mix[top as usize].is_some();
    // The labels below every top that both sides have.
    let mut of_top: Vec<Vec<u32>> = vec![Vec::new(); paths.tops.len()];
    for side in [&a, &b] {
        for (label, places) in (0..).zip(&side.of_label) {
            for place in places {
                let top = side.paths[*place as usize].top;
                if counts(top) {
                    of_top[top as usize].push(label);
                }
            }
        }
    }
    for labels in &mut of_top {
        labels.sort_unstable();
        labels.dedup();
    }
    let mut all: Vec<u32> = of_top.iter().flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    for top in tops {
        let traces = |side: &Sums<'_, '_>| side.request(top).map_or(0, |r| r.total.traces);
        if counts(top) && traces(&a).min(traces(&b)) >= MIN_TRACES {
            let mean_ns = a.mean_ns(top).unwrap_or(0.0);
            let labels = &of_top[top as usize];
            let alone = entries([&a, &b], labels, &paths.labels, &Mix::One(top), &links);
            ledger.by_request.push((mean_ns, alone));
        }
    }
    ledger.entries = entries([&a, &b], &all, &paths.labels, &Mix::All(mix), &links);
    ledger
}

/// The parts of these nodes in requests of this mix.
fn entries<'a>(
    sides: [&Sums<'_, 'a>; 2],
    numbers: &[u32],
    labels: &[&'a Label],
    mix: &Mix,
    links: &Links<'a>,
) -> Vec<Entry<'a>> {
    let mut callers = links.callers(sides, mix);
    let entry = |number: &u32| {
        let [before, after] = sides.map(|side| side.node(*number, mix));
        let change = Test::welch(
            after.time_ns - before.time_ns,
            before.variance,
            after.variance,
        );
        let callers = callers.remove(number).unwrap_or_default();
        Entry {
            label: labels[*number as usize],
            time_ns: [before.time_ns, after.time_ns],
            calls: [before.calls, after.calls],
            change,
            by_calls_ns: callers.iter().map(|(_, worth)| worth).sum(),
            callers,
        }
    };
    numbers.iter().map(entry).collect()
}
