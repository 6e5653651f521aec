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
    /// Place of the same path among the other side's.
    pub(super) twin: Option<u32>,
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
        let label_ids = trees.map(|tree| -> Vec<PathId> {
            let nodes = tree.nodes().values();
            nodes.map(|node| PathId::below(None, &node.label)).collect()
        });
        let all = || trees.iter().flat_map(|tree| tree.nodes());
        let (labels, label_numbers) = numbered(
            label_ids
                .iter()
                .flatten()
                .zip(all())
                .map(|(id, (_, node))| (*id, &node.label)),
        );
        let tops = all().filter(|(_, node)| node.parent.is_none());
        let (tops, top_numbers) = numbered(tops.map(|(id, node)| (*id, &node.label)));
        let places = trees.map(|tree| -> HashMap<PathId, u32, FixedState> {
            let ids = tree.nodes().keys();
            (0..).zip(ids).map(|(place, id)| (*id, place)).collect()
        });
        let sides = [0, 1].map(|side| {
            let place = |side: usize, id: &PathId| places[side].get(id).copied();
            let path = |((id, node), label): ((&PathId, &'a PathNode), &PathId)| PathAt {
                id: *id,
                node,
                total: node.total(),
                label: label_numbers[label],
                top: top_numbers[&node.top],
                parent: node.parent.and_then(|parent| place(side, &parent)),
                twin: place(1 - side, id),
            };
            let nodes = trees[side].nodes().iter();
            nodes.zip(&label_ids[side]).map(path).collect()
        });
        Self {
            labels,
            tops,
            sides,
        }
    }

    /// The parent of a path of a side.
    pub(super) fn parent(&self, side: usize, path: &PathAt<'a>) -> Option<&PathAt<'a>> {
        Some(&self.sides[side][path.parent? as usize])
    }

    /// All paths by id: the baseline's and the candidate's.
    pub(super) fn each(&self) -> impl Iterator<Item = [Option<&PathAt<'a>>; 2]> {
        let [mut a, mut b] = self.sides.each_ref().map(|side| side.iter().peekable());
        std::iter::from_fn(move || {
            let first = a.peek().map(|p| p.id).into_iter();
            let first = first.chain(b.peek().map(|p| p.id)).min()?;
            Some([
                a.next_if(|path| path.id == first),
                b.next_if(|path| path.id == first),
            ])
        })
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

/// The labels by number, in order of their ids, and the numbers by id.
fn numbered<'a>(
    all: impl Iterator<Item = (PathId, &'a Label)>,
) -> (Vec<&'a Label>, HashMap<PathId, u32, FixedState>) {
    let mut labels: Vec<(PathId, &Label)> = all.collect();
    labels.sort_unstable_by_key(|(id, _)| *id);
    labels.dedup_by_key(|(id, _)| *id);
    let numbers = (0..).zip(&labels).map(|(number, (id, _))| (*id, number));
    let numbers = numbers.collect();
    (labels.into_iter().map(|(_, l)| l).collect(), numbers)
}
