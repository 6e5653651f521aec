use proptest::prelude::*;

use super::*;
use crate::model::{SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};
use crate::trace::{Assembler, TraceIndex};

const SECOND: u64 = 1_000_000_000;

/// A trace of `spans` spans: start second, service, attribute value, duration (ns), failed, sampling 2^-power.
#[derive(Debug, Clone)]
struct Sample {
    id: u8,
    second: u64,
    spans: Vec<(u8, Option<u8>, u64, bool)>,
    power: u8,
}

fn batches(samples: &[Sample]) -> Vec<SpanBatch> {
    let mut builder = SpanBatchBuilder::new();
    for sample in samples {
        for (number, (service, value, duration_ns, failed)) in sample.spans.iter().enumerate() {
            builder.begin_resource();
            builder.resource_attribute(b"service.name", ValueRef::String(&[b'a' + service]));
            if let Some(value) = value {
                builder.span_attribute(b"tier", ValueRef::Int(i64::from(*value)));
            }
            let start_ns = sample.second * SECOND + number as u64;
            let state = format!("ot=p:{}", sample.power);
            builder.end_span(&SpanCore {
                trace_id: TraceId([sample.id; 16]),
                span_id: SpanId([number as u8 + 1; 8]),
                parent_span_id: SpanId([u8::from(number > 0); 8]),
                operation: b"op",
                status: if *failed { 2 } else { 0 },
                start_ns,
                end_ns: start_ns + duration_ns,
                trace_state: state.as_bytes(),
                ..SpanCore::default()
            });
        }
    }
    builder.commit().unwrap();
    builder.finish()
}

fn plan() -> Plan {
    let window = Window::new(0, 60 * SECOND as i64).unwrap();
    Plan {
        slicing: Slicing::cut(&[window], 5 * SECOND as i64),
        group_by: vec!["tier".to_owned()],
        paths: true,
        clocks: None,
    }
}

fn facts(samples: &[Sample]) -> Facts {
    let batches = batches(samples);
    let index = TraceIndex::build(&batches);
    let mut builder = FactsBuilder::new(&plan(), &batches);
    let mut assembler = Assembler::default();
    for spans in index.traces() {
        builder.observe(&assembler.assemble(&batches, spans.iter().copied()), |_| {
            true
        });
    }
    builder.finish()
}

fn sample() -> impl Strategy<Value = Sample> {
    let span = (
        0u8..3,
        prop::option::of(0u8..3),
        0u64..1 << 33,
        any::<bool>(),
    );
    (0u64..70, prop::collection::vec(span, 1..6), 0u8..4).prop_map(|(second, spans, power)| {
        Sample {
            id: 0,
            second,
            spans,
            power,
        }
    })
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    prop::collection::vec(sample(), 0..20).prop_map(|mut samples| {
        (1..)
            .zip(&mut samples)
            .for_each(|(id, sample)| sample.id = id);
        samples
    })
}

/// Sums compared with room for the order of additions; everything that is counted or chosen, exactly.
fn assert_same(a: &Facts, b: &Facts) {
    let close = |x: f64, y: f64| assert!((x - y).abs() <= 1e-9 * x.abs().max(1.0), "{x} {y}");
    assert_eq!(a.slicing, b.slicing);
    assert_eq!(a.quality, b.quality);
    assert_eq!(
        a.keys.keys().collect::<Vec<_>>(),
        b.keys.keys().collect::<Vec<_>>()
    );
    for (slice_a, slice_b) in a.slice_traces.iter().zip(&b.slice_traces) {
        assert_eq!(slice_a.traces, slice_b.traces);
        close(slice_a.weight, slice_b.weight);
    }
    for (key_a, key_b) in a.keys.values().zip(b.keys.values()) {
        assert_eq!(
            (key_a.spans, key_a.groups.len()),
            (key_b.spans, key_b.groups.len())
        );
        for ((value_a, group_a), (value_b, group_b)) in key_a.groups.iter().zip(&key_b.groups) {
            assert_eq!((value_a, &group_a.exemplars), (value_b, &group_b.exemplars));
            assert_eq!(group_a.cells().count(), group_b.cells().count());
            for ((slice_a, a), (slice_b, b)) in group_a.cells().zip(group_b.cells()) {
                assert_eq!(
                    (slice_a, a.spans, a.errors, a.traces),
                    (slice_b, b.spans, b.errors, b.traces)
                );
                assert_eq!(a.duration_ns, b.duration_ns);
                assert!(a.histogram.buckets().eq(b.histogram.buckets()));
                for (x, y) in [
                    (a.weight, b.weight),
                    (a.weighted_duration_ns, b.weighted_duration_ns),
                    (a.moments.cd, b.moments.cd),
                    (a.moments.dd, b.moments.dd),
                    (a.moments.ll, b.moments.ll),
                    (a.moments.ct, b.moments.ct),
                ] {
                    close(x, y);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn facts_merge_in_any_order(all in samples(), cut in any::<prop::sample::Index>(), third in any::<prop::sample::Index>()) {
        let (cut, third) = (cut.index(all.len() + 1), third.index(all.len() + 1));
        let (low, high) = (cut.min(third), cut.max(third));
        let parts = [&all[..low], &all[low..high], &all[high..]].map(facts);
        let merged = |order: [usize; 3]| {
            let mut merged = parts[order[0]].clone();
            merged.merge(&parts[order[1]]).unwrap();
            merged.merge(&parts[order[2]]).unwrap();
            merged
        };
        let whole = facts(&all);
        assert_same(&whole, &merged([0, 1, 2]));
        assert_same(&whole, &merged([2, 0, 1]));
        let mut right = parts[1].clone();
        right.merge(&parts[2]).unwrap();
        let mut nested = parts[0].clone();
        nested.merge(&right).unwrap();
        assert_same(&whole, &nested);
    }
}

fn one(second: u64, spans: &[(u8, Option<u8>, u64, bool)]) -> Sample {
    Sample {
        id: second as u8 + 1,
        second,
        spans: spans.to_vec(),
        power: 0,
    }
}

#[test]
fn a_group_counts_spans_traces_and_errors() {
    let facts = facts(&[
        one(
            1,
            &[
                (0, Some(1), 5_000, false),
                (1, None, 2_000, true),
                (1, Some(1), 3_000, false),
            ],
        ),
        one(2, &[(0, Some(2), 7_000, true)]),
    ]);
    let tier = &facts.keys()["tier"];
    assert_eq!(tier.spans, 3, "a span without the attribute is in no group");
    let total = tier.groups["1"].total();
    assert_eq!(
        (total.spans, total.traces, total.errors, total.duration_ns),
        (2, 1, 0, 8_000)
    );
    assert_eq!(tier.groups["2"].total().errors, 1);
    assert_eq!(facts.keys()["service"].groups["b"].total().spans, 2);
    assert_eq!(
        facts.keys()[ENTRY_POINT].groups["a: op"].spans(),
        2,
        "only the spans that begin a request"
    );
    assert_eq!(facts.all().spans(), 4);
    let exemplars = &tier.groups["2"].exemplars;
    assert_eq!(exemplars.slowest()[0].trace_id, TraceId([3; 16]));
    assert_eq!(exemplars.failed()[0].duration_ns, 7_000);
}

#[test]
fn traces_outside_the_window_are_left_out_and_told() {
    let facts = facts(&[
        one(61, &[(0, None, 5, false)]),
        one(3, &[(0, None, 5, false)]),
    ]);
    assert_eq!(
        (facts.quality.traces, facts.quality.traces_outside_window),
        (1, 1)
    );
    assert_eq!(facts.all().spans(), 1);
}

#[test]
fn weights_scale_totals_and_leave_the_mean_alone() {
    let mut samples: Vec<Sample> = (0..30)
        .map(|i| one(i, &[(0, None, 1_000 * (i + 1), i % 3 == 0)]))
        .collect();
    let plain = facts(&samples);
    samples.iter_mut().for_each(|s| s.power = 3);
    let sampled = facts(&samples);
    let (a, b) = (plain.all().total(), sampled.all().total());
    assert_eq!(a.weight * 8.0, b.weight);
    assert_eq!(
        a.weighted_duration_ns / a.weight,
        b.weighted_duration_ns / b.weight
    );
    assert_eq!(a.duration_ns, b.duration_ns);
    assert_eq!(
        sampled.quality.effective_spans(),
        plain.quality.effective_spans()
    );
}

#[test]
fn overlapping_slices_do_not_merge() {
    let mut a = facts(&[]);
    let window = Window::new(3, 60 * SECOND as i64).unwrap();
    let plan = Plan {
        slicing: Slicing::cut(&[window], 7 * SECOND as i64),
        group_by: Vec::new(),
        paths: true,
        clocks: None,
    };
    assert!(a.merge(&FactsBuilder::new(&plan, &[]).finish()).is_err());
}

/// Many traces with one span each, `value(i)` as attribute `key`.
fn many(count: u32, value: impl Fn(u32) -> String) -> Facts {
    many_of(0..count, value)
}

/// Those with these numbers, which their operations are named by.
fn many_of(numbers: std::ops::Range<u32>, value: impl Fn(u32) -> String) -> Facts {
    let mut builder = SpanBatchBuilder::new();
    for i in numbers {
        let mut id = [1; 16];
        id[..4].copy_from_slice(&i.to_be_bytes());
        builder.span_attribute(b"key", ValueRef::String(value(i).as_bytes()));
        builder.end_span(&SpanCore {
            trace_id: TraceId(id),
            span_id: SpanId([1; 8]),
            operation: format!("op {i}").as_bytes(),
            start_ns: u64::from(i % 60) * SECOND,
            end_ns: u64::from(i % 60) * SECOND + 5_000,
            ..SpanCore::default()
        });
    }
    builder.commit().unwrap();
    let batches = builder.finish();
    let index = TraceIndex::build(&batches);
    let mut builder = FactsBuilder::new(&plan(), &batches);
    let mut assembler = Assembler::default();
    for spans in index.traces() {
        builder.observe(&assembler.assemble(&batches, spans.iter().copied()), |_| {
            true
        });
    }
    builder.finish()
}

#[test]
fn an_identifier_keeps_no_groups() {
    let facts = many(20_000, |i| format!("order-{i}"));
    let key = &facts.keys()["key"];
    assert!(key.groups.is_empty());
    assert!(key.identifier.is_some_and(|n| n >= 800));
}

#[test]
fn the_most_frequent_values_stay_and_the_rest_is_other() {
    // One half of the spans has 5 values, the other half 3,000.
    let facts = many(30_000, |i| {
        if i % 2 == 0 {
            format!("big-{}", i % 5)
        } else {
            format!("small-{}", i % 3_000)
        }
    });
    let key = &facts.keys()["key"];
    assert_eq!(key.groups.len(), 200);
    assert_eq!(
        key.groups.keys().filter(|v| v.starts_with("big-")).count(),
        5
    );
    let kept: u64 = key.groups.values().map(Group::spans).sum();
    assert_eq!(kept + key.other.spans, 30_000, "no span is lost");
    let big: u64 = key
        .groups
        .iter()
        .filter(|(v, _)| v.starts_with("big-"))
        .map(|(_, g)| g.spans())
        .sum();
    assert_eq!(big, 15_000, "the frequent values are counted exactly");
    let operations = &facts.keys()["operation"];
    assert_eq!(operations.groups.len(), 2_000);
    assert_eq!(operations.other.spans, 28_000);
}

#[test]
fn a_very_long_value_is_named_by_its_beginning_and_a_hash() {
    let long = "x".repeat(10_000_000);
    let facts = many(2, |i| format!("{long}{i}"));
    let labels: Vec<&String> = facts.keys()["key"].groups.keys().collect();
    assert_eq!(
        labels.len(),
        2,
        "values that differ past the cut stay apart"
    );
    assert!(
        labels
            .iter()
            .all(|l| l.len() < 320 && l.contains("10000001 bytes"))
    );
}

#[test]
fn after_the_last_merge_a_key_is_pruned_to_its_cap() {
    let mut facts = many_of(0..1_500, |_| "same".to_owned());
    facts
        .merge(&many_of(1_500..3_000, |_| "same".to_owned()))
        .unwrap();
    assert_eq!(facts.keys()["operation"].groups.len(), 3_000);
    let spans = |facts: &Facts| {
        let key = &facts.keys()["operation"];
        key.groups.values().map(Group::spans).sum::<u64>() + key.other.spans
    };
    let before = spans(&facts);
    facts.prune();
    assert_eq!(facts.keys()["operation"].groups.len(), 2_000);
    assert_eq!(spans(&facts), before, "no span is lost");
}
