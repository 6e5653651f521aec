//! Culprits and the change of the mean, as the document tells them.

use super::document::{Attribution, Confidence, Culprit, EdgeName, LedgerEntry, TailBand};
use super::ledger::{Entry, Ledger};
use super::{CONFIDENT_SCORE, MIN_SHARE, Suspect, words};
use crate::paths::NodeKind;
use crate::stats::Interval;

/// Entries of a culprit's ledger, and of its other lists.
const LISTED: usize = 10;
const LISTED_EACH: usize = 5;

/// A suspect as it is told.
pub(super) fn culprit(
    service: String,
    mut suspect: Suspect<'_>,
    ledger: &Ledger<'_>,
    factor: f64,
    all_shares: f64,
) -> Culprit {
    let evidence = suspect.evidence;
    let (mut explained_ns, mut variance) = (0.0, 0.0);
    for (entry, part_ns) in &suspect.entries {
        let share = if entry.change.difference == 0.0 {
            1.0
        } else {
            (part_ns / entry.change.difference).clamp(0.0, 1.0)
        };
        explained_ns += part_ns;
        variance += (share * entry.change.standard_error).powi(2);
    }
    let whole = ledger.mean_ns[1] - ledger.mean_ns[0] - ledger.mix_ns;
    let is_something = whole.abs() > 0.01 * ledger.mean_ns[0];
    // Nearly all of what was added, and clearly so, is as good as strong evidence.
    let explains_most = evidence.share >= MIN_SHARE * factor && evidence.share >= 0.8 * all_shares;
    let confidence = if evidence.score() >= CONFIDENT_SCORE * factor || explains_most {
        Confidence::Confident
    } else {
        Confidence::Low
    };
    suspect
        .entries
        .sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
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
        is_over: false,
        same_course_as: None,
        explanation: None,
        what_if: None,
    };
    culprit.sentence = words::sentence(&culprit, whole);
    culprit
}

fn entry(e: &Entry<'_>) -> LedgerEntry {
    LedgerEntry {
        node: e.label.clone(),
        time_ns: e.time_ns.into(),
        calls: e.calls.into(),
        time_per_call_ns: [e.per_call_ns(0), e.per_call_ns(1)].into(),
        difference_ns: e.change.difference,
        interval_ns: e.change.interval(),
        by_calls_ns: e.by_calls_ns,
    }
}

/// Nodes that are listed.
const NODES: usize = 20;

/// The change of the mean as it is told.
pub(super) fn attribution(ledger: &Ledger<'_>, bands: Vec<TailBand>) -> Attribution {
    let [baseline, candidate] = ledger.mean_ns;
    let nodes_ns: f64 = ledger.entries.iter().map(|e| e.change.difference).sum();
    let mut nodes: Vec<&Entry<'_>> = ledger.entries.iter().collect();
    nodes.sort_by(|a, b| {
        let size = |e: &Entry<'_>| e.change.difference.abs();
        size(b).total_cmp(&size(a))
    });
    Attribution {
        mean_ns: ledger.mean_ns.into(),
        difference_ns: candidate - baseline,
        mix_ns: ledger.mix_ns,
        nodes_ns,
        remainder_ns: candidate - baseline - ledger.mix_ns - nodes_ns,
        nodes: nodes.into_iter().take(NODES).map(entry).collect(),
        bands,
        failures: Vec::new(),
    }
}
