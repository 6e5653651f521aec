//! Incidents in random systems: is a regression said where there is one, and is the culprit named?

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracediff_core::diff::Outcome::Regressed;
use tracediff_core::diff::{Aspect, Confidence, Diff, Finding, Policy, Strength, Verdict, compare};
use tracediff_core::facts::{Facts, KeyRole};
use tracediff_simulate::{
    Answer, Incident, IncidentError, IncidentExpected, IncidentKind, Measure, Settings, Topology,
};

use crate::conservation;
use crate::ranking::Ranks;
use crate::sides::{facts_of, on_all_cores};

const MINUTES: f64 = 10.0;
const RATE: f64 = 8.0;

/// What came of the cases of one kind.
#[derive(Debug, Default)]
struct Outcome {
    cases: u64,
    nowhere: u64,
    named_first: u64,
    named_at_all: u64,
    confident: u64,
    regressed: u64,
    worse: u64,
    perhaps_worse: u64,
    entries_worse: u64,
    false_alarms: u64,
    missed: Vec<String>,
}

/// One case.
struct Case {
    expected: IncidentExpected,
    diff: Diff,
    sides: [Facts; 2],
    place: String,
}

fn run(
    kind: IncidentKind,
    case: u64,
    topologies: u64,
    first_seed: u64,
) -> anyhow::Result<Option<Case>> {
    let topology = Topology::random(case % topologies);
    let incident = match Incident::at_random(&topology, kind, case) {
        Ok(incident) => incident,
        Err(IncidentError::Nowhere(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let settings = |side| Settings {
        seed: first_seed + 2 * case + side,
        minutes: MINUTES,
        rate_per_second: RATE,
        start_ns: Settings::default().start_ns + side * (MINUTES * 60e9) as u64,
        ..Settings::default()
    };
    let before = incident.baseline(&topology, &settings(0))?.into_batches()?;
    let after = incident
        .candidate(&topology, &settings(1))?
        .into_batches()?;
    let sides = facts_of(&before, &after);
    Ok(Some(Case {
        expected: incident.expected(),
        diff: compare(&sides[0], &sides[1], &Policy::default()),
        sides,
        place: format!("system {}, {}", case % topologies, incident.place()),
    }))
}

/// Whether a finding says that something got worse, for sure.
fn is_worse(finding: &Finding) -> bool {
    finding.verdict == Verdict::Regressed && finding.strength == Strength::Confirmed
}

/// Whether a finding may be told of this incident.
fn may_be_told(finding: &Finding, expected: &IncidentExpected) -> bool {
    let measure = match finding.aspect {
        Aspect::Latency => Measure::Latency,
        Aspect::Errors => Measure::Errors,
        _ => return true,
    };
    expected.regresses.contains(&measure)
}

/// Runs `cases` of every kind over `topologies` random systems.
pub(crate) fn evaluate(cases: u64, topologies: u64, first_seed: u64) -> anyhow::Result<String> {
    let mut outcomes: BTreeMap<&'static str, (Outcome, String)> = BTreeMap::new();
    let mut ranks = Ranks::default();
    let mut lost: f64 = 0.0;
    for kind in IncidentKind::ALL {
        let (outcome, expectation) = outcomes.entry(kind.name()).or_default();
        on_all_cores(
            cases,
            |case| run(kind, case, topologies, first_seed),
            |_, case: Option<Case>| {
                let Some(case) = case else {
                    outcome.nowhere += 1;
                    return;
                };
                *expectation = format!("{:?}", case.expected.answer).to_lowercase();
                outcome.add(&case);
                lost = lost.max(conservation::error(&case.diff, &case.sides));
                if let Some(culprit) = &case.expected.culprit {
                    ranks.add(kind.name(), &case.diff, &case.sides, &culprit.service);
                    let all = format!("{:?}, all", case.expected.answer).to_lowercase();
                    ranks.add(&all, &case.diff, &case.sides, &culprit.service);
                }
            },
        )?;
    }
    let mut out = format!(
        "### Incidents in random systems (simulator)\n\n{cases} cases of each kind over {topologies} random systems, \
         {MINUTES} minutes at {RATE} requests/s a side.\n\n\
         | kind | right answer | cases | culprit first | among the named | nobody or another, confidently | regressed | something worse | \
         or perhaps worse | entry point worse | false alarms |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for (kind, (o, expectation)) in &outcomes {
        let _ = writeln!(
            out,
            "| {kind} | {expectation} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            o.cases,
            o.named_first,
            o.named_at_all,
            o.confident,
            o.regressed,
            o.worse,
            o.perhaps_worse,
            o.entries_worse,
            o.false_alarms
        );
    }
    let _ = writeln!(
        out,
        "\nConservation error, at most: {lost:.1e}.\n\n{}",
        ranks.report()
    );
    for (kind, (outcome, _)) in &outcomes {
        for missed in outcome.missed.iter().take(4) {
            let _ = writeln!(out, "- {kind}: {missed}");
        }
    }
    Ok(out)
}

impl Outcome {
    fn add(&mut self, case: &Case) {
        let (expected, diff) = (&case.expected, &case.diff);
        self.cases += 1;
        let first = diff.culprits.first();
        let culprit = expected.culprit.as_ref().map(|c| c.service.as_str());
        let is_first = culprit.is_some() && first.map(|c| c.service.as_str()) == culprit;
        self.named_first += u64::from(is_first);
        let is_named = |c: &tracediff_core::diff::Culprit| Some(c.service.as_str()) == culprit;
        self.named_at_all += u64::from(diff.culprits.iter().any(is_named));
        let is_sure = first.is_some_and(|c| c.confidence == Confidence::Confident);
        self.confident += u64::from(is_sure && !is_first);
        let is_perhaps_worse = |f: &Finding| f.verdict == Verdict::Regressed;
        self.regressed += u64::from(diff.outcome == Regressed);
        self.worse += u64::from(diff.findings.iter().any(is_worse));
        self.perhaps_worse += u64::from(diff.findings.iter().any(is_perhaps_worse));
        let entry = |f: &&Finding| f.role == KeyRole::EntryPoint && is_worse(f);
        self.entries_worse += u64::from(diff.findings.iter().any(|f| entry(&f)));
        let alarm = |f: &Finding| is_worse(f) && !may_be_told(f, expected);
        let alarms = diff.findings.iter().any(alarm);
        self.false_alarms += u64::from(alarms);
        let is_missed = if expected.answer == Answer::NotRegressed {
            alarms || first.is_some()
        } else {
            !is_first
        };
        if is_missed {
            let worse = diff.findings.iter().find(|f| alarm(f));
            self.missed.push(format!(
                "{}: expected {}, said: {}{}",
                case.place,
                culprit.unwrap_or("nobody"),
                diff.sentence,
                worse.map_or(String::new(), |f| format!(" [{}: {}]", f.id, f.text))
            ));
        }
    }
}
