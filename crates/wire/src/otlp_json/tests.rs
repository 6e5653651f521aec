use insta::assert_snapshot;
use proptest::prelude::*;

use super::{decode_otlp_json, encode_otlp_json, encode_otlp_json_batches};
use crate::json::testing::{Holds, Values, build, dump_sorted, hostile, outcome, samples};
use tracediff_core::model::SpanBatchBuilder;

fn decode(json: &str) -> String {
    outcome(|builder| decode_otlp_json(json.as_bytes(), 0, builder))
}

/// A request with one span that has `fields`.
fn with_span(fields: &str) -> String {
    let ids = r#""traceId":"0AF7651916cd43dd8448eb211c80319c","spanId":"00000000000000a1""#;
    let comma = if fields.is_empty() { "" } else { "," };
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"cart"}}}}]}},"scopeSpans":[{{"spans":[{{{ids}{comma}{fields}}}]}}]}}]}}"#
    )
}

/// What the one span with `fields` becomes, without the part that is always the same.
fn span(fields: &str) -> String {
    let text = decode(&with_span(fields));
    text.replace("0af7651916cd43dd8448eb211c80319c/00000000000000a1", "id")
}

const DOCUMENT: &str = r#"{"resourceSpans":[{"resource":{"attributes":[
 {"key":"service.name","value":{"stringValue":"checkout"}},
 {"key":"host.cpus","value":{"intValue":"8"}}],"droppedAttributesCount":0},
"scopeSpans":[{"scope":{"name":"io.http","version":"2.1","attributes":[{"key":"short","value":{"boolValue":true}}]},
"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"eee19b7ec3c1b173",
"flags":257,"traceState":"ot=th:c","name":"POST /pay","kind":2,
"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661500000000",
"attributes":[{"key":"http.response.status_code","value":{"intValue":500}},
 {"key":"ratio","value":{"doubleValue":0.5}},{"key":"raw","value":{"bytesValue":"AAE="}},
 {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a\"b"},{"intValue":"1"},{"doubleValue":2},{},{"bytesValue":"AAE="}]}}},
 {"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"arrayValue":{}}},{"value":{"boolValue":false},"key":"b"}]}}},
 {"key":"nothing","value":{}}],
"events":[{"timeUnixNano":"1544712660300000000","name":"exception","attributes":[{"key":"exception.type","value":{"stringValue":"Declined"}}]}],
"links":[{"traceId":"5b8efff798038103d269b633813fc60d","spanId":"eee19b7ec3c1b175","traceState":"a=b","attributes":[{"key":"why","value":{"stringValue":"retry"}}]}],
"status":{"code":"STATUS_CODE_ERROR","message":"card declined"}}]}]}]}"#;

#[test]
fn a_whole_span() {
    assert_snapshot!(decode(DOCUMENT), @r#"
    5b8efff798038103d269b633813fc60c/eee19b7ec3c1b174 < eee19b7ec3c1b173 | checkout: POST /pay | kind 2 status 2 "card declined" | 1544712660000000000 +1500000000 | ot=th:c x4
      event.exception.type=Declined:string
      resource.host.cpus=8:int
      scope.otel.scope.name=io.http:string
      scope.otel.scope.version=2.1:string
      scope.short=true:bool
      span.http.response.status_code=500:int
      span.list=["a\"b",1,2.0,null,{"bytesValue":"AAE="}]:array
      span.map={"k":[],"b":false}:map
      span.ratio=0.5:double
      span.raw=AAE=:bytes
      event 1544712660300000000 "exception" exception.type=Declined:string
      link 5b8efff798038103d269b633813fc60d/eee19b7ec3c1b175 "a=b" why=retry:string
    "#);
}

#[test]
fn the_same_in_any_order_and_in_snake_case() {
    let reordered = r#"{"resource_spans":[{"scope_spans":[{"spans":[{
"status":{"message":"card declined","code":2},
"links":[{"attributes":[{"value":{"string_value":"retry"},"key":"why"}],"trace_state":"a=b","span_id":"eee19b7ec3c1b175","trace_id":"5b8efff798038103d269b633813fc60d"}],
"events":[{"attributes":[{"key":"exception.type","value":{"string_value":"Declined"}}],"name":"exception","time_unix_nano":1544712660300000000}],
"attributes":[{"key":"http.response.status_code","value":{"int_value":"500"}},
 {"key":"ratio","value":{"double_value":"0.5"}},{"key":"raw","value":{"bytes_value":"AAE"}},
 {"key":"list","value":{"array_value":{"values":[{"string_value":"a\u0022b"},{"int_value":1},{"double_value":2.0},{},{"bytes_value":"AAE"}]}}},
 {"key":"map","value":{"kvlist_value":{"values":[{"key":"k","value":{"array_value":{"values":null}}},{"key":"b","value":{"bool_value":false}}]}}}],
"end_time_unix_nano":1544712661500000000,"start_time_unix_nano":1544712660000000000,
"kind":"SPAN_KIND_SERVER","name":"POST /pay","trace_state":"ot=th:c",
"parent_span_id":"7uGbfsPBsXM=","span_id":"EEE19B7EC3C1B174","trace_id":"W47/95gDgQPSabYzgT/GDA=="}],
"scope":{"attributes":[{"key":"short","value":{"bool_value":true}}],"version":"2.1","name":"io.http"}}],
"resource":{"attributes":[{"key":"host.cpus","value":{"int_value":8}},{"key":"service.name","value":{"string_value":"checkout"}}]}}]}"#;
    assert_eq!(decode(reordered), decode(DOCUMENT));
}

#[test]
fn old_and_foreign_envelopes() {
    let expected = decode(&with_span(""));
    for (from, to) in [
        ("scopeSpans", "instrumentationLibrarySpans"),
        ("resourceSpans", "batches"),
        (
            r#"{"resourceSpans""#,
            r#"{"unknown":[{"a":[1e9]}],"resourceSpans""#,
        ),
    ] {
        assert_eq!(decode(&with_span("").replace(from, to)), expected, "{to}");
    }
    assert_eq!(
        decode(&format!(r#"{{"trace":{}}}"#, with_span(""))),
        expected
    );
    let library = with_span("").replace(
        r#""scopeSpans":[{"#,
        r#""instrumentationLibrarySpans":[{"instrumentationLibrary":{"name":"lib","version":""},"#,
    );
    assert_snapshot!(decode(&library), @"
    0af7651916cd43dd8448eb211c80319c/00000000000000a1 < - | cart:  | kind 0 status 0 | 0 +0
      scope.otel.scope.name=lib:string
    ");
}

#[test]
fn lenient_scalars() {
    let check =
        |fields: &str, expected: &str| assert_eq!(span(fields), format!("id < {expected}\n"));
    check("", "- | cart:  | kind 0 status 0 | 0 +0");
    check(r#""kind":"client""#, "- | cart:  | kind 3 status 0 | 0 +0");
    check(
        r#""kind":77,"status":{"code":1}"#,
        "- | cart:  | kind 0 status 1 | 0 +0",
    );
    check(
        r#""kind":"SPAN_KIND_NEW","status":null"#,
        "- | cart:  | kind 0 status 0 | 0 +0",
    );
    check(
        r#""startTimeUnixNano":1.5e3,"endTimeUnixNano":"1600","name":null"#,
        "- | cart:  | kind 0 status 0 | 1500 +100",
    );
    check(
        r#""parentSpanId":"""#,
        "- | cart:  | kind 0 status 0 | 0 +0",
    );
    check(
        r#""parentSpanId":"0000000000000000""#,
        "- | cart:  | kind 0 status 0 | 0 +0",
    );
    check(
        r#""name":"a\u00e9\n""#,
        "- | cart: aé\n | kind 0 status 0 | 0 +0",
    );
    check(
        r#""attributes":null,"events":null,"links":null"#,
        "- | cart:  | kind 0 status 0 | 0 +0",
    );
}

#[test]
fn numbers_keep_what_they_are() {
    let value = |value: &str| {
        let text = span(&format!(
            r#""attributes":[{{"key":"k","value":{{{value}}}}}]"#
        ));
        text.split_once("span.k=")
            .map_or(text.clone(), |(_, v)| v.trim_end().to_owned())
    };
    let check = |json: &str, expected: &str| assert_eq!(value(json), expected, "{json}");
    check(
        r#""intValue":"-9223372036854775808""#,
        "-9223372036854775808:int",
    );
    check(
        r#""intValue":9223372036854775807"#,
        "9223372036854775807:int",
    );
    check(r#""intValue":3.0"#, "3:int");
    check(r#""doubleValue":3"#, "3.0:double");
    check(r#""doubleValue":"NaN""#, "NaN:double");
    check(r#""doubleValue":"-Infinity""#, "-inf:double");
    // JavaScript's exporter writes large doubles so.
    check(r#""intValue":1e+21"#, "1e21:double");
    check(
        r#""intValue":9223372036854776000"#,
        "9.223372036854776e18:double",
    );
    check(
        r#""intValue":"-9223372036854775809""#,
        "-9.223372036854776e18:double",
    );
    check(r#""bytesValue":"_-8""#, "/+8=:bytes");
    check(
        r#""arrayValue":{"values":[{"doubleValue":"NaN"}]}"#,
        "[\"NaN\"]:array",
    );
}

#[test]
fn null_is_no_value_of_any_type() {
    for name in [
        "string", "int", "double", "bool", "bytes", "array", "kvlist",
    ] {
        let attribute = format!(r#""attributes":[{{"key":"k","value":{{"{name}Value":null}}}}]"#);
        let text = span(&attribute);
        assert!(!text.contains("span.k"), "{text}");
        let attribute = format!(
            r#""attributes":[{{"key":"k","value":{{"arrayValue":{{"values":[{{"{name}Value":null}}]}}}}}}]"#
        );
        let text = span(&attribute);
        assert!(text.contains("span.k=[null]:array"), "{text}");
    }
}

#[test]
fn bad_ids_cost_only_their_span() {
    let ids = |trace: &str, span: &str, rest: &str| {
        format!(
            r#"{{"name":"n","traceId":"{trace}","attributes":[{{"key":"k","value":{{"stringValue":"v"}}}}],"events":[{{"name":"e"}}],"spanId":"{span}"{rest}}}"#
        )
    };
    let good = "0af7651916cd43dd8448eb211c80319c";
    let spans = [
        ids(good, "00000000000000a1", ""),
        ids("abc", "00000000000000a2", ""),
        ids(good, "0000000000000000", ""),
        ids(good, "00000000000000a4", r#","parentSpanId":"xyz""#),
        r#"{"traceId":"0af7651916cd43dd8448eb211c80319c"}"#.to_owned(),
        ids(
            good,
            "00000000000000a5",
            r#","links":[{"attributes":[{"key":"k","value":{"intValue":1}}],"spanId":""},{"traceId":"?"}]"#,
        ),
        ids(
            good,
            "00000000000000a6",
            r#","links":[{"spanId":"00000000000000a1"}]"#,
        ),
    ];
    let json = format!(
        "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[\n{}]}}]}}]}}",
        spans.join(",\n")
    );
    assert_snapshot!(decode(&json), @r#"
    0af7651916cd43dd8448eb211c80319c/00000000000000a1 < - | unknown_service: n | kind 0 status 0 | 0 +0
      span.k=v:string
      event 0 "e" 
    0af7651916cd43dd8448eb211c80319c/00000000000000a6 < - | unknown_service: n | kind 0 status 0 | 0 +0
      span.k=v:string
      event 0 "e" 
      link 00000000000000000000000000000000/00000000000000a1 "" 
    rejected 5: line 3, column 24: traceId: expected 32 hex digits, found 3 characters
    "#);
}

/// Each oddity by itself has to end the straight walk.
#[test]
fn one_oddity_is_enough_for_a_second_walk() {
    let resource =
        r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]}"#;
    let scope = r#""scope":{"name":"lib"}"#;
    let good = r#"{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00000000000000a1"}"#;
    let request =
        |first: &str, second: &str| format!(r#"{{"resourceSpans":[{{{first},{second}}}]}}"#);
    let scopes = |first: &str, second: &str| format!(r#""scopeSpans":[{{{first},{second}}}]"#);
    let spans = |spans: &str| format!(r#""spans":[{spans}]"#);

    let expected = decode(&request(resource, &scopes(scope, &spans(good))));
    assert!(
        expected.contains("cart") && expected.contains("lib"),
        "{expected}"
    );
    let late_resource = request(&scopes(scope, &spans(good)), resource);
    assert_eq!(decode(&late_resource), expected);
    let late_scope = request(resource, &scopes(&spans(good), scope));
    assert_eq!(decode(&late_scope), expected);

    let bad = r#"{"attributes":[{"key":"bad","value":{"intValue":1}}],"events":[{"name":"bad"}],"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"?"}"#;
    let late_id = request(resource, &scopes(scope, &spans(&format!("{bad},{good}"))));
    let kept_and_why = |json: &str| {
        let text = decode(json);
        let (kept, why) = text.split_once("rejected 1: line 1, column ").unwrap();
        (kept.to_owned(), why.split_once(": ").unwrap().1.to_owned())
    };
    let why = "spanId: expected 16 hex digits, found 1 characters\n".to_owned();
    assert_eq!(kept_and_why(&late_id), (expected.clone(), why.clone()));
    let link = good.replace('}', r#","links":[{"spanId":"?"}]}"#);
    let bad_link = request(resource, &scopes(scope, &spans(&format!("{link},{good}"))));
    assert_eq!(kept_and_why(&bad_link), (expected, format!("links.{why}")));
}

#[test]
fn errors_say_where_and_what() {
    let error = |json: &str| outcome(|builder| decode_otlp_json(json.as_bytes(), 6, builder));
    assert_snapshot!(error(r#"{"resourceSpans":["#), @"error: line 7, column 18: resourceSpans: the text ends inside a list");
    assert_snapshot!(error("{}}"), @"error: line 7, column 3: trailing characters");
    assert_snapshot!(error("[]"), @"error: line 7, column 1: invalid type: sequence, expected an object with `resourceSpans`");
    assert_snapshot!(error(r#"{"resourceMetrics":[]}"#), @"error: line 7, column 18: these are metrics, expected traces");
    let with =
        |fields: &str| error(&with_span(fields).replace("\"scopeSpans\"", "\n \"scopeSpans\""));
    assert_snapshot!(with(r#""startTimeUnixNano":true"#), @"error: line 8, column 123: resourceSpans[0].scopeSpans[0].spans[0].startTimeUnixNano: invalid type: boolean `true`, expected nanoseconds since the epoch as a number or a string of digits");
    assert_snapshot!(with(r#""endTimeUnixNano":"-1""#), @r#"error: line 8, column 121: resourceSpans[0].scopeSpans[0].spans[0].endTimeUnixNano: invalid value: string "-1", expected nanoseconds since the epoch as a number or a string of digits"#);
    assert_snapshot!(with(r#""name":7"#), @"error: line 8, column 107: resourceSpans[0].scopeSpans[0].spans[0].name: invalid type: integer `7`, expected a string");
    assert_snapshot!(with(r#""attributes":{}"#), @"error: line 8, column 113: resourceSpans[0].scopeSpans[0].spans[0].attributes: invalid type: map, expected an array of attributes");
    assert_snapshot!(with(r#""attributes":[{"key":"k","value":"v"}]"#), @r#"error: line 8, column 135: resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value: invalid type: string "v", expected an attribute value such as {"stringValue":"…"}"#);
    assert_snapshot!(with(r#""attributes":[{"key":"k","value":{"intValue":1.5}}]"#), @"error: line 8, column 147: resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value.intValue: invalid value: floating point `1.5`, expected a whole number, or a string of digits");
    assert_snapshot!(with(r#""attributes":[{"key":"k","value":{"bytesValue":"~"}}]"#), @r#"error: line 8, column 149: resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value.bytesValue: invalid value: string "~", expected bytes in base64"#);
    assert_snapshot!(with(r#""kind":[]"#), @"error: line 8, column 108: resourceSpans[0].scopeSpans[0].spans[0].kind: invalid type: sequence, expected a span kind as a number or a name such as SPAN_KIND_SERVER");
}

#[test]
fn nesting_has_an_end() {
    let deep = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        let close = "]}}".repeat(levels);
        span(&format!(
            r#""attributes":[{{"key":"k","value":{open}{close}}}]"#
        ))
    };
    assert!(deep(20).contains("span.k=[[["));
    assert!(
        deep(100_000).ends_with("recursion limit exceeded"),
        "{}",
        deep(100)
    );
}

const HOLDS: Holds = Holds {
    unit_ns: 1,
    kinds: &[0, 1, 2, 3, 4, 5],
    values: Values::All,
    resources: true,
    scope_attributes: true,
    trace_states: true,
    events: true,
    links: true,
    link_attributes: true,
};

proptest! {
    #[test]
    fn what_is_written_reads_back(samples in samples(HOLDS)) {
        let batches = build(&samples, HOLDS);
        let mut builder = SpanBatchBuilder::new();
        for batch in &batches {
            let json = encode_otlp_json(batch);
            prop_assert!(!json.contains('\n'));
            decode_otlp_json(json.as_bytes(), 0, &mut builder).unwrap();
        }
        prop_assert_eq!(dump_sorted(&builder.finish()), dump_sorted(&batches));
    }

    #[test]
    fn several_batches_become_one_document(samples in samples(HOLDS)) {
        let batches = build(&samples, HOLDS);
        let twice = [batches.clone(), batches].concat();
        let mut builder = SpanBatchBuilder::new();
        decode_otlp_json(encode_otlp_json_batches(&twice).as_bytes(), 0, &mut builder).unwrap();
        prop_assert_eq!(dump_sorted(&builder.finish()), dump_sorted(&twice));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in hostile(DOCUMENT)) {
        outcome(|builder| decode_otlp_json(&bytes, 0, builder));
    }
}
