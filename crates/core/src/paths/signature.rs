//! Which children a call has, as a set: what a branching service decides.

use crate::trace::mix;
use serde::{Deserialize, Serialize};

/// Identifies a set of child labels, whatever builder met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Signature(u64);

impl Signature {
    /// All sets past the cap of a path.
    pub const OTHER: Self = Self(0);

    /// The set of labels with these hashes, each of them once.
    pub(super) fn of_hashes(hashes: impl Iterator<Item = u64>) -> Self {
        Self(
            hashes
                .fold(1, |sum: u64, hash| sum.wrapping_add(mix(hash)))
                .max(1),
        )
    }
}

/// Signatures of one path in one slice that are told apart.
const MAX_SIGNATURES: usize = 64;

/// Calls with one set of children, in one slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SignatureCalls {
    /// The set.
    pub signature: Signature,
    /// Number of the slice.
    pub slice: u32,
    /// Σ w·calls.
    pub calls: f64,
}

/// Calls of one path in order of their sets and slices, each once; of every slice the sets with most calls, and all
/// others as one.
pub(super) fn ordered(mut all: Vec<SignatureCalls>) -> Vec<SignatureCalls> {
    let add_up = |all: &mut Vec<SignatureCalls>| {
        all.sort_unstable_by_key(|c| (c.slice, c.signature));
        all.dedup_by(|next, first| {
            let is_same = (next.slice, next.signature) == (first.slice, first.signature);
            if is_same {
                first.calls += next.calls;
            }
            is_same
        });
    };
    add_up(&mut all);
    for slice in all.chunk_by_mut(|a, b| a.slice == b.slice) {
        if slice.len() > MAX_SIGNATURES {
            slice.sort_by(|a, b| b.calls.total_cmp(&a.calls));
            let others = slice[MAX_SIGNATURES - 1..].iter_mut();
            others.for_each(|c| c.signature = Signature::OTHER);
        }
    }
    add_up(&mut all);
    all.sort_unstable_by_key(|c| (c.signature, c.slice));
    all
}

/// Adds calls to a signature of one slice.
pub(super) fn add_calls(all: &mut Vec<(Signature, f64)>, signature: Signature, calls: f64) {
    let has_room = all.len() < MAX_SIGNATURES;
    let known = |wanted: Signature| all.iter().position(|(s, _)| *s == wanted);
    let place = known(signature).or_else(|| {
        if has_room {
            return None;
        }
        known(Signature::OTHER)
    });
    match place {
        Some(place) => all[place].1 += calls,
        None if has_room => all.push((signature, calls)),
        None => all.push((Signature::OTHER, calls)),
    }
}
