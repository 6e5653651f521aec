//! Changes that are only changes of the mix: a service whose slow operation is called more often has not become slower.
//!
//! The mean of a group is a mean over its parts. Its change is split into what the parts' shares did and what happened
//! within them (`standard.rs`); a verdict stands only if enough of the change happened within.

use std::collections::BTreeMap;

use super::document::{Aspect, GroupDiff, Verdict};
use super::errors::pooled_design_effect;
use super::family::{OpenKeyDiff, correct_again, is_change};
use super::paths::{PathAt, Paths};
use super::side::{Side, SideFacts};
use super::standard::{Change, Part, split};
use crate::facts::cell::Cell;
use crate::facts::{ENDPOINT, Group, Key, KeyRole, OPERATION, SERVICE};
use crate::paths::{Label, PathSum, normalized};
use crate::stats::ratio::Ratio;
use crate::stats::{Test, Variance};

/// The share of a change that must have happened within the parts, and the p-value that it must not exceed.
const MIN_WITHIN: f64 = 1.0 / 3.0;
const MAX_P: f64 = 0.05;
/// The share of one side's spans that must be in parts of both sides, and of each side's in known parts at all.
const MIN_COMMON: f64 = 0.5;
const MIN_KNOWN: f64 = 0.9;

/// Takes back the verdicts of groups of services and operations whose change is one of the mix, then those of
/// attributes where nothing that is left says the same as they do. What stays is corrected again, because what was
/// taken back no longer counts as found.
pub(super) fn discount(
    keys: &mut [OpenKeyDiff<'_>],
    paths: &Paths<'_>,
    sides: [&SideFacts<'_>; 2],
) {
    let parts = Parts { sides, paths };
    let mut mix_moved = calls_moved(keys);
    for key in keys.iter_mut().filter(|key| has_parts(key)) {
        for group in &mut key.diff.groups {
            for aspect in [Aspect::Latency, Aspect::Errors] {
                mix_moved |= parts.discount(&key.diff.key, group, aspect);
            }
        }
    }
    let is_attribute =
        |key: &OpenKeyDiff<'_>| !has_parts(key) && key.diff.role != KeyRole::EntryPoint;
    correct_again(keys.iter_mut().filter(|key| !is_attribute(key)));
    if mix_moved {
        discount_attributes(keys, is_attribute);
    }
    correct_again(keys.iter_mut().filter(|key| is_attribute(key)));
}

/// Parts do not tell attributes apart. Where the mix has moved and no service, operation or entry point says the same,
/// it moved them too.
fn discount_attributes(
    keys: &mut [OpenKeyDiff<'_>],
    is_attribute: impl Fn(&OpenKeyDiff<'_>) -> bool,
) {
    for aspect in [Aspect::Latency, Aspect::Errors] {
        for verdict in [Verdict::Regressed, Verdict::Improved] {
            let says_it = |group: &GroupDiff| {
                let judgement = group.judgement(aspect);
                judgement.is_some_and(|judgement| judgement.verdict == verdict)
            };
            let is_known = keys
                .iter()
                .any(|key| !is_attribute(key) && key.diff.groups.iter().any(says_it));
            if !is_known {
                let attributes = keys.iter_mut().filter(|key| is_attribute(key));
                let groups = attributes.flat_map(|key| &mut key.diff.groups);
                for group in groups.filter(|group| says_it(group)) {
                    if let Some(judgement) = group.judgement_mut(aspect) {
                        judgement.take_back();
                    }
                }
            }
        }
    }
}

/// Whether the parts of a key's groups are known.
fn has_parts(key: &OpenKeyDiff<'_>) -> bool {
    matches!(key.diff.key.as_str(), SERVICE | OPERATION | ENDPOINT)
}

/// Whether services or operations are called more or less often, are new or are gone.
fn calls_moved(keys: &[OpenKeyDiff<'_>]) -> bool {
    let moved = |group: &GroupDiff| {
        let calls = group.judgement(Aspect::Calls);
        calls.is_some_and(|calls| is_change(calls.verdict))
    };
    keys.iter().filter(|key| has_parts(key)).any(|key| {
        let only_one = key.diff.new.iter().chain(&key.diff.missing);
        key.diff.groups.iter().any(moved) || only_one.into_iter().any(|value| value.passes)
    })
}

/// What groups of services and operations are made of: call paths, or operations where the paths are others.
struct Parts<'a> {
    sides: [&'a SideFacts<'a>; 2],
    paths: &'a Paths<'a>,
}

impl Parts<'_> {
    /// Looks at a change again and takes it back if it is one of the mix; not where that cannot be told.
    fn discount(&self, key: &str, group: &mut GroupDiff, aspect: Aspect) -> bool {
        let verdict = group.judgement(aspect).map(|judgement| judgement.verdict);
        let Some(verdict @ (Verdict::Regressed | Verdict::Improved)) = verdict else {
            return false;
        };
        let comparable = |parts| split(parts).filter(|change| is_comparable(change, group));
        let change = comparable(self.paths(key, &group.value, aspect))
            .or_else(|| comparable(self.operations(key, &group.value, aspect)));
        let Some(change) = change else {
            return false;
        };
        let delta = group.latency.delta.unwrap_or(0.0).abs();
        if aspect == Aspect::Latency && change.largest_delta_of_mix() <= (1.0 - MIN_WITHIN) * delta
        {
            return false;
        }
        let Some(p) = self.p_within(key, group, aspect, &change) else {
            return false;
        };
        let within = match verdict {
            Verdict::Regressed => change.within,
            _ => -change.within,
        };
        let is_mix = within < MIN_WITHIN * change.whole.abs() || within <= 0.0 || p > MAX_P;
        if let Some(judgement) = group.judgement_mut(aspect) {
            judgement.p_within = Some(p);
            if is_mix {
                judgement.take_back();
            }
        }
        is_mix
    }

    /// The call paths of a group.
    fn paths(&self, key: &str, value: &str, aspect: Aspect) -> Vec<[Part; 2]> {
        let of_group = self.paths.each().filter(|[a, b]| {
            let path = a.or(*b);
            path.is_some_and(|path| path.is_inside() && is_in(&path.node.label, key, value))
        });
        let part = |path: Option<&PathAt<'_>>| {
            path.map_or_else(Part::default, |path| part_of_path(path, aspect))
        };
        of_group.map(|sides| sides.map(part)).collect()
    }

    /// The operations of a group, each in its service: a new span around others moves them to other paths, and a
    /// service that no longer sends spans makes another path of each call of it.
    fn operations(&self, key: &str, value: &str, aspect: Aspect) -> Vec<[Part; 2]> {
        let mut parts: BTreeMap<&str, [Part; 2]> = BTreeMap::new();
        for (side, facts) in self.sides.iter().enumerate() {
            let endpoints = facts.facts.keys().get(ENDPOINT);
            for (endpoint, group) in endpoints.into_iter().flat_map(|key: &Key| &key.groups) {
                if holds(endpoint, key, value) {
                    parts.entry(endpoint).or_default()[side] = part_of_group(group, aspect);
                }
            }
        }
        parts.into_values().collect()
    }

    /// The p-value of what happened within the parts.
    fn p_within(
        &self,
        key: &str,
        group: &GroupDiff,
        aspect: Aspect,
        change: &Change,
    ) -> Option<f64> {
        let side = |side: usize| {
            let facts = self.sides[side];
            let group = facts.facts.keys().get(key)?.groups.get(&group.value)?;
            Some(Side::new(facts, group))
        };
        let sides = [side(0)?, side(1)?];
        let test = if aspect == Aspect::Errors {
            let design_effect = pooled_design_effect(sides.each_ref());
            let effective = sides
                .each_ref()
                .map(|side| side.effective_spans() / side.total.weight / design_effect);
            let none = Variance {
                value: 0.0,
                degrees_of_freedom: f64::INFINITY,
            };
            let variance = change.variance_of_equal_shares(effective);
            Test::welch(
                change.within,
                none,
                Variance {
                    value: variance,
                    ..none
                },
            )
        } else {
            let [a, b] = [0, 1].map(|i| {
                let traces = sides[i].total.traces as f64;
                change.estimate(i, traces).variance(sides[i].persistence)
            });
            Test::welch(change.within, a, b)
        };
        Some(test.p).filter(|p| p.is_finite())
    }
}

/// Whether the parts hold (nearly) all of a group's spans, and enough of them are in parts that both sides have.
fn is_comparable(change: &Change, group: &GroupDiff) -> bool {
    let spans = [
        group.baseline.weighted_spans,
        group.candidate.weighted_spans,
    ];
    let is_known = (0..2).all(|side| {
        let known = change.calls[side] / spans[side].max(1.0);
        (MIN_KNOWN..=1.0 / MIN_KNOWN).contains(&known)
    });
    is_known && change.common[0].max(change.common[1]) >= MIN_COMMON
}

fn part_of_path(path: &PathAt<'_>, aspect: Aspect) -> Part {
    let measured = match aspect {
        Aspect::Errors => PathSum::Errors,
        _ => PathSum::DurationNs,
    };
    let slices = &path.node.slices;
    let measured = slices.series(measured).iter();
    let slices = slices.each(PathSum::Calls).zip(measured);
    let slices = slices.map(|((slice, calls), measured)| (slice, calls, *measured));
    let total = &path.node.total;
    // Per trace, as if each had the mean number of calls.
    let mean = total.duration_ns / total.weight;
    let spread = (total.duration_squared / total.weight_squared - mean * mean).max(0.0);
    let calls_per_trace = total.calls / total.weight;
    Part::new(
        slices.collect(),
        spread / (calls_per_trace * calls_per_trace) / total.traces as f64,
    )
}

fn part_of_group(group: &Group, aspect: Aspect) -> Part {
    let measured = |cell: &Cell| match aspect {
        Aspect::Errors => cell.error_weight,
        _ => cell.weighted_duration_ns,
    };
    let slices = group.cells();
    let slices = slices.map(|(slice, cell)| (slice, cell.weight, measured(cell)));
    let of_traces = Ratio::estimate(std::iter::once(group.total_sums().duration_sums()));
    Part::new(
        slices.collect(),
        of_traces.map_or(f64::INFINITY, |ratio| ratio.trace_variance),
    )
}

/// Whether the spans of a path are in a group.
pub(super) fn is_in(label: &Label, key: &str, value: &str) -> bool {
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

/// Whether an endpoint, `service: operation`, is part of a service or an operation.
fn holds(endpoint: &str, key: &str, value: &str) -> bool {
    let rest = match key {
        SERVICE => endpoint.strip_prefix(value),
        OPERATION => endpoint.strip_suffix(value),
        _ => None,
    };
    rest.is_some_and(|rest| {
        if key == SERVICE {
            rest.starts_with(": ")
        } else {
            rest.ends_with(": ")
        }
    })
}
