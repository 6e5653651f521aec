//! The policy: how big and how sure a change must be to count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

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
}

/// Both must be passed for the error ratio to count as changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorPolicy {
    /// Smallest difference of the ratio, e.g. 0.001 for 0.1 percentage points.
    pub min_difference: f64,
    /// Smallest factor between the sides, e.g. 1.2.
    pub min_factor: f64,
}

/// When the number of calls per trace counts as changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallPolicy {
    /// Smallest relative change, e.g. 0.05.
    pub min_ratio: f64,
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
        }
    }
}

impl Default for LatencyPolicy {
    fn default() -> Self {
        Self {
            min_delta: 0.147,
            min_ratio: 0.05,
            min_difference_ms: 1.0,
        }
    }
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self {
            min_difference: 0.001,
            min_factor: 1.2,
        }
    }
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self { min_ratio: 0.05 }
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

/// A threshold that makes no sense.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("`{key}` is {value}, but must be {range}")]
pub struct PolicyError {
    key: &'static str,
    value: f64,
    range: &'static str,
}

impl Policy {
    /// Checks that every threshold is in its range.
    pub fn check(&self) -> Result<(), PolicyError> {
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
            Some((key, value, range, _)) => Err(PolicyError { key, value, range }),
            None => Ok(()),
        }
    }
}
