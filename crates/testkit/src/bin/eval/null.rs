//! Pairs of fault-free windows: how often something is found that is not there, and whether intervals hold what they
//! promise.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracediff_core::diff::{
    Aspect, Diff, Finding, GroupDiff, GroupSummary, Policy, Strength, compare,
};
use tracediff_core::facts::histogram::Histogram;
use tracediff_core::facts::{Facts, KeyRole};
use tracediff_core::stats::Interval;
use tracediff_core::stats::{Clustering, Sample};
use tracediff_simulate::{Load, Settings};

use crate::conservation;
use crate::sides::{on_all_cores, simulated};

/// Tests of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    tests: u64,
    below_5: u64,
    below_01: u64,
    findings: u64,
    covered: u64,
    intervals: u64,
}

impl Tally {
    fn add(&mut self, p: Option<f64>, is_finding: bool, covered: Option<bool>) {
        if let Some(p) = p {
            self.tests += 1;
            self.below_5 += u64::from(p < 0.05);
            self.below_01 += u64::from(p < 0.001);
            self.findings += u64::from(is_finding);
        }
        if let Some(covered) = covered {
            self.intervals += 1;
            self.covered += u64::from(covered);
        }
    }

    fn merge(&mut self, other: Self) {
        self.tests += other.tests;
        self.below_5 += other.below_5;
        self.below_01 += other.below_01;
        self.findings += other.findings;
        self.covered += other.covered;
        self.intervals += other.intervals;
    }
}

type Tallies = BTreeMap<(&'static str, &'static str), Tally>;
/// Intervals of a quantile of a group, and the group's spans of all windows.
type Quantiles = BTreeMap<(String, String), (Histogram, Vec<(&'static str, Interval)>)>;

#[derive(Default)]
pub(crate) struct Outcome {
    tallies: Tallies,
    quantiles: Quantiles,
    pairs_with_findings: u64,
    pairs_with_confirmed: u64,
    conservation_error: f64,
    pairs_regressed: u64,
    pairs_with_culprits: u64,
    value_findings: u64,
    spans: u64,
    persistence: Vec<f64>,
}

/// Runs the pairs and says what came of them.
pub(crate) fn evaluate(pairs: u64, minutes: f64, rate: f64, load: Load) -> anyhow::Result<String> {
    let mut all = Outcome::default();
    on_all_cores(
        pairs,
        |pair| {
            let settings = |side| Settings {
                seed: 1_000_000 + 2 * pair + side,
                minutes,
                rate_per_second: rate,
                load,
                ..Settings::default()
            };
            let sides = simulated(&settings(0), &settings(1))?;
            Ok((compare(&sides[0], &sides[1], &Policy::default()), sides))
        },
        |_, (diff, sides)| all.add(&diff, &sides),
    )?;
    let title = format!(
        "Fault-free pairs (simulator, persistence of load {})",
        load.persistence
    );
    let what = format!("{pairs} pairs of {minutes} minutes at {rate} requests/s");
    Ok(all.report(&title, &what) + &all.quantile_report())
}

fn role_name(role: KeyRole) -> &'static str {
    match role {
        KeyRole::EntryPoint => "entry points",
        KeyRole::GroupBy => "service, operation",
        KeyRole::Scanned => "attributes",
    }
}

fn covers(interval: Option<Interval>, value: f64) -> Option<bool> {
    interval.map(|i| (i.low..=i.high).contains(&value))
}

impl Outcome {
    pub(crate) fn add(&mut self, diff: &Diff, sides: &[Facts; 2]) {
        self.spans += sides.iter().map(|f| f.quality.spans).sum::<u64>();
        self.persistence.push(diff.quality.persistence);
        self.conservation_error = self
            .conservation_error
            .max(conservation::error(diff, sides));
        self.pairs_with_findings += u64::from(!diff.findings.is_empty());
        self.pairs_regressed += u64::from(diff.outcome == tracediff_core::diff::Outcome::Regressed);
        let is_confirmed = |f: &Finding| f.strength == Strength::Confirmed;
        self.pairs_with_confirmed += u64::from(diff.findings.iter().any(is_confirmed));
        self.pairs_with_culprits += u64::from(!diff.culprits.is_empty());
        let is_value = |a: Aspect| matches!(a, Aspect::NewValue | Aspect::MissingValue);
        self.value_findings += diff.findings.iter().filter(|f| is_value(f.aspect)).count() as u64;
        for key in &diff.keys {
            for group in &key.groups {
                self.add_group(role_name(key.role), group);
                if key.role != KeyRole::Scanned {
                    for (side, facts) in [&group.baseline, &group.candidate].into_iter().zip(sides)
                    {
                        self.add_quantiles(&key.key, &group.value, side, facts);
                    }
                }
            }
        }
    }

    fn add_group(&mut self, role: &'static str, group: &GroupDiff) {
        use tracediff_core::diff::Verdict::{Decreased, Improved, Increased, Regressed};
        let is_finding = |v| matches!(v, Regressed | Improved | Increased | Decreased);
        let latency = &group.latency;
        let mut tally = |aspect, p, finding, covered| {
            self.tallies
                .entry((role, aspect))
                .or_default()
                .add(p, finding, covered);
        };
        let judgement = latency.judgement;
        if judgement.p.is_some() {
            let covered = covers(latency.delta_interval, 0.0);
            tally(
                "latency (δ)",
                judgement.p,
                is_finding(judgement.verdict),
                covered,
            );
            tally(
                "mean duration",
                None,
                false,
                covers(latency.mean_interval_ns, 0.0),
            );
            for (name, quantile) in &latency.quantiles {
                tally(name, None, false, covers(quantile.factor_interval, 1.0));
            }
        }
        let judgement = group.errors.judgement;
        if judgement.p.is_some() && group.baseline.errors + group.candidate.errors > 0 {
            let covered = covers(group.errors.interval, 0.0);
            tally(
                match (
                    group.errors.test,
                    group.baseline.errors + group.candidate.errors,
                ) {
                    ("exact", 0..=4) => "errors (exact, 1–4 in all)",
                    ("exact", 5..=9) => "errors (exact, 5–9)",
                    ("exact", _) => "errors (exact, 10 and more)",
                    _ => "errors (clustered)",
                },
                judgement.p,
                is_finding(judgement.verdict),
                covered,
            );
        }
        if let Some(calls) = group.calls.filter(|c| c.judgement.p.is_some()) {
            let covered = covers(calls.factor_interval, 1.0);
            tally(
                "calls per trace",
                calls.judgement.p,
                is_finding(calls.judgement.verdict),
                covered,
            );
        }
        if group.baseline.traces.min(group.candidate.traces) >= 20 {
            tally(
                "rate",
                group.rate.p,
                false,
                covers(group.rate.factor_interval, 1.0),
            );
        }
    }

    fn add_quantiles(&mut self, key: &str, value: &str, side: &GroupSummary, facts: &Facts) {
        let Some(group) = facts.keys().get(key).and_then(|k| k.groups.get(value)) else {
            return;
        };
        let entry = self
            .quantiles
            .entry((key.to_owned(), value.to_owned()))
            .or_default();
        entry.0.merge(&group.total().histogram);
        entry.1.extend(
            side.quantiles
                .iter()
                .map(|(name, q)| (*name, q.interval_ns)),
        );
    }

    /// Share of a window's quantile intervals that hold the quantile of all windows together.
    fn quantile_coverage(&self) -> BTreeMap<&'static str, (u64, u64)> {
        let mut coverage: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
        for (histogram, intervals) in self.quantiles.values() {
            let Some(all) = Sample::new(std::iter::once(histogram), Clustering::default()) else {
                continue;
            };
            for (name, interval) in intervals {
                let share: f64 = name[1..].parse::<f64>().unwrap_or(50.0) / 100.0;
                let truth = all.value_at(share);
                let entry = coverage.entry(name).or_default();
                entry.0 += 1;
                entry.1 += u64::from((interval.low..=interval.high).contains(&truth));
            }
        }
        coverage
    }

    pub(crate) fn report(&self, title: &str, what: &str) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "### {title}\n\n{what}, {} spans.\n\n\
             | tests | what | number | p < 0.05 | p < 0.001 | findings | 95 % interval holds no change |\n\
             |---|---|---:|---:|---:|---:|---:|",
            self.spans
        );
        let mut total = Tally::default();
        for ((role, aspect), t) in &self.tallies {
            total.merge(*t);
            let _ = writeln!(
                out,
                "| {role} | {aspect} | {} | {} | {} | {} | {} |",
                t.tests.max(t.intervals),
                percent(t.below_5, t.tests),
                percent(t.below_01, t.tests),
                percent(t.findings, t.tests),
                percent(t.covered, t.intervals)
            );
        }
        let _ = writeln!(
            out,
            "| all | | {} | {} | {} | {} | {} |",
            total.tests,
            percent(total.below_5, total.tests),
            percent(total.below_01, total.tests),
            percent(total.findings, total.tests),
            percent(total.covered, total.intervals)
        );
        let _ = writeln!(
            out,
            "\nMean persistence between slices: {:.2}. Pairs with any finding: {} of {}, with a confirmed one: {}, said to have regressed: {}, with a culprit: {}; findings of new or missing values: {}. Conservation error, at most: {:.1e}.",
            self.persistence.iter().sum::<f64>() / self.persistence.len().max(1) as f64,
            self.pairs_with_findings,
            self.persistence.len(),
            self.pairs_with_confirmed,
            self.pairs_regressed,
            self.pairs_with_culprits,
            self.value_findings,
            self.conservation_error
        );
        out
    }

    /// How often one window's quantile intervals hold the quantile of all windows: for windows of one workload.
    fn quantile_report(&self) -> String {
        let mut out = "\n| quantile of one window | intervals | hold the quantile of all windows |\n|---|---:|---:|\n".to_owned();
        for (name, (count, covered)) in self.quantile_coverage() {
            let _ = writeln!(out, "| {name} | {count} | {} |", percent(covered, count));
        }
        out
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        "–".to_owned()
    } else {
        format!("{:.2} %", 100.0 * part as f64 / whole as f64)
    }
}
