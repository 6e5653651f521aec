use insta::assert_snapshot;
use proptest::prelude::*;

use super::{Compression, Detection, Format, detect_format};
use crate::otlp_protobuf::Framing;

#[test]
fn formats_are_told_by_content() {
    let check = |text: &str, expected: Format| {
        assert_eq!(
            detect_format(text.as_bytes()),
            Detection::Known(expected),
            "{text}"
        );
    };
    check(r#"{"resourceSpans":[{"res"#, Format::OtlpJson);
    check("\u{feff}\r\n  {\n \"resource_spans\" : [", Format::OtlpJson);
    check(
        r#"{"schemaUrl":"a\"{","x":[1,{"y":"]"}],"resourceSpans": ["#,
        Format::OtlpJson,
    );
    check(r#"{"batches":[]}"#, Format::OtlpJson);
    check(r#"{"trace":{"resourceSpans":[]}}"#, Format::OtlpJson);
    check("{}", Format::OtlpJson);
    check(r#"{"data":[{"traceID": ["#, Format::Jaeger);
    check(
        r#"{"total":0,"errors":null,"data":[ { "spans" : [], "warnings":null , "processes": ["#,
        Format::Jaeger,
    );
    check(r#"{"data":[],"total":0}"#, Format::Jaeger);
    check(r#"{"data":null,"errors":[]}"#, Format::Jaeger);
    check(r#"{"spans":[{"spanID":"1"}],"traceID": ["#, Format::Jaeger);
    check(r#"[{"traceID": ["#, Format::Jaeger);
    check(r#"[{"traceId": ["#, Format::Zipkin);
    check(r#"[{"id":"1","kind":"CLIENT","traceId": ["#, Format::Zipkin);
    check(r#"[[{"traceId": ["#, Format::Zipkin);
    check(r#"{"id":"1","traceId": ["#, Format::Zipkin);
    check("[]", Format::Zipkin);
    check(
        r#"{"data":[{"type":"t","id":"1","attributes":{"#,
        Format::Lightstep,
    );
    check(r#"{"data":{"relationships": ["#, Format::Lightstep);
    check(r#"[{"id":"1","relationships": ["#, Format::Lightstep);
    check(r#"{"attributes":{"spans"#, Format::Lightstep);
    check("\n\u{0}\n\u{0}", Format::OtlpProtobuf(Framing::Single));
    // Lengths of 123, 91 and 34 look like brackets and a quote.
    check("\n{\n\"\n \n", Format::OtlpProtobuf(Framing::Single));
    check("\n[\n\"\n \n", Format::OtlpProtobuf(Framing::Single));
    check("\n[\n0\n.\n", Format::OtlpProtobuf(Framing::Single));
}

#[test]
fn a_beginning_may_be_too_short() {
    for text in [
        "",
        "\u{feff}",
        " \n",
        "{",
        "[ ",
        r#"{"schemaUrl"#,
        r#"{"schemaUrl":"#,
        r#"{"a":{"b":[1"#,
        r#"{"data":["#,
        r#"{"data":[{"id":"1""#,
    ] {
        assert_eq!(
            detect_format(text.as_bytes()),
            Detection::NeedMore,
            "{text}"
        );
    }
}

#[test]
fn what_is_not_understood_is_described() {
    let found = |bytes: &[u8]| match detect_format(bytes) {
        Detection::Unknown(unrecognized) => unrecognized.found,
        other => panic!("{other:?}"),
    };
    assert_snapshot!(found(b" <!DOCTYPE html>\n<html>"), @"HTML or XML that begins with `<!DOCTYPE html>`");
    assert_snapshot!(found(b"trace_id,span_id,name,duration\n1,2,3,4"), @"what looks like CSV that begins with `trace_id,span_id,name,duration`");
    assert_snapshot!(found("Grüße an alle, die das hier lesen und sich wundern".as_bytes()), @"text that begins with `Grüße an alle, die das hier lesen und si…`");
    assert_snapshot!(found(b"\x1f\x8b\x08\x00"), @"gzip-compressed data, which has to be decompressed");
    assert_snapshot!(found(b"\x28\xb5\x2f\xfd\x00"), @"zstd-compressed data, which has to be decompressed");
    assert_snapshot!(found(b"PAR1\x15\x04"), @"a Parquet file");
    assert_snapshot!(found(b"\x7fELF\x02\x01\x01\x00\x00\x00"), @"bytes that are no trace request: 7f 45 4c 46 02 01 01 00");
    assert_snapshot!(found(br#"{"resourceMetrics":[]}"#), @"OTLP metrics");
    assert_snapshot!(found(br#"{"resourceLogs":[]}"#), @"OTLP logs");
    assert_snapshot!(found(br#"{"logs":[],"b":1,"c":2,"d":3,"e":4,"f":5}"#), @"a JSON object with `logs`, `b`, `c`, `d`, `e`, …");
    assert_snapshot!(found(br#"{"data":["frontend","mysql"]}"#), @"a JSON object whose `data` has no traces");
    assert_snapshot!(found(b"[1,2]"), @"text that begins with `[1,2]`");
    assert_snapshot!(found(br#"[{"resourceSpans":[]}]"#), @"an array of OTLP requests, which should stand one on each line");
    assert_snapshot!(found(b"{\"a\" 1}"), @"JSON that is not well formed");
    assert_snapshot!(super::describe(b"hello"), @"found text that begins with `hello`; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces");
}

#[test]
fn compression_is_told_by_its_magic() {
    assert_eq!(
        Compression::detect(b"\x1f\x8b\x08"),
        Some(Compression::Gzip)
    );
    assert_eq!(
        Compression::detect(b"\x28\xb5\x2f\xfd"),
        Some(Compression::Zstd)
    );
    assert_eq!(Compression::detect(b"{\"a\":1}"), None);
    assert_eq!(Compression::detect(b""), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        detect_format(&bytes);
    }

    #[test]
    fn no_text_makes_it_panic(text in r#"[\[{]["{}\[\]:, a\\d]{0,40}"#) {
        detect_format(text.as_bytes());
    }

    /// More bytes never change what fewer have told.
    #[test]
    fn a_longer_beginning_agrees(end in 0..400usize) {
        let text = r#"{"schemaUrl":"a\"{","x":[1,{"y":"]"}],"data":[{"id":"1","z":[],"relationships":{}}]}"#;
        let end = end.min(text.len());
        let whole = detect_format(text.as_bytes());
        let part = detect_format(&text.as_bytes()[..end]);
        prop_assert!(part == whole || part == Detection::NeedMore);
    }
}
