//! Rates: events per second of two sides, with over-dispersion between slices.

use super::Variance;

/// How often something happened on one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Events per second, weighted.
    pub per_second: f64,
    /// Raw events.
    pub count: f64,
    /// Variance of ln(rate).
    pub ln_variance: Variance,
    /// How much wider than Poisson the slices scatter; at least 1.
    pub dispersion: f64,
}

/// The rate from every slice of a side, empty ones too: raw events, Σw, Σw² and the slice's length in seconds.
///
/// Var(ln λ) = φ·Σw²/(Σw)², φ = max(1, s²/mean) of the slices' counts scaled to one length. `None` where nothing
/// happened or time is zero.
pub fn estimate(slices: &[(f64, f64, f64, f64)]) -> Option<Rate> {
    let sum = |pick: fn(&(f64, f64, f64, f64)) -> f64| slices.iter().map(pick).sum::<f64>();
    let (count, weight, square, seconds) = (sum(|s| s.0), sum(|s| s.1), sum(|s| s.2), sum(|s| s.3));
    if weight <= 0.0 || seconds <= 0.0 {
        return None;
    }
    let mut dispersion = 1.0f64;
    let m = slices.len() as f64;
    if m > 1.0 {
        let per_second = count / seconds;
        // Pearson's statistic: Σ (seen − expected)² / expected over its degrees of freedom.
        let pearson: f64 = slices
            .iter()
            .filter(|s| s.3 > 0.0)
            .map(|s| (s.0 - per_second * s.3).powi(2) / (per_second * s.3))
            .sum();
        dispersion = dispersion.max(pearson / (m - 1.0));
    }
    // Poisson's variance is known; a wider one is estimated from the slices.
    let degrees_of_freedom = if dispersion > 1.0 {
        m - 1.0
    } else {
        f64::INFINITY
    };
    Some(Rate {
        per_second: weight / seconds,
        count,
        ln_variance: Variance {
            value: dispersion * square / (weight * weight),
            degrees_of_freedom,
        },
        dispersion,
    })
}
