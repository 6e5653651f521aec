//! Which service to look at first: services ranked by evidence, each with what it explains.

mod failures;
mod ledger;
mod shift;
mod structure;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use self::ledger::{Entry, Ledger};
use self::shift::Shift;
use self::structure::Branch;
use super::side::{Side, SideFacts};
use crate::paths::{Label, NodeKind};
use crate::stats::Interval;

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

/// How sure it is that a service is where the change comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Look here first, but expect surprises.
    Low,
    /// The evidence is as strong as it was for known faults.
    Confident,
}

/// A service that a change likely comes from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Culprit {
    /// The service.
    pub service: String,
    /// The node of the call tree that moved most: an operation of the service, an edge to it, or what it depends on.
    pub node: Option<Label>,
    /// Strength of the evidence; comparable between services and diffs.
    pub score: f64,
    /// How sure it is.
    pub confidence: Confidence,
    /// The parts of the score.
    pub evidence: Evidence,
    /// Change of the mean request duration that the service's nodes explain, in nanoseconds.
    pub explained_ns: f64,
    /// 95 % interval of it.
    pub explained_interval_ns: Interval,
    /// The same as a share of the whole change of the mean; `null` where that is nearly nothing.
    pub explained_ratio: Option<f64>,
}

/// Where a service's score comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Evidence {
    /// Slower: local work, edges, dependencies.
    pub slowness: f64,
    /// Calls made or left out differently.
    pub structure: f64,
    /// Failures that begin here.
    pub failures: f64,
    /// Share of the requests' mean duration that it added, at least.
    pub share: f64,
}

impl Evidence {
    fn score(&self) -> f64 {
        self.slowness + self.structure + self.failures + self.share
    }
}

/// What was found about one service.
#[derive(Debug, Default)]
struct Suspect<'a> {
    evidence: Evidence,
    own: Group,
    incoming: Group,
    outgoing: Group,
    /// The node that moved most, and by how much.
    strongest: Option<(f64, Label)>,
    entries: Vec<&'a Entry>,
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

/// Ranks services, best first; nobody where the evidence is thin.
pub(super) fn rank(baseline: &SideFacts<'_>, candidate: &SideFacts<'_>) -> Vec<Culprit> {
    let ledger = ledger::build(baseline, candidate);
    let branches = structure::changes(baseline.facts, candidate.facts);
    let failing = failures::rises(baseline.facts, candidate.facts);
    let mut suspects: BTreeMap<String, Suspect<'_>> = BTreeMap::new();
    add_slowness(&mut suspects, baseline, candidate);
    add_structure(&mut suspects, &branches, baseline);
    for failing in &failing {
        let suspect = suspects.entry(owner(&failing.label)).or_default();
        let strength = failing.strength();
        suspect.evidence.failures = suspect.evidence.failures.max(strength);
        suspect.note(strength, &failing.label);
    }
    add_shares(&mut suspects, &ledger);
    let traces = |side: &SideFacts<'_>| side.facts.quality.traces;
    let factor = if traces(baseline).min(traces(candidate)) < FEW_TRACES {
        FEW_TRACES_FACTOR
    } else {
        1.0
    };
    let mut culprits: Vec<Culprit> = suspects
        .into_iter()
        .filter(|(_, s)| {
            s.evidence.score() >= MIN_SCORE * factor || s.evidence.share >= MIN_SHARE * factor
        })
        .map(|(service, suspect)| culprit(service, suspect, &ledger, factor))
        .collect();
    culprits.sort_by(|a, b| b.score.total_cmp(&a.score));
    culprits
}

/// The service that a node's change is blamed on.
fn owner(label: &Label) -> String {
    match label.kind {
        NodeKind::Edge => label.peer.clone(),
        _ => label.service.clone(),
    }
}

fn add_slowness(
    suspects: &mut BTreeMap<String, Suspect<'_>>,
    baseline: &SideFacts<'_>,
    candidate: &SideFacts<'_>,
) {
    for (label, group) in baseline.facts.calls() {
        let Some(other) = candidate.facts.calls().get(label) else {
            continue;
        };
        let samples = Side::new(baseline, group)
            .sample()
            .zip(Side::new(candidate, other).sample());
        let Some(shift) = samples.and_then(|(a, b)| Shift::between(&a, &b)) else {
            continue;
        };
        if label.kind == NodeKind::Edge {
            let caller = suspects.entry(label.service.clone()).or_default();
            caller.outgoing.add(&shift);
            let callee = suspects.entry(label.peer.clone()).or_default();
            callee.incoming.add(&shift);
            callee.note(shift.slowdown(), label);
        } else {
            let suspect = suspects.entry(label.service.clone()).or_default();
            suspect.own.add(&shift);
            suspect.note(shift.slowdown(), label);
        }
    }
    for suspect in suspects.values_mut() {
        suspect.evidence.slowness = suspect.own.value()
            + suspect.incoming.value()
            + OUTGOING_WEIGHT * suspect.outgoing.value();
    }
}

fn add_structure(
    suspects: &mut BTreeMap<String, Suspect<'_>>,
    branches: &[Branch],
    baseline: &SideFacts<'_>,
) {
    for branch in branches {
        let suspect = suspects.entry(branch.parent.service.clone()).or_default();
        suspect.evidence.structure = suspect.evidence.structure.max(branch.strength());
        suspect.note(branch.strength(), &branch.parent);
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

fn add_shares<'a>(suspects: &mut BTreeMap<String, Suspect<'a>>, ledger: &'a Ledger) {
    let mean_ns = ledger.mean_ns[0];
    for entry in &ledger.entries {
        let suspect = suspects.entry(owner(&entry.label)).or_default();
        suspect.entries.push(entry);
        let least = entry.change.difference - ONE_SIDED_Z * entry.change.standard_error;
        if least > 0.0 && mean_ns > 0.0 {
            let share = (least / mean_ns).min(1.0);
            suspect.evidence.share = (suspect.evidence.share + share).min(1.0);
        }
    }
}

fn culprit(service: String, suspect: Suspect<'_>, ledger: &Ledger, factor: f64) -> Culprit {
    let explained_ns: f64 = suspect.entries.iter().map(|e| e.change.difference).sum();
    let error = suspect
        .entries
        .iter()
        .map(|e| e.change.standard_error.powi(2))
        .sum::<f64>()
        .sqrt();
    let whole = ledger.mean_ns[1] - ledger.mean_ns[0];
    let is_something = whole.abs() > 0.01 * ledger.mean_ns[0];
    let score = suspect.evidence.score();
    Culprit {
        service,
        node: suspect.strongest.map(|(_, label)| label),
        score,
        confidence: if score >= CONFIDENT_SCORE * factor {
            Confidence::Confident
        } else {
            Confidence::Low
        },
        evidence: suspect.evidence,
        explained_ns,
        explained_interval_ns: Interval::around(explained_ns, 1.96 * error),
        explained_ratio: is_something.then(|| explained_ns / whole),
    }
}
