//! From what traces say to what is told: attribute values that bad traces have in common, and traces to look at.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{AttributeEvidence, AttributeValue, Explanation};
use super::question::{Badness, Question};
use super::testimony::{Case, Feature, Testimony, WITH_TIMES, Witness};
use crate::diff::Sides;
use crate::facts::SERVICE;
use crate::stats::distribution::normal_upper_tail;
use crate::stats::fdr::benjamini_hochberg;

/// Traces that a side needs, and bad ones beyond the baseline's that the candidate needs.
const MIN_TRACES: usize = 20;
const MIN_EXCESS: f64 = 10.0;
/// Traces with a value that tell as much of the baseline as what is known of all.
const PRIOR: f64 = 20.0;
/// False discovery rate among the values.
const MAX_Q: f64 = 0.01;
/// What a value must have to be told.
const MIN_COVERAGE: f64 = 0.5;
const MIN_CONCENTRATION: f64 = 1.25;
/// What confines a change to a value.
const CONFINED_COVERAGE: f64 = 0.7;
const CONFINED_RATIO: f64 = 0.3;
/// How much of a value's coverage a pair must keep, in what part of its traces at most.
const PAIR_COVERAGE: f64 = 0.8;
const PAIR_RATIO: f64 = 0.7;
/// Values that are told.
const LISTED: usize = 5;

/// One side's case with its witness.
struct Heard<'a> {
    case: Case,
    witness: &'a Witness,
    is_bad: bool,
}

/// Traces and bad ones among them: of the baseline, and of the candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    traces: [f64; 2],
    bad: [f64; 2],
}

impl Counts {
    fn ratio(&self, side: usize) -> f64 {
        if self.traces[side] > 0.0 {
            self.bad[side] / self.traces[side]
        } else {
            0.0
        }
    }

    /// The counts of everything else.
    fn rest_of(&self, all: &Self) -> Self {
        let less = |a: [f64; 2], b: [f64; 2]| [a[0] - b[0], a[1] - b[1]];
        Self {
            traces: less(all.traces, self.traces),
            bad: less(all.bad, self.bad),
        }
    }

    /// The baseline's ratio, drawn towards that of all.
    fn expected_ratio(&self, all: &Self) -> f64 {
        (self.bad[0] + PRIOR * all.ratio(0)) / (self.traces[0] + PRIOR)
    }

    /// Bad traces of the candidate beyond what the baseline makes of as many.
    fn excess(&self, all: &Self) -> f64 {
        self.bad[1] - self.traces[1] * self.expected_ratio(all)
    }

    /// How much more the bad ratio rose here than in `rest`, in standard errors.
    fn z(&self, rest: &Self, all: &Self, design_effect: f64) -> f64 {
        let rise = |c: &Self| c.ratio(1) - c.expected_ratio(all);
        let variance = |bad: f64, traces: f64| {
            let p = (bad + 0.5) / (traces + 1.0);
            p * (1.0 - p) / traces.max(1.0)
        };
        let of_side = |c: &Self, side: usize| {
            let prior = if side == 0 { PRIOR } else { 0.0 };
            variance(
                c.bad[side] + prior * all.ratio(side),
                c.traces[side] + prior,
            )
        };
        let sum: f64 = [0, 1]
            .map(|side| of_side(self, side) + of_side(rest, side))
            .iter()
            .sum();
        (rise(self) - rise(rest)) / (sum * design_effect).sqrt()
    }
}

/// The answer to a question; `None` where too little was heard.
pub(super) fn answer(
    question: &Question,
    number: usize,
    sides: &[Testimony; 2],
) -> Option<Explanation> {
    let heard = hear(question, number, sides)?;
    let all = counts(&heard, |_, _| true);
    let mut explanation = Explanation {
        bad: question.bad_text(),
        traces: Sides::from(all.traces.map(|n| n as usize)),
        bad_ratio: Sides::from([all.ratio(0), all.ratio(1)]),
        attributes: Vec::new(),
        typical: None,
        extreme: None,
        matched: None,
    };
    if all.excess(&all) >= MIN_EXCESS {
        explanation.attributes = attributes(&heard, &all, sides);
    }
    exemplars(&heard, &mut explanation);
    Some(explanation)
}

/// Every case of both sides, and whether it is bad.
fn hear<'a>(
    question: &Question,
    number: usize,
    sides: &'a [Testimony; 2],
) -> Option<[Vec<Heard<'a>>; 2]> {
    let of_side = |testimony: &'a Testimony| -> Vec<Heard<'a>> {
        let cases = testimony.cases.get(number).into_iter().flatten();
        cases
            .filter_map(|(hash, case)| {
                Some(Heard {
                    case: *case,
                    witness: testimony.witnesses.get(hash)?,
                    is_bad: false,
                })
            })
            .collect()
    };
    let mut heard = sides.each_ref().map(of_side);
    if heard.iter().any(|side| side.len() < MIN_TRACES) {
        return None;
    }
    let mut times: Vec<i64> = heard[0].iter().map(|h| h.case.time_ns).collect();
    times.sort_unstable();
    let slow_ns = times[times.len() * 95 / 100];
    for heard in heard.iter_mut().flatten() {
        heard.is_bad = match question.badness {
            Badness::Slow => heard.case.time_ns > slow_ns,
            Badness::Failed => heard.case.is_failed,
            Badness::Calls(_) => heard.case.calls,
            Badness::LeavesOut(_) => !heard.case.calls,
        };
    }
    Some(heard)
}

fn counts(heard: &[Vec<Heard<'_>>; 2], include: impl Fn(usize, &Witness) -> bool) -> Counts {
    let mut counts = Counts::default();
    for (side, heard) in heard.iter().enumerate() {
        for heard in heard.iter().filter(|h| include(side, h.witness)) {
            counts.traces[side] += 1.0;
            counts.bad[side] += f64::from(u8::from(heard.is_bad));
        }
    }
    counts
}

/// The counts of every feature among the cases that are included.
fn by_feature<'a>(
    heard: &[Vec<Heard<'_>>; 2],
    sides: &'a [Testimony; 2],
    include: impl Fn(usize, &Witness) -> bool,
) -> BTreeMap<&'a Feature, Counts> {
    let mut all: BTreeMap<&Feature, Counts> = BTreeMap::new();
    for (side, heard) in heard.iter().enumerate() {
        let features = &sides[side].features;
        let mut sums = vec![[0.0; 2]; features.len()];
        for heard in heard.iter().filter(|h| include(side, h.witness)) {
            for feature in &heard.witness.features {
                let sums = &mut sums[*feature as usize];
                sums[0] += 1.0;
                sums[1] += f64::from(u8::from(heard.is_bad));
            }
        }
        for (feature, [traces, bad]) in features.iter().zip(sums) {
            if traces > 0.0 {
                let counts = all.entry(feature).or_default();
                (counts.traces[side], counts.bad[side]) = (traces, bad);
            }
        }
    }
    all
}

/// How much wider than by chance the bad traces of the candidate scatter over its slices; at least 1.
fn design_effect(heard: &[Heard<'_>]) -> f64 {
    let mut slices: BTreeMap<u32, [f64; 2]> = BTreeMap::new();
    for heard in heard {
        let sums = slices.entry(heard.witness.slice).or_default();
        sums[0] += 1.0;
        sums[1] += f64::from(u8::from(heard.is_bad));
    }
    let [traces, bad] = slices
        .values()
        .fold([0.0; 2], |s, x| [s[0] + x[0], s[1] + x[1]]);
    let p = bad / traces;
    if slices.len() < 2 || p <= 0.0 || p >= 1.0 {
        return 1.0;
    }
    let pearson: f64 = slices
        .values()
        .map(|[n, x]| (x - n * p).powi(2) / (n * p * (1.0 - p)))
        .sum();
    (pearson / (slices.len() as f64 - 1.0)).max(1.0)
}

fn attributes(
    heard: &[Vec<Heard<'_>>; 2],
    all: &Counts,
    sides: &[Testimony; 2],
) -> Vec<AttributeEvidence> {
    let design_effect = design_effect(&heard[1]);
    let features = by_feature(heard, sides, |_, _| true);
    let looked_at: Vec<(Vec<&Feature>, Counts)> =
        features.into_iter().map(|(f, c)| (vec![f], c)).collect();
    let mut found = evidence(&looked_at, all, all, design_effect);
    // A second value, only where the first is had too.
    if let Some((values, first)) = found.first().map(|(v, c, _)| (v.clone(), *c)) {
        let top = values[0];
        let numbers = sides
            .each_ref()
            .map(|s| s.features.iter().position(|f| f == top));
        let has_top = |side: usize, witness: &Witness| {
            numbers[side].is_some_and(|n| witness.features.binary_search(&(n as u32)).is_ok())
        };
        let within = by_feature(heard, sides, has_top);
        let pairs: Vec<(Vec<&Feature>, Counts)> = within
            .into_iter()
            .filter(|(feature, _)| (&feature.service, &feature.key) != (&top.service, &top.key))
            .map(|(feature, counts)| (vec![top, feature], counts))
            .collect();
        let better = evidence(&pairs, &first, all, design_effect);
        found.extend(better.into_iter().filter(|(_, counts, _)| {
            counts.excess(all) >= PAIR_COVERAGE * first.excess(all)
                && counts.traces[1] <= PAIR_RATIO * first.traces[1]
        }));
    }
    tell(found, all)
}

/// Values, the counts of their traces, and the corrected p-value.
type Found<'a> = (Vec<&'a Feature>, Counts, f64);

/// What is worse among the traces with some values than among the rest of `within`: most telling first.
fn evidence<'a>(
    looked_at: &[(Vec<&'a Feature>, Counts)],
    within: &Counts,
    all: &Counts,
    design_effect: f64,
) -> Vec<Found<'a>> {
    let p_value =
        |counts: &Counts| normal_upper_tail(counts.z(&counts.rest_of(within), all, design_effect));
    let p_values: Vec<f64> = looked_at.iter().map(|(_, c)| p_value(c)).collect();
    let q_values = benjamini_hochberg(&p_values);
    let mut found: Vec<Found<'a>> = looked_at
        .iter()
        .zip(q_values)
        .filter(|((_, counts), q)| {
            let (coverage, concentration) = shares(counts, all);
            *q <= MAX_Q && coverage >= MIN_COVERAGE && concentration >= MIN_CONCENTRATION
        })
        .map(|((values, counts), q)| (values.clone(), *counts, q))
        .collect();
    let worth = |counts: &Counts| {
        let (coverage, concentration) = shares(counts, all);
        coverage.min(1.0) * concentration.log2()
    };
    found.sort_by(|x, y| {
        worth(&y.1)
            .total_cmp(&worth(&x.1))
            .then_with(|| said_first(&x.0).cmp(&said_first(&y.0)))
    });
    found
}

/// Attributes by which systems are deployed and rolled out: where something is wrong with some traces only, people look
/// at these first.
const DEPLOYMENT: [&str; 9] = [
    "service.version",
    "deployment.",
    "feature_flag.",
    "k8s.",
    "cloud.",
    "host.",
    "container.",
    "service.instance.",
    "app.",
];
/// Attributes that say what a call is. Those of the same traces say more.
const CALLS: [&str; 12] = [
    "server.",
    "client.",
    "network.",
    "net.",
    "rpc.",
    "db.",
    "http.",
    "url.",
    "messaging.",
    "code.",
    "thread.",
    "user_agent.",
];

/// Which of two sets of values is told first where they are equally telling.
fn said_first<'a>(values: &[&'a Feature]) -> Vec<(u8, &'a Feature)> {
    let begins = |key: &str, with: &[&str]| with.iter().any(|prefix| key.starts_with(prefix));
    let rank = |key: &str| match key {
        SERVICE => 0,
        key if begins(key, &DEPLOYMENT) => 1,
        key if begins(key, &CALLS) => 3,
        _ => 2,
    };
    values.iter().map(|f| (rank(&f.key), *f)).collect()
}

/// Coverage and concentration.
fn shares(counts: &Counts, all: &Counts) -> (f64, f64) {
    let coverage = counts.excess(all) / all.excess(all);
    (coverage, coverage / (counts.traces[1] / all.traces[1]))
}

/// Each set of traces once, under the first of its values.
fn tell(found: Vec<Found<'_>>, all: &Counts) -> Vec<AttributeEvidence> {
    let value = |f: &Feature| AttributeValue {
        service: f.service.clone(),
        key: f.key.clone(),
        value: f.value.clone(),
    };
    let mut told: Vec<(Counts, AttributeEvidence)> = Vec::new();
    for (features, counts, q) in found {
        if let Some((_, same)) = told.iter_mut().find(|(c, _)| *c == counts) {
            // What all spans of a service have says no more than that it is called.
            if same.values.iter().all(|v| v.key != SERVICE) {
                same.same_as.extend(features.last().map(|f| value(f)));
            }
            continue;
        }
        let (coverage, concentration) = shares(&counts, all);
        let trace_ratio = counts.traces[1] / all.traces[1];
        let rest = counts.rest_of(all);
        let evidence = AttributeEvidence {
            values: features.into_iter().map(value).collect(),
            same_as: Vec::new(),
            coverage,
            trace_ratio,
            concentration,
            bad_ratio: Sides::from([counts.ratio(0), counts.ratio(1)]),
            bad_ratio_without: Sides::from([rest.ratio(0), rest.ratio(1)]),
            q,
            is_confined: coverage >= CONFINED_COVERAGE && trace_ratio <= CONFINED_RATIO,
        };
        told.push((counts, evidence));
    }
    told.sort_by(|(_, x), (_, y)| {
        let worth = |e: &AttributeEvidence| e.coverage.min(1.0) * e.concentration.log2();
        worth(y).total_cmp(&worth(x))
    });
    told.truncate(LISTED);
    told.into_iter().map(|(_, evidence)| evidence).collect()
}

/// The traces to look at: the bad one nearest to the mean of all bad ones, one near their slow end, and the baseline's nearest to the first.
fn exemplars(heard: &[Vec<Heard<'_>>; 2], explanation: &mut Explanation) {
    let with_times = |side: usize, bad: bool| -> Vec<&Heard<'_>> {
        // In order of hashes, as testimonies keep them, so that it does not matter in how many parts they were heard.
        let known = heard[side].iter().take(WITH_TIMES);
        let mut kept: Vec<&Heard<'_>> = known.filter(|h| h.is_bad == bad).collect();
        // Whole traces only, where there are any.
        if kept.iter().any(|h| h.witness.is_complete) {
            kept.retain(|h| h.witness.is_complete);
        }
        kept
    };
    let bad = with_times(1, true);
    if bad.is_empty() {
        return;
    }
    let mut mean: BTreeMap<u64, f32> = BTreeMap::new();
    for heard in &bad {
        for (label, time) in &heard.witness.times {
            *mean.entry(*label).or_default() += time / bad.len() as f32;
        }
    }
    let mean: Vec<(u64, f32)> = mean.into_iter().collect();
    let nearest = |to: &[(u64, f32)], among: &[&Heard<'_>]| {
        let distance = |h: &Heard<'_>| distance(&h.witness.times, to);
        among
            .iter()
            .min_by(|x, y| distance(x).total_cmp(&distance(y)))
            .map(|h| h.witness.trace_id)
    };
    let typical = nearest(&mean, &bad);
    let of_typical = bad.iter().find(|h| Some(h.witness.trace_id) == typical);
    let mut by_time: Vec<&&Heard<'_>> = bad.iter().collect();
    by_time.sort_by_key(|h| h.case.time_ns);
    let extreme = by_time.get((by_time.len() * 95 / 100).min(by_time.len() - 1));
    explanation.typical = typical.map(|id| id.to_string());
    explanation.extreme = extreme.map(|h| h.witness.trace_id.to_string());
    let Some(typical) = of_typical else {
        return;
    };
    let mut others = with_times(0, false);
    others.retain(|h| h.witness.request == typical.witness.request);
    // The same calls, where some trace has them.
    let shape = |h: &Heard<'_>| -> BTreeSet<u64> { h.witness.times.iter().map(|t| t.0).collect() };
    let wanted = shape(typical);
    if others.iter().any(|h| shape(h) == wanted) {
        others.retain(|h| shape(h) == wanted);
    }
    explanation.matched = nearest(&typical.witness.times, &others).map(|id| id.to_string());
}

/// L1 distance of two sparse vectors in order of their places.
fn distance(x: &[(u64, f32)], y: &[(u64, f32)]) -> f32 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while i < x.len() || j < y.len() {
        match (x.get(i), y.get(j)) {
            (Some(a), Some(b)) if a.0 == b.0 => {
                sum += (a.1 - b.1).abs();
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                sum += a.1.abs();
                i += 1;
            }
            (_, Some(b)) => {
                sum += b.1.abs();
                j += 1;
            }
            _ => break,
        }
    }
    sum
}
