//! What a comparison comes to.

use super::culprits::{Confidence, Culprit};
use super::document::{Finding, KeyDiff, Outcome, QualityHeader, Strength, Verdict};
use super::family::is_inside;
use crate::facts::KeyRole;

/// The outcome. What is worse or better inside the system only counts if nothing else could: no entry point was
/// compared, or a culprit is named with confidence.
pub(super) fn of(
    keys: &[KeyDiff],
    findings: &[Finding],
    culprits: &[Culprit],
    quality: &QualityHeader,
) -> Outcome {
    if quality.baseline.counts.spans == 0 || quality.candidate.counts.spans == 0 {
        return Outcome::NothingToCompare;
    }
    let entry_points = keys.iter().filter(|key| key.role == KeyRole::EntryPoint);
    let has_entry_points = entry_points.flat_map(|key| &key.groups).next().is_some();
    let is_sure = culprits
        .iter()
        .any(|culprit| culprit.confidence == Confidence::Confident);
    let confirmed = || {
        findings
            .iter()
            .filter(|f| f.strength == Strength::Confirmed)
    };
    let counts = |f: &&Finding| !has_entry_points || is_sure || !is_inside(&f.key, f.role);
    let says = |verdict: Verdict| confirmed().filter(counts).any(|f| f.verdict == verdict);
    if says(Verdict::Regressed) {
        Outcome::Regressed
    } else if says(Verdict::Improved) {
        Outcome::Improved
    } else if confirmed().next().is_some() {
        Outcome::Changed
    } else {
        Outcome::NoChangeFound
    }
}
