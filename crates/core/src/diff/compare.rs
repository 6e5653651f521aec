//! The comparison: two facts and a policy in, a diff out. Pure.

use super::culprits::Ranking;
use super::document::{DOCUMENT_VERSION, Diff, GroupDiff, KeyDiff, LeftOut, RateDiff, Sides};
use super::family::OpenKeyDiff;
use super::graph::GraphDiff;
use super::join::joined;
use super::judge::Evidence;
use super::paths::Paths;
use super::policy::{Policies, Policy};
use super::side::{Scatters, Side, SideFacts, persistence};
use super::{
    calls, culprits, errors, family, findings, graph, header, latency, mix, outcome, sentence,
    structure, values,
};
use crate::explain::strata;
use crate::facts::{ENDPOINT, Facts, Key, KeyRole, OPERATION, SERVICE};

/// Compares the candidate's facts with the baseline's.
pub fn compare(baseline: &Facts, candidate: &Facts, policy: &Policy) -> Diff {
    let persistence = persistence(baseline, candidate);
    let scatters = Scatters::estimate(baseline, candidate);
    let policies = Policies::of(policy);
    let context = Context {
        baseline: SideFacts {
            facts: baseline,
            persistence,
            scatters,
        },
        candidate: SideFacts {
            facts: candidate,
            persistence,
            scatters,
        },
        policies: &policies,
        rates_are_comparable: header::rates_are_comparable(baseline, candidate),
    };
    let paths = Paths::of([baseline.paths(), candidate.paths()]);
    let ranking = culprits::rank(&paths, &context.baseline, &context.candidate);
    let found = structure::Found::of(&paths, [baseline, candidate], policy);
    let structure = found.told(&ranking.branches);
    let Groups {
        keys,
        left_out,
        graph,
    } = context.groups(&paths);
    let quality = header::build(baseline, candidate, persistence, &keys);
    let findings = findings::collect(&keys, quality.can_confirm);
    let Ranking {
        culprits,
        mut attribution,
        ..
    } = ranking;
    attribution.failures = culprits::entry_failures(&paths, &keys);
    let outcome = outcome::of(&keys, &findings, &culprits, &quality, policy);
    let sentence = sentence::write(&keys, &findings, &culprits, &quality);
    Diff {
        version: DOCUMENT_VERSION,
        outcome,
        sentence,
        quality,
        policy: policy.clone(),
        findings,
        culprits,
        attribution,
        structure,
        graph,
        keys,
        left_out,
        requests: strata(baseline, candidate),
        traces: Vec::new(),
    }
}

/// What is said of groups.
struct Groups {
    keys: Vec<KeyDiff>,
    left_out: Vec<LeftOut>,
    graph: Option<GraphDiff>,
}

fn key_order(key: &KeyDiff) -> (std::cmp::Reverse<KeyRole>, usize, &str) {
    let place = [SERVICE, OPERATION, ENDPOINT]
        .iter()
        .position(|name| *name == key.key)
        .unwrap_or(3);
    (std::cmp::Reverse(key.role), place, &key.key)
}

/// Why a key is not compared.
fn reason_to_leave_out(sides: &Sides<Option<&Key>>) -> Option<String> {
    let both: Vec<&Key> = [sides.baseline, sides.candidate]
        .into_iter()
        .flatten()
        .collect();
    if both.iter().any(|key| key.role != KeyRole::Scanned) {
        return None;
    }
    let identifier = |key: &&&Key| key.identifier.is_some() || key.is_identifier_like();
    both.iter().find(identifier).map(|key| {
        let values = key.identifier.unwrap_or(key.groups.len() as u64);
        let at_least = if key.identifier.is_some() {
            "at least "
        } else {
            ""
        };
        format!("identifier-like: {at_least}{values} values, nearly each in a trace of its own")
    })
}

struct Context<'a> {
    baseline: SideFacts<'a>,
    candidate: SideFacts<'a>,
    policies: &'a Policies<'a>,
    rates_are_comparable: bool,
}

impl<'a> Context<'a> {
    fn groups(&self, paths: &Paths<'_>) -> Groups {
        let sides = [&self.baseline, &self.candidate];
        let all = sides.map(|side| side.facts.keys());
        let mut left_out = Vec::new();
        let mut keys: Vec<OpenKeyDiff<'_>> = Vec::new();
        for (name, sides) in joined(all.map(|keys| keys.iter())) {
            let sides = Sides::from(sides);
            match reason_to_leave_out(&sides) {
                Some(reason) => left_out.push(LeftOut {
                    key: name.clone(),
                    reason,
                }),
                None => keys.push(self.key(name, &sides)),
            }
        }
        for role in [KeyRole::EntryPoint, KeyRole::GroupBy, KeyRole::Scanned] {
            family::judge(&mut keys, role);
        }
        mix::discount(&mut keys, paths, sides);
        family::doubt_unseen(&mut keys);
        let mut keys: Vec<KeyDiff> = keys.into_iter().map(|key| key.diff).collect();
        keys.sort_by(|a, b| key_order(a).cmp(&key_order(b)));
        Groups {
            keys,
            left_out,
            graph: graph::compare(&self.baseline, &self.candidate, self.policies.all),
        }
    }

    fn key(&self, name: &str, sides: &Sides<Option<&Key>>) -> OpenKeyDiff<'a> {
        let policy = self.policies.of_key(name);
        let only = |here, key: Option<&Key>, there, other| {
            let mut only = key.map_or_else(Vec::new, |k| {
                values::only_on(here, k, there, other, &policy.values)
            });
            only.retain(|evidence| !self.policies.ignores(name, &evidence.value));
            only
        };
        let without =
            |facts: &Facts, key: Option<&Key>| facts.all().spans() - key.map_or(0, |k| k.spans);
        let role = [sides.baseline, sides.candidate]
            .into_iter()
            .flatten()
            .map(|k| k.role)
            .max();
        let role = role.unwrap_or(KeyRole::Scanned);
        let mut groups = Vec::new();
        let mut evidence = Vec::new();
        if let (Some(a), Some(b)) = (sides.baseline, sides.candidate) {
            for (value, sides) in joined([a.groups.iter(), b.groups.iter()]) {
                if self.policies.ignores(name, value) {
                    continue;
                }
                if let [Some(group), Some(other)] = sides {
                    let sides = (
                        Side::new(&self.baseline, group),
                        Side::new(&self.candidate, other),
                    );
                    let (diff, found) = self.group(value, &sides.0, &sides.1, role, policy);
                    groups.push(diff);
                    evidence.push(found);
                }
            }
        }
        let diff = KeyDiff {
            key: name.to_owned(),
            role,
            new: only(
                &self.candidate,
                sides.candidate,
                &self.baseline,
                sides.baseline,
            ),
            missing: only(
                &self.baseline,
                sides.baseline,
                &self.candidate,
                sides.candidate,
            ),
            groups,
            without: Sides {
                baseline: without(self.baseline.facts, sides.baseline),
                candidate: without(self.candidate.facts, sides.candidate),
            },
            other: Sides {
                baseline: sides.baseline.map(|k| k.other).unwrap_or_default(),
                candidate: sides.candidate.map(|k| k.other).unwrap_or_default(),
            },
        };
        OpenKeyDiff {
            policy,
            diff,
            evidence,
        }
    }

    fn group(
        &self,
        value: &str,
        a: &Side<'_>,
        b: &Side<'_>,
        role: KeyRole,
        policy: &Policy,
    ) -> (GroupDiff, [Option<Evidence>; 3]) {
        let samples = [a.sample(), b.sample()];
        let quantiles = [
            a.quantiles(samples[0].as_ref()),
            b.quantiles(samples[1].as_ref()),
        ];
        let (latency, latency_evidence) = latency::compare(a, b, &samples, &quantiles, policy);
        let (errors, error_evidence) = errors::compare(a, b, policy);
        let calls = if role == KeyRole::EntryPoint {
            None
        } else {
            calls::compare(a, b, policy)
        };
        let seconds = Sides {
            baseline: self.baseline.facts.slicing().seconds(),
            candidate: self.candidate.facts.slicing().seconds(),
        };
        let rate = if self.rates_are_comparable {
            calls::compare_rates(a, b, seconds)
        } else {
            RateDiff {
                factor: None,
                factor_interval: None,
                p: None,
            }
        };
        let diff = GroupDiff {
            value: value.to_owned(),
            baseline: a.summary(&quantiles[0]),
            candidate: b.summary(&quantiles[1]),
            latency,
            errors,
            calls: calls.map(|(diff, _)| diff),
            rate,
        };
        (
            diff,
            [
                Some(latency_evidence),
                Some(error_evidence),
                calls.map(|(_, evidence)| evidence),
            ],
        )
    }
}
