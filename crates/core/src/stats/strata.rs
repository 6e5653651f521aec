//! Shares of two sides compared within strata.

/// One stratum: trials of either side and the share of them that succeed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stratum {
    /// Trials of the baseline and of the candidate.
    pub n: [f64; 2],
    /// Shares that succeed (0–1).
    pub share: [f64; 2],
}

/// What the test over strata says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StrataTest {
    /// Standard errors that the candidate has more; negative where it has less.
    pub z: f64,
    /// The Mantel–Haenszel difference of the shares.
    pub effect: f64,
    /// The shares of both sides, strata weighted alike.
    pub shares: [f64; 2],
}

impl StrataTest {
    /// Cochran–Mantel–Haenszel over strata, with continuity correction; the effect is the Mantel–Haenszel risk
    /// difference. `None` where no stratum has trials on both sides, or nothing varies.
    ///
    /// Source: Mantel & Haenszel 1959, Journal of the National Cancer Institute 22(4).
    pub fn new(strata: &[Stratum]) -> Option<Self> {
        let (mut excess, mut variance) = (0.0, 0.0);
        let (mut shares, mut weights) = ([0.0; 2], 0.0);
        for s in strata {
            let n = s.n[0] + s.n[1];
            if s.n[0] < 1.0 || s.n[1] < 1.0 {
                continue;
            }
            let with = s.n[0] * s.share[0] + s.n[1] * s.share[1];
            excess += s.n[1] * s.share[1] - s.n[1] * with / n;
            variance += s.n[0] * s.n[1] * with * (n - with) / (n * n * (n - 1.0).max(1.0));
            let weight = s.n[0] * s.n[1] / n;
            shares[0] += weight * s.share[0];
            shares[1] += weight * s.share[1];
            weights += weight;
        }
        if weights <= 0.0 || variance <= 0.0 {
            return None;
        }
        let shares = shares.map(|s| s / weights);
        let z = (excess.abs() - 0.5).max(0.0) / variance.sqrt();
        Some(Self {
            z: z.copysign(excess),
            effect: shares[1] - shares[0],
            shares,
        })
    }
}
