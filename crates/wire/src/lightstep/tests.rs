use insta::assert_snapshot;
use proptest::prelude::*;

use super::{decode_lightstep, encode_lightstep};
use crate::json::testing::{Holds, Values, build, dump_sorted, hostile, outcome, samples};
use tracediff_core::model::SpanBatchBuilder;

fn decode(json: &str) -> String {
    outcome(|builder| decode_lightstep(json.as_bytes(), 0, builder))
}

const DOCUMENT: &str = r#"{"data":[{"type":"stored-traces","id":"trace","attributes":{"spans":[
{"span-id":"b2c3d4e5f6a7b8c9","span-name":"charge","is-error":true,"start-time-micros":1556604172355900,"end-time-micros":1556604172356000,
"reporter-id":"r2","tags":{"parent_span_guid":"a1b2c3d4e5f6a7b8","span.kind":"server","amount":12.0,"items":3,"card":"visa","deep":{"a":[1, 2]},"none":null}},
{"span-id":"a1b2c3d4e5f6a7b8","span-name":"/checkout","is-error":false,"start-time-micros":1556604172355737,"end-time-micros":1556604172357168,"reporter-id":1,"tags":{}}]},
"relationships":{"reporters":[{"reporter-id":"1","attributes":{"lightstep.component_name":"web","lightstep.hostname":"h1","service.version":"1.4"}},
{"reporter-id":"r2","attributes":{"lightstep.component_name":"payments"}}]}}]}"#;

#[test]
fn an_answer() {
    assert_snapshot!(decode(DOCUMENT), @r#"
    0000000000000000a1b2c3d4e5f6a7b8/b2c3d4e5f6a7b8c9 < a1b2c3d4e5f6a7b8 | payments: charge | kind 2 status 2 | 1556604172355900000 +100000
      span.amount=12.0:double
      span.card=visa:string
      span.deep={"a":[1,2]}:map
      span.items=3:int
    0000000000000000a1b2c3d4e5f6a7b8/a1b2c3d4e5f6a7b8 < - | web: /checkout | kind 0 status 0 | 1556604172355737000 +1431000
      resource.host.name=h1:string
      resource.service.version=1.4:string
    "#);
}

#[test]
fn objects_and_entries_by_themselves_too() {
    let entries = &DOCUMENT[r#"{"data":"#.len()..DOCUMENT.len() - 1];
    let entry = &entries[1..entries.len() - 1];
    for json in [entries, entry, &format!(r#"{{"data":{entry}}}"#)] {
        assert_eq!(decode(json), decode(DOCUMENT), "{json}");
    }
    assert_eq!(decode("[]"), "");
    assert_eq!(decode(r#"{"data":[]}"#), "");
}

#[test]
fn the_trace_id_is_told_or_the_roots() {
    let check = |json: String, expected: &str| {
        let text = decode(&json);
        assert!(
            text.lines()
                .filter(|l| !l.starts_with(' '))
                .all(|l| l.starts_with(expected)),
            "{text}"
        );
    };
    check(DOCUMENT.to_owned(), "0000000000000000a1b2c3d4e5f6a7b8/");
    check(
        DOCUMENT.replace(
            r#""id":"trace""#,
            r#""id":"5b8efff798038103d269b633813fc60c""#,
        ),
        "5b8efff798038103d269b633813fc60c/",
    );
    check(
        DOCUMENT.replace(r#""span-id""#, r#""trace-id":"77","span-id""#),
        "00000000000000000000000000000077/",
    );
}

#[test]
fn errors_say_where_and_what() {
    assert_snapshot!(decode(&DOCUMENT.replace("1556604172355900", "\"noon\"")), @r#"error: line 2, column 93: data[0].attributes.spans[0].start-time-micros: invalid value: string "noon", expected microseconds as a number or a string of digits"#);
    assert_snapshot!(decode(&DOCUMENT.replace("\"b2c3d4e5f6a7b8c9\"", "\"?\"")), @"
    0000000000000000a1b2c3d4e5f6a7b8/a1b2c3d4e5f6a7b8 < - | web: /checkout | kind 0 status 0 | 1556604172355737000 +1431000
      resource.host.name=h1:string
      resource.service.version=1.4:string
    rejected 1: line 2, column 13: span-id: `?` at position 0 is not a hex digit
    ");
    assert_snapshot!(decode(&DOCUMENT.replace("\"tags\":{}", "\"tags\":{\"parent_span_guid\":\"long ago, it was\"}")), @r#"
    0000000000000000a1b2c3d4e5f6a7b8/b2c3d4e5f6a7b8c9 < a1b2c3d4e5f6a7b8 | payments: charge | kind 2 status 2 | 1556604172355900000 +100000
      span.amount=12.0:double
      span.card=visa:string
      span.deep={"a":[1,2]}:map
      span.items=3:int
    rejected 1: line 4, column 188: tags.parent_span_guid: `l` at position 0 is not a hex digit
    "#);
    assert_snapshot!(decode(r#"{"data":"no"}"#), @r#"error: line 1, column 12: data: invalid type: string "no", expected an array of stored traces"#);
}

const HOLDS: Holds = Holds {
    unit_ns: 1_000,
    kinds: &[0, 1, 2, 3, 4, 5],
    values: Values::Json,
    resources: true,
    scope_attributes: false,
    trace_states: true,
    events: false,
    links: false,
    link_attributes: false,
};

proptest! {
    #[test]
    fn what_is_written_reads_back(samples in samples(HOLDS)) {
        let batches = build(&samples, HOLDS);
        let mut builder = SpanBatchBuilder::new();
        for batch in &batches {
            decode_lightstep(encode_lightstep(batch).as_bytes(), 0, &mut builder).unwrap();
        }
        prop_assert_eq!(dump_sorted(&builder.finish()), dump_sorted(&batches));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in hostile(DOCUMENT)) {
        outcome(|builder| decode_lightstep(&bytes, 0, builder));
    }
}
