//! Laws: our decoder sees what prost sees, prost sees what we encode, and both ways lead back.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use proptest::prelude::*;
use prost::Message as _;
use tracediff_core::model::SpanBatchBuilder;

use super::model::expected_rows;
use super::requests::{any_request, pair, request, span, text};
use super::{Row, decode, prost_decode, rows};
use crate::otlp_protobuf::{
    decode_otlp_protobuf, encode_otlp_protobuf, encode_otlp_protobuf_delimited, shape,
};

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    rows
}

proptest! {
    #[test]
    fn a_request_is_read_as_prost_reads_it(request in any_request()) {
        let (decoded, batches) = decode(&request.encode_to_vec()).unwrap();
        let (expected, rejected) = expected_rows(&request);
        prop_assert_eq!(decoded.rejected, rejected as u64);
        prop_assert_eq!(decoded.first_rejection.is_some(), rejected > 0);
        prop_assert_eq!(decoded.spans, expected.len() as u64);
        prop_assert_eq!(rows(&batches), expected);
    }

    #[test]
    fn what_is_encoded_reads_back(request in any_request()) {
        let (_, batches) = decode(&request.encode_to_vec()).unwrap();
        for batch in &batches {
            let bytes = encode_otlp_protobuf(batch);
            let original = sorted(rows(std::slice::from_ref(batch)));
            let (decoded, again) = decode(&bytes).unwrap();
            prop_assert_eq!(decoded.rejected, 0);
            prop_assert_eq!(&sorted(rows(&again)), &original);
            let (by_prost, _) = expected_rows(&prost_decode(&bytes));
            prop_assert_eq!(sorted(by_prost), original);
        }
    }

    #[test]
    fn fields_may_stand_in_any_order(request in any_request()) {
        let (decoded, batches) = decode(&backwards(&request.encode_to_vec(), "request")).unwrap();
        let (expected, rejected) = expected_rows(&request);
        prop_assert_eq!(decoded.rejected, rejected as u64);
        prop_assert_eq!(rows(&batches), expected);
    }

    /// One builder takes requests in turn, and a request that was cut short, or whose bytes were changed, leaves
    /// nothing.
    #[test]
    fn bad_requests_do_not_touch_good_ones(
        requests in prop::collection::vec((any_request(), any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..6)
    ) {
        let mut builder = SpanBatchBuilder::new();
        let mut expected = Vec::new();
        for (request, place, byte, fault) in &requests {
            let mut bytes = request.encode_to_vec();
            if *fault == 0 || bytes.is_empty() {
                decode_otlp_protobuf(&bytes, 0, &mut builder).unwrap();
                expected.extend(expected_rows(request).0);
                continue;
            }
            let place = place.index(bytes.len());
            if *fault == 1 {
                bytes.truncate(place);
            } else {
                bytes[place] = *byte;
            }
            if decode_otlp_protobuf(&bytes, 0, &mut builder).is_ok() {
                expected.extend(rows(&decode(&bytes).unwrap().1));
            }
        }
        prop_assert_eq!(rows(&builder.finish()), expected);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![0..32_u8, any::<u8>()], 0..200)) {
        let _ = decode(&bytes);
    }
}

/// The message with its fields in descending order of their numbers, and so inside; fields of one number keep theirs.
fn backwards(bytes: &[u8], level: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let tag = prost::encoding::decode_varint(&mut rest).unwrap() as u32;
        let mut field = Vec::new();
        prost::encoding::encode_varint(u64::from(tag), &mut field);
        let size = match tag & 7 {
            0 => {
                let value = prost::encoding::decode_varint(&mut rest).unwrap();
                prost::encoding::encode_varint(value, &mut field);
                0
            }
            1 => 8,
            5 => 4,
            _ => {
                let size = prost::encoding::decode_varint(&mut rest).unwrap();
                prost::encoding::encode_varint(size, &mut field);
                size as usize
            }
        };
        let (content, behind) = rest.split_at(size);
        match (level, tag) {
            ("request", shape::request::RESOURCE_SPANS) => {
                field.extend(backwards(content, "resource_spans"));
            }
            ("resource_spans", shape::resource_spans::SCOPE_SPANS) => {
                field.extend(backwards(content, "scope_spans"));
            }
            ("scope_spans", shape::scope_spans::SPANS) => field.extend(backwards(content, "span")),
            ("span", shape::span::ATTRIBUTES) => field.extend(backwards(content, "attribute")),
            ("span", shape::span::EVENTS | shape::span::LINKS | shape::span::STATUS) => {
                field.extend(backwards(content, "part of a span"));
            }
            _ => field.extend(content),
        }
        fields.push((tag >> 3, field));
        rest = behind;
    }
    fields.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    fields.into_iter().flat_map(|(_, field)| field).collect()
}

#[test]
fn a_span_with_everything_reads_back() {
    let bytes = request(vec![span(1), span(2)]).encode_to_vec();
    let (decoded, batches) = decode(&bytes).unwrap();
    assert_eq!((decoded.spans, decoded.rejected), (2, 0));
    let read = rows(&batches);
    assert_eq!(read, expected_rows(&prost_decode(&bytes)).0);
    assert_eq!(read[0].weight, Some(2.0));
    let row = &read[0].attributes;
    for expected in [
        ("resource", "service.version", "string", "1.4"),
        ("scope", "otel.scope.name", "string", "http"),
        ("scope", "short", "string", "yes"),
        ("span", "http.response.status_code", "int", "200"),
        ("span", "ratio", "double", "2.0"),
        ("span", "digest", "bytes", "AP8="),
        ("span", "tags", "array", "[-1]"),
        ("event", "exception.type", "string", "Timeout"),
    ] {
        let (origin, key, value_type, text) = expected;
        let expected = (origin, key.to_owned(), value_type, text.to_owned());
        assert!(row.contains(&expected), "{expected:?} in {row:?}");
    }
}

#[test]
fn spans_of_one_resource_and_scope_are_written_together() {
    let mut interleaved = request(vec![span(1)]);
    let mut other = request(vec![span(2)]);
    other.resource_spans[0]
        .resource
        .as_mut()
        .unwrap()
        .attributes[0] = text("service.name", "shop");
    for more in [other, request(vec![span(3)])] {
        interleaved.resource_spans.extend(more.resource_spans);
    }
    let (_, batches) = decode(&interleaved.encode_to_vec()).unwrap();
    let written = prost_decode(&encode_otlp_protobuf(&batches[0]));
    let ids = |resource: usize| -> Vec<u8> {
        let spans = &written.resource_spans[resource].scope_spans[0].spans;
        spans.iter().map(|span| span.span_id[0]).collect()
    };
    assert_eq!(written.resource_spans.len(), 2);
    assert_eq!((ids(0), ids(1)), (vec![1, 3], vec![2]));
    // What was read off the event is not written as an attribute of the span.
    let attributes = &written.resource_spans[0].scope_spans[0].spans[0].attributes;
    assert!(attributes.iter().all(|a| a.key != "exception.type"));
}

#[test]
fn a_delimited_message_begins_with_its_length() {
    let (_, batches) = decode(&request(vec![span(1)]).encode_to_vec()).unwrap();
    let message = encode_otlp_protobuf(&batches[0]);
    let mut expected = Vec::new();
    prost::encoding::encode_varint(message.len() as u64, &mut expected);
    expected.extend(message);
    assert_eq!(encode_otlp_protobuf_delimited(&batches[0]), expected);
}

/// Keys past the columns that a batch has are kept and written all the same.
#[test]
fn attributes_without_a_column_read_back() {
    let mut wide = span(1);
    wide.attributes = (0..1_100)
        .map(|i| pair(&format!("key.{i}"), Some(Value::IntValue(i))))
        .collect();
    let mut late = request(vec![span(2)]);
    let resource = late.resource_spans[0].resource.as_mut().unwrap();
    resource.attributes.push(text("late", "resource"));
    let mut both = request(vec![wide]);
    both.resource_spans.extend(late.resource_spans);
    let (_, batches) = decode(&both.encode_to_vec()).unwrap();
    assert!(batches[0].has_other_attributes());
    let read = rows(&batches);
    assert_eq!(read, expected_rows(&both).0);
    let (_, again) = decode(&encode_otlp_protobuf(&batches[0])).unwrap();
    assert_eq!(rows(&again), read);
}

#[test]
fn texts_that_are_not_utf8_are_mended() {
    let mut bytes = request(vec![span(1)]).encode_to_vec();
    let at = bytes.windows(5).position(|w| w == b"/cart").unwrap();
    bytes[at] = 0xff;
    let (_, batches) = decode(&bytes).unwrap();
    let row = &rows(&batches)[0];
    assert_eq!(row.operation, "GET \u{fffd}cart");
}
