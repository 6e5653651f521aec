//! What is said of a culprit.

use super::document::{BranchChange, Culprit, FailureRise, LedgerEntry};
use crate::diff::text;
use crate::paths::{Label, NodeKind};

/// Calls per request that grew by more than this factor are worth a word.
const MORE_OFTEN: f64 = 1.05;

/// Why a service is a culprit, in a sentence: `+1.46 of +1.52 ms of the mean request: in apply discounts 3.4 ms → 5.7 ms
/// per call`. `whole_ns` is the change of the mean.
pub(super) fn sentence(culprit: &Culprit, whole_ns: f64) -> String {
    let evidence = &culprit.evidence;
    let mut parts = Vec::new();
    if evidence.slowness > 0.0 || evidence.share > 0.0 {
        parts.extend(slower(culprit, whole_ns));
    }
    if evidence.failures > 0.0 {
        parts.extend(culprit.failures.first().map(failing));
    }
    if evidence.structure > 0.0 {
        parts.extend(culprit.branches.first().map(branching));
    }
    if parts.is_empty() {
        parts.push(slower_somewhere(culprit));
    }
    format!("{}: {}", culprit.service, parts.join("; "))
}

/// What got slower without any request waiting longer: off the critical path, or behind a message.
fn slower_somewhere(culprit: &Culprit) -> String {
    let place = match (&culprit.edge, &culprit.dependency, &culprit.operation) {
        (Some(edge), ..) => format!("on the way {} → {}", edge.caller, edge.callee),
        (_, Some(dependency), _) => format!("in calls of {dependency}"),
        (_, _, Some(operation)) => format!("in {operation}"),
        _ => "somewhere".to_owned(),
    };
    format!("slower {place}, for which no request waits longer")
}

fn slower(culprit: &Culprit, whole_ns: f64) -> Option<String> {
    let grew = |e: &&LedgerEntry| e.difference_ns > 0.0;
    let entry = culprit.ledger.iter().find(grew)?;
    if culprit.explained_ns <= 0.0 {
        return Some(moved(entry));
    }
    let change = text::duration_change(culprit.explained_ns);
    // A share of more than everything, or of a mean that fell, says nothing.
    let of_all = culprit.explained_ratio.filter(|r| *r > 0.0 && *r <= 1.5);
    let of_all = of_all.map_or_else(
        || format!("{change} per request"),
        |ratio| {
            format!(
                "{change} of {} per request ({})",
                text::duration_change(whole_ns),
                text::percent(ratio)
            )
        },
    );
    Some(format!("{of_all}, most of it {}", moved(entry)))
}

/// `in apply discounts: 3.4 ms → 5.7 ms per call`, `… called more often: 1.2 → 4.8 per request`.
fn moved(entry: &LedgerEntry) -> String {
    let (calls, time) = (entry.calls, entry.time_per_call_ns);
    let place = place(&entry.node);
    if calls.baseline <= 0.0 {
        return format!(
            "{place}, which is new: {} per call",
            text::duration(time.candidate)
        );
    }
    let called_more = calls.candidate > MORE_OFTEN * calls.baseline;
    if called_more && entry.by_calls_ns > entry.difference_ns / 2.0 {
        return format!(
            "{place}, called {:.2} → {:.2} times per request",
            calls.baseline, calls.candidate
        );
    }
    format!(
        "{place}: {} → {} per call",
        text::duration(time.baseline),
        text::duration(time.candidate)
    )
}

/// A node as a place.
pub(super) fn place(node: &Label) -> String {
    match node.kind {
        NodeKind::Edge => format!("on the way {} → {}", node.service, node.peer),
        NodeKind::Dependency if node.peer == node.operation => format!("in calls of {}", node.peer),
        NodeKind::Dependency => format!("in calls of {} ({})", node.peer, node.operation),
        _ => format!("in {}", node.operation),
    }
}

fn failing(rise: &FailureRise) -> String {
    let place = match rise.node.kind {
        NodeKind::Work => rise.node.operation.clone(),
        NodeKind::Dependency => format!("its call of {}", rise.node.peer),
        _ => format!("the call {} → {}", rise.node.service, rise.node.peer),
    };
    let reach = if rise.reaching_ratio.candidate > rise.reaching_ratio.baseline {
        format!(
            ", and {} → {} of requests because of it",
            text::percent(rise.reaching_ratio.baseline),
            text::percent(rise.reaching_ratio.candidate)
        )
    } else {
        ", which callers absorb".to_owned()
    };
    format!(
        "{place} fails by itself in {} of its traces (before {}){reach}",
        text::percent(rise.ratio.candidate),
        text::percent(rise.ratio.baseline)
    )
}

fn branching(change: &BranchChange) -> String {
    let shares = format!(
        "{} → {} of calls",
        text::percent(change.ratio.baseline),
        text::percent(change.ratio.candidate)
    );
    let operation = &change.parent.operation;
    let Some(child) = &change.child else {
        return format!("{operation} calls nothing in {shares}");
    };
    let called = match child.kind {
        NodeKind::Edge => format!("{}: {}", child.peer, child.operation),
        NodeKind::Dependency => child.peer.clone(),
        _ => child.operation.clone(),
    };
    let word = if change.ratio.candidate > change.ratio.baseline {
        "calls"
    } else {
        "leaves out"
    };
    format!("{operation} {word} {called} ({shares})")
}
