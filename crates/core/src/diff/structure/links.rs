//! Calls that only one side makes, and what they are besides: renamed, wrapped, moved, told by other spans.

use std::collections::{BTreeMap, BTreeSet};

use super::Change;
use super::document::StructureKind;
use crate::diff::paths::Paths;
use crate::diff::policy::ValuePolicy;
use crate::facts::Facts;
use crate::paths::{Label, NodeKind, PathId, PathNode, PathTree};

/// Calls that are as frequent as each other up to this may be one call told twice.
const SAME_RATE: f64 = 0.25;
/// Likeness of the children (Jaccard) from which two calls are one under another name.
const SAME_CHILDREN: f64 = 0.6;

/// A call that one side makes below work that both sides do.
#[derive(Debug, Clone)]
struct Link<'a> {
    id: PathId,
    node: &'a PathNode,
    parent: &'a PathNode,
    traces: u64,
    /// Calls per call of the parent.
    rate: f64,
    /// Calls per request of its type.
    per_request: f64,
    /// Probability of all its traces on this side by chance.
    p: f64,
    passes: bool,
    is_told: bool,
}

/// A side's calls by the parent they are below.
struct Tree<'a> {
    tree: &'a PathTree,
    children: BTreeMap<PathId, Vec<(PathId, &'a PathNode)>>,
}

impl<'a> Tree<'a> {
    fn of(facts: &'a Facts) -> Self {
        let mut children: BTreeMap<PathId, Vec<(PathId, &PathNode)>> = BTreeMap::new();
        for (id, node) in facts.paths().nodes() {
            if let Some(parent) = node.parent {
                children.entry(parent).or_default().push((*id, node));
            }
        }
        Self {
            tree: facts.paths(),
            children,
        }
    }

    /// What a call calls in turn: of a call between services, what the callee calls.
    fn called_by(&self, link: &Link<'_>) -> BTreeSet<&'a Label> {
        let children = self.children.get(&link.id).into_iter().flatten();
        if link.node.label.kind != NodeKind::Edge {
            return children.map(|(_, node)| &*node.label).collect();
        }
        let below = children.filter_map(|(id, _)| self.children.get(id));
        below.flatten().map(|(_, node)| &*node.label).collect()
    }

    fn children(&self, id: &PathId) -> impl Iterator<Item = &'a PathNode> {
        let children = self.children.get(id).into_iter().flatten();
        children.map(|(_, node)| *node)
    }
}

/// All changes of calls that only one side makes.
pub(super) fn changes(
    paths: &Paths<'_>,
    [baseline, candidate]: [&Facts; 2],
    policy: &ValuePolicy,
) -> Vec<Change> {
    let mut new = only_in(paths, 1, candidate, policy);
    let mut gone = only_in(paths, 0, baseline, policy);
    if new.is_empty() && gone.is_empty() {
        return Vec::new();
    }
    let trees = [baseline, candidate].map(Tree::of);
    let mut found = Vec::new();
    renames(&mut gone, &mut new, &trees, &mut found);
    wraps(
        &mut gone,
        &mut new,
        &trees[1],
        StructureKind::Wrapped,
        &mut found,
    );
    wraps(
        &mut new,
        &mut gone,
        &trees[0],
        StructureKind::Unwrapped,
        &mut found,
    );
    moves(&mut gone, &mut new, &mut found);
    for (links, kind) in [
        (new, StructureKind::NewCall),
        (gone, StructureKind::MissingCall),
    ] {
        let untold = links.into_iter().filter(|l| l.passes && !l.is_told);
        found.extend(untold.map(|link| {
            let traces = link.traces as f64;
            Change {
                kind,
                parent: Label::clone(&link.parent.label),
                child: Some(Label::clone(&link.node.label)),
                other: None,
                values: match kind {
                    StructureKind::NewCall => [0.0, traces],
                    _ => [traces, 0.0],
                },
                p: Some(link.p),
            }
        }));
    }
    found
}

/// Calls of a side that the other has not, below parents that it has.
fn only_in<'a>(
    paths: &Paths<'a>,
    side: usize,
    facts: &Facts,
    policy: &ValuePolicy,
) -> Vec<Link<'a>> {
    let occupied = facts.slice_traces().iter().filter(|s| s.traces > 0);
    let occupied = occupied.count();
    let mut requests = vec![0.0; paths.tops.len()];
    for path in paths.sides[side].iter().filter(|p| p.node.parent.is_none()) {
        requests[path.top as usize] = path.node.total.weight;
    }
    let mut found = Vec::new();
    for path in paths.sides[side].iter().filter(|p| p.twin.is_none()) {
        let Some(parent) = paths.parent(side, path).filter(|p| p.is_inside()) else {
            continue;
        };
        let Some(other) = parent
            .twin
            .map(|twin| &paths.sides[1 - side][twin as usize])
        else {
            continue;
        };
        let (cell, above) = (&path.node.total, &parent.node.total);
        let share = above.traces as f64 / (above.traces + other.node.total.traces).max(1) as f64;
        let p = share.powf(cell.traces as f64);
        found.push(Link {
            id: path.id,
            node: path.node,
            parent: parent.node,
            traces: cell.traces,
            rate: cell.calls / above.calls,
            per_request: cell.calls / requests[path.top as usize],
            p,
            passes: cell.traces >= policy.min_traces
                && path.node.slices.numbers().len() >= policy.min_slices.min(occupied)
                && p <= policy.max_p,
            is_told: false,
        });
    }
    found
}

fn is_same(x: f64, y: f64) -> bool {
    (x - y).abs() <= SAME_RATE * x.max(y)
}

/// Likeness of two calls' children.
fn likeness(x: &Link<'_>, y: &Link<'_>, trees: &[Tree<'_>; 2]) -> f64 {
    let (a, b) = (trees[0].called_by(x), trees[1].called_by(y));
    let all = a.union(&b).count();
    if all == 0 {
        return 1.0;
    }
    a.intersection(&b).count() as f64 / all as f64
}

/// A call of one parent that is gone, and one as frequent that is new, and calls the same: one under two names.
fn renames(
    gone: &mut [Link<'_>],
    new: &mut [Link<'_>],
    trees: &[Tree<'_>; 2],
    found: &mut Vec<Change>,
) {
    use NodeKind::{Dependency, Edge};
    for x in gone.iter_mut() {
        for y in new.iter_mut() {
            let is_pair = x.node.parent == y.node.parent
                && !x.is_told
                && !y.is_told
                && (x.passes || y.passes)
                && is_same(x.rate, y.rate);
            if !is_pair {
                continue;
            }
            let kind = match (x.node.label.kind, y.node.label.kind) {
                (Edge, Dependency) => StructureKind::InstrumentationLost,
                (Dependency, Edge) => StructureKind::InstrumentationGained,
                (a, b) if a == b && likeness(x, y, trees) >= SAME_CHILDREN => {
                    StructureKind::Renamed
                }
                _ => continue,
            };
            (x.is_told, y.is_told) = (true, true);
            found.push(Change {
                kind,
                parent: Label::clone(&x.parent.label),
                child: Some(Label::clone(&y.node.label)),
                other: Some(Label::clone(&x.node.label)),
                values: [x.rate, y.rate],
                p: None,
            });
        }
    }
}

/// Calls that are gone from below a parent and are made by something that is new below it, in `tree`. Turned round,
/// what came between is gone.
fn wraps(
    direct: &mut [Link<'_>],
    between: &mut [Link<'_>],
    tree: &Tree<'_>,
    kind: StructureKind,
    found: &mut Vec<Change>,
) {
    // One thing in between may have taken several calls; but what is another thing renamed is not in between.
    let is_free: Vec<bool> = between.iter().map(|y| !y.is_told).collect();
    for x in direct.iter_mut().filter(|x| !x.is_told) {
        for (y, is_free) in between.iter_mut().zip(&is_free) {
            if !is_free || x.node.parent != y.node.parent || !(x.passes || y.passes) {
                continue;
            }
            let inner = tree.children(&y.id).find(|n| n.label == x.node.label);
            let Some(inner) = inner else {
                continue;
            };
            let Some(above) = x.node.parent.and_then(|p| tree.tree.nodes().get(&p)) else {
                continue;
            };
            let rate = inner.total.calls / above.total.calls;
            if !is_same(x.rate, rate) {
                continue;
            }
            (x.is_told, y.is_told) = (true, true);
            found.push(Change {
                kind,
                parent: Label::clone(&x.parent.label),
                child: Some(Label::clone(&x.node.label)),
                other: Some(Label::clone(&y.node.label)),
                values: match kind {
                    StructureKind::Wrapped => [x.rate, rate],
                    _ => [rate, x.rate],
                },
                p: None,
            });
            break;
        }
    }
}

/// Calls that are gone below one parent and new below another.
fn moves(gone: &mut [Link<'_>], new: &mut [Link<'_>], found: &mut Vec<Change>) {
    for x in gone.iter_mut().filter(|x| !x.is_told) {
        let same_call = |y: &&mut Link<'_>| {
            !y.is_told
                && y.node.label == x.node.label
                && y.node.top == x.node.top
                && y.node.parent != x.node.parent
                && (x.passes || y.passes)
                && is_same(x.per_request, y.per_request)
        };
        let Some(y) = new.iter_mut().find(same_call) else {
            continue;
        };
        (x.is_told, y.is_told) = (true, true);
        found.push(Change {
            kind: StructureKind::Moved,
            parent: Label::clone(&y.parent.label),
            child: Some(Label::clone(&y.node.label)),
            other: Some(Label::clone(&x.parent.label)),
            values: [x.per_request, y.per_request],
            p: None,
        });
    }
}
