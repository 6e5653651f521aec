//! Which children a call has, as a set: what a branching service decides.

use crate::trace::mix;

/// Identifies a set of child labels, whatever builder met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
