//! What a saved query says beside its text: when it is looked at, against what, and what counts as a change.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tracediff_core::diff::{Ignored, Policy, PolicyError};
use tracediff_core::query::Query;
use utoipa::ToSchema;

use super::schedule::Schedule;

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

/// Windows before its time that a new query is shown at once, so that there is a first diff where spans are there.
const WINDOWS_BEFORE: usize = 2;

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
    /// Spans of the same window that have another value of a key.
    Split(Split),
}

/// Two values of one key, of which each has a snapshot of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Split {
    /// Such as `service.version`.
    pub(crate) key: String,
    /// The value that is compared with.
    pub(crate) baseline: String,
    /// The value that is looked at.
    pub(crate) candidate: String,
}

impl Split {
    /// Both values, which are new and gone in every diff.
    pub(super) fn ignored(&self) -> [Ignored; 2] {
        [&self.baseline, &self.candidate].map(|value| Ignored {
            key: self.key.clone(),
            value: Some(value.clone()),
            ..Ignored::default()
        })
    }

    /// The queries of both sides: a span matches that is found and has the value.
    pub(super) fn queries(&self, query: &str) -> [String; 2] {
        [&self.baseline, &self.candidate].map(|value| {
            let has_value = Query::has_value(&self.key, value);
            match query.trim() {
                "" => has_value.to_string(),
                query => format!("({query}) AND {has_value}"),
            }
        })
    }
}

/// The settings of a saved query; what is left out is as [`Default`] has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// From the end of one window to the end of the next, aligned to the clock in UTC.
    #[schema(value_type = String)]
    pub(crate) interval: Span,
    /// When windows end, in place of the interval: minute, hour, day of month, month, day of week, and perhaps a time
    /// zone, e.g. `0 6 * * MON-FRI Europe/Berlin`; in UTC without one.
    pub(crate) cron: Option<String>,
    /// The length of a window. Where it is left out: the interval, or all the time since the cron expression's time before.
    #[schema(value_type = Option<String>)]
    pub(crate) window: Option<Span>,
    /// How long after its end a window is looked at: spans that are late and traces that go on count until then.
    #[schema(value_type = String)]
    pub(crate) settle: Span,
    /// What a snapshot is compared with.
    pub(crate) baseline: Baseline,
    /// A baseline that ended longer than this before the window begins is not compared with.
    #[schema(value_type = Option<String>)]
    pub(crate) max_baseline_age: Option<Span>,
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
            cron: None,
            window: None,
            settle: Span(30 * SECOND_NS),
            baseline: Baseline::default(),
            max_baseline_age: None,
            scheduled: true,
            policy: Policy::default(),
        }
    }
}

/// What settings have that a saved query does not give: as the server is configured now.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    policy: Arc<Value>,
}

impl Defaults {
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            policy: Arc::new(json!(policy)),
        }
    }

    /// The settings that given ones come to.
    pub(crate) fn with(
        &self,
        mut given: Map<String, Value>,
    ) -> Result<Settings, serde_json::Error> {
        let own = given.remove("policy").unwrap_or(Value::Null);
        let mut policy = (*self.policy).clone();
        lay_over(&mut policy, own);
        given.insert("policy".to_owned(), policy);
        serde_json::from_value(Value::Object(given))
    }
}

/// Puts what is given over what there is, field by field.
fn lay_over(there_is: &mut Value, given: Value) {
    match (there_is, given) {
        (Value::Object(there_is), Value::Object(given)) => {
            for (name, value) in given {
                lay_over(there_is.entry(name).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (there_is, given) => *there_is = given,
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
    #[error("`cron`: {0}")]
    Cron(String),
    #[error("`baseline.split` must have a key and two values that are not the same")]
    Split,
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
        self.schedule().map_err(SettingsError::Cron)?;
        if let Baseline::Split(split) = &self.baseline
            && (split.key.trim().is_empty() || split.baseline == split.candidate)
        {
            return Err(SettingsError::Split);
        }
        self.policy.check().map_err(SettingsError::Policy)
    }

    /// The windows, from and to, that are over and were not looked at yet, oldest first: those that end after `done_ns`, or the
    /// last [`WINDOWS_BEFORE`] at `created_ns` and those since; but not more than `most` of them.
    pub(crate) fn windows_over(
        &self,
        done_ns: Option<i64>,
        created_ns: i64,
        now_ns: i64,
        most: usize,
    ) -> Result<Vec<(i64, i64)>, SettingsError> {
        let schedule = self.schedule().map_err(SettingsError::Cron)?;
        let ends = match done_ns {
            Some(done_ns) => schedule.times(done_ns, now_ns, most),
            None => {
                let mut ends = schedule.last(WINDOWS_BEFORE, created_ns);
                ends.extend(schedule.times(created_ns, now_ns, most));
                ends
            }
        };
        let Some(first_ns) = ends.first() else {
            return Ok(Vec::new());
        };
        let length = match (self.window, &self.cron) {
            (Some(window), _) => Some(window),
            (None, None) => Some(self.interval),
            (None, Some(_)) => None,
        };
        if let Some(length) = length {
            return Ok(ends
                .iter()
                .map(|to_ns| (to_ns - length.ns(), *to_ns))
                .collect());
        }
        // From each time to the next.
        let before = schedule.last(1, first_ns - 1);
        let times: Vec<i64> = before.into_iter().chain(ends).collect();
        let windows = times
            .windows(2)
            .map(|pair| (pair[0].max(pair[1] - LONGEST.ns()), pair[1]));
        Ok(windows.collect())
    }

    fn schedule(&self) -> Result<Schedule, String> {
        match &self.cron {
            Some(text) => Schedule::cron(text),
            None => Ok(Schedule::Every(self.interval.ns())),
        }
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
        let ends = |done: Option<i64>, now: i64, most| {
            let done_ns = done.map(|done| done * SECOND_NS);
            let windows = settings.windows_over(done_ns, 103 * SECOND_NS, now * SECOND_NS, most);
            let windows = windows.unwrap().into_iter();
            assert!(
                windows
                    .clone()
                    .all(|(from_ns, to_ns)| to_ns - from_ns == 10 * SECOND_NS)
            );
            windows
                .map(|(_, to_ns)| to_ns / SECOND_NS)
                .collect::<Vec<_>>()
        };
        assert!(ends(Some(100), 109, 9).is_empty());
        assert_eq!(ends(Some(100), 110, 9), [110]);
        assert_eq!(ends(Some(103), 135, 9), [110, 120, 130]);
        assert_eq!(ends(Some(0), 135, 2), [120, 130]);
        assert_eq!(ends(None, 115, 9), [90, 100, 110]);
    }

    #[test]
    fn a_window_by_cron_begins_where_the_one_before_ended() {
        let settings = Settings {
            cron: Some("0 0 * * *".to_owned()),
            ..Settings::default()
        };
        const DAY_NS: i64 = 86_400 * SECOND_NS;
        let windows = |settings: &Settings, done| {
            settings
                .windows_over(Some(done * DAY_NS), 0, 12 * DAY_NS + 5, 9)
                .unwrap()
        };
        let days = [
            (9 * DAY_NS, 10 * DAY_NS),
            (10 * DAY_NS, 11 * DAY_NS),
            (11 * DAY_NS, 12 * DAY_NS),
        ];
        assert_eq!(windows(&settings, 9), days);
        let an_hour = Settings {
            window: Some("1h".parse().unwrap()),
            ..settings
        };
        assert_eq!(
            windows(&an_hour, 11),
            [(12 * DAY_NS - 3_600 * SECOND_NS, 12 * DAY_NS)]
        );
    }

    #[test]
    fn a_policy_has_the_rest_from_the_server() {
        let mut policy = Policy::default();
        policy.latency.min_ratio = 0.5;
        policy.max_q = 0.01;
        let defaults = Defaults::of(&policy);
        let given = json!({"interval": "1m", "policy": {"latency": {"min_difference_ms": 7.0}}});
        let settings = defaults.with(given.as_object().unwrap().clone()).unwrap();
        let of_latency = &settings.policy.latency;
        assert_eq!(
            (of_latency.min_ratio, of_latency.min_difference_ms),
            (0.5, 7.0)
        );
        assert_eq!(settings.policy.max_q, 0.01);
    }

    #[test]
    fn a_split_has_a_query_for_either_value() {
        let split = Split {
            key: "service.version".to_owned(),
            baseline: "1.4".to_owned(),
            candidate: "1.5".to_owned(),
        };
        let [baseline, candidate] = split.queries("a = b OR c = d");
        assert_eq!(
            baseline,
            "(a = b OR c = d) AND service.version IN (\"1.4\")"
        );
        assert!(Query::parse(&candidate).is_ok());
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
