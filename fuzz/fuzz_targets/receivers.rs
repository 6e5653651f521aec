//! Any request to the ports that spans come in by: never a panic, an answer that its protocol allows, and all memory given
//! back. A few bytes choose path, headers, and how the rest is sent, so that what is behind a right header is reached.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use futures::stream;
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic_types::Status;
use tower::ServiceExt as _;
use tracediff_server::Limits;
use tracediff_server::fuzzing::Receivers;
use tracediff_store::{Durability, Settings, Store};

/// So small that inputs reach them.
const LIMITS: Limits = Limits {
    compressed_bytes: 2_000,
    decompressed_bytes: 20_000,
    in_flight_bytes: 50_000,
    connections: 1,
    streams_per_connection: 1,
    header_timeout: Duration::from_secs(1),
    body_timeout: Duration::from_secs(1),
    body_idle_timeout: Duration::from_secs(1),
    write_timeout: Duration::from_secs(1),
    ping_interval: Duration::from_secs(1),
    ping_timeout: Duration::from_secs(1),
    shutdown_grace: Duration::from_secs(1),
};
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const PATHS: [&str; 4] = ["/v1/traces", "/api/v2/spans", "/v1/metrics", EXPORT];
const TYPES: [&str; 7] = [
    "application/x-protobuf",
    "application/json",
    "application/json; charset=utf-8",
    "application/grpc",
    "application/grpc+proto",
    "application/grpc+json",
    "text/plain",
];
const ENCODINGS: [&str; 6] = ["gzip", "zstd", "identity", "GZIP", "br", "gzip, zstd"];

struct World {
    runtime: tokio::runtime::Runtime,
    receivers: Receivers,
    _folder: tempfile::TempDir,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("there is a runtime");
        let settings = Settings {
            durability: Durability::None,
            min_free_bytes: 0,
            head_bytes: 4 << 20,
            retention_bytes: Some(4 << 20),
            ..Settings::new(folder.path())
        };
        let (store, _) = runtime.block_on(Store::open(settings)).expect("the store opens");
        let receivers = runtime.block_on(Receivers::new(store, LIMITS)).expect("reflection is built");
        World { runtime, receivers, _folder: folder }
    })
}

/// A request as the first bytes of the input say, whose body is made of the others.
struct Case {
    is_grpc: bool,
    request: Request<Body>,
}

fn pick<'a>(list: &[&'a str], byte: u8) -> Option<&'a str> {
    list.get(usize::from(byte) % (list.len() + 1)).copied()
}

fn case(input: &[u8]) -> Option<Case> {
    let ([path, kind, encoding, form, size], body) = input.split_first_chunk::<5>()?;
    let path = PATHS[usize::from(*path) % PATHS.len()];
    let is_grpc = path == EXPORT;
    let encoding = pick(&ENCODINGS, *encoding);
    let mut body = body.to_vec();
    // What is really compressed as it says; else the bytes are taken as they are.
    if form & 1 == 1 {
        body = match encoding {
            Some("gzip") => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut encoder, &body).expect("memory can be written");
                encoder.finish().expect("memory can be written")
            }
            Some("zstd") => zstd::bulk::compress(&body, 1).expect("memory can be written"),
            _ => body,
        };
    }
    if is_grpc && form & 2 == 2 {
        let flag = u8::from(form & 1 == 1);
        let length = (body.len() as u32).to_be_bytes();
        body = [&[flag][..], &length, &body].concat();
    }
    let method = if form & 12 == 12 { "GET" } else { "POST" };
    let mut request = Request::builder().method(method).uri(path);
    if let Some(kind) = pick(&TYPES, *kind) {
        request = request.header("content-type", kind);
    }
    if let Some(encoding) = encoding {
        let name = if is_grpc { "grpc-encoding" } else { "content-encoding" };
        request = request.header(name, encoding);
        if form & 48 == 48 {
            request = request.header(name, encoding);
        }
    }
    let size = usize::from(*size).max(1) * 8;
    let is_cut = form & 192 == 192;
    let parts = body.chunks(size).map(|part| Ok(Bytes::copy_from_slice(part)));
    let end = is_cut.then(|| Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
    let parts: Vec<Result<Bytes, std::io::Error>> = parts.chain(end).collect();
    let request = request.body(Body::from_stream(stream::iter(parts))).expect("headers are sound");
    Some(Case { is_grpc, request })
}

/// An answer of OTLP over HTTP: a message, or a `google.rpc.Status` that says why not.
fn check_http(status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    assert!(!matches!(status.as_u16(), 500), "{status}: {}", String::from_utf8_lossy(body));
    if status == StatusCode::ACCEPTED && body.is_empty() {
        return;
    }
    let is_json = headers["content-type"] == "application/json";
    if status.is_success() {
        if is_json {
            let value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            assert!(value.is_object());
        } else {
            ExportTraceServiceResponse::decode(body).expect("a message of OTLP");
        }
        return;
    }
    let (code, message) = if is_json {
        let value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let code = value["code"].as_i64().expect("a code");
        (code, value["message"].as_str().expect("a message").to_owned())
    } else {
        let status = Status::decode(body).expect("a status");
        (i64::from(status.code), status.message)
    };
    assert!((1..=16).contains(&code), "{code}");
    assert!(!message.is_empty());
    let is_retryable = matches!(status.as_u16(), 429 | 503);
    assert_eq!(headers.contains_key("retry-after"), is_retryable, "{status}");
}

/// An answer of gRPC: a frame with a message and the status 0 behind it, or another status.
fn check_grpc(status: StatusCode, headers: &HeaderMap, trailers: &HeaderMap, body: &[u8]) {
    if matches!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::METHOD_NOT_ALLOWED) {
        return;
    }
    assert_eq!(status, StatusCode::OK);
    let code = headers.get("grpc-status").or(trailers.get("grpc-status")).expect("a status");
    let code: u32 = code.to_str().expect("a number").parse().expect("a number");
    assert!(code <= 16);
    if code == 0 {
        let (head, message) = body.split_first_chunk::<5>().expect("a frame");
        assert_eq!(head[0], 0);
        assert_eq!(u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize, message.len());
        ExportTraceServiceResponse::decode(message).expect("a message of OTLP");
    } else {
        assert!(body.is_empty());
    }
}

fuzz_target!(|input: &[u8]| {
    let Some(case) = case(input) else {
        return;
    };
    let world = world();
    let router = if case.is_grpc { &world.receivers.grpc } else { &world.receivers.http };
    world.runtime.block_on(async {
        let Ok(response) = router.clone().oneshot(case.request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("answers come whole");
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        if case.is_grpc {
            check_grpc(head.status, &head.headers, &trailers, &body);
        } else {
            check_http(head.status, &head.headers, &body);
        }
    });
    assert_eq!(world.receivers.taken_bytes(), 0, "memory is given back");
});
