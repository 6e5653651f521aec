//! Proportions: intervals and exact tests for the error ratio where errors are few.

use super::Interval;
use super::distribution::{binomial_cdf, binomial_pmf, ln_choose, normal_quantile};

/// Wilson score limits of `successes` out of `trials`, both of which may be fractional (effective counts).
///
/// Source: Wilson 1927, JASA 22(158). `(0, 1)` where there were no trials.
pub fn wilson(successes: f64, trials: f64) -> Interval {
    if trials <= 0.0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let z = normal_quantile(0.975);
    let (p, z2) = (successes / trials, z * z);
    let centre = p + z2 / (2.0 * trials);
    let half = z * (p * (1.0 - p) / trials + z2 / (4.0 * trials * trials)).sqrt();
    let scale = 1.0 + z2 / trials;
    Interval {
        low: ((centre - half) / scale).max(0.0),
        high: ((centre + half) / scale).min(1.0),
    }
}

/// The score interval of p_B − p_A, each side given as (successes, trials), which may be fractional.
///
/// Holds the differences d that the score test with the proportions most likely under d does not reject at 5 %.
/// Source: Miettinen & Nurminen 1985, Statistics in Medicine 4, 213–226. Everything where a side had no trials.
pub fn score_interval(baseline: (f64, f64), candidate: (f64, f64)) -> Interval {
    if baseline.1 <= 0.0 || candidate.1 <= 0.0 {
        return Interval {
            low: -1.0,
            high: 1.0,
        };
    }
    let z = normal_quantile(0.975);
    if baseline.0 <= 0.0 && candidate.0 <= 0.0 {
        // The proportion of the side with fewer is 0 then, and d is the other's.
        let n = baseline.1 + candidate.1;
        let limit = |trials: f64| {
            let k = z * z / trials * n / (n - 1.0).max(1.0);
            k / (1.0 + k)
        };
        return Interval {
            low: -limit(baseline.1),
            high: limit(candidate.1),
        };
    }
    let observed = candidate.0 / candidate.1 - baseline.0 / baseline.1;
    let is_inside = |d: f64| {
        let variance = score_variance(baseline, candidate, d);
        (observed - d).powi(2) < z * z * variance
    };
    let limit = |edge: f64| {
        if observed == edge {
            return edge;
        }
        let (mut inside, mut outside) = (observed, edge);
        while (outside - inside).abs() > 1e-7 * (outside - observed).abs() {
            let middle = f64::midpoint(inside, outside);
            if is_inside(middle) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        outside
    };
    Interval {
        low: limit(-1.0),
        high: limit(1.0),
    }
}

/// The variance of the observed difference if the true one were `d`.
fn score_variance((x_a, n_a): (f64, f64), (x_b, n_b): (f64, f64), d: f64) -> f64 {
    // The likelihood's derivative by p_A, brought to a common denominator, is a cubic with one root in range: the
    // paper's closed form, and Newton steps for the digits that it loses where proportions are tiny.
    let n = n_a + n_b;
    let c2 = (n_b + 2.0 * n_a) * d - n - x_b - x_a;
    let c1 = (n_a * d - n - 2.0 * x_a) * d + x_b + x_a;
    let c0 = x_a * d * (1.0 - d);
    let third = c2 / (3.0 * n);
    let q = third.powi(3) - c1 * c2 / (6.0 * n * n) + c0 / (2.0 * n);
    let p = (third * third - c1 / (3.0 * n)).max(0.0).sqrt().copysign(q);
    let angle = if p == 0.0 {
        0.0
    } else {
        (std::f64::consts::PI + (q / p.powi(3)).clamp(-1.0, 1.0).acos()) / 3.0
    };
    let (lowest, highest) = ((-d).max(0.0), (1.0 - d).min(1.0));
    let mut p_a = 2.0 * p * angle.cos() - third;
    for _ in 0..3 {
        let value = ((n * p_a + c2) * p_a + c1) * p_a + c0;
        let slope = (3.0 * n * p_a + 2.0 * c2) * p_a + c1;
        if slope != 0.0 && (value / slope).abs() < 1e-3 {
            p_a -= value / slope;
        }
    }
    let p_a = p_a.clamp(lowest, highest);
    let p_b = (p_a + d).clamp(0.0, 1.0);
    (p_a * (1.0 - p_a) / n_a + p_b * (1.0 - p_b) / n_b) * n / (n - 1.0).max(1.0)
}

/// Two-sided mid-p value of Fisher's exact test: `x_a` of `n_a` against `x_b` of `n_b`.
///
/// Sums the probabilities of all tables that are less probable than the one seen, and half of those as probable
/// (Lancaster 1961; relative tolerance 10⁻⁷ for "as probable").
pub fn fisher_mid_p(x_a: u64, n_a: u64, x_b: u64, n_b: u64) -> f64 {
    let events = x_a + x_b;
    let total = n_a + n_b;
    let lowest = events.saturating_sub(n_a);
    let highest = events.min(n_b);
    let ln_all = ln_choose(total as f64, events as f64);
    let probability = |x: u64| {
        (ln_choose(n_b as f64, x as f64) + ln_choose(n_a as f64, (events - x) as f64) - ln_all)
            .exp()
    };
    let seen = probability(x_b);
    let mut p = 0.0;
    for x in lowest..=highest {
        let q = probability(x);
        if q < seen * (1.0 - 1e-7) {
            p += q;
        } else if q <= seen * (1.0 + 1e-7) {
            p += 0.5 * q;
        }
    }
    p.min(1.0)
}

/// Two-sided mid-p value of the conditional test that two Poisson counts have one rate, given the share of exposure
/// that the candidate had: count_B ~ Binomial(count_A + count_B, share_B).
///
/// Source: Przyborowski & Wilenski 1940, with Lancaster's mid-p.
pub fn conditional_poisson_mid_p(count_a: u64, count_b: u64, share_b: f64) -> f64 {
    let n = count_a + count_b;
    if n == 0 {
        return 1.0;
    }
    let at = 0.5 * binomial_pmf(count_b, n, share_b);
    let below = if count_b == 0 {
        0.0
    } else {
        binomial_cdf(count_b - 1, n, share_b)
    };
    let lower = below + at;
    (2.0 * lower.min(1.0 - lower)).clamp(0.0, 1.0)
}

/// The largest ratio that is still compatible (95 %) with no event in `trials`: the rule of three.
///
/// Source: Hanley & Lippman-Hand 1983, JAMA 249(13).
pub fn rule_of_three(trials: f64) -> f64 {
    if trials > 0.0 {
        (3.0 / trials).min(1.0)
    } else {
        1.0
    }
}
