//! Latency changes are looked at again at equal load.

#![expect(
    clippy::unwrap_used,
    reason = "traffic that cannot be made has nothing to say"
)]

use tracediff_core::diff::{Diff, Policy, compare};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::Slicing;
use tracediff_core::snapshot::{Selection, occupied_time, take};
use tracediff_simulate::{Scenario, Settings, simulate};

const MINUTE_NS: u64 = 60_000_000_000;

/// Minutes at one rate after the other.
fn facts(seed: u64, scenario: Scenario, rates: &[f64]) -> Facts {
    let mut batches = Vec::new();
    for (part, rate) in (0..).zip(rates) {
        let settings = Settings {
            seed: seed + part,
            start_ns: Settings::default().start_ns + (10 * seed + 8 * part) * MINUTE_NS,
            minutes: 8.0,
            rate_per_second: *rate,
            scenario,
            ..Settings::default()
        };
        batches.extend(simulate(&settings).unwrap());
    }
    let plan = Plan {
        slicing: Slicing::cut(&occupied_time(&batches).ranges(), MINUTE_NS as i64),
        group_by: Vec::new(),
        paths: false,
        clocks: None,
    };
    take(&batches, &plan, &Selection::default()).facts
}

fn load_warning(diff: &Diff) -> Option<&str> {
    let mut warnings = diff.quality.warnings.iter();
    let warning = warnings.find(|w| w.code == "load_differs")?;
    Some(&warning.message)
}

#[test]
fn what_is_slow_at_equal_load_too_is_told() {
    let before = facts(10, Scenario::Healthy, &[4.0, 8.0]);
    let after = facts(20, Scenario::SlowService, &[8.0]);
    let diff = compare(&before, &after, &Policy::default());
    let matched = diff.quality.load_matched.unwrap();
    assert!(matched.slices >= 6, "{matched:?}");
    assert!(matched.changes > 0, "{matched:?}");
    assert_eq!(matched.remaining, Some(matched.changes), "{matched:?}");
    let message = load_warning(&diff).unwrap();
    assert!(message.contains("with equal load"), "{message}");
}

#[test]
fn loads_that_never_meet_are_told() {
    let before = facts(30, Scenario::Healthy, &[2.0]);
    let after = facts(40, Scenario::SlowService, &[8.0]);
    let diff = compare(&before, &after, &Policy::default());
    assert_eq!(diff.quality.load_matched.unwrap().remaining, None);
    let message = load_warning(&diff).unwrap();
    assert!(message.contains("too few slices"), "{message}");
}

#[test]
fn equal_loads_need_no_second_look() {
    let before = facts(50, Scenario::Healthy, &[6.0]);
    let after = facts(60, Scenario::SlowService, &[6.0]);
    let diff = compare(&before, &after, &Policy::default());
    assert_eq!(diff.quality.load_matched, None);
    assert_eq!(load_warning(&diff), None);
}
