//! What a comparison comes to.

use super::culprits::{Confidence, Culprit};
use super::document::{Finding, KeyDiff, Outcome, QualityHeader, Strength, Verdict};
use super::family::is_inside;
use super::policy::Policy;
use crate::facts::KeyRole;

/// What a finding's q-value must be below, as a share of `confirmed_q`, where no culprit bears it out.
const ALONE: f64 = 0.1;

/// The outcome. Where a culprit is named with confidence, every confirmed finding counts. Where none is, a finding must
/// stand alone: ten times as sure, and not about the inside of a system whose entry points were compared.
pub(super) fn of(
    keys: &[KeyDiff],
    findings: &[Finding],
    culprits: &[Culprit],
    quality: &QualityHeader,
    policy: &Policy,
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
    let stands_alone = |f: &Finding| {
        let is_sure = f.q.is_some_and(|q| q <= ALONE * policy.confirmed_q);
        is_sure && (!has_entry_points || !is_inside(&f.key, f.role))
    };
    let counts = |f: &&Finding| is_sure || stands_alone(f);
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
