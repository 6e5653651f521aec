//! Each incident does in random systems what it says, where it says, and nothing else.
//!
//! Baseline and candidate have one seed and no load: an incident that only makes something slower leaves every draw as
//! it was, so that all else is equal to the nanosecond. Those that add or leave out steps move later draws, and their
//! bounds are wider.

use std::collections::BTreeSet;

use tracediff_core::model::{SpanId, TraceId};
use tracediff_simulate::{
    Answer, Incident, IncidentKind, Load, Measure, Place, Settings, Target, Topology,
};

use crate::measures::{Means, Window, error_ratio, ratios};
use crate::soundness::{check_outcomes, check_times};
use crate::spans::{Span, read};

fn settings() -> Settings {
    Settings {
        minutes: 0.6,
        load: Load::none(),
        clock_skew_us: 0.0,
        ..Settings::default()
    }
}

/// Puts an incident of this kind into some random systems and looks at both windows.
fn check(kind: IncidentKind, look: impl Fn(&Incident, &Window<'_>, &Window<'_>)) {
    for seed in 0..3 {
        let topology = Topology::random(100 + seed);
        let incident = Incident::at_random(&topology, kind, seed).unwrap();
        assert_eq!(incident.kind(), kind);
        let before = incident.baseline(&topology, &settings()).unwrap();
        let after = incident.candidate(&topology, &settings()).unwrap();
        let before = read(&before.into_batches().unwrap());
        let after = read(&after.into_batches().unwrap());
        check_times(&after);
        check_outcomes(&after);
        look(&incident, &Window::new(&before), &Window::new(&after));
        let nothing = Incident::at(kind, incident.place().clone(), 0.0).unwrap();
        assert_eq!(nothing.apply(&topology), Ok(topology));
    }
}

fn culprit(incident: &Incident) -> String {
    incident.expected().culprit.unwrap().service
}

/// Times are cut to whole nanoseconds at every step.
fn assert_unchanged(ratios: &Means<'_>, but: &dyn Fn(&str, &str) -> bool) {
    for ((a, b), ratio) in ratios {
        assert!(but(a, b) || (ratio - 1.0).abs() < 1e-3, "{a} {b}: {ratio}");
    }
}

fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() < tolerance,
        "{found}, expected {expected} within {tolerance}"
    );
}

/// Some entry takes longer by what an evaluation may count on.
fn assert_slower(before: &Window<'_>, after: &Window<'_>) {
    let ratios = ratios(&before.entries(), &after.entries());
    let most = ratios.values().copied().fold(0.0, f64::max);
    assert!(most > 1.08, "{ratios:?}");
}

fn operation(incident: &Incident) -> (&str, &str) {
    match incident.place() {
        Place::Operation { service, operation } => (service, operation),
        place => panic!("{place}"),
    }
}

/// How often an operation asks what its place says.
fn asks(incident: &Incident, window: &Window<'_>) -> f64 {
    let Place::Step {
        service,
        operation,
        target,
    } = incident.place()
    else {
        panic!("{}", incident.place());
    };
    let (address, name) = match target {
        Target::Call { service, operation } => (service, operation),
        Target::Query {
            dependency,
            operation,
        } => (dependency, operation),
    };
    window.asks(service, operation, address, name)
}

#[test]
fn healthy_is_the_same() {
    check(IncidentKind::Healthy, |_, before, after| {
        assert_eq!(before.spans, after.spans);
    });
}

#[test]
fn slow_service_works_longer() {
    check(IncidentKind::SlowService, |incident, before, after| {
        let culprit = culprit(incident);
        let work = ratios(&before.work(), &after.work());
        assert_near(
            work[&(culprit.as_str(), "")],
            1.0 + incident.strength(),
            1e-3,
        );
        assert_unchanged(&work, &|service, _| service == culprit);
        assert_unchanged(&ratios(&before.gaps(), &after.gaps()), &|_, _| false);
        assert_unchanged(
            &ratios(&before.dependencies(), &after.dependencies()),
            &|_, _| false,
        );
        assert_slower(before, after);
    });
}

#[test]
fn slow_dependency_answers_later() {
    check(IncidentKind::SlowDependency, |incident, before, after| {
        let expected = incident.expected().culprit.unwrap();
        let is_culprit = |service: &str, dependency: &str| {
            service == expected.service && Some(dependency) == expected.dependency.as_deref()
        };
        let dependencies = ratios(&before.dependencies(), &after.dependencies());
        let (_, ratio) = dependencies
            .iter()
            .find(|((s, d), _)| is_culprit(s, d))
            .unwrap();
        assert_near(*ratio, 1.0 + 2.0 * incident.strength(), 1e-3);
        assert_unchanged(&dependencies, &is_culprit);
        assert_unchanged(&ratios(&before.work(), &after.work()), &|_, _| false);
        assert_slower(before, after);
    });
}

#[test]
fn added_call_is_new() {
    check(IncidentKind::AddedCall, |incident, before, after| {
        let (caller, callee) = incident.expected().culprit.unwrap().link.unwrap();
        assert_eq!(asks(incident, before), 0.0);
        // What fails before does not come to it.
        assert!(asks(incident, after) > 0.9 * incident.strength().round());
        let link = (caller.as_str(), callee.as_str());
        assert!(!before.gaps().contains_key(&link) && after.gaps().contains_key(&link));
        assert_slower(before, after);
    });
}

#[test]
fn n_plus_one_asks_many_times() {
    check(IncidentKind::NPlusOne, |incident, before, after| {
        let times = 1.0 + 9.0 * incident.strength();
        let ratio = asks(incident, after) / asks(incident, before);
        assert_near(ratio / times, 1.0, 0.25);
        assert_slower(before, after);
    });
}

#[test]
fn removed_cache_asks_the_store() {
    check(IncidentKind::RemovedCache, |incident, before, after| {
        assert!(asks(incident, before) < 0.4);
        assert_near(asks(incident, after), 0.95, 0.05);
        assert_slower(before, after);
    });
}

#[test]
fn retry_storm_asks_again() {
    check(IncidentKind::RetryStorm, |incident, before, after| {
        let (service, operation) = operation(incident);
        let visits = |w: &Window<'_>| w.visits(service, operation).len() as f64;
        assert!(visits(after) > 1.25 * visits(before));
        let errors = |w: &Window<'_>| error_ratio(&w.visits(service, operation));
        assert_near(errors(after) - errors(before), 0.35, 0.07);
        assert_eq!(culprit(incident), service);
    });
}

#[test]
fn early_return_asks_nobody() {
    check(IncidentKind::EarlyReturn, |incident, before, after| {
        let (service, operation) = operation(incident);
        let children = |w: &Window<'_>| -> usize {
            let visits = w.visits(service, operation);
            visits.iter().map(|v| w.children(v).len()).sum()
        };
        assert!(children(before) > 0);
        assert_eq!(children(after), 0);
        let errors = |w: &Window<'_>| error_ratio(&w.visits(service, operation));
        assert!(errors(after) <= errors(before) + 0.01);
        assert!(after.spans.len() < before.spans.len());
        assert_eq!(incident.expected().answer, Answer::Changed);
    });
}

fn injected<'s>(window: &Window<'s>) -> Vec<&'s Span> {
    let spans = window.spans.iter();
    spans
        .filter(|s| s.attribute("exception.type") == "UnexpectedState")
        .chain(
            window
                .spans
                .iter()
                .filter(|s| s.attribute("error.type") == "UnexpectedState"),
        )
        .collect()
}

#[test]
fn error_at_origin_fails_the_request() {
    check(IncidentKind::ErrorAtOrigin, |incident, before, after| {
        assert_eq!(injected(before), Vec::<&Span>::new());
        let origins = injected(after);
        assert!(!origins.is_empty());
        for origin in origins {
            assert_eq!(
                (origin.service.as_str(), origin.operation.as_str()),
                operation(incident)
            );
            assert!(origin.is_error && origin.exceptions == 1);
            let mut above = origin;
            while let Some(parent) = after.parent(above) {
                assert!(parent.is_error, "{parent:?}");
                above = parent;
            }
        }
        let (service, operation) = operation(incident);
        let errors = |w: &Window<'_>| error_ratio(&w.visits(service, operation));
        let more = 0.08 * incident.strength();
        assert_near(errors(after) - errors(before), more, 0.7 * more);
        assert!(after.root_error_ratio() > before.root_error_ratio());
    });
}

#[test]
fn absorbed_errors_stop_at_the_caller() {
    check(IncidentKind::AbsorbedError, |incident, before, after| {
        let (service, operation) = operation(incident);
        let errors = |w: &Window<'_>| error_ratio(&w.visits(service, operation));
        assert_near(errors(after) - errors(before), 0.25, 0.07);
        assert_near(after.root_error_ratio(), before.root_error_ratio(), 0.01);
        let expected = incident.expected();
        assert!(expected.is_regression() && !expected.harms_entries);
    });
}

#[test]
fn cpu_starvation_slows_all_that_a_caller_does() {
    check(IncidentKind::CpuStarvation, |incident, before, after| {
        let culprit = culprit(incident);
        let work = ratios(&before.work(), &after.work());
        let expected = 1.0 + 1.5 * incident.strength();
        assert_near(work[&(culprit.as_str(), "")], expected, 1e-3);
        assert_unchanged(&work, &|service, _| service == culprit);
        let gaps = ratios(&before.gaps(), &after.gaps());
        assert_unchanged(&gaps, &|caller, _| caller == culprit);
        let own: Vec<f64> = gaps
            .iter()
            .filter(|((caller, _), _)| *caller == culprit)
            .map(|(_, ratio)| *ratio)
            .collect();
        assert!(own.len() >= 3 && own.iter().all(|r| *r > 1.3), "{own:?}");
        assert_slower(before, after);
    });
}

#[test]
fn slow_link_delays_one_callee_for_one_caller() {
    check(IncidentKind::SlowLink, |incident, before, after| {
        let expected = incident.expected().culprit.unwrap();
        let (caller, callee) = expected.link.unwrap();
        assert_eq!(expected.service, callee);
        let gaps = ratios(&before.gaps(), &after.gaps());
        let link = (caller.as_str(), callee.as_str());
        assert!(gaps[&link] > 5.0, "{gaps:?}");
        assert_unchanged(&gaps, &|a, b| (a, b) == link);
        assert_unchanged(&ratios(&before.work(), &after.work()), &|_, _| false);
        assert_slower(before, after);
    });
}

#[test]
fn mix_shift_changes_no_entry() {
    check(IncidentKind::MixShift, |_, before, after| {
        let entries = ratios(&before.entries(), &after.entries());
        assert!(
            entries.values().all(|r| (r - 1.0).abs() < 0.2),
            "{entries:?}"
        );
        let spans = |w: &Window<'_>| w.spans.len() as f64;
        let moves = |ratio: f64| ratio.max(1.0 / ratio) > 1.05;
        assert!(moves(after.mean_ns() / before.mean_ns()) || moves(spans(after) / spans(before)));
    });
}

/// All that a span tells but names.
fn bare(span: &Span) -> (TraceId, SpanId, Option<SpanId>, &str, bool, i64, u64) {
    (
        span.trace_id,
        span.span_id,
        span.parent,
        &span.service,
        span.is_error,
        span.start_ns,
        span.duration_ns,
    )
}

#[test]
fn rename_changes_a_name() {
    check(IncidentKind::Rename, |incident, before, after| {
        assert_eq!(before.spans.len(), after.spans.len());
        let mut changed = BTreeSet::new();
        for (b, a) in before.spans.iter().zip(after.spans) {
            assert_eq!(bare(b), bare(a));
            if b.operation != a.operation {
                changed.insert((b.operation.as_str(), a.operation.as_str()));
            }
        }
        let changed: Vec<_> = changed.into_iter().collect();
        let [(old, new)] = changed[..] else {
            panic!("{changed:?}");
        };
        assert_eq!(old, operation(incident).1);
        assert!(after.spans.iter().all(|s| s.operation != old));
        assert!(before.spans.iter().all(|s| s.operation != new));
    });
}

#[test]
fn wrap_takes_no_time() {
    check(IncidentKind::Wrap, |incident, before, after| {
        let (service, operation) = operation(incident);
        let wrapped: Vec<&Span> = after
            .spans
            .iter()
            .filter(|s| s.operation == "middleware")
            .collect();
        assert!(!wrapped.is_empty());
        for span in &wrapped {
            let around = after.parent(span).unwrap();
            assert_eq!(
                (around.service.as_str(), around.operation.as_str()),
                (service, operation)
            );
            assert_eq!(around.duration_ns, span.duration_ns);
        }
        let entries = ratios(&before.entries(), &after.entries());
        assert!(
            entries.values().all(|r| (r - 1.0).abs() < 0.2),
            "{entries:?}"
        );
    });
}

#[test]
fn lost_instrumentation_leaves_the_rest() {
    check(
        IncidentKind::LostInstrumentation,
        |incident, before, after| {
            let Place::Service(service) = incident.place() else {
                panic!("{}", incident.place());
            };
            let left: Vec<&Span> = before
                .spans
                .iter()
                .filter(|s| s.service != *service)
                .collect();
            assert!(left.len() < before.spans.len());
            assert_eq!(left, after.spans.iter().collect::<Vec<_>>());
        },
    );
}

#[test]
fn sampling_rate_keeps_a_quarter() {
    check(IncidentKind::SamplingRate, |_, before, after| {
        let weight = |w: &Window<'_>| -> f64 { w.spans.iter().map(|s| s.weight.unwrap()).sum() };
        assert!(before.spans.iter().all(|s| s.weight == Some(1.0)));
        assert!(after.spans.iter().all(|s| s.weight == Some(4.0)));
        assert_near(weight(after) / weight(before), 1.0, 0.2);
    });
}

#[test]
fn what_is_expected_makes_sense() {
    let topology = Topology::random(3);
    for kind in IncidentKind::ALL {
        let incident = Incident::at_random(&topology, kind, 1).unwrap();
        let expected = incident.expected();
        let is_blamed = expected.answer != Answer::NotRegressed;
        assert_eq!(expected.culprit.is_some(), is_blamed, "{kind}");
        assert_eq!(expected.is_regression(), kind.is_regression());
        assert_eq!(
            !expected.regresses.is_empty(),
            kind.is_regression(),
            "{kind}"
        );
        assert!(!expected.harms_entries || expected.is_regression());
        if let Some(culprit) = expected.culprit {
            let service = topology.service(&culprit.service).unwrap();
            if let Some(operation) = culprit.operation {
                assert!(service.operations.iter().any(|o| o.name == operation));
            }
        }
    }
    let retries = Incident::at_random(&topology, IncidentKind::RetryStorm, 1).unwrap();
    assert!(retries.expected().regresses.contains(&Measure::Errors));
}

#[test]
fn places_that_do_not_fit_are_errors() {
    let place = Place::Service("pricing".to_owned());
    assert_eq!(
        Incident::at(IncidentKind::SlowLink, place, 1.0)
            .unwrap_err()
            .to_string(),
        "`slow-link` cannot happen at service pricing, expected a link"
    );
    let mut alone = Topology::random(1);
    alone.entries.truncate(1);
    assert_eq!(
        Incident::at_random(&alone, IncidentKind::MixShift, 1)
            .unwrap_err()
            .to_string(),
        "the system has no place where `mix-shift` could be seen"
    );
}
