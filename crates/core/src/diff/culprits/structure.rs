//! Which services branch differently: calls that went missing or came new, within one type of request.

use std::collections::BTreeMap;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::document::BranchChange;
use crate::diff::paths::{PathAt, Paths};
use crate::paths::{Label, NodeKind, PathCell};
use crate::stats::strata::{StrataTest, Stratum};

/// Standard errors that a change must exceed, over all types of requests and within a single one, of which there are
/// many; and the share of the parent's calls.
const MIN_Z: f64 = 4.5;
const MIN_SINGLE_Z: f64 = 5.0;
const MIN_EFFECT: f64 = 0.10;
/// Calls of the parent that the baseline and the candidate need.
const MIN_CALLS: [f64; 2] = [5.0, 3.0];
/// More standard errors than this count as this many.
const MAX_Z: f64 = 10.0;
/// Changes that balance each other up to this are one thing under another name.
const SAME_RATE: f64 = 0.25;
/// A child in a smaller share of its parent's calls than this is as good as absent.
const ABSENT: f64 = 0.02;

/// A change of how often a parent has a child.
#[derive(Debug, Clone)]
pub(in crate::diff) struct Branch {
    /// The parent.
    pub(in crate::diff) parent: Label,
    /// The child; `None` for "no child at all".
    pub(in crate::diff) child: Option<Label>,
    /// Change of the share of the parent's calls that have the child.
    pub(in crate::diff) effect: f64,
    /// The share before and after.
    pub(in crate::diff) shares: [f64; 2],
    /// The change in standard errors.
    pub(in crate::diff) z: f64,
}

impl Branch {
    /// How much it says about its parent's service.
    pub(super) fn strength(&self) -> f64 {
        self.z.abs().min(MAX_Z) * self.effect.abs().sqrt() / 2.0
    }

    pub(super) fn change(&self) -> BranchChange {
        BranchChange {
            parent: self.parent.clone(),
            child: self.child.clone(),
            ratio: self.shares.into(),
            z: self.z,
        }
    }
}

/// Calls of one parent in requests of one type.
#[derive(Debug, Clone, Default)]
struct Calls {
    /// Raw traces with the parent: what counts as independent, since calls of one trace are alike.
    traces: f64,
    /// Calls that failed because something they waited for did, weighted.
    errors: f64,
    weighted: f64,
    childless: f64,
    /// Where its children are, and its children's children that are work of the same service.
    with: Range<usize>,
    through: Range<usize>,
}

impl Calls {
    fn add(&mut self, total: &PathCell) {
        self.traces += total.traces as f64;
        self.errors += total.errors - total.origins;
        self.weighted += total.calls;
        self.childless += total.childless;
    }
}

/// A child by what it is, whether or not it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Child<'a> {
    kind: NodeKind,
    service: &'a str,
    peer: &'a str,
    operation: &'a str,
}

impl<'a> Child<'a> {
    fn of(label: &'a Label) -> Self {
        Self {
            kind: label.kind,
            service: &label.service,
            peer: &label.peer,
            operation: &label.operation,
        }
    }

    fn label(&self) -> Label {
        Label {
            kind: self.kind,
            is_async: false,
            service: self.service.to_owned(),
            peer: self.peer.to_owned(),
            operation: self.operation.to_owned(),
        }
    }
}

/// Calls by parent and type of request, both in numbers.
#[derive(Default)]
struct Branching {
    /// In order of the parents, and of the types.
    calls: Vec<((u32, u32), Calls)>,
    /// Calls that have a child: of every parent and type in order of the children.
    with: Vec<(u32, f64)>,
    through: Vec<(u32, f64)>,
}

impl Branching {
    fn of_parent(&self, parent: u32) -> &[((u32, u32), Calls)] {
        let from = self.calls.partition_point(|((p, _), _)| *p < parent);
        let rest = &self.calls[from..];
        &rest[..rest.partition_point(|((p, _), _)| *p == parent)]
    }

    fn with(&self, calls: &Calls) -> &[(u32, f64)] {
        &self.with[calls.with.clone()]
    }

    fn through(&self, calls: &Calls) -> &[(u32, f64)] {
        &self.through[calls.through.clone()]
    }
}

/// The calls that have this child.
fn having(children: &[(u32, f64)], child: u32) -> f64 {
    let place = children.binary_search_by_key(&child, |(c, _)| *c);
    place.map_or(0.0, |place| children[place].1)
}

/// Sums of calls by place and child, one list after the other, and where the list of every place is.
fn by_place(mut sums: Vec<(u32, u32, f64)>, places: usize) -> (Vec<(u32, f64)>, Vec<Range<usize>>) {
    sums.sort_unstable_by_key(|(place, child, _)| (*place, *child));
    let mut all: Vec<(u32, f64)> = Vec::with_capacity(sums.len());
    let mut ranges = vec![0..0; places];
    for of_place in sums.chunk_by(|x, y| x.0 == y.0) {
        let from = all.len();
        let of_child = of_place.chunk_by(|x, y| x.1 == y.1);
        all.extend(of_child.map(|same| (same[0].1, same.iter().map(|x| x.2).sum())));
        ranges[of_place[0].0 as usize] = from..all.len();
    }
    (all, ranges)
}

/// Children in numbers.
struct Children<'a> {
    children: Vec<Child<'a>>,
    /// By the number of the label.
    of_label: Vec<u32>,
}

impl<'a> Children<'a> {
    fn of(paths: &Paths<'a>) -> Self {
        let mut numbers: HashMap<Child<'a>, u32, FixedState> = HashMap::default();
        let mut children = Vec::new();
        let number = |label: &&'a Label| {
            let child = Child::of(label);
            *numbers.entry(child).or_insert_with(|| {
                children.push(child);
                children.len() as u32 - 1
            })
        };
        let of_label = paths.labels.iter().map(number).collect();
        Self { children, of_label }
    }

    fn label(&self, number: u32) -> Label {
        self.children[number as usize].label()
    }
}

fn branching(paths: &Paths<'_>, children: &Children<'_>, side: usize) -> Branching {
    let nodes = &paths.sides[side];
    let number = |path: &PathAt<'_>| children.of_label[path.label as usize];
    let is_inside_request =
        |path: &PathAt<'_>| paths.tops[path.top as usize].kind == NodeKind::Request;
    let mut parents: Vec<((u32, u32), u32)> = (0..)
        .zip(nodes)
        .filter(|(_, path)| path.kind == NodeKind::Work && is_inside_request(path))
        .map(|(at, path)| ((number(path), path.top), at))
        .collect();
    parents.sort_unstable();
    let mut all = Branching::default();
    let mut place_of: Vec<Option<u32>> = vec![None; nodes.len()];
    for same in parents.chunk_by(|x, y| x.0 == y.0) {
        let mut calls = Calls::default();
        for (_, at) in same {
            place_of[*at as usize] = Some(all.calls.len() as u32);
            calls.add(&nodes[*at as usize].node.total);
        }
        all.calls.push((same[0].0, calls));
    }
    let (mut with, mut through) = (Vec::new(), Vec::new());
    for path in nodes {
        let Some(parent) = path.parent else {
            continue;
        };
        let Some(place) = place_of[parent as usize] else {
            continue;
        };
        let present = path.node.total.present;
        with.push((place, number(path), present));
        let parent = &nodes[parent as usize];
        let above = parent.parent.and_then(|at| {
            let is_inside = nodes[at as usize].node.label.service == parent.node.label.service;
            place_of[at as usize].filter(|_| is_inside)
        });
        through.extend(above.map(|place| (place, number(path), present)));
    }
    let places = all.calls.len();
    let (with, of_with) = by_place(with, places);
    let (through, of_through) = by_place(through, places);
    let ranges = of_with.into_iter().zip(of_through);
    for ((_, calls), (with, through)) in all.calls.iter_mut().zip(ranges) {
        (calls.with, calls.through) = (with, through);
    }
    Branching {
        with,
        through,
        ..all
    }
}

/// The test over strata, where there are calls enough.
fn test(strata: &[Stratum]) -> Option<StrataTest> {
    let calls = |side: usize| strata.iter().map(|s| s.n[side]).sum::<f64>();
    let has_few = (0..2).any(|side| calls(side) < MIN_CALLS[side]);
    StrataTest::new(strata).filter(|_| !has_few)
}

/// A request that aborts before it calls anyone is of another type than before: more calls without any child than
/// before, over all types with one root operation.
fn aborts(roots: &[u32], [types_a, types_b]: [&[((u32, u32), Calls)]; 2]) -> Option<StrataTest> {
    let by_root = |types: &[((u32, u32), Calls)]| {
        let mut sums: BTreeMap<u32, [f64; 3]> = BTreeMap::new();
        for ((_, top), calls) in types {
            let sums = sums.entry(roots[*top as usize]).or_default();
            sums[0] += calls.traces;
            sums[1] += calls.weighted;
            sums[2] += calls.childless;
        }
        sums
    };
    let (a, b) = (by_root(types_a), by_root(types_b));
    let strata: Vec<Stratum> = a
        .iter()
        .filter_map(|(root, x)| {
            let y = b.get(root)?;
            Some(Stratum {
                n: [x[0], y[0]],
                share: [x[2] / x[1], y[2] / y[1]],
            })
        })
        .collect();
    let single = strata.iter().map(std::slice::from_ref);
    single
        .filter_map(test)
        .filter(|t| t.effect > 0.0)
        .max_by(|x, y| x.effect.total_cmp(&y.effect))
}

/// For every top the number of its root operation.
fn root_numbers<'a>(tops: &[&'a Label]) -> Vec<u32> {
    let mut numbers: HashMap<(&'a str, &'a str), u32, FixedState> = HashMap::default();
    let number = |top: &&'a Label| {
        let next = numbers.len() as u32;
        let root = (top.service.as_str(), top.operation.as_str());
        *numbers.entry(root).or_insert(next)
    };
    tops.iter().map(number).collect()
}

/// All changes that are big and sure enough, strongest first, and what took the place of what.
pub(super) fn changes(paths: &Paths<'_>) -> (Vec<Branch>, Replaced) {
    let mut replaced = Replaced::new();
    let all = Children::of(paths);
    let roots = root_numbers(&paths.tops);
    let sides = [0, 1].map(|side| branching(paths, &all, side));
    let mut found = Vec::new();
    for parent in 0..all.children.len() as u32 {
        let types = sides.each_ref().map(|side| side.of_parent(parent));
        let both: Vec<(&Calls, &Calls)> = types[0]
            .iter()
            .filter_map(|(key, calls)| {
                let other = types[1].binary_search_by_key(key, |(k, _)| *k).ok()?;
                Some((calls, &types[1][other].1))
            })
            .filter(|(x, y)| x.weighted > 0.0 && y.weighted > 0.0)
            .collect();
        let mut children: Vec<Option<u32>> = both
            .iter()
            .flat_map(|(x, y)| sides[0].with(x).iter().chain(sides[1].with(y)))
            .map(|(c, _)| Some(*c))
            .collect();
        children.push(None);
        children.sort_unstable();
        children.dedup();
        let mut of_parent: Vec<Branch> = Vec::new();
        for child in children {
            let share = |side: &Branching, calls: &Calls| {
                let with = child.map_or(calls.childless, |c| having(side.with(calls), c));
                (with / calls.weighted).min(1.0)
            };
            let strata: Vec<Stratum> = both
                .iter()
                .map(|(x, y)| Stratum {
                    n: [x.traces, y.traces],
                    share: [share(&sides[0], x), share(&sides[1], y)],
                })
                .collect();
            // The effect over all types lies between those of single ones.
            let moved = |s: &&Stratum| (s.share[1] - s.share[0]).abs() >= MIN_EFFECT;
            let any_moved = strata.iter().any(|s| moved(&s));
            let single = strata.iter().filter(moved).map(std::slice::from_ref);
            let over_all = any_moved.then(|| test(&strata)).flatten();
            let over_all = over_all.filter(|t| t.z.abs() >= MIN_Z);
            let aborts = if child.is_none() {
                aborts(&roots, types)
            } else {
                None
            };
            let strongest = single
                .filter_map(test)
                .chain(aborts)
                .filter(|t| t.z.abs() >= MIN_SINGLE_Z)
                .chain(over_all)
                .filter(|t| t.effect.abs() >= MIN_EFFECT)
                .map(|t| Branch {
                    parent: all.label(parent),
                    child: child.map(|c| all.label(c)),
                    effect: t.effect,
                    shares: t.shares,
                    z: t.z,
                })
                .max_by(|x, y| x.strength().total_cmp(&y.strength()));
            of_parent.extend(strongest);
        }
        of_parent.retain(|branch| !is_new_instrumentation(branch));
        without_aborts(&mut of_parent, &both);
        without_renames(&mut of_parent, &mut replaced);
        without_wraps(&mut of_parent, &both, &sides, &all);
        found.append(&mut of_parent);
    }
    found.sort_by(|x, y| y.strength().total_cmp(&x.strength()));
    (found, replaced)
}

/// Labels that are new, each with the one that it took the place of.
pub(super) type Replaced = BTreeMap<Label, Label>;

/// Drops pairs of a missing and a new child of one parent that balance each other: renamed, or told by another span
/// than before.
fn without_renames(branches: &mut Vec<Branch>, replaced: &mut Replaced) {
    let mut kept = vec![true; branches.len()];
    for (i, x) in branches.iter().enumerate() {
        for (j, y) in branches.iter().enumerate() {
            let (Some(gone), Some(new)) = (&x.child, &y.child) else {
                continue;
            };
            let is_pair = x.effect < 0.0
                && y.effect > 0.0
                && x.shares[1] < ABSENT
                && y.shares[0] < ABSENT
                && (x.effect + y.effect).abs() <= SAME_RATE * x.effect.abs().max(y.effect);
            if is_pair {
                replaced.insert(new.clone(), gone.clone());
                (kept[i], kept[j]) = (false, false);
            }
        }
    }
    let mut kept = kept.into_iter();
    branches.retain(|_| kept.next().unwrap_or(true));
}

/// Whether it only says that there are spans now where there were none: a new span inside the service, or calls that
/// have any child at all (what they call now is told by itself).
fn is_new_instrumentation(branch: &Branch) -> bool {
    match &branch.child {
        None => branch.effect < 0.0,
        Some(child) => {
            child.kind == NodeKind::Work
                && child.service == branch.parent.service
                && branch.shares[0] < ABSENT
        }
    }
}

/// Drops calls that are left out because a call before them failed: its callers' failures rose as much.
fn without_aborts(branches: &mut Vec<Branch>, both: &[(&Calls, &Calls)]) {
    let failing = |side: usize| {
        let calls = both.iter().map(|(a, b)| if side == 0 { a } else { b });
        let sums = calls.fold([0.0; 2], |s, c| [s[0] + c.errors, s[1] + c.weighted]);
        if sums[1] > 0.0 {
            sums[0] / sums[1]
        } else {
            0.0
        }
    };
    let rise = failing(1) - failing(0);
    branches.retain(|branch| branch.effect > 0.0 || rise < branch.effect.abs() / 2.0);
}

/// Drops children that went down or came up one level inside their service, and the span that came between or is gone.
fn without_wraps(
    branches: &mut Vec<Branch>,
    both: &[(&Calls, &Calls)],
    sides: &[Branching; 2],
    all: &Children<'_>,
) {
    let share = |calls: [f64; 2]| {
        if calls[1] > 0.0 {
            calls[0] / calls[1]
        } else {
            0.0
        }
    };
    let through = |child: &Label, side: usize| {
        let child = Child::of(child);
        let number = all.children.iter().position(|c| *c == child);
        let number = number.map(|n| n as u32);
        let sums = both.iter().fold([0.0; 2], |sums, (a, b)| {
            let calls = if side == 0 { a } else { b };
            let with = number.map_or(0.0, |n| having(sides[side].through(calls), n));
            [sums[0] + with, sums[1] + calls.weighted]
        });
        share(sums)
    };
    let is_moved = |branch: &Branch| {
        let Some(child) = &branch.child else {
            return false;
        };
        let (from, to) = if branch.effect < 0.0 { (0, 1) } else { (1, 0) };
        let deeper = through(child, to) - through(child, from);
        (deeper - branch.effect.abs()).abs() <= SAME_RATE * branch.effect.abs()
    };
    if !branches.iter().any(is_moved) {
        return;
    }
    branches.retain(|branch| {
        let is_between = |child: &Label| {
            child.kind == NodeKind::Work
                && child.service == branch.parent.service
                && branch.shares[1] < ABSENT
        };
        !is_moved(branch) && branch.child.as_ref().is_some_and(|c| !is_between(c))
    });
}
