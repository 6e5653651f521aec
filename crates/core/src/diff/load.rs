//! Whether what got slower is also slower at equal load: latency follows load, and load may have changed.

use super::document::{KeyDiff, LoadMatched, Verdict};
use crate::facts::{Facts, Group, KeyRole};
use crate::stats::{Clustering, MIN_SLICES, Sample, theta};

/// Loads within this factor of each other are equal.
const SAME_LOAD: f64 = 1.1;
/// The share of δ that must be there at equal load too.
const REMAINING: f64 = 0.5;

/// Looks at the latency changes of entry points, services and operations again, in slices of either side that had
/// equal load.
pub(super) fn matched(keys: &[KeyDiff], baseline: &Facts, candidate: &Facts) -> LoadMatched {
    let pairs = pairs(&loads(baseline), &loads(candidate));
    let slices = [
        pairs.iter().map(|(a, _)| *a).collect::<Vec<usize>>(),
        pairs.iter().map(|(_, b)| *b).collect::<Vec<usize>>(),
    ];
    let mut out = LoadMatched {
        slices: pairs.len(),
        changes: 0,
        remaining: None,
    };
    let mut remaining = 0;
    for key in keys.iter().filter(|key| key.role != KeyRole::Scanned) {
        for group in &key.groups {
            let verdict = group.latency.judgement.verdict;
            if !matches!(verdict, Verdict::Regressed | Verdict::Improved) {
                continue;
            }
            out.changes += 1;
            let sample = |facts: &Facts, slices: &[usize]| {
                let group = facts.keys().get(&key.key)?.groups.get(&group.value)?;
                in_slices(group, slices)
            };
            let samples = sample(baseline, &slices[0]).zip(sample(candidate, &slices[1]));
            let delta = samples.map_or(0.0, |(a, b)| theta::compare(&a, &b).delta);
            let before = group.latency.delta.unwrap_or(0.0);
            remaining += usize::from(delta * before.signum() >= REMAINING * before.abs());
        }
    }
    out.remaining = (pairs.len() >= MIN_SLICES).then_some(remaining);
    out
}

/// A group's durations in some of its slices.
fn in_slices(group: &Group, slices: &[usize]) -> Option<Sample> {
    let cells = group.cells().filter(|(slice, _)| slices.contains(slice));
    Sample::new(
        cells.map(|(_, cell)| &cell.histogram),
        Clustering::default(),
    )
}

/// Traces per second and number of every slice that has any, slowest first.
fn loads(facts: &Facts) -> Vec<(f64, usize)> {
    let slices = facts.slicing().slices().iter().zip(facts.slice_traces());
    let mut loads: Vec<(f64, usize)> = slices
        .enumerate()
        .filter(|(_, (_, traces))| traces.traces > 0)
        .map(|(number, (slice, traces))| (traces.weight / slice.seconds(), number))
        .collect();
    loads.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
    loads
}

/// Slices of either side with equal load, each in one pair at most.
fn pairs(a: &[(f64, usize)], b: &[(f64, usize)]) -> Vec<(usize, usize)> {
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while let (Some((load_a, slice_a)), Some((load_b, slice_b))) = (a.get(i), b.get(j)) {
        if load_a.max(*load_b) <= SAME_LOAD * load_a.min(*load_b) {
            pairs.push((*slice_a, *slice_b));
            i += 1;
            j += 1;
        } else if load_a < load_b {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_pair_by_load() {
        let a = [(1.0, 4), (2.0, 0), (2.1, 1), (5.0, 2)];
        let b = [(2.05, 7), (3.0, 6), (5.2, 5)];
        assert_eq!(pairs(&a, &b), [(0, 7), (2, 5)]);
        let swapped: Vec<_> = pairs(&b, &a).into_iter().map(|(x, y)| (y, x)).collect();
        assert_eq!(pairs(&a, &b), swapped);
        assert_eq!(pairs(&a, &[]), []);
    }
}
