//! What is asked of the store: traces that a query touches, chosen columns, counts, one trace of many segments, and what
//! there is to ask about. Every answer is compared with that of the same spans in memory.

#![expect(
    clippy::unwrap_used,
    reason = "a test of a store that fails has nothing to say"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tracediff_core::model::{Projection, SpanBatch, TraceId, Window};
use tracediff_core::query::{Matcher, Query};
use tracediff_store::{Ask, Counts, Encoding, Offer, Request, Settings, Store, Wanted, once};
use tracediff_testkit::{Traces, Value};
use tracediff_wire::encode_otlp_protobuf;

const TEXT: &str = "
    web: GET /page 100ms server
      web: call 60ms client @10ms
        pricing: quote 40ms server @10ms
";

/// Traces a second apart that differ in what a query can ask for.
fn traces(first: u64, count: u64) -> SpanBatch {
    Traces::parse(TEXT)
        .repeat(count, Duration::from_secs(1))
        .edit(|span| {
            span.trace += first;
            let number = span.trace;
            span.attributes
                .push(("tier".to_owned(), Value::Int((number % 7) as i64)));
            if number.is_multiple_of(50) && span.service == "pricing" {
                span.attributes
                    .push(("plan".to_owned(), Value::Text("gold".to_owned())));
                span.end_ns = span.start_ns + 90_000_000;
            }
        })
        .batch()
}

/// A store with segments and a head, and all that it holds.
async fn store(folder: &Path) -> (Store, Vec<SpanBatch>) {
    let mut all = Vec::new();
    for part in 0..4 {
        let settings = Settings {
            head_age: Duration::from_secs(3_600),
            ..Settings::new(folder)
        };
        let (store, _) = Store::open(settings).await.unwrap();
        let batch = traces(part * 4_000, 4_000);
        let request = Request {
            encoding: Encoding::OtlpProtobuf,
            bytes: &encode_otlp_protobuf(&batch),
            zstd: None,
        };
        store.append(request).await.unwrap();
        all.push(batch);
        if part == 3 {
            let readings = store.readings();
            assert_eq!((readings.segments, readings.head_spans), (3, 12_000));
            return (store, all);
        }
        store.close();
    }
    unreachable!("the last one is returned")
}

type Spans = BTreeSet<(TraceId, [u8; 8])>;

fn ids(batches: &[SpanBatch], keeps: impl Fn(&SpanBatch, usize) -> bool) -> Spans {
    let mut ids = Spans::new();
    for batch in batches {
        for row in (0..batch.len()).filter(|row| keeps(batch, *row)) {
            let is_new = ids.insert((batch.trace_id(row), batch.span_id(row).0));
            assert!(is_new, "a span is there twice");
        }
    }
    ids
}

fn query(text: &str) -> Query {
    Query::parse(text).unwrap()
}

/// A window from one second of the traces to another, in seconds after the first trace begins.
fn seconds(all: &[SpanBatch], from: i64, to: i64) -> Window {
    let starts = all
        .iter()
        .flat_map(|b| (0..b.len()).map(|row| b.start_ns(row)));
    let first = starts.min().unwrap();
    Window::new(first + from * 1_000_000_000, first + to * 1_000_000_000).unwrap()
}

const QUERIES: [&str; 7] = [
    "plan = \"gold\"",
    "service = \"pricing\" and duration > 80ms",
    "tier in (\"1\", \"3\")",
    "not (tier < 5)",
    "root = true",
    "operation = \"no such thing\"",
    "kind = client or plan = \"gold\"",
];

#[tokio::test]
async fn a_query_brings_in_whole_traces() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = store(folder.path()).await;
    for text in QUERIES {
        for (from, to, margin) in [(-10, 5_000, 0), (700, 2_100, 0), (700, 703, 2)] {
            let window = seconds(&all, from, to);
            let around = seconds(&all, from - margin, to + margin);
            let matcher = Matcher::new(&query(text));
            let matches: Vec<_> = all.iter().map(|b| matcher.matching_rows(b)).collect();
            let mut touched = BTreeSet::new();
            for (batch, rows) in all.iter().zip(&matches) {
                let inside = |row: &usize| window.contains(batch.start_ns(*row));
                touched.extend(
                    rows.set_indices()
                        .filter(inside)
                        .map(|row| batch.trace_id(row)),
                );
            }
            let expected = ids(&all, |batch, row| {
                touched.contains(&batch.trace_id(row)) && around.contains(batch.start_ns(row))
            });
            let wanted = Wanted {
                query: Some(query(text)),
                around,
                projection: Projection::of_traces().with_attributes(["tier"]),
                ..Wanted::all(window, 5_000)
            };
            let reading = store.read(wanted).await.unwrap();
            assert!(reading.parts() > 1);
            let mut found = Vec::new();
            for number in 0..reading.parts() {
                found.extend(reading.part(number).await.unwrap());
            }
            assert_eq!(
                ids(&found, |_, _| true),
                expected,
                "{text}, {from} to {to} seconds"
            );
            check_columns(&found, &all);
        }
    }
}

/// What was asked for is there, and of what was not nothing has to be.
fn check_columns(found: &[SpanBatch], all: &[SpanBatch]) {
    let mut known = BTreeMap::new();
    for batch in all {
        for row in 0..batch.len() {
            known.insert((batch.trace_id(row), batch.span_id(row)), (batch, row));
        }
    }
    let tier = |batch: &SpanBatch, row| {
        let columns = batch.columns_of("tier");
        columns
            .iter()
            .find_map(|c| c.column.text(row).map(str::to_owned))
    };
    for batch in found {
        for row in 0..batch.len() {
            let (original, at) = known[&(batch.trace_id(row), batch.span_id(row))];
            assert_eq!(tier(batch, row), tier(original, at));
            assert_eq!(batch.duration_ns(row), original.duration_ns(at));
            assert_eq!(batch.service().text(row), original.service().text(at));
            assert_eq!(batch.parent_span_id(row), original.parent_span_id(at));
        }
    }
}

#[tokio::test]
async fn parts_are_worked_on_by_all_cores_and_come_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = store(folder.path()).await;
    let wanted = Wanted::all(seconds(&all, -10, 5_000), 2_000);
    let reading = store.read(wanted).await.unwrap();
    let mut one_by_one = Vec::new();
    for number in 0..reading.parts() {
        one_by_one.push(ids(&reading.part(number).await.unwrap(), |_, _| true));
    }
    let together = tokio::task::spawn_blocking(move || {
        reading.on_all_cores(|batches| ids(&batches, |_, _| true))
    });
    assert_eq!(together.await.unwrap().unwrap(), one_by_one);
    assert_eq!(one_by_one.iter().map(BTreeSet::len).sum::<usize>(), 48_000);
}

#[tokio::test]
async fn counts_are_those_of_the_spans() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = store(folder.path()).await;
    let again = Request {
        encoding: Encoding::OtlpProtobuf,
        bytes: &encode_otlp_protobuf(&traces(0, 30)),
        zstd: None,
    };
    store.append(again).await.unwrap();
    let window = seconds(&all, 0, 100);
    for text in QUERIES {
        let matcher = Matcher::new(&query(text));
        let mut expected = Counts::default();
        for batch in &all {
            let inside = |row: &usize| window.contains(batch.start_ns(*row));
            let rows: Vec<usize> = matcher
                .matching_rows(batch)
                .set_indices()
                .filter(inside)
                .collect();
            expected.spans += (0..batch.len()).filter(inside).count() as u64;
            expected.matching += rows.len() as u64;
            let traces: BTreeSet<TraceId> = rows.iter().map(|row| batch.trace_id(*row)).collect();
            expected.traces += traces.len() as u64;
        }
        assert_eq!(
            store.count(Some(query(text)), window).await.unwrap(),
            expected,
            "{text}"
        );
    }
    let counts = store.count(None, window).await.unwrap();
    assert_eq!((counts.spans, counts.matching), (1_200, 1_200));
    assert_eq!(counts.traces, 400);
}

#[tokio::test]
async fn a_trace_is_found_in_the_segments_that_hold_it_and_in_the_head() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = store(folder.path()).await;
    for batch in &all {
        for row in (0..batch.len()).step_by(997) {
            let id = batch.trace_id(row);
            let found = once(store.trace(id).await.unwrap());
            let expected = ids(&all, |batch, row| batch.trace_id(row) == id);
            assert_eq!(ids(&found, |_, _| true), expected);
        }
    }
    for other in 0..200 {
        assert!(store.trace(TraceId([other; 16])).await.unwrap().is_empty());
    }
}

fn offered(offer: Offer) -> String {
    let texts = offer.texts.iter();
    let texts: Vec<String> = texts.map(|c| format!("{} {}", c.text, c.spans)).collect();
    let more = if offer.has_more { ", more" } else { "" };
    format!("{}{more}", texts.join(", "))
}

#[tokio::test]
async fn what_there_is_to_ask_about_is_offered_with_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = store(folder.path()).await;
    let ask = |prefix: &str, limit| Ask {
        window: seconds(&all, -10, 5_000),
        prefix: prefix.to_owned(),
        limit,
    };
    let everything = ask("", 10);
    let services = store.services(&everything).await.unwrap();
    assert_eq!(offered(services), "web 32000, pricing 16000");
    let operations = store.operations(None, &everything).await.unwrap();
    assert_eq!(
        offered(operations),
        "GET /page 16000, call 16000, quote 16000"
    );
    let operations = store.operations(Some("web"), &ask("", 1)).await.unwrap();
    assert_eq!(offered(operations), "GET /page 16000, more");
    let operations = store.operations(Some("web"), &ask("CA", 5)).await.unwrap();
    assert_eq!(offered(operations), "call 16000");
    let keys = store.attribute_keys(&everything).await.unwrap();
    assert_eq!(offered(keys), "tier 48000, plan 320");
    let values = store.attribute_values("tier", &ask("", 3)).await.unwrap();
    assert_eq!(offered(values), "1 6858, 2 6858, 3 6858, more");
    let window = seconds(&all, 0, 70);
    let of_window = Ask {
        window,
        ..everything
    };
    let values = store.attribute_values("tier", &of_window).await.unwrap();
    assert_eq!(values.texts.iter().map(|c| c.spans).sum::<u64>(), 840);
    let values = store.attribute_values("plan", &of_window).await.unwrap();
    assert!(offered(values).starts_with("gold "));
    let none = store.attribute_values("nothing", &of_window).await.unwrap();
    assert_eq!(offered(none), "");
}
