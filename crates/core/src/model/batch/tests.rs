use super::*;
use crate::model::{MAX_REQUEST_BYTES, SpanBatchBuilder, SpanCore, TooLarge, ValueRef};

fn id(n: u8) -> SpanCore<'static> {
    SpanCore {
        trace_id: TraceId([n; 16]),
        span_id: SpanId([n; 8]),
        operation: b"op",
        start_ns: 1_000,
        end_ns: 3_500,
        ..SpanCore::default()
    }
}

fn texts(batch: &SpanBatch, row: usize) -> Vec<String> {
    batch
        .attributes(row)
        .iter()
        .map(|a| {
            format!(
                "{}.{}={}:{}",
                a.origin.name(),
                a.key,
                a.text,
                a.value_type.name()
            )
        })
        .collect()
}

#[test]
fn a_row_comes_out_as_it_went_in() {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.resource_attribute(b"service.name", ValueRef::String(b"cart"));
    builder.resource_attribute(b"version", ValueRef::String(b"1.4"));
    builder.span_attribute(b"http.status_code", ValueRef::Int(200));
    builder.event_attribute(b"exception.type", ValueRef::String(b"Timeout"));
    builder.event(2_000, b"exception");
    builder.link_attribute(b"why", ValueRef::Bool(true));
    builder.link(TraceId([9; 16]), SpanId([8; 8]), b"ot=th:8");
    builder.end_span(&SpanCore {
        trace_state: b"ot=th:8",
        status: 2,
        ..id(1)
    });
    builder.span_attribute(b"version", ValueRef::Double(1.0));
    builder.end_span(&SpanCore {
        parent_span_id: SpanId([1; 8]),
        end_ns: 0,
        ..id(2)
    });
    builder.commit().unwrap();
    assert_eq!(builder.oddities().negative_durations, 1);
    let batches = builder.finish();
    let [batch] = &batches[..] else {
        panic!("one batch")
    };

    assert_eq!(batch.len(), 2);
    assert_eq!(batch.service().text(0), Some("cart"));
    assert_eq!((batch.duration_ns(0), batch.duration_ns(1)), (2_500, 0));
    assert_eq!((batch.weight(0), batch.weight(1)), (Some(2.0), None));
    assert_eq!(
        (batch.parent_span_id(0), batch.parent_span_id(1)),
        (None, Some(SpanId([1; 8])))
    );
    assert_eq!(
        texts(batch, 0),
        [
            "resource.version=1.4:string",
            "span.http.status_code=200:int",
            "event.exception.type=Timeout:string"
        ]
    );
    assert_eq!(
        texts(batch, 1),
        ["span.version=1.0:double"],
        "the span's attribute wins over the resource's"
    );
    assert_eq!(batch.events(0)[0].attributes[0].text, "Timeout");
    assert_eq!(batch.links(0)[0].trace_state, "ot=th:8");
    assert!(batch.events(1).is_empty() && batch.links(1).is_empty());
}

#[test]
fn a_rolled_back_request_leaves_nothing() {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.span_attribute(b"a", ValueRef::Int(1));
    builder.end_span(&id(1));
    builder.commit().unwrap();
    builder.begin_resource();
    builder.span_attribute(b"b", ValueRef::Int(2));
    builder.event(5, b"lost");
    builder.end_span(&id(2));
    builder.span_attribute(b"a", ValueRef::Int(3));
    builder.rollback();
    builder.begin_resource();
    builder.end_span(&id(3));
    builder.commit().unwrap();
    let batches = builder.finish();
    assert_eq!(batches[0].len(), 2);
    assert_eq!(texts(&batches[0], 0), ["span.a=1:int"]);
    assert!(texts(&batches[0], 1).is_empty() && batches[0].events(1).is_empty());
    assert!(batches[0].attribute_columns().iter().all(|c| c.key == "a"));
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    let mut builder = SpanBatchBuilder::new();
    builder.span_attribute(b"k", ValueRef::String(b"text"));
    builder.span_attribute(b"k", ValueRef::Int(7));
    builder.end_span(&id(1));
    builder.commit().unwrap();
    assert_eq!(texts(&builder.finish()[0], 0), ["span.k=7:int"]);
}

#[test]
fn keys_past_the_cap_are_kept_beside_the_columns() {
    let mut builder = SpanBatchBuilder::new();
    for i in 0..1_500 {
        builder.span_attribute(format!("key.{i}").as_bytes(), ValueRef::Int(i));
    }
    builder.end_span(&id(1));
    builder.commit().unwrap();
    let batch = &builder.finish()[0];
    assert_eq!(batch.attribute_columns().len(), 1_024);
    assert_eq!(batch.attributes(0).len(), 1_500);
    assert!(texts(batch, 0).contains(&"span.key.1499=1499:int".to_owned()));
}

#[test]
fn either_name_of_a_key_finds_its_columns() {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.resource_attribute(b"http.method", ValueRef::String(b"PUT"));
    builder.span_attribute(b"http.request.method", ValueRef::String(b"GET"));
    builder.end_span(&id(1));
    builder.end_span(&id(2));
    builder.commit().unwrap();
    let batch = &builder.finish()[0];
    let value = |row| {
        batch
            .columns_of("http.method")
            .iter()
            .find_map(|c| c.column.text(row))
    };
    assert_eq!((value(0), value(1)), (Some("GET"), Some("PUT")));
}

#[test]
fn a_foreign_record_batch_is_refused() {
    let batch = RecordBatch::new_empty(std::sync::Arc::new(arrow_schema::Schema::empty()));
    assert_eq!(
        SpanBatch::try_from(batch).unwrap_err(),
        SchemaError::Missing("trace_id")
    );
}

#[test]
fn a_filtered_batch_holds_only_what_its_rows_need() {
    let mut builder = SpanBatchBuilder::new();
    for n in 1..=200u8 {
        builder.span_attribute(b"value", ValueRef::String(format!("value {n}").as_bytes()));
        builder.event_attribute(b"n", ValueRef::Int(i64::from(n)));
        builder.event(5, b"tick");
        builder.end_span(&id(n));
    }
    builder.commit().unwrap();
    let all = &builder.finish()[0];
    let keep: Vec<bool> = (1..=200u8).map(|n| n % 50 == 0).collect();
    let kept = all.filter(&keep);
    assert_eq!(kept.len(), 4);
    assert_eq!(kept.attribute_columns()[0].column.values().len(), 4);
    for (row, n) in [50u8, 100, 150, 200].into_iter().enumerate() {
        assert_eq!(texts(&kept, row), [format!("span.value=value {n}:string")]);
        assert_eq!(kept.events(row)[0].attributes[0].text, n.to_string());
    }
}
#[test]
fn a_rolled_back_key_is_not_taken_for_another() {
    let mut builder = SpanBatchBuilder::new();
    builder.span_attribute(b"lost", ValueRef::Int(5));
    builder.end_span(&id(1));
    builder.rollback();
    builder.span_attribute(b"found", ValueRef::Int(7));
    builder.end_span(&id(2));
    builder.commit().unwrap();
    assert_eq!(texts(&builder.finish()[0], 0), ["span.found=7:int"]);
}

#[test]
fn a_discarded_span_leaves_nothing() {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.resource_attribute(b"version", ValueRef::String(b"1.4"));
    builder.end_span(&id(1));
    builder.span_attribute(b"version", ValueRef::String(b"lost"));
    builder.event(5, b"lost");
    builder.discard_span();
    builder.end_span(&id(2));
    builder.commit().unwrap();
    let batch = &builder.finish()[0];
    assert_eq!(batch.len(), 2);
    for row in 0..2 {
        assert_eq!(texts(batch, row), ["resource.version=1.4:string"]);
        assert!(batch.events(row).is_empty());
    }
}

#[test]
fn spans_since_a_mark_can_be_taken_back() {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.resource_attribute(b"version", ValueRef::String(b"1.4"));
    builder.end_span(&id(1));
    let mark = builder.mark();
    builder.begin_scope();
    builder.scope_attribute(b"name", ValueRef::String(b"lost"));
    builder.end_span(&SpanCore { end_ns: 0, ..id(2) });
    builder.rewind(mark);
    builder.begin_scope();
    builder.scope_attribute(b"name", ValueRef::String(b"found"));
    builder.end_span(&id(3));
    builder.commit().unwrap();
    assert_eq!(builder.oddities().negative_durations, 0);
    let batch = &builder.finish()[0];
    assert_eq!(texts(batch, 0), ["resource.version=1.4:string"]);
    assert_eq!(
        texts(batch, 1),
        ["resource.version=1.4:string", "scope.name=found:string"]
    );
}

#[test]
fn a_builder_goes_on_after_a_batch() {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.resource_attribute(b"version", ValueRef::String(b"1.4"));
    builder.span_attribute(b"code", ValueRef::Int(200));
    builder.span_attribute(b"once", ValueRef::Bool(true));
    builder.end_span(&id(1));
    builder.commit().unwrap();
    assert_eq!(builder.finish()[0].attribute_columns().len(), 3);
    builder.begin_resource();
    builder.span_attribute(b"code", ValueRef::Int(404));
    builder.end_span(&id(2));
    builder.commit().unwrap();
    let batch = &builder.finish()[0];
    assert_eq!(texts(batch, 0), ["span.code=404:int"]);
    assert_eq!(batch.attribute_columns().len(), 1);
    assert_eq!(batch.attribute_columns()[0].column.values().len(), 1);
}

/// A few megabytes of spans under a resource with very many keys would be gigabytes of codes.
#[test]
fn a_request_that_memory_would_not_hold_is_refused() {
    let mut builder = SpanBatchBuilder::new();
    builder.end_span(&id(1));
    builder.commit().unwrap();
    builder.begin_resource();
    for i in 0..1_024 {
        builder.resource_attribute(format!("key.{i}").as_bytes(), ValueRef::Int(i));
    }
    for _ in 0..300_000 {
        builder.end_span(&id(2));
    }
    builder.discard_span();
    let limit_bytes = MAX_REQUEST_BYTES;
    assert_eq!(builder.commit(), Err(TooLarge::Columns { limit_bytes }));
    builder.end_span(&id(3));
    builder.commit().unwrap();
    let batch = &builder.finish()[0];
    assert_eq!(batch.len(), 2);
    assert!(batch.attribute_columns().is_empty());
}

#[test]
fn each_kind_of_column_has_the_bound_that_was_set() {
    const LIMIT: usize = 1 << 20;
    let check = |add: &dyn Fn(&mut SpanBatchBuilder), fits: usize| {
        for (count, expected) in [
            (fits, Ok(())),
            (2 * fits, Err(TooLarge::Columns { limit_bytes: LIMIT })),
        ] {
            let mut builder = SpanBatchBuilder::new();
            builder.limit_columns(LIMIT);
            builder.begin_resource();
            (0..count).for_each(|_| add(&mut builder));
            builder.end_span(&id(1));
            assert_eq!(builder.commit(), expected, "{count}");
            // The next request is measured anew, and the bound stays over a batch's end.
            builder.end_span(&id(2));
            builder.commit().unwrap();
            builder.finish();
            builder.begin_resource();
            (0..2 * fits).for_each(|_| add(&mut builder));
            builder.end_span(&id(3));
            assert!(builder.commit().is_err());
        }
    };
    check(&|builder| builder.event(0, b""), 80_000);
    let link = |builder: &mut SpanBatchBuilder| builder.link(TraceId([1; 16]), SpanId([1; 8]), b"");
    check(&link, 30_000);
    check(
        &|builder| {
            builder.link_attribute(b"", ValueRef::Int(1));
            link(builder);
        },
        20_000,
    );
    let with_keys = |builder: &mut SpanBatchBuilder, keys: i64| {
        builder.begin_resource();
        for key in 0..keys {
            builder.resource_attribute(format!("key.{key}").as_bytes(), ValueRef::Int(key));
        }
        builder.end_span(&id(2));
    };
    check(&|builder| with_keys(builder, 1_000), 250);
    // 300 of them have no column left: they are copied to each span.
    check(&|builder| with_keys(builder, 1_324), 120);
}

#[test]
fn the_extent_is_that_of_committed_spans_since_it_was_taken() {
    let at = |start_ns| SpanCore { start_ns, ..id(1) };
    let mut builder = SpanBatchBuilder::new();
    assert_eq!(builder.take_extent_ns(), None);
    for start_ns in [5, 4, 6] {
        builder.end_span(&at(start_ns));
    }
    builder.commit().unwrap();
    builder.end_span(&at(1));
    builder.rollback();
    builder.finish();
    builder.end_span(&at(7));
    let mark = builder.mark();
    builder.end_span(&at(100));
    builder.rewind(mark);
    builder.commit().unwrap();
    assert_eq!(builder.take_extent_ns(), Some((4, 7)));
    builder.end_span(&at(u64::MAX));
    builder.commit().unwrap();
    assert_eq!(builder.take_extent_ns(), Some((i64::MAX, i64::MAX)));
    assert_eq!(builder.take_extent_ns(), None);
}

#[test]
fn what_has_no_column_any_more_is_still_an_attribute() {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.resource_attribute(b"version", ValueRef::String(b"1.4"));
    builder.span_attribute(b"code", ValueRef::Int(200));
    builder.span_attribute(b"truth", ValueRef::Bool(true));
    builder.end_span(&id(1));
    builder.span_attribute(b"code", ValueRef::String(b"no number"));
    builder.end_span(&id(2));
    builder.commit().unwrap();
    let batch = builder.finish().remove(0);
    let sorted = |batch: &SpanBatch, row| {
        let mut texts = texts(batch, row);
        texts.sort();
        texts
    };
    let kept = ["span.truth:bool"];
    let narrowed = batch
        .narrowed(|field| kept.contains(&&field.name()[..]))
        .unwrap();
    let again = narrowed.narrowed(|_| false).unwrap();
    for row in 0..2 {
        assert_eq!(sorted(&batch, row), sorted(&narrowed, row));
        assert_eq!(sorted(&batch, row), sorted(&again, row));
    }
    assert_eq!(narrowed.attribute_columns().len(), 1);
    assert_eq!(again.attribute_columns().len(), 0);
    assert_eq!(again.other_attributes(0).len(), 3);
    assert!(
        batch
            .narrowed(|_| true)
            .unwrap()
            .other_attributes(0)
            .is_empty()
    );
}

#[test]
fn a_long_text_of_many_spans_is_not_copied_to_each() {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.resource_attribute(b"text", ValueRef::String(&[b'x'; 1 << 20]));
    for _ in 0..65 {
        builder.end_span(&id(1));
    }
    builder.commit().unwrap();
    let batch = builder.finish().remove(0);
    assert!(batch.narrowed(|_| false).is_none());
    assert!(batch.slice(0, 64).narrowed(|_| false).is_some());
}
