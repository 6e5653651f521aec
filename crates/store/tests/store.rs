//! What is appended is there: in the head, in segments, after merges, after the store was opened again, and once.

#![expect(
    clippy::unwrap_used,
    reason = "a test of a store that fails has nothing to say"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracediff_core::model::{SpanBatch, TraceId, Window};
use tracediff_store::{AppendError, Encoding, Request, Settings, Store, Wanted, once};
use tracediff_testkit::{Traces, Value};
use tracediff_wire::{encode_otlp_json, encode_otlp_protobuf};

const TEXT: &str = "
    web: GET /page 100ms server
      web: call 60ms client @10ms
        pricing: quote 40ms server @10ms error
";

fn settings(folder: &Path) -> Settings {
    Settings {
        // Only what a test asks for happens.
        head_age: Duration::from_secs(3_600),
        ..Settings::new(folder)
    }
}

fn request(bytes: &[u8]) -> Request<'_> {
    Request {
        encoding: Encoding::OtlpProtobuf,
        bytes,
        zstd: None,
    }
}

/// How often every span is there, by trace and span id.
type Counts = BTreeMap<(TraceId, [u8; 8]), usize>;

fn counts(batches: &[SpanBatch]) -> Counts {
    let mut counts = Counts::new();
    for batch in batches {
        for row in 0..batch.len() {
            *counts
                .entry((batch.trace_id(row), batch.span_id(row).0))
                .or_default() += 1;
        }
    }
    counts
}

async fn all(store: &Store, part_spans: u64) -> Counts {
    let window = Window::new(0, i64::MAX).unwrap();
    let reading = store.read(Wanted::all(window, part_spans)).await.unwrap();
    let mut batches = Vec::new();
    for number in 0..reading.parts() {
        batches.extend(once(reading.part(number).await.unwrap()));
    }
    counts(&batches)
}

#[tokio::test]
async fn what_is_appended_is_there_at_once_and_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let batch = Traces::parse(TEXT)
        .repeat(50, Duration::from_millis(20))
        .batch();
    let bytes = encode_otlp_protobuf(&batch);
    let expected = counts(std::slice::from_ref(&batch));
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert_eq!(recovery.requests, 0);
    let appended = store.append(request(&bytes)).await.unwrap();
    assert_eq!((appended.spans, appended.rejected), (150, 0));
    assert_eq!(all(&store, 1_000).await, expected);
    assert_eq!(store.readings().head_spans, 150);
    store.close();
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert_eq!(
        recovery.requests, 0,
        "closing has moved everything into segments"
    );
    assert_eq!(store.readings().segment_spans, 150);
    assert_eq!(all(&store, 1_000).await, expected);
    let id = batch.trace_id(7);
    let trace = counts(&store.trace(id).await.unwrap());
    assert_eq!(trace.len(), 3);
    assert!(trace.keys().all(|(of, _)| *of == id));
    assert_eq!(store.trace(TraceId([9; 16])).await.unwrap().len(), 0);
}

#[tokio::test]
async fn spans_that_come_after_the_settle_time_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ns = since.as_nanos() as u64;
    // One trace ends now, the others a minute apart before: of three spans each, all but the last trace's are late.
    let batch = Traces::parse(TEXT)
        .repeat(4, Duration::from_secs(60))
        .edit(|span| {
            let length_ns = span.end_ns - span.start_ns;
            span.start_ns = now_ns - (4 - span.trace) * 60_000_000_000;
            span.end_ns = span.start_ns + length_ns;
        })
        .batch();
    let appended = store.append(request(&encode_otlp_protobuf(&batch))).await;
    let appended = appended.unwrap();
    assert_eq!((appended.spans, appended.late), (12, 9));
    assert_eq!(store.readings().late_spans, 9);
    assert_eq!(
        all(&store, 1_000).await.len(),
        12,
        "they count all the same"
    );
}

#[tokio::test]
async fn columns_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let batch = Traces::parse(TEXT)
        .repeat(20, Duration::from_millis(20))
        .batch();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    store
        .append(request(&encode_otlp_protobuf(&batch)))
        .await
        .unwrap();
    store.close();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    let id = batch.trace_id(0);
    let keep: Vec<bool> = (0..batch.len())
        .map(|row| batch.trace_id(row) == id)
        .collect();
    let [read] = &store.trace(id).await.unwrap()[..] else {
        panic!("one batch is expected");
    };
    assert_eq!(
        encode_otlp_json(read),
        encode_otlp_json(&batch.filter(&keep))
    );
}

#[tokio::test]
async fn parts_hold_whole_traces_and_all_of_them_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    let batch = Traces::parse(TEXT)
        .repeat(9_000, Duration::from_millis(20))
        .batch();
    store
        .append(request(&encode_otlp_protobuf(&batch)))
        .await
        .unwrap();
    let window = Window::new(0, i64::MAX).unwrap();
    let reading = store.read(Wanted::all(window, 6_000)).await.unwrap();
    assert!(reading.parts() > 1, "{reading:?}");
    let mut seen = Counts::new();
    for number in 0..reading.parts() {
        let part = counts(&reading.part(number).await.unwrap());
        let mut traces: BTreeMap<TraceId, usize> = BTreeMap::new();
        part.keys()
            .for_each(|(trace, _)| *traces.entry(*trace).or_default() += 1);
        assert!(traces.values().all(|spans| *spans == 3));
        for (span, count) in part {
            assert_eq!(seen.insert(span, count), None);
        }
    }
    assert_eq!(seen, counts(&[batch]));
}

#[tokio::test]
async fn segments_are_merged_and_a_span_that_was_sent_again_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = encode_otlp_protobuf(
        &Traces::parse(TEXT)
            .repeat(40, Duration::from_millis(20))
            .batch(),
    );
    for number in 0..8 {
        let (store, _) = Store::open(settings(folder.path())).await.unwrap();
        store.append(request(&text)).await.unwrap();
        let distinct = Traces::parse(TEXT).repeat(number + 50, Duration::from_millis(20));
        let last = distinct
            .edit(|span| span.trace += 1_000 * (number + 1))
            .batch();
        store
            .append(request(&encode_otlp_protobuf(&last)))
            .await
            .unwrap();
        store.close();
    }
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    while store.readings().segments > 1 {
        tokio::task::yield_now().await;
    }
    let readings = store.readings();
    let distinct: u64 = (0..8).map(|number| 3 * (number + 50)).sum();
    assert_eq!(
        (readings.segments, readings.segment_spans),
        (1, distinct + 120)
    );
    let all = all(&store, 100).await;
    assert_eq!(all.len() as u64, distinct + 120);
    assert!(all.values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_span_that_is_twice_in_a_request_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    let bytes = encode_otlp_protobuf(&Traces::parse(TEXT).batch());
    store
        .append(request(&[&bytes[..], &bytes].concat()))
        .await
        .unwrap();
    assert_eq!(
        all(&store, 10).await.into_values().collect::<Vec<_>>(),
        [1, 1, 1]
    );
}

#[tokio::test]
async fn attributes_whose_columns_have_one_name_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::parse(TEXT).edit(|span| {
        span.attributes = vec![
            ("code".to_owned(), Value::Int(5)),
            ("code:int".to_owned(), Value::Text("five".to_owned())),
        ];
    });
    let batch = traces.batch();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    store
        .append(request(&encode_otlp_protobuf(&batch)))
        .await
        .unwrap();
    store.close();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    let read = store.trace(batch.trace_id(0)).await.unwrap();
    assert_eq!(encode_otlp_json(&read[0]), encode_otlp_json(&batch));
}

#[tokio::test]
async fn a_malformed_request_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    let mut bytes = encode_otlp_protobuf(&Traces::parse(TEXT).batch());
    bytes.truncate(bytes.len() - 3);
    let error = store.append(request(&bytes)).await.unwrap_err();
    assert!(matches!(error, AppendError::Malformed(_)), "{error:?}");
    assert_eq!(all(&store, 10).await.len(), 0);
    store.close();
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert_eq!((recovery.requests, store.readings().segment_spans), (0, 0));
}

#[tokio::test]
async fn producers_are_asked_to_wait_when_too_much_is_not_in_segments() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        max_unflushed_bytes: 1,
        head_bytes: u64::MAX,
        ..settings(folder.path())
    };
    let (store, _) = Store::open(settings).await.unwrap();
    let bytes = encode_otlp_protobuf(&Traces::parse(TEXT).batch());
    store.append(request(&bytes)).await.unwrap();
    let error = store.append(request(&bytes)).await.unwrap_err();
    assert!(matches!(error, AppendError::Busy { .. }), "{error:?}");
    assert_eq!(store.readings().refused_requests, 1);
}

#[tokio::test]
async fn a_folder_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    let error = Store::open(settings(folder.path())).await.unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    store.close();
    let error = store.append(request(&[])).await.unwrap_err();
    assert!(
        matches!(error, AppendError::Unavailable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn keys_that_are_ids_share_a_column_and_merging_goes_on() {
    const KEYS: u64 = 600;
    let folder = tempfile::tempdir().unwrap();
    let batch = |number: u64| {
        let mut span = 0;
        let traces = Traces::parse(TEXT).repeat(KEYS / 3, Duration::from_millis(20));
        let traces = traces.edit(|one| {
            one.trace += 1_000 * number;
            let key = format!("cart.{}", KEYS * number + span);
            one.attributes = vec![
                (key, Value::Int(span as i64)),
                ("shop.region".to_owned(), Value::Text("eu".to_owned())),
            ];
            span += 1;
        });
        traces.batch()
    };
    let columns = |batch: &SpanBatch| -> Vec<String> {
        let columns = batch.attribute_columns().iter();
        columns.map(|column| column.key.clone()).collect()
    };
    // A head of two requests has more of them than a segment may, seven more segments have others.
    for number in 0..8 {
        let (store, _) = Store::open(settings(folder.path())).await.unwrap();
        for part in 0..2 {
            let bytes = encode_otlp_protobuf(&batch(2 * number + part));
            store.append(request(&bytes)).await.unwrap();
        }
        store.close();
        if number == 0 {
            let (store, _) = Store::open(settings(folder.path())).await.unwrap();
            let read = store.trace(batch(1).trace_id(0)).await.unwrap();
            assert_eq!(columns(&read[0]).len(), 1_024);
            assert!(columns(&read[0]).contains(&"shop.region".to_owned()));
        }
    }
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    while store.readings().segments > 1 {
        assert_eq!(store.last_failure(), None);
        tokio::task::yield_now().await;
    }
    let attributes = |batch: &SpanBatch, row: usize| {
        let mut attributes: Vec<String> = batch
            .attributes(row)
            .iter()
            .map(|a| {
                format!(
                    "{}.{}:{}={}",
                    a.origin.name(),
                    a.key,
                    a.value_type.name(),
                    a.text
                )
            })
            .collect();
        attributes.sort();
        attributes
    };
    let mut expected = BTreeMap::new();
    for number in 0..16 {
        let batch = batch(number);
        for row in 0..batch.len() {
            let span = (batch.trace_id(row), batch.span_id(row));
            assert_eq!(expected.insert(span, attributes(&batch, row)), None);
        }
    }
    let window = Window::new(0, i64::MAX).unwrap();
    let reading = store.read(Wanted::all(window, 1_000_000)).await.unwrap();
    for batch in reading.part(0).await.unwrap() {
        assert_eq!(columns(&batch).len(), 1_024);
        assert!(columns(&batch).contains(&"shop.region".to_owned()));
        for row in 0..batch.len() {
            let span = (batch.trace_id(row), batch.span_id(row));
            assert_eq!(expected.remove(&span), Some(attributes(&batch, row)));
        }
    }
    assert!(expected.is_empty());
}
