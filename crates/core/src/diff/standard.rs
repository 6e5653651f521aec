//! Direct standardisation: how a mean would have changed had the shares of its parts stayed as they were.
//!
//! Source: Kitagawa 1955, Journal of the American Statistical Association 50(272), with the mean of both sides' shares.

use crate::stats::ratio::Ratio;

/// One part of a group on one side: Σ of calls and of what is measured of them, by slice.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    slices: Vec<(usize, f64, f64)>,
    calls: f64,
    measured: f64,
    /// Variance of measured ÷ calls, traces taken as independent.
    trace_variance: f64,
}

impl Part {
    /// From the number of a slice, calls and what is measured of them.
    pub(super) fn new(slices: Vec<(usize, f64, f64)>, trace_variance: f64) -> Self {
        Self {
            calls: slices.iter().map(|(_, calls, _)| calls).sum(),
            measured: slices.iter().map(|(.., measured)| measured).sum(),
            slices,
            trace_variance,
        }
    }

    fn mean(&self) -> f64 {
        self.measured / self.calls
    }
}

/// A change of a mean, split.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// Of the mean over everything.
    pub(super) whole: f64,
    /// Of the mean at equal shares of the parts that both sides have.
    pub(super) within: f64,
    /// Σ calls of either side.
    pub(super) calls: [f64; 2],
    /// Share of either side's calls that are in parts of both sides.
    pub(super) common: [f64; 2],
    /// Share of the calls that are in other parts than before: total variation distance, 0–1.
    pub(super) moved: f64,
    /// Both sides' parts that both have, and their share.
    parts: Vec<([Part; 2], f64)>,
}

/// Splits the change of a mean over the parts of a group; `None` where a side has no calls.
pub(super) fn split(parts: Vec<[Part; 2]>) -> Option<Change> {
    let sum = |side: usize, value: fn(&Part) -> f64| -> f64 {
        parts.iter().map(|part| value(&part[side])).sum()
    };
    let calls = [0, 1].map(|side| sum(side, |part| part.calls));
    if calls.contains(&0.0) {
        return None;
    }
    let mean = [0, 1].map(|side| sum(side, |part| part.measured) / calls[side]);
    let mut change = Change {
        whole: mean[1] - mean[0],
        within: 0.0,
        calls,
        common: [0.0; 2],
        moved: 0.0,
        parts: Vec::new(),
    };
    for part in parts {
        let [a, b] = &part;
        let shares = [a.calls / calls[0], b.calls / calls[1]];
        change.moved += (shares[1] - shares[0]).abs() / 2.0;
        if a.calls > 0.0 && b.calls > 0.0 {
            let share = f64::midpoint(shares[0], shares[1]);
            change.within += share * (b.mean() - a.mean());
            change.common[0] += shares[0];
            change.common[1] += shares[1];
            change.parts.push((part, share));
        }
    }
    Some(change)
}

impl Change {
    /// The largest |Cliff's δ| that other shares alone can make. With D = [`Self::moved`] and nothing changed within,
    /// δ = Σ_k (ω_B − ω_A)·g_k, where g_k, δ of part k against the whole baseline, lies between −1 and 1, so |δ| ≤ 2·D.
    pub(super) fn largest_delta_of_mix(&self) -> f64 {
        (2.0 * self.moved).min(1.0)
    }

    /// One side's part of [`Self::within`] with its variance, shares taken as given.
    pub(super) fn estimate(&self, side: usize, traces: f64) -> Ratio {
        let slices = self.parts.iter().flat_map(|(part, _)| &part[side].slices);
        let count = slices.map(|(slice, ..)| slice + 1).max().unwrap_or(0);
        let (mut scores, mut is_held) = (vec![0.0; count], vec![false; count]);
        let (mut value, mut trace_variance) = (0.0, 0.0);
        for (part, share) in &self.parts {
            let part = &part[side];
            value += share * part.mean();
            trace_variance += share * share * part.trace_variance;
            for (slice, calls, measured) in &part.slices {
                scores[*slice] += share * (measured - part.mean() * calls) / part.calls;
                is_held[*slice] = true;
            }
        }
        let slices = is_held.into_iter().filter(|held| *held).count();
        let m = slices as f64;
        let squares: f64 = scores.iter().map(|score| score * score).sum();
        Ratio {
            value,
            trace_variance,
            slice_variance: (slices > 1).then(|| m / (m - 1.0) * squares),
            traces,
            slices,
        }
    }

    /// Variance of [`Self::within`] where what is measured is a share of the calls, the same on both sides in every
    /// part, and calls are independent; a call on side i counts for `effective[i]` of one.
    pub(super) fn variance_of_equal_shares(&self, effective: [f64; 2]) -> f64 {
        let of_part = |[a, b]: &[Part; 2], share: f64| {
            let pooled = ((a.measured + b.measured) / (a.calls + b.calls)).clamp(0.0, 1.0);
            let calls = 1.0 / (effective[0] * a.calls) + 1.0 / (effective[1] * b.calls);
            share * share * pooled * (1.0 - pooled) * calls
        };
        let parts = self.parts.iter();
        parts.map(|(part, share)| of_part(part, *share)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of two slices with half the calls in either, `mean` measured of each.
    fn part(calls: f64, mean: f64) -> Part {
        let half = calls / 2.0;
        Part::new(vec![(0, half, half * mean), (3, half, half * mean)], 0.01)
    }

    #[test]
    fn shares_that_move_change_nothing_within() {
        let change = split(vec![
            [part(80.0, 10.0), part(20.0, 10.0)],
            [part(20.0, 50.0), part(80.0, 50.0)],
        ])
        .unwrap();
        assert_eq!((change.whole, change.within), (24.0, 0.0));
        assert_eq!(change.calls, [100.0, 100.0]);
        assert!((change.moved - 0.6).abs() < 1e-12);
    }

    #[test]
    fn no_mix_makes_more_of_a_delta_than_its_bound() {
        // Part 0 always takes 1, part 1 always 2; the share of the latter goes from a to b: δ = b·(1 − a) − a·(1 − b).
        for (a, b) in [(0.2, 0.8), (0.5, 0.6), (0.0, 1.0), (0.9, 0.3)] {
            let sides = |share: f64, mean| part(100.0 * share, mean);
            let change = split(vec![
                [sides(1.0 - a, 1.0), sides(1.0 - b, 1.0)],
                [sides(a, 2.0), sides(b, 2.0)],
            ])
            .unwrap();
            let delta: f64 = b * (1.0 - a) - a * (1.0 - b);
            assert!(delta.abs() <= change.largest_delta_of_mix());
        }
    }

    #[test]
    fn parts_of_one_side_only_are_mix() {
        let change = split(vec![
            [part(60.0, 10.0), part(50.0, 12.0)],
            [part(40.0, 50.0), Part::default()],
            [Part::default(), part(50.0, 90.0)],
        ])
        .unwrap();
        // Half of 60 % and 50 % of the calls take 2 longer.
        assert!((change.within - 0.55 * 2.0).abs() < 1e-12);
        assert_eq!(change.common, [0.6, 0.5]);
        assert_eq!(split(vec![[part(1.0, 1.0), Part::default()]]), None);
    }

    #[test]
    fn variance_counts_what_parts_do_together() {
        // Both parts are 1 above their means in slice 0 and 1 below in slice 1: a slow moment, not two slow parts.
        let wave = || Part::new(vec![(0, 50.0, 550.0), (1, 50.0, 450.0)], 0.01);
        let change = split(vec![[wave(), wave()], [wave(), wave()]]).unwrap();
        let estimate = change.estimate(0, 500.0);
        assert_eq!(estimate.value, 10.0);
        // Each slice's score is ±½, so the variance is 2/1 · (¼ + ¼); of parts alone it would be half of that.
        assert!((estimate.slice_variance.unwrap() - 1.0).abs() < 1e-12);
        assert!((estimate.trace_variance - 0.005).abs() < 1e-12);
    }

    #[test]
    fn shares_that_are_equal_have_the_variance_of_two_binomials() {
        let change = split(vec![[part(100.0, 0.1), part(300.0, 0.1)]]).unwrap();
        let plain = change.variance_of_equal_shares([1.0, 1.0]);
        assert!((plain - 0.09 * (1.0 / 100.0 + 1.0 / 300.0)).abs() < 1e-12);
        let half = change.variance_of_equal_shares([0.5, 0.5]);
        assert!((half - 2.0 * plain).abs() < 1e-12);
    }
}
