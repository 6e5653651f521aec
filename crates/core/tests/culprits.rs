//! Incidents in the simulated shop: who is named, who is not, and whether the ledger adds up.

#![expect(
    clippy::unwrap_used,
    reason = "an incident that cannot be simulated has nothing to say"
)]

use std::time::Duration;

use tracediff_core::diff::{Confidence, Diff, Outcome, Policy, Verdict, compare};
use tracediff_core::facts::{Facts, KeyRole, Plan};
use tracediff_core::model::SpanBatch;
use tracediff_core::paths::NodeKind;
use tracediff_core::snapshot::{Selection, take};
use tracediff_simulate::{Answer, Incident, IncidentKind, Settings, Topology};
use tracediff_testkit::{Traces, plan_of};

const MINUTES: f64 = 6.0;

fn facts(batches: &[SpanBatch]) -> Facts {
    take(batches, &plan_of(batches), &Selection::default()).facts
}

/// The shop before and after an incident.
fn sides(kind: IncidentKind) -> [Facts; 2] {
    let incident = Incident::in_shop(kind);
    let shop = Topology::shop();
    let settings = |side: u64| Settings {
        seed: 40 + side,
        minutes: MINUTES,
        rate_per_second: 12.0,
        start_ns: Settings::default().start_ns + side * (MINUTES * 60e9) as u64,
        ..Settings::default()
    };
    let before = incident.baseline(&shop, &settings(0)).unwrap();
    let after = incident.candidate(&shop, &settings(1)).unwrap();
    [before, after].map(|side| facts(&side.into_batches().unwrap()))
}

fn diff(sides: &[Facts; 2]) -> Diff {
    compare(&sides[0], &sides[1], &Policy::default())
}

/// Every nanosecond of every request is in the tree, and the ledger is the whole change of the mean.
fn check_sums(sides: &[Facts; 2], diff: &Diff) {
    for facts in sides {
        let nodes = facts.paths().nodes();
        for (id, request) in facts.paths().requests() {
            let parts = nodes
                .values()
                .filter(|n| n.top == *id && n.is_awaited && n.label.kind != NodeKind::Request);
            let critical: f64 = parts.map(|n| n.total.critical_ns).sum();
            let whole = request.total.duration_ns;
            assert!(
                (critical - whole).abs() <= 1e-9 * whole,
                "{:?}",
                request.label
            );
        }
        for (id, request) in facts.paths().requests() {
            let origins = nodes.values().filter(|n| n.top == *id);
            let failed: f64 = origins.map(|n| n.total.origins_reaching).sum();
            assert!((failed - request.total.errors).abs() <= 1e-9 * failed.max(1.0));
        }
    }
    for entry in &diff.attribution.failures {
        assert!(entry.remainder.abs() < 1e-9, "{entry:?}");
        for origin in &entry.origins {
            let both = origin.fires_more + origin.propagates_more;
            assert!((both - origin.difference).abs() < 1e-9, "{origin:?}");
        }
    }
    let a = &diff.attribution;
    assert!(a.remainder_ns.abs() < 1e-6 * a.mean_ns.candidate, "{a:?}");
    assert!(!a.bands.is_empty());
    for band in &a.bands {
        assert!(
            band.remainder_ns.abs() < 1e-6 * band.mean_ns.candidate,
            "{band:?}"
        );
    }
    if a.bands.len() < 5 {
        return;
    }
    // Bands are shares of all requests, so their means add up to the mean of all.
    let whole: f64 = a
        .bands
        .iter()
        .map(|b| (b.to_share - b.from_share) * b.mean_ns.candidate)
        .sum();
    assert!(
        (whole - a.mean_ns.candidate).abs() < 1e-6 * whole,
        "{whole}"
    );
}

fn named(diff: &Diff) -> Vec<(&str, Confidence)> {
    let culprits = diff.culprits.iter();
    culprits
        .map(|c| (c.service.as_str(), c.confidence))
        .collect()
}

fn check_named(kind: IncidentKind) -> Diff {
    let sides = sides(kind);
    let diff = diff(&sides);
    check_sums(&sides, &diff);
    let expected = Incident::in_shop(kind).expected().culprit.unwrap();
    let first = diff.culprits.first().map(|c| c.service.as_str());
    assert_eq!(
        first,
        Some(expected.service.as_str()),
        "{kind}: {:?}",
        named(&diff)
    );
    assert!(
        diff.sentence.contains(&expected.service),
        "{}",
        diff.sentence
    );
    let is_worse = Incident::in_shop(kind).expected().answer == Answer::Regressed;
    assert_eq!(
        diff.outcome == Outcome::Regressed,
        is_worse,
        "{kind}: {}",
        diff.sentence
    );
    diff
}

fn check_nobody(kind: IncidentKind) {
    let sides = sides(kind);
    let diff = diff(&sides);
    check_sums(&sides, &diff);
    assert_eq!(named(&diff), [], "{kind}: {}", diff.sentence);
    let worse = |role| {
        let findings = diff.findings.iter();
        let mut worse = findings.filter(|f| f.role == role && f.verdict == Verdict::Regressed);
        worse.next().map(|f| f.id.clone())
    };
    assert_eq!(worse(KeyRole::EntryPoint), None, "{kind}");
    assert_eq!(worse(KeyRole::GroupBy), None, "{kind}");
    assert!(
        matches!(diff.outcome, Outcome::Changed | Outcome::NoChangeFound),
        "{kind}: {:?}",
        diff.outcome
    );
}

#[test]
fn slow_services_links_and_dependencies_are_named() {
    for kind in [
        IncidentKind::SlowService,
        IncidentKind::SlowDependency,
        IncidentKind::SlowLink,
        IncidentKind::CpuStarvation,
    ] {
        check_named(kind);
    }
}

#[test]
fn who_calls_differently_is_named() {
    for kind in [
        IncidentKind::AddedCall,
        IncidentKind::NPlusOne,
        IncidentKind::RemovedCache,
        IncidentKind::EarlyReturn,
    ] {
        check_named(kind);
    }
}

#[test]
fn failures_are_named_where_they_begin() {
    for kind in [
        IncidentKind::ErrorAtOrigin,
        IncidentKind::AbsorbedError,
        IncidentKind::RetryStorm,
    ] {
        let diff = check_named(kind);
        let failures = &diff.culprits[0].failures;
        assert!(!failures.is_empty(), "{kind}: {:?}", diff.culprits[0]);
        let rise = &failures[0];
        assert!(rise.ratio.candidate > rise.ratio.baseline && rise.q <= 0.05);
        if kind == IncidentKind::ErrorAtOrigin {
            let entry = &diff.attribution.failures[0];
            let origin = &entry.origins[0];
            assert_eq!(origin.node.service, diff.culprits[0].service, "{entry:?}");
            assert!(origin.difference >= 0.9 * entry.difference, "{entry:?}");
        }
    }
}

#[test]
fn what_harms_nobody_names_nobody() {
    for kind in [
        IncidentKind::Healthy,
        IncidentKind::MixShift,
        IncidentKind::Rename,
        IncidentKind::Wrap,
        IncidentKind::LostInstrumentation,
        IncidentKind::SamplingRate,
    ] {
        check_nobody(kind);
    }
}

#[test]
fn facts_without_paths_name_nobody_and_say_nothing_of_the_mean() {
    let settings = Settings {
        minutes: 1.0,
        rate_per_second: 2.0,
        ..Settings::default()
    };
    let batches = tracediff_simulate::simulate(&settings).unwrap();
    let plan = Plan {
        paths: false,
        ..plan_of(&batches)
    };
    let facts = take(&batches, &plan, &Selection::default()).facts;
    let diff = compare(&facts, &facts, &Policy::default());
    assert_eq!(named(&diff), []);
    assert_eq!(diff.attribution.mean_ns.baseline, 0.0);
}

/// Requests that fail because of both of two calls, and one that does in spite of a call that failed and was not
/// waited for.
const TWO_ORIGINS: &str = "
    web: buy 100ms server error
      web: pay 20ms @10ms client error
        bank: charge 10ms @12ms server error
      web: ship 30ms @10ms client error
        depot: send 20ms @12ms server error
      web: note 10ms @50ms producer
        mail: deliver 80ms @55ms consumer error
    ";

const SOUND: &str = "
    web: buy 100ms server
      web: pay 20ms @10ms client
        bank: charge 10ms @12ms server
      web: ship 30ms @10ms client
        depot: send 20ms @12ms server
      web: note 10ms @50ms producer
        mail: deliver 80ms @55ms consumer error
    ";

#[test]
fn failures_of_an_entry_point_are_told_to_where_they_begin() {
    let sides = [SOUND, TWO_ORIGINS].map(|text| {
        let traces = Traces::parse(text).repeat(120, Duration::from_secs(1));
        facts(&[traces.batch()])
    });
    let diff = diff(&sides);
    let [entry] = &diff.attribution.failures[..] else {
        panic!("{:#?}", diff.attribution.failures);
    };
    assert_eq!(entry.entry_point, "web: buy");
    assert_eq!((entry.ratio.baseline, entry.ratio.candidate), (0.0, 1.0));
    let mut origins: Vec<(&str, &str, f64)> = entry
        .origins
        .iter()
        .map(|o| {
            (
                o.node.service.as_str(),
                o.node.operation.as_str(),
                o.difference,
            )
        })
        .collect();
    origins.sort_by_key(|origin| origin.0);
    assert_eq!(origins, [("bank", "charge", 0.5), ("depot", "send", 0.5)]);
    assert_eq!((entry.other_nodes, entry.remainder), (0.0, 0.0));
}

/// A failure that the caller makes up for, and one that it passes on.
const ABSORBED: &str = "
    web: buy 100ms server
      web: pay 20ms @10ms client error
        bank: charge 10ms @12ms server error
    ";

const PASSED_ON: &str = "
    web: buy 100ms server error
      web: pay 20ms @10ms client error
        bank: charge 10ms @12ms server error
    ";

#[test]
fn what_fires_more_and_what_is_absorbed_less_are_told_apart() {
    let sides = [SOUND, ABSORBED, PASSED_ON].map(|text| {
        let traces = Traces::parse(text).repeat(120, Duration::from_secs(1));
        facts(&[traces.batch()])
    });
    let [sound, absorbed, passed_on] = sides;
    let halves = |diff: &Diff| {
        let [entry] = &diff.attribution.failures[..] else {
            panic!("{:#?}", diff.attribution.failures);
        };
        let [origin] = &entry.origins[..] else {
            panic!("{entry:#?}");
        };
        assert_eq!(origin.node.service, "bank");
        (origin.fires_more, origin.propagates_more)
    };
    assert_eq!(
        halves(&diff(&[absorbed, passed_on.clone()])),
        (0.0, 1.0),
        "fails as often, and nobody absorbs it any more"
    );
    assert_eq!(halves(&diff(&[sound, passed_on])), (1.0, 0.0));
}

#[test]
fn what_got_better_and_sides_without_spans_are_no_regressions() {
    let sides = [TWO_ORIGINS, SOUND].map(|text| {
        let traces = Traces::parse(text).repeat(120, Duration::from_secs(1));
        facts(&[traces.batch()])
    });
    assert_eq!(diff(&sides).outcome, Outcome::Improved);
    let [side, _] = sides;
    let same = [side.clone(), side.clone()];
    assert_eq!(diff(&same).outcome, Outcome::NoChangeFound);
    let nothing = [facts(&[]), side];
    assert_eq!(diff(&nothing).outcome, Outcome::NothingToCompare);
}
