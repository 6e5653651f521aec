//! Trace ids that show what a number means: the slowest, failed and typical traces of a group.
//!
//! Chosen by duration or by a hash of the id, so that the choice is the same in whatever order traces come, and two
//! sets of exemplars merge to what one pass would have kept.

use crate::model::TraceId;
use serde::{Deserialize, Serialize};

/// Traces kept of each sort.
pub const KEPT: usize = 3;
/// Traces kept to pick typical ones from.
const SAMPLED: usize = 8;

/// A trace that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplar {
    /// The trace.
    pub trace_id: TraceId,
    /// A hash of it, by which samples are drawn.
    pub hash: u64,
    /// The longest span of the group in that trace, in nanoseconds.
    pub duration_ns: u64,
}

/// The exemplars of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exemplars {
    slowest: Vec<Exemplar>,
    failed: Vec<Exemplar>,
    sampled: Vec<Exemplar>,
}

impl Exemplars {
    /// Offers a trace.
    #[inline]
    pub(crate) fn offer(&mut self, exemplar: Exemplar, failed: bool) {
        if self.slowest.len() < KEPT
            || self
                .slowest
                .last()
                .is_some_and(|last| by_duration(&exemplar) < by_duration(last))
        {
            insert(&mut self.slowest, exemplar, KEPT, by_duration);
        }
        if failed {
            insert(&mut self.failed, exemplar, KEPT, by_hash);
        }
        if self.sampled.len() < SAMPLED
            || self
                .sampled
                .last()
                .is_some_and(|last| by_hash(&exemplar) < by_hash(last))
        {
            insert(&mut self.sampled, exemplar, SAMPLED, by_hash);
        }
    }

    /// Adds another's exemplars.
    pub fn merge(&mut self, other: &Self) {
        other
            .slowest
            .iter()
            .for_each(|e| insert(&mut self.slowest, *e, KEPT, by_duration));
        other
            .failed
            .iter()
            .for_each(|e| insert(&mut self.failed, *e, KEPT, by_hash));
        other
            .sampled
            .iter()
            .for_each(|e| insert(&mut self.sampled, *e, SAMPLED, by_hash));
    }

    /// The traces with the longest spans, longest first.
    pub fn slowest(&self) -> &[Exemplar] {
        &self.slowest
    }

    /// Some traces with a failed span.
    pub fn failed(&self) -> &[Exemplar] {
        &self.failed
    }

    /// The sampled traces nearest to a duration (the group's median), nearest first.
    pub fn typical(&self, median_ns: f64) -> Vec<Exemplar> {
        let distance = |e: &Exemplar| {
            ((e.duration_ns as f64 + 1.0) / (median_ns + 1.0))
                .ln()
                .abs()
        };
        let sampled = self.sampled.iter();
        let mut nearest: Vec<(f64, &Exemplar)> = sampled.map(|e| (distance(e), e)).collect();
        nearest.sort_by(|(a, x), (b, y)| a.total_cmp(b).then(by_hash(x).cmp(&by_hash(y))));
        nearest.iter().take(KEPT).map(|(_, e)| **e).collect()
    }
}

fn by_duration(e: &Exemplar) -> (std::cmp::Reverse<u64>, u64, TraceId) {
    (std::cmp::Reverse(e.duration_ns), e.hash, e.trace_id)
}

fn by_hash(e: &Exemplar) -> (u64, TraceId) {
    (e.hash, e.trace_id)
}

fn insert<K: Ord>(
    kept: &mut Vec<Exemplar>,
    new: Exemplar,
    limit: usize,
    key: impl Fn(&Exemplar) -> K,
) {
    let at = kept.partition_point(|e| key(e) < key(&new));
    // The same trace may come from both halves of a merge.
    if at < limit && !kept.iter().any(|e| e.trace_id == new.trace_id) {
        kept.insert(at, new);
        kept.truncate(limit);
    }
}
