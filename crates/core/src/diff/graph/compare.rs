//! One node or edge on both sides.

use super::Open;
use super::document::{GraphChange, GraphComparison, GraphSide, GraphTime};
use crate::diff::document::{Judgement, QuantileSummary, Verdict};
use crate::diff::judge::Evidence;
use crate::diff::policy::Policy;
use crate::diff::side::{Quantiles, Side, SideFacts};
use crate::diff::{calls, errors, latency, values};
use crate::facts::Group;
use crate::paths::GraphItem;
use crate::stats::Sample;

/// Example traces of a side.
const EXAMPLES: usize = 3;

/// Times of one side.
struct Times<'a> {
    side: Side<'a>,
    sample: Option<Sample>,
    quantiles: Quantiles,
}

impl<'a> Times<'a> {
    fn new(facts: &SideFacts<'a>, group: &'a Group) -> Self {
        let side = Side::new(facts, group);
        let sample = side.sample();
        let quantiles = side.quantiles(sample.as_ref());
        Self {
            side,
            sample,
            quantiles,
        }
    }
}

/// Compares the groups of calls and of times, where a side has them. The judgements are still to come.
pub(super) fn groups(
    sides: [&SideFacts<'_>; 2],
    counts: [Option<&Group>; 2],
    times: [Option<&Group>; 2],
    policy: &Policy,
) -> Open<GraphComparison> {
    let count = |place: usize| Some(Side::new(sides[place], counts[place]?));
    let time = |place: usize| Some(Times::new(sides[place], times[place]?));
    let (counts_of, times_of) = ([count(0), count(1)], [time(0), time(1)]);
    let summary = |place: usize| {
        let side = counts_of[place].as_ref()?;
        Some(summary(side, times_of[place].as_ref()))
    };
    let mut comparison = GraphComparison {
        change: GraphChange::Unchanged,
        p: None,
        baseline: summary(0),
        candidate: summary(1),
        calls: None,
        errors: None,
        latency: None,
    };
    let mut evidence: [Option<Evidence>; 3] = [None; 3];
    match (&counts_of, counts) {
        ([Some(a), Some(b)], _) => {
            let calls = calls::compare(a, b, policy);
            let (errors, of_errors) = errors::compare(a, b, policy);
            comparison.calls = calls.map(|(diff, _)| diff);
            comparison.errors = Some(errors);
            evidence[0] = calls.map(|(_, evidence)| evidence);
            evidence[1] = Some(of_errors);
        }
        (_, [Some(group), None]) => {
            let chance = values::chance(sides[0], group, sides[1], &policy.values);
            only_on_one_side(&mut comparison, GraphChange::Gone, chance);
        }
        (_, [None, Some(group)]) => {
            let chance = values::chance(sides[1], group, sides[0], &policy.values);
            only_on_one_side(&mut comparison, GraphChange::New, chance);
        }
        _ => {}
    }
    if let [Some(a), Some(b)] = times_of {
        let samples = [a.sample, b.sample];
        let quantiles = [a.quantiles, b.quantiles];
        let (latency, of_latency) =
            latency::compare(&a.side, &b.side, &samples, &quantiles, policy);
        comparison.latency = Some(latency);
        evidence[2] = Some(of_latency);
    }
    Open {
        item: comparison,
        evidence,
    }
}

fn only_on_one_side(comparison: &mut GraphComparison, change: GraphChange, chance: values::Chance) {
    comparison.p = Some(chance.p);
    comparison.change = if chance.passes {
        change
    } else {
        GraphChange::Inconclusive
    };
}

/// Puts in the judgements of calls, errors and latency, and says whether that makes a change.
pub(super) fn settle(comparison: &mut GraphComparison, judgements: [Option<Judgement>; 3]) {
    let places = [
        comparison.calls.as_mut().map(|calls| &mut calls.judgement),
        comparison.errors.as_mut().map(|e| &mut e.judgement),
        comparison.latency.as_mut().map(|l| &mut l.judgement),
    ];
    let mut is_changed = false;
    for (place, judgement) in places.into_iter().zip(judgements) {
        if let (Some(place), Some(judgement)) = (place, judgement) {
            *place = judgement;
            is_changed |= !matches!(
                judgement.verdict,
                Verdict::NoMaterialChange | Verdict::Inconclusive
            );
        }
    }
    if is_changed {
        comparison.change = GraphChange::Changed;
    }
}

fn summary(side: &Side<'_>, times: Option<&Times<'_>>) -> GraphSide {
    let quantile = |q: &crate::stats::quantile::Quantile| QuantileSummary {
        value_ns: q.value_ns,
        interval_ns: q.interval_ns,
    };
    let time = times.map(|times| GraphTime {
        mean_ns: times.side.mean_ns(),
        quantiles: times
            .quantiles
            .iter()
            .map(|(name, q)| (*name, quantile(q)))
            .collect(),
    });
    GraphSide {
        calls: side.total.spans,
        errors: side.total.errors,
        traces: side.total.traces,
        slices: side.slices,
        weighted_calls: side.total.weight,
        per_trace: side.calls_per_trace().map_or(0.0, |calls| calls.value),
        error_ratio: side.error_ratio(),
        time,
        examples: Vec::new(),
    }
}

/// Puts in the examples of a node or edge that is told.
pub(super) fn add_examples(
    comparison: &mut GraphComparison,
    sides: [&SideFacts<'_>; 2],
    item: &GraphItem,
) {
    let told = [&mut comparison.baseline, &mut comparison.candidate];
    for (told, facts) in told.into_iter().zip(sides) {
        if let (Some(told), Some(group)) = (told, facts.facts.graph().get(item)) {
            let typical = group.exemplars.typical(Side::new(facts, group).mean_ns());
            let examples = typical.iter().take(EXAMPLES);
            told.examples = examples.map(|e| e.trace_id.to_string()).collect();
        }
    }
}
