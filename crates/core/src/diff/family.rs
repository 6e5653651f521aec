//! Families of tests: p-values are corrected for how many tests there are, twice.
//!
//! Source of the second correction: Ebrahimpoor & Goeman 2021, Briefings in Bioinformatics 22(6): who filters the
//! discoveries of one correction by something else, here by floors and by what is only a change of the mix, no longer
//! knows the share of false ones among those that are left.

use std::collections::BTreeMap;

use super::document::{Aspect, GroupDiff, Judgement, KeyDiff, Strength, Verdict};
use super::judge::Evidence;
use super::policy::Policy;
use crate::facts::{ENDPOINT, KeyRole, OPERATION, SERVICE};
use crate::stats::fdr::benjamini_hochberg;

/// What changes inside the system must be below, as a share of `confirmed_q`, where no entry point shows them.
const UNSEEN: f64 = 0.1;

/// A key's diff and the evidence behind every judgement in it: of latency, errors and calls, by group.
pub(super) struct OpenKeyDiff<'p> {
    /// What the key is judged by.
    pub(super) policy: &'p Policy,
    pub(super) diff: KeyDiff,
    pub(super) evidence: Vec<[Option<Evidence>; 3]>,
}

/// A test, where its judgement is, and what it is judged by.
type Tested<'a> = (Evidence, &'a mut Judgement, &'a Policy);

/// What is judged of a group, in the order of its evidence.
pub(super) const ASPECTS: [Aspect; 3] = [Aspect::Latency, Aspect::Errors, Aspect::Calls];

/// Corrects the p-values of all tests of a role and replaces their judgements.
pub(super) fn judge(keys: &mut [OpenKeyDiff<'_>], role: KeyRole) {
    let mut tests: Vec<Tested<'_>> = keys
        .iter_mut()
        .filter(|key| key.diff.role == role)
        .flat_map(|key| {
            let policy = key.policy;
            tests(key).map(move |(_, evidence, judgement)| (evidence, judgement, policy))
        })
        .collect();
    let p_values: Vec<f64> = tests
        .iter()
        .map(|(evidence, ..)| evidence.p.unwrap_or(f64::NAN))
        .collect();
    let q_values = benjamini_hochberg(&p_values);
    for ((evidence, judgement, policy), q) in tests.iter_mut().zip(q_values) {
        **judgement = evidence.judge(Some(q).filter(|q| !q.is_nan()), policy);
    }
}

/// Corrects again, among the tests of one aspect and with nothing but what can still become a finding counted as found.
/// A q-value never gets smaller by this.
pub(super) fn correct_again<'a, 'p: 'a>(keys: impl Iterator<Item = &'a mut OpenKeyDiff<'p>>) {
    let mut families: BTreeMap<(KeyRole, bool, Aspect), Vec<Tested<'_>>> = BTreeMap::new();
    for key in keys {
        let (role, is_endpoint) = (key.diff.role, key.diff.key == ENDPOINT);
        let policy = key.policy;
        for (aspect, evidence, judgement) in tests(key) {
            let family = families.entry((role, is_endpoint, aspect)).or_default();
            family.push((evidence, judgement, policy));
        }
    }
    for tests in families.values_mut() {
        correct_family_again(tests);
    }
}

fn correct_family_again(tests: &mut [Tested<'_>]) {
    let p_value = |(evidence, judgement, _): &Tested<'_>| match evidence.p {
        None => f64::NAN,
        Some(p) if is_change(judgement.verdict) => p.max(judgement.p_within.unwrap_or(p)),
        Some(_) => 1.0,
    };
    let p_values: Vec<f64> = tests.iter().map(p_value).collect();
    let q_values = benjamini_hochberg(&p_values);
    for ((evidence, judgement, policy), q) in tests.iter_mut().zip(q_values) {
        if is_change(judgement.verdict) {
            **judgement = again(evidence, judgement, q, policy);
        }
    }
}

/// The judgement of what was a change, at the q-value of the second correction.
fn again(evidence: &Evidence, before: &Judgement, q: f64, policy: &Policy) -> Judgement {
    let q = before.q.map_or(q, |before| before.max(q));
    let mut after = evidence.judge(Some(q), policy);
    after.p_within = before.p_within;
    // The change is sure, only not that it happened on the paths.
    let is_limited_by_paths = before.p_within > before.p;
    if !is_change(after.verdict) && is_limited_by_paths {
        after.take_back();
    }
    after
}

/// Changes inside the system that no entry point shows need ten times as much to be confirmed.
///
/// Tests of the inside are many, and most that users do not notice are chance. A rule of thumb, after the idea of weighted
/// p-values (Genovese, Roeder & Wasserman 2006, Biometrika 93(3)): nothing is promised of the share of false ones.
pub(super) fn doubt_unseen(keys: &mut [OpenKeyDiff<'_>]) {
    let mut seen: Vec<(Aspect, Verdict)> = Vec::new();
    let mut entry_points = 0;
    for key in keys
        .iter_mut()
        .filter(|key| key.diff.role == KeyRole::EntryPoint)
    {
        entry_points += key.diff.groups.len();
        let judged = tests(key).map(|(aspect, _, judgement)| (aspect, judgement.verdict));
        seen.extend(judged.filter(|(_, verdict)| is_change(*verdict)));
    }
    if entry_points == 0 {
        return;
    }
    let inside = |key: &&mut OpenKeyDiff<'_>| is_inside(&key.diff.key, key.diff.role);
    for key in keys.iter_mut().filter(inside) {
        let policy = key.policy;
        for (aspect, _, judgement) in tests(key) {
            let is_unseen = !seen.contains(&(aspect, judgement.verdict));
            let is_sure = |q: f64| q <= UNSEEN * policy.confirmed_q;
            if is_change(judgement.verdict)
                && matches!(aspect, Aspect::Latency | Aspect::Errors)
                && is_unseen
                && !judgement.q.is_some_and(is_sure)
            {
                judgement.strength = Strength::Suggestive;
            }
        }
    }
}

/// Whether a key tells of the inside of the system, and nobody asked for it.
pub(super) fn is_inside(key: &str, role: KeyRole) -> bool {
    key == SERVICE || key == OPERATION || role == KeyRole::Scanned
}

/// Everything that was judged of a key.
fn tests<'k>(
    key: &'k mut OpenKeyDiff<'_>,
) -> impl Iterator<Item = (Aspect, Evidence, &'k mut Judgement)> {
    let groups = key.diff.groups.iter_mut().zip(&key.evidence);
    groups.flat_map(|(group, evidence)| {
        let GroupDiff {
            latency,
            errors,
            calls,
            ..
        } = group;
        let judgements = [
            Some(&mut latency.judgement),
            Some(&mut errors.judgement),
            calls.as_mut().map(|calls| &mut calls.judgement),
        ];
        let tests = ASPECTS.into_iter().zip(judgements).zip(evidence);
        tests.filter_map(|((aspect, judgement), evidence)| Some((aspect, (*evidence)?, judgement?)))
    })
}

/// Whether a verdict says that something changed.
pub(super) fn is_change(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::NoMaterialChange | Verdict::Inconclusive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::document::Severity;

    fn change(p: f64) -> Evidence {
        Evidence {
            p: Some(p),
            direction: Verdict::Regressed,
            severity: Severity::Minor,
            passes_floor: true,
            is_immaterial: false,
            is_suggestive: false,
            is_asked_for: true,
        }
    }

    /// The judgement of the last test after both corrections; `edit` is what happens in between.
    fn last(p_values: &[f64], edit: impl Fn(usize, &mut Judgement)) -> Judgement {
        let evidence: Vec<Evidence> = p_values.iter().map(|p| change(*p)).collect();
        let q_values = benjamini_hochberg(p_values);
        let mut judgements: Vec<Judgement> = evidence
            .iter()
            .zip(q_values)
            .map(|(evidence, q)| evidence.judge(Some(q), &Policy::default()))
            .collect();
        for (i, judgement) in judgements.iter_mut().enumerate() {
            assert_eq!(judgement.verdict, Verdict::Regressed);
            edit(i, judgement);
        }
        let policy = Policy::default();
        let tests = evidence.into_iter().zip(&mut judgements);
        let mut tests: Vec<_> = tests
            .map(|(e, judgement)| (e, judgement, &policy))
            .collect();
        correct_family_again(&mut tests);
        judgements[p_values.len() - 1]
    }

    #[test]
    fn what_was_taken_back_no_longer_counts_as_found() {
        let mut p_values = [1e-9; 20];
        p_values[19] = 0.04;
        // Among nineteen others that changed 0.04 is one of twenty discoveries; alone it is one of twenty tests.
        let kept = last(&p_values, |_, _| {});
        assert_eq!((kept.verdict, kept.q), (Verdict::Regressed, Some(0.04)));
        let alone = last(&p_values, |i, judgement| {
            if i < 19 {
                judgement.take_back();
            }
        });
        assert_eq!((alone.verdict, alone.q), (Verdict::Inconclusive, Some(0.8)));
        assert!(!alone.is_mix);
    }

    #[test]
    fn a_change_must_be_sure_within_its_parts_too() {
        let within = |p: f64| {
            last(&[1e-9, 1e-9], |i, judgement| {
                judgement.p_within = (i == 1).then_some(p);
            })
        };
        let kept = within(0.001);
        assert_eq!((kept.verdict, kept.q), (Verdict::Regressed, Some(0.001)));
        let back = within(0.2);
        assert_eq!(
            (back.verdict, back.q),
            (Verdict::NoMaterialChange, Some(0.2))
        );
        assert!(back.is_mix && back.severity.is_none());
    }
}
