//! What a query matches, on a few spans made by hand.

use std::sync::LazyLock;

use crate::model::{Projection, SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};
use crate::query::{Matcher, Query};

const MS: u64 = 1_000_000;

fn text(text: &str) -> ValueRef<'_> {
    ValueRef::String(text.as_bytes())
}

fn span(n: u8) -> SpanCore<'static> {
    SpanCore {
        trace_id: TraceId([n; 16]),
        span_id: SpanId([n; 8]),
        parent_span_id: SpanId([99; 8]),
        ..SpanCore::default()
    }
}

/// Four spans: two of `web`, two of `cart`.
static SPANS: LazyLock<SpanBatch> = LazyLock::new(|| {
    let mut builder = SpanBatchBuilder::new();
    builder.begin_resource();
    builder.resource_attribute(b"service.name", text("web"));
    builder.resource_attribute(b"service.instance.id", text("i-1"));
    builder.resource_attribute(b"tier", text("edge"));
    builder.span_attribute(b"http.status_code", ValueRef::Int(200));
    builder.span_attribute(b"version", text("1.10"));
    builder.span_attribute(b"big", ValueRef::Int(9_007_199_254_740_993));
    builder.end_span(&SpanCore {
        parent_span_id: SpanId::default(),
        operation: b"GET /",
        kind: 2,
        status: 1,
        end_ns: 250 * MS,
        ..span(0xa0)
    });
    builder.span_attribute(b"http.response.status_code", ValueRef::Int(500));
    builder.span_attribute(b"lightstep.guid", text("g-1"));
    builder.span_attribute(b"tier", text("inner"));
    builder.end_span(&SpanCore {
        operation: b"GET /cart",
        kind: 3,
        status: 2,
        end_ns: 1_000 * MS,
        ..span(0xa1)
    });
    builder.begin_resource();
    builder.resource_attribute(b"service.name", text("cart"));
    builder.span_attribute(b"http.status_code", text("404"));
    builder.span_attribute(b"kind", text("blue"));
    builder.span_attribute(b"error", ValueRef::Bool(true));
    builder.end_span(&SpanCore {
        operation: b"load",
        kind: 2,
        end_ns: 1,
        ..span(0xa2)
    });
    builder.span_attribute(b"http.status_code", ValueRef::Double(200.0));
    builder.span_attribute(b"version", ValueRef::Double(1.1));
    builder.end_span(&SpanCore {
        operation: b"load",
        kind: 1,
        status: 2,
        ..span(0xa3)
    });
    builder.commit().unwrap();
    builder.finish().remove(0)
});

/// The spans, with some columns only.
fn columns(projection: &Projection) -> SpanBatch {
    let all = SPANS.record_batch();
    let schema = all.schema();
    let fields = schema.fields().iter().enumerate();
    let wanted: Vec<usize> = fields
        .filter(|(_, field)| projection.contains(field))
        .map(|(at, _)| at)
        .collect();
    SpanBatch::from_some_columns(&all.project(&wanted).unwrap()).unwrap()
}

fn check(query: &str, expected: &[usize]) {
    let parsed = Query::parse(query).unwrap_or_else(|error| panic!("{}", error.render(query)));
    let matcher = Matcher::new(&parsed);
    let rows = matcher.matching_rows(&SPANS);
    assert_eq!(rows.set_indices().collect::<Vec<_>>(), expected, "{query}");
    let of_its_columns = matcher.matching_rows(&columns(&matcher.projection()));
    assert_eq!(rows, of_its_columns, "{query}, of the columns it looks at");
}

#[test]
fn the_original_operators() {
    check("service IN (web)", &[0, 1]);
    check("service.name IN (web, none)", &[0, 1]);
    check("service IN (WEB)", &[]);
    check("operation NOT IN (load)", &[0, 1]);
    check("operation MATCHES REGEXP (cart, \"^l\")", &[1, 2, 3]);
    check("operation NOT MATCHES REGEXP (\"/\")", &[2, 3]);
    check("service IN (web) AND operation IN (\"GET /\")", &[0]);
}

#[test]
fn an_attribute_that_is_missing() {
    check("tier IN (edge)", &[0]);
    check("tier NOT IN (edge)", &[1, 2, 3]);
    check("tier != edge", &[1, 2, 3]);
    check("tier MATCHES REGEXP (\"\")", &[0, 1]);
    check("tier NOT MATCHES REGEXP (edge)", &[1, 2, 3]);
    check("EXISTS tier", &[0, 1]);
    check("NOT EXISTS tier", &[2, 3]);
    check("none < 5 OR none >= 5", &[]);
    check("NOT (none < 5)", &[0, 1, 2, 3]);
    check("none IN (\"\")", &[]);
}

#[test]
fn numbers_compare_by_value() {
    check("http.status_code = 200", &[0, 3]);
    check("http.response.status_code = 200.0", &[0, 3]);
    check("http.status_code = \"200\"", &[0]);
    check("http.status_code IN (200)", &[0]);
    check("http.status_code = 404", &[2]);
    check("http.status_code >= 404", &[1, 2]);
    check("http.status_code < 404", &[0, 3]);
    check("version = 1.1", &[3]);
    check("version = 1.10", &[0, 3]);
    check("version > 1", &[0, 3]);
    check("tier > 1", &[]);
    check("big = 9007199254740993", &[0]);
    check("big = 9007199254740992", &[]);
    check("big > 9007199254740992", &[0]);
}

#[test]
fn what_every_span_has() {
    check("duration > 250ms", &[1]);
    check("duration >= 250ms", &[0, 1]);
    check("duration != 0s AND duration <= 1ns", &[2]);
    check("kind = server", &[0, 2]);
    check("kind != server", &[1, 3]);
    check("status = unset", &[2]);
    check("status != error", &[0, 2]);
    check("error = true", &[1, 3]);
    check("error = false", &[0, 2]);
    check("root = true", &[0]);
    check("root = false", &[1, 2, 3]);
    check("EXISTS service", &[0, 1, 2, 3]);
    check("EXISTS kind", &[0, 1, 2, 3]);
}

#[test]
fn our_words_were_attributes_in_the_original() {
    check("kind IN (server)", &[0]);
    check("kind IN (blue)", &[2]);
    check("kind = server", &[0, 2]);
    check("\"kind\" IN (server)", &[]);
    check("\"kind\" IN (blue)", &[2]);
    check("error IN (true)", &[1, 2, 3]);
    check("error IN (false)", &[0]);
    check("error NOT IN (true)", &[0]);
    check("error = true", &[1, 3]);
    check("status MATCHES REGEXP (o)", &[0, 1, 3]);
    check("root IN (true)", &[0]);
    check("duration IN (250ms)", &[]);
    check("EXISTS \"error\"", &[2]);
}

#[test]
fn ids() {
    check("span_id = a1a1a1a1a1a1a1a1", &[1]);
    check("span_id != A1A1A1A1A1A1A1A1", &[0, 2, 3]);
    check(
        "lightstep.span_id IN (a1a1a1a1a1a1a1a1, a2a2a2a2a2a2a2a2, none)",
        &[1, 2],
    );
    check(
        "lightstep.trace_id NOT IN (a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0)",
        &[1, 2, 3],
    );
    check("trace_id MATCHES REGEXP (\"^a3a3.*3$\")", &[3]);
    check("span_id MATCHES REGEXP (\"^(a2){8}$\")", &[2]);
    check("lightstep.tracer_id IN (g-1)", &[1]);
    check("lightstep.tracer_id = i-1", &[0]);
    check("EXISTS lightstep.tracer_id", &[0, 1]);
}

#[test]
fn conditions_join() {
    check(
        "service = web OR error = true AND kind = internal",
        &[0, 1, 3],
    );
    check("(service = web OR error = true) AND kind = internal", &[3]);
    check("NOT service = web AND error = true", &[3]);
    check("NOT (service = web AND error = true)", &[0, 2, 3]);
    check("NOT NOT service = web", &[0, 1]);
    check("service = none AND service = web", &[]);
    check("EXISTS service OR service = web", &[0, 1, 2, 3]);
}

#[test]
fn a_key_set_twice_beside_the_columns_keeps_its_last_value() {
    let mut builder = SpanBatchBuilder::new();
    for filler in 0..1_024 {
        builder.span_attribute(format!("filler.{filler}").as_bytes(), ValueRef::Int(1));
    }
    builder.end_span(&span(1));
    builder.begin_resource();
    builder.resource_attribute(b"k", text("shared"));
    builder.end_span(&span(2));
    builder.span_attribute(b"k", text("first"));
    builder.span_attribute(b"k", text("last"));
    builder.end_span(&span(3));
    builder.commit().unwrap();
    let batch = &builder.finish()[0];
    assert!(batch.columns_of("k").is_empty());
    let rows = |query: &str| {
        let matcher = Matcher::new(&Query::parse(query).unwrap());
        matcher
            .matching_rows(batch)
            .set_indices()
            .collect::<Vec<_>>()
    };
    assert_eq!(rows("k = last"), [2]);
    assert_eq!(rows("k = shared"), [1]);
    assert_eq!(rows("NOT EXISTS k"), [0]);
}

#[test]
fn an_empty_batch_has_no_rows() {
    let record_batch = SPANS.record_batch().slice(0, 0);
    let batch = SpanBatch::try_from(record_batch).unwrap();
    for query in [
        "service = web",
        "tier NOT IN (x) AND a = 1",
        "NOT EXISTS service",
    ] {
        let matcher = Matcher::new(&Query::parse(query).unwrap());
        assert_eq!(matcher.matching_rows(&batch).len(), 0);
    }
}
