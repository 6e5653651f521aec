use insta::assert_snapshot;
use proptest::prelude::*;

use super::{StreamDecoder, StreamOptions, StreamSummary};
use crate::error::DecodeError;
use crate::format::Format;
use crate::json::testing::dump;
use tracediff_core::model::SpanBatchBuilder;

const LENIENT: StreamOptions = StreamOptions {
    strict: false,
    max_record_bytes: 1 << 20,
};
const STRICT: StreamOptions = StreamOptions {
    strict: true,
    ..LENIENT
};

/// What a stream that comes in these chunks becomes: the result, and the spans as text.
fn decode_chunks<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    options: StreamOptions,
) -> (Result<StreamSummary, DecodeError>, String) {
    let mut builder = SpanBatchBuilder::new();
    let mut decoder = StreamDecoder::new(options);
    let pushed = chunks
        .into_iter()
        .try_for_each(|chunk| decoder.push(chunk, &mut builder));
    let result = pushed.and_then(|()| decoder.finish(&mut builder));
    (result, builder.finish().iter().map(dump).collect())
}

fn decode(input: impl AsRef<[u8]>) -> Result<StreamSummary, DecodeError> {
    let (result, spans) = decode_chunks([input.as_ref()], LENIENT);
    if let Ok(summary) = &result {
        let rows = spans.lines().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(rows as u64, summary.spans);
    }
    result
}

/// The summary as text.
fn summary(input: impl AsRef<[u8]>) -> String {
    match decode(input) {
        Err(error) => format!("error: {error}"),
        Ok(summary) => {
            let mut text = format!(
                "{}: {} spans of {} requests, {} bad records, {} rejected",
                summary.format.map_or("none".to_owned(), |f| f.to_string()),
                summary.spans,
                summary.requests,
                summary.bad_records,
                summary.rejected_spans,
            );
            for problem in summary.problems {
                text.push_str(&format!("\n{problem}"));
            }
            text
        }
    }
}

fn otlp(span_id: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"{span_id}"}}]}}]}}]}}"#
    )
}

const A: &str = "00000000000000a1";
const B: &str = "00000000000000b1";
const JAEGER: &str = "{\"data\": [\n  {\"traceID\": \"1\",\n   \"spans\": [{\"traceID\": \"1\", \"spanID\": \"2\"}]}\n]}";
const ZIPKIN: &str = "[{\"traceId\":\"1\",\"id\":\"2\"},\n{\"traceId\":\"1\",\"id\":\"3\"}]";
const LIGHTSTEP: &str = r#"{"data":[{"attributes":{"spans":[{"span-id":"1"}]}}]}"#;

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn layouts() {
    let (a, b) = (otlp(A), otlp(B));
    assert_snapshot!(summary(format!("{a}\n{b}\n")), @"OTLP JSON: 2 spans of 2 requests, 0 bad records, 0 rejected");
    assert_snapshot!(summary(format!("\u{feff}\r\n\r\n{a}\r\n  \r\n{b}")), @"OTLP JSON: 2 spans of 2 requests, 0 bad records, 0 rejected");
    assert_snapshot!(summary(pretty(&a)), @"OTLP JSON: 1 spans of 1 requests, 0 bad records, 0 rejected");
    assert_snapshot!(summary(format!("{}\n{}\n", pretty(&a), pretty(&b))), @"OTLP JSON: 2 spans of 2 requests, 0 bad records, 0 rejected");
    assert_snapshot!(summary(format!("{a}{b}")), @"error: line 1, column 124: trailing characters");
    assert_snapshot!(summary(JAEGER), @"Jaeger JSON: 1 spans of 1 requests, 0 bad records, 0 rejected");
    assert_snapshot!(summary(ZIPKIN), @"Zipkin v2 JSON: 2 spans of 1 requests, 0 bad records, 0 rejected");
    assert_snapshot!(summary(format!("{LIGHTSTEP}\n{LIGHTSTEP}")), @"Lightstep stored traces: 2 spans of 2 requests, 0 bad records, 0 rejected");
    assert_snapshot!(summary(format!("{LIGHTSTEP}\n{}\n{a}", ZIPKIN.replace('\n', ""))), @"Lightstep stored traces: 4 spans of 3 requests, 0 bad records, 0 rejected");
    assert_snapshot!(summary("{}"), @"OTLP JSON: 0 spans of 1 requests, 0 bad records, 0 rejected");
}

#[test]
fn bad_lines_are_passed_over() {
    let (a, b) = (otlp(A), otlp(B));
    assert_snapshot!(summary(format!("{a}\n{{\"resourceSpans\":7}}\n\n{{]\n{b}\n{{\"logs\":[]}}\nhello\n")), @"
    OTLP JSON: 2 spans of 2 requests, 4 bad records, 0 rejected
    line 2, column 18: resourceSpans: invalid type: integer `7`, expected an array of resources with their spans
    line 4, column 2: key must be a string
    line 6, column 1: found a JSON object with `logs`; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    line 7, column 1: expected value
    ");
    // What is left of a line whose beginning was cut off, by rotation for example.
    assert_snapshot!(summary(format!("\"}}]}}]}}]}}\n{a}\n")), @"
    OTLP JSON: 1 spans of 1 requests, 1 bad records, 0 rejected
    line 1, column 8: the text ends inside a string
    ");
    assert_snapshot!(summary(format!("{}\n{a}\n{b}\n", &a[..40])), @"
    OTLP JSON: 2 spans of 2 requests, 1 bad records, 0 rejected
    line 1, column 40: resourceSpans[0].scopeSpans: the text ends inside a string
    ");
    assert_snapshot!(summary(format!("{a}\n{}\n", otlp("xyz"))), @"
    OTLP JSON: 1 spans of 2 requests, 0 bad records, 1 rejected
    line 2, column 100: spanId: expected 16 hex digits, found 3 characters
    ");
    let many = summary(format!("{a}\n{}", "oops\n".repeat(25)));
    assert!(
        many.starts_with("OTLP JSON: 1 spans of 1 requests, 25 bad records"),
        "{many}"
    );
    assert_eq!(many.lines().count(), 11);
}

#[test]
fn a_cut_end_is_told() {
    let (a, b) = (otlp(A), otlp(B));
    assert_snapshot!(summary(format!("{a}\n{}", &b[..b.len() - 3])), @"
    OTLP JSON: 1 spans of 1 requests, 1 bad records, 0 rejected
    line 2, column 120: resourceSpans[0]: the text ends inside an object: the input seems to be cut off
    ");
    assert_snapshot!(summary(&pretty(&a)[..60]), @"error: line 5, column 9: resourceSpans[0].scopeSpans: the text ends inside an object: the input seems to be cut off");
    assert_snapshot!(summary(&a[..30]), @"error: line 1, column 30: resourceSpans[0]: the text ends inside a string: the input seems to be cut off");
    assert_snapshot!(summary("{"), @"error: line 1, column 1: the text ends inside an object: the input seems to be cut off");
    assert_snapshot!(summary("[\n  {"), @"error: line 2, column 3: the text ends inside an object: the input seems to be cut off");
}

#[test]
fn an_input_without_traces_is_an_error() {
    assert_snapshot!(summary(""), @"error: line 1, column 1: the input is empty; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces");
    assert_snapshot!(summary("\u{feff} \n\n"), @"error: line 1, column 1: the input is empty; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces");
    assert_snapshot!(summary("<html>\n<body>"), @"error: line 1, column 1: found HTML or XML that begins with `<html>`; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces");
    assert_snapshot!(summary("a,b,c\n1,2,3\n"), @"error: line 1, column 1: found what looks like CSV that begins with `a,b,c`; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces");
    assert_snapshot!(summary("\x1f\u{8}"), @"error: line 1, column 1: found bytes that are no trace request: 1f 08; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces");
    assert_snapshot!(summary(b"\x1f\x8b\x08\x00"), @"error: line 1, column 1: found gzip-compressed data, which has to be decompressed; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces");
    assert_snapshot!(summary("{\"resourceMetrics\":[]}\n{\"resourceMetrics\":[]}\n"), @"error: line 1, column 1: found OTLP metrics; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces (and 1 more such)");
    assert_snapshot!(summary(pretty(r#"{"resourceLogs":[{"a":1}]}"#)), @"error: line 1, column 1: found OTLP logs; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces");
    assert_snapshot!(summary("{\"a\": 1, }\n"), @"error: line 1, column 10: key must be a string");
    assert_snapshot!(summary(format!("{}\n", otlp("0"))), @"error: line 1, column 100: spanId: expected 16 hex digits, found 1 characters");
}

#[test]
fn strict_ends_at_the_first_problem() {
    let check = |input: String, expected: &str| {
        let (result, _) = decode_chunks([input.as_bytes()], STRICT);
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    let a = otlp(A);
    check(
        format!("{a}\n{{]\n{a}\n"),
        "line 2, column 2: key must be a string",
    );
    check(
        format!("{a}\n{}\n", otlp("1")),
        "line 2, column 100: spanId: expected 16 hex digits, found 1 characters",
    );
    assert!(decode_chunks([a.as_bytes()], STRICT).0.is_ok());
}

#[test]
fn a_record_may_be_too_long() {
    let options = StreamOptions {
        max_record_bytes: 200,
        ..LENIENT
    };
    let (a, b) = (otlp(A), otlp(B));
    let fits = format!("{a}\n{b}\n");
    assert_eq!(
        decode_chunks([fits.as_bytes()], options).0.unwrap().spans,
        2
    );
    let long = format!("{a}\n{}", "x".repeat(300));
    let error = decode_chunks(long.as_bytes().chunks(50), options)
        .0
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 1: a record of more than 200 bytes"
    );
}

/// Requests without spans, as they read with and without the real decoder; 0xff is no request.
#[test]
fn messages() {
    let check = |bytes: &[u8], requests: u64, bad: u64, problem: &str| {
        let summary = decode(bytes).unwrap();
        assert!(matches!(summary.format, Some(Format::OtlpProtobuf(_))));
        assert_eq!((summary.requests, summary.bad_records), (requests, bad));
        let found = summary
            .problems
            .first()
            .map_or(String::new(), |p| p.to_string());
        assert!(found.starts_with(problem), "{found}");
    };
    check(b"\x0a\x00", 1, 0, "");
    check(b"\x02\x0a\x00\x02\x0a\x00", 2, 0, "");
    check(
        b"\x00\x00\x00\x02\x0a\x00\x00\x00\x00\x02\x0a\x00",
        2,
        0,
        "",
    );
}

fn inputs() -> Vec<Vec<u8>> {
    let (a, b) = (otlp(A), otlp(B));
    vec![
        format!("\u{feff}{a}\r\n\r\nbad\n{b}").into_bytes(),
        format!("{}\n{}", pretty(&a), pretty(&b)).into_bytes(),
        format!("{}\n{a}\n{b}\n", &a[..40]).into_bytes(),
        format!("\"}}]}}]}}\n{a}\n").into_bytes(),
        JAEGER.as_bytes().to_vec(),
        ZIPKIN.as_bytes().to_vec(),
        b"\x02\x0a\x00\x02\x0a\x00\x02\x0a\x00".to_vec(),
        b"\x00\x00\x00\x02\x0a\x00\x00\x00\x00\x02\x0a\x00".to_vec(),
        b"a,b,c\n1,2,3\n".to_vec(),
        b" \n ".to_vec(),
        b"\n\n\n{\n".to_vec(),
    ]
}

proptest! {
    #[test]
    fn chunks_do_not_matter(
        input in proptest::sample::select(inputs()),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        strict in any::<bool>(),
    ) {
        let options = if strict { STRICT } else { LENIENT };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]);
        let whole = decode_chunks([&input[..]], options);
        prop_assert_eq!(decode_chunks(chunks, options), whole);
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        text in r#"[\[{" ]{0,2}[{}\[\]:, a"\n]{0,40}"#,
    ) {
        let _ = decode(bytes);
        let _ = decode(text);
    }

    #[test]
    fn a_cut_input_keeps_what_is_whole(end in 0..1000usize) {
        let (a, b) = (otlp(A), otlp(B));
        let text = format!("{a}\n{b}\n");
        let end = end.min(text.len());
        let spans = decode(&text[..end]).map_or(0, |summary| summary.spans);
        let expected = u64::from(end >= a.len()) + u64::from(end > a.len() + b.len());
        prop_assert_eq!(spans, expected);
    }
}

#[test]
fn both_forms_of_otlp_agree() {
    use crate::json::testing::{Holds, Values, build, dump_sorted, samples};
    let holds = Holds {
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
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&samples(holds), |samples| {
            let batches = build(&samples, holds);
            for batch in &batches {
                let bytes = crate::otlp_protobuf::encode_otlp_protobuf_delimited(batch);
                let (r, _) = decode_chunks(bytes.chunks(7), STRICT);
                let s = r.unwrap();
                assert_eq!(s.spans, batch.len() as u64);
                let single = crate::otlp_protobuf::encode_otlp_protobuf(batch);
                let mut b = SpanBatchBuilder::new();
                let mut d = StreamDecoder::new(STRICT);
                for c in single.chunks(11) {
                    d.push(c, &mut b).unwrap();
                }
                let s = d.finish(&mut b).unwrap();
                assert!(matches!(s.format, Some(Format::OtlpProtobuf(_))));
                let a = dump_sorted(&b.finish());
                let mut b = SpanBatchBuilder::new();
                crate::decode_otlp_json(crate::encode_otlp_json(batch).as_bytes(), 0, &mut b)
                    .unwrap();
                assert_eq!(a, dump_sorted(&b.finish()));
            }
            Ok(())
        })
        .unwrap();
}
