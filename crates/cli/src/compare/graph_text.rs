//! The words and numbers that both drawings of the service graph share. Nothing in them is escaped yet.

use tracediff_core::diff::{
    Diff, GraphChange, GraphComparison, GraphCounts, GraphDiff, GraphEdgeDiff, GraphNodeDiff,
    GraphTime, Judgement, Sides, Verdict, text,
};

use crate::harmless::is_harmful;

/// Longest name in a drawing.
const MAX_NAME_CHARS: usize = 60;

/// A graph in the order in which it is drawn: by name, so that two drawings of nearly the same look nearly the same.
pub(super) struct Drawing<'a> {
    pub(super) nodes: Vec<&'a GraphNodeDiff>,
    /// Every edge with the places of its ends among the nodes.
    pub(super) edges: Vec<(usize, usize, &'a GraphEdgeDiff)>,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(diff: &'a Diff) -> Self {
        let Some(graph) = &diff.graph else {
            return Self {
                nodes: Vec::new(),
                edges: Vec::new(),
            };
        };
        let mut nodes: Vec<&GraphNodeDiff> = graph.nodes.iter().collect();
        nodes.sort_by_key(|node| (&node.name, node.is_dependency));
        let place = |name: &String, is_dependency: bool| {
            nodes
                .binary_search_by(|n| (&n.name, n.is_dependency).cmp(&(name, is_dependency)))
                .ok()
        };
        let mut edges: Vec<(usize, usize, &GraphEdgeDiff)> = graph
            .edges
            .iter()
            .filter_map(|edge| {
                let caller = place(&edge.caller, false)?;
                Some((caller, place(&edge.callee, edge.is_dependency)?, edge))
            })
            .collect();
        edges.sort_by_key(|(caller, callee, edge)| (*caller, *callee, edge.is_async));
        Self { nodes, edges }
    }
}

/// What is drawn, how much of it is the same, and what the signs mean.
pub(super) fn title(diff: &Diff, names: &[String; 2]) -> Vec<String> {
    let mut lines = vec![
        format!("{} → {}", short(&names[0]), short(&names[1])),
        one_line(&diff.sentence),
    ];
    let Some(graph) = &diff.graph else {
        return lines;
    };
    if let Some(jaccard) = graph.summary.jaccard {
        lines.push(format!(
            "{} of the calls are the same",
            text::percent(jaccard)
        ));
    }
    lines.push(counts("services and dependencies", &graph.summary.nodes));
    lines.push(counts("calls between them", &graph.summary.edges));
    lines.extend(left_out(graph));
    lines.push(
        "new = green, bold; gone = red, dashed; changed = orange; numbers are calls per trace"
            .to_owned(),
    );
    lines
}

fn counts(what: &str, counts: &GraphCounts) -> String {
    let parts = [
        (counts.new, "new"),
        (counts.gone, "gone"),
        (counts.changed, "changed"),
        (counts.unchanged, "unchanged"),
        (counts.inconclusive, "too seldom to tell"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(n, word)| format!("{n} {word}")).collect();
    format!("{what} ({})", parts.join(", "))
}

fn left_out(graph: &GraphDiff) -> Option<String> {
    let (nodes, edges) = (graph.nodes_left_out, graph.edges_left_out);
    (nodes + edges > 0).then(|| {
        let (nodes, edges) = (
            text::counted(nodes as u64, "node"),
            text::counted(edges as u64, "edge"),
        );
        format!("left out as too many ({nodes} and {edges} with fewer calls)")
    })
}

/// The node's name, and below it what became of it.
pub(super) fn node_label(node: &GraphNodeDiff) -> Vec<String> {
    let mut lines = vec![short(&node.name)];
    lines.extend(change(
        &node.comparison,
        if node.is_dependency { "" } else { "own " },
    ));
    lines
}

/// What became of the edge.
pub(super) fn edge_label(edge: &GraphEdgeDiff) -> Vec<String> {
    let kind = edge.is_async.then(|| "message".to_owned());
    let time = if edge.is_dependency { "" } else { "gap " };
    kind.into_iter()
        .chain(change(&edge.comparison, time))
        .collect()
}

/// `time` says which time it is: of the service's own, or of the gap between client and server.
fn change(comparison: &GraphComparison, time: &str) -> Vec<String> {
    let side = |side: &Option<tracediff_core::diff::GraphSide>| {
        side.as_ref().map_or(0.0, |side| side.per_trace)
    };
    let (a, b) = (side(&comparison.baseline), side(&comparison.candidate));
    match comparison.change {
        GraphChange::New => vec![format!("new, {}", number(b))],
        GraphChange::Gone => vec![format!("gone, was {}", number(a))],
        GraphChange::Inconclusive if a > 0.0 => vec![format!("only baseline, {}", number(a))],
        GraphChange::Inconclusive => vec![format!("only candidate, {}", number(b))],
        GraphChange::Unchanged => vec![number(b)],
        GraphChange::Changed => changes(
            comparison,
            Sides {
                baseline: a,
                candidate: b,
            },
            time,
        ),
    }
}

fn changes(comparison: &GraphComparison, per_trace: Sides<f64>, time: &str) -> Vec<String> {
    let mut lines = Vec::new();
    match &comparison.calls {
        Some(calls) if is_change(&calls.judgement) => lines.push(format!(
            "calls {} → {}",
            number(per_trace.baseline),
            number(per_trace.candidate)
        )),
        _ => lines.push(number(per_trace.candidate)),
    }
    let (Some(a), Some(b)) = (&comparison.baseline, &comparison.candidate) else {
        return lines;
    };
    if comparison.errors.is_some_and(|e| is_change(&e.judgement)) {
        lines.push(format!(
            "errors {} → {}",
            text::percent(a.error_ratio),
            text::percent(b.error_ratio)
        ));
    }
    let is_slower = comparison.latency.as_ref();
    if let (true, Some(a), Some(b)) = (
        is_slower.is_some_and(|l| is_change(&l.judgement)),
        &a.time,
        &b.time,
    ) {
        lines.extend(times(a, b, time));
    }
    // Not by colour alone.
    lines[0] = format!("changed, {}", lines[0]);
    lines
}

fn is_change(judgement: &Judgement) -> bool {
    !matches!(
        judgement.verdict,
        Verdict::NoMaterialChange | Verdict::Inconclusive
    )
}

/// Median and p95 as far as both sides have them, else the mean.
fn times(a: &GraphTime, b: &GraphTime, time: &str) -> Vec<String> {
    let quantiles = [("p50", "median"), ("p95", "p95")];
    let lines: Vec<String> = quantiles
        .into_iter()
        .filter_map(|(name, title)| {
            let (a, b) = (a.quantiles.get(name)?, b.quantiles.get(name)?);
            let (a, b) = (text::duration(a.value_ns), text::duration(b.value_ns));
            Some(format!("{time}{title} {a} → {b}"))
        })
        .collect();
    if lines.is_empty() {
        let (a, b) = (text::duration(a.mean_ns), text::duration(b.mean_ns));
        return vec![format!("{time}mean {a} → {b}")];
    }
    lines
}

/// A number of calls with three significant digits, or that there are hardly any.
fn number(value: f64) -> String {
    let digits = match value {
        v if v > 0.0 && v < 0.0005 => return "<0.001".to_owned(),
        v if v < 0.9995 => 3,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A name on one line, cut where it is too long.
fn short(name: &str) -> String {
    let mut text: String = one_line(name).chars().take(MAX_NAME_CHARS).collect();
    if name.chars().count() > MAX_NAME_CHARS {
        text.push('…');
    }
    text
}

fn one_line(text: &str) -> String {
    let clean = |c: char| if is_harmful(c) { '\u{fffd}' } else { c };
    text.chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_calls_are_short() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.0, "0");
        check(0.0001, "<0.001");
        check(0.0421, "0.042");
        check(1.0, "1");
        check(2.983, "2.98");
        check(12.34, "12.3");
        check(100.0, "100");
        check(1_234.5, "1234");
    }

    #[test]
    fn names_are_short_and_on_one_line() {
        assert_eq!(short("a\nb\u{202e}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(short(&"ä".repeat(61)), format!("{}…", "ä".repeat(60)));
    }
}
