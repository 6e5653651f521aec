//! The population's call tree: for every path its counts and times, by slice.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::bands::{BandSums, Stratum, add_band, add_stratum};
use super::label::{Label, NodeKind};
use super::signature::{Signature, SignatureCalls, ordered};
use super::slices::PathSlices;
use crate::trace::mix;
use serde::{Deserialize, Serialize};

/// Identifies a path: a hash of the labels from the request down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PathId(u128);

/// Half of it will do: it is a hash already.
impl Hash for PathId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low());
    }
}

impl PathId {
    /// The path of a label below another path; `None` for a request or fragment.
    pub fn below(parent: Option<Self>, label: &Label) -> Self {
        let parent = parent.map_or(0, |p| p.0);
        let (mut a, mut b) = (mix(parent as u64), mix((parent >> 64) as u64 ^ 0x5bd1));
        let mut add = |bytes: &[u8]| {
            for chunk in bytes.chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                let word = u64::from_le_bytes(word);
                a = mix(a ^ word);
                b = mix(b.wrapping_add(word)).rotate_left(17);
            }
            a = mix(a ^ bytes.len() as u64);
            b = mix(b.wrapping_add(bytes.len() as u64));
        };
        add(&[label.kind as u8, u8::from(label.is_async)]);
        add(label.service.as_bytes());
        add(label.peer.as_bytes());
        add(label.operation.as_bytes());
        Self(u128::from(a) << 64 | u128::from(b))
    }

    /// Half of it.
    pub(super) fn low(self) -> u64 {
        self.0 as u64
    }
}

/// Sums over the spans of one path. w is the weight of a trace; per trace c counts the spans of the path,
/// t is their time on the critical path, d their duration, both in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PathCell {
    /// Raw traces that have the path.
    pub traces: u64,
    /// Raw traces with a span that failed though no child that it waited for did.
    pub failing_traces: u64,
    /// Raw spans.
    pub spans: u64,
    /// Σ w over those traces.
    pub weight: f64,
    /// Σ w².
    pub weight_squared: f64,
    /// Σ w·c.
    pub calls: f64,
    /// Σ (w·c)².
    pub calls_squared: f64,
    /// Σ w·(spans of the parent path that have at least one child here).
    pub present: f64,
    /// Σ w·(spans without any child).
    pub childless: f64,
    /// Σ w·(failed spans).
    pub errors: f64,
    /// Σ w·(spans that failed though no child that they waited for did).
    pub origins: f64,
    /// Σ w·(part of its failed request's failure that begins here): all paths of a request add up to Σ w over failed
    /// ones.
    pub origins_reaching: f64,
    /// Σ w·(spans that waited for at least two children).
    pub branching: f64,
    /// Σ w·(those of them with two children that ran at the same time).
    pub overlapping: f64,
    /// Σ w·(exclusive time).
    pub exclusive_ns: f64,
    /// Σ w·t.
    pub critical_ns: f64,
    /// Σ (w·t)².
    pub critical_squared: f64,
    /// Σ w²·t.
    pub critical_weight: f64,
    /// Σ w·(spans with time on the critical path).
    pub critical_calls: f64,
    /// Σ w·d.
    pub duration_ns: f64,
    /// Σ (w·d)².
    pub duration_squared: f64,
    /// Σ w²·d.
    pub duration_weight: f64,
}

impl PathCell {
    /// Adds all of another cell.
    pub fn merge(&mut self, o: &Self) {
        self.traces += o.traces;
        self.failing_traces += o.failing_traces;
        self.spans += o.spans;
        self.weight += o.weight;
        self.weight_squared += o.weight_squared;
        self.calls += o.calls;
        self.calls_squared += o.calls_squared;
        self.present += o.present;
        self.childless += o.childless;
        self.errors += o.errors;
        self.origins += o.origins;
        self.origins_reaching += o.origins_reaching;
        self.branching += o.branching;
        self.overlapping += o.overlapping;
        self.exclusive_ns += o.exclusive_ns;
        self.critical_ns += o.critical_ns;
        self.critical_squared += o.critical_squared;
        self.critical_weight += o.critical_weight;
        self.critical_calls += o.critical_calls;
        self.duration_ns += o.duration_ns;
        self.duration_squared += o.duration_squared;
        self.duration_weight += o.duration_weight;
    }
}

/// A path's label, parent and sums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathNode {
    /// The path it is below; `None` for requests and fragments.
    pub parent: Option<PathId>,
    /// The request or fragment at its top.
    pub top: PathId,
    /// What its last link is.
    #[serde(with = "shared")]
    pub label: Arc<Label>,
    /// Links from the top, which is 0.
    pub depth: u32,
    /// Whether the request waits for it: nothing on the way is asynchronous.
    pub is_awaited: bool,
    /// Sums over all slices.
    pub total: PathCell,
    /// Sums by slice.
    pub slices: PathSlices,
    /// Of work: calls by their set of children and by slice, in this order; calls without any child are in none.
    pub signatures: Vec<SignatureCalls>,
    /// Its time by the duration of its request, shortest first; empty where nothing waits for it.
    pub bands: Vec<BandSums>,
    /// Of a request: its traces by duration and outcome, shortest first.
    pub strata: Vec<Stratum>,
}

/// A shared label is stored like one that is not.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Label;

    pub(super) fn serialize<S: Serializer>(
        label: &Arc<Label>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (**label).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Label>, D::Error> {
        Label::deserialize(deserializer).map(Arc::new)
    }
}

impl PathNode {
    /// Σ w·(calls with that set of children), over all slices, in order of the sets.
    pub fn total_signatures(&self) -> impl Iterator<Item = (Signature, f64)> {
        let sets = self.signatures.chunk_by(|a, b| a.signature == b.signature);
        sets.map(|set| (set[0].signature, set.iter().map(|c| c.calls).sum()))
    }

    /// Whether it is kept by slices with numbers below this one only.
    pub(crate) fn has_slices_below(&self, slices: usize) -> bool {
        let mut numbers = self.slices.numbers().iter();
        let mut signatures = self.signatures.iter();
        self.slices.is_whole()
            && numbers.all(|slice| (*slice as usize) < slices)
            && signatures.all(|calls| (calls.slice as usize) < slices)
    }

    /// A node of the same path that has no sums yet.
    fn emptied(&self) -> Self {
        Self {
            parent: self.parent,
            top: self.top,
            label: Arc::clone(&self.label),
            depth: self.depth,
            is_awaited: self.is_awaited,
            total: PathCell::default(),
            slices: PathSlices::default(),
            signatures: Vec::new(),
            bands: Vec::new(),
            strata: Vec::new(),
        }
    }
}

/// All paths of a set of traces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PathTree {
    nodes: BTreeMap<PathId, PathNode>,
    /// The labels of every signature.
    signatures: BTreeMap<Signature, Vec<Label>>,
    /// Raw spans of paths past the cap, which were not told apart.
    pub overflow_spans: u64,
}

impl PathTree {
    /// The nodes by path.
    pub fn nodes(&self) -> &BTreeMap<PathId, PathNode> {
        &self.nodes
    }

    /// The requests: the tops of whole traces.
    pub fn requests(&self) -> impl Iterator<Item = (&PathId, &PathNode)> {
        let is_request = |(_, node): &(&PathId, &PathNode)| node.label.kind == NodeKind::Request;
        self.nodes.iter().filter(is_request)
    }

    pub(super) fn new(
        nodes: BTreeMap<PathId, PathNode>,
        signatures: BTreeMap<Signature, Vec<Label>>,
        overflow_spans: u64,
    ) -> Self {
        Self {
            nodes,
            signatures,
            overflow_spans,
        }
    }

    /// The child labels that a signature stands for, in order; `None` for [`Signature::OTHER`].
    pub fn children(&self, signature: Signature) -> Option<&[Label]> {
        self.signatures.get(&signature).map(Vec::as_slice)
    }

    /// Adds another tree whose slice i is this one's slice `slice_of[i]`.
    pub(crate) fn merge(&mut self, other: &Self, slice_of: &[usize]) {
        self.overflow_spans += other.overflow_spans;
        for (signature, children) in &other.signatures {
            self.signatures
                .entry(*signature)
                .or_insert_with(|| children.clone());
        }
        for (id, node) in &other.nodes {
            let mine = self.nodes.entry(*id).or_insert_with(|| node.emptied());
            mine.total.merge(&node.total);
            mine.slices.merge(&node.slices, slice_of);
            let theirs = node.signatures.iter().map(|calls| SignatureCalls {
                slice: slice_of[calls.slice as usize] as u32,
                ..*calls
            });
            mine.signatures.extend(theirs);
            mine.signatures = ordered(std::mem::take(&mut mine.signatures));
            node.bands
                .iter()
                .for_each(|b| add_band(&mut mine.bands, *b));
            node.strata
                .iter()
                .for_each(|s| add_stratum(&mut mine.strata, s));
        }
    }

    /// Renumbers slices: slice i becomes `slice_of[i]`, which must keep their order.
    pub(crate) fn renumber(&mut self, slice_of: &[usize]) {
        for node in self.nodes.values_mut() {
            node.slices.renumber(slice_of);
            for calls in &mut node.signatures {
                calls.slice = slice_of[calls.slice as usize] as u32;
            }
        }
    }
}
