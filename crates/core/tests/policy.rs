//! What a policy asks for beside thresholds: single keys, directions, values that nobody wants to hear of.

#![expect(
    clippy::unwrap_used,
    reason = "a test of traffic that cannot be made has nothing to say"
)]

use std::sync::OnceLock;

use tracediff_core::diff::{Diff, GroupDiff, Policy, Verdict, compare};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{Slicing, slice_length_ns};
use tracediff_core::snapshot::{Selection, occupied_time, take};
use tracediff_simulate::{Scenario, Settings, simulate};

fn facts(seed: u64, scenario: Scenario) -> Facts {
    let settings = Settings {
        seed,
        scenario,
        ..Settings::default()
    };
    let batches = simulate(&settings).unwrap();
    let ranges = occupied_time(&batches).ranges();
    let plan = Plan {
        slicing: Slicing::cut(&ranges, slice_length_ns(&ranges, &ranges)),
        group_by: Vec::new(),
        paths: true,
        clocks: None,
    };
    take(&batches, &plan, &Selection::default()).facts
}

/// A service that becomes slow, judged by a policy that is written as JSON.
fn diff(policy: &str) -> Diff {
    static SIDES: OnceLock<[Facts; 2]> = OnceLock::new();
    let [healthy, slow] =
        SIDES.get_or_init(|| [facts(1, Scenario::Healthy), facts(2, Scenario::SlowService)]);
    let policy: Policy = serde_json::from_str(policy).unwrap();
    policy.check().unwrap();
    compare(healthy, slow, &policy)
}

fn slow<'d>(diff: &'d Diff, key: &str) -> Vec<&'d GroupDiff> {
    let key = diff.keys.iter().find(|k| k.key == key).unwrap();
    let groups = key.groups.iter();
    let is_slow = |group: &&GroupDiff| group.latency.judgement.verdict == Verdict::Regressed;
    groups.filter(is_slow).collect()
}

#[test]
fn a_key_has_thresholds_of_its_own() {
    let plain = diff("{}");
    assert!(!slow(&plain, "service").is_empty() && !slow(&plain, "operation").is_empty());
    let other = diff(r#"{"keys": {"operation": {"latency": {"min_difference_ms": 1e6}}}}"#);
    assert_eq!(slow(&other, "operation").len(), 0);
    assert_eq!(slow(&other, "service").len(), slow(&plain, "service").len());
    let few = diff(r#"{"keys": {"operation": {"min_traces": 1000000}}}"#);
    assert_eq!(slow(&few, "operation").len(), 0);
}

#[test]
fn changes_that_nobody_asks_for_are_no_material_ones() {
    let down = diff(r#"{"latency": {"direction": "down"}}"#);
    assert_eq!(slow(&down, "service").len(), 0);
    let of_before = diff("{}");
    let was_slow = &slow(&of_before, "service")[0].value;
    let service = down.keys.iter().find(|k| k.key == "service").unwrap();
    let group = service
        .groups
        .iter()
        .find(|g| g.value == *was_slow)
        .unwrap();
    assert_eq!(group.latency.judgement.verdict, Verdict::NoMaterialChange);
    let up = diff(r#"{"latency": {"direction": "up"}}"#);
    assert_eq!(up.outcome, of_before.outcome);
}

#[test]
fn values_that_are_ignored_are_not_compared() {
    let plain = diff("{}");
    let all = &plain
        .keys
        .iter()
        .find(|k| k.key == "service")
        .unwrap()
        .groups;
    let left = |ignored: &str| {
        let diff = diff(&format!(
            r#"{{"ignored": [{{"key": "service", {ignored}}}]}}"#
        ));
        let key = diff.keys.iter().find(|k| k.key == "service").unwrap();
        key.groups
            .iter()
            .map(|g| g.value.clone())
            .collect::<Vec<_>>()
    };
    let without = |is_out: fn(&str) -> bool| {
        let values = all.iter().map(|g| g.value.clone());
        values.filter(|value| !is_out(value)).collect::<Vec<_>>()
    };
    assert!(without(|v| v == "pricing").len() < all.len());
    assert_eq!(left(r#""value": "pricing""#), without(|v| v == "pricing"));
    assert_eq!(
        left(r#""prefix": "pri""#),
        without(|v| v.starts_with("pri"))
    );
    assert_eq!(
        left(r#""regex": "^.a""#),
        without(|v| v.get(1..2) == Some("a"))
    );
}

#[test]
fn what_makes_no_sense_is_named() {
    let said = |policy: &str| {
        let policy: Policy = serde_json::from_str(policy).unwrap();
        policy.check().unwrap_err().to_string()
    };
    assert_eq!(
        said(r#"{"keys": {"http.route": {"errors": {"min_factor": 0.5}}}}"#),
        "`keys.http.route.errors.min_factor` is 0.5, but must be at least 1"
    );
    assert_eq!(
        said(r#"{"ignored": [{"key": "a", "value": "b", "prefix": "c"}]}"#),
        "`ignored` needs a `key` and one of `value`, `prefix` and `regex`, but has the key `a` and 2 of them"
    );
    assert!(said(r#"{"ignored": [{"key": "a"}]}"#).ends_with("`a` and 0 of them"));
    let regex = said(r#"{"ignored": [{"key": "a", "regex": "("}]}"#);
    assert!(
        regex.starts_with("`ignored` has the regular expression `(`"),
        "{regex}"
    );
}
