//! Which service to look at first: services ranked by evidence, each with what it explains.

mod document;
mod failures;
mod ledger;
mod owner;
mod shift;
mod structure;
mod words;

use std::collections::BTreeMap;

pub use self::document::*;
use self::failures::Failing;
use self::ledger::{Entry, Ledger};
use self::owner::Owners;
use self::shift::Shift;
use self::structure::Branch;
use super::document::Sides;
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

/// What was found about one service.
#[derive(Debug, Default)]
struct Suspect<'a> {
    evidence: CulpritEvidence,
    own: Group,
    incoming: Group,
    outgoing: Group,
    /// The node that moved most, and by how much.
    strongest: Option<(f64, Label)>,
    /// Nodes, and the share of each that it owns.
    entries: Vec<(&'a Entry, f64)>,
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

/// Ranks services, best first, nobody where the evidence is thin; and takes the change of the mean apart.
pub(super) fn rank(
    baseline: &SideFacts<'_>,
    candidate: &SideFacts<'_>,
) -> (Vec<Culprit>, Attribution) {
    let ledger = ledger::build(baseline, candidate);
    let branches = structure::changes(baseline.facts, candidate.facts);
    let failing = failures::rises(baseline.facts, candidate.facts);
    let owners = Owners::of(baseline.facts, candidate.facts);
    let mut suspects: BTreeMap<String, Suspect<'_>> = BTreeMap::new();
    add_slowness(&mut suspects, baseline, candidate);
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
    (culprits, attribution(&ledger))
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

fn add_shares<'a>(
    suspects: &mut BTreeMap<String, Suspect<'a>>,
    ledger: &'a Ledger,
    owners: &Owners,
) {
    let mean_ns = ledger.mean_ns[0];
    for entry in &ledger.entries {
        let least = entry.change.difference - ONE_SIDED_Z * entry.change.standard_error;
        for (owner, part) in owners.of_node(&entry.label) {
            let suspect = suspects.entry(owner.to_owned()).or_default();
            suspect.entries.push((entry, part));
            if least > 0.0 && mean_ns > 0.0 {
                let share = part * least / mean_ns;
                suspect.note(share, &entry.label);
                suspect.evidence.share = (suspect.evidence.share + share).min(1.0);
            }
        }
    }
}

/// Entries of a culprit's ledger, and of its other lists.
const LISTED: usize = 10;
const LISTED_EACH: usize = 5;

fn culprit(
    service: String,
    mut suspect: Suspect<'_>,
    ledger: &Ledger,
    factor: f64,
    all_shares: f64,
) -> Culprit {
    let evidence = suspect.evidence;
    let changes = suspect
        .entries
        .iter()
        .map(|(e, part)| (part * e.change.difference, part * e.change.standard_error));
    let (explained_ns, variance) = changes.fold((0.0, 0.0), |(sum, squares), (change, error)| {
        (sum + change, squares + error * error)
    });
    let whole = ledger.mean_ns[1] - ledger.mean_ns[0] - ledger.mix_ns;
    let is_something = whole.abs() > 0.01 * ledger.mean_ns[0];
    // Nearly all of what was added, and clearly so, is as good as strong evidence.
    let explains_most = evidence.share >= MIN_SHARE * factor && evidence.share >= 0.8 * all_shares;
    let confidence = if evidence.score() >= CONFIDENT_SCORE * factor || explains_most {
        Confidence::Confident
    } else {
        Confidence::Low
    };
    suspect.entries.sort_by(|(a, part_a), (b, part_b)| {
        let size = |e: &Entry, part: f64| (part * e.change.difference).abs();
        size(b, *part_b).total_cmp(&size(a, *part_a))
    });
    let (operation, edge, dependency) = match suspect.strongest.map(|(_, label)| label) {
        None => (None, None, None),
        Some(label) => match label.kind {
            NodeKind::Edge => (
                None,
                Some(EdgeName {
                    caller: label.service,
                    callee: label.peer,
                    operation: label.operation,
                }),
                None,
            ),
            NodeKind::Dependency => (None, None, Some(label.peer)),
            _ => (Some(label.operation), None, None),
        },
    };
    let entries = suspect.entries.iter();
    let failing = suspect.failing.iter().take(LISTED_EACH);
    let branches = suspect.branches.iter().take(LISTED_EACH);
    let mut culprit = Culprit {
        service,
        operation,
        edge,
        dependency,
        score: evidence.score(),
        confidence,
        sentence: String::new(),
        evidence,
        explained_ns,
        explained_interval_ns: Interval::around(explained_ns, 1.96 * variance.sqrt()),
        explained_ratio: is_something.then(|| explained_ns / whole),
        ledger: entries.take(LISTED).map(|(e, _)| entry(e)).collect(),
        failures: failing.map(|f| f.rise()).collect(),
        branches: branches.map(|b| b.change()).collect(),
    };
    culprit.sentence = words::sentence(&culprit, whole);
    culprit
}

fn entry(e: &Entry) -> LedgerEntry {
    let sides = |values: [f64; 2]| Sides {
        baseline: values[0],
        candidate: values[1],
    };
    LedgerEntry {
        node: e.label.clone(),
        time_ns: sides(e.time_ns),
        calls: sides(e.calls),
        time_per_call_ns: sides([e.per_call_ns(0), e.per_call_ns(1)]),
        difference_ns: e.change.difference,
        interval_ns: e.change.interval(),
        by_calls_ns: e.by_calls_ns,
    }
}

/// Nodes that are listed.
const NODES: usize = 20;

fn attribution(ledger: &Ledger) -> Attribution {
    let [baseline, candidate] = ledger.mean_ns;
    let nodes_ns: f64 = ledger.entries.iter().map(|e| e.change.difference).sum();
    let mut nodes: Vec<&Entry> = ledger.entries.iter().collect();
    nodes.sort_by(|a, b| {
        let size = |e: &Entry| e.change.difference.abs();
        size(b).total_cmp(&size(a))
    });
    Attribution {
        mean_ns: Sides {
            baseline,
            candidate,
        },
        difference_ns: candidate - baseline,
        mix_ns: ledger.mix_ns,
        nodes_ns,
        remainder_ns: candidate - baseline - ledger.mix_ns - nodes_ns,
        nodes: nodes.into_iter().take(NODES).map(entry).collect(),
    }
}
