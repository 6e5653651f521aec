//! What a saved query says beside its text: when it is looked at, against what, and what counts as a change.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use tracediff_core::diff::{Policy, PolicyError};
use utoipa::ToSchema;

const SECOND_NS: i64 = 1_000_000_000;
const LEAST_INTERVAL: Span = Span(10 * SECOND_NS);
const LONGEST: Span = Span(31 * 86_400 * SECOND_NS);

/// A length of time as people write it: `90s`, `10m`, `1h 30m`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) i64);

impl Span {
    /// In nanoseconds.
    pub(crate) fn ns(self) -> i64 {
        self.0
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem =
            || format!("`{text}` is no length of time; write one like 90s, 10m, 1h or 1d");
        // Days of 24 hours: what is compared is so much earlier, whatever clocks on walls do.
        let ns = match text.trim().strip_suffix('d').map(str::parse::<u32>) {
            Some(Ok(days)) => i64::from(days).checked_mul(86_400 * SECOND_NS),
            _ => {
                let parsed: SignedDuration = text.parse().map_err(|_| problem())?;
                i64::try_from(parsed.as_nanos()).ok()
            }
        };
        ns.filter(|ns| *ns >= 0).map(Self).ok_or_else(problem)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days = self.0 / (86_400 * SECOND_NS);
        if days > 0 && self.0 % (86_400 * SECOND_NS) == 0 {
            return write!(f, "{days}d");
        }
        write!(f, "{:#}", SignedDuration::from_nanos(self.0))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a snapshot is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Baseline {
    /// The one before it.
    #[default]
    Previous,
    /// The one that ended so much earlier, give or take half an interval.
    #[schema(value_type = String)]
    Ago(Span),
    /// Always this one; it should be pinned.
    Snapshot(String),
}

/// The settings of a saved query; what is left out is as [`Default`] has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// From the end of one window to the end of the next, aligned to the clock in UTC.
    #[schema(value_type = String)]
    pub(crate) interval: Span,
    /// The length of a window; the interval where it is left out.
    #[schema(value_type = Option<String>)]
    pub(crate) window: Option<Span>,
    /// How long after its end a window is looked at: spans that are late and traces that go on count until then.
    #[schema(value_type = String)]
    pub(crate) settle: Span,
    /// What a snapshot is compared with.
    pub(crate) baseline: Baseline,
    /// Whether snapshots are taken by the clock.
    pub(crate) scheduled: bool,
    /// What counts as a change.
    #[schema(value_type = Object)]
    pub(crate) policy: Policy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Span(600 * SECOND_NS),
            window: None,
            settle: Span(30 * SECOND_NS),
            baseline: Baseline::default(),
            scheduled: true,
            policy: Policy::default(),
        }
    }
}

/// Settings that make no sense.
#[derive(Debug, Clone, PartialEq, Error)]
pub(crate) enum SettingsError {
    #[error("`{key}` is {found}, but must be from {least} to {most}")]
    Range {
        key: &'static str,
        found: Span,
        least: Span,
        most: Span,
    },
    #[error("`policy`: {0}")]
    Policy(PolicyError),
}

impl Settings {
    /// The length of a window.
    pub(crate) fn window(&self) -> Span {
        self.window.unwrap_or(self.interval)
    }

    /// Checks that every setting is in its range.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let ranges = [
            ("interval", self.interval, LEAST_INTERVAL),
            ("window", self.window(), LEAST_INTERVAL),
            ("settle", self.settle, Span(0)),
        ];
        for (key, found, least) in ranges {
            if found < least || found > LONGEST {
                return Err(SettingsError::Range {
                    key,
                    found,
                    least,
                    most: LONGEST,
                });
            }
        }
        self.policy.check().map_err(SettingsError::Policy)
    }

    /// The ends of the windows that are over and were not looked at yet, oldest first: those after `done_ns`, but not more than
    /// `most` of them.
    pub(crate) fn ends_over(&self, done_ns: i64, now_ns: i64, most: usize) -> Vec<i64> {
        let interval = self.interval.ns();
        let last = now_ns.div_euclid(interval);
        let first = (done_ns.div_euclid(interval) + 1).max(last.saturating_sub(most as i64 - 1));
        (first..=last).map(|number| number * interval).collect()
    }

    /// How long to wait from one look at the clock to the next.
    pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_and_written() {
        for (text, ns) in [
            ("10s", 10),
            ("10m", 600),
            ("1h 30m", 5_400),
            ("7d", 604_800),
            ("0s", 0),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.ns(), ns * SECOND_NS);
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{span}");
        }
        for text in [
            "",
            "10",
            "ten minutes",
            "-5m",
            "99999999999999999999d",
            "4000000000d",
        ] {
            let error = text.parse::<Span>().unwrap_err();
            assert!(error.contains("is no length of time"), "{error}");
        }
    }

    #[test]
    fn windows_end_by_the_clock_and_missed_ones_are_caught_up() {
        let settings = Settings {
            interval: "10s".parse().unwrap(),
            ..Settings::default()
        };
        let ends = |done: i64, now: i64, most| {
            let ends = settings.ends_over(done * SECOND_NS, now * SECOND_NS, most);
            ends.iter().map(|ns| ns / SECOND_NS).collect::<Vec<_>>()
        };
        assert!(ends(100, 109, 9).is_empty());
        assert_eq!(ends(100, 110, 9), [110]);
        assert_eq!(ends(103, 135, 9), [110, 120, 130]);
        assert_eq!(ends(0, 135, 2), [120, 130]);
    }

    #[test]
    fn settings_are_checked_and_unknown_ones_named() {
        let read = serde_json::from_str::<Settings>;
        let settings = read(r#"{"interval": "1m", "baseline": {"ago": "1d"}}"#).unwrap();
        assert_eq!(settings.baseline, Baseline::Ago(Span(86_400 * SECOND_NS)));
        assert_eq!(settings.window(), settings.interval);
        assert_eq!(settings.check(), Ok(()));
        let again = serde_json::to_string(&settings).unwrap();
        assert_eq!(read(&again).unwrap(), settings);
        let short = read(r#"{"interval": "1s"}"#).unwrap();
        assert_eq!(
            short.check().unwrap_err().to_string(),
            "`interval` is 1s, but must be from 10s to 31d"
        );
        let error = read(r#"{"intervall": "1m"}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `intervall`"), "{error}");
    }
}
