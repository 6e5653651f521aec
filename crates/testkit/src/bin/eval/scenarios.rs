//! Simulated incidents: how often the sentence names what happened, and how often it names what did not.

use std::fmt::Write as _;

use tracediff_core::diff::{Diff, Outcome, Policy, compare};
use tracediff_simulate::{Change, Scenario, Settings};

use crate::sides::{on_all_cores, simulated};

/// Windows of this length and rate.
const MINUTES: f64 = 10.0;
const RATE: f64 = 10.0;

/// Compares a healthy window with one of every scenario, for `seeds` seeds.
pub(crate) fn evaluate(seeds: u64) -> anyhow::Result<String> {
    let mut out = format!(
        "### Incidents (simulator)\n\n{seeds} pairs each, {MINUTES} minutes at {RATE} requests/s.\n\n\
         | scenario | expected | regression said | culprit in the sentence | values found |\n|---|---|---:|---:|---:|\n"
    );
    for scenario in Scenario::ALL {
        let expected = scenario.expected();
        let (mut regressed, mut named, mut found) = (0, 0, 0);
        on_all_cores(
            seeds,
            |seed| {
                let settings = |seed, scenario| Settings {
                    seed,
                    scenario,
                    minutes: MINUTES,
                    rate_per_second: RATE,
                    ..Settings::default()
                };
                let healthy = settings(9_000_000 + 2 * seed, Scenario::Healthy);
                let [a, b] = simulated(&healthy, &settings(9_000_001 + 2 * seed, scenario))?;
                Ok(compare(&a, &b, &Policy::default()))
            },
            |_, diff: Diff| {
                regressed += u64::from(diff.outcome == Outcome::Regressed);
                named += u64::from(expected.culprit.is_some_and(|c| diff.sentence.contains(c)));
                found += u64::from(values_found(&diff, scenario));
            },
        )?;
        let share = |count: u64| format!("{count}/{seeds}");
        let values = expected
            .changes
            .iter()
            .any(|c| matches!(c.change, Change::New | Change::Missing));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            scenario.name(),
            if expected.is_regression {
                "a regression"
            } else {
                "none"
            },
            share(regressed),
            expected
                .culprit
                .map_or("–".to_owned(), |c| format!("{c}: {}", share(named))),
            if values {
                share(found)
            } else {
                "–".to_owned()
            },
        );
    }
    Ok(out)
}

/// Whether every new and missing value that the scenario makes was found.
fn values_found(diff: &Diff, scenario: Scenario) -> bool {
    scenario.expected().changes.iter().all(|change| {
        let Some(key) = diff.keys.iter().find(|k| k.key == change.key) else {
            return false;
        };
        let has = |list: &[tracediff_core::diff::ValueEvidence]| {
            list.iter().any(|v| v.value == change.value && v.passes)
        };
        match change.change {
            Change::New => has(&key.new),
            Change::Missing => has(&key.missing),
            Change::Slower | Change::MoreErrors => true,
        }
    })
}
