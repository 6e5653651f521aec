//! Quantiles of a latency histogram with Woodruff intervals, and the comparison of two sides' quantiles.
//!
//! Source: Woodruff 1952, JASA 47(260): the interval of a quantile is read off the distribution at p ± t·se, so no
//! density is needed; se comes from the scatter of traces and slices, widened for what lasts.

use super::distribution::t_quantile;
use super::{Interval, Sample, Test, Variance};

/// A quantile and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The quantile, in nanoseconds.
    pub value_ns: f64,
    /// 95 % Woodruff interval in nanoseconds.
    pub interval_ns: Interval,
    /// Variance of ln(quantile).
    pub ln_variance: Variance,
    /// Standard error of the distribution function at the quantile.
    pub share_error: f64,
}

/// The quantile `p` (0–1) of a sample with its interval.
pub fn quantile(sample: &Sample, p: f64) -> Quantile {
    let (index, inside) = sample.place_of(p);
    let by_slice = (sample.slices() > 1).then(|| slice_share_variance(sample, index, inside, p));
    let Variance {
        value,
        degrees_of_freedom,
    } = sample.variance(p * (1.0 - p), by_slice);
    let share_error = value.sqrt();
    let at = |share: f64| sample.value_at(share.clamp(1e-9, 1.0));
    let t = t_quantile(0.975, degrees_of_freedom);
    let interval_ns = Interval {
        low: at(p - t * share_error),
        high: at(p + t * share_error),
    };
    let ln_error = (at(p + share_error).max(1.0) / at(p - share_error).max(1.0)).ln() / 2.0;
    Quantile {
        value_ns: at(p),
        interval_ns,
        ln_variance: Variance {
            value: ln_error * ln_error,
            degrees_of_freedom,
        },
        share_error,
    }
}

/// Standard error of the distribution function at a bucket's upper limit, from slices alone, about `p`.
pub fn share_error_at_limit(sample: &Sample, bucket: i16, p: f64) -> f64 {
    slice_share_variance(sample, sample.index_of(bucket), 1.0, p).sqrt()
}

/// Variance of the distribution function at the point `inside` (0–1) of bucket `index`, where it is `p`.
fn slice_share_variance(sample: &Sample, index: usize, inside: f64, p: f64) -> f64 {
    let m = sample.slices() as f64;
    let deviations = sample.slices_below(index, inside);
    let sum: f64 = deviations
        .map(|(below, all)| (below - p * all).powi(2))
        .sum();
    m / (m - 1.0) * sum / (sample.total() * sample.total())
}

/// The comparison of one quantile: ln(candidate / baseline).
pub fn compare(baseline: &Quantile, candidate: &Quantile) -> Test {
    let ln_ratio = (candidate.value_ns.max(1.0) / baseline.value_ns.max(1.0)).ln();
    Test::welch(ln_ratio, baseline.ln_variance, candidate.ln_variance)
}
