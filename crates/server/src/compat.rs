//! The shape of the system that this project replaces; the A and B of its field names live here only.

use serde::Serialize;
use tracediff_core::diff::{Diff, GroupDiff, GroupSummary, KeyDiff};
use tracediff_core::model::semconv;

/// A diff in the compatible shape.
#[derive(Debug, Serialize)]
pub struct CompatDocument {
    /// One for each key that was asked for.
    pub(crate) diffs: Vec<CompatKey>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CompatKey {
    key: String,
    new: Vec<String>,
    missing: Vec<String>,
    diffs: Vec<CompatValue>,
}

#[derive(Debug, Serialize)]
struct CompatValue {
    value: String,
    /// Difference of span counts.
    occurrence: i64,
    /// Difference of the whole microseconds of the means.
    avg_latency: i64,
    /// Difference of the error ratios, rounded to two decimals.
    error_ratio: f64,
}

/// The keys that were asked for, in order: service, operation, then those of `--by`, by the names that were typed.
pub fn document(diff: &Diff, asked: &[String]) -> CompatDocument {
    let mut names = vec!["service", "operation"];
    for name in asked {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let diffs = names
        .into_iter()
        .map(|name| {
            let canonical = if name == "service.name" {
                "service"
            } else {
                semconv::canonical(name)
            };
            let key = diff.keys.iter().find(|k| k.key == canonical);
            compat_key(name, key)
        })
        .collect();
    CompatDocument { diffs }
}

fn compat_key(name: &str, key: Option<&KeyDiff>) -> CompatKey {
    let Some(key) = key else {
        return CompatKey {
            key: name.to_owned(),
            new: Vec::new(),
            missing: Vec::new(),
            diffs: Vec::new(),
        };
    };
    let sorted = |list: &[tracediff_core::diff::ValueEvidence]| {
        let mut values: Vec<String> = list.iter().map(|v| v.value.clone()).collect();
        values.sort();
        values
    };
    CompatKey {
        key: name.to_owned(),
        new: sorted(&key.new),
        missing: sorted(&key.missing),
        diffs: key.groups.iter().map(compat_value).collect(),
    }
}

fn compat_value(group: &GroupDiff) -> CompatValue {
    let (a, b) = (&group.baseline, &group.candidate);
    let mean_us =
        |g: &GroupSummary| (g.duration_sum_ns / u128::from(g.spans.max(1)) / 1_000) as i64;
    let ratio = |g: &GroupSummary| g.errors as f64 / g.spans.max(1) as f64;
    let rounded = ((ratio(b) - ratio(a)) * 100.0).round() / 100.0;
    CompatValue {
        value: group.value.clone(),
        occurrence: b.spans as i64 - a.spans as i64,
        avg_latency: mean_us(b) - mean_us(a),
        // No negative zero in JSON.
        error_ratio: rounded + 0.0,
    }
}
