//! Where the failures of entry points begin: exact shares of nodes of the call tree.
//!
//! Every failed request is told to the spans at which its failure begins, in equal parts if they are several. So the
//! shares of the nodes add up to the share of the requests that failed, and their changes to its change.

use std::collections::BTreeMap;

use super::document::{EntryFailures, FailureOrigin};
use crate::diff::document::{Aspect, KeyDiff, Sides};
use crate::diff::family::is_change;
use crate::diff::mix::is_in;
use crate::diff::paths::Paths;
use crate::facts::ENDPOINT;
use crate::paths::NodeKind;

/// Entry points that are told, and nodes of each.
const LISTED: usize = 10;
const NODES: usize = 5;

/// One entry point's requests.
#[derive(Default)]
struct Requests<'a> {
    entry_point: &'a str,
    /// Σ w over requests, and over those that failed.
    all: [f64; 2],
    failed: [f64; 2],
    /// What begins at each label.
    origins: BTreeMap<u32, Origin>,
}

/// The failures that begin at a label, by side.
#[derive(Default)]
struct Origin {
    /// Σ w over them, whether the request fails or not.
    fired: [f64; 2],
    /// Σ w·(part of the request's failure).
    reaching: [f64; 2],
}

/// The entry points whose error ratio changed, largest change first.
pub(in crate::diff) fn entry_failures(paths: &Paths<'_>, keys: &[KeyDiff]) -> Vec<EntryFailures> {
    let endpoints = keys.iter().filter(|key| key.key == ENDPOINT);
    let groups = endpoints.flat_map(|key| &key.groups);
    let changed = groups.filter(|group| {
        let judgement = group.judgement(Aspect::Errors);
        judgement.is_some_and(|judgement| is_change(judgement.verdict))
    });
    let mut entries: Vec<Requests<'_>> = changed
        .map(|group| Requests {
            entry_point: &group.value,
            ..Requests::default()
        })
        .collect();
    if entries.is_empty() {
        return Vec::new();
    }
    let tops = paths.tops.iter().map(|top| {
        let is_its = |entry: &Requests<'_>| is_in(top, ENDPOINT, entry.entry_point);
        let entry = entries.iter().position(is_its);
        entry.filter(|_| top.kind == NodeKind::Request)
    });
    let tops: Vec<Option<usize>> = tops.collect();
    for (side, path) in (0..2).flat_map(|s| paths.sides[s].iter().map(move |path| (s, path))) {
        let Some(entry) = tops[path.top as usize] else {
            continue;
        };
        let (entry, total) = (&mut entries[entry], &path.node.total);
        if path.is_request() {
            entry.all[side] += total.weight;
            entry.failed[side] += total.errors;
        } else if total.origins > 0.0 {
            let origin = entry.origins.entry(path.label).or_default();
            origin.fired[side] += total.origins;
            origin.reaching[side] += total.origins_reaching;
        }
    }
    let mut told: Vec<EntryFailures> = entries
        .iter()
        .filter(|entry| entry.all[0] > 0.0 && entry.all[1] > 0.0)
        .map(|entry| entry.told(paths))
        .collect();
    told.sort_by(|x, y| y.difference.abs().total_cmp(&x.difference.abs()));
    told.truncate(LISTED);
    told
}

impl Requests<'_> {
    fn told(&self, paths: &Paths<'_>) -> EntryFailures {
        let ratios = |weights: &[f64; 2]| [0, 1].map(|side| weights[side] / self.all[side]);
        let ratio = ratios(&self.failed);
        let mut origins: Vec<FailureOrigin> = self
            .origins
            .iter()
            .filter(|(_, origin)| origin.reaching != [0.0; 2])
            .map(|(label, origin)| {
                let ratio = ratios(&origin.reaching);
                let fired = ratios(&origin.fired);
                let [fires_more, propagates_more] = origin.halves(fired);
                FailureOrigin {
                    node: paths.labels[*label as usize].clone(),
                    ratio: ratio.into(),
                    difference: ratio[1] - ratio[0],
                    fired: fired.into(),
                    fires_more,
                    propagates_more,
                }
            })
            .collect();
        origins.sort_by(|x, y| y.difference.abs().total_cmp(&x.difference.abs()));
        let sum = |origins: &[FailureOrigin]| origins.iter().map(|o| o.difference).sum::<f64>();
        let other_nodes = sum(origins.get(NODES..).unwrap_or_default());
        let difference = ratio[1] - ratio[0];
        let remainder = difference - sum(&origins);
        origins.truncate(NODES);
        EntryFailures {
            entry_point: self.entry_point.to_owned(),
            ratio: Sides::from(ratio),
            difference,
            origins,
            other_nodes,
            remainder,
        }
    }
}

impl Origin {
    /// The change of its share by how often it fires and by what a firing does to the request: the share is the
    /// product of the two, and each change is taken at the mean of the other. A side on which it never fires says
    /// nothing about what a firing does, so there it does the same on both.
    fn halves(&self, fired: [f64; 2]) -> [f64; 2] {
        let reach = [0, 1].map(|side| self.reaching[side] / self.fired[side]);
        let reach = match self.fired.map(|fired| fired > 0.0) {
            [true, true] => reach,
            [true, false] => [reach[0]; 2],
            [false, true] => [reach[1]; 2],
            [false, false] => [0.0; 2],
        };
        [
            (fired[1] - fired[0]) * f64::midpoint(reach[0], reach[1]),
            (reach[1] - reach[0]) * f64::midpoint(fired[0], fired[1]),
        ]
    }
}
