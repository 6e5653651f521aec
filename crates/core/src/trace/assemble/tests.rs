use super::*;
use crate::model::{SpanBatchBuilder, SpanCore, ValueRef};
use crate::trace::{SpanRef, TraceIndex};
use proptest::prelude::*;

/// A span as `(id, parent, start ms, duration ms, kind, service)`; parent 0 is none.
type Row = (u8, u8, u64, u64, u8, &'static str);

fn batch(rows: &[Row]) -> Vec<SpanBatch> {
    let mut builder = SpanBatchBuilder::new();
    for (id, parent, start_ms, duration_ms, kind, service) in rows {
        builder.begin_resource();
        builder.resource_attribute(b"service.name", ValueRef::String(service.as_bytes()));
        builder.end_span(&SpanCore {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([*id; 8]),
            parent_span_id: SpanId([*parent; 8]),
            operation: b"op",
            kind: *kind,
            start_ns: start_ms * 1_000_000,
            end_ns: (start_ms + duration_ms) * 1_000_000,
            ..SpanCore::default()
        });
    }
    builder.commit().unwrap();
    builder.finish()
}

/// The trace as text: `id<parent` or `id:role`, then what was odd.
fn assembled(rows: &[Row]) -> String {
    let batches = batch(rows);
    let mut assembler = Assembler::default();
    let refs = (0..rows.len() as u32).map(|row| SpanRef { batch: 0, row });
    let trace = assembler.assemble(&batches, refs);
    let mut lines: Vec<String> = trace
        .spans
        .iter()
        .map(|s| {
            let id = s.span_id.0[0];
            match s.parent() {
                Some(p) => format!(
                    "{id}<{}{}",
                    trace.spans[p].span_id.0[0],
                    if s.kind == 2 { "s" } else { "" }
                ),
                None => format!("{id}:{:?}", s.role),
            }
        })
        .collect();
    let o = trace.oddities;
    for (name, count) in [
        ("duplicates", o.duplicates),
        ("orphans", o.orphans),
        ("cycles", o.cycles),
        ("outside", o.outside_parent),
    ] {
        if count > 0 {
            lines.push(format!("{name}={count}"));
        }
    }
    lines.join(" ")
}

#[track_caller]
fn check(rows: &[Row], expected: &str) {
    assert_eq!(assembled(rows), expected);
}

#[test]
fn parents_are_linked_in_any_order() {
    check(
        &[
            (2, 1, 10, 20, 0, "a"),
            (1, 0, 0, 100, 0, "a"),
            (3, 2, 12, 5, 0, "b"),
        ],
        "1:Root 2<1 3<2",
    );
}

#[test]
fn orphans_and_several_roots_are_told() {
    check(
        &[
            (1, 0, 0, 9, 0, "a"),
            (2, 9, 1, 2, 0, "a"),
            (3, 2, 1, 1, 0, "a"),
        ],
        "1:Root 2:Orphan 3<2 orphans=1",
    );
    check(
        &[(1, 0, 0, 9, 0, "a"), (2, 0, 1, 2, 0, "a")],
        "1:Root 2:Root",
    );
}

#[test]
fn duplicates_are_dropped() {
    check(
        &[
            (1, 0, 0, 9, 0, "a"),
            (1, 0, 0, 9, 0, "a"),
            (1, 0, 0, 9, 0, "a"),
        ],
        "1:Root duplicates=2",
    );
}

#[test]
fn a_shared_id_is_a_client_and_its_server() {
    check(
        &[
            (1, 0, 0, 50, 3, "web"),
            (1, 0, 5, 40, 2, "cart"),
            (2, 1, 6, 10, 0, "cart"),
        ],
        "1:Root 1<1s 2<1",
    );
    check(
        &[(1, 0, 0, 50, 3, "web"), (1, 0, 5, 40, 2, "web")],
        "1:Root duplicates=1",
    );
}

#[test]
fn circles_are_cut_at_the_earliest_span() {
    check(
        &[
            (1, 2, 5, 9, 0, "a"),
            (2, 3, 4, 9, 0, "a"),
            (3, 1, 6, 9, 0, "a"),
        ],
        "2:CutFromCycle 1<2 3<1 cycles=1",
    );
    check(
        &[(1, 1, 0, 9, 0, "a"), (2, 1, 0, 9, 0, "a")],
        "1:CutFromCycle 2<1 cycles=1",
    );
}

#[test]
fn children_that_stick_out_are_counted_unless_they_are_asynchronous() {
    check(
        &[(1, 0, 0, 100, 0, "a"), (2, 1, 90, 50, 0, "b")],
        "1:Root 2<1 outside=1",
    );
    check(
        &[(1, 0, 0, 100, 4, "a"), (2, 1, 90, 50, 5, "b")],
        "1:Root 2<1",
    );
    check(
        &[(1, 0, 0, 100, 0, "a"), (2, 1, 200, 50, 0, "b")],
        "1:Root 2<1",
    );
}

proptest! {
    #[test]
    fn order_does_not_matter(
        rows in prop::collection::vec((1u8..9, 0u8..9, 0u64..50, 0u64..50, 0u8..6), 1..24),
        seed in any::<u64>(),
    ) {
        let rows: Vec<Row> = rows.into_iter().map(|(i, p, s, d, k)| (i, p, s, d, k, "a")).collect();
        let mut shuffled = rows.clone();
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            state = crate::trace::index::mix(state);
            shuffled.swap(i, (state % (i as u64 + 1)) as usize);
        }
        prop_assert_eq!(assembled(&rows), assembled(&shuffled));
    }
}

#[test]
fn the_index_groups_by_trace_and_parts_cover_all() {
    let mut builder = SpanBatchBuilder::new();
    for i in 0..200u8 {
        builder.end_span(&SpanCore {
            trace_id: TraceId([i % 17 + 1; 16]),
            span_id: SpanId([i + 1; 8]),
            ..SpanCore::default()
        });
    }
    builder.commit().unwrap();
    let batches = builder.finish();
    let index = TraceIndex::build(&batches);
    let all: Vec<_> = index.traces().collect();
    assert_eq!(all.len(), 17);
    for parts in [1, 3, 17, 40] {
        let part = |part| index.part(part, parts);
        assert_eq!((0..parts).flat_map(part).collect::<Vec<_>>(), all);
        let most = (0..parts).map(|part| index.part(part, parts).count()).max();
        assert!(
            most <= Some(17usize.div_ceil(parts) + 1),
            "{parts}: {most:?}"
        );
    }
    for trace in index.traces() {
        let ids: Vec<_> = trace
            .iter()
            .map(|span| batches[0].trace_id(span.row as usize))
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
    }
}

#[test]
fn traces_come_by_start_whatever_order_their_spans_are_in() {
    let spans: [(u8, u64); 6] = [(3, 50), (1, 20), (2, 10), (3, 5), (1, 30), (4, 10)];
    let order = |spans: &[(u8, u64)]| {
        let mut builder = SpanBatchBuilder::new();
        for (trace, start_ns) in spans {
            builder.end_span(&SpanCore {
                trace_id: TraceId([*trace; 16]),
                span_id: SpanId([1; 8]),
                start_ns: *start_ns,
                ..SpanCore::default()
            });
        }
        builder.commit().unwrap();
        let batches = builder.finish();
        let index = TraceIndex::build(&batches);
        let id = |spans: &[SpanRef]| batches[0].trace_id(spans[0].row as usize).0[0];
        index.traces().map(id).collect::<Vec<_>>()
    };
    assert_eq!(order(&spans), [3, 2, 4, 1]);
    let mut reversed = spans;
    reversed.reverse();
    assert_eq!(order(&reversed), [3, 2, 4, 1]);
}
