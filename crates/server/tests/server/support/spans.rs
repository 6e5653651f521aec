//! Requests with spans, and their bytes in every form.

use std::io::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

/// The trace of all spans here.
pub(crate) const TRACE_ID: &str = "5b8efff798038103d269b633813fc60c";

/// A request with as many spans, the first `rejected` of which have trace ids that are too short.
pub(crate) fn request(spans: u8, rejected: u8) -> ExportTraceServiceRequest {
    let trace_id = u128::from_str_radix(TRACE_ID, 16).unwrap().to_be_bytes();
    let span = |i: u8| Span {
        trace_id: trace_id[usize::from(i < rejected)..].to_vec(),
        span_id: vec![i + 1; 8],
        name: format!("operation {i}"),
        start_time_unix_nano: 1_544_712_660_000_000_000,
        end_time_unix_nano: 1_544_712_661_000_000_000,
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: (0..spans).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

pub(crate) fn protobuf(spans: u8, rejected: u8) -> Vec<u8> {
    request(spans, rejected).encode_to_vec()
}

/// The same as JSON.
pub(crate) fn json(spans: u8, rejected: u8) -> Vec<u8> {
    let span = |i: u8| {
        let trace_id = &TRACE_ID[2 * usize::from(i < rejected)..];
        let span_id = format!("{:02x}", i + 1).repeat(8);
        format!(
            r#"{{"traceId":"{trace_id}","spanId":"{span_id}","name":"operation {i}","startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000"}}"#
        )
    };
    let spans: Vec<_> = (0..spans).map(span).collect();
    let spans = spans.join(",\n");
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#).into_bytes()
}

/// A name for `Content-Encoding` and what does it.
pub(crate) type Compress = (&'static str, fn(&[u8]) -> Vec<u8>);

pub(crate) const COMPRESSIONS: [Compress; 3] = [
    ("identity", |bytes| bytes.to_vec()),
    ("gzip", gzip),
    ("zstd", zstd),
];

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}
