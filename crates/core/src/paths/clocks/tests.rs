use super::solve::Place;
use super::*;
use crate::model::{SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};
use crate::trace::{Assembler, SpanRef};

const US: i64 = 1_000;
const MS: i64 = 1_000_000;
const START_NS: i64 = 1_000 * MINUTE_NS;

/// A call: number of its trace, when the client starts in ms after [`START_NS`], from which host to which, and how far the callee's clock
/// is ahead in µs.
#[derive(Debug, Clone, Copy)]
struct Call {
    trace: u32,
    at_ms: i64,
    hosts: [&'static str; 2],
    ahead_us: i64,
}

/// The client lasts 10 ms; the request is 200 µs on its way or more, and the answer 300 µs or more.
fn spans_of(call: &Call, builder: &mut SpanBatchBuilder) {
    let jitter = |factor: u32| i64::from(call.trace.wrapping_mul(factor) % 97) * 10 * US;
    let start = START_NS + call.at_ms * MS;
    let (there, back) = (200 * US + jitter(31), 300 * US + jitter(57));
    let ahead = call.ahead_us * US;
    let times = [
        (start, start + 10 * MS),
        (start + there + ahead, start + 10 * MS - back + ahead),
    ];
    for (place, (from, to)) in times.into_iter().enumerate() {
        let mut trace_id = [1; 16];
        trace_id[..4].copy_from_slice(&call.trace.to_be_bytes());
        builder.begin_resource();
        let host = call.hosts[place].as_bytes();
        let service = if place == 0 { b"front" } else { b"stock" };
        builder.resource_attribute(b"service.name", ValueRef::String(service));
        builder.resource_attribute(b"host.name", ValueRef::String(host));
        builder.end_span(&SpanCore {
            trace_id: TraceId(trace_id),
            span_id: SpanId([1 + place as u8; 8]),
            parent_span_id: SpanId([place as u8; 8]),
            operation: b"op",
            kind: [3, 2][place],
            start_ns: from as u64,
            end_ns: to as u64,
            ..SpanCore::default()
        });
    }
}

fn batches_of(calls: &[Call]) -> Vec<SpanBatch> {
    let mut builder = SpanBatchBuilder::new();
    calls.iter().for_each(|call| spans_of(call, &mut builder));
    builder.commit().unwrap();
    builder.finish()
}

fn observe(builder: &mut ClocksBuilder, batches: &[SpanBatch], traces: impl Iterator<Item = u32>) {
    let mut assembler = Assembler::default();
    for trace in traces {
        let rows = [2 * trace, 2 * trace + 1];
        let refs = rows.map(|row| SpanRef { batch: 0, row });
        builder.observe(&assembler.assemble(batches, refs.into_iter()));
    }
}

fn clocks_of(calls: &[Call]) -> Clocks {
    let batches = batches_of(calls);
    let mut builder = ClocksBuilder::new(&batches);
    observe(&mut builder, &batches, 0..calls.len() as u32);
    builder.finish()
}

/// Calls of one pair, one every `every_ms` from `from_ms` on.
fn calls(
    count: u32,
    from_ms: i64,
    every_ms: i64,
    hosts: [&'static str; 2],
    ahead_us: impl Fn(u32) -> i64,
) -> Vec<Call> {
    let call = |i: u32| Call {
        trace: i,
        at_ms: from_ms + i64::from(i) * every_ms,
        hosts,
        ahead_us: ahead_us(i),
    };
    (0..count).map(call).collect()
}

/// Many lists as one, with traces of their own.
fn joined(lists: &[Vec<Call>]) -> Vec<Call> {
    let numbered = (0..).zip(lists.iter().flatten());
    numbered
        .map(|(trace, call)| Call { trace, ..*call })
        .collect()
}

/// Clocks that are off by this much in every minute. Names must be sorted.
pub(in crate::paths) fn known_clocks(offsets: &[(&str, i64)]) -> Arc<Clocks> {
    let place = |(_, offset_ns): &(&str, i64)| Place {
        reference: 0,
        offset_ns: *offset_ns,
    };
    Arc::new(Clocks {
        hosts: offsets.iter().map(|(host, _)| (*host).to_owned()).collect(),
        minutes_joined: 1,
        by_minute: Vec::new(),
        over_all: Offsets::of_places(offsets.iter().map(place).collect()),
    })
}

/// The offset that is found must be within the time that a message takes at least: 300 µs.
fn assert_near(found: Option<i64>, expected_us: i64) {
    let found = found.map(|ns| ns / US);
    assert!(
        found.is_some_and(|us| us.abs_diff(expected_us) <= 300),
        "{found:?} instead of {expected_us} µs"
    );
}

#[test]
fn a_clock_that_is_ahead_is_set_back() {
    for ahead_us in [40_000, -40_000, 1_500] {
        let clocks = clocks_of(&calls(100, 0, 100, ["a", "b"], |_| ahead_us));
        assert_near(clocks.between("a", "b", START_NS), -ahead_us);
        assert_near(clocks.between("b", "a", START_NS), ahead_us);
        assert_eq!(clocks.between("a", "c", START_NS), None);
        assert_eq!(clocks.between("a", "a", START_NS), Some(0));
    }
}

#[test]
fn what_the_way_may_explain_is_no_offset() {
    for ahead_us in [0, 150, -150] {
        let clocks = clocks_of(&calls(100, 0, 100, ["a", "b"], |_| ahead_us));
        assert!(!clocks.correct_any(), "{ahead_us}: {clocks:?}");
        assert!(clocks.corrected().is_empty());
    }
}

#[test]
fn few_calls_tell_nothing_and_look_at_their_neighbours() {
    assert!(!clocks_of(&calls(9, 0, 100, ["a", "b"], |_| 40_000)).correct_any());
    // Four a minute: ten only with the minutes around. After half of the time the clock is set.
    let ahead_us = |i| if i < 80 { 40_000 } else { 80_000 };
    let clocks = clocks_of(&calls(160, 0, 15_000, ["a", "b"], ahead_us));
    assert_near(clocks.between("a", "b", START_NS + 5 * MINUTE_NS), -40_000);
    assert_near(clocks.between("a", "b", START_NS + 35 * MINUTE_NS), -80_000);
    // One every ten minutes, and a time in which there is none.
    let clocks = clocks_of(&calls(20, 0, 600_000, ["a", "b"], |_| 40_000));
    assert_near(clocks.between("a", "b", START_NS), -40_000);
    assert_near(clocks.between("a", "b", START_NS + 5 * MINUTE_NS), -40_000);
}

#[test]
fn a_clock_may_drift_from_minute_to_minute() {
    // 100 calls a minute, 10 ms more in each.
    let clocks = clocks_of(&calls(500, 0, 600, ["a", "b"], |i| {
        10_000 * (i64::from(i) / 100 + 1)
    }));
    for minute in 0..5 {
        let found = clocks.between("a", "b", START_NS + minute * MINUTE_NS + 7);
        assert_near(found, -10_000 * (minute + 1));
    }
    assert_eq!(
        clocks.corrected()["b"].compared_with,
        "a",
        "of two hosts one is the middle"
    );
}

#[test]
fn offsets_add_up_along_a_chain() {
    let clocks = clocks_of(&joined(&[
        calls(50, 0, 100, ["x", "y"], |_| 20_000),
        calls(50, 0, 100, ["y", "z"], |_| 30_000),
    ]));
    assert_near(clocks.between("x", "y", START_NS), -20_000);
    assert_near(clocks.between("y", "z", START_NS), -30_000);
    // Never seen together.
    let found = clocks.between("x", "z", START_NS).unwrap();
    assert!(found.abs_diff(-50_000 * US) <= 600_000, "{found}");
    let offset = &clocks.corrected()["x"];
    assert_eq!(offset.compared_with, "y");
    assert!(offset.offset_ns > 0 || clocks.corrected()["z"].offset_ns < 0);
}

#[test]
fn both_directions_are_one_pair() {
    // Five calls each way: only together they are enough.
    let clocks = clocks_of(&joined(&[
        calls(5, 0, 100, ["a", "b"], |_| 40_000),
        calls(5, 0, 100, ["b", "a"], |_| -40_000),
    ]));
    assert_near(clocks.between("a", "b", START_NS), -40_000);
}

#[test]
fn calls_that_contradict_each_other_tell_nothing() {
    // Two machines under one name, and a host that is right beside them.
    let clocks = clocks_of(&joined(&[
        calls(100, 0, 100, ["a", "b"], |i| i64::from(i % 2) * 40_000),
        calls(100, 0, 100, ["a", "c"], |_| 40_000),
        calls(100, 0, 100, ["c", "b"], |_| 40_000),
    ]));
    assert_near(clocks.between("a", "c", START_NS), -40_000);
    assert_eq!(clocks.between("a", "b", START_NS), None);
}

#[test]
fn one_call_in_twenty_may_be_wrong() {
    let odd = |i| if i % 25 == 0 { 900_000 } else { 40_000 };
    let clocks = clocks_of(&calls(100, 0, 100, ["a", "b"], odd));
    assert_near(clocks.between("a", "b", START_NS), -40_000);
}

#[test]
fn pairs_that_disagree_with_the_tree_are_refused() {
    // Around the circle the offsets add up to 70 ms; most calls are between x, y and z.
    let clocks = clocks_of(&joined(&[
        calls(100, 0, 100, ["x", "y"], |_| 20_000),
        calls(100, 0, 100, ["y", "z"], |_| 30_000),
        calls(50, 0, 100, ["x", "z"], |_| -20_000),
    ]));
    assert_near(clocks.between("x", "y", START_NS), -20_000);
    assert_near(clocks.between("y", "z", START_NS), -30_000);
    assert_eq!(clocks.between("x", "z", START_NS), None);
}

#[test]
fn answers_that_nobody_waited_for_are_passed_over() {
    let mut builder = SpanBatchBuilder::new();
    for trace in 0..100_u32 {
        // One answer in five ends when its caller is long gone.
        let end = if trace % 5 == 0 { 150 } else { 48 };
        for (id, start, end) in [(1_u8, 0, 10), (2, 42, end)] {
            let mut trace_id = [1; 16];
            trace_id[..4].copy_from_slice(&trace.to_be_bytes());
            builder.begin_resource();
            let host = [id];
            builder.resource_attribute(b"host.id", ValueRef::String(&host));
            builder.end_span(&SpanCore {
                trace_id: TraceId(trace_id),
                span_id: SpanId([id; 8]),
                parent_span_id: SpanId([id - 1; 8]),
                kind: [3, 2][usize::from(id) - 1],
                start_ns: (start * MS) as u64,
                end_ns: (end * MS) as u64,
                ..SpanCore::default()
            });
        }
    }
    builder.commit().unwrap();
    let batches = builder.finish();
    let mut builder = ClocksBuilder::new(&batches);
    observe(&mut builder, &batches, 0..100);
    let clocks = builder.finish();
    assert_near(clocks.between("\u{1}", "\u{2}", 0), -40_000);
}

#[test]
fn parts_in_any_order_and_within_a_limit_give_the_same() {
    let calls = joined(&[
        calls(400, 0, 20, ["y", "x"], |i| 20_000 + i64::from(i) * 7),
        calls(300, 0, 400, ["y", "z"], |i| 30_000 - i64::from(i) * 90),
        calls(700, 0, 10, ["z", "x"], |i| -9_000 - i64::from(i % 3) * 90),
    ]);
    let batches = batches_of(&calls);
    for limit in [10_000, 300] {
        let builder = || ClocksBuilder::new(&batches).keep_at_most(limit);
        let part = |traces: &mut dyn Iterator<Item = u32>| {
            let mut part = builder();
            observe(&mut part, &batches, traces);
            part
        };
        let whole = part(&mut (0..1_400)).finish();
        assert!(whole.correct_any());
        assert_eq!(whole, part(&mut (0..1_400).rev()).finish());
        let mut merged = part(&mut (900..1_400).rev());
        merged.merge(part(&mut (0..900).step_by(2)));
        merged.merge(part(&mut (1..900).step_by(2)));
        assert_eq!(whole, merged.finish());
    }
}

#[test]
fn long_windows_have_few_estimates() {
    let clocks = clocks_of(&calls(2_000, 0, 60_000, ["a", "b"], |_| 40_000));
    assert_eq!(clocks.minutes_joined, 8);
    assert!(clocks.by_minute.len() <= 360);
    assert_near(
        clocks.between("a", "b", START_NS + 1_999 * MINUTE_NS),
        -40_000,
    );
}

#[test]
fn every_minute_is_compared_with_the_same_host() {
    // Over all only y is off; in the second minute it is the middle clock.
    let clocks = clocks_of(&joined(&[
        calls(300, 0, 100, ["x", "y"], |_| 20_000),
        calls(300, 0, 100, ["x", "z"], |_| 0),
        calls(10, 60_000, 100, ["x", "y"], |_| 5_000),
        calls(10, 60_000, 100, ["x", "z"], |_| 9_000),
    ]));
    assert_near(clocks.between("x", "z", START_NS + MINUTE_NS), -9_000);
    let corrected = clocks.corrected();
    let told: Vec<_> = corrected
        .iter()
        .map(|(host, offset)| (host.as_str(), offset.compared_with.as_str()))
        .collect();
    assert_eq!(told, [("y", "x"), ("z", "x")]);
}

#[test]
fn the_larger_offset_is_kept_whichever_comes_first() {
    let offset = |offset_ns: i64, compared_with: &str| ClockOffset {
        compared_with: compared_with.to_owned(),
        offset_ns,
    };
    let list = [
        offset(-7, "a"),
        offset(7, "b"),
        offset(7, "a"),
        offset(3, "c"),
    ];
    for a in &list {
        for b in &list {
            let (mut ab, mut ba) = (a.clone(), b.clone());
            ab.keep_larger(b);
            ba.keep_larger(a);
            assert_eq!(ab, ba);
        }
    }
    let mut kept = list[3].clone();
    list.iter().for_each(|o| kept.keep_larger(o));
    assert_eq!(kept, list[2]);
}
