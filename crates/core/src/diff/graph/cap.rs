//! How much of a graph the document holds, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::document::{GraphChange, GraphComparison, GraphEdgeDiff, GraphNodeDiff};
use super::per_trace;

/// The most nodes and edges: past these nobody looks at a drawing.
const MAX_NODES: usize = 200;
const MAX_EDGES: usize = 500;

/// What decides about a node or edge.
#[derive(Debug, Clone, Copy, Default)]
struct Importance {
    is_change: bool,
    /// Calls per trace of either side.
    per_trace: [f64; 2],
}

impl Importance {
    fn of(comparison: &GraphComparison) -> Self {
        use GraphChange::{Changed, Gone, New};
        Self {
            is_change: matches!(comparison.change, New | Gone | Changed),
            per_trace: per_trace(comparison),
        }
    }

    fn add(&mut self, other: Self, calls: bool) {
        self.is_change |= other.is_change;
        if calls {
            self.per_trace[0] += other.per_trace[0];
            self.per_trace[1] += other.per_trace[1];
        }
    }

    fn most_calls(&self) -> f64 {
        self.per_trace[0].max(self.per_trace[1])
    }
}

/// The nodes that get and make most calls, and how many others there are.
pub(super) fn nodes(
    nodes: Vec<GraphNodeDiff>,
    edges: &[GraphEdgeDiff],
) -> (Vec<GraphNodeDiff>, usize) {
    let mut of_edges: BTreeMap<(&str, bool), Importance> = BTreeMap::new();
    for edge in edges {
        let importance = Importance::of(&edge.comparison);
        // Calls that come in are among the node's own.
        let caller = of_edges.entry((&edge.caller, false)).or_default();
        caller.add(importance, true);
        let callee = of_edges.entry((&edge.callee, edge.is_dependency));
        callee.or_default().add(importance, false);
    }
    let ranked = nodes.into_iter().map(|node| {
        let mut importance = Importance::of(&node.comparison);
        if let Some(of_edges) = of_edges.get(&(node.name.as_str(), node.is_dependency)) {
            importance.add(*of_edges, true);
        }
        (importance, node)
    });
    most_important(ranked.collect(), MAX_NODES)
}

/// The edges with most calls between these nodes, and how many others there are.
pub(super) fn edges(
    edges: Vec<GraphEdgeDiff>,
    nodes: &[GraphNodeDiff],
) -> (Vec<GraphEdgeDiff>, usize) {
    let mut kept: Vec<(&str, bool)> = nodes
        .iter()
        .map(|node| (node.name.as_str(), node.is_dependency))
        .collect();
    kept.sort_unstable();
    let has = |name: &str, is_dependency| kept.binary_search(&(name, is_dependency)).is_ok();
    let all = edges.len();
    let between = edges
        .into_iter()
        .filter(|edge| has(&edge.caller, false) && has(&edge.callee, edge.is_dependency))
        .map(|edge| (Importance::of(&edge.comparison), edge));
    let (edges, _) = most_important(between.collect(), MAX_EDGES);
    let left_out = all - edges.len();
    (edges, left_out)
}

/// Most calls first; past the cap what changed is kept before what did not.
fn most_important<T>(mut all: Vec<(Importance, T)>, cap: usize) -> (Vec<T>, usize) {
    // Sorting is stable, and everything comes by name.
    let by_calls =
        |x: &(Importance, T), y: &(Importance, T)| y.0.most_calls().total_cmp(&x.0.most_calls());
    all.sort_by(by_calls);
    let left_out = all.len().saturating_sub(cap);
    if left_out > 0 {
        all.sort_by_key(|(importance, _)| Reverse(importance.is_change));
        all.truncate(cap);
        all.sort_by(by_calls);
    }
    (all.into_iter().map(|(_, item)| item).collect(), left_out)
}
