//! The paths of both sides, with their labels and requests in numbers: whoever goes through twenty thousand paths
//! several times should not compare names each time.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::paths::{Label, NodeKind, PathCell, PathId, PathNode, PathTree};

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
    /// The sums over all slices.
    pub(super) total: PathCell,
    /// Number of its label, and of its top.
    pub(super) label: u32,
    pub(super) top: u32,
    /// Place of its parent among the side's paths.
    pub(super) parent: Option<u32>,
}

impl PathAt<'_> {
    /// Whether it is a request.
    pub(super) fn is_request(&self) -> bool {
        self.node.label.kind == NodeKind::Request
    }

    /// Whether it is neither a request nor a fragment, which stand for whole trees.
    pub(super) fn is_inside(&self) -> bool {
        !matches!(self.node.label.kind, NodeKind::Request | NodeKind::Fragment)
    }
}

impl<'a> Paths<'a> {
    pub(super) fn of(trees: [&'a PathTree; 2]) -> Self {
        let all = || trees.iter().flat_map(|tree| tree.nodes());
        let mut labels: Vec<(PathId, &Label)> = all()
            .map(|(_, node)| (PathId::below(None, &node.label), &node.label))
            .collect();
        labels.sort_unstable_by_key(|(id, _)| *id);
        labels.dedup_by_key(|(id, _)| *id);
        let mut tops: Vec<(PathId, &Label)> = all()
            .filter(|(_, node)| node.parent.is_none())
            .map(|(id, node)| (*id, &node.label))
            .collect();
        tops.sort_unstable_by_key(|(id, _)| *id);
        tops.dedup_by_key(|(id, _)| *id);
        let numbers = |list: &[(PathId, &Label)]| -> HashMap<PathId, u32, FixedState> {
            (0..)
                .zip(list)
                .map(|(number, (id, _))| (*id, number))
                .collect()
        };
        let (label_numbers, top_numbers) = (numbers(&labels), numbers(&tops));
        let sides = trees.map(|tree| {
            let places: HashMap<PathId, u32, FixedState> = (0..)
                .zip(tree.nodes().keys())
                .map(|(place, id)| (*id, place))
                .collect();
            let path = |(id, node): (&PathId, &'a PathNode)| PathAt {
                id: *id,
                node,
                total: node.total(),
                label: label_numbers[&PathId::below(None, &node.label)],
                top: top_numbers[&node.top],
                parent: node.parent.and_then(|parent| places.get(&parent).copied()),
            };
            tree.nodes().iter().map(path).collect()
        });
        let names = |list: Vec<(PathId, &'a Label)>| list.into_iter().map(|(_, l)| l).collect();
        Self {
            labels: names(labels),
            tops: names(tops),
            sides,
        }
    }
}
