//! Changes of the mix on small traces: what is another mix is no regression, and what is one beside it still is.

#![expect(
    clippy::unwrap_used,
    reason = "a test of traces that cannot be read has nothing to say"
)]

use std::time::Duration;

use tracediff_core::diff::{Diff, GroupDiff, Judgement, Policy, Verdict, compare};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{Slicing, Window};
use tracediff_core::snapshot::{Selection, take};
use tracediff_testkit::Traces;

const SECOND: i64 = 1_000_000_000;
/// Traces a side, four a second, in slices of twenty seconds.
const TRACES: u64 = 800;

fn facts_of(traces: &Traces) -> Facts {
    let starts = || traces.spans.iter().map(|span| span.start_ns as i64);
    let window = Window::new(starts().min().unwrap(), starts().max().unwrap() + 1).unwrap();
    let plan = Plan {
        slicing: Slicing::cut(&[window], 20 * SECOND),
        group_by: Vec::new(),
        paths: true,
        clocks: None,
    };
    take(&[traces.batch()], &plan, &Selection::default()).facts
}

fn diff_of(baseline: &Traces, candidate: &Traces) -> Diff {
    compare(
        &facts_of(baseline),
        &facts_of(candidate),
        &Policy::default(),
    )
}

/// One text many times, with durations that vary by a few percent.
fn many(text: &str, count: u64) -> Traces {
    let every = Duration::from_millis(250 * TRACES / count);
    let traces = Traces::parse(text).repeat(count, every);
    traces.edit(|span| {
        let noise = (span.trace * 7_919 + span.id * 104_729) % 101;
        span.end_ns += (span.end_ns - span.start_ns) * noise / 500;
    })
}

fn group<'a>(diff: &'a Diff, key: &str, value: &str) -> &'a GroupDiff {
    let key = diff.keys.iter().find(|k| k.key == key).unwrap();
    key.groups.iter().find(|g| g.value == value).unwrap()
}

fn check_mix(judgement: &Judgement) {
    assert!(judgement.is_mix, "{judgement:?}");
    assert_eq!(judgement.verdict, Verdict::NoMaterialChange);
    // The pooled change is there: only on the paths it is not.
    assert!(
        judgement.p.unwrap() < 0.01 && judgement.p_within > Some(0.05),
        "{judgement:?}"
    );
}

/// A regression, looked at within the parts.
fn check_regressed(judgement: &Judgement) {
    assert_eq!(judgement.verdict, Verdict::Regressed, "{judgement:?}");
    assert!(
        !judgement.is_mix && judgement.p_within < Some(0.01),
        "{judgement:?}"
    );
}

fn regressions(diff: &Diff) -> Vec<&str> {
    let worse = diff
        .findings
        .iter()
        .filter(|f| f.verdict == Verdict::Regressed);
    worse.map(|f| f.id.as_str()).collect()
}

/// A shop with a page that hardly ever fails and one of which every so many traces fails; each `common` times as often
/// as the other's share.
fn two_pages(sound: u64, failing: u64, fails_every: u64) -> Traces {
    let page = |name: &str, count, every: u64| {
        let text = format!("shop: {name} 20ms server app.plan=free\n  shop: load 5ms @2ms");
        let traces = many(&text, count);
        traces.edit(|span| span.is_error = span.trace % every == 0)
    };
    page("GET /news", sound, 400).and(page("GET /cart", failing, fails_every))
}

#[test]
fn a_page_that_fails_more_and_is_asked_more_is_another_mix() {
    let diff = diff_of(&two_pages(600, 200, 10), &two_pages(200, 600, 10));
    check_mix(&group(&diff, "service", "shop").errors.judgement);
    check_mix(&group(&diff, "operation", "load").errors.judgement);
    assert_eq!(regressions(&diff), [] as [&str; 0]);
    // Attributes have no paths; nothing that has some says the same.
    assert!(group(&diff, "app.plan", "free").errors.judgement.is_mix);
}

#[test]
fn a_page_that_fails_more_is_a_regression_in_another_mix_too() {
    let diff = diff_of(&two_pages(600, 200, 10), &two_pages(200, 600, 3));
    check_regressed(&group(&diff, "service", "shop").errors.judgement);
    check_regressed(&group(&diff, "endpoint", "shop: GET /cart").errors.judgement);
    assert_eq!(
        group(&diff, "app.plan", "free").errors.judgement.verdict,
        Verdict::Regressed
    );
}

const CHARGED: &str = "
    shop: POST /orders 30ms server
      shop: pay.Pay/Charge 12ms client @5ms
        pay: pay.Pay/Charge 8ms server @2ms
    ";
const SILENT: &str = "
    shop: POST /orders 30ms server
      shop: pay.Pay/Charge 12ms client @5ms
    ";

#[test]
fn an_operation_of_which_one_end_fell_silent_is_not_slower() {
    let diff = diff_of(&many(CHARGED, TRACES), &many(SILENT, TRACES));
    check_mix(
        &group(&diff, "operation", "pay.Pay/Charge")
            .latency
            .judgement,
    );
    assert_eq!(regressions(&diff), [] as [&str; 0]);
    let slow = SILENT.replace("30ms", "50ms").replace("12ms", "32ms");
    let diff = diff_of(&many(CHARGED, TRACES), &many(&slow, TRACES));
    check_regressed(
        &group(&diff, "operation", "pay.Pay/Charge")
            .latency
            .judgement,
    );
}

const PLAIN: &str = "
    shop: GET /cart 20ms server
      shop: load 3ms @2ms
      shop: render 12ms @6ms
    ";
const WRAPPED: &str = "
    shop: GET /cart 20ms server
      shop: middleware 20ms
        shop: load 3ms @2ms
        shop: render 12ms @6ms
    ";

#[test]
fn a_span_around_others_makes_no_service_slower() {
    let diff = diff_of(&many(PLAIN, TRACES), &many(WRAPPED, TRACES));
    check_mix(&group(&diff, "service", "shop").latency.judgement);
    assert_eq!(regressions(&diff), [] as [&str; 0]);
    let slow = WRAPPED.replace("20ms", "30ms").replace("12ms", "22ms");
    let diff = diff_of(&many(PLAIN, TRACES), &many(&slow, TRACES));
    check_regressed(&group(&diff, "service", "shop").latency.judgement);
}

#[test]
fn a_heavy_tail_hides_no_slower_median_where_the_mix_stayed() {
    // A tenth takes between one and a thousand seconds: the mean says nothing of 5 ms more.
    let traffic = |duration: &str, count_from: u64| {
        let traces = many(&format!("shop: GET /cart {duration} server"), TRACES);
        traces.edit(|span| {
            let number = span.trace + count_from;
            if number % 10 == 3 {
                span.end_ns = span.start_ns + 10_u64.pow((9 + number / 10 % 4) as u32);
            }
        })
    };
    let diff = diff_of(&traffic("10ms", 0), &traffic("15ms", 50));
    let judgement = &group(&diff, "service", "shop").latency.judgement;
    assert_eq!(judgement.verdict, Verdict::Regressed, "{judgement:?}");
    assert_eq!((judgement.p_within, judgement.is_mix), (None, false));
}
