//! Each scenario changes what it says, and only that.
//!
//! Draws do not depend on the numbers they are compared with, so a scenario and the healthy shop of one seed are the
//! same traffic: what a scenario leaves alone is equal span by span, which no statistical test could show as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use tracediff_simulate::{Change, Scenario, Settings};

use crate::spans::{Span, spans};

fn settings(scenario: Scenario) -> Settings {
    Settings {
        minutes: 4.0,
        scenario,
        ..Settings::default()
    }
}

/// What a service's spans tell of its rate, errors and durations, in order.
fn red(spans: &[Span]) -> BTreeMap<&str, Vec<(&str, bool, u64)>> {
    let mut red: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for span in spans {
        let row = (span.operation.as_str(), span.is_error, span.duration_ns);
        red.entry(&span.service).or_default().push(row);
    }
    red
}

/// The values of each key; of identifiers some only.
fn values(spans: &[Span]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in spans.iter().flat_map(|s| &s.attributes) {
        let values = values.entry(key).or_default();
        if values.len() <= MANY {
            values.insert(value);
        }
    }
    values
}

/// Keys of more values are identifiers, of which a diff tells no new or missing value.
const MANY: usize = 200;

/// Checks a scenario's expectation against what truly changes.
fn check(scenario: Scenario) -> (&'static [Span], Vec<Span>) {
    static HEALTHY: LazyLock<Vec<Span>> = LazyLock::new(|| spans(&settings(Scenario::Healthy)));
    let healthy = HEALTHY.as_slice();
    let changed = spans(&settings(scenario));
    let expected = scenario.expected();
    let (before, after) = (red(healthy), red(&changed));
    let affected: BTreeSet<&str> = before
        .keys()
        .filter(|service| before[*service] != after[*service])
        .copied()
        .collect();
    let said: BTreeSet<&str> = expected.affected_services.iter().copied().collect();
    assert_eq!(affected, said, "{scenario}");
    assert_eq!(
        expected.culprit,
        expected.affected_services.first().copied()
    );
    let (before, after) = (values(healthy), values(&changed));
    let none = BTreeSet::new();
    let mut told = BTreeSet::new();
    for key in before.keys().chain(after.keys()).copied() {
        let (old, new) = (
            before.get(key).unwrap_or(&none),
            after.get(key).unwrap_or(&none),
        );
        if old.len().max(new.len()) <= MANY {
            told.extend(new.difference(old).map(|v| (true, key, *v)));
            told.extend(old.difference(new).map(|v| (false, key, *v)));
        }
    }
    let said: BTreeSet<_> = expected
        .changes
        .iter()
        .filter(|c| matches!(c.change, Change::New | Change::Missing))
        .map(|c| (c.change == Change::New, c.key, c.value))
        .collect();
    let pods = |key: &str| {
        scenario == Scenario::NewVersion && ["k8s.pod.name", "service.instance.id"].contains(&key)
    };
    // What failed payments and timeouts say beside the exception's type follows from it.
    let follows = |key: &str| {
        scenario == Scenario::FailingService
            && [
                "error.type",
                "rpc.grpc.status_code",
                "http.response.status_code",
            ]
            .contains(&key)
    };
    let told: BTreeSet<_> = told
        .into_iter()
        .filter(|(_, key, _)| !pods(key) && !follows(key))
        .collect();
    assert_eq!(told, said, "{scenario}");
    (healthy, changed)
}

#[test]
fn healthy_changes_nothing() {
    let (healthy, changed) = check(Scenario::Healthy);
    assert_eq!(healthy, changed);
}

#[test]
fn slow_service_slows_pricing_work() {
    let (healthy, changed) = check(Scenario::SlowService);
    assert_eq!(healthy.len(), changed.len());
    let pairs = healthy.iter().zip(&changed);
    for (before, after) in pairs.filter(|(b, _)| b.operation == "apply discounts") {
        let ratio = after.duration_ns as f64 / before.duration_ns as f64;
        assert!((ratio - 1.6).abs() < 1e-4, "{ratio}");
    }
    let pairs = healthy.iter().zip(&changed);
    for (before, after) in pairs.filter(|(b, _)| b.service == "pricing" && b.kind == 3) {
        assert_eq!(before.duration_ns, after.duration_ns);
    }
}

/// Bounds are four standard deviations of a binomial.
#[test]
fn failing_service_fails_payment() {
    let (healthy, changed) = check(Scenario::FailingService);
    let check = |spans: &[Span], p: f64| {
        let calls = spans
            .iter()
            .filter(|s| s.service == "payment" && s.kind == 2);
        let n = calls.clone().count() as f64;
        let failed = calls.filter(|s| s.is_error).count() as f64;
        let bound = 4.0 * (n * p * (1.0 - p)).sqrt();
        assert!((failed - n * p).abs() < bound, "{failed} of {n}");
        n
    };
    assert_eq!(check(healthy, 0.003), check(&changed, 0.06));
    let timeouts = changed
        .iter()
        .filter(|s| s.attribute("exception.type") == "PaymentTimeout");
    assert!(
        timeouts
            .clone()
            .all(|s| s.service == "payment" && s.is_error && s.kind == 2)
    );
    let failed_checkouts = |spans: &[Span]| {
        let checkouts = spans.iter().filter(|s| s.operation == "POST /checkout");
        checkouts.filter(|s| s.is_error).count()
    };
    assert!(failed_checkouts(&changed) >= failed_checkouts(healthy) + timeouts.count() - 1);
}

#[test]
fn new_value_is_paid_by_wallet() {
    let (healthy, changed) = check(Scenario::NewValue);
    let payments = changed
        .iter()
        .filter(|s| s.attributes.contains_key("app.payment.method"));
    let roots = payments.filter(|s| s.parent.is_none());
    let n = roots.clone().count() as f64;
    let wallets = roots
        .filter(|s| s.attribute("app.payment.method") == "wallet")
        .count() as f64;
    assert!(
        (wallets - 0.08 * n).abs() < 4.0 * (n * 0.08 * 0.92).sqrt(),
        "{wallets} of {n}"
    );
    for (before, mut after) in healthy.iter().zip(changed) {
        if let Some(method) = before.attributes.get("app.payment.method") {
            after
                .attributes
                .insert("app.payment.method".to_owned(), method.clone());
        }
        assert_eq!(*before, after);
    }
}

#[test]
fn removed_value_is_gone() {
    let (healthy, changed) = check(Scenario::RemovedValue);
    let invoices = healthy
        .iter()
        .filter(|s| s.attribute("app.payment.method") == "invoice");
    assert!(invoices.filter(|s| s.parent.is_none()).count() > 20);
    assert_eq!(healthy.len(), changed.len());
}

#[test]
fn new_version_changes_catalog_in_name_only() {
    let (healthy, changed) = check(Scenario::NewVersion);
    for (before, mut after) in healthy.iter().zip(changed) {
        if before.service == "catalog" {
            assert_eq!(after.attribute("service.version"), "1.5.0");
            for key in ["service.version", "k8s.pod.name", "service.instance.id"] {
                assert_ne!(before.attribute(key), after.attribute(key));
                after
                    .attributes
                    .insert(key.to_owned(), before.attribute(key).to_owned());
            }
        }
        assert_eq!(*before, after);
    }
}

#[test]
fn strength_scales_the_scenario() {
    let none = Settings {
        strength: 0.0,
        minutes: 2.0,
        ..settings(Scenario::SlowService)
    };
    let healthy = Settings {
        scenario: Scenario::Healthy,
        ..none.clone()
    };
    assert_eq!(spans(&none), spans(&healthy));
    let mean = |strength| {
        let spans = spans(&Settings {
            strength,
            ..none.clone()
        });
        let work = spans.iter().filter(|s| s.operation == "apply discounts");
        let durations: Vec<f64> = work.map(|s| s.duration_ns as f64).collect();
        durations.iter().sum::<f64>() / durations.len() as f64
    };
    assert!((mean(2.0) / mean(0.0) - 2.2).abs() < 1e-4);
}
