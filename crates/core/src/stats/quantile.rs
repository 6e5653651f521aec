//! Quantiles of a latency histogram with Woodruff intervals, and the comparison of two sides' quantiles.
//!
//! Source: Woodruff 1952, JASA 47(260): the interval of a quantile is read off the distribution at p ± t·se, so no
//! density is needed; se comes from the scatter of traces and slices, widened for what lasts.

use super::distribution::t_quantile;
use super::time::clustered_variance;
use super::{Interval, Sample, Test, Variance};
use crate::facts::histogram::{ZERO_BUCKET, upper_limit_ns};

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

/// The distribution of a side over buckets, and by slice.
#[derive(Debug, Clone)]
pub struct Distribution {
    lowest: i16,
    /// Weighted counts by bucket.
    counts: Vec<f64>,
    /// Weighted counts up to and with each bucket.
    cumulative: Vec<f64>,
    /// The same by slice.
    slices: Vec<Vec<f64>>,
    slice_count: usize,
    effective_spans: f64,
    trace_design_effect: f64,
    traces: f64,
    persistence: f64,
}

impl Distribution {
    /// The distribution of a side; `None` where it has no spans.
    pub fn new(side: &Sample<'_>) -> Option<Self> {
        let (lowest, highest) = side.range()?;
        let width = usize::from((highest - lowest) as u16) + 1;
        let slice_numbers = side.counts.iter().map(|c| c.0).max()? + 1;
        let mut counts = vec![0.0; width];
        let mut slices = vec![Vec::new(); slice_numbers];
        for (slice, bucket, weight) in side.counts.iter() {
            let index = usize::from((bucket - lowest) as u16);
            counts[index] += weight;
            if slices[*slice].is_empty() {
                slices[*slice] = vec![0.0; width];
            }
            slices[*slice][index] += weight;
        }
        for slice in &mut slices {
            accumulate(slice);
        }
        let mut cumulative = counts.clone();
        accumulate(&mut cumulative);
        Some(Self {
            lowest,
            counts,
            cumulative,
            slices,
            slice_count: side.slices,
            effective_spans: side.effective_spans,
            trace_design_effect: side.trace_design_effect,
            traces: side.traces,
            persistence: side.persistence,
        })
    }

    fn total(&self) -> f64 {
        self.cumulative.last().copied().unwrap_or(0.0)
    }

    /// The lowest bucket up to which at least the share `p` lies.
    pub fn bucket_at(&self, p: f64) -> i16 {
        self.lowest + self.index_at(p) as i16
    }

    fn index_at(&self, p: f64) -> usize {
        let wanted = p * self.total() * (1.0 - 1e-12);
        self.cumulative
            .partition_point(|c| *c < wanted)
            .min(self.counts.len() - 1)
    }

    /// The value below which the share `p` lies, in nanoseconds, by interpolating ln(value) inside the bucket.
    pub fn value_at(&self, p: f64) -> f64 {
        let index = self.index_at(p);
        let bucket = self.lowest + index as i16;
        if bucket == ZERO_BUCKET {
            return 0.0;
        }
        let inside = self.inside_at(index, p);
        let (low, high) = (upper_limit_ns(bucket - 1), upper_limit_ns(bucket));
        low * (high / low).powf(inside)
    }

    /// How far into its bucket the share `p` is reached, 0–1.
    fn inside_at(&self, index: usize, p: f64) -> f64 {
        let before = if index == 0 {
            0.0
        } else {
            self.cumulative[index - 1]
        };
        ((p * self.total() - before) / self.counts[index]).clamp(0.0, 1.0)
    }

    /// Variance of the distribution function at the point `inside` (0–1) of bucket `index`, where it is `p`.
    fn share_variance(&self, index: usize, inside: f64, p: f64) -> Variance {
        let by_trace =
            p * (1.0 - p) * self.trace_design_effect / (self.effective_spans - 1.0).max(1.0);
        let by_slice = (self.slice_count > 1).then(|| self.slice_share_variance(index, inside, p));
        clustered_variance(
            by_trace,
            self.traces,
            by_slice,
            self.slice_count,
            self.persistence,
        )
    }

    /// Standard error of the distribution function at a bucket's upper limit, from slices alone, about `p`.
    pub fn share_error_at_limit(&self, bucket: i16, p: f64) -> f64 {
        self.slice_share_variance(usize::from((bucket - self.lowest) as u16), 1.0, p)
            .sqrt()
    }

    fn slice_share_variance(&self, index: usize, inside: f64, p: f64) -> f64 {
        let m = self.slice_count as f64;
        let total = self.total();
        let deviation = |slice: &Vec<f64>| {
            let before = if index == 0 { 0.0 } else { slice[index - 1] };
            let below = before + inside * (slice[index] - before);
            (below - p * slice.last().copied().unwrap_or(0.0)).powi(2)
        };
        let sum: f64 = self
            .slices
            .iter()
            .filter(|s| !s.is_empty())
            .map(deviation)
            .sum();
        m / (m - 1.0) * sum / (total * total)
    }

    /// The quantile `p` (0–1) with its interval.
    pub fn quantile(&self, p: f64) -> Quantile {
        let index = self.index_at(p);
        let Variance {
            value,
            degrees_of_freedom,
        } = self.share_variance(index, self.inside_at(index, p), p);
        let share_error = value.sqrt();
        let at = |share: f64| self.value_at(share.clamp(1e-9, 1.0));
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
}

fn accumulate(counts: &mut [f64]) {
    let mut sum = 0.0;
    for count in counts {
        sum += *count;
        *count = sum;
    }
}

/// The comparison of one quantile: ln(candidate / baseline).
pub fn compare(baseline: &Quantile, candidate: &Quantile) -> Test {
    let ln_ratio = (candidate.value_ns.max(1.0) / baseline.value_ns.max(1.0)).ln();
    Test::welch(ln_ratio, baseline.ln_variance, candidate.ln_variance)
}
