//! The service graph, on small traces: what is a node, an edge, a call and a failure, and what changed.

#![expect(
    clippy::unwrap_used,
    reason = "a test of traces that cannot be read has nothing to say"
)]

use std::time::Duration;

use tracediff_core::diff::{
    Diff, GraphChange, GraphComparison, GraphDiff, GraphSide, Policy, compare,
};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{Slicing, Window};
use tracediff_core::snapshot::{Selection, take};
use tracediff_testkit::{Span, Traces};

const SECOND: i64 = 1_000_000_000;
/// Traces a side, one a second, in slices of ten seconds.
const TRACES: u64 = 120;

fn facts_of(traces: &Traces, paths: bool) -> Facts {
    let starts = || traces.spans.iter().map(|span| span.start_ns as i64);
    let window = Window::new(starts().min().unwrap(), starts().max().unwrap() + 1).unwrap();
    let plan = Plan {
        slicing: Slicing::cut(&[window], 10 * SECOND),
        group_by: Vec::new(),
        paths,
        clocks: None,
    };
    take(&[traces.batch()], &plan, &Selection::default()).facts
}

fn diff_of(baseline: &Traces, candidate: &Traces) -> Diff {
    let (a, b) = (facts_of(baseline, true), facts_of(candidate, true));
    compare(&a, &b, &Policy::default())
}

fn graph_of(baseline: &Traces, candidate: &Traces) -> GraphDiff {
    diff_of(baseline, candidate).graph.unwrap()
}

/// One text many times, with durations that vary by a few percent.
fn many(text: &str) -> Traces {
    let traces = Traces::parse(text).repeat(TRACES, Duration::from_secs(1));
    traces.edit(|span| {
        let noise = (span.trace * 7_919 + span.id * 104_729) % 101;
        span.end_ns += (span.end_ns - span.start_ns) * noise / 2_000;
    })
}

fn node_name(name: &str, is_dependency: bool) -> String {
    if is_dependency {
        format!("[{name}]")
    } else {
        name.to_owned()
    }
}

/// A line for each node and edge by name, with what `tell` says of it.
fn lines(graph: &GraphDiff, tell: impl Fn(&GraphComparison) -> String) -> String {
    let nodes = graph.nodes.iter().map(|n| {
        let name = node_name(&n.name, n.is_dependency);
        format!("{name}: {}", tell(&n.comparison))
    });
    let edges = graph.edges.iter().map(|e| {
        let arrow = if e.is_async { "~>" } else { "->" };
        let callee = node_name(&e.callee, e.is_dependency);
        format!("{} {arrow} {callee}: {}", e.caller, tell(&e.comparison))
    });
    let (mut nodes, mut edges): (Vec<_>, Vec<_>) = (nodes.collect(), edges.collect());
    nodes.sort();
    edges.sort();
    nodes.append(&mut edges);
    nodes.join("\n")
}

fn changes(graph: &GraphDiff) -> String {
    lines(graph, |c| format!("{:?}", c.change))
}

/// The graph of one set of traces: calls, failures, traces, calls per trace, and the mean time.
fn graph_text(text: &str) -> String {
    let traces = Traces::parse(text);
    let graph = graph_of(&traces, &traces);
    lines(&graph, |c| {
        let side: &GraphSide = c.baseline.as_ref().unwrap();
        let time = side.time.as_ref().map_or("no time".to_owned(), |time| {
            format!("{} ms", time.mean_ns / 1e6)
        });
        format!(
            "{} calls, {} failed, {} traces, {:.2} a trace, {time}",
            side.calls, side.errors, side.traces, side.per_trace
        )
    })
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(graph_text(text), expected.join("\n"));
}

#[test]
fn calls_have_a_span_on_both_ends() {
    // 100 ms less the client's 50 at the web; 50 less 30 on the way; 30 less the database's 10 at the cart.
    check(
        "
         web: GET /cart 100ms server
           web: call 50ms client @20ms
             cart: load 30ms server @10ms
               cart: query 10ms client @5ms db.system.name=redis
         web: GET /cart 100ms server",
        "
         [redis]: 1 calls, 0 failed, 1 traces, 0.50 a trace, 10 ms
         cart: 1 calls, 0 failed, 1 traces, 0.50 a trace, 20 ms
         web: 2 calls, 0 failed, 2 traces, 1.00 a trace, 75 ms
         cart -> [redis]: 1 calls, 0 failed, 1 traces, 0.50 a trace, 10 ms
         web -> cart: 1 calls, 0 failed, 1 traces, 0.50 a trace, 20 ms",
    );
}

#[test]
fn operations_of_one_edge_count_together() {
    check(
        "
         web: GET /cart 100ms server
           web: call 20ms client
             cart: load 10ms server
           web: call 20ms client @30ms
             cart: save 10ms server @5ms",
        "
         cart: 2 calls, 0 failed, 1 traces, 2.00 a trace, 10 ms
         web: 1 calls, 0 failed, 1 traces, 1.00 a trace, 60 ms
         web -> cart: 2 calls, 0 failed, 1 traces, 2.00 a trace, 10 ms",
    );
}

#[test]
fn without_a_client_span_the_edge_has_no_time() {
    check(
        "
         web: GET /cart 100ms server
           cart: load 30ms server error @10ms
             cart: parse 10ms internal @10ms",
        "
         cart: 1 calls, 1 failed, 1 traces, 1.00 a trace, 30 ms
         web: 1 calls, 0 failed, 1 traces, 1.00 a trace, 70 ms
         web -> cart: 1 calls, 1 failed, 1 traces, 1.00 a trace, no time",
    );
}

#[test]
fn messages_are_edges_without_a_time() {
    check(
        "
         web: POST /order 100ms server
           web: send order 10ms producer @20ms
             mail: receive order 200ms consumer error @50ms",
        "
         mail: 1 calls, 1 failed, 1 traces, 1.00 a trace, 200 ms
         web: 1 calls, 0 failed, 1 traces, 1.00 a trace, 90 ms
         web ~> mail: 1 calls, 0 failed, 1 traces, 1.00 a trace, no time",
    );
}

#[test]
fn a_message_that_nobody_receives_goes_to_its_topic() {
    check(
        "
         web: POST /order 100ms server
           web: send 10ms producer messaging.destination.name=orders",
        "
         [orders]: 1 calls, 0 failed, 1 traces, 1.00 a trace, 10 ms
         web: 1 calls, 0 failed, 1 traces, 1.00 a trace, 90 ms
         web ~> [orders]: 1 calls, 0 failed, 1 traces, 1.00 a trace, 10 ms",
    );
}

#[test]
fn a_failed_call_is_the_callers() {
    // The client gave up; the server noticed nothing.
    check(
        "
         web: GET /cart 60ms server
           web: call 50ms client error
             cart: load 45ms server",
        "
         cart: 1 calls, 0 failed, 1 traces, 1.00 a trace, 45 ms
         web: 1 calls, 0 failed, 1 traces, 1.00 a trace, 10 ms
         web -> cart: 1 calls, 1 failed, 1 traces, 1.00 a trace, 5 ms",
    );
}

#[test]
fn of_call_spans_around_each_other_the_innermost_calls() {
    check(
        "
         web: GET /cart 60ms server
           web: rpc 50ms client peer.service=elsewhere
             web: http 45ms client
               cart: load 40ms server",
        "
         cart: 1 calls, 0 failed, 1 traces, 1.00 a trace, 40 ms
         web: 1 calls, 0 failed, 1 traces, 1.00 a trace, 15 ms
         web -> cart: 1 calls, 0 failed, 1 traces, 1.00 a trace, 5 ms",
    );
}

#[test]
fn a_service_may_call_itself() {
    check(
        "
         web: GET /cart 60ms server
           web: call 50ms client
             web: GET /part 40ms server",
        "
         web: 2 calls, 0 failed, 1 traces, 2.00 a trace, 25 ms
         web -> web: 1 calls, 0 failed, 1 traces, 1.00 a trace, 10 ms",
    );
}

/// Of the last two of three traces the second client span and what is below it, so that calls vary from trace to trace.
fn every_third(traces: Traces) -> Traces {
    let mut traces = traces;
    traces
        .spans
        .retain(|span: &Span| span.id < 4 || span.trace.is_multiple_of(3));
    traces
}

const ONE_CALL: &str = "
    web: GET /cart 100ms server
      web: call 20ms client @5ms
        cart: load 10ms server @3ms
      web: call 20ms client @35ms
        cart: load 10ms server @3ms";

const TWO_CALLS: &str = "
    web: GET /cart 100ms server
      web: call 20ms client @5ms
        cart: load 10ms server @3ms
      web: call 20ms client @35ms
        cart: load 10ms server @3ms
      web: call 20ms client @65ms
        cart: load 10ms server @3ms";

#[test]
fn a_new_edge_a_gone_service_and_messages() {
    let before = many(
        "
         web: GET /cart 100ms server
           web: call 20ms client
             cart: load 10ms server
               cart: query 2ms client db.system.name=redis
           web: call 20ms client @40ms
             ads: list 10ms server @5ms",
    );
    let after = many(
        "
         web: GET /cart 100ms server
           web: call 20ms client
             cart: load 10ms server
               cart: query 2ms client db.system.name=redis
               cart: send 0.1ms producer @5ms
                 mail: receive 10ms consumer @7ms",
    );
    let graph = graph_of(&before, &after);
    // Without the wait for ads the web works longer by itself.
    let expected = "
        [redis]: Unchanged
        ads: Gone
        cart: Unchanged
        mail: New
        web: Changed
        cart -> [redis]: Unchanged
        cart ~> mail: New
        web -> ads: Gone
        web -> cart: Unchanged";
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(changes(&graph), expected.join("\n"));
    // Two edges of four are the same.
    assert_eq!(graph.summary.jaccard, Some(0.5));
    let (nodes, edges) = (graph.summary.nodes, graph.summary.edges);
    assert_eq!((nodes.new, nodes.gone, nodes.changed), (1, 1, 1));
    assert_eq!((edges.new, edges.gone, edges.unchanged), (1, 1, 2));
    let new = graph.edges.iter().find(|e| e.callee == "mail").unwrap();
    let side = new.comparison.candidate.as_ref().unwrap();
    assert_eq!((side.calls, side.examples.len()), (TRACES, 3));
    assert!(new.comparison.baseline.is_none() && new.comparison.p.unwrap() < 1e-9);
}

#[test]
fn a_changed_rate_is_told_with_its_factor() {
    let (before, after) = (every_third(many(ONE_CALL)), many(TWO_CALLS));
    let graph = graph_of(&before, &after);
    let edge = &graph.edges[0];
    assert_eq!(edge.comparison.change, GraphChange::Changed);
    let calls = edge.comparison.calls.unwrap();
    // One call, two in every third trace, against three.
    assert!(
        (calls.factor.unwrap() - 9.0 / 4.0).abs() < 1e-9,
        "{calls:?}"
    );
    assert!((graph.summary.jaccard.unwrap() - 4.0 / 9.0).abs() < 1e-9);
}

#[test]
fn a_changed_rate_without_any_spread_is_told_too() {
    let graph = graph_of(&many(ONE_CALL), &many(TWO_CALLS));
    assert_eq!(graph.edges[0].comparison.change, GraphChange::Changed);
}

#[test]
fn once_is_not_enough() {
    let one = Traces::parse(
        "
         web: GET /cart 100ms server
           web: call 20ms client
             rare: load 10ms server",
    );
    let common = many("web: GET /cart 100ms server");
    let graph = graph_of(&common, &common.clone().and(one));
    assert_eq!(
        changes(&graph),
        "rare: Inconclusive\nweb: Unchanged\nweb -> rare: Inconclusive"
    );
    assert_eq!(graph.summary.jaccard, Some(0.0));
}

#[test]
fn failures_and_slowness_change_nodes_and_edges() {
    let text = |ms: u64| {
        many(&format!(
            "
             web: GET /cart 100ms server
               web: call 20ms client
                 cart: load {ms}ms server"
        ))
    };
    let before = text(5);
    // The server takes 15 ms of the same 20, so there is less on the way; and every third call fails.
    let after = text(15).edit(|span| span.is_error = span.id == 2 && span.trace.is_multiple_of(3));
    assert_eq!(
        changes(&graph_of(&before, &after)),
        "cart: Changed\nweb: Unchanged\nweb -> cart: Changed"
    );
}

#[test]
fn a_graph_without_edges_has_no_similarity() {
    let traces = many("web: GET /cart 100ms server");
    assert_eq!(graph_of(&traces, &traces).summary.jaccard, None);
}

#[test]
fn without_the_call_tree_there_is_no_graph() {
    let traces = many("web: GET /cart 100ms server");
    let (with, without) = (facts_of(&traces, true), facts_of(&traces, false));
    assert!(compare(&with, &without, &Policy::default()).graph.is_none());
}

#[test]
fn large_graphs_are_cut_where_nothing_changed() {
    // 300 services that the web calls; those called less often come last, and the last is new.
    let star = |count: usize| {
        let mut text = String::from("web: GET /cart 900ms server\n");
        for number in 0..count {
            for _ in 0..=(usize::from(number < 150)) {
                text += &format!("  web: call 2ms client @{number}ms\n");
                text += &format!("    s{number:03}: load 1ms server\n");
            }
        }
        Traces::parse(&text).repeat(60, Duration::from_secs(1))
    };
    let graph = graph_of(&star(299), &star(300));
    assert_eq!((graph.nodes.len(), graph.nodes_left_out), (200, 101));
    assert_eq!((graph.edges.len(), graph.edges_left_out), (199, 101));
    let is_new = |c: &GraphComparison| c.change == GraphChange::New;
    assert!(graph.nodes.iter().any(|n| is_new(&n.comparison)));
    assert!(graph.edges.iter().any(|e| is_new(&e.comparison)));
    let per_trace = |c: &GraphComparison| c.candidate.as_ref().unwrap().per_trace;
    assert!(
        graph
            .edges
            .is_sorted_by(|a, b| per_trace(&a.comparison) >= per_trace(&b.comparison))
    );
    assert_eq!((graph.summary.nodes.new, graph.summary.edges.new), (1, 1));
}
