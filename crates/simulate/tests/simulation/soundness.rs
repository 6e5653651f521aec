//! Every trace is one that a sound system would send.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use proptest::prelude::*;
use tracediff_core::model::{SpanId, TraceId};
use tracediff_simulate::{Scenario, Settings, Topology};

use crate::spans::{Span, spans};

const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const PRODUCER: u8 = 4;
const CONSUMER: u8 = 5;

type Id = (TraceId, SpanId);

fn index(spans: &[Span]) -> HashMap<Id, &Span> {
    let index: HashMap<Id, &Span> = spans.iter().map(|s| ((s.trace_id, s.span_id), s)).collect();
    assert_eq!(index.len(), spans.len(), "span ids are unique");
    index
}

/// What holds whatever the clocks and the sampling.
fn check_structure(spans: &[Span]) {
    let topology = Topology::shop();
    let index = index(spans);
    let mut roots: BTreeMap<TraceId, u32> = BTreeMap::new();
    let mut servers_of: HashMap<Id, u32> = HashMap::new();
    for span in spans {
        assert!(!span.trace_id.is_zero() && !span.span_id.is_zero());
        assert_eq!(span.attribute("tracediff.simulated"), "true");
        assert_eq!(span.attribute("otel.scope.name"), "tracediff-simulate");
        let root_count = roots.entry(span.trace_id).or_default();
        let Some(parent_id) = span.parent else {
            *root_count += 1;
            assert!(
                span.service == "frontend" && span.kind == SERVER
                    || span.service == "email-worker" && span.kind == CONSUMER,
                "{span:?}"
            );
            continue;
        };
        let parent = index.get(&(span.trace_id, parent_id));
        let parent = *parent.unwrap_or_else(|| panic!("no parent of {span:?}"));
        match span.kind {
            SERVER => {
                assert_eq!(parent.kind, CLIENT);
                assert_eq!(parent.attribute("server.address"), span.service);
                *servers_of.entry((parent.trace_id, parent_id)).or_default() += 1;
            }
            CONSUMER => {
                assert_eq!(parent.kind, PRODUCER);
                assert_eq!(span.links, [(parent.trace_id, parent.span_id)]);
            }
            INTERNAL | CLIENT | PRODUCER => {
                assert_eq!(
                    parent.attribute("service.instance.id"),
                    span.attribute("service.instance.id"),
                    "a process calls itself by no network"
                );
                assert!([INTERNAL, SERVER, CONSUMER].contains(&parent.kind));
            }
            other => panic!("kind {other}"),
        }
    }
    assert!(roots.values().all(|count| *count == 1), "one root a trace");
    for span in spans.iter().filter(|s| s.kind == CLIENT) {
        let servers = servers_of.get(&(span.trace_id, span.span_id)).copied();
        let address = span.attribute("server.address");
        let is_leaf = topology.service(address).is_none();
        assert_eq!(servers.unwrap_or(0), u32::from(!is_leaf), "{span:?}");
    }
}

/// What holds where all clocks are right.
pub(crate) fn check_times(spans: &[Span]) {
    let index = index(spans);
    for span in spans {
        let Some(parent) = span.parent.map(|id| index[&(span.trace_id, id)]) else {
            continue;
        };
        if span.kind == CONSUMER {
            assert!(span.start_ns >= parent.end_ns(), "{span:?}");
        } else {
            assert!(
                span.start_ns >= parent.start_ns && span.end_ns() <= parent.end_ns(),
                "{span:?} is not inside {parent:?}"
            );
        }
    }
}

/// Codes, status and exceptions agree with the semantic conventions.
pub(crate) fn check_outcomes(spans: &[Span]) {
    let index = index(spans);
    for span in spans {
        let http = span.attributes.get("http.response.status_code");
        let grpc = span.attributes.get("rpc.grpc.status_code");
        let is_http = span.attributes.contains_key("http.request.method");
        let is_grpc = span.attributes.contains_key("rpc.system");
        assert_eq!(
            (http.is_some(), grpc.is_some()),
            (is_http, is_grpc),
            "{span:?}"
        );
        if let Some(code) = http {
            let least = if span.kind == SERVER { 500 } else { 400 };
            assert_eq!(
                span.is_error,
                code.parse::<u16>().unwrap() >= least,
                "{span:?}"
            );
        }
        if let Some(code) = grpc {
            let is_blameless = span.kind == SERVER && ["0", "5", "9"].contains(&code.as_str());
            assert_eq!(span.is_error, !is_blameless && code != "0", "{span:?}");
        }
        let is_root_cause = span.exceptions > 0;
        assert_eq!(
            is_root_cause,
            span.attributes.contains_key("exception.type")
        );
        assert!(!is_root_cause || span.is_error, "{span:?}");
        if span.is_error && !is_grpc && !is_http && span.kind != INTERNAL && span.kind != CONSUMER {
            assert!(span.attributes.contains_key("error.type"), "{span:?}");
        }
        if span.kind == SERVER
            && let Some(parent) = span.parent.map(|id| index[&(span.trace_id, id)])
        {
            for key in [
                "http.response.status_code",
                "rpc.grpc.status_code",
                "rpc.method",
            ] {
                assert_eq!(span.attribute(key), parent.attribute(key));
            }
        }
    }
}

fn scenario() -> impl Strategy<Value = Scenario> {
    proptest::sample::select(Scenario::ALL.as_slice())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn traces_are_sound(
        seed in any::<u64>(),
        rate_per_second in 0.0..60.0,
        minutes in 0.01..0.8,
        scenario in scenario(),
        strength in 0.0..5.0,
        sampling_probability in proptest::option::of(0.05..=1.0),
    ) {
        let settings = Settings {
            seed,
            rate_per_second,
            minutes,
            scenario,
            strength,
            sampling_probability,
            clock_skew_us: 0.0,
            ..Settings::default()
        };
        let spans = spans(&settings);
        check_structure(&spans);
        check_times(&spans);
        check_outcomes(&spans);
        let window_ns = (minutes * 60e9) as i64;
        for root in spans.iter().filter(|s| s.parent.is_none() && s.kind == SERVER) {
            let offset_ns = root.start_ns - settings.start_ns as i64;
            prop_assert!((0..window_ns).contains(&offset_ns));
        }
    }
}

#[test]
fn the_shop_is_all_there() {
    let settings = Settings {
        minutes: 3.0,
        ..Settings::default()
    };
    let spans = spans(&settings);
    check_structure(&spans);
    check_outcomes(&spans);
    let index = index(&spans);
    let services: BTreeSet<&str> = spans.iter().map(|s| s.service.as_str()).collect();
    let shop = Topology::shop();
    let expected: BTreeSet<&str> = shop.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(services, expected);
    for service in &shop.services {
        let of_service = || spans.iter().filter(|s| s.service == service.name);
        let pods: BTreeSet<&str> = of_service().map(|s| s.attribute("k8s.pod.name")).collect();
        assert_eq!(pods.len() as u32, service.instances, "{}", service.name);
        assert!(of_service().all(|s| s.attribute("service.version") == service.version));
    }
    let orders: Vec<&Span> = spans
        .iter()
        .filter(|s| s.operation == "POST /checkout")
        .collect();
    let ids: HashSet<&str> = orders.iter().map(|s| s.attribute("app.order.id")).collect();
    assert_eq!(ids.len(), orders.len(), "every order has an id of its own");
    assert!(
        spans
            .iter()
            .any(|s| s.attribute("http.request.resend_count") == "1")
    );
    let emails = spans.iter().filter(|s| s.operation == "process emails");
    assert!(emails.clone().count() > 100);
    for email in emails {
        let [(trace_id, span_id)] = email.links[..] else {
            panic!("no link: {email:?}");
        };
        assert_eq!(index[&(trace_id, span_id)].operation, "send emails");
        assert_ne!(trace_id, email.trace_id);
    }
}

/// Wrong clocks move spans and nothing else, and move all spans of a host by the same.
#[test]
fn clocks_are_wrong_by_host() {
    let right = Settings {
        minutes: 1.0,
        clock_skew_us: 0.0,
        ..Settings::default()
    };
    let wrong = Settings {
        clock_skew_us: 5_000.0,
        ..right.clone()
    };
    let mut skews: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for (mut moved, span) in spans(&wrong).into_iter().zip(spans(&right)) {
        let host = span.attribute("host.name").to_owned();
        skews
            .entry(host)
            .or_default()
            .insert(moved.start_ns - span.start_ns);
        moved.start_ns = span.start_ns;
        assert_eq!(moved, span);
    }
    assert_eq!(skews.len(), 6);
    assert!(
        skews.values().all(|of_host| of_host.len() == 1),
        "{skews:?}"
    );
    let distinct: BTreeSet<_> = skews.values().flatten().collect();
    assert_eq!(distinct.len(), 6);
}

/// About as many spans stick out of their parents as in recorded systems: 4 to 8 %.
#[test]
fn default_clocks_are_a_little_wrong() {
    let spans = spans(&Settings {
        minutes: 1.0,
        ..Settings::default()
    });
    let index = index(&spans);
    let remote = spans
        .iter()
        .filter(|s| s.kind == SERVER && s.parent.is_some());
    let out = remote.clone().filter(|s| {
        let parent = index[&(s.trace_id, s.parent.unwrap())];
        s.start_ns < parent.start_ns || s.end_ns() > parent.end_ns()
    });
    let share = out.count() as f64 / remote.count() as f64;
    assert!((0.005..0.15).contains(&share), "{share}");
}
