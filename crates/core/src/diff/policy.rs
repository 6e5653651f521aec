//! The policy: how big and how sure a change must be to count.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::document::Verdict;

/// Thresholds of a comparison. Defaults come from `docs/methods/verdicts.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// False discovery rate at which a family of tests is judged, 0–1.
    pub max_q: f64,
    /// The rate up to which a change is confirmed, 0–1; above it is suggestive.
    pub confirmed_q: f64,
    /// Traces that a group needs on either side to be tested.
    pub min_traces: u64,
    /// When latency counts as changed.
    pub latency: LatencyPolicy,
    /// When the error ratio counts as changed.
    pub errors: ErrorPolicy,
    /// When the number of calls per trace counts as changed.
    pub calls: CallPolicy,
    /// When a value counts as new or missing.
    pub values: ValuePolicy,
    /// What single keys are judged by instead.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, KeyPolicy>,
    /// Values of keys that are not compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
}

/// What one key is judged by: what is left out is as for all others, and a table that is given replaces the whole table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyPolicy {
    /// As in [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_q: Option<f64>,
    /// As in [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_q: Option<f64>,
    /// As in [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_traces: Option<u64>,
    /// As in [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyPolicy>,
    /// As in [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorPolicy>,
    /// As in [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallPolicy>,
    /// As in [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<ValuePolicy>,
}

/// Values of a key that are not compared, neither tested nor told as new or missing: one, those with a beginning, or those
/// that a regular expression finds something in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ignored {
    /// The key, e.g. `http.route`.
    pub key: String,
    /// This one …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// … or those that begin like this …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// … or those that this finds something in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// Which changes count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// All.
    #[default]
    Both,
    /// Only more: slower, more failures, more calls.
    Up,
    /// Only less.
    Down,
}

impl Direction {
    /// Whether a change with this verdict counts.
    pub(super) fn includes(self, verdict: Verdict) -> bool {
        match self {
            Self::Both => true,
            Self::Up => matches!(verdict, Verdict::Regressed | Verdict::Increased),
            Self::Down => matches!(verdict, Verdict::Improved | Verdict::Decreased),
        }
    }

    fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// All of these must be passed for latency to count as changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyPolicy {
    /// Smallest |Cliff's δ|, 0–1.
    pub min_delta: f64,
    /// Smallest relative change of the median or the 95th percentile, e.g. 0.05.
    pub min_ratio: f64,
    /// Smallest change of the same quantile, in milliseconds.
    pub min_difference_ms: f64,
    /// Which changes count: both, up (slower) or down.
    #[serde(skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// Both must be passed for the error ratio to count as changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorPolicy {
    /// Smallest difference of the ratio, e.g. 0.001 for 0.1 percentage points.
    pub min_difference: f64,
    /// Smallest factor between the sides, e.g. 1.2.
    pub min_factor: f64,
    /// Which changes count: both, up (more failures) or down.
    #[serde(skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// When the number of calls per trace counts as changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallPolicy {
    /// Smallest relative change, e.g. 0.05.
    pub min_ratio: f64,
    /// Which changes count: both, up (more calls) or down.
    #[serde(skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// All of these must be passed for a value to count as new or missing; others are listed without weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValuePolicy {
    /// Traces that have it on the side where it occurs.
    pub min_traces: u64,
    /// Slices in which it occurs (fewer count where the side has fewer).
    pub min_slices: usize,
    /// Largest probability of all of them falling on one side by chance.
    pub max_p: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_q: 0.05,
            confirmed_q: 0.01,
            min_traces: 20,
            latency: LatencyPolicy::default(),
            errors: ErrorPolicy::default(),
            calls: CallPolicy::default(),
            values: ValuePolicy::default(),
            keys: BTreeMap::new(),
            ignored: Vec::new(),
        }
    }
}

impl Default for LatencyPolicy {
    fn default() -> Self {
        Self {
            min_delta: 0.147,
            min_ratio: 0.05,
            min_difference_ms: 1.0,
            direction: Direction::Both,
        }
    }
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self {
            min_difference: 0.001,
            min_factor: 1.2,
            direction: Direction::Both,
        }
    }
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self {
            min_ratio: 0.05,
            direction: Direction::Both,
        }
    }
}

impl Default for ValuePolicy {
    fn default() -> Self {
        Self {
            min_traces: 5,
            min_slices: 3,
            max_p: 1e-3,
        }
    }
}

/// A policy that makes no sense.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PolicyError {
    /// A threshold out of its range.
    #[error("`{key}` is {value}, but must be {range}")]
    Range {
        /// The threshold.
        key: String,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// Values that are left out have no key, or not one pattern.
    #[error(
        "`ignored` needs a `key` and one of `value`, `prefix` and `regex`, but has the key `{key}` and {patterns} of them"
    )]
    Pattern {
        /// The key, as far as there is one.
        key: String,
        /// How many patterns there are.
        patterns: usize,
    },
    /// A regular expression that cannot be read.
    #[error("`ignored` has the regular expression `{text}`, which cannot be read: {problem}")]
    Regex {
        /// The expression.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Policy {
    /// Checks that every threshold is in its range, and that every regular expression can be read.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.check_thresholds("")?;
        for key in self.keys.keys() {
            self.of_key(key).check_thresholds(&format!("keys.{key}."))?;
        }
        for ignored in &self.ignored {
            ignored.pattern()?;
        }
        Ok(())
    }

    /// What a key is judged by.
    pub fn of_key(&self, key: &str) -> Self {
        let mut policy = self.clone();
        if let Some(own) = self.keys.get(key) {
            policy.max_q = own.max_q.unwrap_or(policy.max_q);
            policy.confirmed_q = own.confirmed_q.unwrap_or(policy.confirmed_q);
            policy.min_traces = own.min_traces.unwrap_or(policy.min_traces);
            policy.latency = own.latency.clone().unwrap_or(policy.latency);
            policy.errors = own.errors.clone().unwrap_or(policy.errors);
            policy.calls = own.calls.clone().unwrap_or(policy.calls);
            policy.values = own.values.clone().unwrap_or(policy.values);
        }
        policy
    }

    fn check_thresholds(&self, within: &str) -> Result<(), PolicyError> {
        const SHARE: &str = "above 0 and below 1";
        let is_share = |v: f64| v > 0.0 && v < 1.0;
        let is_size = |v: f64| v >= 0.0 && v.is_finite();
        let checks = [
            ("max_q", self.max_q, SHARE, is_share(self.max_q)),
            (
                "confirmed_q",
                self.confirmed_q,
                SHARE,
                is_share(self.confirmed_q),
            ),
            (
                "latency.min_delta",
                self.latency.min_delta,
                "at least 0 and below 1",
                (0.0..1.0).contains(&self.latency.min_delta),
            ),
            (
                "latency.min_ratio",
                self.latency.min_ratio,
                "at least 0",
                is_size(self.latency.min_ratio),
            ),
            (
                "latency.min_difference_ms",
                self.latency.min_difference_ms,
                "at least 0",
                is_size(self.latency.min_difference_ms),
            ),
            (
                "errors.min_difference",
                self.errors.min_difference,
                "at least 0 and below 1",
                (0.0..1.0).contains(&self.errors.min_difference),
            ),
            (
                "errors.min_factor",
                self.errors.min_factor,
                "at least 1",
                self.errors.min_factor >= 1.0,
            ),
            (
                "calls.min_ratio",
                self.calls.min_ratio,
                "at least 0",
                is_size(self.calls.min_ratio),
            ),
            (
                "values.max_p",
                self.values.max_p,
                SHARE,
                is_share(self.values.max_p),
            ),
        ];
        match checks.into_iter().find(|check| !check.3) {
            Some((key, value, range, _)) => Err(PolicyError::Range {
                key: format!("{within}{key}"),
                value,
                range,
            }),
            None => Ok(()),
        }
    }
}

/// The policy made ready: what each key is judged by, and which values are left out.
#[derive(Debug)]
pub(super) struct Policies<'p> {
    pub(super) all: &'p Policy,
    of_keys: BTreeMap<&'p str, Policy>,
    ignored: BTreeMap<&'p str, Vec<Pattern<'p>>>,
}

#[derive(Debug)]
enum Pattern<'p> {
    Value(&'p str),
    Prefix(&'p str),
    Regex(Box<Regex>),
}

impl<'p> Policies<'p> {
    /// Of a policy that was checked: a pattern that cannot be used finds nothing.
    pub(super) fn of(all: &'p Policy) -> Self {
        let of_keys = all.keys.keys().map(|key| (key.as_str(), all.of_key(key)));
        let mut ignored: BTreeMap<&str, Vec<Pattern<'_>>> = BTreeMap::new();
        for values in &all.ignored {
            ignored
                .entry(&values.key)
                .or_default()
                .extend(values.pattern().ok());
        }
        Self {
            all,
            of_keys: of_keys.collect(),
            ignored,
        }
    }

    pub(super) fn of_key(&self, key: &str) -> &Policy {
        self.of_keys.get(key).unwrap_or(self.all)
    }

    pub(super) fn ignores(&self, key: &str, value: &str) -> bool {
        let fits = |pattern: &Pattern<'_>| match pattern {
            Pattern::Value(text) => value == *text,
            Pattern::Prefix(text) => value.starts_with(text),
            Pattern::Regex(regex) => regex.is_match(value),
        };
        self.ignored
            .get(key)
            .is_some_and(|patterns| patterns.iter().any(fits))
    }
}

impl Ignored {
    fn pattern(&self) -> Result<Pattern<'_>, PolicyError> {
        match (&self.value, &self.prefix, &self.regex) {
            _ if self.key.is_empty() => {}
            (Some(text), None, None) => return Ok(Pattern::Value(text)),
            (None, Some(text), None) => return Ok(Pattern::Prefix(text)),
            (None, None, Some(text)) => {
                let regex = Regex::new(text).map_err(|error| PolicyError::Regex {
                    text: text.clone(),
                    problem: error.to_string(),
                })?;
                return Ok(Pattern::Regex(Box::new(regex)));
            }
            _ => {}
        }
        let patterns = [&self.value, &self.prefix, &self.regex];
        Err(PolicyError::Pattern {
            key: self.key.clone(),
            patterns: patterns.into_iter().flatten().count(),
        })
    }
}
