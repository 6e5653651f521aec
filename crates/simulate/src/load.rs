//! The load of each minute and the arrivals it brings.

use crate::random::{Random, Streams};
use crate::settings::{Load, Settings};

/// Streams of random numbers, by what they are for.
pub(crate) mod stream {
    pub(crate) const LOAD: u64 = 0;
    pub(crate) const ARRIVALS: u64 = 1;
    pub(crate) const CLOCKS: u64 = 2;
    /// Of the seed of a random topology, not of a simulation.
    pub(crate) const TOPOLOGY: u64 = 3;
    /// Of the seed by which an incident is placed.
    pub(crate) const PLACE: u64 = 4;
    /// Of the runs that try an incident out.
    pub(crate) const TRIAL: u64 = 1 << 30;
    pub(crate) const SERVICE_LOAD: u64 = 1 << 20;
    pub(crate) const REQUESTS: u64 = 1 << 40;
}

pub(crate) const MINUTE_NS: f64 = 60e9;

/// The logarithms of the load factors: what the simulator knows and a diff does not.
#[derive(Debug, Clone)]
pub struct LoadSeries {
    system: Vec<f64>,
    /// A row of services for each minute.
    services: Vec<f64>,
    service_count: usize,
}

impl LoadSeries {
    pub(crate) fn new(settings: &Settings, service_count: usize, streams: &Streams) -> Self {
        let minutes = settings.minutes.ceil() as usize;
        let Load {
            sigma,
            service_sigma,
            persistence,
            ..
        } = settings.load;
        let system = ar1(
            &mut streams.stream(stream::LOAD),
            minutes,
            persistence,
            sigma,
        );
        let mut services = vec![0.0; minutes * service_count];
        for service in 0..service_count {
            let mut random = streams.stream(stream::SERVICE_LOAD + service as u64);
            let series = ar1(&mut random, minutes, persistence, service_sigma);
            for (minute, own) in series.into_iter().enumerate() {
                services[minute * service_count + service] = system[minute] + own;
            }
        }
        Self {
            system,
            services,
            service_count,
        }
    }

    /// The number of minutes, the last of which may be cut short by the window's end.
    pub fn minutes(&self) -> usize {
        self.system.len()
    }

    /// The system's factor in a minute from 0: its median is 1.
    pub fn factor(&self, minute: usize) -> f64 {
        libm::exp(self.system[minute])
    }

    /// What service times of a service, by its place in the topology, are multiplied by in a minute.
    pub fn service_factor(&self, minute: usize, service: usize) -> f64 {
        libm::exp(self.of_minute(minute)[service])
    }

    /// The logarithm of the factor of every service in a minute.
    pub(crate) fn of_minute(&self, minute: usize) -> &[f64] {
        &self.services[minute * self.service_count..][..self.service_count]
    }
}

/// A stationary AR(1) of mean 0: x(m) = φ x(m-1) + σ √(1 - φ²) ε(m), x(0) = σ ε(0).
fn ar1(random: &mut Random, len: usize, phi: f64, sigma: f64) -> Vec<f64> {
    let innovation = sigma * (1.0 - phi * phi).sqrt();
    let mut x = sigma * random.normal();
    let mut series = Vec::with_capacity(len);
    for _ in 0..len {
        series.push(x);
        x = phi * x + innovation * random.normal();
    }
    series
}

/// Poisson arrivals whose rate is constant inside a minute: offsets from the window's start in nanoseconds, ascending.
#[derive(Debug)]
pub(crate) struct Arrivals {
    random: Random,
    /// Requests per nanosecond in each minute.
    rates: Vec<f64>,
    minute: usize,
    at_ns: f64,
    end_ns: f64,
}

impl Arrivals {
    pub(crate) fn new(settings: &Settings, load: &LoadSeries, streams: &Streams) -> Self {
        let Load {
            sigma,
            arrival_exponent: k,
            ..
        } = settings.load;
        // E exp(k x) = exp(k² σ² / 2) for x normal: divided out, so that the mean rate is the one asked for.
        let mean = k * k * sigma * sigma / 2.0;
        let per_ns = settings.rate_per_second / 1e9;
        let rates = load.system.iter().map(|x| per_ns * libm::exp(k * x - mean));
        Self {
            random: streams.stream(stream::ARRIVALS),
            rates: rates.collect(),
            minute: 0,
            at_ns: 0.0,
            end_ns: settings.minutes * MINUTE_NS,
        }
    }
}

/// When a request starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) offset_ns: u64,
    pub(crate) minute: usize,
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        while let Some(rate) = self.rates.get(self.minute) {
            let minute_end = ((self.minute + 1) as f64 * MINUTE_NS).min(self.end_ns);
            // The exponential forgets, so a gap that leaves the minute starts anew at the next one.
            let at_ns = self.at_ns + self.random.exponential() / rate;
            if at_ns < minute_end {
                self.at_ns = at_ns;
                return Some(Arrival {
                    offset_ns: at_ns as u64,
                    minute: self.minute,
                });
            }
            self.at_ns = minute_end;
            self.minute += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(minutes: f64, load: Load) -> (Settings, LoadSeries, Streams) {
        let settings = Settings {
            minutes,
            load,
            ..Settings::default()
        };
        let streams = Streams::new(settings.seed);
        let series = LoadSeries::new(&settings, 3, &streams);
        (settings, series, streams)
    }

    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let (ma, mb) = (mean(a), mean(b));
        let product = |x: &[f64], mx: f64, y: &[f64], my: f64| {
            x.iter()
                .zip(y)
                .map(|(x, y)| (x - mx) * (y - my))
                .sum::<f64>()
        };
        product(a, ma, b, mb) / (product(a, ma, a, ma) * product(b, mb, b, mb)).sqrt()
    }

    /// Bartlett: the error of a lag-1 correlation of n points is about √((1 - φ²)/n); bounds are four of them.
    #[test]
    fn load_remembers_the_minute_before() {
        let load = Load {
            persistence: 0.6,
            sigma: 0.2,
            ..Load::default()
        };
        let (_, series, _) = series(20_000.0, load);
        let x = &series.system;
        let lag = |k: usize| correlation(&x[k..], &x[..x.len() - k]);
        assert!((lag(1) - 0.6).abs() < 0.023, "{}", lag(1));
        assert!((lag(2) - 0.36).abs() < 0.035, "{}", lag(2));
        let sd = (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
        // The variance of n points has about n (1 - φ²)/(1 + φ²) independent ones.
        assert!(
            (sd - 0.2).abs() < 4.0 * 0.2 * (2.125 / 40_000f64).sqrt(),
            "{sd}"
        );
        let own: Vec<f64> = (0..x.len())
            .map(|m| series.of_minute(m)[1] - x[m])
            .collect();
        assert!(correlation(x, &own).abs() < 0.05);
    }

    /// A Poisson count has its mean as variance; bounds are four standard deviations.
    #[test]
    fn arrivals_follow_the_load() {
        let load = Load {
            sigma: 0.5,
            persistence: 0.0,
            ..Load::default()
        };
        let (settings, series, streams) = series(100.5, load);
        let mut counts = vec![0u32; 101];
        let mut last_ns = 0;
        for arrival in Arrivals::new(&settings, &series, &streams) {
            assert!(arrival.offset_ns >= last_ns);
            last_ns = arrival.offset_ns;
            assert_eq!(arrival.minute, (last_ns as f64 / MINUTE_NS) as usize);
            counts[arrival.minute] += 1;
        }
        assert!(last_ns < (100.5 * MINUTE_NS) as u64);
        for (minute, count) in counts.iter().enumerate() {
            let seconds = if minute == 100 { 30.0 } else { 60.0 };
            let mean = 20.0 * seconds * series.factor(minute) / libm::exp(0.125);
            assert!(
                (f64::from(*count) - mean).abs() < 4.0 * mean.sqrt(),
                "minute {minute}: {count} for {mean}"
            );
        }
    }

    #[test]
    fn no_rate_brings_no_arrivals() {
        let (settings, series, streams) = series(3.0, Load::none());
        let settings = Settings {
            rate_per_second: 0.0,
            ..settings
        };
        assert_eq!(Arrivals::new(&settings, &series, &streams).count(), 0);
    }
}
