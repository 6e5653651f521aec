//! How two groups' numbers of spans per trace and per second compare.

use super::document::{CallDiff, RateDiff, Severity, Sides, Verdict};
use super::judge::Evidence;
use super::policy::Policy;
use super::side::Side;
use crate::stats::rate::Rate;
use crate::stats::ratio::Ratio;
use crate::stats::{Interval, MIN_SLICES, Test, proportion};

/// Fewer raw spans than this on both sides together: the rates are compared by an exact test.
const MIN_SPANS: f64 = 50.0;

/// Spans per trace, with a judgement still to come; `None` where a side has no traces.
pub(super) fn compare(
    baseline: &Side<'_>,
    candidate: &Side<'_>,
    policy: &Policy,
) -> Option<(CallDiff, Evidence)> {
    let (a, b) = (baseline.calls_per_trace()?, candidate.calls_per_trace()?);
    let is_known = a.value > 0.0 && b.value > 0.0;
    let test = is_known.then(|| {
        let variance_a = baseline.calls_variance(&a).scaled(1.0 / a.value);
        let variance_b = candidate.calls_variance(&b).scaled(1.0 / b.value);
        Test::welch((b.value / a.value).ln(), variance_a, variance_b)
    });
    let floor = (1.0 + policy.calls.min_ratio).ln();
    let enough = baseline.total.traces.min(candidate.total.traces) >= policy.min_traces;
    let has_no_spread = |t: &Test| t.standard_error == 0.0 && t.difference != 0.0;
    let p = test.map(|t| {
        if has_no_spread(&t) {
            by_slices(&a, &b)
        } else {
            t.p
        }
    });
    let p = p.filter(|p| enough && p.is_finite());
    let direction = match b.value > a.value {
        true => Verdict::Increased,
        false => Verdict::Decreased,
    };
    let evidence = Evidence {
        p,
        direction,
        severity: Severity::Minor,
        passes_floor: test.is_some_and(|t| t.difference.abs() >= floor),
        is_immaterial: enough && test.is_some_and(|t| t.interval().is_inside(floor)),
        is_suggestive: a.slices < MIN_SLICES || b.slices < MIN_SLICES,
        is_asked_for: policy.calls.direction.includes(direction),
    };
    let diff = CallDiff {
        judgement: evidence.judge(None, policy),
        per_trace: Sides {
            baseline: a.value,
            candidate: b.value,
        },
        factor: is_known.then(|| b.value / a.value),
        factor_interval: test.map(|t| exp(t.interval())),
        minimum_detectable_factor: test.map(|t| t.minimum_detectable().exp()),
    };
    Some((diff, evidence))
}

/// Every trace of a side has the same number of calls, and the sides differ: the exact permutation test with slices as
/// the units. Of all ways to deal the slices to the two sides only this one and its mirror part them so well.
fn by_slices(baseline: &Ratio, candidate: &Ratio) -> f64 {
    let (a, b) = (baseline.slices, candidate.slices);
    let ways: f64 = (1..=a).map(|i| (b + i) as f64 / i as f64).product();
    (2.0 / ways).min(1.0)
}

/// Spans per second: context.
pub(super) fn compare_rates(
    baseline: &Side<'_>,
    candidate: &Side<'_>,
    seconds: Sides<f64>,
) -> RateDiff {
    let unknown = RateDiff {
        factor: None,
        factor_interval: None,
        p: None,
    };
    let (Some(a), Some(b)) = (baseline.rate(), candidate.rate()) else {
        return unknown;
    };
    let test = Test::welch(
        (b.per_second / a.per_second).ln(),
        a.ln_variance,
        b.ln_variance,
    );
    // The exact test counts spans as they are, so it is for sides without sampling.
    let is_unsampled = |side: &Side<'_>| side.total.weight == side.total.spans as f64;
    let is_exact =
        a.count + b.count < MIN_SPANS && is_unsampled(baseline) && is_unsampled(candidate);
    let p = if is_exact {
        // Over-dispersion takes information away: count as if there had been that many fewer.
        let count = |r: &Rate| (r.count / r.dispersion).round() as u64;
        let share = seconds.candidate / (seconds.baseline + seconds.candidate);
        proportion::conditional_poisson_mid_p(count(&a), count(&b), share)
    } else {
        test.p
    };
    RateDiff {
        factor: Some(b.per_second / a.per_second),
        factor_interval: Some(exp(test.interval())),
        p: Some(p).filter(|p| p.is_finite()),
    }
}

fn exp(interval: Interval) -> Interval {
    Interval {
        low: interval.low.exp(),
        high: interval.high.exp(),
    }
}
