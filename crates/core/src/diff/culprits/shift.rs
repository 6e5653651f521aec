//! How strongly one set of times moved: the evidence that services are ranked by.

use crate::stats::Sample;

/// A millisecond more or less matters to nobody: added to every time before ratios are taken.
const SMALL_NS: f64 = 1e6;
/// Spans that the baseline and the candidate need.
const MIN_SPANS: [f64; 2] = [5.0, 3.0];
/// Standard errors that the mean log-ratio must exceed.
const MIN_Z: f64 = 3.0;
/// Spread of ln(time) that is assumed at least.
const MIN_SPREAD: f64 = 0.05;

/// How one set of times moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    /// Mean over quantiles of ln((candidate + 1 ms)/(baseline + 1 ms)).
    pub(super) ln_ratio: f64,
    /// By how much more than a tenth of the candidate's times exceed the baseline's 90 % quantile, 0–1.
    pub(super) exceedance: f64,
    /// `ln_ratio` in standard errors.
    pub(super) z: f64,
}

impl Shift {
    /// The shift between two samples; `None` where a side has too few spans.
    pub(super) fn between(baseline: &Sample, candidate: &Sample) -> Option<Self> {
        let n = [baseline.effective_spans(), candidate.effective_spans()];
        if n[0] < MIN_SPANS[0] || n[1] < MIN_SPANS[1] {
            return None;
        }
        let ln = |sample: &Sample, p: f64| (sample.value_at(p) + SMALL_NS).ln();
        let shares = (2..=18).map(|twentieth| f64::from(twentieth) / 20.0);
        let steps = shares.map(|p| ln(candidate, p) - ln(baseline, p));
        let ln_ratio = steps.sum::<f64>() / 17.0;
        let spread =
            |sample: &Sample| ((ln(sample, 0.75) - ln(sample, 0.25)) / 1.349).max(MIN_SPREAD);
        let error = spread(baseline) * (1.0 / n[0] + 1.0 / n[1]).sqrt();
        let above = 1.0 - candidate.share_below(baseline.value_at(0.9));
        Some(Self {
            ln_ratio,
            exceedance: ((above - 0.1) / 0.9).clamp(0.0, 1.0),
            z: ln_ratio / error,
        })
    }

    /// How much slower it became: 0 where it did not beyond chance.
    pub(super) fn slowdown(&self) -> f64 {
        if self.z >= MIN_Z && self.ln_ratio > 0.0 {
            self.exceedance * self.ln_ratio
        } else {
            0.0
        }
    }
}
