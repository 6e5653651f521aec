//! Requests as a Collector sends them: twenty services, 200 to 500 spans a request, a dozen attributes a span, three
//! of them different in nearly every span. The same bytes in every run.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use prost::Message as _;

const SERVICES: u64 = 20;
const START_NS: u64 = 1_760_000_000_000_000_000;

/// Requests with `spans` spans in all.
pub(crate) fn requests(spans: usize) -> Vec<Vec<u8>> {
    let mut random = Random(42);
    let mut requests = Vec::new();
    let mut left = spans as u64;
    while left > 0 {
        let size = random.between(200, 500).min(left);
        requests.push(request(&mut random, size).encode_to_vec());
        left -= size;
    }
    requests
}

/// splitmix64: seeded, so that every run sees the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }
}

/// A batch of a Collector holds spans of a few services.
fn request(random: &mut Random, spans: u64) -> ExportTraceServiceRequest {
    let resources = random.between(3, 6);
    let first = random.below(SERVICES);
    let resource_spans = (0..resources)
        .map(|i| {
            let share = spans * (i + 1) / resources - spans * i / resources;
            service_spans(random, (first + i) % SERVICES, share)
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn service_spans(random: &mut Random, service: u64, spans: u64) -> ResourceSpans {
    let pod = random.below(3);
    let attributes = vec![
        text("service.name", format!("shop-service-{service}")),
        text("service.namespace", "shop"),
        text("service.version", format!("1.{}.0", service % 4)),
        text(
            "service.instance.id",
            format!("627cc493-f310-47de-96bd-{service:06}{pod:06}"),
        ),
        text("deployment.environment.name", "production"),
        text(
            "k8s.pod.name",
            format!("shop-service-{service}-7d9f8-{pod}"),
        ),
        text("host.name", format!("node-{}", (service + pod) % 8)),
        text(
            "telemetry.sdk.language",
            ["java", "go"][service as usize % 2],
        ),
    ];
    let scopes = ["io.opentelemetry.http", "io.opentelemetry.db"];
    let scope_spans = scopes.iter().enumerate().map(|(i, name)| {
        let share = if i == 0 { spans - spans / 3 } else { spans / 3 };
        ScopeSpans {
            scope: Some(InstrumentationScope {
                name: (*name).to_owned(),
                version: "2.9.0".to_owned(),
                ..Default::default()
            }),
            spans: (0..share)
                .map(|_| one_span(random, service, i == 1))
                .collect(),
            schema_url: String::new(),
        }
    });
    ResourceSpans {
        resource: Some(Resource {
            attributes,
            ..Default::default()
        }),
        scope_spans: scope_spans.collect(),
        schema_url: "https://opentelemetry.io/schemas/1.27.0".to_owned(),
    }
}

fn one_span(random: &mut Random, service: u64, database: bool) -> Span {
    let operation = random.below(12);
    let failed = random.below(50) == 0;
    let duration_ns = random.between(50_000, 250_000_000);
    let start_ns = START_NS + random.below(600_000_000_000);
    let mut attributes = if database {
        database_attributes(random, service, operation)
    } else {
        http_attributes(random, service, operation, failed)
    };
    attributes.extend([
        integer("thread.id", random.between(20, 60)),
        text("thread.name", format!("worker-{}", random.below(16))),
        text(
            "request.id",
            format!(
                "{:032x}",
                u128::from(random.next()) << 64 | u128::from(random.next())
            ),
        ),
        text("enduser.id", format!("user-{}", random.below(50_000))),
    ]);
    Span {
        trace_id: [random.next().to_be_bytes(), random.next().to_be_bytes()].concat(),
        span_id: random.next().to_be_bytes().to_vec(),
        parent_span_id: if operation == 0 && !database {
            Vec::new()
        } else {
            random.next().to_be_bytes().to_vec()
        },
        name: if database {
            format!("SELECT shop.table_{operation}")
        } else {
            format!("GET /api/v1/service-{service}/resource-{operation}/{{id}}")
        },
        kind: if database { 3 } else { 2 },
        start_time_unix_nano: start_ns,
        end_time_unix_nano: start_ns + duration_ns,
        attributes,
        events: failed.then(|| exception(start_ns)).into_iter().collect(),
        status: failed.then(|| Status {
            message: "upstream timed out".to_owned(),
            code: 2,
        }),
        flags: 0x101,
        ..Default::default()
    }
}

fn http_attributes(
    random: &mut Random,
    service: u64,
    operation: u64,
    failed: bool,
) -> Vec<KeyValue> {
    let status = if failed {
        503
    } else {
        [200, 200, 200, 201, 304, 404][random.below(6) as usize]
    };
    vec![
        text(
            "http.request.method",
            ["GET", "GET", "POST"][random.below(3) as usize],
        ),
        text(
            "http.route",
            format!("/api/v1/service-{service}/resource-{operation}/{{id}}"),
        ),
        text(
            "url.path",
            format!(
                "/api/v1/service-{service}/resource-{operation}/{}",
                random.below(1_000_000)
            ),
        ),
        integer("http.response.status_code", status),
        text("server.address", format!("service-{service}.shop.svc")),
        integer("server.port", 8080),
        text("network.protocol.version", "1.1"),
        text(
            "user_agent.original",
            format!("Mozilla/5.0 (X11; Linux x86_64) shop/{}", random.below(40)),
        ),
    ]
}

fn database_attributes(random: &mut Random, service: u64, operation: u64) -> Vec<KeyValue> {
    vec![
        text("db.system.name", "postgresql"),
        text("db.namespace", "shop"),
        text("db.collection.name", format!("table_{operation}")),
        text(
            "db.query.text",
            format!(
                "SELECT id, name, price, updated_at FROM shop.table_{operation} WHERE id = $1 AND tenant = {service}"
            ),
        ),
        text("server.address", format!("pg-{}.shop.svc", service % 3)),
        integer("server.port", 5432),
        integer("db.response.returned_rows", random.below(200)),
        double("db.client.wait", random.below(1 << 20) as f64 / 1024.0),
    ]
}

fn exception(start_ns: u64) -> span::Event {
    span::Event {
        time_unix_nano: start_ns + 1_000,
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", "java.net.SocketTimeoutException"),
            text("exception.message", "Read timed out after 3000 ms"),
            text(
                "exception.stacktrace",
                "at com.example.Client.call(Client.java:42)\n".repeat(12),
            ),
        ],
        dropped_attributes_count: 0,
    }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn integer(key: &str, value: u64) -> KeyValue {
    pair(key, Value::IntValue(value as i64))
}

fn double(key: &str, value: f64) -> KeyValue {
    pair(key, Value::DoubleValue(value))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}
