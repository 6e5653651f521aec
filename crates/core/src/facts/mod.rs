//! Facts: the mergeable summary of a set of traces.
//!
//! [`FactsBuilder::observe`] adds one assembled trace, [`Facts::merge`] joins two summaries. Merging is commutative,
//! and associative as long as no key outgrows its cap; sums of weights are floating point, so merge in a fixed order
//! where results must be equal bit for bit.

mod builder;
pub mod cell;
mod exemplars;
mod group;
pub mod histogram;
mod key;
mod open_groups;
mod open_key;
mod quality;
mod source;
mod stored;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use builder::{FactsBuilder, Plan};
pub use exemplars::{Exemplar, Exemplars, KEPT as EXEMPLARS_KEPT};
pub use group::Group;
pub use key::{
    ENDPOINT, ENTRY_POINT, IDENTIFIER_MIN_VALUES, Key, KeyRole, OPERATION, Other, SERVICE,
};
pub use quality::Quality;
pub use stored::StoredFactsError;

use crate::model::{Slicing, Window};
use crate::paths::{ClockOffset, GraphItem, Label, PathTree};

/// Traces of one slice, whatever groups they have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceTraces {
    /// Raw traces.
    pub traces: u64,
    /// Σ w, each trace counting for the traces it stands for.
    pub weight: f64,
    /// Σ w².
    pub weight_squared: f64,
}

/// Two summaries whose slices overlap without being the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the slice from {} to {} ns overlaps one from {} to {} ns; facts merge when their slices are the same or \
         apart: take both with one slicing", .0.from_ns(), .0.to_ns(), .1.from_ns(), .1.to_ns())]
pub struct SlicesOverlap(Window, Window);

/// The summary of a set of traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    slicing: Slicing,
    slice_traces: Vec<SliceTraces>,
    all: Group,
    keys: BTreeMap<String, Key>,
    keys_not_scanned: u64,
    calls: BTreeMap<Label, Group>,
    graph: BTreeMap<GraphItem, Group>,
    paths: PathTree,
    clock_offsets: BTreeMap<String, ClockOffset>,
    /// What the traces are worth as data.
    pub quality: Quality,
}

impl Facts {
    /// The slices of time by which everything is kept.
    pub fn slicing(&self) -> &Slicing {
        &self.slicing
    }

    /// The traces of every slice.
    pub fn slice_traces(&self) -> &[SliceTraces] {
        &self.slice_traces
    }

    /// All spans as one group.
    pub fn all(&self) -> &Group {
        &self.all
    }

    /// The keys by canonical name.
    pub fn keys(&self) -> &BTreeMap<String, Key> {
        &self.keys
    }

    /// Attribute keys past the cap of keys, which were not looked at.
    pub fn keys_not_scanned(&self) -> u64 {
        self.keys_not_scanned
    }

    /// Local times of visits, times between both ends of calls, and durations of dependencies, by label.
    pub fn calls(&self) -> &BTreeMap<Label, Group> {
        &self.calls
    }

    /// Visits and calls by node and edge of the service graph; empty where facts were taken without the call tree.
    pub fn graph(&self) -> &BTreeMap<GraphItem, Group> {
        &self.graph
    }

    /// The call tree of all traces, whatever spans of theirs are in groups.
    pub fn paths(&self) -> &PathTree {
        &self.paths
    }

    /// The hosts whose clocks were corrected in the call tree.
    pub fn clock_offsets(&self) -> &BTreeMap<String, ClockOffset> {
        &self.clock_offsets
    }

    /// Keeps of every key the values that fit under its cap. While summaries are merged a key may outgrow it, so that a
    /// value has time to prove itself: to be called after the last merge.
    pub fn prune(&mut self) {
        self.keys
            .values_mut()
            .filter(|key| key.groups.len() > key.role.cap())
            .for_each(Key::prune);
    }

    /// Adds all of another summary. Slices must be the same or apart.
    pub fn merge(&mut self, other: &Self) -> Result<(), SlicesOverlap> {
        let joined = join(self.slicing.slices(), other.slicing.slices())?;
        let place = |slice: &Window| joined.binary_search(slice).unwrap_or_else(|at| at);
        let mine: Vec<usize> = self.slicing.slices().iter().map(place).collect();
        let theirs: Vec<usize> = other.slicing.slices().iter().map(place).collect();
        if mine.iter().enumerate().any(|(from, to)| from != *to) {
            self.all.renumber(&mine);
            self.keys
                .values_mut()
                .flat_map(|k| k.groups.values_mut())
                .chain(self.calls.values_mut())
                .chain(self.graph.values_mut())
                .for_each(|g| g.renumber(&mine));
            self.paths.renumber(&mine);
        }
        let mut slice_traces = vec![SliceTraces::default(); joined.len()];
        for (traces, places) in [(&self.slice_traces, &mine), (&other.slice_traces, &theirs)] {
            for (slice, place) in traces.iter().zip(places) {
                slice_traces[*place].traces += slice.traces;
                slice_traces[*place].weight += slice.weight;
                slice_traces[*place].weight_squared += slice.weight_squared;
            }
        }
        self.slice_traces = slice_traces;
        self.slicing = Slicing::from_slices(joined);
        self.all.merge(&other.all, &theirs);
        for (name, key) in &other.keys {
            self.keys
                .entry(name.clone())
                .or_insert_with(|| Key::new(key.role))
                .merge(key, &theirs);
        }
        for (label, group) in &other.calls {
            let mine = self.calls.entry(label.clone()).or_default();
            mine.merge(group, &theirs);
        }
        for (item, group) in &other.graph {
            let mine = self.graph.entry(item.clone()).or_default();
            mine.merge(group, &theirs);
        }
        self.paths.merge(&other.paths, &theirs);
        for (host, offset) in &other.clock_offsets {
            let mine = self.clock_offsets.entry(host.clone());
            let mine = mine.or_insert_with(|| offset.clone());
            mine.keep_larger(offset);
        }
        self.keys_not_scanned = self.keys_not_scanned.max(other.keys_not_scanned);
        self.quality.merge(&other.quality);
        Ok(())
    }
}

/// All slices of both, by time.
fn join(a: &[Window], b: &[Window]) -> Result<Vec<Window>, SlicesOverlap> {
    let mut joined: Vec<Window> = a.iter().chain(b).copied().collect();
    joined.sort_unstable();
    joined.dedup();
    match joined
        .windows(2)
        .find(|pair| pair[1].from_ns() < pair[0].to_ns())
    {
        Some(pair) => Err(SlicesOverlap(pair[0], pair[1])),
        None => Ok(joined),
    }
}

#[cfg(test)]
mod tests;
