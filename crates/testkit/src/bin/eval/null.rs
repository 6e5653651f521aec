//! Pairs of fault-free windows: how often something is found that is not there, and whether intervals hold what they
//! promise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tracediff_core::diff::{Aspect, Diff, GroupDiff, GroupSummary, Policy, compare};
use tracediff_core::facts::histogram::Histogram;
use tracediff_core::facts::{Facts, KeyRole, Plan};
use tracediff_core::model::{Slicing, SpanBatch, slice_length_ns};
use tracediff_core::snapshot::{Selection, occupied_time, take};
use tracediff_core::stats::Interval;
use tracediff_core::stats::Sample;
use tracediff_core::stats::quantile::Distribution;
use tracediff_simulate::{Settings, simulate};

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
struct Outcome {
    tallies: Tallies,
    quantiles: Quantiles,
    pairs_with_findings: u64,
    value_findings: u64,
    spans: u64,
    persistence: Vec<f64>,
}

/// Runs the pairs and says what came of them.
pub(crate) fn evaluate(pairs: u64, minutes: f64, rate: f64) -> anyhow::Result<String> {
    let next = AtomicU64::new(0);
    let all = Mutex::new(Outcome::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    loop {
                        let pair = next.fetch_add(1, Ordering::Relaxed);
                        if pair >= pairs {
                            return Ok(());
                        }
                        let sides = pair_of_windows(pair, minutes, rate)?;
                        let diff = compare(&sides[0], &sides[1], &Policy::default());
                        let mut all = all
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                        all.add(&diff, &sides);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker failed"))??;
        }
        Ok(())
    })?;
    let all = all
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(all.report(pairs, minutes, rate))
}

fn pair_of_windows(pair: u64, minutes: f64, rate: f64) -> anyhow::Result<[Facts; 2]> {
    let start = Settings::default().start_ns;
    let window_ns = (minutes * 60e9) as u64;
    let mut batches = Vec::new();
    for side in 0..2 {
        let settings = Settings {
            seed: 1_000_000 + 2 * pair + side,
            start_ns: start + side * window_ns,
            minutes,
            rate_per_second: rate,
            ..Settings::default()
        };
        batches.push(simulate(&settings)?);
    }
    let ranges: Vec<_> = batches.iter().map(|b| occupied_time(b).ranges()).collect();
    let slice_ns = slice_length_ns(&ranges[0], &ranges[1]);
    let facts = |batches: &[SpanBatch], ranges| {
        let plan = Plan {
            slicing: Slicing::cut(ranges, slice_ns),
            group_by: Vec::new(),
        };
        take(batches, &plan, &Selection::default(), 0, 1).facts
    };
    Ok([
        facts(&batches[0], &ranges[0]),
        facts(&batches[1], &ranges[1]),
    ])
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
    fn add(&mut self, diff: &Diff, sides: &[Facts; 2]) {
        self.spans += sides.iter().map(|f| f.quality.spans).sum::<u64>();
        self.persistence.push(diff.quality.persistence);
        self.pairs_with_findings += u64::from(!diff.findings.is_empty());
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
                if group.errors.test == "exact" {
                    "errors (exact)"
                } else {
                    "errors (clustered)"
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
            let counts: Vec<_> = histogram
                .buckets()
                .map(|(bucket, w)| (0, bucket, w))
                .collect();
            let sample = Sample {
                counts: counts.into(),
                slices: 1,
                ..Sample::default()
            };
            let Some(all) = Distribution::new(&sample) else {
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

    fn report(&self, pairs: u64, minutes: f64, rate: f64) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "### Fault-free pairs (simulator)\n\n{pairs} pairs of {minutes} minutes at {rate} requests/s, {} spans.\n\n\
             | tests | what | number | p < 0.05 | p < 0.001 | findings | 95 % interval holds no change |\n\
             |---|---|---:|---:|---:|---:|---:|",
            self.spans
        );
        let percent = |part: u64, whole: u64| {
            if whole == 0 {
                "–".to_owned()
            } else {
                format!("{:.2} %", 100.0 * part as f64 / whole as f64)
            }
        };
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
            "\nMean persistence between slices: {:.2}. Pairs with any finding: {} of {pairs}; findings of new or missing values: {}.\n\n\
             | quantile of one window | intervals | hold the quantile of all windows |\n|---|---:|---:|",
            self.persistence.iter().sum::<f64>() / pairs as f64,
            self.pairs_with_findings,
            self.value_findings
        );
        for (name, (count, covered)) in self.quantile_coverage() {
            let _ = writeln!(out, "| {name} | {count} | {} |", percent(covered, count));
        }
        out
    }
}
