//! Wrong clocks in the simulated shop: how far each is off is found, told, and taken out of the call tree.

#![expect(
    clippy::unwrap_used,
    reason = "a shop that cannot be simulated has nothing to say"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracediff_core::diff::{Policy, compare};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::SpanBatch;
use tracediff_core::paths::{Clocks, NodeKind};
use tracediff_core::snapshot::{Selection, estimate_clocks, take};
use tracediff_core::trace::TraceIndex;
use tracediff_simulate::{Settings, simulate};
use tracediff_testkit::{Traces, plan_of};

/// The shop for three minutes, its clocks off by so much.
fn shop(clock_skew_us: f64) -> Vec<SpanBatch> {
    let settings = Settings {
        minutes: 3.0,
        clock_skew_us,
        ..Settings::default()
    };
    simulate(&settings).unwrap()
}

fn estimated(batches: &[SpanBatch]) -> Option<Arc<Clocks>> {
    let slicing = plan_of(batches).slicing;
    estimate_clocks(batches, &TraceIndex::build(batches), &slicing)
}

fn facts(batches: &[SpanBatch], clocks: Option<Arc<Clocks>>) -> Facts {
    let plan = Plan {
        clocks,
        ..plan_of(batches)
    };
    take(batches, &plan, &Selection::default()).facts
}

/// How far ahead every host's clock is, in nanoseconds: the same spans, with wrong and with right clocks.
fn true_skews(wrong: &[SpanBatch], right: &[SpanBatch]) -> BTreeMap<String, i64> {
    let mut skews = BTreeMap::new();
    for (wrong, right) in wrong.iter().zip(right) {
        let hosts = wrong.columns_of("host.name")[0].column.clone();
        for row in 0..wrong.len() {
            let skew = wrong.start_ns(row) - right.start_ns(row);
            skews.insert(hosts.text(row).unwrap().to_owned(), skew);
        }
    }
    skews
}

#[test]
fn offsets_of_the_shop_are_found() {
    let (wrong, right) = (shop(20_000.0), shop(0.0));
    let skews = true_skews(&wrong, &right);
    assert_eq!(skews.len(), 6);
    let clocks = estimated(&wrong).unwrap();
    for minute in 0..3 {
        let start_ns = wrong[0].start_ns(0) + minute * 60_000_000_000;
        for (a, ahead_a) in &skews {
            for (b, ahead_b) in &skews {
                let found = clocks.between(a, b, start_ns).unwrap();
                let missed_ns = found.abs_diff(ahead_a - ahead_b);
                assert!(missed_ns < 300_000, "{a} {b}: {found}, {missed_ns} off");
            }
        }
    }
}

#[test]
fn clocks_that_are_right_are_left_alone() {
    assert_eq!(estimated(&shop(0.0)), None);
}

/// The sum over all paths of how far the critical-path time per path differs, in nanoseconds.
fn moved_ns(a: &Facts, b: &Facts) -> f64 {
    let (a, b) = (a.paths().nodes(), b.paths().nodes());
    let of = |node: Option<&tracediff_core::paths::PathNode>| {
        node.map_or(0.0, |node| node.total.critical_ns)
    };
    let ids = a.keys().chain(b.keys().filter(|id| !a.contains_key(*id)));
    ids.map(|id| (of(a.get(id)) - of(b.get(id))).abs()).sum()
}

/// A call of another host without a client span, beside work of its caller's own.
fn traces(stock_ahead_ms: u64) -> Vec<SpanBatch> {
    let text = "
     web: GET / 100ms server resource:host.name=one
       web: call 35ms client @5ms resource:host.name=one
         stock: read 25ms server @5ms resource:host.name=two
       stock: reserve 20ms server @50ms resource:host.name=two
       web: render 20ms internal @72ms resource:host.name=one";
    let traces = Traces::parse(text).repeat(60, Duration::from_secs(1));
    let traces = traces.edit(|span| {
        if span.service == "stock" {
            span.start_ns += stock_ahead_ms * 1_000_000;
            span.end_ns += stock_ahead_ms * 1_000_000;
        }
    });
    vec![traces.batch()]
}

#[test]
fn what_is_known_of_clocks_puts_calls_without_a_client_span_in_their_place() {
    let (wrong, right) = (traces(25), traces(0));
    let truth = facts(&right, estimated(&right));
    // By the wrong clock the reservation runs beside the rendering, and fits into its parent there.
    assert!(moved_ns(&facts(&wrong, None), &truth) > 0.0);
    assert_eq!(moved_ns(&facts(&wrong, estimated(&wrong)), &truth), 0.0);
}

#[test]
fn every_nanosecond_stays_in_the_call_tree() {
    let (wrong, right) = (shop(20_000.0), shop(0.0));
    let corrected = facts(&wrong, estimated(&wrong));
    let nodes = corrected.paths().nodes();
    for (id, request) in corrected.paths().requests() {
        let parts = nodes
            .values()
            .filter(|n| n.top == *id && n.is_awaited && n.label.kind != NodeKind::Request);
        let critical: f64 = parts.map(|n| n.total.critical_ns).sum();
        let whole = request.total.duration_ns;
        assert!((critical - whole).abs() <= 1e-9 * whole);
    }
    // In the shop every call has a client span with room around its answer, so clocks cannot move any of its time.
    assert_eq!(moved_ns(&corrected, &facts(&right, None)), 0.0);
}

#[test]
fn wrong_clocks_are_told() {
    let (wrong, right) = (shop(20_000.0), shop(0.0));
    let skews = true_skews(&wrong, &right);
    let sides = [
        facts(&right, estimated(&right)),
        facts(&wrong, estimated(&wrong)),
    ];
    let quality = compare(&sides[0], &sides[1], &Policy::default()).quality;
    assert_eq!(quality.baseline.corrected_clocks, 0);
    assert!(quality.baseline.clock_offsets.is_empty());
    let clocks = &quality.candidate.clock_offsets;
    // One of the six is what the others are compared with.
    assert_eq!((quality.candidate.corrected_clocks, clocks.len()), (5, 5));
    assert!(clocks.is_sorted_by_key(|c| std::cmp::Reverse(c.offset_ns.abs())));
    for clock in clocks {
        let expected_ns = skews[&clock.compared_with] - skews[&clock.host];
        assert!(clock.offset_ns.abs_diff(expected_ns) < 300_000, "{clock:?}");
    }
    let warned: Vec<_> = quality
        .warnings
        .iter()
        .filter(|w| w.code == "clocks_differ")
        .collect();
    assert_eq!(warned.len(), 1);
    assert!(warned[0].message.contains(&clocks[0].host), "{warned:?}");
}
