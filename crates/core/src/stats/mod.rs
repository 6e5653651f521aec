//! The statistics of a diff: estimates with variances that know about traces and time slices.
//!
//! The formulae are in `docs/methods/`. Everything is a pure function of sums that facts keep.

pub mod changepoint;
pub mod distribution;
pub mod fdr;
pub mod moderation;
pub mod proportion;
pub mod quantile;
pub mod rate;
pub mod ratio;
mod sample;
pub mod strata;
pub mod theta;
pub mod time;

use schemars::JsonSchema;
use serde::Serialize;

pub use sample::{Clustering, Sample};

/// A closed interval; 95 % confidence unless the field that holds it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Interval {
    /// Lower end; `null` where there is none.
    #[schemars(with = "Option<f64>")]
    pub low: f64,
    /// Upper end; `null` where there is none.
    #[schemars(with = "Option<f64>")]
    pub high: f64,
}

impl Interval {
    /// The interval `centre ± half`.
    pub fn around(centre: f64, half: f64) -> Self {
        Self {
            low: centre - half,
            high: centre + half,
        }
    }

    /// Whether all of it lies strictly inside ±`limit`.
    pub fn is_inside(&self, limit: f64) -> bool {
        self.low > -limit && self.high < limit
    }
}

/// A comparison of two estimates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// Candidate − baseline, on the scale that the test names.
    pub difference: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Degrees of freedom of the t distribution it is judged by.
    pub degrees_of_freedom: f64,
    /// Two-sided p-value.
    pub p: f64,
}

impl Test {
    /// The t-test of a difference with a variance from either side (Welch–Satterthwaite degrees of freedom).
    pub fn welch(difference: f64, baseline: Variance, candidate: Variance) -> Self {
        let mut test = Self::without_p(difference, baseline, candidate);
        test.p = if test.standard_error > 0.0 {
            distribution::t_two_sided(difference / test.standard_error, test.degrees_of_freedom)
        } else if difference == 0.0 {
            1.0
        } else {
            // No spread at all on either side: nothing to judge the difference by.
            f64::NAN
        };
        test
    }

    /// The same for who wants the interval only: `p` is NaN.
    pub fn without_p(difference: f64, baseline: Variance, candidate: Variance) -> Self {
        Self {
            difference,
            standard_error: (baseline.value + candidate.value).sqrt(),
            degrees_of_freedom: welch_degrees(baseline, candidate),
            p: f64::NAN,
        }
    }

    /// The 95 % interval of the difference.
    pub fn interval(&self) -> Interval {
        let t = distribution::t_quantile(0.975, self.degrees_of_freedom);
        Interval::around(self.difference, t * self.standard_error)
    }

    /// The smallest difference that this test would find four times out of five (two-sided 5 %, power 80 %).
    pub fn minimum_detectable(&self) -> f64 {
        let df = self.degrees_of_freedom;
        (distribution::t_quantile(0.975, df) + distribution::t_quantile(0.8, df))
            * self.standard_error
    }
}

/// A variance and the degrees of freedom it was estimated with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variance {
    /// The variance.
    pub value: f64,
    /// Its degrees of freedom: one less than the clusters (slices, or traces where there are too few slices).
    pub degrees_of_freedom: f64,
}

impl Variance {
    /// The same variance of a linear transformation that multiplies by `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            value: self.value * factor * factor,
            ..self
        }
    }
}

/// Welch–Satterthwaite degrees of freedom of a sum of two variances.
pub fn welch_degrees(a: Variance, b: Variance) -> f64 {
    let sum = a.value + b.value;
    if sum <= 0.0 {
        return (a.degrees_of_freedom + b.degrees_of_freedom).max(1.0);
    }
    let part = |v: Variance| v.value * v.value / v.degrees_of_freedom.max(1.0);
    (sum * sum / (part(a) + part(b))).max(1.0)
}

/// Fewer non-empty slices than this on a side: tests rest on traces alone and are only suggestive.
pub const MIN_SLICES: usize = 6;
