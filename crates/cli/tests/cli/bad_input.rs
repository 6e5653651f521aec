//! Input that is no traces, or damaged: a clear message and the right exit code, each for itself.

use insta::assert_snapshot;
use tracediff_testkit::{Output, Traces};

use super::formats::{gzip, zstd};
use super::shop::{shop, small, warnings};

/// Compares a file with this content with a sound one.
fn run(content: impl AsRef<[u8]>) -> Output {
    let sandbox = small();
    sandbox.write("bad", content);
    sandbox.run("compare bad after.jsonl --format json")
}

fn run_strict(content: impl AsRef<[u8]>) -> Output {
    let sandbox = small();
    sandbox.write("bad", content);
    sandbox.run("compare bad after.jsonl --strict --format json")
}

#[test]
fn an_empty_file() {
    assert_snapshot!(run(""), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: the input is empty; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run("\n\n"), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: the input is empty; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run(gzip(b"")), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: the input is empty; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
}

#[test]
fn a_truncated_gzip() {
    let whole = gzip(shop(1, 40).otlp_json_lines().as_bytes());
    assert_snapshot!(run(&whole[..whole.len() / 2]), @"
    exit 2
    --- stderr
    error: bad
      because: the compressed data ends too early, after 23032 decompressed bytes: the file is cut off; copy it again, or decompress what is there and compare that
    ");
    assert_snapshot!(run(&whole[..5]), @"
    exit 2
    --- stderr
    error: bad
      because: the compressed data ends too early, after 0 decompressed bytes: the file is cut off; copy it again, or decompress what is there and compare that
    ");
}

#[test]
fn a_damaged_gzip() {
    let mut whole = gzip(shop(1, 40).otlp_json_lines().as_bytes());
    let end = whole.len();
    whole[end - 6] ^= 0xff;
    assert_snapshot!(run(&whole), @"
    exit 2
    --- stderr
    error: bad
      because: could not read on after 51540 decompressed bytes
      because: corrupt gzip stream does not have a matching checksum
    ");
}

#[test]
fn a_truncated_zstd() {
    let whole = zstd(shop(1, 40).otlp_json_lines().as_bytes());
    assert_snapshot!(run(&whole[..whole.len() / 2]), @"
    exit 2
    --- stderr
    error: bad
      because: the compressed data ends too early, after 0 decompressed bytes: the file is cut off; copy it again, or decompress what is there and compare that
    ");
}

#[test]
fn one_side_without_spans() {
    assert_snapshot!(run(r#"{"resourceSpans":[]}"#), @"
    exit 2
    --- stderr
    error: bad holds no spans, so there is nothing to compare
    ");
    assert_snapshot!(run("[]"), @"
    exit 2
    --- stderr
    error: bad holds no spans, so there is nothing to compare
    ");
}

#[test]
fn a_damaged_line_in_the_middle_is_skipped_and_told() {
    let sound = shop(1, 40).otlp_json_lines();
    let mut lines: Vec<&str> = sound.lines().collect();
    let cut = &lines[29][..lines[29].len() - 20];
    lines[29] = cut;
    let text = lines.join("\n");
    let output = run(&text);
    assert_eq!(output.json()["quality"]["baseline"]["traces"], 59);
    assert_snapshot!(warnings(&output).lines().next().unwrap(), @"damaged: 1 damaged record of the baseline skipped: bad: line 30, column 838: resourceSpans[1].scopeSpans: the text ends inside a string");
    assert_snapshot!(run_strict(&text), @"
    exit 2
    --- stderr
    error: bad
      because: line 30, column 838: resourceSpans[1].scopeSpans: the text ends inside a string
    ");
}

#[test]
fn a_span_without_a_valid_id_is_skipped_and_told() {
    let id = |id: &str| format!(r#""spanId":"{id}""#);
    let text = shop(1, 40)
        .otlp_json_lines()
        .replacen(&id("0000000000000002"), &id("xyz"), 1);
    let output = run(&text);
    assert_eq!(output.json()["quality"]["baseline"]["spans"], 119);
    assert_snapshot!(warnings(&output).lines().next().unwrap(), @"rejected: 1 span of the baseline without a valid id skipped: bad: line 1, column 684: spanId: expected 16 hex digits, found 3 characters");
    assert_snapshot!(run_strict(&text), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 684: spanId: expected 16 hex digits, found 3 characters
    ");
}

#[test]
fn a_file_that_is_cut_off_in_its_last_line() {
    let text = shop(1, 40).otlp_json_lines();
    let output = run(&text[..text.len() - 100]);
    assert_eq!(output.json()["quality"]["baseline"]["traces"], 59);
    assert_snapshot!(warnings(&output).lines().next().unwrap(), @"damaged: 1 damaged record of the baseline skipped: bad: line 60, column 759: resourceSpans[1].scopeSpans: the text ends inside a string: the input seems to be cut off");
}

#[test]
fn protobuf_that_is_cut_off() {
    let bytes = shop(1, 40).otlp_protobuf_delimited();
    let output = run(&bytes[..bytes.len() - 10]);
    assert_eq!(output.json()["quality"]["baseline"]["traces"], 59);
    assert_snapshot!(warnings(&output).lines().next().unwrap(), @"damaged: 1 damaged record of the baseline skipped: bad: byte 16107: expected a message of 271 bytes, found 261: the input seems to be cut off");
    let bytes = shop(1, 40).otlp_protobuf();
    assert_snapshot!(run(&bytes[..bytes.len() - 10]), @"
    exit 2
    --- stderr
    error: bad
      because: byte 4926: resource_spans: has length 4021, but only 4011 bytes of the message are left
    ");
}

#[test]
fn what_is_no_traces() {
    assert_snapshot!(run("trace_id,span_id,name\n1,2,GET /\n"), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: found what looks like CSV that begins with `trace_id,span_id,name`; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run("<!doctype html>\n<html><body>404</body></html>\n"), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: found HTML or XML that begins with `<!doctype html>`; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run(r#"{"resourceMetrics":[{"scopeMetrics":[]}]}"#), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: found OTLP metrics; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run(r#"{"resourceLogs":[{"scopeLogs":[]}]}"#), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: found OTLP logs; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run("PAR1\0\0\0\0PAR1"), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: found a Parquet file; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run("Dear diary, today I was slow.\n"), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: found text that begins with `Dear diary, today I was slow.`; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run(gzip(&gzip(b"{}"))), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: found gzip-compressed data, which has to be decompressed; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
    assert_snapshot!(run([0xff, 0x00, 0xfe, 0x80]), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: found bytes that are no trace request: ff 00 fe 80; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
}

#[test]
fn a_whole_file_of_damaged_lines() {
    let cut: String = shop(1, 40)
        .otlp_json_lines()
        .lines()
        .map(|line| line[..line.len() - 5].to_owned() + "\n")
        .collect();
    assert_snapshot!(run(cut), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 853: resourceSpans[1].scopeSpans: the text ends inside an object (and 59 more such)
    ");
}

#[test]
fn the_candidates_file_is_named_too() {
    let sandbox = small();
    sandbox.write("bad", "");
    assert_snapshot!(sandbox.run("compare before.jsonl bad"), @"
    exit 2
    --- stderr
    error: bad
      because: line 1, column 1: the input is empty; expected traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or Lightstep stored traces
    ");
}

#[test]
fn a_file_that_may_not_be_read() {
    // The superuser may read everything, so a folder's file that is a broken link does.
    let sandbox = small();
    std::fs::create_dir(sandbox.folder().join("links")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", sandbox.folder().join("links/broken")).unwrap();
    assert_snapshot!(sandbox.run("compare links after.jsonl"), @"
    exit 2
    --- stderr
    error: links/broken
      because: could not open it
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn invalid_utf8_in_a_name_becomes_a_replacement_character_and_is_told() {
    let traces = Traces::parse("web: GET_QQ 5ms\nweb: GET_QQ 5ms");
    let replace = |mut bytes: Vec<u8>| {
        while let Some(at) = bytes.windows(2).position(|pair| pair == b"QQ") {
            bytes[at..at + 2].copy_from_slice(&[0xc3, 0x28]);
        }
        bytes
    };
    for content in [
        traces.otlp_protobuf(),
        traces.otlp_json_lines().into_bytes(),
    ] {
        let output = run(replace(content));
        output.expect_code(0);
        assert!(output.stdout.contains("GET_\u{fffd}("), "{output}");
        assert!(warnings(&output).contains("invalid_utf8"), "{output}");
    }
    // A document in another format is damaged then.
    assert_snapshot!(run(replace(traces.jaeger().into_bytes())), @"
    exit 2
    --- stderr
    error: bad
      because: line 14, column 33: data[0].spans[0].operationName: invalid unicode code point
    ");
}
