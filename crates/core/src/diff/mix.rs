//! Changes that are only changes of the mix: a service whose slow operation is called more often has not become slower.
//!
//! The mean of a group is a mean over the call paths that lead to it. Its change is split into what the paths'
//! shares did and what happened on the paths (Kitagawa 1955, with the mean of both sides' shares); a verdict stands
//! only if enough of the change happened on the paths.

use std::collections::BTreeMap;

use super::document::{Aspect, GroupDiff, Judgement, KeyDiff, Verdict};
use crate::facts::{ENDPOINT, Facts, KeyRole, OPERATION, SERVICE};
use crate::paths::{Label, NodeKind, PathCell, PathId, normalized};

/// The share of a change that must have happened on the paths, and the standard errors that it must exceed.
const MIN_WITHIN: f64 = 1.0 / 3.0;
const MIN_Z: f64 = 2.0;
/// The share of one side's spans that must be on paths of both sides, and of each side's on known paths at all.
const MIN_COMMON: f64 = 0.5;
const MIN_KNOWN: f64 = 0.9;

/// Takes back the verdicts of groups of services and operations whose change is one of the mix, and those of attributes
/// where nothing that is left says the same as they do.
pub(super) fn discount(keys: &mut [KeyDiff], baseline: &Facts, candidate: &Facts) {
    let paths = Paths::of([baseline, candidate]);
    let mut mix_moved = calls_moved(keys);
    for key in keys.iter_mut() {
        if !matches!(key.key.as_str(), SERVICE | OPERATION | ENDPOINT) {
            continue;
        }
        for group in &mut key.groups {
            for aspect in [Aspect::Latency, Aspect::Errors] {
                if is_change(judgement(group, aspect).verdict)
                    && paths.is_mix(&key.key, group, aspect)
                {
                    mix_moved = true;
                    take_back(judgement_mut(group, aspect));
                }
            }
        }
    }
    if !mix_moved {
        return;
    }
    // Paths do not tell attributes apart. Where the mix has moved and no service, operation or entry point says the
    // same, it moved them too.
    for aspect in [Aspect::Latency, Aspect::Errors] {
        for verdict in [Verdict::Regressed, Verdict::Improved] {
            let says_it = |group: &GroupDiff| judgement(group, aspect).verdict == verdict;
            let is_known = keys.iter().any(|key| {
                (key.role != KeyRole::Scanned || key.key == ENDPOINT)
                    && key.groups.iter().any(says_it)
            });
            if !is_known {
                let groups = keys.iter_mut().flat_map(|key| &mut key.groups);
                groups
                    .filter(|group| says_it(group))
                    .for_each(|group| take_back(judgement_mut(group, aspect)));
            }
        }
    }
}

/// Whether services or operations are called more or less often, are new or are gone.
fn calls_moved(keys: &[KeyDiff]) -> bool {
    let moved = |group: &GroupDiff| {
        group.calls.is_some_and(|calls| {
            matches!(
                calls.judgement.verdict,
                Verdict::Increased | Verdict::Decreased
            )
        })
    };
    keys.iter()
        .filter(|key| matches!(key.key.as_str(), SERVICE | OPERATION | ENDPOINT))
        .any(|key| {
            key.groups.iter().any(moved)
                || key.new.iter().chain(&key.missing).any(|value| value.passes)
        })
}

fn is_change(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Regressed | Verdict::Improved)
}

fn judgement(group: &GroupDiff, aspect: Aspect) -> &Judgement {
    match aspect {
        Aspect::Errors => &group.errors.judgement,
        _ => &group.latency.judgement,
    }
}

fn judgement_mut(group: &mut GroupDiff, aspect: Aspect) -> &mut Judgement {
    match aspect {
        Aspect::Errors => &mut group.errors.judgement,
        _ => &mut group.latency.judgement,
    }
}

fn take_back(judgement: &mut Judgement) {
    judgement.verdict = Verdict::NoMaterialChange;
    judgement.severity = None;
    judgement.is_mix = true;
}

/// Calls, Σ duration in nanoseconds and failed calls of one path.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    calls: f64,
    duration_ns: f64,
    errors: f64,
    /// Variance of the mean duration of a call, and of the error ratio, traces taken as independent.
    duration_variance: f64,
    error_variance: f64,
}

impl Sums {
    fn of(cell: &PathCell) -> Self {
        let (traces, weight) = (cell.traces as f64, cell.weight);
        // Per trace, as if each had the mean number of calls.
        let mean = cell.duration_ns / weight;
        let spread = (cell.duration_squared / cell.weight_squared - mean * mean).max(0.0);
        let calls_per_trace = cell.calls / weight;
        let ratio = cell.errors / cell.calls;
        Self {
            calls: cell.calls,
            duration_ns: cell.duration_ns,
            errors: cell.errors,
            duration_variance: spread / (calls_per_trace * calls_per_trace) / traces,
            error_variance: ratio * (1.0 - ratio).max(0.0) / traces,
        }
    }
}

/// One path on both sides.
struct Path<'a> {
    label: &'a Label,
    sums: [Sums; 2],
}

struct Paths<'a>(BTreeMap<PathId, Path<'a>>);

impl<'a> Paths<'a> {
    fn of(sides: [&'a Facts; 2]) -> Self {
        let mut paths: BTreeMap<PathId, Path<'a>> = BTreeMap::new();
        for (side, facts) in sides.into_iter().enumerate() {
            for (id, node) in facts.paths().nodes() {
                if matches!(node.label.kind, NodeKind::Request | NodeKind::Fragment) {
                    continue;
                }
                let total = node.total();
                let path = paths.entry(*id).or_insert_with(|| Path {
                    label: &node.label,
                    sums: [Sums::default(); 2],
                });
                if total.traces > 0 {
                    path.sums[side] = Sums::of(&total);
                }
            }
        }
        Self(paths)
    }

    /// Whether too little of a group's change happened on its paths; not where that cannot be told.
    fn is_mix(&self, key: &str, group: &GroupDiff, aspect: Aspect) -> bool {
        let of_group: Vec<&Path<'_>> = self
            .0
            .values()
            .filter(|path| is_in(path.label, key, &group.value))
            .collect();
        let value = |sums: &Sums| match aspect {
            Aspect::Errors => sums.errors,
            _ => sums.duration_ns,
        };
        let mut all = [Sums::default(); 2];
        for path in &of_group {
            for (sum, own) in all.iter_mut().zip(path.sums) {
                sum.calls += own.calls;
                sum.duration_ns += own.duration_ns;
                sum.errors += own.errors;
            }
        }
        let spans = [
            group.baseline.weighted_spans,
            group.candidate.weighted_spans,
        ];
        let is_known = (0..2).all(|side| {
            let known = all[side].calls / spans[side].max(1.0);
            (MIN_KNOWN..=1.0 / MIN_KNOWN).contains(&known)
        });
        if !is_known {
            return false;
        }
        let variance = |sums: &Sums| match aspect {
            Aspect::Errors => sums.error_variance,
            _ => sums.duration_variance,
        };
        let (mut within, mut squares) = (0.0, 0.0);
        let mut common = [0.0; 2];
        for path in &of_group {
            let [a, b] = &path.sums;
            if a.calls > 0.0 && b.calls > 0.0 {
                let shares = [a.calls / all[0].calls, b.calls / all[1].calls];
                common[0] += shares[0];
                common[1] += shares[1];
                let change = value(b) / b.calls - value(a) / a.calls;
                let share = f64::midpoint(shares[0], shares[1]);
                within += share * change;
                squares += share * share * (variance(a) + variance(b));
            }
        }
        let whole = value(&all[1]) / all[1].calls - value(&all[0]) / all[0].calls;
        if common[0].max(common[1]) < MIN_COMMON {
            return false;
        }
        let least = (MIN_WITHIN * whole.abs()).max(MIN_Z * squares.sqrt());
        match judgement(group, aspect).verdict {
            Verdict::Regressed => within < least,
            _ => -within < least,
        }
    }
}

/// Whether the spans of a path are in a group.
fn is_in(label: &Label, key: &str, value: &str) -> bool {
    let is_operation = |name: &str| label.operation == normalized(name);
    match key {
        SERVICE => label.service == value,
        OPERATION => is_operation(value),
        _ => value
            .strip_prefix(label.service.as_str())
            .and_then(|rest| rest.strip_prefix(": "))
            .is_some_and(is_operation),
    }
}
