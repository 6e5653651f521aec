//! Time dependence: how much of the scatter between slices lasts from one slice to the next, and what that does to
//! a variance.
//!
//! Load, garbage collection and noisy neighbours last longer than a slice, so neighbouring slices err together and
//! slices taken as independent promise too much. `docs/methods/time-dependence.md` has the derivation.

use super::{MIN_SLICES, Variance};

/// The variance of an estimate from the variance that independent traces would give it and the one that independent
/// slices would give it.
///
/// What slices scatter beyond traces is due to time; only that part is widened for `persistence`, the correlation of
/// one slice's level with the next one's (0–1). With no persistence the result is the larger of the two. With too few
/// slices, the traces' alone.
pub fn clustered_variance(
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
    let Some(by_slice) = by_slice.filter(|_| slices >= MIN_SLICES) else {
        return alone;
    };
    if by_slice <= by_trace {
        return alone;
    }
    Variance {
        value: by_trace + (by_slice - by_trace) * widening(slices as f64, persistence),
        degrees_of_freedom: degrees_of_freedom(slices, persistence),
    }
}

/// The degrees of freedom of a variance estimated from that many slices of a first-order autoregressive process
/// (Bartlett 1946).
pub fn degrees_of_freedom(slices: usize, persistence: f64) -> f64 {
    let squared = persistence * persistence;
    (slices as f64 - 1.0) * (1.0 - squared) / (1.0 + squared)
}

/// How much wider the variance of a mean of `m` values of a first-order autoregressive process is than s²/m.
///
/// Var(mean) = γ₀/m·f with f = 1 + 2·Σ(1 − k/m)ρᵏ, and E(s²) = γ₀·(1 − (f − 1)/(m − 1)): s² itself comes out too
/// small (Priestley 1981, section 5.3).
pub(super) fn widening(m: f64, persistence: f64) -> f64 {
    let mut factor = 1.0;
    let mut power = 1.0;
    for k in 1..m as usize {
        power *= persistence;
        factor += 2.0 * (1.0 - k as f64 / m) * power;
    }
    factor / (1.0 - (factor - 1.0) / (m - 1.0)).max(0.2)
}

/// Series of slices, put together to estimate one persistence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Persistence {
    neighbours: f64,
    time_part: f64,
}

/// Correlations above this cannot be told from a trend in a dozen slices.
const MOST: f64 = 0.7;

impl Persistence {
    /// Adds a series: for every slice its deviation from the mean (Σz = 0), `None` where the group does not occur or a
    /// range ends, and the sum of squares that independent traces would give.
    pub fn add(&mut self, deviations: &[Option<f64>], trace_squares: f64) {
        let squares: f64 = deviations.iter().flatten().map(|z| z * z).sum();
        let m = deviations.iter().flatten().count() as f64;
        if squares <= 0.0 || m < MIN_SLICES as f64 {
            return;
        }
        let mut pairs = 0.0;
        let mut neighbours = 0.0;
        for pair in deviations.windows(2) {
            if let [Some(a), Some(b)] = pair {
                neighbours += a * b;
                pairs += 1.0;
            }
        }
        // Deviations from their own mean correlate by −1/(m − 1) even when nothing lasts.
        let expected = -squares / m * pairs / (m - 1.0);
        // Per pair and per slice, in units of the series' own scatter, so that every series counts alike. What lasts
        // is partly taken for the series' mean: about 3ρ/m of ρ (Kendall 1954).
        let hidden = 1.0 - 3.0 / m;
        self.neighbours += (neighbours - expected) / squares * m / pairs.max(1.0) / hidden;
        self.time_part += (1.0 - trace_squares / squares).max(0.0);
    }

    /// Both sets of series together.
    pub fn joined(self, other: Self) -> Self {
        Self {
            neighbours: self.neighbours + other.neighbours,
            time_part: self.time_part + other.time_part,
        }
    }

    /// The persistence of all series together, 0 to 0.7.
    pub fn estimate(&self) -> f64 {
        if self.time_part <= 0.0 {
            0.0
        } else {
            (self.neighbours / self.time_part).clamp(0.0, MOST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_persistence_the_larger_variance_counts() {
        let variance = |trace, slice| clustered_variance(trace, 500.0, Some(slice), 10, 0.0);
        assert_eq!(
            variance(2.0, 1.0),
            Variance {
                value: 2.0,
                degrees_of_freedom: 499.0
            }
        );
        assert_eq!(
            variance(1.0, 3.0),
            Variance {
                value: 3.0,
                degrees_of_freedom: 9.0
            }
        );
        assert_eq!(clustered_variance(1.0, 50.0, Some(9.0), 5, 0.5).value, 1.0);
    }

    #[test]
    fn lasting_noise_widens_the_part_due_to_time() {
        let plain = clustered_variance(1.0, 500.0, Some(3.0), 12, 0.0).value;
        let lasting = clustered_variance(1.0, 500.0, Some(3.0), 12, 0.3).value;
        // (1 + ρ)/(1 − ρ) = 1.86 in the long run; a dozen slices come near it.
        assert!(
            (lasting - 1.0) / (plain - 1.0) > 1.7 && (lasting - 1.0) / (plain - 1.0) < 2.0,
            "{lasting}"
        );
    }

    #[test]
    fn persistence_is_estimated_from_many_series() {
        let mut state = 1u64;
        let mut normal = || {
            let sum: f64 = (0..12)
                .map(|_| {
                    state = crate::trace::mix(state);
                    state as f64 / u64::MAX as f64
                })
                .sum();
            sum - 6.0
        };
        for rho in [0.0, 0.3, 0.6] {
            let mut persistence = Persistence::default();
            for _ in 0..3_000 {
                let mut level = normal();
                let mut series: Vec<f64> = (0..12)
                    .map(|_| {
                        level = rho * level + f64::sqrt(1.0 - rho * rho) * normal();
                        level
                    })
                    .collect();
                let mean = series.iter().sum::<f64>() / 12.0;
                series.iter_mut().for_each(|z| *z -= mean);
                let series: Vec<Option<f64>> = series.into_iter().map(Some).collect();
                persistence.add(&series, 0.0);
            }
            // Twelve slices hide part of what lasts in their own mean.
            let found = persistence.estimate();
            assert!((found - rho).abs() < 0.02 + 0.25 * rho, "{rho}: {found}");
        }
    }
}
