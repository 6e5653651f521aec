//! The latency test: θ, the probability that a random candidate span is slower than a random baseline span.
//!
//! θ = P(B > A) + ½ P(B = A) (Mann–Whitney, also AUC), Cliff's δ = 2θ − 1. Computed from histograms that share their
//! buckets; judged by the scatter between time slices and between traces, whichever is larger. Sources: Mann &
//! Whitney 1947; Cliff 1993; Brunner & Munzel 2000 for the placement scores whose slice sums give the variance.

use super::distribution::t_two_sided;
use super::time::clustered_variance;
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

/// Compares two sides; `None` where one has no spans.
pub fn compare(baseline: &Sample<'_>, candidate: &Sample<'_>) -> Option<Theta> {
    let (range_a, range_b) = (baseline.range()?, candidate.range()?);
    let (lowest, highest) = (range_a.0.min(range_b.0), range_a.1.max(range_b.1));
    let width = usize::from((highest - lowest) as u16) + 1;
    let sum = |side: &Sample<'_>| {
        let mut counts = vec![0.0; width];
        side.counts
            .iter()
            .for_each(|(_, b, w)| counts[usize::from((b - lowest) as u16)] += w);
        counts
    };
    let (a, b) = (sum(baseline), sum(candidate));
    let (n_a, n_b) = (a.iter().sum::<f64>(), b.iter().sum::<f64>());
    if n_a <= 0.0 || n_b <= 0.0 {
        return None;
    }
    let (middle_a, middle_b) = (middle_cdf(&a, n_a), middle_cdf(&b, n_b));
    let theta: f64 = b.iter().zip(&middle_a).map(|(h, m)| h * m).sum::<f64>() / n_b;
    // A candidate span's score is its placement among the baseline's; a baseline span's the reverse.
    let score_b: Vec<f64> = middle_a.iter().map(|m| m - theta).collect();
    let score_a: Vec<f64> = middle_b.iter().map(|m| (1.0 - m) - theta).collect();
    let few_slices = baseline.slices < MIN_SLICES || candidate.slices < MIN_SLICES;
    let variance_a = side_variance(baseline, &a, &score_a, n_a, lowest, few_slices);
    let variance_b = side_variance(candidate, &b, &score_b, n_b, lowest, few_slices);
    let clusters = |side: &Sample<'_>| {
        if few_slices {
            side.traces
        } else {
            side.slices as f64
        }
    };
    let test = judge(
        theta,
        variance_a,
        variance_b,
        (clusters(baseline), clusters(candidate)),
    );
    let interval = theta_interval(theta, &test);
    Some(Theta {
        theta,
        delta: 2.0 * theta - 1.0,
        test,
        delta_interval: Interval {
            low: 2.0 * interval.low - 1.0,
            high: 2.0 * interval.high - 1.0,
        },
        delta_minimum_detectable: (2.0 * test.minimum_detectable()).min(1.0),
        few_slices,
    })
}

/// The share of spans in lower buckets and half of those in the same one.
fn middle_cdf(counts: &[f64], total: f64) -> Vec<f64> {
    let mut below = 0.0;
    counts
        .iter()
        .map(|count| {
            let middle = (below + 0.5 * count) / total;
            below += count;
            middle
        })
        .collect()
}

fn side_variance(
    side: &Sample<'_>,
    counts: &[f64],
    scores: &[f64],
    total: f64,
    lowest: i16,
    few_slices: bool,
) -> Variance {
    let spread: f64 = counts
        .iter()
        .zip(scores)
        .map(|(h, u)| h * u * u)
        .sum::<f64>()
        / total;
    let effective = (side.effective_spans - 1.0).max(1.0);
    let by_trace = spread / effective * side.trace_design_effect;
    if few_slices {
        return clustered_variance(by_trace, side.traces, None, side.slices, side.persistence);
    }
    let slices = side.counts.iter().map(|c| c.0).max().map_or(0, |s| s + 1);
    let mut sums = vec![0.0; slices];
    for (slice, bucket, weight) in side.counts.iter() {
        sums[*slice] += weight * scores[usize::from((bucket - lowest) as u16)];
    }
    let m = side.slices as f64;
    let by_slice = m / (m - 1.0) * sums.iter().map(|u| u * u).sum::<f64>() / (total * total);
    clustered_variance(
        by_trace,
        side.traces,
        Some(by_slice),
        side.slices,
        side.persistence,
    )
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
