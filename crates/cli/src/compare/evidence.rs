//! What the table and the Markdown say of the evidence behind a diff: the same words in both.

use std::collections::BTreeMap;

use tracediff_core::diff::{
    BranchingShift, Culprit, Diff, EntryFailures, FailureOrigin, GraphChange, StructureChange,
    StructureKind, TailBand, text,
};
use tracediff_core::explain::{AttributeEvidence, AttributeValue, Explanation};
use tracediff_core::facts::SERVICE;
use tracediff_core::paths::{Label, NodeKind};

/// Names in a list before the rest is counted only.
const NAMES: usize = 3;
/// Attribute values that are shown of an explanation.
const VALUES: usize = 2;
/// Nodes at which failures begin that are shown of an entry point.
const ORIGINS: usize = 3;
/// Slow requests are worth a line if they changed by this share of what they took.
const TAIL_CHANGE: f64 = 0.1;

/// What bad traces have in common, and two of them to look at.
pub(super) fn explanation(explanation: &Explanation) -> Vec<String> {
    let mut lines: Vec<String> = explanation
        .attributes
        .iter()
        .take(VALUES)
        .map(attribute)
        .collect();
    match (&explanation.typical, &explanation.matched) {
        (Some(typical), Some(matched)) => {
            lines.push(format!(
                "look at trace {typical} beside {matched} of the baseline"
            ));
        }
        (Some(typical), None) => lines.push(format!("look at trace {typical}")),
        _ => {}
    }
    lines
}

fn attribute(evidence: &AttributeEvidence) -> String {
    let name = |v: &AttributeValue| match v.key.as_str() {
        SERVICE => format!("requests that call {}", v.service),
        key => format!("{key}={} of {}", v.value, v.service),
    };
    let values: Vec<String> = evidence.values.iter().map(name).collect();
    let confined = if evidence.is_confined {
        "confined to"
    } else {
        "mostly with"
    };
    let also: Vec<String> = evidence
        .same_as
        .iter()
        .map(|v| format!("{}={}", v.key, v.value))
        .collect();
    let also = match &also[..] {
        [] => String::new(),
        names => format!("; the same traces have {}", list(names)),
    };
    format!(
        "{confined} {}: {} of it in {} of the traces{also}",
        values.join(" and "),
        text::percent(evidence.coverage.min(1.0)),
        text::percent(evidence.trace_ratio)
    )
}

/// `a, b, c and 2 more`.
fn list(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES)].join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Where the time of the slowest requests goes, if they changed.
pub(super) fn tail(diff: &Diff) -> Option<String> {
    let slowest = |band: &&TailBand| band.to_share >= 1.0;
    let band = diff.attribution.bands.iter().find(slowest)?;
    let mean = &band.mean_ns;
    if band.difference_ns.abs() < TAIL_CHANGE * mean.baseline {
        return None;
    }
    let same_way = |change: &f64| change.signum() == band.difference_ns.signum();
    let node = band.nodes.iter().find(|n| same_way(&n.difference_ns))?;
    Some(format!(
        "The slowest {} take {} → {} ({}): {} {}.",
        text::percent(band.to_share - band.from_share),
        text::duration(mean.baseline),
        text::duration(mean.candidate),
        text::duration_change(band.difference_ns),
        text::duration_change(node.difference_ns),
        place(&node.node)
    ))
}

/// What requests would take if the culprit's node took what it did before.
pub(super) fn what_if(culprit: &Culprit) -> Option<String> {
    let what_if = culprit.what_if.as_ref()?;
    let (recovered, subtracted) = (what_if.recovered_ratio?, what_if.subtracted_ratio?);
    if recovered.min(subtracted) <= 0.0 {
        return None;
    }
    Some(format!(
        "if only calls {} were as fast as before, a request would take {} less: {} of the change ({} by the critical \
         path alone)",
        place(&what_if.node),
        text::duration(what_if.recovered_ns),
        text::percent(recovered),
        text::percent(subtracted),
    ))
}

/// Where the failures of entry points begin: a line for each whose error ratio changed.
pub(super) fn failures(diff: &Diff) -> Vec<String> {
    let line = |entry: &EntryFailures| {
        let same_way = |o: &&FailureOrigin| o.difference * entry.difference > 0.0;
        let origins = entry.origins.iter().filter(same_way).take(ORIGINS);
        let origins: Vec<String> = origins
            .map(|o| {
                let change = text::points_change(o.difference);
                format!("{change} {}{}", place(&o.node), reach(o))
            })
            .collect();
        format!(
            "{} fails in {} → {} of requests ({}); where that begins: {}.",
            entry.entry_point,
            text::percent(entry.ratio.baseline),
            text::percent(entry.ratio.candidate),
            text::points_change(entry.difference),
            origins.join(", "),
        )
    };
    diff.attribution.failures.iter().map(line).collect()
}

/// What is said where most of a change is not of failures but of what callers make of them.
fn reach(origin: &FailureOrigin) -> String {
    if origin.propagates_more.abs() <= origin.fires_more.abs() {
        return String::new();
    }
    let absorbed = if origin.difference > 0.0 {
        "less"
    } else {
        "more"
    };
    let fired = origin.fired;
    format!(
        " (whose failures callers absorb {absorbed}: {} → {} per request)",
        text::percent(fired.baseline),
        text::percent(fired.candidate),
    )
}

fn place(node: &Label) -> String {
    match node.kind {
        NodeKind::Edge => format!("on the way {} → {}", node.service, node.peer),
        NodeKind::Dependency => format!("in calls of {} by {}", node.peer, node.service),
        _ => format!("in {} of {}", node.operation, node.service),
    }
}

/// What changed about how requests are made up: a line each, most telling first.
pub(super) fn structure(diff: &Diff) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folded: BTreeMap<(StructureKind, &Label), usize> = BTreeMap::new();
    let changes = &diff.structure.changes;
    for change in changes {
        let is_folded = matches!(
            change.kind,
            StructureKind::NewCall | StructureKind::MissingCall | StructureKind::Wrapped
        );
        if !is_folded {
            lines.push(change.sentence.clone());
            continue;
        }
        let more = folded.entry((change.kind, &change.parent)).or_insert(0);
        *more += 1;
        if *more == 1 {
            lines.push(with_others(change, changes));
        }
    }
    let is_told = |shift: &&BranchingShift| changes.iter().any(|c| c.parent == shift.parent);
    let untold = diff.structure.branching.iter().filter(|s| !is_told(s));
    lines.extend(untold.map(branching));
    lines
}

/// A change and how many others of its kind its parent has.
fn with_others(change: &StructureChange, all: &[StructureChange]) -> String {
    let same = |c: &&StructureChange| c.kind == change.kind && c.parent == change.parent;
    match all.iter().filter(same).count() - 1 {
        0 => change.sentence.clone(),
        1 => format!("{}, and so for another call", change.sentence),
        others => format!("{}, and so for {others} other calls", change.sentence),
    }
}

fn branching(shift: &BranchingShift) -> String {
    format!(
        "{} {} makes another choice of calls in {} of its calls (by chance {})",
        shift.parent.service,
        shift.parent.operation,
        text::percent(shift.distance),
        text::percent(shift.expected)
    )
}

/// What is new and gone in the service graph; nothing where nothing is.
pub(super) fn graph(diff: &Diff) -> Vec<String> {
    let Some(graph) = &diff.graph else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (change, word) in [(GraphChange::New, "new"), (GraphChange::Gone, "gone")] {
        let nodes = graph.nodes.iter().filter(|n| n.comparison.change == change);
        let names: Vec<String> = nodes.map(|n| n.name.clone()).collect();
        if !names.is_empty() {
            lines.push(format!("{word}: {}", list(&names)));
        }
        let edges = graph.edges.iter().filter(|e| e.comparison.change == change);
        let edges: Vec<String> = edges
            .map(|e| format!("{} → {}", e.caller, e.callee))
            .collect();
        if !edges.is_empty() {
            lines.push(format!("{word} calls: {}", list(&edges)));
        }
    }
    if let (false, Some(jaccard)) = (lines.is_empty(), graph.summary.jaccard) {
        lines.push(format!(
            "{} of the calls between services are the same",
            text::percent(jaccard)
        ));
    }
    lines
}
