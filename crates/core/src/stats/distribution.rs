//! Tail probabilities and quantiles of the distributions that the tests use.

use statrs::function::beta::beta_reg;
use statrs::function::erf::{erfc, erfc_inv};

/// Two-sided p-value of a t statistic.
///
/// P(|T| ≥ |t|) = I_{ν/(ν+t²)}(ν/2, 1/2), the regularised incomplete beta function (Abramowitz & Stegun 26.7.1).
pub fn t_two_sided(t: f64, degrees_of_freedom: f64) -> f64 {
    if t.is_nan() || degrees_of_freedom.is_nan() || degrees_of_freedom <= 0.0 {
        return f64::NAN;
    }
    if t.is_infinite() {
        return 0.0;
    }
    if degrees_of_freedom > 1e7 {
        return normal_two_sided(t);
    }
    let x = degrees_of_freedom / (degrees_of_freedom + t * t);
    beta_reg(degrees_of_freedom / 2.0, 0.5, x.clamp(0.0, 1.0))
}

/// The value that a t variable stays below with probability `p` (0–1).
///
/// The normal quantile with its Cornish–Fisher terms (A&S 26.7.5), which are exact to twelve digits with many degrees
/// of freedom; with fewer, refined by Halley steps on the exact distribution.
pub fn t_quantile(p: f64, degrees_of_freedom: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) || degrees_of_freedom.is_nan() || degrees_of_freedom <= 0.0 {
        return f64::NAN;
    }
    let df = degrees_of_freedom;
    if p == 0.5 {
        return 0.0;
    }
    let z = normal_quantile(p);
    if df > 1e7 {
        return z;
    }
    let (z2, upper) = (z * z, p > 0.5);
    let tail = 2.0 * if upper { 1.0 - p } else { p };
    let terms = [
        (z2 + 1.0) / 4.0,
        ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0,
        (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0,
        ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92160.0,
    ];
    let series = terms.iter().rev().fold(0.0, |sum, term| (sum + term) / df);
    let mut t = z.abs() * (1.0 + series);
    if df < 1_000.0 || z2 > 9.0 {
        t = refined_t_quantile(t, tail, df);
    }
    if upper { t } else { -t }
}

/// Moves `t` to where the two-sided tail is `tail`.
fn refined_t_quantile(mut t: f64, tail: f64, df: f64) -> f64 {
    use statrs::function::gamma::ln_gamma;
    let mut tail_now = t_two_sided(t, df);
    // Below three degrees of freedom the series can start far off; go back until the tail is on the near side.
    while tail_now < tail * 0.5 {
        t *= 0.7;
        tail_now = t_two_sided(t, df);
    }
    let density_constant =
        ln_gamma((df + 1.0) / 2.0) - ln_gamma(df / 2.0) - 0.5 * (df * std::f64::consts::PI).ln();
    for _ in 0..60 {
        let density = 2.0 * (density_constant - (df + 1.0) / 2.0 * (t * t / df).ln_1p()).exp();
        // Halley on the logarithm of the tail, which is nearly straight and so converges from either side.
        let off = (tail_now / tail).ln();
        let slope = density / tail_now;
        let bend = slope * ((df + 1.0) * t / (df + t * t) - slope);
        let step = 2.0 * off * slope / (2.0 * slope * slope - off * bend).max(slope * slope);
        t = (t + step).max(t / 4.0);
        // Each step leaves about the cube of the error.
        if step.abs() <= 1e-4 * t.abs() {
            break;
        }
        tail_now = t_two_sided(t, df);
    }
    t
}

/// Two-sided p-value of a standard normal statistic.
pub fn normal_two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// P(Z ≥ z) of a standard normal variable.
pub fn normal_upper_tail(z: f64) -> f64 {
    0.5 * erfc(z / std::f64::consts::SQRT_2)
}

/// The value that a standard normal variable stays below with probability `p` (0–1).
pub fn normal_quantile(p: f64) -> f64 {
    -std::f64::consts::SQRT_2 * erfc_inv(2.0 * p)
}

/// ln of the binomial coefficient n over k, for real arguments.
pub fn ln_choose(n: f64, k: f64) -> f64 {
    use statrs::function::gamma::ln_gamma;
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// P(X = k) for X ~ Binomial(n, p).
pub fn binomial_pmf(k: u64, n: u64, p: f64) -> f64 {
    if k > n {
        return 0.0;
    }
    let (k, n) = (k as f64, n as f64);
    let term = |count: f64, q: f64| if count == 0.0 { 0.0 } else { count * q.ln() };
    (ln_choose(n, k) + term(k, p) + term(n - k, 1.0 - p)).exp()
}

/// P(X ≤ k) for X ~ Binomial(n, p), by the incomplete beta function.
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    beta_reg((n - k) as f64, k as f64 + 1.0, 1.0 - p)
}
