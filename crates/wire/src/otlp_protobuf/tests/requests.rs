//! Requests to try: one small and whole, and any that proptest comes up with.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;

pub(super) fn pair(key: &str, value: Option<Value>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value }),
        ..Default::default()
    }
}

pub(super) fn text(key: &str, text: &str) -> KeyValue {
    pair(key, Some(Value::StringValue(text.to_owned())))
}

/// A span with every field set.
pub(super) fn span(number: u8) -> Span {
    Span {
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        trace_state: "ot=th:8".to_owned(),
        parent_span_id: vec![9; 8],
        flags: 0x101,
        name: "GET /cart".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 3_500,
        attributes: vec![
            text("http.route", "/cart"),
            pair("http.response.status_code", Some(Value::IntValue(200))),
            pair("ratio", Some(Value::DoubleValue(2.0))),
            pair("cached", Some(Value::BoolValue(true))),
            pair("digest", Some(Value::BytesValue(vec![0, 255]))),
            pair(
                "tags",
                Some(Value::ArrayValue(ArrayValue {
                    values: vec![AnyValue {
                        value: Some(Value::IntValue(-1)),
                    }],
                })),
            ),
        ],
        dropped_attributes_count: 1,
        events: vec![Event {
            time_unix_nano: 2_000,
            name: "exception".to_owned(),
            attributes: vec![text("exception.type", "Timeout")],
            dropped_attributes_count: 2,
        }],
        dropped_events_count: 3,
        links: vec![Link {
            trace_id: vec![7; 16],
            span_id: vec![8; 8],
            trace_state: "a=b".to_owned(),
            attributes: vec![text("why", "retry")],
            dropped_attributes_count: 4,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Some(Status {
            message: "late".to_owned(),
            code: 2,
        }),
    }
}

/// One resource and scope with the given spans.
pub(super) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "cart"), text("service.version", "1.4")],
                ..Default::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "http".to_owned(),
                    version: "2.9".to_owned(),
                    attributes: vec![text("short", "yes")],
                    dropped_attributes_count: 0,
                }),
                spans,
                schema_url: "https://opentelemetry.io/schemas/1.27.0".to_owned(),
            }],
            schema_url: String::new(),
        }],
    }
}

/// Few keys, so that they meet: twice in a span, in span and resource, with several types.
fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "a", "b", "http.response.status_code", "service.name", "exception.type", "otel.scope.name",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec!["", "x", "true", "12", "{\"a\":1}"]).prop_map(str::to_owned),
        1 => "\\PC{0,200}",
        1 => any::<String>(),
    ]
}

fn any_scalar() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        any_text().prop_map(|text| Some(Value::StringValue(text))),
        any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        (-3..300_i64).prop_map(|number| Some(Value::IntValue(number))),
        any::<f64>().prop_map(|number| Some(Value::DoubleValue(number))),
        prop::sample::select(vec![
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -0.0,
            7.0,
            1e300
        ])
        .prop_map(|number| Some(Value::DoubleValue(number))),
        any::<bool>().prop_map(|truth| Some(Value::BoolValue(truth))),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ]
}

fn any_value() -> impl Strategy<Value = Option<Value>> {
    any_scalar().prop_recursive(3, 12, 4, |inner| {
        let value = inner.clone().prop_map(|value| AnyValue { value });
        let pairs = (any_text(), inner).prop_map(|(key, value)| pair(&key, value));
        prop_oneof![
            vec(value, 0..4).prop_map(|values| Some(Value::ArrayValue(ArrayValue { values }))),
            vec(pairs, 0..4).prop_map(|values| Some(Value::KvlistValue(KeyValueList { values }))),
        ]
    })
}

fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(
        (any_key(), any_value()).prop_map(|(key, value)| pair(&key, value)),
        0..5,
    )
}

/// An id of the right length, or, seldom, not.
fn any_id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        30 => vec(0..4_u8, len),
        1 => Just(vec![]),
        1 => Just(vec![0; len]),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![0..1_000_u64, any::<u64>()]
}

fn any_event() -> impl Strategy<Value = Event> {
    (any_time(), any_text(), any_attributes()).prop_map(|(time_unix_nano, name, attributes)| {
        Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count: 0,
        }
    })
}

fn any_link() -> impl Strategy<Value = Link> {
    (any_id(16), any_id(8), any_text(), any_attributes()).prop_map(
        |(trace_id, span_id, trace_state, attributes)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            ..Default::default()
        },
    )
}

fn any_span() -> impl Strategy<Value = Span> {
    let ids = (any_id(16), any_id(8), any_id(8));
    let texts = (
        any_text(),
        prop_oneof![any_text(), Just("ot=th:c".to_owned())],
    );
    let numbers = (-2..8_i32, any_time(), any_time(), any::<u32>());
    let status = prop::option::of((any_text(), -1..5_i32));
    let lists = (
        any_attributes(),
        vec(any_event(), 0..3),
        vec(any_link(), 0..2),
    );
    (ids, texts, numbers, status, lists).prop_map(|(ids, texts, numbers, status, lists)| Span {
        trace_id: ids.0,
        span_id: ids.1,
        parent_span_id: ids.2,
        name: texts.0,
        trace_state: texts.1,
        kind: numbers.0,
        start_time_unix_nano: numbers.1,
        end_time_unix_nano: numbers.2,
        flags: numbers.3,
        status: status.map(|(message, code)| Status { message, code }),
        attributes: lists.0,
        events: lists.1,
        links: lists.2,
        ..Default::default()
    })
}

fn any_scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    prop::option::of((any_text(), any_text(), any_attributes()).prop_map(
        |(name, version, attributes)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count: 3,
        },
    ))
}

pub(super) fn any_request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope_spans = (any_scope(), vec(any_span(), 0..4)).prop_map(|(scope, spans)| ScopeSpans {
        scope,
        spans,
        schema_url: "schema".to_owned(),
    });
    let resource_spans = (prop::option::of(any_attributes()), vec(scope_spans, 0..3)).prop_map(
        |(attributes, scope_spans)| ResourceSpans {
            resource: attributes.map(|attributes| Resource {
                attributes,
                ..Default::default()
            }),
            scope_spans,
            schema_url: String::new(),
        },
    );
    vec(resource_spans, 0..3)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}
