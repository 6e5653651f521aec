//! How far the sets of children that calls have moved, beyond what chance does.

use std::collections::BTreeMap;

use super::document::{BranchingShift, ChildSet};
use crate::diff::paths::{PathAt, Paths};
use crate::facts::Facts;
use crate::paths::{Label, NodeKind, PathTree, Signature};

/// Excess that is worth telling: below it a parent's choices hardly moved.
const MIN_EXCESS: f64 = 0.05;
/// Traces with the parent that either side needs.
const MIN_TRACES: u64 = 20;
/// Shifts that are told, and sets of each.
const LISTED: usize = 10;
const SETS: usize = 4;

/// The parents whose choices moved, furthest first.
pub(super) fn shifts(paths: &Paths<'_>, sides: [&Facts; 2]) -> Vec<BranchingShift> {
    let work = paths
        .pairs()
        .filter(|[_, after]| after.kind == NodeKind::Work);
    let trees = sides.map(Facts::paths);
    let mut found: Vec<BranchingShift> = work
        .filter_map(|pair| shift(trees, pair, paths.tops[pair[1].top as usize]))
        .collect();
    found.sort_by(|x, y| y.excess.total_cmp(&x.excess));
    found.truncate(LISTED);
    found
}

fn shift(
    trees: [&PathTree; 2],
    paths: [&PathAt<'_>; 2],
    request: &Label,
) -> Option<BranchingShift> {
    let nodes = paths.map(|path| path.node);
    let cells = paths.map(|path| &path.node.total);
    if cells
        .iter()
        .any(|c| c.traces < MIN_TRACES || c.calls <= 0.0)
    {
        return None;
    }
    let mut shares: BTreeMap<Option<Signature>, [f64; 2]> = BTreeMap::new();
    for side in [0, 1] {
        let calls = cells[side].calls;
        shares.entry(None).or_default()[side] = cells[side].childless / calls;
        for (signature, with) in nodes[side].total_signatures() {
            shares.entry(Some(signature)).or_default()[side] = with / calls;
        }
    }
    let n = cells.map(|c| c.traces as f64);
    let (mut distance, mut expected) = (0.0, 0.0);
    for [before, after] in shares.values() {
        let pooled = (n[0] * before + n[1] * after) / (n[0] + n[1]);
        let variance = pooled * (1.0 - pooled).max(0.0) * (1.0 / n[0] + 1.0 / n[1]);
        distance += (after - before).abs() / 2.0;
        // The mean of a normal variable's absolute value.
        expected += (2.0 / std::f64::consts::PI * variance).sqrt() / 2.0;
    }
    let excess = distance - 2.0 * expected;
    if excess < MIN_EXCESS {
        return None;
    }
    let mut sets: Vec<ChildSet> = shares
        .into_iter()
        .map(|(signature, ratio)| ChildSet {
            children: match signature {
                None => Some(Vec::new()),
                Some(s) => trees.iter().find_map(|t| t.children(s)).map(<[_]>::to_vec),
            },
            ratio: ratio.into(),
        })
        .collect();
    let change = |set: &ChildSet| (set.ratio.candidate - set.ratio.baseline).abs();
    sets.sort_by(|x, y| change(y).total_cmp(&change(x)));
    sets.truncate(SETS);
    Some(BranchingShift {
        parent: Label::clone(&nodes[1].label),
        request: request.clone(),
        distance,
        expected,
        excess,
        sets,
    })
}
