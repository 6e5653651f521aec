//! Call trees of both sides, path by path, on small traces.

use std::time::Duration;

use tracediff_core::diff::{CallTreeDiff, Policy, compare_call_trees};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{Slicing, Window};
use tracediff_core::snapshot::{Selection, take};
use tracediff_testkit::Traces;

const SECOND: i64 = 1_000_000_000;

fn facts_of(traces: &Traces) -> Facts {
    let starts = || traces.spans.iter().map(|span| span.start_ns as i64);
    let window = Window::new(starts().min().unwrap_or(0), starts().max().unwrap_or(0) + 1);
    let plan = Plan {
        slicing: Slicing::cut(&window.into_iter().collect::<Vec<_>>(), 10 * SECOND),
        group_by: Vec::new(),
        paths: true,
        clocks: None,
    };
    take(&[traces.batch()], &plan, &Selection::default()).facts
}

/// One text 120 times, one a second, with durations that vary by a few percent.
fn many(text: &str) -> Traces {
    let traces = Traces::parse(text).repeat(120, Duration::from_secs(1));
    traces.edit(|span| {
        let noise = (span.trace * 7_919 + span.id * 104_729) % 101;
        span.end_ns += (span.end_ns - span.start_ns) * noise / 2_000;
    })
}

/// A line for each path: what it is, traces of both sides, its change in milliseconds.
fn lines(tree: &CallTreeDiff) -> String {
    let line = |path: &tracediff_core::diff::PathDiff| {
        let depth = std::iter::successors(path.parent, |at| tree.paths[*at].parent).count();
        let traces = |side: Option<tracediff_core::diff::PathSide>| side.map_or(0.0, |s| s.traces);
        let change = path
            .change_ns
            .map_or("-".to_owned(), |ns| format!("{:+.0} ms", ns / 1e6 + 0.0));
        let sure = if path.is_significant { " *" } else { "" };
        format!(
            "{}{:?} {} {} {}: {}/{} {change}{sure}",
            "  ".repeat(depth),
            path.kind,
            path.service,
            path.peer,
            path.operation,
            traces(path.baseline),
            traces(path.candidate),
        )
    };
    tree.paths.iter().map(line).collect::<Vec<_>>().join("\n")
}

const BASELINE: &str = "
web: GET / 100ms server
  web: call 50ms client @10ms
    cart: get 40ms server @5ms
";
const CANDIDATE: &str = "
web: GET / 150ms server
  web: call 100ms client @10ms
    cart: get 90ms server @5ms
      cart: read 10ms client @5ms db.system.name=redis
";

#[test]
fn paths_of_both_sides_with_what_changed_on_the_critical_path() {
    let (a, b) = (facts_of(&many(BASELINE)), facts_of(&many(CANDIDATE)));
    let tree = compare_call_trees(&a, &b, &Policy::default());
    assert_eq!(
        (tree.baseline_traces, tree.candidate_traces),
        (120.0, 120.0)
    );
    let expected = "
Request web cart: get GET /: 120/120 +0 ms
  Work web  GET /: 120/120 +0 ms
    Edge web cart get: 120/120 +0 ms
      Work cart  get: 120/120 +41 ms *
        Dependency cart redis read: 0/120 +10 ms *
";
    assert_eq!(lines(&tree), expected.trim());
}

#[test]
fn the_same_on_both_sides_is_no_change() {
    let facts = facts_of(&many(BASELINE));
    let tree = compare_call_trees(&facts, &facts, &Policy::default());
    assert!(tree.paths.iter().all(|path| !path.is_significant));
    assert!(
        tree.paths
            .iter()
            .all(|path| path.baseline == path.candidate)
    );
    assert!(tree.paths.iter().any(|path| path.change_ns == Some(0.0)));
}

#[test]
fn a_side_without_traces_has_no_change() {
    let facts = facts_of(&many(BASELINE));
    let none = take(
        &[],
        &Plan {
            slicing: facts.slicing().clone(),
            group_by: Vec::new(),
            paths: true,
            clocks: None,
        },
        &Selection::default(),
    )
    .facts;
    let tree = compare_call_trees(&none, &facts, &Policy::default());
    assert_eq!(tree.baseline_traces, 0.0);
    assert!(!tree.paths.is_empty());
    assert!(
        tree.paths
            .iter()
            .all(|path| path.baseline.is_none() && path.change_ns.is_none())
    );
}
