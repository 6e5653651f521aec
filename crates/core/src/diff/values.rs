//! Values that only one side has.

use super::document::ValueEvidence;
use super::policy::ValuePolicy;
use super::side::{Side, SideFacts};
use crate::facts::{Facts, Group, Key};

/// The values of `key` on the side `here` that the other side lacks, most traces first.
///
/// The evidence: if the value were as common on both sides, each of its traces would fall on this side with the share
/// that this side has of all traces, so all of them do with share^traces. Traces that come in bursts
/// count for fewer.
pub(super) fn only_on(
    here: &SideFacts<'_>,
    key: &Key,
    there: &SideFacts<'_>,
    other: Option<&Key>,
    policy: &ValuePolicy,
) -> Vec<ValueEvidence> {
    let is_only_here = |value: &str| other.is_none_or(|k| !k.groups.contains_key(value));
    // A value may hide among those past the cap of the other side.
    let may_hide = other.is_some_and(|k| k.other.spans > 0 || k.identifier.is_some());
    let mut found: Vec<ValueEvidence> = key
        .groups
        .iter()
        .filter(|(value, _)| is_only_here(value))
        .map(|(value, group)| {
            let side = Side::new(here, group);
            let quantiles = side.quantiles(side.sample().as_ref());
            let Chance { p, passes } = chance(here, group, there, policy);
            ValueEvidence {
                value: value.clone(),
                group: side.summary(&quantiles),
                trace_ratio: side.total.traces as f64 / here.facts.quality.traces.max(1) as f64,
                p,
                passes: !may_hide && passes,
            }
        })
        .collect();
    found.sort_by(|a, b| {
        b.group
            .traces
            .cmp(&a.group.traces)
            .then_with(|| a.value.cmp(&b.value))
    });
    found
}

/// Whether something that only one side has is more than chance.
pub(super) struct Chance {
    /// Probability that all its traces fall on that side by chance.
    pub(super) p: f64,
    /// Whether there is enough of it, and that is improbable enough.
    pub(super) passes: bool,
}

/// How likely it is that all traces with a group are on the side `here` by chance.
pub(super) fn chance(
    here: &SideFacts<'_>,
    group: &Group,
    there: &SideFacts<'_>,
    policy: &ValuePolicy,
) -> Chance {
    let all = |facts: &Facts| facts.quality.traces as f64;
    let share = all(here.facts) / (all(here.facts) + all(there.facts)).max(1.0);
    let occupied = here.facts.slice_traces().iter().filter(|s| s.traces > 0);
    let (traces, slices) = (group.traces(), group.cells().count());
    let p = share.powf(traces as f64 / burstiness(here.facts, group));
    Chance {
        p,
        passes: there.facts.quality.traces > 0
            && traces >= policy.min_traces
            && slices >= policy.min_slices.min(occupied.count())
            && p <= policy.max_p,
    }
}

/// How much more the group's traces scatter over the slices than all traces do at random; at least 1.
fn burstiness(facts: &Facts, group: &Group) -> f64 {
    let total = group.traces() as f64;
    let all: f64 = facts.slice_traces().iter().map(|s| s.traces as f64).sum();
    let slices = facts.slice_traces().iter().filter(|s| s.traces > 0).count();
    if slices < 2 || total <= 0.0 {
        return 1.0;
    }
    let mut seen = vec![0.0; facts.slice_traces().len()];
    group
        .cells()
        .for_each(|(slice, cell)| seen[slice] = cell.traces as f64);
    let pearson: f64 = facts
        .slice_traces()
        .iter()
        .zip(seen)
        .filter(|(slice, _)| slice.traces > 0)
        .map(|(slice, seen)| {
            let expected = total * slice.traces as f64 / all;
            (seen - expected).powi(2) / expected
        })
        .sum();
    (pearson / (slices as f64 - 1.0)).max(1.0)
}
