//! OTLP JSON: bytes to batches, in bytes and spans a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write as _;
use std::hint::black_box;
use tracediff_core::model::SpanBatchBuilder;
use tracediff_wire::decode_otlp_json;

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn string(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
}

fn int(key: &str, value: u64) -> String {
    format!(r#"{{"key":"{key}","value":{{"intValue":"{value}"}}}}"#)
}

/// Twelve attributes as an instrumented HTTP service sets them.
fn attributes(numbers: &mut Numbers) -> String {
    let status = [200, 200, 200, 200, 201, 204, 404, 500][numbers.below(8) as usize];
    let route = numbers.below(40);
    [
        string(
            "http.request.method",
            ["GET", "POST", "PUT"][numbers.below(3) as usize],
        ),
        int("http.response.status_code", status),
        string("http.route", &format!("/api/v1/resource-{route}/{{id}}")),
        string(
            "url.path",
            &format!("/api/v1/resource-{route}/{}", numbers.below(100_000)),
        ),
        string("url.scheme", "https"),
        string(
            "server.address",
            &format!("service-{}.shop.svc", numbers.below(20)),
        ),
        int("server.port", 8080),
        string(
            "network.peer.address",
            &format!("10.0.{}.{}", numbers.below(8), numbers.below(250)),
        ),
        string(
            "user_agent.original",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        ),
        string(
            "app.customer.tier",
            ["free", "pro", "enterprise"][numbers.below(3) as usize],
        ),
        format!(
            r#"{{"key":"app.cache.hit","value":{{"boolValue":{}}}}}"#,
            numbers.below(2) == 0
        ),
        int("thread.id", numbers.below(64)),
    ]
    .join(",")
}

fn span(numbers: &mut Numbers) -> String {
    let start_ns = 1_700_000_000_000_000_000 + numbers.below(3_600_000_000_000);
    format!(
        r#"{{"traceId":"{:016x}{:016x}","spanId":"{:016x}","parentSpanId":"{:016x}","name":"GET /api/v1/resource-{}","kind":{},"startTimeUnixNano":"{start_ns}","endTimeUnixNano":"{}","attributes":[{}],"status":{{}}}}"#,
        numbers.next(),
        numbers.next() | 1,
        numbers.next() | 1,
        numbers.next() | 1,
        numbers.below(40),
        2 + numbers.below(2),
        start_ns + numbers.below(500_000_000),
        attributes(numbers),
    )
}

const SERVICES: u64 = 20;
const SPANS_A_SERVICE: u64 = 100;

/// Requests as the Collector's file exporter writes them, one a line: a hundred spans of each of twenty services.
fn requests() -> Vec<String> {
    let mut numbers = Numbers(7);
    (0..SERVICES)
        .map(|service| {
            let mut line = String::new();
            let resource = [
                string("service.name", &format!("service-{service}")),
                string("service.version", "1.4.2"),
                string("k8s.pod.name", &format!("service-{service}-5d8f7c-{}", numbers.below(9))),
                string("deployment.environment.name", "production"),
            ]
            .join(",");
            let spans: Vec<String> = (0..SPANS_A_SERVICE).map(|_| span(&mut numbers)).collect();
            let _ = write!(
                line,
                r#"{{"resourceSpans":[{{"resource":{{"attributes":[{resource}]}},"scopeSpans":[{{"scope":{{"name":"http-server","version":"2.1"}},"spans":[{}]}}]}}]}}"#,
                spans.join(",")
            );
            line
        })
        .collect()
}

fn decode(c: &mut Criterion) {
    let lines = requests();
    let bytes: usize = lines.iter().map(String::len).sum();
    let mut group = c.benchmark_group("otlp_json");
    group.throughput(Throughput::ElementsAndBytes {
        elements: SERVICES * SPANS_A_SERVICE,
        bytes: bytes as u64,
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let mut builder = SpanBatchBuilder::new();
            for line in &lines {
                let decoded = decode_otlp_json(black_box(line.as_bytes()), 0, &mut builder);
                assert!(decoded.is_ok(), "{decoded:?}");
            }
            builder.finish()
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
