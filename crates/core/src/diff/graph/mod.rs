//! The service graphs of both sides and their diff: nodes and edges that are new, gone or changed.
//!
//! A node or edge is a group like any other, so the tests are those of groups, in a family of their own.

mod cap;
mod compare;
mod document;

pub use self::document::*;
use super::join::joined;
use super::judge::Evidence;
use super::policy::Policy;
use super::side::SideFacts;
use crate::paths::{GraphEdge, GraphItem};
use crate::stats::fdr::benjamini_hochberg;

/// A node or edge, and the evidence behind its judgements until all are known.
struct Open<T> {
    item: T,
    evidence: [Option<Evidence>; 3],
}

/// The graphs' diff; `None` where a side's facts were taken without its call tree.
pub(super) fn compare(
    baseline: &SideFacts<'_>,
    candidate: &SideFacts<'_>,
    policy: &Policy,
) -> Option<GraphDiff> {
    let sides = [baseline, candidate];
    if sides.iter().any(|side| side.facts.graph().is_empty()) {
        return None;
    }
    let mut nodes = Vec::new();
    let mut edges = Vec::new();
    for (item, counts) in joined(sides.map(|side| side.facts.graph().iter())) {
        let times = match item {
            GraphItem::Edge(edge) if !edge.is_dependency => {
                let gap = GraphItem::Gap(edge.clone());
                sides.map(|side| side.facts.graph().get(&gap))
            }
            _ => counts,
        };
        let open = || compare::groups(sides, counts, times, policy);
        match item {
            GraphItem::Service(name) => nodes.push(node(name, false, open())),
            GraphItem::Dependency(name) => nodes.push(node(name, true, open())),
            GraphItem::Edge(link) => edges.push(edge(link, open())),
            GraphItem::Gap(_) => {}
        }
    }
    judge(&mut nodes, &mut edges, policy);
    let nodes: Vec<GraphNodeDiff> = nodes.into_iter().map(|open| open.item).collect();
    let edges: Vec<GraphEdgeDiff> = edges.into_iter().map(|open| open.item).collect();
    let summary = GraphSummary {
        jaccard: jaccard(&edges),
        nodes: count(nodes.iter().map(|node| &node.comparison)),
        edges: count(edges.iter().map(|edge| &edge.comparison)),
    };
    let (mut nodes, nodes_left_out) = cap::nodes(nodes, &edges);
    let (mut edges, edges_left_out) = cap::edges(edges, &nodes);
    for node in &mut nodes {
        let item = match node.is_dependency {
            true => GraphItem::Dependency(node.name.clone()),
            false => GraphItem::Service(node.name.clone()),
        };
        compare::add_examples(&mut node.comparison, sides, &item);
    }
    for edge in &mut edges {
        let item = GraphItem::Edge(GraphEdge {
            caller: edge.caller.clone(),
            callee: edge.callee.clone(),
            is_dependency: edge.is_dependency,
            is_async: edge.is_async,
        });
        compare::add_examples(&mut edge.comparison, sides, &item);
    }
    Some(GraphDiff {
        summary,
        nodes,
        edges,
        nodes_left_out,
        edges_left_out,
    })
}

fn node(name: &str, is_dependency: bool, open: Open<GraphComparison>) -> Open<GraphNodeDiff> {
    Open {
        item: GraphNodeDiff {
            name: name.to_owned(),
            is_dependency,
            comparison: open.item,
        },
        evidence: open.evidence,
    }
}

fn edge(edge: &GraphEdge, open: Open<GraphComparison>) -> Open<GraphEdgeDiff> {
    Open {
        item: GraphEdgeDiff {
            caller: edge.caller.clone(),
            callee: edge.callee.clone(),
            is_dependency: edge.is_dependency,
            is_async: edge.is_async,
            comparison: open.item,
        },
        evidence: open.evidence,
    }
}

/// Corrects the p-values of all nodes and edges together, and replaces the judgements.
fn judge(nodes: &mut [Open<GraphNodeDiff>], edges: &mut [Open<GraphEdgeDiff>], policy: &Policy) {
    let mut open: Vec<(&mut GraphComparison, &[Option<Evidence>; 3])> = Vec::new();
    open.extend(
        nodes
            .iter_mut()
            .map(|n| (&mut n.item.comparison, &n.evidence)),
    );
    open.extend(
        edges
            .iter_mut()
            .map(|e| (&mut e.item.comparison, &e.evidence)),
    );
    let p_values: Vec<f64> = open
        .iter()
        .flat_map(|(_, evidence)| evidence.iter().flatten())
        .map(|evidence| evidence.p.unwrap_or(f64::NAN))
        .collect();
    let mut q_values = benjamini_hochberg(&p_values).into_iter();
    for (comparison, evidence) in open {
        let judgements = evidence.map(|evidence| {
            let evidence = evidence?;
            let q = q_values.next().filter(|q| !q.is_nan());
            Some(evidence.judge(q, policy))
        });
        compare::settle(comparison, judgements);
    }
}

/// Σ min / Σ max of calls per trace.
fn jaccard(edges: &[GraphEdgeDiff]) -> Option<f64> {
    let (mut least, mut most) = (0.0, 0.0);
    for edge in edges {
        let [a, b] = per_trace(&edge.comparison);
        least += a.min(b);
        most += a.max(b);
    }
    (most > 0.0).then(|| least / most)
}

fn per_trace(comparison: &GraphComparison) -> [f64; 2] {
    [&comparison.baseline, &comparison.candidate]
        .map(|side| side.as_ref().map_or(0.0, |side| side.per_trace))
}

fn count<'a>(all: impl Iterator<Item = &'a GraphComparison>) -> GraphCounts {
    let mut counts = GraphCounts::default();
    for comparison in all {
        *match comparison.change {
            GraphChange::New => &mut counts.new,
            GraphChange::Gone => &mut counts.gone,
            GraphChange::Changed => &mut counts.changed,
            GraphChange::Unchanged => &mut counts.unchanged,
            GraphChange::Inconclusive => &mut counts.inconclusive,
        } += 1;
    }
    counts
}
