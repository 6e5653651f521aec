//! How requests are made up: what is told of simulated incidents, and of small traces.

#![expect(
    clippy::unwrap_used,
    reason = "traffic that cannot be made has nothing to say"
)]

use std::time::Duration;

use tracediff_core::diff::StructureKind::{self, *};
use tracediff_core::diff::{Diff, Policy, StructureDiff, compare};
use tracediff_core::facts::Facts;
use tracediff_core::model::SpanBatch;
use tracediff_core::snapshot::{Selection, take};
use tracediff_simulate::{Incident, IncidentKind, Settings, Topology};
use tracediff_testkit::{Traces, plan_of};

const MINUTES: f64 = 6.0;
/// Traces a side, one a second.
const TRACES: u64 = 120;

fn facts(batches: &[SpanBatch]) -> Facts {
    take(batches, &plan_of(batches), &Selection::default()).facts
}

fn diff(sides: [&[SpanBatch]; 2]) -> Diff {
    let [a, b] = sides.map(facts);
    compare(&a, &b, &Policy::default())
}

/// The shop before and after an incident.
fn incident(kind: IncidentKind) -> StructureDiff {
    let incident = Incident::in_shop(kind);
    let shop = Topology::shop();
    let settings = |side: u64| Settings {
        seed: 40 + side,
        minutes: MINUTES,
        rate_per_second: 12.0,
        start_ns: Settings::default().start_ns + side * (MINUTES * 60e9) as u64,
        ..Settings::default()
    };
    let before = incident.baseline(&shop, &settings(0)).unwrap();
    let after = incident.candidate(&shop, &settings(1)).unwrap();
    let [before, after] = [before, after].map(|side| side.into_batches().unwrap());
    diff([&before, &after]).structure
}

/// Two texts, each many times over.
fn texts(before: &str, after: &str) -> StructureDiff {
    let [before, after] = [before, after].map(|text| {
        let traces = Traces::parse(text).repeat(TRACES, Duration::from_secs(1));
        vec![traces.batch()]
    });
    diff([&before, &after]).structure
}

fn sentences(structure: &StructureDiff) -> Vec<(StructureKind, &str)> {
    let changes = structure.changes.iter();
    changes.map(|c| (c.kind, c.sentence.as_str())).collect()
}

#[test]
fn quiet_sides_and_slow_ones_are_made_up_alike() {
    for kind in [
        IncidentKind::Healthy,
        IncidentKind::SlowService,
        IncidentKind::SlowLink,
        IncidentKind::CpuStarvation,
        IncidentKind::MixShift,
        IncidentKind::SamplingRate,
    ] {
        assert_eq!(incident(kind), StructureDiff::default(), "{kind:?}");
    }
}

#[test]
fn an_added_call_is_new_and_moves_the_sets_of_children() {
    let structure = incident(IncidentKind::AddedCall);
    let [change] = &structure.changes[..] else {
        panic!("{structure:#?}");
    };
    assert_eq!(change.kind, NewCall);
    assert!(
        change
            .sentence
            .starts_with("search GET /search now calls pricing shop.Pricing/QuoteMany (")
    );
    assert!(change.values.baseline == 0.0 && change.p.unwrap() < 1e-100);
    let [shift] = &structure.branching[..] else {
        panic!("{structure:#?}");
    };
    assert_eq!(shift.parent, change.parent);
    assert!(shift.distance > 0.99 && shift.expected < 0.05, "{shift:?}");
    let new = shift.sets.iter().find(|s| s.ratio.candidate > 0.9).unwrap();
    let children = new.children.as_ref().unwrap();
    assert!(
        children.contains(change.child.as_ref().unwrap()),
        "{children:?}"
    );
}

#[test]
fn repeated_calls_are_told_by_why_they_are_repeated() {
    let sure = [
        (IncidentKind::NPlusOne, NPlusOne),
        (IncidentKind::RetryStorm, Retries),
        (IncidentKind::RemovedCache, LostCache),
    ];
    for (kind, expected) in sure {
        let structure = incident(kind);
        let kinds: Vec<StructureKind> = structure.changes.iter().map(|c| c.kind).collect();
        assert!(kinds.contains(&expected), "{kind:?}: {structure:#?}");
        let others = [NewCall, MissingCall, Moved, Renamed, Wrapped];
        assert!(!kinds.iter().any(|k| others.contains(k)), "{structure:#?}");
    }
}

#[test]
fn what_is_told_by_other_spans_is_neither_new_nor_gone() {
    let rename = incident(IncidentKind::Rename);
    assert_eq!(
        sentences(&rename),
        [(
            Renamed,
            "below frontend GET /product/{id}, inventory shop.Inventory/GetStock is called inventory \
             shop.Inventory/GetStockV2 now"
        )]
    );
    let wrap = incident(IncidentKind::Wrap);
    assert!(wrap.changes.iter().all(|c| c.kind == Wrapped), "{wrap:#?}");
    assert_eq!(wrap.changes.len(), 3);
    let lost = incident(IncidentKind::LostInstrumentation);
    assert!(
        lost.changes.iter().all(|c| c.kind == InstrumentationLost),
        "{lost:#?}"
    );
    assert_eq!(lost.changes.len(), 2);
}

const SIDE_BY_SIDE: &str = "
    web: GET /page 100ms server
      web: load user 40ms @5ms
      web: load cart 50ms @6ms
";

const ONE_AFTER_THE_OTHER: &str = "
    web: GET /page 100ms server
      web: load user 40ms @5ms
      web: load cart 50ms @46ms
";

#[test]
fn serial_for_parallel_and_back() {
    let serial = texts(SIDE_BY_SIDE, ONE_AFTER_THE_OTHER);
    assert_eq!(
        sentences(&serial),
        [(
            SerialForParallel,
            "web GET /page makes its calls one after the other and no longer side by side (side by side in 100 % → 0 % \
             of calls)"
        )]
    );
    let parallel = texts(ONE_AFTER_THE_OTHER, SIDE_BY_SIDE);
    assert_eq!(parallel.changes[0].kind, ParallelForSerial);
    // A slower child runs beside the other as before.
    let slower = SIDE_BY_SIDE.replace("50ms", "90ms");
    assert_eq!(texts(SIDE_BY_SIDE, &slower).changes, []);
}

#[test]
fn a_call_that_another_part_makes_now_is_moved() {
    let before = "
        web: GET /page 100ms server
          web: load user 40ms @5ms
            web: select 10ms client @5ms
          web: load cart 30ms @50ms
    ";
    let after = "
        web: GET /page 100ms server
          web: load user 40ms @5ms
          web: load cart 30ms @50ms
            web: select 10ms client @5ms
    ";
    assert_eq!(
        sentences(&texts(before, after)),
        [(
            Moved,
            "web load cart calls select now, which web load user did before"
        )]
    );
    let direct = "
        web: GET /page 100ms server
          web: select 10ms client @5ms
    ";
    let through = "
        web: GET /page 100ms server
          web: repository 40ms @5ms
            web: select 10ms client @5ms
    ";
    assert_eq!(texts(direct, through).changes[0].kind, Wrapped);
    let unwrapped = texts(through, direct);
    assert_eq!(
        sentences(&unwrapped),
        [(
            Unwrapped,
            "web GET /page calls select directly now, no longer through repository"
        )]
    );
}

#[test]
fn parents_that_run_side_by_side_are_counted_each() {
    let after_each_other = "
        web: GET /page 100ms server
          web: load item 40ms @5ms
            web: select 5ms client @1ms
            web: select 5ms client @11ms
            web: select 5ms client @21ms
          web: load item 40ms @50ms
            web: select 5ms client @1ms
            web: select 5ms client @11ms
            web: select 5ms client @21ms
    ";
    // Their children come in turns.
    let side_by_side = after_each_other.replace("@50ms", "@8ms");
    let structure = texts(after_each_other, &side_by_side);
    let kinds: Vec<StructureKind> = structure.changes.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [ParallelForSerial], "{structure:#?}");
}
