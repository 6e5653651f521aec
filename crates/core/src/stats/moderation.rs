//! Moderated variances: what one group's dozen slices say of their scatter, put together with what all groups say.
//!
//! Source: Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1), article 3: sample variances of
//! many groups are scaled chi-square draws around group variances that scatter as a scaled inverse chi-square.

use statrs::function::gamma::digamma;

use super::time::widening;
use super::{MIN_SLICES, Variance};

/// What the groups of a comparison have in common: slices scatter `ratio` times as wide (in variance) as independent
/// traces would, as well known as from that many degrees of freedom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scatter {
    /// Variance by slices over variance by traces.
    pub ratio: f64,
    /// 0 where nothing is known; infinite where groups differ no more than chance allows.
    pub degrees_of_freedom: f64,
}

/// Fewer groups than this do not tell how much groups differ.
const MIN_GROUPS: usize = 20;

impl Scatter {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        ratio: 1.0,
        degrees_of_freedom: 0.0,
    };

    /// The common scatter of groups, each with its variance by slices over that by traces and the number of slices.
    pub fn estimate(groups: &[(f64, usize)]) -> Self {
        // ln of a chi-square over its degrees of freedom has the mean ψ(d/2) − ln(d/2) and the variance ψ'(d/2).
        let half = |slices: usize| (slices as f64 - 1.0) / 2.0;
        let known = groups
            .iter()
            .filter(|(ratio, slices)| *ratio > 0.0 && ratio.is_finite() && *slices >= MIN_SLICES);
        let logs: Vec<(f64, f64)> = known
            .map(|(ratio, slices)| {
                let d = half(*slices);
                (ratio.ln() - digamma(d) + d.ln(), trigamma(d))
            })
            .collect();
        if logs.len() < MIN_GROUPS {
            return Self::UNKNOWN;
        }
        let n = logs.len() as f64;
        let mean = logs.iter().map(|(e, _)| e).sum::<f64>() / n;
        let spread = logs.iter().map(|(e, _)| (e - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let by_chance = logs.iter().map(|(_, v)| v).sum::<f64>() / n;
        if spread <= by_chance {
            return Self {
                ratio: mean.exp(),
                degrees_of_freedom: f64::INFINITY,
            };
        }
        let d0 = inverse_trigamma(spread - by_chance);
        Self {
            ratio: (mean + digamma(d0) - d0.ln()).exp(),
            degrees_of_freedom: 2.0 * d0,
        }
    }

    /// The ratio of one group, its own put together with the common one, and the degrees of freedom behind it.
    fn moderated(&self, own: f64, slices: usize) -> (f64, f64) {
        let own_degrees = slices as f64 - 1.0;
        let degrees_of_freedom = own_degrees + self.degrees_of_freedom;
        let weight = own_degrees / degrees_of_freedom;
        (
            weight * own + (1.0 - weight) * self.ratio,
            degrees_of_freedom,
        )
    }

    /// The variance of one group's estimate: the traces' own, wider where slices scatter more than traces do. What they
    /// scatter more is due to time, and widened for `persistence` (see [`super::time`]).
    pub fn variance(
        &self,
        by_trace: f64,
        traces: f64,
        by_slice: Option<f64>,
        slices: usize,
        persistence: f64,
    ) -> Variance {
        let alone = Variance {
            value: by_trace,
            degrees_of_freedom: (traces - 1.0).max(1.0),
        };
        let Some(by_slice) = by_slice.filter(|_| slices >= MIN_SLICES && by_trace > 0.0) else {
            return alone;
        };
        let (ratio, degrees_of_freedom) = self.moderated(by_slice / by_trace, slices);
        if ratio <= 1.0 {
            return alone;
        }
        Variance {
            value: by_trace * (1.0 + (ratio - 1.0) * widening(slices as f64, persistence)),
            degrees_of_freedom: degrees_of_freedom.min(alone.degrees_of_freedom),
        }
    }
}

/// ψ'(x) for x > 0: its recurrence up to 10, then its asymptotic series (Abramowitz & Stegun 6.4.6, 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0];
    let tail = series.iter().rev().fold(0.0, |sum, term| (sum + term) * y);
    sum + 1.0 / x + y / 2.0 + tail / x
}

/// The x > 0 at which ψ'(x) = `value` > 0, by bisection of its logarithm: ψ' falls from infinity to 0.
fn inverse_trigamma(value: f64) -> f64 {
    let (mut low, mut high) = (1e-6f64.ln(), 1e8f64.ln());
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if trigamma(middle.exp()) > value {
            low = middle;
        } else {
            high = middle;
        }
    }
    low.exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigamma_has_its_known_values() {
        let pi = std::f64::consts::PI;
        assert!((trigamma(1.0) - pi * pi / 6.0).abs() < 1e-11);
        assert!((trigamma(0.5) - pi * pi / 2.0).abs() < 1e-11);
        for x in [0.01, 0.7, 4.5, 300.0] {
            assert!(
                (inverse_trigamma(trigamma(x)) / x - 1.0).abs() < 1e-8,
                "{x}"
            );
        }
    }

    /// Variance ratios of groups whose own variance scatters by `d0` degrees of freedom about `ratio`.
    fn groups(ratio: f64, d0: Option<usize>) -> Vec<(f64, usize)> {
        let mut state = 7u64;
        let mut normal = || {
            let sum: f64 = (0..12)
                .map(|_| {
                    state = crate::trace::mix(state);
                    state as f64 / u64::MAX as f64
                })
                .sum();
            sum - 6.0
        };
        let mut mean_square = |n: usize| (0..n).map(|_| normal().powi(2)).sum::<f64>() / n as f64;
        (0..4_000)
            .map(|_| {
                let own = d0.map_or(ratio, |n| ratio / mean_square(n));
                (own * mean_square(9), 10)
            })
            .collect()
    }

    #[test]
    fn alike_groups_share_one_ratio() {
        let scatter = Scatter::estimate(&groups(1.3, None));
        assert!(scatter.degrees_of_freedom > 100.0, "{scatter:?}");
        assert!((scatter.ratio - 1.3).abs() < 0.03, "{scatter:?}");
        let variance = scatter.variance(2.0, 5_000.0, Some(8.0), 10, 0.0);
        assert!((variance.value - 2.6).abs() < 0.3, "{variance:?}");
    }

    #[test]
    fn unlike_groups_keep_their_own() {
        let scatter = Scatter::estimate(&groups(1.0, Some(4)));
        assert!(
            (scatter.degrees_of_freedom - 4.0).abs() < 1.0,
            "{scatter:?}"
        );
        assert!((scatter.ratio - 1.0).abs() < 0.1, "{scatter:?}");
        let few = Scatter::estimate(&groups(1.0, None)[..10]);
        assert_eq!(few, Scatter::UNKNOWN);
        // Nothing known of others: the larger of the two.
        assert_eq!(few.variance(2.0, 5_000.0, Some(8.0), 10, 0.0).value, 8.0);
        assert_eq!(few.variance(2.0, 5_000.0, Some(1.0), 10, 0.0).value, 2.0);
    }
}
