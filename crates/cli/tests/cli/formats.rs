//! The same traces in every format and compression give the same document; what a file is, is told from its content.

use std::io::Write as _;

use tracediff_testkit::{Sandbox, Traces};

use super::shop::sandbox;

const BEFORE: &str = "
    web: GET /cart 120ms server app.tier=gold http.response.status_code=200
      cart: load 40ms client
        db: SELECT 5.25ms client
    web: GET /cart 100ms server error app.tier=silver http.response.status_code=500
    web: GET /old 10ms server
";
const AFTER: &str = "
    web: GET /cart 150ms server error app.tier=gold http.response.status_code=500
      cart: load 90ms client
      cart: load 94ms client @90ms
    web: GET /pay 80ms server app.tier=platinum http.response.status_code=200
";

/// By hand from the texts above. 92000 − 40000 µs for `load`; (150 + 80) / 2 − (120 + 100 + 10) / 3 ms, in whole
/// microseconds, for `web`.
const EXPECTED: &str = r#"{
  "diffs": [
    {
      "key": "service",
      "new": [],
      "missing": [
        "db"
      ],
      "diffs": [
        {
          "value": "cart",
          "occurrence": 1,
          "avg_latency": 52000,
          "error_ratio": 0.0
        },
        {
          "value": "web",
          "occurrence": -1,
          "avg_latency": 38334,
          "error_ratio": 0.17
        }
      ]
    },
    {
      "key": "operation",
      "new": [
        "GET /pay"
      ],
      "missing": [
        "GET /old",
        "SELECT"
      ],
      "diffs": [
        {
          "value": "GET /cart",
          "occurrence": -1,
          "avg_latency": 40000,
          "error_ratio": 0.5
        },
        {
          "value": "load",
          "occurrence": 1,
          "avg_latency": 52000,
          "error_ratio": 0.0
        }
      ]
    },
    {
      "key": "app.tier",
      "new": [
        "platinum"
      ],
      "missing": [
        "silver"
      ],
      "diffs": [
        {
          "value": "gold",
          "occurrence": 0,
          "avg_latency": 30000,
          "error_ratio": 1.0
        }
      ]
    },
    {
      "key": "http.response.status_code",
      "new": [],
      "missing": [],
      "diffs": [
        {
          "value": "200",
          "occurrence": 0,
          "avg_latency": -40000,
          "error_ratio": 0.0
        },
        {
          "value": "500",
          "occurrence": 0,
          "avg_latency": 50000,
          "error_ratio": 0.0
        }
      ]
    }
  ]
}
"#;

const KEYS: &str = "--format compat --by app.tier --by http.response.status_code";

type Encode = fn(&Traces) -> Vec<u8>;

const FORMATS: [(&str, Encode); 7] = [
    ("OTLP JSON lines", |t| t.otlp_json_lines().into()),
    ("OTLP JSON document", |t| t.otlp_json_document().into()),
    ("OTLP protobuf", |t| t.otlp_protobuf()),
    ("OTLP protobuf delimited", |t| t.otlp_protobuf_delimited()),
    ("Jaeger", |t| t.jaeger().into()),
    ("Zipkin", |t| t.zipkin().into()),
    ("Lightstep", |t| t.lightstep().into()),
];

type Compress = fn(&[u8]) -> Vec<u8>;

const COMPRESSIONS: [(&str, Compress); 3] =
    [("plain", <[u8]>::to_vec), ("gzip", gzip), ("zstd", zstd)];

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn texts() -> [Traces; 2] {
    [BEFORE, AFTER].map(Traces::parse)
}

#[track_caller]
fn check(sandbox: &Sandbox, paths: &str) {
    let output = sandbox.run(&format!("compare {paths} {KEYS}"));
    assert_eq!(output.expect_code(0), EXPECTED, "{paths}");
}

#[test]
fn every_format_and_compression_gives_the_same_document() {
    let [before, after] = texts();
    for (format, encode) in FORMATS {
        for (compression, compress) in COMPRESSIONS {
            let sandbox = sandbox();
            sandbox
                .write("before", compress(&encode(&before)))
                .write("after", compress(&encode(&after)));
            let output = sandbox.run(&format!("compare before after {KEYS}"));
            assert_eq!(output.expect_code(0), EXPECTED, "{format}, {compression}");
        }
    }
}

#[test]
fn the_two_sides_may_differ_in_format() {
    let [before, after] = texts();
    let sandbox = sandbox();
    sandbox
        .write("before.json", before.zipkin())
        .write("after.zst", zstd(&after.otlp_protobuf_delimited()));
    check(&sandbox, "before.json after.zst");
}

#[test]
fn a_wrong_extension_does_no_harm() {
    let [before, after] = texts();
    let sandbox = sandbox();
    sandbox
        .write("before.gz", before.otlp_protobuf())
        .write("after.pb", gzip(after.jaeger().as_bytes()));
    check(&sandbox, "before.gz after.pb");
}

#[test]
fn a_file_may_mix_lines_of_several_formats_blank_lines_and_crlf() {
    let [before, after] = texts();
    let compact = |json: String| -> String {
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        value.to_string()
    };
    let mixed = format!(
        "\u{feff}{}\r\n\r\n{}\r\n",
        // The first trace as Jaeger, the others as Zipkin.
        compact(
            Traces {
                spans: before.spans[..3].to_vec()
            }
            .jaeger()
        ),
        compact(
            Traces {
                spans: before.spans[3..].to_vec()
            }
            .zipkin()
        ),
    );
    let sandbox = sandbox();
    sandbox
        .write("before", mixed)
        .write("after", after.otlp_json_lines());
    check(&sandbox, "before after");
}

#[test]
fn a_minus_is_standard_input_in_any_format() {
    let [before, after] = texts();
    let sandbox = sandbox();
    sandbox
        .write("before", before.otlp_json_lines())
        .write("after", after.otlp_json_lines());
    for (format, encode) in FORMATS {
        let output = sandbox.run_with(
            &format!("compare - after {KEYS}"),
            &[],
            &gzip(&encode(&before)),
        );
        assert_eq!(output.expect_code(0), EXPECTED, "{format}");
    }
    let output = sandbox.run_with(
        &format!("compare before - {KEYS}"),
        &[],
        &after.otlp_protobuf(),
    );
    assert_eq!(output.expect_code(0), EXPECTED);
}
