//! Whom a node's change is blamed on.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Entry;
use super::structure::Replaced;
use crate::facts::{Facts, Group};
use crate::paths::{Label, NodeKind};

/// Calls that another edge of the caller needs on either side to be looked at.
const MIN_CALLS: u64 = 10;
/// Other edges that a caller needs.
const MIN_OTHERS: usize = 2;
/// An edge is slower if its time per call rose by this share and by this many nanoseconds.
const SLOWER_RATIO: f64 = 1.3;
const SLOWER_NS: f64 = 2e5;
/// A caller is starved if more than this share of its other edges is slower.
const STARVED: f64 = 0.5;

/// The service that a node belongs to as far as nothing else is known: of an edge the one that is called.
pub(super) fn by_default(label: &Label) -> &str {
    match label.kind {
        NodeKind::Edge => &label.peer,
        _ => &label.service,
    }
}

/// Callers whose edges became slower, each with its edges.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// By caller: callees that were called often enough, and those of them that are slower.
    callees: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>,
    replaced: Replaced,
}

impl Owners {
    /// `replaced` tells which new nodes took the place of which old ones: they stay with the old ones' owners.
    pub(super) fn of(baseline: &Facts, candidate: &Facts, replaced: Replaced) -> Self {
        let (a, b) = (edges(baseline), edges(candidate));
        let mut owners = Self {
            replaced,
            ..Self::default()
        };
        for ((caller, callee), before) in &a {
            let Some(after) = b.get(&(*caller, *callee)) else {
                continue;
            };
            if before.0.min(after.0) < MIN_CALLS {
                continue;
            }
            let (mean_a, mean_b) = (before.1 / before.2, after.1 / after.2);
            let of_caller = owners.callees.entry((*caller).to_owned()).or_default();
            of_caller.0.insert((*callee).to_owned());
            if mean_b > SLOWER_RATIO * mean_a && mean_b - mean_a > SLOWER_NS {
                of_caller.1.insert((*callee).to_owned());
            }
        }
        owners
    }

    /// The owners of a node's change, and their parts in nanoseconds: more or fewer calls belong to whoever makes them,
    /// more or less time per call to whoever takes it.
    pub(super) fn parts<'a>(&'a self, entry: &Entry<'a>) -> Vec<(&'a str, f64)> {
        let label = entry.label;
        if let Some(gone) = self.replaced.get(label) {
            return vec![(by_default(gone), entry.change.difference)];
        }
        // What the old one called is told by nobody any more either.
        let is_gone = entry.calls[0].min(entry.calls[1]) <= 0.0;
        let same_owner = |gone: &Label| by_default(gone) == by_default(label);
        if is_gone && self.replaced.values().any(same_owner) {
            return vec![(by_default(label), entry.change.difference)];
        }
        let mut parts: Vec<(&str, f64)> = entry.callers.clone();
        let by_time_ns = entry.change.difference - entry.by_calls_ns;
        for (owner, share) in self.of_time(label) {
            match parts.iter_mut().find(|(name, _)| *name == owner) {
                Some((_, part_ns)) => *part_ns += share * by_time_ns,
                None => parts.push((owner, share * by_time_ns)),
            }
        }
        parts
    }

    /// The owners of a node's time per call, and their shares. An edge is its callee's, but the caller's as far as the
    /// caller's other edges became slower too: then it is the caller that is slow to send and to take the answer.
    fn of_time<'a>(&self, label: &'a Label) -> Vec<(&'a str, f64)> {
        let starved = (label.kind == NodeKind::Edge)
            .then(|| self.others_slower(&label.service, &label.peer))
            .filter(|share| *share > STARVED);
        match starved {
            Some(share) => vec![(&label.service, share), (&label.peer, 1.0 - share)],
            None => vec![(by_default(label), 1.0)],
        }
    }

    /// The share of the caller's edges to other services that is slower; 0 with too few of them.
    fn others_slower(&self, caller: &str, callee: &str) -> f64 {
        let Some((all, slower)) = self.callees.get(caller) else {
            return 0.0;
        };
        let others = |set: &BTreeSet<String>| set.iter().filter(|c| *c != callee).count();
        if others(all) < MIN_OTHERS {
            return 0.0;
        }
        others(slower) as f64 / others(all) as f64
    }
}

/// Raw calls, Σ w·gap in nanoseconds and Σ w by caller and callee.
fn edges(facts: &Facts) -> BTreeMap<(&str, &str), (u64, f64, f64)> {
    let mut edges: BTreeMap<(&str, &str), (u64, f64, f64)> = BTreeMap::new();
    let all = facts.calls().iter();
    for (label, group) in all.filter(|(label, _)| label.kind == NodeKind::Edge) {
        let sums = Group::total_sums(group);
        let edge = edges.entry((&label.service, &label.peer)).or_default();
        edge.0 += sums.spans;
        edge.1 += sums.weighted_duration_ns;
        edge.2 += sums.weight;
    }
    edges
}
