//! Ratios of sums over traces (mean duration, error ratio, calls per trace) and their clustered variance.
//!
//! Source: the delta method for clustered ratio metrics, Deng, Knoblich & Lu, KDD 2018. With Horvitz–Thompson weights
//! inside the sums the same formula takes in the variance of sampling.

use super::Variance;
use super::time::clustered_variance;

/// Sums of one slice. `x` and `y` are per-trace totals with weights already in them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SliceSums {
    /// Traces that contribute.
    pub traces: f64,
    /// Σ x.
    pub x: f64,
    /// Σ y.
    pub y: f64,
    /// Σ x².
    pub xx: f64,
    /// Σ x·y.
    pub xy: f64,
    /// Σ y².
    pub yy: f64,
}

/// An estimated ratio R = Σy / Σx.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// R.
    pub value: f64,
    /// Variance of R when traces are independent.
    pub trace_variance: f64,
    /// Variance of R when slices are independent; `None` with fewer than two slices.
    pub slice_variance: Option<f64>,
    /// Traces that contribute.
    pub traces: f64,
    /// Slices that contribute.
    pub slices: usize,
}

impl Ratio {
    /// The ratio from the sums of all non-empty slices; `None` where Σx is zero.
    pub fn estimate(slices: impl Iterator<Item = SliceSums> + Clone) -> Option<Self> {
        let mut total = SliceSums::default();
        let mut count = 0;
        for s in slices.clone() {
            total.traces += s.traces;
            total.x += s.x;
            total.y += s.y;
            total.xx += s.xx;
            total.xy += s.xy;
            total.yy += s.yy;
            count += 1;
        }
        if total.x <= 0.0 {
            return None;
        }
        let value = total.y / total.x;
        let squares = (total.yy - 2.0 * value * total.xy + value * value * total.xx).max(0.0);
        let correction = |n: f64| n / (n - 1.0);
        let trace_variance = if total.traces > 1.0 {
            correction(total.traces) * squares / (total.x * total.x)
        } else {
            f64::INFINITY
        };
        let slice_variance = (count > 1).then(|| {
            let sum: f64 = slices.map(|s| (s.y - value * s.x).powi(2)).sum();
            correction(count as f64) * sum / (total.x * total.x)
        });
        Some(Self {
            value,
            trace_variance,
            slice_variance,
            traces: total.traces,
            slices: count,
        })
    }

    /// The variance that counts both traces and slices as clusters (see [`clustered_variance`]).
    pub fn variance(&self, persistence: f64) -> Variance {
        clustered_variance(
            self.trace_variance,
            self.traces,
            self.slice_variance,
            self.slices,
            persistence,
        )
    }
}
