//! How often tests of the mean call two healthy windows different, by how load moves: the figures of
//! `docs/simulator.md`. For every operation of a hundred pairs of windows at a nominal 5 %, once by a test that takes
//! spans for independent, once by one that takes the ten minutes for independent.

use std::collections::BTreeMap;

use tracediff_simulate::{Load, Settings, SimulateError, simulate};

const SLICES: usize = 10;
const PAIRS: u64 = 100;

/// Sums over the logarithms of an operation's durations.
#[derive(Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
    slices: [(f64, f64); SLICES],
}

impl Sums {
    fn add(&mut self, slice: usize, x: f64) {
        self.count += 1.0;
        self.sum += x;
        self.squares += x * x;
        self.slices[slice].0 += 1.0;
        self.slices[slice].1 += x;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    fn variance_by_span(&self) -> f64 {
        (self.squares / self.count - self.mean().powi(2)) / self.count
    }

    fn variance_by_slice(&self) -> f64 {
        let residual = |(count, sum): &(f64, f64)| (sum - self.mean() * count).powi(2);
        let slices = SLICES as f64;
        self.slices.iter().map(residual).sum::<f64>() / self.count.powi(2) * slices / (slices - 1.0)
    }
}

fn window(seed: u64, load: Load) -> Result<BTreeMap<String, Sums>, SimulateError> {
    let settings = Settings {
        seed,
        load,
        ..Settings::default()
    };
    let mut operations: BTreeMap<String, Sums> = BTreeMap::new();
    for batch in simulate(&settings)? {
        for row in (0..batch.len()).filter(|row| matches!(batch.kind(*row), 2 | 5)) {
            let service = batch.service().text(row).unwrap_or_default();
            let operation = batch.operation().text(row).unwrap_or_default();
            let minute = (batch.start_ns(row) as u64 - settings.start_ns) / 60_000_000_000;
            let sums = operations.entry(format!("{service} {operation}"));
            let log = (batch.duration_ns(row) as f64).ln();
            sums.or_default()
                .add((minute as usize).min(SLICES - 1), log);
        }
    }
    Ok(operations)
}

fn main() -> Result<(), SimulateError> {
    let usual = Load::default();
    let with = |persistence, sigma, service_sigma| Load {
        persistence,
        sigma,
        service_sigma,
        ..usual
    };
    println!("persistence  sigma  service_sigma  by span  by slice");
    for load in [
        Load::none(),
        with(0.0, 0.05, 0.03),
        usual,
        with(0.3, 0.05, 0.03),
        with(0.3, 0.08, 0.04),
        with(0.6, 0.08, 0.04),
    ] {
        let (mut tests, mut by_span, mut by_slice) = (0.0, 0.0, 0.0);
        for pair in 0..PAIRS {
            let baseline = window(1_000 + 2 * pair, load)?;
            let candidate = window(1_001 + 2 * pair, load)?;
            for (operation, a) in &baseline {
                let Some(b) = candidate.get(operation) else {
                    continue;
                };
                let difference = (a.mean() - b.mean()).abs();
                let exceeds = |variance: f64, bound: f64| difference > bound * variance.sqrt();
                tests += 1.0;
                // The normal's 97.5th percentile, and that of t with 18 degrees of freedom.
                let of_spans = a.variance_by_span() + b.variance_by_span();
                by_span += f64::from(exceeds(of_spans, 1.960));
                let of_slices = a.variance_by_slice() + b.variance_by_slice();
                by_slice += f64::from(exceeds(of_slices, 2.101));
            }
        }
        println!(
            "{:11}  {:5}  {:13}  {:7.3}  {:8.3}",
            load.persistence,
            load.sigma,
            load.service_sigma,
            by_span / tests,
            by_slice / tests
        );
    }
    Ok(())
}
