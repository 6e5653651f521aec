//! The paths of both sides, with their labels and requests in numbers: whoever goes through twenty thousand paths
//! several times should not compare names each time.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::join::joined;
use crate::paths::{Label, NodeKind, PathId, PathNode, PathTree};

/// The paths of both sides.
pub(super) struct Paths<'a> {
    /// Labels by number, in an order that does not depend on the sides.
    pub(super) labels: Vec<&'a Label>,
    /// Tops by number: the paths of requests and fragments.
    pub(super) tops: Vec<&'a Label>,
    /// The baseline's and the candidate's, in order of their ids.
    pub(super) sides: [Vec<PathAt<'a>>; 2],
}

/// A path of one side.
pub(super) struct PathAt<'a> {
    pub(super) id: PathId,
    pub(super) node: &'a PathNode,
    pub(super) kind: NodeKind,
    /// Number of its label, and of its top.
    pub(super) label: u32,
    pub(super) top: u32,
    /// Place of its parent among the side's paths.
    pub(super) parent: Option<u32>,
    /// Place of the same path among the other side's.
    pub(super) twin: Option<u32>,
}

impl PathAt<'_> {
    /// Whether it is a request.
    pub(super) fn is_request(&self) -> bool {
        self.kind == NodeKind::Request
    }

    /// Whether it is neither a request nor a fragment, which stand for whole trees.
    pub(super) fn is_inside(&self) -> bool {
        !matches!(self.kind, NodeKind::Request | NodeKind::Fragment)
    }

    /// Whether the time that requests or fragments take can be spent there.
    pub(super) fn takes_time(&self) -> bool {
        self.node.is_awaited && self.is_inside()
    }
}

impl<'a> Paths<'a> {
    pub(super) fn of(trees: [&'a PathTree; 2]) -> Self {
        let nodes = || trees.iter().flat_map(|tree| tree.nodes());
        let labels = Numbers::of(nodes().map(|(_, node)| &node.label));
        let all_tops = || nodes().filter(|(_, node)| node.parent.is_none());
        let tops = Numbers::of(all_tops().map(|(_, node)| &node.label));
        let top_numbers: HashMap<PathId, u32, FixedState> = all_tops()
            .map(|(id, node)| (*id, tops.number(&node.label)))
            .collect();
        let places = trees.map(|tree| -> HashMap<PathId, u32, FixedState> {
            let ids = tree.nodes().keys();
            (0..).zip(ids).map(|(place, id)| (*id, place)).collect()
        });
        let mut sides = [0, 1].map(|side| {
            let mut paths: Vec<PathAt<'_>> = Vec::with_capacity(trees[side].nodes().len());
            for (id, node) in trees[side].nodes() {
                paths.push(PathAt {
                    id: *id,
                    node,
                    kind: node.label.kind,
                    label: labels.number(&node.label),
                    top: top_numbers[&node.top],
                    parent: node.parent.and_then(|id| places[side].get(&id).copied()),
                    twin: None,
                });
            }
            paths
        });
        let [a, b] = &mut sides;
        let mut first = 0;
        for (place, after) in (0..).zip(b.iter_mut()) {
            first += a[first..]
                .iter()
                .take_while(|path| path.id < after.id)
                .count();
            if let Some(before) = a.get_mut(first).filter(|path| path.id == after.id) {
                after.twin = Some(first as u32);
                before.twin = Some(place);
            }
        }
        Self {
            labels: labels.labels,
            tops: tops.labels,
            sides,
        }
    }

    /// The parent of a path of a side.
    pub(super) fn parent(&self, side: usize, path: &PathAt<'a>) -> Option<&PathAt<'a>> {
        Some(&self.sides[side][path.parent? as usize])
    }

    /// All paths by id: the baseline's and the candidate's.
    pub(super) fn each(&self) -> impl Iterator<Item = [Option<&PathAt<'a>>; 2]> {
        let sides = self.sides.each_ref();
        joined(sides.map(|side| side.iter().map(|path| (path.id, path)))).map(|(_, paths)| paths)
    }

    /// The paths that both sides have: the baseline's and the candidate's.
    pub(super) fn pairs(&self) -> impl Iterator<Item = [&PathAt<'a>; 2]> {
        let [a, b] = &self.sides;
        let pair = |after| -> Option<[&PathAt<'a>; 2]> {
            let after: &PathAt<'a> = after;
            Some([&a[after.twin? as usize], after])
        };
        b.iter().filter_map(pair)
    }
}

/// Labels by number, in order of their ids, and the numbers by where a tree keeps the label.
struct Numbers<'a> {
    labels: Vec<&'a Label>,
    numbers: HashMap<*const Label, u32, FixedState>,
}

impl<'a> Numbers<'a> {
    fn of(all: impl Iterator<Item = &'a Arc<Label>>) -> Self {
        let mut kept: HashMap<*const Label, &'a Label, FixedState> = HashMap::default();
        for label in all {
            kept.entry(Arc::as_ptr(label)).or_insert(label);
        }
        let id = |label: &'a Label| (PathId::below(None, label), label);
        let mut labels: Vec<(PathId, &Label)> = kept.into_values().map(id).collect();
        labels.sort_unstable_by_key(|(id, _)| *id);
        let mut numbers = HashMap::default();
        let mut number = 0;
        for (i, (id, label)) in labels.iter().enumerate() {
            number += u32::from(i > 0 && labels[i - 1].0 != *id);
            numbers.insert(std::ptr::from_ref(*label), number);
        }
        labels.dedup_by_key(|(id, _)| *id);
        Self {
            labels: labels.into_iter().map(|(_, label)| label).collect(),
            numbers,
        }
    }

    fn number(&self, label: &Arc<Label>) -> u32 {
        self.numbers[&Arc::as_ptr(label)]
    }
}
