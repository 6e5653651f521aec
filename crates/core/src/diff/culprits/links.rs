//! Who decides how often a path is taken.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::ledger::{Mix, Sums};
use crate::diff::paths::Paths;
use crate::paths::{NodeKind, PathCell, PathId, PathNode};

/// One path on both sides.
struct Link<'a> {
    node: &'a PathNode,
    sums: [PathCell; 2],
    label: u32,
    top: u32,
    parent: Option<PathId>,
    /// Whose decision it is how often the path is taken from its parent.
    caller: &'a str,
}

/// All paths of both sides.
pub(super) struct Links<'a> {
    links: Vec<Link<'a>>,
    places: HashMap<PathId, u32, FixedState>,
    /// Places of the paths below a top.
    of_top: Vec<Vec<u32>>,
}

/// What more or fewer calls are worth, by label and by the service that makes them.
pub(super) type Callers<'a> = HashMap<u32, Vec<(&'a str, f64)>, FixedState>;

impl<'a> Links<'a> {
    pub(super) fn between(paths: &Paths<'a>) -> Self {
        let mut all = Self {
            links: Vec::new(),
            places: HashMap::default(),
            of_top: vec![Vec::new(); paths.tops.len()],
        };
        for (side, list) in paths.sides.iter().enumerate() {
            for path in list {
                let place = *all.places.entry(path.id).or_insert_with(|| {
                    let parent = path.parent.map(|p| &list[p as usize]);
                    let caller: &'a str = match (path.node.label.kind, parent) {
                        (NodeKind::Work, Some(parent)) => &parent.node.label.service,
                        _ => &path.node.label.service,
                    };
                    all.of_top[path.top as usize].push(all.links.len() as u32);
                    all.links.push(Link {
                        node: path.node,
                        sums: [PathCell::default(); 2],
                        label: path.label,
                        top: path.top,
                        parent: path.node.parent,
                        caller,
                    });
                    all.links.len() as u32 - 1
                });
                all.links[place as usize].sums[side] = path.total;
            }
        }
        all
    }

    /// What more or fewer calls are worth at a mix, by label and by the service that makes them: Σ over paths of
    /// Δ(calls) · mean time per call, the exact midpoint decomposition.
    pub(super) fn callers(&self, sides: [&Sums<'_, '_>; 2], mix: &Mix) -> Callers<'a> {
        let mut all = Callers::default();
        let mut add = |link: &Link<'a>| {
            let is_top = matches!(link.node.label.kind, NodeKind::Request | NodeKind::Fragment);
            let Some(share) = mix
                .share(link.top)
                .filter(|_| link.node.is_awaited && !is_top)
            else {
                return;
            };
            let weights = sides.map(|s| s.request(link.top).map_or(0.0, |r| r.total.weight));
            let calls = [0, 1].map(|side| link.sums[side].calls / weights[side]);
            let time = [0, 1].map(|side| {
                let sums = &link.sums[side];
                (sums.calls > 0.0).then(|| sums.critical_ns / sums.calls)
            });
            let (Some(before), Some(after)) = (time[0].or(time[1]), time[1].or(time[0])) else {
                return;
            };
            let worth = share * (calls[1] - calls[0]) * f64::midpoint(before, after);
            let caller = self.caller(link, worth > 0.0);
            let of_label = all.entry(link.label).or_default();
            match of_label.iter_mut().find(|(name, _)| *name == caller) {
                Some((_, sum)) => *sum += worth,
                None => of_label.push((caller, worth)),
            }
        };
        match mix {
            Mix::One(top) => {
                let places = self.of_top[*top as usize].iter();
                places.for_each(|place| add(&self.links[*place as usize]));
            }
            Mix::All(_) => self.links.iter().for_each(add),
        }
        all
    }

    /// The service that calls differently: at the link from the request down to this path where calls per call of the
    /// parent changed most.
    fn caller(&self, link: &Link<'a>, more: bool) -> &'a str {
        let mut most = 0.0;
        let mut caller = link.caller;
        let mut at = Some(link);
        while let Some(link) = at {
            let parent = link.parent.and_then(|p| self.places.get(&p));
            let parent = parent.map(|place| &self.links[*place as usize]);
            let ratio = [0, 1].map(|side| {
                let above = parent.map_or(0.0, |p: &Link<'_>| p.sums[side].calls);
                (above > 0.0).then(|| link.sums[side].calls / above)
            });
            if let [Some(before), Some(after)] = ratio {
                // Near nothing, a little more is not many times more.
                let change = ((after + 0.01) / (before + 0.01)).ln();
                if (change > 0.0) == more && change.abs() > most {
                    most = change.abs();
                    caller = link.caller;
                }
            }
            at = parent;
        }
        caller
    }
}
