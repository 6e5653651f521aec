//! How two groups' durations compare.

use std::collections::BTreeMap;

use super::document::{LatencyDiff, QuantileDiff, Verdict};
use super::judge::{Evidence, severity_of_delta};
use super::policy::Policy;
use super::side::{Quantiles, Side};
use crate::facts::cell::Cell;
use crate::stats::quantile::{self, Quantile};
use crate::stats::{Interval, Sample, Test, theta};

/// The numbers, with a judgement still to come.
pub(super) fn compare(
    baseline: &Side<'_>,
    candidate: &Side<'_>,
    [sample_a, sample_b]: &[Option<Sample>; 2],
    quantiles: &[Quantiles; 2],
    policy: &Policy,
) -> (LatencyDiff, Evidence) {
    let samples = sample_a.as_ref().zip(sample_b.as_ref());
    let theta = samples.map(|(a, b)| theta::compare(a, b));
    let quantiles = compare_quantiles(quantiles);
    let mean = baseline
        .ratio(Cell::duration_sums)
        .zip(candidate.ratio(Cell::duration_sums))
        .map(|(a, b)| {
            Test::welch(
                b.value - a.value,
                a.variance(baseline.persistence),
                b.variance(candidate.persistence),
            )
        });
    let evidence = theta.map_or(Evidence::NONE, |t| {
        evidence(&t, &quantiles, baseline, candidate, policy)
    });
    let diff = LatencyDiff {
        judgement: evidence.judge(None, policy),
        theta: theta.map(|t| t.theta),
        delta: theta.map(|t| t.delta),
        delta_interval: theta.map(|t| t.delta_interval),
        minimum_detectable_delta: theta.map(|t| t.delta_minimum_detectable),
        mean_difference_ns: candidate.mean_ns() - baseline.mean_ns(),
        mean_interval_ns: mean.map(|t| t.interval()).filter(|i| i.low.is_finite()),
        quantiles: quantiles
            .iter()
            .map(|(name, (_, diff))| (*name, *diff))
            .collect(),
    };
    (diff, evidence)
}

/// Changes of quantiles by name, each with the baseline's value.
type Changes = BTreeMap<&'static str, (f64, QuantileDiff)>;

/// The changes of all quantiles that both sides have.
fn compare_quantiles([baseline, candidate]: &[Quantiles; 2]) -> Changes {
    let diff = |before: &Quantile, after: &Quantile| {
        let test = quantile::compare(before, after);
        let exp = |i: Interval| Interval {
            low: i.low.exp(),
            high: i.high.exp(),
        };
        let is_known = before.value_ns > 0.0;
        QuantileDiff {
            difference_ns: after.value_ns - before.value_ns,
            factor: is_known.then(|| after.value_ns / before.value_ns),
            factor_interval: is_known.then(|| exp(test.interval())),
            minimum_detectable_factor: is_known.then(|| test.minimum_detectable().exp()),
        }
    };
    let both = baseline.iter().filter_map(|(name, before)| {
        let after = candidate.get(name)?;
        Some((*name, (before.value_ns, diff(before, after))))
    });
    both.collect()
}

fn evidence(
    theta: &theta::Theta,
    quantiles: &Changes,
    baseline: &Side<'_>,
    candidate: &Side<'_>,
    policy: &Policy,
) -> Evidence {
    let floor = &policy.latency;
    let floor_ns = floor.min_difference_ms * 1e6;
    let judged: Vec<&(f64, QuantileDiff)> = ["p50", "p95"]
        .iter()
        .filter_map(|p| quantiles.get(p))
        .collect();
    // Relative to the smaller side, so that swapping the sides changes nothing but the sign.
    let smaller = |(before, diff): &&(f64, QuantileDiff)| before.min(before + diff.difference_ns);
    // The change must go the way that δ says.
    let is_big = |q: &&(f64, QuantileDiff)| {
        let change = q.1.difference_ns;
        change * theta.delta > 0.0
            && change.abs() >= floor_ns
            && change.abs() >= floor.min_ratio * smaller(q)
    };
    let is_small = |q: &&(f64, QuantileDiff)| {
        let limit = (floor_ns / smaller(q)).max(floor.min_ratio).ln_1p();
        q.1.factor_interval
            .is_some_and(|i| i.low.ln() > -limit && i.high.ln() < limit)
    };
    let enough = baseline.total.traces.min(candidate.total.traces) >= policy.min_traces;
    let direction = match theta.delta > 0.0 {
        true => Verdict::Regressed,
        false => Verdict::Improved,
    };
    Evidence {
        p: Some(theta.test.p).filter(|p| enough && p.is_finite()),
        direction,
        severity: severity_of_delta(theta.delta),
        passes_floor: theta.delta.abs() >= floor.min_delta && judged.iter().any(is_big),
        is_immaterial: enough
            && (theta.delta_interval.is_inside(floor.min_delta)
                || (!judged.is_empty() && judged.iter().all(is_small))),
        is_suggestive: theta.few_slices,
        is_asked_for: floor.direction.includes(direction),
    }
}
