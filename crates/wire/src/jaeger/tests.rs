use insta::assert_snapshot;
use proptest::prelude::*;

use super::{decode_jaeger, encode_jaeger};
use crate::json::testing::{Holds, Values, build, dump_sorted, hostile, outcome, samples};
use tracediff_core::model::SpanBatchBuilder;

fn decode(json: &str) -> String {
    outcome(|builder| decode_jaeger(json.as_bytes(), 0, builder))
}

/// A trace with one span that has `fields`.
fn with_span(fields: &str) -> String {
    format!(
        r#"{{"traceID":"a1","spans":[{{"traceID":"a1","spanID":"b1","processID":"p1","operationName":"op","startTime":10,"duration":5,{fields}}}],"processes":{{"p1":{{"serviceName":"cart"}}}}}}"#
    )
}

fn span(fields: &str) -> String {
    let text = decode(&with_span(fields));
    text.replace("000000000000000000000000000000a1/00000000000000b1", "id")
}

const DOCUMENT: &str = r#"{"data":[{"traceID":"3d1fb1f7a4f4e1c5","spans":[
{"traceID":"3d1fb1f7a4f4e1c5","spanID":"3d1fb1f7a4f4e1c5","flags":1,"operationName":"HTTP GET /dispatch","references":[],
"startTime":1583247000000100,"duration":721000,"tags":[{"key":"sampler.type","type":"string","value":"probabilistic"},
{"key":"sampler.param","type":"float64","value":0.25},{"key":"span.kind","type":"string","value":"server"},
{"key":"http.status_code","type":"int64","value":500},{"key":"error","type":"bool","value":true},
{"key":"ratio","type":"float64","value":2},{"key":"raw","type":"binary","value":"AAE="}],
"logs":[{"timestamp":1583247000000200,"fields":[{"key":"event","type":"string","value":"exception"},{"key":"exception.type","type":"string","value":"Timeout"},{"key":"n","type":"int64","value":3}]}],
"processID":"p1","warnings":null},
{"traceID":"3d1fb1f7a4f4e1c5","spanID":"9","operationName":"SQL SELECT",
"references":[{"refType":"FOLLOWS_FROM","traceID":"77","spanID":"8"},{"refType":"CHILD_OF","traceID":"3d1fb1f7a4f4e1c5","spanID":"3d1fb1f7a4f4e1c5"}],
"startTime":1583247000000300,"duration":1000,"tags":[{"key":"span.kind","type":"string","value":"client"},
{"key":"otel.status_code","type":"string","value":"ERROR"},{"key":"otel.status_description","type":"string","value":"no rows"},
{"key":"otel.library.name","type":"string","value":"sqlx"}],"logs":[],"processID":"p2","warnings":["clock skew"]}],
"processes":{"p1":{"serviceName":"frontend","tags":[{"key":"hostname","type":"string","value":"h1"}]},"p2":{"serviceName":"mysql"}},
"warnings":null}],"total":0,"limit":0,"offset":0,"errors":null}"#;

#[test]
fn a_download() {
    assert_snapshot!(decode(DOCUMENT), @r#"
    00000000000000003d1fb1f7a4f4e1c5/3d1fb1f7a4f4e1c5 < - | frontend: HTTP GET /dispatch | kind 2 status 2 | 1583247000000100000 +721000000 | ot=th:c x4
      event.exception.type=Timeout:string
      resource.hostname=h1:string
      span.http.status_code=500:int
      span.ratio=2.0:double
      span.raw=AAE=:bytes
      span.sampler.param=0.25:double
      span.sampler.type=probabilistic:string
      event 1583247000000200000 "exception" exception.type=Timeout:string n=3:int
    00000000000000003d1fb1f7a4f4e1c5/0000000000000009 < 3d1fb1f7a4f4e1c5 | mysql: SQL SELECT | kind 3 status 2 "no rows" | 1583247000000300000 +1000000 | ot=th:c x4
      scope.otel.scope.name=sqlx:string
      link 00000000000000000000000000000077/0000000000000008 ""
    "#);
}

#[test]
fn a_trace_and_an_array_of_traces_too() {
    let trace = DOCUMENT
        .strip_prefix(r#"{"data":["#)
        .and_then(|text| text.split_once(r#"],"total""#))
        .map(|(trace, _)| trace)
        .unwrap();
    assert_eq!(decode(trace), decode(DOCUMENT));
    assert_eq!(decode(&format!(" [{trace}]")), decode(DOCUMENT));
    assert_eq!(decode("[]"), "");
    assert_eq!(decode(r#"{"data":[]}"#), "");
}

#[test]
fn parents_and_links() {
    let check = |references: &str, expected: &str| {
        let text = span(&format!(r#""references":[{references}]"#));
        let parent = text.split(" | ").next().unwrap();
        let links: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        assert_eq!([&[parent], &links[..]].concat().join("; "), expected);
    };
    let child = |trace: &str, span: &str| {
        format!(r#"{{"refType":"CHILD_OF","traceID":"{trace}","spanID":"{span}"}}"#)
    };
    let follows = |trace: &str, span: &str| child(trace, span).replace("CHILD_OF", "FOLLOWS_FROM");
    let link = |trace: u8, span: u8| format!("link {trace:032x}/{span:016x} \"\"");
    check("", "id < -");
    check(&child("00a1", "7"), "id < 0000000000000007");
    check(
        &[follows("a1", "6"), child("a1", "7"), child("a1", "8")].join(","),
        &format!(
            "id < 0000000000000007; {}; {} opentracing.ref_type=child_of:string",
            link(0xa1, 6),
            link(0xa1, 8)
        ),
    );
    check(
        &follows("a1", "6"),
        &format!("id < 0000000000000006; {}", link(0xa1, 6)),
    );
    check(&follows("c1", "6"), &format!("id < -; {}", link(0xc1, 6)));
    check(&follows("x", "y"), "id < -");
    assert!(span(r#""parentSpanID":"7""#).starts_with("id < 0000000000000007"));
}

#[test]
fn status_and_values() {
    let tag = |key: &str, value_type: &str, value: &str| {
        let json = span(&format!(
            r#""tags":[{{"key":"{key}","type":"{value_type}","value":{value}}}]"#
        ));
        json.replace("id < - | cart: op | kind 0 ", "")
            .replace(" | 10000 +5000", "")
    };
    let check = |key, value_type, value, expected: &str| {
        assert_eq!(tag(key, value_type, value).trim_end(), expected);
    };
    check("error", "bool", "true", "status 2");
    check("error", "string", "\"true\"", "status 2");
    check(
        "error",
        "bool",
        "false",
        "status 0\n  span.error=false:bool",
    );
    check(
        "error",
        "string",
        "\"boom\"",
        "status 0\n  span.error=boom:string",
    );
    check("otel.status_code", "string", "\"OK\"", "status 1");
    check("k", "int64", "\"5\"", "status 0\n  span.k=5:int");
    check("k", "int64", "\"five\"", "status 0\n  span.k=five:string");
    check("k", "float64", "1", "status 0\n  span.k=1.0:double");
    check("k", "float64", "\"NaN\"", "status 0\n  span.k=NaN:double");
    check("k", "bool", "\"true\"", "status 0\n  span.k=true:bool");
    check(
        "k",
        "",
        "9007199254740993",
        "status 0\n  span.k=9007199254740993:int",
    );
    check("k", "string", "[1, 2]", "status 0\n  span.k=[1,2]:array");
    check("k", "string", "null", "status 0");
    check(
        "span.kind",
        "string",
        "\"odd\"",
        "status 0\n  span.span.kind=odd:string",
    );
}

#[test]
fn the_weight_of_a_sampled_root_is_that_of_its_trace() {
    let text = decode(DOCUMENT);
    assert_eq!(text.matches(" | ot=th:c x4").count(), 2, "{text}");
    let not_root = DOCUMENT.replace(
        r#""references":[]"#,
        r#""references":[{"refType":"CHILD_OF","spanID":"5"}]"#,
    );
    assert!(!decode(&not_root).contains("ot=th"));
    let own = DOCUMENT.replace(
        r#"{"key":"ratio","type":"float64","value":2}"#,
        r#"{"key":"w3c.tracestate","type":"string","value":"ot=th:8"}"#,
    );
    assert!(decode(&own).contains("ot=th:8 x2"));
    assert!(!decode(&DOCUMENT.replace("0.25", "0.0")).contains("ot=th"));
}

#[test]
fn errors_say_where_and_what() {
    assert_snapshot!(decode(r#"{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}"#), @"error: line 1, column 1: Jaeger answered with an error: trace not found");
    assert_snapshot!(decode(&with_span(r#""tags":[{"key":"k"}]"#)), @"error: line 1, column 140: spans[0].tags[0]: missing field `value`");
    assert_snapshot!(decode(&with_span(r#""logs":{}"#)), @"error: line 1, column 128: spans[0].logs: invalid type: map, expected a sequence");
    assert_snapshot!(decode(&with_span("").replace("10", "\"x\"")), @r#"error: line 1, column 108: spans[0].startTime: invalid value: string "x", expected microseconds as a number or a string of digits"#);
    assert_snapshot!(decode(&with_span(r#""warnings":null"#).replace("b1", "xyz")), @"rejected 1: line 1, column 52: spanID: `x` at position 0 is not a hex digit");
    assert_snapshot!(decode(&with_span(r#""warnings":null"#).replace("a1", "0")), @"rejected 1: line 1, column 37: traceID: an id of only zeros is not valid");
}

const HOLDS: Holds = Holds {
    unit_ns: 1_000,
    kinds: &[0, 1, 2, 3, 4, 5],
    values: Values::NoArrays,
    resources: true,
    scope_attributes: false,
    trace_states: true,
    events: true,
    links: true,
    link_attributes: false,
};

proptest! {
    #[test]
    fn what_is_written_reads_back(samples in samples(HOLDS)) {
        let batches = build(&samples, HOLDS);
        let mut builder = SpanBatchBuilder::new();
        for batch in &batches {
            decode_jaeger(encode_jaeger(batch).as_bytes(), 0, &mut builder).unwrap();
        }
        prop_assert_eq!(dump_sorted(&builder.finish()), dump_sorted(&batches));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in hostile(DOCUMENT)) {
        outcome(|builder| decode_jaeger(&bytes, 0, builder));
    }
}
