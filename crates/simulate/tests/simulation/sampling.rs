//! Sampling thins traces by their ids, and weights make up for it.

use std::collections::{BTreeMap, BTreeSet};

use tracediff_core::model::TraceId;
use tracediff_core::model::sampling::{randomness, threshold_of_probability};
use tracediff_simulate::Settings;

use crate::spans::{Span, spans};

fn settings(sampling_probability: Option<f64>) -> Settings {
    Settings {
        minutes: 5.0,
        sampling_probability,
        ..Settings::default()
    }
}

/// What a span is but for its sampling.
fn without_sampling(mut span: Span) -> Span {
    span.weight = None;
    span.trace_state = None;
    span
}

#[test]
fn kept_traces_are_those_above_the_threshold() {
    let all = spans(&settings(None));
    assert!(
        all.iter()
            .all(|s| s.weight.is_none() && s.trace_state.is_none())
    );
    let threshold = threshold_of_probability(0.25);
    let expected: Vec<Span> = all
        .into_iter()
        .filter(|s| randomness(&s.trace_id) >= threshold)
        .collect();
    let kept = spans(&settings(Some(0.25)));
    assert!(kept.iter().all(|s| s.weight == Some(4.0)));
    assert!(
        kept.iter()
            .all(|s| s.trace_state.as_deref() == Some("ot=th:c"))
    );
    assert!(expected.iter().any(|s| s.operation == "process emails"));
    let kept: Vec<Span> = kept.into_iter().map(without_sampling).collect();
    assert_eq!(kept, expected);
}

#[test]
fn keeping_all_says_so() {
    let all = spans(&settings(Some(1.0)));
    assert!(
        all.iter()
            .all(|s| s.trace_state.as_deref() == Some("ot=th:0"))
    );
    assert!(all.iter().all(|s| s.weight == Some(1.0)));
    let all: Vec<Span> = all.into_iter().map(without_sampling).collect();
    assert_eq!(all, spans(&settings(None)));
}

/// A trace is kept with probability p, so of N spans in traces of n(i) spans the weighted count has variance
/// Σ n(i)² (1 - p)/p. Bounds are four standard deviations.
#[test]
fn weights_sum_to_what_there_was() {
    let p = 0.1;
    let mut traces: BTreeMap<String, BTreeMap<TraceId, f64>> = BTreeMap::new();
    for span in spans(&settings(None)) {
        *traces
            .entry(span.service)
            .or_default()
            .entry(span.trace_id)
            .or_default() += 1.0;
    }
    let mut weights: BTreeMap<String, f64> = BTreeMap::new();
    let mut kept: BTreeSet<TraceId> = BTreeSet::new();
    for span in spans(&settings(Some(p))) {
        *weights.entry(span.service).or_default() += span.weight.unwrap();
        kept.insert(span.trace_id);
    }
    for (service, counts) in &traces {
        let count: f64 = counts.values().sum();
        let variance: f64 = counts.values().map(|n| n * n * (1.0 - p) / p).sum();
        let found = weights.get(service).copied().unwrap_or(0.0);
        assert!(
            (found - count).abs() < 4.0 * variance.sqrt(),
            "{service}: {found} for {count}"
        );
    }
    let all: BTreeSet<&TraceId> = traces.values().flat_map(BTreeMap::keys).collect();
    let n = all.len() as f64;
    assert!((kept.len() as f64 - n * p).abs() < 4.0 * (n * p * (1.0 - p)).sqrt());
}
