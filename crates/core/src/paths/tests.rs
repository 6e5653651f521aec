use proptest::prelude::*;

use super::clocks::{ClockReader, known_clocks};
use super::*;
use crate::model::{SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};
use crate::trace::{Assembler, SpanRef, Trace};

const MS: i64 = 1_000_000;

/// A span: id, parent (0 is none), start and end in ms, kind, service.
type Row = (u8, u8, i64, i64, u8, &'static str);

fn batch(rows: &[Row]) -> Vec<SpanBatch> {
    let mut builder = SpanBatchBuilder::new();
    for (id, parent, start, end, kind, service) in rows {
        builder.begin_resource();
        builder.resource_attribute(b"service.name", ValueRef::String(service.as_bytes()));
        builder.end_span(&SpanCore {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([*id; 8]),
            parent_span_id: SpanId([*parent; 8]),
            operation: format!("op{id}").as_bytes(),
            kind: *kind,
            start_ns: ((1_000 + start) * MS) as u64,
            end_ns: ((1_000 + end) * MS) as u64,
            ..SpanCore::default()
        });
    }
    builder.commit().unwrap();
    builder.finish()
}

fn with_anatomy<T>(
    rows: &[Row],
    clocks: &[(&str, i64)],
    look: impl FnOnce(&Trace<'_>, &Anatomy) -> T,
) -> T {
    let batches = batch(rows);
    let mut assembler = Assembler::default();
    let refs = (0..rows.len() as u32).map(|row| SpanRef { batch: 0, row });
    let trace = assembler.assemble(&batches, refs);
    let services: Vec<u32> = trace
        .spans
        .iter()
        .map(|s| {
            let id = s.span_id.0[0];
            let service = rows.iter().find(|r| r.0 == id).unwrap().5;
            u32::from(service.as_bytes()[0])
        })
        .collect();
    let mut anatomy = Anatomy::default();
    let mut reader = ClockReader::new(known_clocks(clocks), &batches);
    let clocks = reader.read(&trace).filter(|_| !clocks.is_empty());
    anatomy.dissect(&trace, &services, clocks);
    look(&trace, &anatomy)
}

/// `id exclusive/critical` in ms by id; an asterisk marks what is asynchronous.
fn dissected(rows: &[Row]) -> String {
    dissected_by_clocks(rows, &[])
}

fn dissected_by_clocks(rows: &[Row], clocks: &[(&str, i64)]) -> String {
    with_anatomy(rows, clocks, |trace, anatomy| {
        let mut lines: Vec<(u8, String)> = trace
            .spans
            .iter()
            .zip(anatomy.parts())
            .map(|(span, part)| {
                let (exclusive, critical) = (part.exclusive_ns / MS, part.critical_ns / MS);
                let mark = if part.is_async { "*" } else { "" };
                let id = span.span_id.0[0];
                (id, format!("{id}{mark} {exclusive}/{critical}"))
            })
            .collect();
        lines.sort();
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        lines.join(", ")
    })
}

#[test]
fn the_last_to_end_is_critical() {
    // Worked out by hand: 2 and 3 run side by side, 3 ends last; 4 follows both.
    let rows = [
        (1, 0, 0, 100, 2, "a"),
        (2, 1, 10, 40, 1, "a"),
        (3, 1, 20, 60, 1, "a"),
        (4, 1, 70, 90, 1, "a"),
    ];
    // Free of children: 0–10, 60–70, 90–100. Critical: 4 from 70, 3 from 20, and before that the root itself, since 2
    // ran beside 3.
    assert_eq!(dissected(&rows), "1 30/40, 2 30/0, 3 40/40, 4 20/20");
}

#[test]
fn calls_nest() {
    // A client of 50 ms around a server of 30 ms: 20 ms on the way, 10 of the server's in its database.
    let rows = [
        (1, 0, 0, 100, 2, "a"),
        (2, 1, 20, 70, 3, "a"),
        (3, 2, 30, 60, 2, "b"),
        (4, 3, 40, 50, 3, "b"),
    ];
    assert_eq!(dissected(&rows), "1 50/50, 2 20/20, 3 20/20, 4 10/10");
}

#[test]
fn a_clock_that_is_off_moves_no_time() {
    // The same, with the other host's clock 500 ms fast, and 500 ms slow.
    for skew in [500, -500] {
        let rows = [
            (1, 0, 0, 100, 2, "a"),
            (2, 1, 20, 70, 3, "a"),
            (3, 2, 30 + skew, 60 + skew, 2, "b"),
            (4, 3, 40 + skew, 50 + skew, 3, "b"),
        ];
        assert_eq!(
            dissected(&rows),
            "1 50/50, 2 20/20, 3 20/20, 4 10/10",
            "{skew}"
        );
    }
}

#[test]
fn a_known_clock_puts_answers_where_they_were() {
    // The clock of b is 35 ms ahead. The first answer, at 12–22, still seems to be inside its call, and alone would stay
    // there; the second, at 7–47, would be put into the middle of its call.
    let rows = [
        (1, 0, 0, 100, 2, "a"),
        (2, 1, 10, 90, 3, "a"),
        (3, 2, 12 + 35, 22 + 35, 2, "b"),
        (4, 1, 5, 50, 3, "a"),
        (5, 4, 7 + 35, 47 + 35, 2, "b"),
    ];
    let starts = |clocks: &[(&str, i64)]| {
        with_anatomy(&rows, clocks, |trace, anatomy| {
            let place = |id: u8| trace.spans.iter().position(|s| s.span_id.0[0] == id);
            [3, 5].map(|id| anatomy.parts()[place(id).unwrap()].start_ns / MS - 1_000)
        })
    };
    assert_eq!(starts(&[("a", 0), ("b", -35 * MS)]), [12, 7]);
    assert_eq!(starts(&[]), [47, 7]);
    // Nothing is known of a: the rule for one trace is left.
    assert_eq!(starts(&[("b", -35 * MS)]), [47, 7]);
    // What still sticks out is put inside: 2.5 ms, half of what is left of the call, after its start.
    assert_eq!(starts(&[("a", 0), ("b", -45 * MS)]), [45, 7]);
}

#[test]
fn spans_of_one_host_move_together() {
    // c runs where b runs, and its clock is that of b.
    let rows = [
        (1, 0, 0, 100, 3, "a"),
        (2, 1, 510, 590, 2, "b"),
        (3, 2, 520, 530, 2, "c"),
    ];
    let clocks = [("a", 0), ("b", -500 * MS), ("c", -500 * MS)];
    with_anatomy(&rows, &clocks, |trace, anatomy| {
        let starts = anatomy.parts().iter().map(|p| p.start_ns / MS - 1_000);
        assert_eq!(starts.collect::<Vec<_>>(), [0, 10, 20], "{trace:?}");
    });
}

#[test]
fn a_clock_tells_who_is_waited_for() {
    // Without kinds, a child far behind its parent's end looks like one that nobody waits for.
    let rows = [(1, 0, 0, 50, 0, "a"), (2, 1, 110, 130, 0, "b")];
    assert_eq!(dissected(&rows), "1 50/50, 2* 20/20");
    let clocks = [("a", 0), ("b", -100 * MS)];
    assert_eq!(dissected_by_clocks(&rows, &clocks), "1 30/30, 2 20/20");
    // And the other way round.
    let rows = [(1, 0, 0, 50, 0, "a"), (2, 1, 10, 30, 0, "b")];
    assert_eq!(dissected(&rows), "1 30/30, 2 20/20");
    let clocks = [("a", 0), ("b", 100 * MS)];
    assert_eq!(dissected_by_clocks(&rows, &clocks), "1 50/50, 2* 20/20");
}

#[test]
fn nobody_waits_for_messages() {
    let rows = [
        (1, 0, 0, 100, 2, "a"),
        (2, 1, 20, 30, 4, "a"),
        (3, 2, 40, 240, 5, "b"),
        (4, 1, 90, 150, 1, "a"),
    ];
    // The consumer, and what goes on after its parent's end, are trees of their own.
    assert_eq!(dissected(&rows), "1 90/90, 2 10/10, 3* 200/200, 4* 60/60");
}

#[test]
fn a_server_that_outlives_its_client_is_clipped() {
    let rows = [(1, 0, 0, 50, 3, "a"), (2, 1, 5, 105, 2, "b")];
    assert_eq!(dissected(&rows), "1 0/0, 2 50/50");
}

#[test]
fn fragments_and_circles_have_trees_of_their_own() {
    let rows = [
        (1, 0, 0, 100, 2, "a"),
        (2, 9, 10, 40, 1, "a"),
        (3, 2, 20, 30, 1, "a"),
        (4, 5, 50, 80, 1, "a"),
        (5, 4, 60, 70, 1, "a"),
    ];
    assert_eq!(
        dissected(&rows),
        "1 100/100, 2 20/20, 3 10/10, 4 20/20, 5 10/10"
    );
}

/// The critical path found another way: backwards in steps of 1 ms, into whichever child ends just there.
fn slow_critical(
    parts: &[Part],
    children: &[Vec<usize>],
    index: usize,
    low: i64,
    high: i64,
    out: &mut [i64],
) {
    let mut now = high;
    while now > low {
        let ended = children[index]
            .iter()
            .copied()
            .filter(|c| {
                let c = &parts[*c];
                !c.is_async && c.end_ns.min(high) == now && c.start_ns < now && c.end_ns > low
            })
            // As the fast one: the later end before clipping, then the later start, then the smaller index.
            .max_by_key(|c| (parts[*c].end_ns, parts[*c].start_ns, std::cmp::Reverse(*c)));
        match ended {
            Some(child) => {
                let start = parts[child].start_ns.max(low);
                slow_critical(parts, children, child, start, now, out);
                now = start;
            }
            None => {
                out[index] += MS;
                now -= MS;
            }
        }
    }
}

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    // Durations below 100 ms, so that siblings may not overlap on the critical path at all: 1 % is below a step.
    let row = (
        0u8..14,
        -20i64..90,
        0i64..60,
        0u8..6,
        prop::sample::select(vec!["a", "b", "c"]),
    );
    prop::collection::vec(row, 1..14).prop_map(|rows| {
        let numbered = (1u8..).zip(rows);
        numbered
            .map(|(id, (parent, start, length, kind, service))| {
                (id, parent, start, start + length, kind, service)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn critical_paths_add_up_and_agree_with_the_slow_way(
        rows in any_rows(),
        offsets in prop::collection::vec(-80i64..80, 0..4),
    ) {
        let of_host = |(host, ms): (&&'static str, &i64)| (*host, ms * MS);
        let clocks: Vec<(&str, i64)> = ["a", "b", "c"].iter().zip(&offsets).map(of_host).collect();
        with_anatomy(&rows, &clocks, |trace, anatomy| {
            let parts = anatomy.parts();
            let children: Vec<Vec<usize>> = (0..parts.len())
                .map(|i| anatomy.children(i).iter().map(|c| *c as usize).collect())
                .collect();
            let mut slow = vec![0; parts.len()];
            let mut whole = 0;
            for (i, part) in parts.iter().enumerate() {
                let is_top = trace.spans[i].parent().is_none() || part.is_async;
                if is_top {
                    whole += part.duration_ns();
                    slow_critical(parts, &children, i, part.start_ns, part.end_ns, &mut slow);
                }
                assert!(part.critical_ns >= 0 && part.exclusive_ns >= 0);
                assert!(part.exclusive_ns <= part.duration_ns());
            }
            let critical: Vec<i64> = parts.iter().map(|p| p.critical_ns).collect();
            assert_eq!(critical.iter().sum::<i64>(), whole);
            // Halves of milliseconds come up where skew is centred; steps of 1 ms then miss the ends.
            if parts.iter().all(|p| p.start_ns % MS == 0 && p.end_ns % MS == 0) {
                assert_eq!(critical, slow);
            }
        });
    }
}
