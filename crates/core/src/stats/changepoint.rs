//! Whether a series of slices contains a step: the largest excursion of the cumulative sum, judged by permutations.
//!
//! Source: the CUSUM change-point test with a permutation null (Page 1954; Taylor 2000). A baseline that contains a
//! step already holds part of the change that it should be the baseline for.

use crate::trace::mix;

/// A step in a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Index of the first value after the step.
    pub at: usize,
    /// Mean after − mean before.
    pub difference: f64,
    /// Share of permutations whose excursion is at least as large.
    pub p: f64,
}

const PERMUTATIONS: u32 = 999;

/// The strongest step in a series; `None` with fewer than six values or no variation.
pub fn strongest_step(values: &[f64]) -> Option<Step> {
    if values.len() < super::MIN_SLICES {
        return None;
    }
    let (excursion, at) = largest_excursion(values);
    if excursion <= 0.0 {
        return None;
    }
    let mut shuffled = values.to_vec();
    let mut state = 0x7261_6365_6469_6666;
    let mut as_large = 0;
    for _ in 0..PERMUTATIONS {
        for i in (1..shuffled.len()).rev() {
            state = mix(state);
            shuffled.swap(i, (state % (i as u64 + 1)) as usize);
        }
        as_large += u32::from(largest_excursion(&shuffled).0 >= excursion * (1.0 - 1e-12));
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    Some(Step {
        at,
        difference: mean(&values[at..]) - mean(&values[..at]),
        p: f64::from(as_large + 1) / f64::from(PERMUTATIONS + 1),
    })
}

/// The largest |cumulative sum of deviations from the mean|, and where the next value is.
fn largest_excursion(values: &[f64]) -> (f64, usize) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mut sum = 0.0;
    let mut largest = (0.0, 1);
    for (i, value) in values[..values.len() - 1].iter().enumerate() {
        sum += value - mean;
        if f64::abs(sum) > largest.0 {
            largest = (f64::abs(sum), i + 1);
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_where_it_is() {
        let step = strongest_step(&[1.0, 1.2, 0.9, 1.1, 1.0, 3.0, 3.1, 2.9, 3.2, 3.0]).unwrap();
        assert_eq!(step.at, 5);
        assert!(
            (step.difference - 2.0).abs() < 0.1 && step.p < 0.02,
            "{step:?}"
        );
    }

    #[test]
    fn noise_and_constants_have_none() {
        let noise = strongest_step(&[1.0, 1.4, 0.9, 1.3, 0.8, 1.2, 1.1, 0.9, 1.3, 1.0]).unwrap();
        assert!(noise.p > 0.1, "{noise:?}");
        assert_eq!(strongest_step(&[2.0; 12]), None);
        assert_eq!(strongest_step(&[1.0, 2.0]), None);
    }
}
