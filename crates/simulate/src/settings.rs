//! What a simulation is asked for: seed, time, traffic, load, sampling, scenario.

use thiserror::Error;

use crate::scenario::Scenario;

/// What to simulate. Two settings that differ only in `seed` are independent samples of one population; to make a
/// baseline and a candidate, let `seed` and `start_ns` differ, and `scenario` where something is to have changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Everything random follows from this number.
    pub seed: u64,
    /// The beginning of the window, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// The length of the window in minutes, above 0. Requests start inside it; their spans may end after it.
    pub minutes: f64,
    /// Mean requests per second, at least 0. A request is one trace, or two where it starts another by a link.
    pub rate_per_second: f64,
    /// What is wrong, if anything.
    pub scenario: Scenario,
    /// How strong the scenario is: 0 nothing, 1 as described, more is more.
    pub strength: f64,
    /// How load moves service times and arrivals over the minutes.
    pub load: Load,
    /// Standard deviation of the hosts' clock errors, in microseconds.
    pub clock_skew_us: f64,
    /// Share of traces that is kept, above 0 and at most 1, by OpenTelemetry's consistent probability sampling;
    /// `None` keeps all and writes no `tracestate`, so that weights are unknown.
    pub sampling_probability: Option<f64>,
}

impl Default for Settings {
    /// Ten healthy minutes at 20 requests per second from the first of January 2026, unsampled.
    fn default() -> Self {
        Self {
            seed: 1,
            start_ns: 1_767_225_600_000_000_000,
            minutes: 10.0,
            rate_per_second: 20.0,
            scenario: Scenario::Healthy,
            strength: 1.0,
            load: Load::default(),
            clock_skew_us: 100.0,
            sampling_probability: None,
        }
    }
}

/// The load factor: a log-domain AR(1) per minute for the whole system, one more for each service, and a constant per
/// request. Medians of service times are multiplied by the exponential of their sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Standard deviation of the logarithm of the system's factor.
    pub sigma: f64,
    /// Standard deviation of the logarithm of each service's own factor.
    pub service_sigma: f64,
    /// Correlation of a minute's logarithms with the minute before, inside (-1, 1).
    pub persistence: f64,
    /// The arrival rate is multiplied by the system's factor to this power: 0 leaves arrivals alone.
    pub arrival_exponent: f64,
    /// Standard deviation of the logarithm of a factor that all spans of one request share.
    pub request_sigma: f64,
}

impl Default for Load {
    /// Set so that, on two healthy windows, tests that ignore time fail as often as they did on recorded systems, and
    /// tests that respect it do too (`docs/simulator.md`).
    fn default() -> Self {
        Self {
            sigma: 0.05,
            service_sigma: 0.03,
            persistence: 0.1,
            arrival_exponent: 1.0,
            request_sigma: 0.1,
        }
    }
}

impl Load {
    /// No load factor at all: requests are independent and equally distributed.
    pub fn none() -> Self {
        Self {
            sigma: 0.0,
            service_sigma: 0.0,
            persistence: 0.0,
            arrival_exponent: 0.0,
            request_sigma: 0.0,
        }
    }
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("setting `{name}` is {found}, expected {expected}")]
pub struct SettingsError {
    /// The field of [`Settings`] or [`Load`].
    pub name: &'static str,
    /// What it was.
    pub found: f64,
    /// What it may be.
    pub expected: &'static str,
}

/// The longest window: a year, below which offsets in nanoseconds are exact in a double.
const MAX_MINUTES: f64 = 527_040.0;

impl Settings {
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let check = |name, found: f64, is_good: bool, expected| {
            if is_good && found.is_finite() {
                Ok(())
            } else {
                Err(SettingsError {
                    name,
                    found,
                    expected,
                })
            }
        };
        let at_least_zero = |name, found: f64| check(name, found, found >= 0.0, "0 or more");
        check(
            "minutes",
            self.minutes,
            self.minutes > 0.0 && self.minutes <= MAX_MINUTES,
            "above 0 and at most a year",
        )?;
        at_least_zero("rate_per_second", self.rate_per_second)?;
        at_least_zero("strength", self.strength)?;
        at_least_zero("clock_skew_us", self.clock_skew_us)?;
        at_least_zero("load.sigma", self.load.sigma)?;
        at_least_zero("load.service_sigma", self.load.service_sigma)?;
        at_least_zero("load.request_sigma", self.load.request_sigma)?;
        check(
            "load.persistence",
            self.load.persistence,
            self.load.persistence.abs() < 1.0,
            "between -1 and 1",
        )?;
        check(
            "load.arrival_exponent",
            self.load.arrival_exponent,
            true,
            "a finite number",
        )?;
        let probability = self.sampling_probability.unwrap_or(1.0);
        check(
            "sampling_probability",
            probability,
            probability > 0.0 && probability <= 1.0,
            "above 0 and at most 1",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_outside_their_range_are_named() {
        let check = |settings: Settings, expected: &str| {
            assert_eq!(settings.check().unwrap_err().to_string(), expected);
        };
        assert_eq!(Settings::default().check(), Ok(()));
        check(
            Settings {
                minutes: 0.0,
                ..Settings::default()
            },
            "setting `minutes` is 0, expected above 0 and at most a year",
        );
        check(
            Settings {
                sampling_probability: Some(1.5),
                ..Settings::default()
            },
            "setting `sampling_probability` is 1.5, expected above 0 and at most 1",
        );
        check(
            Settings {
                load: Load {
                    persistence: 1.0,
                    ..Load::default()
                },
                ..Settings::default()
            },
            "setting `load.persistence` is 1, expected between -1 and 1",
        );
        check(
            Settings {
                rate_per_second: f64::NAN,
                ..Settings::default()
            },
            "setting `rate_per_second` is NaN, expected 0 or more",
        );
    }
}
