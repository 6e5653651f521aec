//! How two groups' error ratios compare.

use super::document::{ErrorDiff, Severity, Verdict};
use super::judge::Evidence;
use super::policy::Policy;
use super::side::Side;
use crate::stats::ratio::Ratio;
use crate::stats::{Interval, MIN_SLICES, Test, Variance, proportion};

/// Failures that a side needs for the clustered test; below, an exact one is used.
const MIN_FAILURES: u64 = 10;
/// Failures that both sides need together. So many more than 2 × [`MIN_FAILURES`] that the sides' difference hardly
/// decides the test: intervals chosen because both sides have enough would hold no change too often.
const MIN_FAILURES_TOGETHER: u64 = 40;

/// The numbers, with a judgement still to come.
pub(super) fn compare(
    baseline: &Side<'_>,
    candidate: &Side<'_>,
    policy: &Policy,
) -> (ErrorDiff, Evidence) {
    let (before, after) = (baseline.error_ratio(), candidate.error_ratio());
    let difference = after - before;
    let failures = (baseline.failures(), candidate.failures());
    let is_many = failures.0.min(failures.1) >= MIN_FAILURES
        && failures.0 + failures.1 >= MIN_FAILURES_TOGETHER;
    let tested = match &baseline.errors().zip(candidate.errors()) {
        Some((a, b)) if is_many => clustered(
            a,
            b,
            baseline.errors_variance(a),
            candidate.errors_variance(b),
        ),
        Some((a, b)) => exact(baseline, candidate, a, b),
        None => Tested {
            p: None,
            interval: None,
            minimum_detectable: None,
            test: "none",
        },
    };
    let floor = policy
        .errors
        .min_difference
        .max((policy.errors.min_factor - 1.0) * before.min(after));
    let enough = baseline.total.traces.min(candidate.total.traces) >= policy.min_traces;
    let direction = match difference > 0.0 {
        true => Verdict::Regressed,
        false => Verdict::Improved,
    };
    let evidence = Evidence {
        p: tested.p.filter(|p| enough && p.is_finite()),
        direction,
        severity: severity(before, after),
        passes_floor: difference.abs() >= policy.errors.min_difference
            && before.max(after) >= policy.errors.min_factor * before.min(after),
        is_immaterial: enough && tested.interval.is_some_and(|i| i.is_inside(floor)),
        is_suggestive: baseline.slices < MIN_SLICES || candidate.slices < MIN_SLICES,
        is_asked_for: policy.errors.direction.includes(direction),
    };
    let none_among = [baseline, candidate]
        .into_iter()
        .filter(|s| s.total.errors == 0);
    let diff = ErrorDiff {
        judgement: evidence.judge(None, policy),
        difference,
        interval: tested.interval,
        minimum_detectable: tested.minimum_detectable,
        upper_bound_of_none: none_among
            .map(|s| proportion::rule_of_three(s.effective_spans()))
            .reduce(f64::max),
        test: tested.test,
    };
    (diff, evidence)
}

struct Tested {
    p: Option<f64>,
    interval: Option<Interval>,
    minimum_detectable: Option<f64>,
    test: &'static str,
}

/// Logit of the ratio with the clustered variance.
fn clustered(a: &Ratio, b: &Ratio, variance_a: Variance, variance_b: Variance) -> Tested {
    let logit = |r: &Ratio| (r.value / (1.0 - r.value)).ln();
    let slope = |r: &Ratio| 1.0 / (r.value * (1.0 - r.value));
    let on_logit = Test::welch(
        logit(b) - logit(a),
        variance_a.scaled(slope(a)),
        variance_b.scaled(slope(b)),
    );
    let plain = Test::welch(b.value - a.value, variance_a, variance_b);
    Tested {
        p: Some(on_logit.p),
        interval: Some(plain.interval()),
        minimum_detectable: Some(plain.minimum_detectable()),
        test: "clustered",
    }
}

/// Fisher's mid-p and the score interval on effective counts: what the clustered variance leaves of the spans.
fn exact(baseline: &Side<'_>, candidate: &Side<'_>, a: &Ratio, b: &Ratio) -> Tested {
    let pooled = (baseline.total.error_weight + candidate.total.error_weight)
        / (baseline.total.weight + candidate.total.weight);
    let design_effect = pooled_design_effect([baseline, candidate]);
    let counts = |side: &Side<'_>, ratio: &Ratio| {
        let n = side.effective_spans() / design_effect;
        (ratio.value * n, n)
    };
    let (x_a, x_b) = (counts(baseline, a), counts(candidate, b));
    let round = |(x, n): (f64, f64)| (x.round() as u64, n.round().max(1.0) as u64);
    let ((count_a, n_a), (count_b, n_b)) = (round(x_a), round(x_b));
    let p = if pooled <= 0.0 || pooled >= 1.0 {
        1.0
    } else {
        proportion::fisher_mid_p(count_a.min(n_a), n_a, count_b.min(n_b), n_b)
    };
    let interval = proportion::score_interval(x_a, x_b);
    Tested {
        p: Some(p),
        interval: Some(interval),
        // Power 80 % asks for 2.8 standard errors where the 95 % interval spans 1.96 on either side.
        minimum_detectable: Some((interval.high - interval.low) / 2.0 * 2.8 / 1.96),
        test: "exact",
    }
}

/// How much clustering widens the error ratio's variance over that of independent spans; at least 1. From both sides,
/// by their failures: a side with few cannot tell, and one without any would pass for unclustered.
pub(super) fn pooled_design_effect(sides: [&Side<'_>; 2]) -> f64 {
    let (mut sum, mut failures) = (0.0, 0.0);
    for (side, ratio) in sides.map(|side| (side, side.errors())) {
        let Some(ratio) = &ratio else { continue };
        let independent = ratio.value * (1.0 - ratio.value) / side.effective_spans();
        let clustered = side.errors_variance(ratio).value;
        if independent > 0.0 && clustered.is_finite() {
            let weight = side.failures() as f64;
            sum += weight * clustered / independent;
            failures += weight;
        }
    }
    if failures > 0.0 {
        (sum / failures).max(1.0)
    } else {
        1.0
    }
}

/// By the share of requests that fail now and did not before.
fn severity(before: f64, after: f64) -> Severity {
    match (after - before).abs() {
        d if d < 0.01 => Severity::Minor,
        d if d < 0.05 => Severity::Medium,
        _ => Severity::Major,
    }
}
