use insta::assert_snapshot;
use proptest::prelude::*;

use super::{decode_zipkin, encode_zipkin};
use crate::json::testing::{Holds, Values, build, dump_sorted, hostile, outcome, samples};
use tracediff_core::model::SpanBatchBuilder;

fn decode(json: &str) -> String {
    outcome(|builder| decode_zipkin(json.as_bytes(), 0, builder))
}

/// What the one span with `fields` becomes, without the part that is always the same.
fn span(fields: &str) -> String {
    let text = decode(&format!(
        r#"[{{"traceId":"a1","id":"b1","localEndpoint":{{"serviceName":"cart"}}{fields}}}]"#
    ));
    text.replace(
        "000000000000000000000000000000a1/00000000000000b1 < - | cart: ",
        "",
    )
    .trim_end()
    .to_owned()
}

const DOCUMENT: &str = r#"[{"id":"352bff9a74ca9ad2","traceId":"5af7183fb1d4cf5f","parentId":"6b221d5bc9e6496c","name":"get /api",
"timestamp":1556604172355737,"duration":1431,"kind":"SERVER","localEndpoint":{"serviceName":"backend","ipv4":"192.168.99.1","port":3306},
"remoteEndpoint":{"serviceName":"frontend","ipv6":"2001:db8::c001","port":58648},
"annotations":[{"timestamp":1556604172355800,"value":"ws"},{"timestamp":1556604172355900,"value":"\"exception\":{\"exception.type\":\"Timeout\",\"n\":3}"}],
"tags":{"http.method":"GET","http.path":"/api","error":"connection reset","otel.library.name":"brave"},"debug":true,"shared":true},
{"traceId":"00000000000000005af7183fb1d4cf5f","id":"6b221d5bc9e6496c","parentId":null,"name":null,"kind":null,"timestamp":1556604172355000,"localEndpoint":null,"tags":{}}]"#;

#[test]
fn a_document() {
    assert_snapshot!(decode(DOCUMENT), @r#"
    00000000000000005af7183fb1d4cf5f/352bff9a74ca9ad2 < 6b221d5bc9e6496c | backend: get /api | kind 2 status 2 "connection reset" | 1556604172355737000 +1431000
      event.exception.type=Timeout:string
      scope.otel.scope.name=brave:string
      span.http.method=GET:string
      span.http.path=/api:string
      span.network.local.address=192.168.99.1:string
      span.network.local.port=3306:int
      span.network.peer.address=2001:db8::c001:string
      span.network.peer.port=58648:int
      span.peer.service=frontend:string
      span.zipkin.shared=true:bool
      event 1556604172355800000 "ws" 
      event 1556604172355900000 "exception" exception.type=Timeout:string n=3:int
    00000000000000005af7183fb1d4cf5f/6b221d5bc9e6496c < - | unknown_service:  | kind 0 status 0 | 1556604172355000000 +0
    "#);
}

#[test]
fn traces_and_single_spans_too() {
    assert_eq!(decode(&format!("[{DOCUMENT},[]]")), decode(DOCUMENT));
    let (first, second) = DOCUMENT[1..DOCUMENT.len() - 1].split_once(",\n{").unwrap();
    assert_eq!(
        decode(first) + &decode(&format!("{{{second}")),
        decode(DOCUMENT)
    );
    assert_eq!(decode("[]"), "");
}

#[test]
fn status_from_tags() {
    let check = |tags: &str, expected: &str| {
        assert_eq!(
            span(&format!(r#","tags":{{{tags}}}"#)),
            format!(" | kind 0 {expected}")
        );
    };
    check("", "status 0 | 0 +0");
    check(r#""error":"""#, "status 2 | 0 +0");
    check(r#""error":"true""#, "status 2 | 0 +0");
    check(r#""error":"boom""#, "status 2 \"boom\" | 0 +0");
    check(
        r#""error":"boom","otel.status_code":"OK""#,
        "status 1 \"boom\" | 0 +0",
    );
    check(
        r#""otel.status_code":"ERROR","otel.status_description":"no""#,
        "status 2 \"no\" | 0 +0",
    );
    check(
        r#""n":5,"b":true"#,
        "status 0 | 0 +0\n  span.b=true:bool\n  span.n=5:int",
    );
}

#[test]
fn a_span_without_a_timestamp_starts_at_its_first_annotation() {
    assert_eq!(
        span(r#","annotations":[{"timestamp":7,"value":"cr"},{"timestamp":5,"value":"cs"}]"#),
        " | kind 0 status 0 | 5000 +0\n  event 7000 \"cr\" \n  event 5000 \"cs\""
    );
}

#[test]
fn errors_say_where_and_what() {
    assert_snapshot!(decode(r#"[{"traceId":"a","id":"b","timestamp":"then"}]"#), @r#"error: line 1, column 43: [0].timestamp: invalid value: string "then", expected microseconds as a number or a string of digits"#);
    assert_snapshot!(decode(r#"[{"traceId":"a","id":"b","tags":[]}]"#), @"error: line 1, column 32: [0].tags: invalid type: sequence, expected a map");
    assert_snapshot!(decode("[\n{\"traceId\":\"a\",\"id\":\"\"},\n{\"traceId\":\"xx\",\"id\":\"b\"}]"), @"rejected 2: line 2, column 22: id: expected 16 hex digits, found 0 characters");
    assert_snapshot!(decode("[1]"), @"error: line 1, column 2: [0]: invalid type: integer `1`, expected a span or an array of spans");
    assert_snapshot!(decode("[{\"traceId\":\"a"), @"error: line 1, column 14: [0].traceId: the text ends inside a string");
}

const HOLDS: Holds = Holds {
    unit_ns: 1_000,
    kinds: &[0, 2, 3, 4, 5],
    values: Values::Text,
    resources: false,
    scope_attributes: false,
    trace_states: true,
    events: true,
    links: false,
    link_attributes: false,
};

proptest! {
    #[test]
    fn what_is_written_reads_back(samples in samples(HOLDS)) {
        let batches = build(&samples, HOLDS);
        let mut builder = SpanBatchBuilder::new();
        for batch in &batches {
            decode_zipkin(encode_zipkin(batch).as_bytes(), 0, &mut builder).unwrap();
        }
        prop_assert_eq!(dump_sorted(&builder.finish()), dump_sorted(&batches));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in hostile(DOCUMENT)) {
        outcome(|builder| decode_zipkin(&bytes, 0, builder));
    }
}
