//! Which service to look at first: services ranked by evidence, each with what it explains.

mod added;
mod course;
mod document;
mod entries;
mod failures;
mod ledger;
mod links;
mod owner;
mod shift;
mod structure;
mod tail;
mod told;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use self::added::added;
pub use self::document::*;
pub(super) use self::entries::entry_failures;
use self::failures::Failing;
use self::ledger::{Entry, Ledger};
use self::owner::Owners;
use self::shift::Shift;
pub(super) use self::structure::Branch;
use self::told::{attribution, culprit};
use super::join::joined;
use super::paths::Paths;
use super::side::{Side, SideFacts};
use crate::paths::{Label, NodeKind};

/// What a service must reach to be named, and the share of the requests' mean that it must have added otherwise.
const MIN_SCORE: f64 = 0.3;
const MIN_SHARE: f64 = 0.05;
/// What it must reach to be named with confidence.
const CONFIDENT_SCORE: f64 = 2.0;
/// Sides with fewer traces than this need that many times as much.
const FEW_TRACES: u64 = 100;
const FEW_TRACES_FACTOR: f64 = 3.0;
/// How much an unmoved key of a group takes off the moved ones.
const LAMBDA: f64 = 1.0;
/// What slower outgoing edges say of the caller.
const OUTGOING_WEIGHT: f64 = 0.8;

/// What was found about one service.
#[derive(Debug, Default)]
struct Suspect<'a> {
    evidence: CulpritEvidence,
    own: Group,
    incoming: Group,
    outgoing: Group,
    callees: BTreeSet<String>,
    /// The node that moved most, and by how much.
    strongest: Option<(f64, Label)>,
    /// Nodes, and the part of each one's change that it owns, in nanoseconds.
    entries: Vec<(&'a Entry<'a>, f64)>,
    failing: Vec<&'a Failing>,
    branches: Vec<&'a Branch>,
}

impl Suspect<'_> {
    fn note(&mut self, strength: f64, label: &Label) {
        if strength > 0.0
            && self
                .strongest
                .as_ref()
                .is_none_or(|(most, _)| strength > *most)
        {
            self.strongest = Some((strength, label.clone()));
        }
    }
}

impl Suspect<'_> {
    /// Slow calls of only one service say more of that service than of who calls it.
    fn outgoing_value(&self) -> f64 {
        if self.callees.len() > 1 {
            OUTGOING_WEIGHT * self.outgoing.value()
        } else {
            0.0
        }
    }
}

/// Sum over keys of what moved less what did not.
#[derive(Debug, Default)]
struct Group(f64);

impl Group {
    fn add(&mut self, shift: &Shift) {
        self.0 += shift.slowdown() - LAMBDA * (1.0 - shift.exceedance);
    }

    fn value(&self) -> f64 {
        self.0.max(0.0)
    }
}

/// What is said of services.
pub(super) struct Ranking {
    /// Best first, nobody where the evidence is thin.
    pub(super) culprits: Vec<Culprit>,
    /// The change of the mean request, taken apart.
    pub(super) attribution: Attribution,
    /// Calls that are made more or less often than before.
    pub(super) branches: Vec<Branch>,
}

/// Ranks services, and takes the change of the mean apart.
pub(super) fn rank(
    paths: &Paths<'_>,
    baseline: &SideFacts<'_>,
    candidate: &SideFacts<'_>,
) -> Ranking {
    let ledger = ledger::build(paths, baseline, candidate);
    let bands = tail::bands(paths);
    let (branches, replaced) = structure::changes(paths);
    let mut suspects: BTreeMap<String, Suspect<'_>> = BTreeMap::new();
    add_slowness(&mut suspects, baseline, candidate);
    let failing = failures::rises(paths, &replaced);
    let owners = Owners::of(baseline.facts, candidate.facts, replaced);
    add_structure(&mut suspects, &branches, baseline);
    for failing in &failing {
        let owner = owner::by_default(&failing.label);
        let suspect = suspects.entry(owner.to_owned()).or_default();
        let strength = failing.strength();
        suspect.evidence.failures = suspect.evidence.failures.max(strength);
        suspect.note(strength, &failing.label);
        suspect.failing.push(failing);
    }
    add_shares(&mut suspects, &ledger, &owners);
    let traces = |side: &SideFacts<'_>| side.facts.quality.traces;
    let factor = if traces(baseline).min(traces(candidate)) < FEW_TRACES {
        FEW_TRACES_FACTOR
    } else {
        1.0
    };
    let is_named = |suspect: &Suspect<'_>| {
        suspect.evidence.score() >= MIN_SCORE * factor
            || suspect.evidence.share >= MIN_SHARE * factor
    };
    let all_shares: f64 = suspects.values().map(|s| s.evidence.share).sum();
    let mut culprits: Vec<Culprit> = suspects
        .into_iter()
        .filter(|(_, suspect)| is_named(suspect))
        .map(|(service, suspect)| culprit(service, suspect, &ledger, factor, all_shares))
        .collect();
    culprits.sort_by(|a, b| b.score.total_cmp(&a.score));
    course::note(&mut culprits, baseline.facts, candidate.facts);
    Ranking {
        culprits,
        attribution: attribution(&ledger, bands),
        branches,
    }
}

fn add_slowness(
    suspects: &mut BTreeMap<String, Suspect<'_>>,
    baseline: &SideFacts<'_>,
    candidate: &SideFacts<'_>,
) {
    let sides = [baseline, candidate];
    for (label, groups) in joined(sides.map(|side| side.facts.calls().iter())) {
        let [Some(group), Some(other)] = groups else {
            continue;
        };
        let samples = Side::new(baseline, group)
            .pooled_sample()
            .zip(Side::new(candidate, other).pooled_sample());
        let Some(shift) = samples.and_then(|(a, b)| Shift::between(&a, &b)) else {
            continue;
        };
        if label.kind == NodeKind::Edge {
            let caller = suspect(suspects, &label.service);
            caller.outgoing.add(&shift);
            if !caller.callees.contains(&label.peer) {
                caller.callees.insert(label.peer.clone());
            }
            let callee = suspect(suspects, &label.peer);
            callee.incoming.add(&shift);
            callee.note(shift.slowdown(), label);
        } else {
            let suspect = suspect(suspects, &label.service);
            suspect.own.add(&shift);
            suspect.note(shift.slowdown(), label);
        }
    }
    for suspect in suspects.values_mut() {
        suspect.evidence.slowness =
            suspect.own.value() + suspect.incoming.value() + suspect.outgoing_value();
    }
}

fn add_structure<'a>(
    suspects: &mut BTreeMap<String, Suspect<'a>>,
    branches: &'a [Branch],
    baseline: &SideFacts<'_>,
) {
    for branch in branches {
        let suspect = suspects.entry(branch.parent.service.clone()).or_default();
        suspect.evidence.structure = suspect.evidence.structure.max(branch.strength());
        suspect.note(branch.strength(), &branch.parent);
        suspect.branches.push(branch);
    }
    // Who calls a service that branches differently itself likely only follows.
    let raw: BTreeMap<String, f64> = suspects
        .iter()
        .map(|(service, s)| (service.clone(), s.evidence.structure))
        .collect();
    let edges = baseline.facts.calls().keys();
    for edge in edges.filter(|l| l.kind == NodeKind::Edge) {
        let of = |service: &String| raw.get(service).copied().unwrap_or(0.0);
        let (caller, callee) = (of(&edge.service), of(&edge.peer));
        if caller > 0.0
            && callee >= caller / 2.0
            && edge.service != edge.peer
            && let Some(suspect) = suspects.get_mut(&edge.service)
        {
            suspect.evidence.structure = caller / 2.0;
        }
    }
}

/// One-sided 95 %.
const ONE_SIDED_Z: f64 = 1.64;

/// Standard errors for one type of requests: there are many types.
const REQUEST_Z: f64 = 3.0;

/// The suspect with that name; names are many, services few.
fn suspect<'s, 'a>(
    suspects: &'s mut BTreeMap<String, Suspect<'a>>,
    service: &str,
) -> &'s mut Suspect<'a> {
    if !suspects.contains_key(service) {
        suspects.insert(service.to_owned(), Suspect::default());
    }
    suspects.entry(service.to_owned()).or_default()
}

fn add_shares<'a>(
    suspects: &mut BTreeMap<String, Suspect<'a>>,
    ledger: &'a Ledger<'a>,
    owners: &Owners,
) {
    for entry in &ledger.entries {
        for (owner, part_ns) in owners.parts(entry) {
            suspect(suspects, owner).entries.push((entry, part_ns));
        }
    }
    let overall = (ledger.mean_ns[0], &ledger.entries, ONE_SIDED_Z);
    let by_request = ledger
        .by_request
        .iter()
        .map(|(mean_ns, entries)| (*mean_ns, entries, REQUEST_Z));
    for (mean_ns, entries, z) in std::iter::once(overall).chain(by_request) {
        if mean_ns <= 0.0 {
            continue;
        }
        for (owner, added) in added(entries, owners, z) {
            let suspect = suspect(suspects, owner);
            if let Some((most_ns, label)) = added.most {
                suspect.note(most_ns / mean_ns, label);
            }
            let share = (added.value_ns(z) / mean_ns).min(1.0);
            suspect.evidence.share = suspect.evidence.share.max(share);
        }
    }
}
