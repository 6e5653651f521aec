//! Load moves what services do, minute by minute.

use tracediff_simulate::{Load, Settings, Simulation, Topology};

/// The mean of a span of pure work follows the service's factor: regressed on it, the slope is 1. Bounds are four
/// standard errors, of the noise that log-normal times leave in a minute's mean.
#[test]
fn service_times_follow_the_load_factor() {
    let settings = Settings {
        minutes: 60.0,
        rate_per_second: 10.0,
        load: Load {
            sigma: 0.2,
            service_sigma: 0.2,
            request_sigma: 0.0,
            ..Load::default()
        },
        ..Settings::default()
    };
    let simulation = Simulation::new(&settings).unwrap();
    let load = simulation.load().clone();
    assert_eq!(load.minutes(), 60);
    let services = &Topology::shop().services;
    let pricing = services.iter().position(|s| s.name == "pricing").unwrap();
    let mut sums = vec![(0.0f64, 0.0f64); 60];
    for batch in simulation.into_batches().unwrap() {
        let is_work = |row: &usize| batch.operation().text(*row) == Some("apply discounts");
        for row in (0..batch.len()).filter(is_work) {
            assert_eq!(batch.service().text(row), Some("pricing"));
            let offset_ns = batch.start_ns(row) as u64 - settings.start_ns;
            let sum = &mut sums[(offset_ns / 60_000_000_000).min(59) as usize];
            sum.0 += (batch.duration_ns(row) as f64).ln();
            sum.1 += 1.0;
        }
    }
    let points: Vec<(f64, f64)> = (0..60)
        .map(|m| (load.service_factor(m, pricing).ln(), sums[m].0 / sums[m].1))
        .collect();
    let n = points.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let sxy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let sxx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let slope = sxy / sxx;
    let per_minute = sums.iter().map(|s| s.1).sum::<f64>() / n;
    let error = 0.4 / (per_minute * sxx).sqrt();
    assert!((slope - 1.0).abs() < 4.0 * error, "{slope} ± {error}");
}
