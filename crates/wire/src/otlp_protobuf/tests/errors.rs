//! Bytes that are no request: what the error says, and that nothing else happens.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use prost::Message as _;
use tracediff_core::model::SpanBatchBuilder;

use super::requests::{pair, request, span, text};
use super::{decode, rows};
use crate::otlp_protobuf::decode_otlp_protobuf;
use crate::otlp_protobuf::shape;
use crate::otlp_protobuf::write::Writer;

/// A request with one span, whose fields `content` writes. They begin at byte 6.
fn with_span(content: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.message_field(shape::request::RESOURCE_SPANS, |writer| {
        writer.message_field(shape::resource_spans::SCOPE_SPANS, |writer| {
            writer.message_field(shape::scope_spans::SPANS, content);
        });
    });
    writer.0
}

#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    let error = decode(bytes).expect_err("not a request");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn errors_tell_the_byte_and_what_was_expected() {
    check(
        &[0x0a, 5, 1],
        "byte 2: resource_spans: has length 5, but only 1 bytes of the message are left",
    );
    check(
        &[0x0a],
        "byte 1: resource_spans: expected a varint, found the end of the message after 0 bytes",
    );
    check(
        &[&[0x0a][..], &[0xff; 11]].concat(),
        "byte 1: resource_spans: expected a varint, found one of more than 64 bits",
    );
    check(
        &[&[0x0a][..], &[0xff; 9], &[1]].concat(),
        "byte 11: resource_spans: has length 18446744073709551615, but only 0 bytes of the message are left",
    );
    check(
        &[0x08, 1],
        "byte 1: resource_spans: expected wire type 2 (length-delimited), found wire type 0 (varint)",
    );
    check(
        &[0x13],
        "byte 1: field 2: expected wire type 0, 1, 2 or 5, found wire type 3 (start of a group)",
    );
    check(
        &[0x17],
        "byte 1: field 2: expected wire type 0, 1, 2 or 5, found wire type 7 (unassigned)",
    );
    check(
        &[0x02, 0],
        "byte 0: request: expected a field number from 1 to 536870911",
    );
    check(
        &[0x0a, 2, 0x15, 0],
        "byte 3: resource_spans.scope_spans: expected wire type 2 (length-delimited), found wire type 5 (32 bits)",
    );
}

#[test]
fn errors_inside_a_span_tell_the_field() {
    check(
        &with_span(|span| span.0.extend([0x39, 1, 2, 3])),
        "byte 7: resource_spans.scope_spans.spans.start_time_unix_nano: expected 8 bytes, found 3 before the end of the message",
    );
    check(
        &with_span(|span| span.0.extend([0x85, 0x01, 1, 2])),
        "byte 8: resource_spans.scope_spans.spans.flags: expected 4 bytes, found 2 before the end of the message",
    );
    check(
        &with_span(|span| span.0.extend([0x4a, 4, 0x12, 2, 0x0a, 9])),
        "byte 12: resource_spans.scope_spans.spans.attributes.value.string_value: has length 9, but only 0 bytes of the message are left",
    );
    check(
        &with_span(|span| span.0.extend([0x4a, 4, 0x12, 2, 0x2a, 9])),
        "byte 12: resource_spans.scope_spans.spans.attributes.value.array_value: has length 9, but only 0 bytes of the message are left",
    );
    check(
        &with_span(|span| span.0.extend([0x4a, 8, 0x12, 6, 0x2a, 4, 0x0a, 2, 0x22, 0])),
        "byte 15: (nested value).values.double_value: expected wire type 1 (64 bits), found wire type 2 (length-delimited)",
    );
    check(
        &with_span(|span| span.0.extend([0x7a, 2, 0x1a, 0])),
        "byte 9: resource_spans.scope_spans.spans.status.code: expected wire type 0 (varint), found wire type 2 (length-delimited)",
    );
}

#[test]
fn offsets_count_from_the_start_of_the_input() {
    let mut builder = SpanBatchBuilder::new();
    let error = decode_otlp_protobuf(&[0x0a, 5, 1], 1_000, &mut builder).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 1002: resource_spans: has length 5, but only 1 bytes of the message are left"
    );
}

#[test]
fn a_span_with_a_bad_id_is_left_out_and_the_others_stay() {
    let check = |change: fn(&mut opentelemetry_proto::tonic::trace::v1::Span), expected: &str| {
        let mut bad = span(2);
        bad.attributes.push(text("only.here", "x"));
        change(&mut bad);
        let bytes = request(vec![span(1), bad.clone(), span(3), bad]).encode_to_vec();
        let (decoded, batches) = decode(&bytes).unwrap();
        assert_eq!((decoded.spans, decoded.rejected), (2, 2), "{expected}");
        let message = decoded.first_rejection.unwrap().to_string();
        assert!(message.ends_with(expected), "{message}");
        let alone = request(vec![span(1), span(3)]).encode_to_vec();
        assert_eq!(rows(&batches), rows(&decode(&alone).unwrap().1));
        assert!(
            batches[0]
                .attribute_columns()
                .iter()
                .all(|c| c.key != "only.here")
        );
    };
    check(
        |span| span.trace_id.truncate(5),
        "resource_spans.scope_spans.spans.trace_id: expected 16 bytes, found 5",
    );
    check(
        |span| span.trace_id = vec![0; 16],
        "resource_spans.scope_spans.spans.trace_id: an id of only zeros is not valid",
    );
    check(
        |span| span.span_id.clear(),
        "resource_spans.scope_spans.spans.span_id: expected 8 bytes, found 0",
    );
    check(
        |span| span.parent_span_id.push(1),
        "resource_spans.scope_spans.spans.parent_span_id: expected 8 bytes, found 9",
    );
    check(
        |span| span.links[0].trace_id.push(1),
        "resource_spans.scope_spans.spans.links.trace_id: expected 16 bytes, found 17",
    );
}

#[test]
fn the_first_rejection_tells_its_byte() {
    let bytes = with_span(|span| {
        span.bytes_field(shape::span::NAME, b"op");
        span.bytes_field(shape::span::TRACE_ID, &[1; 5]);
    });
    assert_eq!(
        decode(&bytes)
            .unwrap()
            .0
            .first_rejection
            .unwrap()
            .to_string(),
        "byte 12: resource_spans.scope_spans.spans.trace_id: expected 16 bytes, found 5"
    );
}

#[test]
fn a_request_cut_anywhere_fails_or_is_one_of_fewer_parts() {
    let bytes = request(vec![span(1), span(2)]).encode_to_vec();
    for cut in 0..bytes.len() {
        let mut builder = SpanBatchBuilder::new();
        let result = decode_otlp_protobuf(&bytes[..cut], 0, &mut builder);
        assert_eq!(result.is_ok(), cut == 0, "cut at {cut}: {result:?}");
        assert!(rows(&builder.finish()).is_empty(), "cut at {cut}");
    }
}

fn nested(depth: usize) -> Vec<u8> {
    let mut value = Value::IntValue(1);
    for level in 0..depth {
        let inner = AnyValue { value: Some(value) };
        value = if level % 2 == 0 {
            Value::ArrayValue(ArrayValue {
                values: vec![inner],
            })
        } else {
            let pair = KeyValue {
                key: "k".to_owned(),
                value: Some(inner),
                ..Default::default()
            };
            Value::KvlistValue(KeyValueList { values: vec![pair] })
        };
    }
    let mut deep = span(1);
    deep.attributes = vec![pair("deep", Some(value))];
    request(vec![deep]).encode_to_vec()
}

#[test]
fn values_nest_as_deep_as_they_may() {
    let (_, batches) = decode(&nested(64)).unwrap();
    let again = crate::otlp_protobuf::encode_otlp_protobuf(&batches[0]);
    assert_eq!(rows(&decode(&again).unwrap().1), rows(&batches));
    let error = decode(&nested(65)).unwrap_err();
    assert_eq!(
        error.problem,
        "(nested value): values are nested more than 64 deep"
    );
}

#[test]
fn bottomless_nesting_does_not_exhaust_the_stack() {
    let mut value = Vec::new();
    for _ in 0..20_000 {
        let mut outer = Writer::default();
        outer.message_field(shape::any_value::ARRAY, |list| {
            list.bytes_field(shape::list::VALUES, &value);
        });
        value = outer.0;
    }
    let bytes = with_span(|span| {
        span.message_field(shape::span::ATTRIBUTES, |pair| {
            pair.bytes_field(shape::key_value::VALUE, &value);
        });
    });
    assert!(decode(&bytes).is_err());
}
