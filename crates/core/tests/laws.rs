//! Laws of the comparison, on simulated traffic: a set equals itself, swapping sides mirrors, weights cancel out.

#![expect(
    clippy::unwrap_used,
    reason = "a law over traffic that cannot be made has nothing to say"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tracediff_core::diff::{
    Diff, GraphChange, GraphComparison, GraphNodeDiff, Policy, Verdict, compare,
};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{Slicing, SpanBatch, slice_length_ns};
use tracediff_core::paths::PathNode;
use tracediff_core::snapshot::{Selection, occupied_time, take_part};
use tracediff_core::trace::TraceIndex;
use tracediff_simulate::{Scenario, Settings, simulate};

fn settings(seed: u64) -> Settings {
    Settings {
        seed,
        minutes: 2.0,
        rate_per_second: 4.0,
        ..Settings::default()
    }
}

fn facts_in_parts(batches: &[SpanBatch], parts: usize) -> Facts {
    let ranges = occupied_time(batches).ranges();
    let slicing = Slicing::cut(&ranges, slice_length_ns(&ranges, &ranges));
    let plan = Plan {
        slicing,
        group_by: vec!["app.customer.tier".to_owned()],
        paths: true,
        clocks: None,
    };
    let index = TraceIndex::build(batches);
    let selection = Selection::default();
    let part = |part| take_part(batches, &index, &plan, &selection, part, parts).facts;
    let mut facts = part(0);
    for number in 1..parts {
        facts.merge(&part(number)).unwrap();
    }
    facts
}

fn facts(settings: &Settings) -> Facts {
    facts_in_parts(&simulate(settings).unwrap(), 1)
}

fn mirrored(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Regressed => Verdict::Improved,
        Verdict::Improved => Verdict::Regressed,
        Verdict::Increased => Verdict::Decreased,
        Verdict::Decreased => Verdict::Increased,
        same => same,
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3)
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => close(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn groups(diff: &Diff) -> impl Iterator<Item = (&str, &tracediff_core::diff::GroupDiff)> {
    diff.keys
        .iter()
        .flat_map(|key| key.groups.iter().map(|group| (key.key.as_str(), group)))
}

fn scenario() -> impl Strategy<Value = Scenario> {
    prop::sample::select(Scenario::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_does_not_differ_from_itself(seed in 0u64..1_000, scenario in scenario()) {
        let facts = facts(&Settings { scenario, ..settings(seed) });
        let diff = compare(&facts, &facts, &Policy::default());
        prop_assert!(diff.findings.is_empty(), "{:?}", diff.findings);
        prop_assert!(groups(&diff).count() > 50);
        for (key, group) in groups(&diff) {
            let delta = group.latency.delta.unwrap();
            prop_assert!(delta.abs() < 1e-12 && group.errors.difference == 0.0, "{key} {}", group.value);
        }
        prop_assert!(diff.keys.iter().all(|key| key.new.is_empty() && key.missing.is_empty()));
        let graph = diff.graph.unwrap();
        prop_assert_eq!(graph.summary.jaccard, Some(1.0));
        let changes = graph.nodes.iter().map(|n| &n.comparison).chain(graph.edges.iter().map(|e| &e.comparison));
        prop_assert!(changes.clone().count() > 10);
        prop_assert!(changes.into_iter().all(|c| c.change == GraphChange::Unchanged));
    }

    #[test]
    fn visits_are_calls_that_come_in_and_what_begins_there(seed in 0u64..1_000, scenario in scenario()) {
        let facts = facts(&Settings { scenario, ..settings(seed) });
        let graph = compare(&facts, &facts, &Policy::default()).graph.unwrap();
        let calls = |c: &GraphComparison| c.baseline.as_ref().unwrap().calls;
        let incoming = |node: &GraphNodeDiff| {
            let edges = graph.edges.iter().filter(|e| e.callee == node.name && e.is_dependency == node.is_dependency);
            edges.map(|e| calls(&e.comparison)).sum::<u64>()
        };
        let begun: u64 = graph.nodes.iter().map(|n| calls(&n.comparison) - incoming(n)).sum();
        // Everything that begins is the root of a trace or of a fragment, and each of these is a top of the call tree.
        let is_top = |node: &&PathNode| node.parent.is_none();
        let tops: u64 = facts.paths().nodes().values().filter(is_top).map(|node| node.total.spans).sum();
        prop_assert_eq!(begun, tops);
        for node in graph.nodes.iter().filter(|n| n.is_dependency) {
            prop_assert_eq!(calls(&node.comparison), incoming(node), "{}", &node.name);
        }
    }

    #[test]
    fn swapping_the_sides_mirrors_the_diff(seed in 0u64..1_000, scenario in scenario()) {
        let (a, b) = (facts(&settings(seed)), facts(&Settings { scenario, ..settings(seed + 5_000) }));
        let there = compare(&a, &b, &Policy::default());
        let back = compare(&b, &a, &Policy::default());
        prop_assert_eq!(groups(&there).count(), groups(&back).count());
        for ((key, x), (_, y)) in groups(&there).zip(groups(&back)) {
            prop_assert!(same(x.latency.delta, y.latency.delta.map(|d| -d)), "{key} {}", x.value);
            prop_assert!(same(x.latency.judgement.p, y.latency.judgement.p), "{key} {}", x.value);
            prop_assert_eq!(x.latency.judgement.verdict, mirrored(y.latency.judgement.verdict));
            prop_assert!(close(x.errors.difference, -y.errors.difference));
            prop_assert!(same(x.errors.judgement.p, y.errors.judgement.p), "{key} {}", x.value);
            let verdicts = (x.calls.map(|c| c.judgement.verdict), y.calls.map(|c| c.judgement.verdict));
            prop_assert_eq!(verdicts.0, verdicts.1.map(mirrored));
            prop_assert!(same(x.rate.factor, y.rate.factor.map(|f| 1.0 / f)));
        }
        for (x, y) in there.keys.iter().zip(&back.keys) {
            prop_assert_eq!(&x.new, &y.missing);
            prop_assert_eq!(&x.missing, &y.new);
        }
        prop_assert_eq!(there.findings.len(), back.findings.len());
        let (there, back) = (there.graph.unwrap(), back.graph.unwrap());
        prop_assert!(same(there.summary.jaccard, back.summary.jaccard));
        let mut by_name = [BTreeMap::new(), BTreeMap::new()];
        for (graph, changes) in [&there, &back].into_iter().zip(&mut by_name) {
            for node in &graph.nodes {
                changes.insert((&node.name, None, node.is_dependency, false), node.comparison.change);
            }
            for edge in &graph.edges {
                let key = (&edge.caller, Some(&edge.callee), edge.is_dependency, edge.is_async);
                changes.insert(key, edge.comparison.change);
            }
        }
        let [there, back] = by_name;
        prop_assert_eq!(there.len(), back.len());
        for (item, change) in &there {
            let mirrored = match change {
                GraphChange::New => GraphChange::Gone,
                GraphChange::Gone => GraphChange::New,
                same => *same,
            };
            prop_assert_eq!(back.get(item), Some(&mirrored), "{:?}", item);
        }
    }

    #[test]
    fn weights_that_are_all_alike_cancel_out(seed in 0u64..1_000) {
        // `th:0` says that every span stands for itself, `th:8` for two and `th:e` for eight.
        let weighted = |threshold: &str, seed| {
            let settings = Settings { sampling_probability: Some(1.0), ..settings(seed) };
            facts_in_parts(&relabel(&simulate(&settings).unwrap(), threshold), 1)
        };
        let plain = compare(&weighted("0", seed), &weighted("0", seed + 1), &Policy::default());
        let heavy = compare(&weighted("e", seed), &weighted("8", seed + 1), &Policy::default());
        for ((key, x), (_, y)) in groups(&plain).zip(groups(&heavy)) {
            prop_assert!(close(y.baseline.weighted_spans, 8.0 * x.baseline.weighted_spans));
            prop_assert!(same(x.latency.delta, y.latency.delta), "{key} {}", x.value);
            prop_assert!(same(x.latency.judgement.p, y.latency.judgement.p), "{key} {}", x.value);
            prop_assert!(close(x.errors.difference, y.errors.difference));
            prop_assert!(same(x.errors.judgement.p, y.errors.judgement.p), "{key} {}", x.value);
            prop_assert!(close(x.candidate.mean_ns, y.candidate.mean_ns));
            prop_assert!(same(x.rate.factor.map(|f| f / 4.0), y.rate.factor), "rates are weighted");
        }
    }

    #[test]
    fn parts_of_the_traces_merge_to_the_whole(seed in 0u64..1_000, parts in 2usize..7) {
        let batches = simulate(&settings(seed)).unwrap();
        let (whole, merged) = (facts_in_parts(&batches, 1), facts_in_parts(&batches, parts));
        prop_assert_eq!(&whole.quality, &merged.quality);
        let diff = compare(&whole, &merged, &Policy::default());
        for (key, group) in groups(&diff) {
            prop_assert_eq!(group.baseline.spans, group.candidate.spans, "{} {}", key, &group.value);
            prop_assert_eq!(&group.baseline.exemplars, &group.candidate.exemplars);
            prop_assert!(close(group.baseline.mean_ns, group.candidate.mean_ns));
        }
        prop_assert!(close(diff.graph.unwrap().summary.jaccard.unwrap(), 1.0));
    }
}

/// The same spans with another sampling threshold.
fn relabel(batches: &[SpanBatch], threshold: &str) -> Vec<SpanBatch> {
    use tracediff_core::model::{SpanBatchBuilder, SpanCore, ValueRef};
    let mut builder = SpanBatchBuilder::new();
    let state = format!("ot=th:{threshold}");
    for batch in batches {
        for row in 0..batch.len() {
            builder.begin_resource();
            let service = batch.service().text(row).unwrap_or_default();
            builder.resource_attribute(b"service.name", ValueRef::String(service.as_bytes()));
            let start_ns = batch.start_ns(row) as u64;
            builder.end_span(&SpanCore {
                trace_id: batch.trace_id(row),
                span_id: batch.span_id(row),
                parent_span_id: batch.parent_span_id(row).unwrap_or_default(),
                operation: batch.operation().text(row).unwrap_or_default().as_bytes(),
                kind: batch.kind(row),
                status: batch.status(row),
                status_message: b"",
                trace_state: state.as_bytes(),
                start_ns,
                end_ns: start_ns + batch.duration_ns(row),
            });
        }
    }
    builder.commit().unwrap();
    builder.finish()
}

#[test]
fn scenarios_say_what_changed() {
    for scenario in Scenario::ALL {
        let (a, b) = (
            facts(&Settings {
                minutes: 10.0,
                rate_per_second: 12.0,
                ..settings(7)
            }),
            facts(&Settings {
                minutes: 10.0,
                rate_per_second: 12.0,
                scenario,
                ..settings(8)
            }),
        );
        let diff = compare(&a, &b, &Policy::default());
        let expected = scenario.expected();
        let regressed = diff
            .findings
            .iter()
            .any(|f| f.verdict == Verdict::Regressed);
        assert_eq!(
            regressed,
            expected.is_regression,
            "{}: {}",
            scenario.name(),
            diff.sentence
        );
        if let Some(culprit) = expected.culprit {
            assert!(
                diff.sentence.contains(culprit),
                "{}: {}",
                scenario.name(),
                diff.sentence
            );
        }
        for change in &expected.changes {
            use tracediff_simulate::Change;
            let list = |pick: fn(
                &tracediff_core::diff::KeyDiff,
            ) -> &Vec<tracediff_core::diff::ValueEvidence>| {
                diff.keys
                    .iter()
                    .filter(|k| k.key == change.key)
                    .flat_map(move |k| pick(k).iter())
                    .any(|v| v.value == change.value && v.passes)
            };
            match change.change {
                Change::New => assert!(list(|k| &k.new), "{}: {change:?}", scenario.name()),
                Change::Missing => assert!(list(|k| &k.missing), "{}: {change:?}", scenario.name()),
                Change::Slower | Change::MoreErrors => {}
            }
        }
    }
}
