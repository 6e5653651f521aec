//! How requests are made up: calls that are new, gone, repeated, moved, made side by side or one after the other.
//!
//! Everything is told at the highest place where it happens: what is below a new call is new with it.

mod branching;
mod counts;
mod document;
mod links;
mod words;

use std::collections::BTreeMap;

pub use self::document::*;
use super::culprits::Branch;
use super::document::Sides;
use super::paths::Paths;
use super::policy::Policy;
use crate::facts::Facts;
use crate::paths::{Label, NodeKind};
use crate::stats::distribution::normal_two_sided;

/// Changes that are told.
const LISTED: usize = 50;
/// A cache is lost where a call was made in a smaller share of its parent's calls than this, and is made in a share
/// larger by this.
const CACHED: f64 = 0.5;
const LOST: f64 = 0.25;

/// A change before it is put into words.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    kind: StructureKind,
    parent: Label,
    child: Option<Label>,
    other: Option<Label>,
    values: [f64; 2],
    p: Option<f64>,
}

impl Change {
    /// The other parent and child that the change tells of too.
    fn third(&self) -> Option<(Label, Option<Label>)> {
        let other = self.other.clone()?;
        Some(match self.kind {
            StructureKind::Moved => (other, self.child.clone()),
            _ => (self.parent.clone(), Some(other)),
        })
    }

    fn told(self) -> StructureChange {
        StructureChange {
            sentence: words::sentence(&self),
            kind: self.kind,
            parent: self.parent,
            child: self.child,
            other: self.other,
            values: Sides::from(self.values),
            p: self.p,
        }
    }
}

/// What the paths alone say of how requests are made up.
pub(super) struct Found {
    links: Vec<Change>,
    counts: Vec<Change>,
    shifts: Vec<BranchingShift>,
}

impl Found {
    /// In the paths of both sides.
    pub(super) fn of(paths: &Paths<'_>, sides: [&Facts; 2], policy: &Policy) -> Self {
        Self {
            links: links::changes(paths, sides, &policy.values),
            counts: counts::changes(paths),
            shifts: branching::shifts(paths, sides),
        }
    }

    /// What changed about how requests are made up, given also which calls are made more or less often.
    pub(super) fn told(self, branches: &[Branch]) -> StructureDiff {
        let branches = branches.iter().filter_map(more_or_less_often);
        let mut changes = Vec::new();
        for mut found in [self.links, self.counts, branches.collect()] {
            found.sort_by(|x, y| x.p.unwrap_or(0.0).total_cmp(&y.p.unwrap_or(0.0)));
            changes.append(&mut found);
        }
        let mut changes = once_each(changes);
        changes.sort_by(|x, y| {
            let p = |c: &Change| c.p.unwrap_or(0.0);
            p(x).total_cmp(&p(y))
                .then_with(|| (x.kind, &x.parent, &x.child).cmp(&(y.kind, &y.parent, &y.child)))
        });
        changes.truncate(LISTED);
        StructureDiff {
            changes: changes.into_iter().map(Change::told).collect(),
            branching: self.shifts,
        }
    }
}

/// Of every parent and child one thing: the first, which is the most particular and the surest. A call that is new or
/// missing in several types of requests is so in the traces of all.
fn once_each(changes: Vec<Change>) -> Vec<Change> {
    type Told = BTreeMap<(Label, Option<Label>), Option<usize>>;
    let call = |label: &Label| Label {
        is_async: false,
        ..label.clone()
    };
    let place = |(parent, child): (&Label, Option<&Label>)| (call(parent), child.map(call));
    let mut told = Told::new();
    let mut kept: Vec<Change> = Vec::new();
    for change in changes {
        let at = place((&change.parent, change.child.as_ref()));
        if let Some(first) = told.get(&at) {
            let is_one_sided = matches!(
                change.kind,
                StructureKind::NewCall | StructureKind::MissingCall
            );
            if let Some(first) = first.map(|first| &mut kept[first])
                && is_one_sided
                && first.kind == change.kind
            {
                first.values[0] += change.values[0];
                first.values[1] += change.values[1];
            }
            continue;
        }
        if let Some(third) = change.third() {
            told.entry(place((&third.0, third.1.as_ref())))
                .or_insert(None);
        }
        told.insert(at, Some(kept.len()));
        kept.push(change);
    }
    kept
}

fn more_or_less_often(branch: &Branch) -> Option<Change> {
    let child = branch.child.clone()?;
    let is_call = matches!(child.kind, NodeKind::Edge | NodeKind::Dependency);
    let was_spared = branch.shares[0] < CACHED && branch.effect >= LOST;
    let kind = match branch.effect > 0.0 {
        true if is_call && was_spared => StructureKind::LostCache,
        true => StructureKind::MoreOften,
        false => StructureKind::LessOften,
    };
    Some(Change {
        kind,
        parent: branch.parent.clone(),
        child: Some(child),
        other: None,
        values: branch.shares,
        p: Some(normal_two_sided(branch.z)),
    })
}
