//! What bad traces have in common, on traces whose bad ones are known.

#![expect(
    clippy::unwrap_used,
    reason = "a test of traces that cannot be read has nothing to say"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use tracediff_core::diff::{Diff, Policy, compare};
use tracediff_core::explain::{
    AttributeValue, Explanation, answer, ask, named_traces, questions, whole_traces,
};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::SpanBatch;
use tracediff_core::snapshot::{Selection, take};
use tracediff_core::trace::TraceIndex;
use tracediff_testkit::{Span, Traces, Value, plan_of};

/// Traces a side, one every tenth of a second.
const TRACES: u64 = 4_000;

const TEXT: &str = "
    web: GET /page 100ms server
      web: call 60ms client @10ms
        pricing: quote 40ms server @10ms
          pricing: apply discounts 20ms @10ms
";

/// A number that is as good as random, by the trace's.
fn random(trace: u64) -> u64 {
    let mixed = (trace ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 32).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Pods 0–3 by trace, tiers by trace, a version by side.
fn side(version: &str, make_bad: impl Fn(&mut Span, u64, &str)) -> Traces {
    let traces = Traces::parse(TEXT).repeat(TRACES, Duration::from_millis(100));
    traces.edit(|span| {
        // Far apart bits, so that pods and tiers are independent of each other.
        let random = random(span.trace);
        let (pod, tier) = (
            random >> 60 & 3,
            ["free", "gold", "basic"][(random >> 40) as usize % 3],
        );
        let text = |value: &str| Value::Text(value.to_owned());
        if span.service == "pricing" {
            span.resource
                .push(("k8s.pod.name".to_owned(), text(&format!("pricing-{pod}"))));
            span.resource
                .push(("host.name".to_owned(), text(&format!("node-{pod}"))));
            span.resource
                .push(("service.version".to_owned(), text(version)));
        } else if span.parent == 0 {
            span.attributes.push(("app.tier".to_owned(), text(tier)));
        }
        let noise = (random >> 20) % 1_001;
        span.end_ns += (span.end_ns - span.start_ns) * noise / 1_000;
        make_bad(span, pod, tier);
    })
}

fn slow(span: &mut Span) {
    // All that contains it takes as much longer.
    span.end_ns += 200_000_000;
}

struct Side {
    batches: Vec<SpanBatch>,
    index: TraceIndex,
    plan: Plan,
    facts: Facts,
}

impl Side {
    fn of(traces: &Traces) -> Self {
        let batches = vec![traces.batch()];
        let plan = plan_of(&batches);
        Self {
            index: TraceIndex::build(&batches),
            facts: take(&batches, &plan, &Selection::default()).facts,
            batches,
            plan,
        }
    }
}

/// The diff with its explanations, the traces asked in as many parts.
fn explained(sides: [&Traces; 2], parts: usize) -> (Diff, [Side; 2]) {
    let sides = sides.map(Side::of);
    let mut diff = compare(&sides[0].facts, &sides[1].facts, &Policy::default());
    let questions = questions(&diff);
    let left_out = BTreeSet::new();
    let heard = sides.each_ref().map(|side| {
        let part = |part| {
            ask(
                &side.batches,
                &side.index,
                &side.plan,
                &Selection::default(),
                &questions,
                &left_out,
                (part, parts),
            )
        };
        let mut all = part(0);
        (1..parts).for_each(|number| all.merge(part(number)));
        all
    });
    answer(&mut diff, &questions, &heard);
    (diff, sides)
}

fn of_first_culprit(diff: &Diff) -> &Explanation {
    assert_eq!(diff.culprits[0].service, "pricing");
    diff.culprits[0].explanation.as_ref().unwrap()
}

fn value(service: &str, key: &str, value: &str) -> AttributeValue {
    let [service, key, value] = [service, key, value].map(str::to_owned);
    AttributeValue {
        service,
        key,
        value,
    }
}

#[test]
fn slowness_of_one_pod_is_confined_to_it() {
    let before = side("1.4", |_, _, _| {});
    let after = side("1.4", |span, pod, _| {
        if pod == 2 {
            slow(span);
        }
    });
    let (diff, _) = explained([&before, &after], 1);
    let explanation = of_first_culprit(&diff);
    assert_eq!(
        explanation.bad,
        "pricing apply discounts takes longer than in 95 % of the baseline's traces"
    );
    let [evidence] = &explanation.attributes[..] else {
        panic!("{explanation:#?}");
    };
    // Both name the same traces; the host comes first by name.
    assert_eq!(evidence.values, [value("pricing", "host.name", "node-2")]);
    assert_eq!(
        evidence.same_as,
        [value("pricing", "k8s.pod.name", "pricing-2")]
    );
    assert!(evidence.is_confined && evidence.q < 1e-10, "{evidence:?}");
    assert!((0.95..1.05).contains(&evidence.coverage), "{evidence:?}");
    assert!((0.22..0.28).contains(&evidence.trace_ratio), "{evidence:?}");
    assert!(evidence.bad_ratio.candidate > 0.99 && evidence.bad_ratio_without.candidate < 0.1);
    let entry = diff
        .findings
        .iter()
        .find(|f| f.key == "entry_point")
        .unwrap();
    // What users notice comes with the same pod, though that is another service's.
    let of_entry = entry.explanation.as_ref().unwrap();
    assert_eq!(of_entry.attributes[0].values, evidence.values);
}

#[test]
fn a_pair_is_told_where_only_both_together_are_bad() {
    let before = side("1.4", |_, _, _| {});
    let after = side("1.4", |span, pod, tier| {
        if pod == 2 && tier == "gold" {
            slow(span);
        }
    });
    let (diff, _) = explained([&before, &after], 1);
    let explanation = of_first_culprit(&diff);
    let best = &explanation.attributes[0];
    let mut values = best.values.clone();
    values.sort();
    assert_eq!(values.len(), 2, "{explanation:#?}");
    assert_eq!(values[1], value("web", "app.tier", "gold"));
    assert_eq!(values[0].service, "pricing");
    assert!(best.coverage > 0.9 && best.trace_ratio < 0.12, "{best:?}");
}

#[test]
fn a_new_version_explains_what_came_with_it() {
    let before = side("1.4", |_, _, _| {});
    let mut after = side("1.4", |_, _, _| {});
    for span in &mut after.spans {
        // Half of the traffic.
        let is_new = random(span.trace) >> 50 & 1 == 1;
        let version = span.resource.iter_mut();
        let mut version = version.filter(|(key, _)| is_new && key == "service.version");
        if let Some((_, version)) = version.next() {
            *version = Value::Text("1.5".to_owned());
            span.is_error = span.trace.is_multiple_of(4);
        }
    }
    let (diff, _) = explained([&before, &after], 1);
    let explanation = of_first_culprit(&diff);
    let best = &explanation.attributes[0];
    assert_eq!(best.values, [value("pricing", "service.version", "1.5")]);
    assert!(best.coverage > 0.99 && !best.is_confined, "{best:?}");
    assert!((0.45..0.55).contains(&best.trace_ratio), "{best:?}");
}

#[test]
fn slowness_of_all_has_nothing_in_common() {
    let before = side("1.4", |_, _, _| {});
    let after = side("1.4", |span, _, _| slow(span));
    let (diff, _) = explained([&before, &after], 1);
    assert_eq!(of_first_culprit(&diff).attributes, []);
}

/// Pages that wait for a quote, after their stock or beside it.
const SERIAL: &str = "
    web: GET /page 200ms server
      web: check 40ms client @10ms
        stock: check 30ms server @15ms
      web: call 60ms client @60ms
        pricing: quote 40ms server @70ms
";
const SERIAL_SLOW: &str = "
    web: GET /page 300ms server
      web: check 40ms client @10ms
        stock: check 30ms server @15ms
      web: call 160ms client @60ms
        pricing: quote 140ms server @70ms
";
const BESIDE: &str = "
    web: GET /page 200ms server
      web: call 60ms client @10ms
        pricing: quote 40ms server @20ms
      web: check 160ms client @10ms
        stock: check 140ms server @20ms
";
const BESIDE_SLOW: &str = "
    web: GET /page 300ms server
      web: call 260ms client @10ms
        pricing: quote 240ms server @20ms
      web: check 160ms client @10ms
        stock: check 140ms server @20ms
";

/// What is recovered and what is on the critical path, as shares of the change, were pricing as fast as before.
fn restored(texts: [&str; 2]) -> [f64; 2] {
    let [before, after] =
        texts.map(|text| Traces::parse(text).repeat(1_000, Duration::from_millis(400)));
    let (diff, _) = explained([&before, &after], 2);
    let what_if = diff.culprits[0].what_if.as_ref().unwrap();
    assert_eq!(what_if.node.service, "pricing");
    assert_eq!(
        (what_if.requests.baseline, what_if.requests.candidate),
        (1_000, 1_000)
    );
    [what_if.recovered_ratio, what_if.subtracted_ratio].map(Option::unwrap)
}

#[test]
fn what_would_be_recovered_depends_on_what_runs_beside() {
    let is_near = |x: [f64; 2], y: [f64; 2]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-6);
    let serial = restored([SERIAL, SERIAL_SLOW]);
    assert!(is_near(serial, [1.0, 1.0]), "{serial:?}");
    // All 240 ms of the quote are on the critical path now, where the check was: the check takes over again.
    let beside = restored([BESIDE, BESIDE_SLOW]);
    assert!(is_near(beside, [1.0, 2.4]), "{beside:?}");
}

#[test]
fn parts_are_asked_to_the_same_answers() {
    let before = side("1.4", |_, _, _| {});
    let after = side("1.4", |span, pod, _| {
        if pod == 2 {
            slow(span);
        }
    });
    let sides = [&before, &after];
    let (whole, _) = explained(sides, 1);
    let (parts, _) = explained(sides, 3);
    assert_eq!(whole.culprits, parts.culprits);
    assert_eq!(whole.findings, parts.findings);
}

#[test]
fn named_traces_can_be_kept_whole() {
    let before = side("1.4", |_, _, _| {});
    let after = side("1.4", |span, pod, _| {
        if pod == 2 {
            slow(span);
        }
    });
    let (diff, sides) = explained([&before, &after], 1);
    let explanation = of_first_culprit(&diff);
    let named = named_traces(&diff, 2);
    assert_eq!(named[0][0], *explanation.matched.as_ref().unwrap());
    assert_eq!(named[1][0], *explanation.typical.as_ref().unwrap());
    assert_eq!(named_traces(&diff, 0), [Vec::<String>::new(), Vec::new()]);
    let side = &sides[1];
    let found = whole_traces(
        &side.batches,
        &side.index,
        &side.plan,
        &named[1],
        "candidate",
    );
    assert_eq!(found.len(), named[1].len());
    let typical = &found[&named[1][0]];
    assert_eq!(typical.spans.len(), 4);
    let root = &typical.spans[0];
    let critical: i64 = typical.spans.iter().map(|s| s.critical_ns).sum();
    assert_eq!(critical as u64, root.duration_ns);
    let pod = typical.spans[2]
        .attributes
        .iter()
        .find(|a| a.key == "k8s.pod.name");
    assert_eq!(pod.unwrap().value, "pricing-2");
}

#[test]
fn strata_count_every_request_and_sample_each() {
    let before = side("1.4", |_, _, _| {});
    let after = side("1.4", |span, pod, _| {
        span.is_error = pod == 1 && span.parent == 0;
    });
    let diff = compare(
        &Side::of(&before).facts,
        &Side::of(&after).facts,
        &Policy::default(),
    );
    let total = |side: usize| -> u64 {
        let traces = diff
            .requests
            .iter()
            .map(|s| [s.traces.baseline, s.traces.candidate][side]);
        traces.sum()
    };
    assert_eq!([total(0), total(1)], [TRACES, TRACES]);
    let failed = diff.requests.iter().filter(|s| s.is_failed);
    let failed: u64 = failed.map(|s| s.traces.candidate).sum();
    assert!((900..1_100).contains(&failed), "{failed}");
    let median = diff.requests.iter().filter(|s| s.to_share == 0.5);
    let below: u64 = median.map(|s| s.traces.baseline).sum();
    // To the width of a band of durations.
    assert!((1_900..3_000).contains(&below), "{below}");
    assert!(
        diff.requests
            .iter()
            .all(|s| s.exemplars.candidate.len() <= 4)
    );
}
