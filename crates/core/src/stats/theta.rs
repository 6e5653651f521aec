//! The latency test: θ, the probability that a random candidate span is slower than a random baseline span.
//!
//! θ = P(B > A) + ½ P(B = A) (Mann–Whitney, also AUC), Cliff's δ = 2θ − 1. Computed from histograms that share their
//! buckets; judged by the scatter between time slices and between traces, whichever is larger. Sources: Mann &
//! Whitney 1947; Cliff 1993; Brunner & Munzel 2000 for the placement scores whose slice sums give the variance.

use super::distribution::t_two_sided;
use super::{Interval, MIN_SLICES, Sample, Test, Variance};

/// The comparison of two distributions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Theta {
    /// θ, 0–1.
    pub theta: f64,
    /// Cliff's δ, −1 to 1; positive when the candidate is slower.
    pub delta: f64,
    /// The test of θ − ½.
    pub test: Test,
    /// 95 % interval of δ.
    pub delta_interval: Interval,
    /// Smallest δ that would be found four times out of five.
    pub delta_minimum_detectable: f64,
    /// Whether either side had too few slices, so that traces alone were judged by.
    pub few_slices: bool,
}

/// Compares two sides.
pub fn compare(baseline: &Sample, candidate: &Sample) -> Theta {
    // A candidate span's score is its placement among the baseline's; a baseline span's the reverse.
    let mut score_b = baseline.placements(candidate);
    let theta = candidate.mean(&score_b);
    score_b.iter_mut().for_each(|m| *m -= theta);
    let mut score_a = candidate.placements(baseline);
    score_a.iter_mut().for_each(|m| *m = (1.0 - *m) - theta);
    let few_slices = baseline.slices() < MIN_SLICES || candidate.slices() < MIN_SLICES;
    let variance_a = side_variance(baseline, &score_a, few_slices);
    let variance_b = side_variance(candidate, &score_b, few_slices);
    let clusters = |side: &Sample| {
        if few_slices {
            side.traces()
        } else {
            side.effective_slices()
        }
    };
    let test = judge(
        theta,
        variance_a,
        variance_b,
        (clusters(baseline), clusters(candidate)),
    );
    let interval = theta_interval(theta, &test);
    Theta {
        theta,
        delta: 2.0 * theta - 1.0,
        test,
        delta_interval: Interval {
            low: 2.0 * interval.low - 1.0,
            high: 2.0 * interval.high - 1.0,
        },
        delta_minimum_detectable: (2.0 * test.minimum_detectable()).min(1.0),
        few_slices,
    }
}

fn side_variance(side: &Sample, scores: &[f64], few_slices: bool) -> Variance {
    let squares: Vec<f64> = scores.iter().map(|u| u * u).collect();
    let by_slice = (!few_slices).then(|| {
        let m = side.slices() as f64;
        let sum: f64 = side.slice_sums(scores).map(|u| u * u).sum();
        m / (m - 1.0) * sum / (side.total() * side.total())
    });
    side.variance(side.mean(&squares), by_slice)
}

/// θ − ½ on its own scale; on the logit scale outside 0.1–0.9, where the plain one is too narrow at the border.
fn judge(theta: f64, baseline: Variance, candidate: Variance, clusters: (f64, f64)) -> Test {
    let mut test = Test::welch(theta - 0.5, baseline, candidate);
    let inside = theta * (1.0 - theta);
    if !(0.1..=0.9).contains(&theta) {
        if inside <= 0.0 {
            // Complete separation: the scores have no spread left. One span on the other side would give θ this far
            // from the border; judge by what that would have been.
            test = separated(theta, clusters);
        } else if test.standard_error > 0.0 {
            let t = (theta / (1.0 - theta)).ln() / (test.standard_error / inside);
            test.p = t_two_sided(t, test.degrees_of_freedom);
        }
    }
    test
}

/// With every candidate span above (or below) every baseline span, slices are m_A + m_B draws that fell into perfect
/// order: the exact permutation p-value of that, 2·m_A!·m_B!/(m_A + m_B)!.
fn separated(theta: f64, clusters: (f64, f64)) -> Test {
    let (m_a, m_b) = clusters;
    let ln_p = std::f64::consts::LN_2 - super::distribution::ln_choose(m_a + m_b, m_a);
    Test {
        difference: theta - 0.5,
        standard_error: 0.5 / (m_a.min(m_b) + 1.0),
        degrees_of_freedom: (m_a + m_b - 2.0).max(1.0),
        p: ln_p.exp().min(1.0),
    }
}

fn theta_interval(theta: f64, test: &Test) -> Interval {
    let inside = theta * (1.0 - theta);
    if (0.1..=0.9).contains(&theta) || inside <= 0.0 {
        let plain = test.interval();
        return Interval {
            low: (plain.low + 0.5).max(0.0),
            high: (plain.high + 0.5).min(1.0),
        };
    }
    let half = super::distribution::t_quantile(0.975, test.degrees_of_freedom)
        * test.standard_error
        / inside;
    let logit = (theta / (1.0 - theta)).ln();
    let back = |x: f64| 1.0 / (1.0 + (-x).exp());
    Interval {
        low: back(logit - half),
        high: back(logit + half),
    }
}
