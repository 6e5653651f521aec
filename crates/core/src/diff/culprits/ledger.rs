//! Where the change of the mean request duration comes from: exact shares of nodes of the call tree.
//!
//! Every nanosecond of a request is on the critical path of one node, so the means of the nodes add up to the mean of
//! the requests, and their changes to its change. The change of the traffic mix is apart (Kitagawa 1955; Oaxaca 1973).

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::links::{Callers, worth};
use crate::diff::paths::{PathAt, Paths};
use crate::diff::side::SideFacts;
use crate::paths::{Label, PathSum};
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

/// One side's requests.
pub(super) struct Requests<'p, 'a> {
    paths: &'p [PathAt<'a>],
    /// Places of requests by number of the top.
    requests: Vec<Option<u32>>,
    weight: f64,
    /// Slices, and those of them in which a trace began.
    all_slices: usize,
    slices: usize,
    persistence: f64,
}

impl<'p, 'a> Requests<'p, 'a> {
    fn of(side: &SideFacts<'a>, all: &'p Paths<'a>, number: usize) -> Self {
        let paths = &all.sides[number][..];
        let mut requests = vec![None; all.tops.len()];
        let mut weight = 0.0;
        for (place, path) in (0..).zip(paths).filter(|(_, path)| path.is_request()) {
            weight += path.node.total.weight;
            requests[path.top as usize] = Some(place);
        }
        let slices = side.facts.slice_traces();
        Self {
            paths,
            requests,
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
            .map_or(0.0, |r| r.node.total.weight / self.weight)
    }

    fn mean_ns(&self, top: u32) -> Option<f64> {
        let total = &self.request(top)?.node.total;
        (total.weight > 0.0).then(|| total.duration_ns / total.weight)
    }

    fn variance(&self, of: &Standardized<'_>) -> Variance {
        let m = self.slices as f64;
        let squares: f64 = of.slices.iter().map(|u| u * u).sum();
        let by_slice = (self.slices > 1).then(|| m / (m - 1.0) * squares);
        clustered_variance(
            of.by_trace,
            of.traces,
            by_slice,
            self.slices,
            self.persistence,
        )
    }
}

/// The labels below each type of requests, each with a place of its own.
struct Places {
    places: HashMap<(u32, u32), usize, FixedState>,
    /// Label and place by the number of the top, in order of the labels.
    of_top: Vec<Vec<(u32, usize)>>,
}

impl Places {
    /// Those of both sides, of the types of requests that count.
    fn of(paths: &Paths<'_>, counts: impl Fn(u32) -> bool) -> Self {
        let mut all = Self {
            places: HashMap::default(),
            of_top: vec![Vec::new(); paths.tops.len()],
        };
        let paths = paths.sides.iter().flatten();
        for path in paths.filter(|path| path.takes_time() && counts(path.top)) {
            let next = all.places.len();
            all.places.entry((path.top, path.label)).or_insert_with(|| {
                all.of_top[path.top as usize].push((path.label, next));
                next
            });
        }
        all.of_top
            .iter_mut()
            .for_each(|labels| labels.sort_unstable());
        all
    }
}

/// One side's sums by place.
struct Times<'s, 'p, 'a> {
    side: &'s Requests<'p, 'a>,
    sums: Vec<TimeSums>,
    /// Σ w·(time on the critical path) by place and slice.
    slices: Vec<f64>,
}

/// Sums of [`PathCell`](crate::paths::PathCell) over the paths of one place.
#[derive(Clone, Copy, Default)]
struct TimeSums {
    calls: f64,
    critical_ns: f64,
    critical_squared: f64,
    critical_weight: f64,
}

impl<'s, 'p, 'a> Times<'s, 'p, 'a> {
    fn of(side: &'s Requests<'p, 'a>, places: &Places) -> Self {
        let count = places.places.len();
        let mut sums = vec![TimeSums::default(); count];
        let mut slices = vec![0.0; count * side.all_slices];
        for path in side.paths.iter().filter(|path| path.takes_time()) {
            let Some(place) = places.places.get(&(path.top, path.label)) else {
                continue;
            };
            let (sums, total) = (&mut sums[*place], &path.node.total);
            sums.calls += total.calls;
            sums.critical_ns += total.critical_ns;
            sums.critical_squared += total.critical_squared;
            sums.critical_weight += total.critical_weight;
            let slices = &mut slices[place * side.all_slices..][..side.all_slices];
            for (slice, critical_ns) in path.node.slices.each(PathSum::CriticalNs) {
                slices[slice] += critical_ns;
            }
        }
        Self { side, sums, slices }
    }

    /// Makes every slice's sums of one type of requests into what it adds to the time per request beyond its part.
    fn center(&mut self, places: &[(u32, usize)], request: &PathAt<'_>) {
        let total = &request.node.total;
        for (_, place) in places {
            let time_ns = self.sums[*place].critical_ns / total.weight;
            let slices = &mut self.slices[place * self.side.all_slices..][..self.side.all_slices];
            slices.iter_mut().for_each(|ns| *ns /= total.weight);
            for (slice, weight) in request.node.slices.each(PathSum::Weight) {
                slices[slice] -= time_ns * weight / total.weight;
            }
        }
    }

    /// A label's time and calls per request of one type, whose sums are centered.
    fn standardized(&self, place: usize, request: &PathAt<'_>) -> Standardized<'_> {
        let (total, sums) = (&request.node.total, &self.sums[place]);
        let time_ns = sums.critical_ns / total.weight;
        let squares = sums.critical_squared - 2.0 * time_ns * sums.critical_weight
            + time_ns * time_ns * total.weight_squared;
        Standardized {
            time_ns,
            calls: sums.calls / total.weight,
            traces: total.traces as f64,
            by_trace: squares.max(0.0) / (total.weight * total.weight),
            slices: &self.slices[place * self.side.all_slices..][..self.side.all_slices],
        }
    }
}

/// A label's time and calls per request at one mix of requests.
#[derive(Clone, Copy, Default)]
struct Standardized<'s> {
    time_ns: f64,
    calls: f64,
    traces: f64,
    /// Variance of the time if traces are independent.
    by_trace: f64,
    /// What every slice adds to the time beyond its part.
    slices: &'s [f64],
}

/// The same of all types of requests, by the label's number.
struct OverAll {
    /// Slices are apart, one label's after the other's.
    labels: Vec<Standardized<'static>>,
    slices: Vec<f64>,
    all_slices: usize,
}

impl OverAll {
    fn none(labels: usize, all_slices: usize) -> Self {
        Self {
            labels: vec![Standardized::default(); labels],
            slices: vec![0.0; labels * all_slices],
            all_slices,
        }
    }

    /// Adds a type of requests that has this share.
    fn add(&mut self, label: u32, other: &Standardized<'_>, share: f64) {
        let sums = &mut self.labels[label as usize];
        sums.time_ns += share * other.time_ns;
        sums.calls += share * other.calls;
        sums.traces += other.traces;
        sums.by_trace += share * share * other.by_trace;
        let slices = self.slices[label as usize * self.all_slices..].iter_mut();
        let slices = slices.zip(other.slices);
        slices.for_each(|(mine, theirs)| *mine += share * theirs);
    }

    fn of(&self, label: u32) -> Standardized<'_> {
        let slices = &self.slices[label as usize * self.all_slices..][..self.all_slices];
        Standardized {
            slices,
            ..self.labels[label as usize]
        }
    }
}

/// Takes the change of the mean apart.
pub(super) fn build<'a>(
    paths: &Paths<'a>,
    baseline: &SideFacts<'a>,
    candidate: &SideFacts<'a>,
) -> Ledger<'a> {
    let (a, b) = (
        Requests::of(baseline, paths, 0),
        Requests::of(candidate, paths, 1),
    );
    let tops = 0..paths.tops.len() as u32;
    let mean = |side: &Requests<'_, '_>| {
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
    let worth = worth(paths, [&a, &b]);
    let sides = [&a, &b];
    let places = Places::of(paths, |top| mix[top as usize].is_some());
    let mut times = sides.map(|side| Times::of(side, &places));
    let mut over_all = sides.map(|side| OverAll::none(paths.labels.len(), side.all_slices));
    let mut is_below = vec![false; paths.labels.len()];
    for top in tops {
        let (Some(share), [Some(before), Some(after)]) =
            (mix[top as usize], sides.map(|side| side.request(top)))
        else {
            continue;
        };
        let labels = &places.of_top[top as usize];
        let requests = [before, after];
        for side in [0, 1] {
            times[side].center(labels, requests[side]);
            for (label, place) in labels {
                let of_label = times[side].standardized(*place, requests[side]);
                over_all[side].add(*label, &of_label, share);
                is_below[*label as usize] = true;
            }
        }
        let traces = requests.map(|request| request.node.total.traces);
        if traces[0].min(traces[1]) >= MIN_TRACES {
            let mean_ns = a.mean_ns(top).unwrap_or(0.0);
            let callers = worth.callers(top..top + 1, |_| Some(1.0));
            let of_labels = labels.iter().map(|(label, place)| {
                let of_side = |side: usize| times[side].standardized(*place, requests[side]);
                (*label, [of_side(0), of_side(1)])
            });
            let entries = entries(sides, of_labels, &paths.labels, callers);
            ledger.by_request.push((mean_ns, entries));
        }
    }
    let below = (0..).zip(&is_below).filter(|(_, is_below)| **is_below);
    let of_labels = below.map(|(label, _)| (label, over_all.each_ref().map(|of| of.of(label))));
    let callers = worth.callers(0..mix.len() as u32, |top| mix[top as usize]);
    ledger.entries = entries(sides, of_labels, &paths.labels, callers);
    ledger
}

/// The parts of these labels.
fn entries<'s, 'a>(
    sides: [&Requests<'_, 'a>; 2],
    of_labels: impl Iterator<Item = (u32, [Standardized<'s>; 2])>,
    labels: &[&'a Label],
    mut callers: Callers<'a>,
) -> Vec<Entry<'a>> {
    let entry = |(number, [before, after]): (u32, [Standardized<'s>; 2])| {
        let change = Test::without_p(
            after.time_ns - before.time_ns,
            sides[0].variance(&before),
            sides[1].variance(&after),
        );
        let callers = callers.remove(&number).unwrap_or_default();
        Entry {
            label: labels[number as usize],
            time_ns: [before.time_ns, after.time_ns],
            calls: [before.calls, after.calls],
            change,
            by_calls_ns: callers.iter().map(|(_, worth)| worth).sum(),
            callers,
        }
    };
    of_labels.map(entry).collect()
}
