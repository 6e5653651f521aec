//! Requests as a Collector sends them for a shop of twenty services with three instances each. Spans of a trace hang
//! together, and come in different requests, since they are of different services. The same bytes in every run.
//!
//! What is there of how many kinds:
//!
//! | what | why |
//! | --- | --- |
//! | traces of 3 to 40 spans, 13 in the middle | a request of a web page passes a handful of services, each with a server span, some client spans and queries |
//! | trace and span ids: random; a parent is a span of the trace | as SDKs make them |
//! | start and duration: whole nanoseconds, a child inside its parent | clocks of Go and Java; durations are spread over five powers of ten |
//! | `url.path`, `url.full`: 8 of 12 resources of a service have one of 20,000 ids in them, some much more often than others | products, carts, users: what is popular is asked for again |
//! | `request.id`, `enduser.id`, `client.address`, `user_agent.original`: at entry spans alone | the gateway knows them; services inside are told the trace's id |
//! | `network.peer.address`, `network.peer.port`: 8 connections between any two instances | connections are kept open |
//! | `thread.id`, `thread.name`: 32 an instance, at spans of Java's agent, which half the services have | thread pools |
//! | `db.query.text`: 12 a service | placeholders stand for values |
//! | an error at every fiftieth span, with an exception and its stack | |

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use prost::Message as _;

const SERVICES: u64 = 20;
const INSTANCES: u64 = 3;
const START_NS: u64 = 1_760_000_000_000_000_000;
/// Between two traces' starts: some 130,000 spans a second.
const TRACE_EVERY_NS: u64 = 100_000;
const SCOPES: [&str; 3] = [
    "io.opentelemetry.http",
    "io.opentelemetry.http.client",
    "io.opentelemetry.db",
];

/// Requests with `spans` spans in all.
pub(crate) fn requests(spans: usize) -> Vec<Vec<u8>> {
    let mut shop = Shop {
        random: Random(7),
        waiting: vec![Vec::new(); (SERVICES * INSTANCES) as usize],
        count: 0,
        left: spans,
        size: 300,
        requests: Vec::new(),
    };
    for trace in 0.. {
        if shop.left == 0 {
            break;
        }
        shop.trace(START_NS + trace * TRACE_EVERY_NS);
    }
    shop.send();
    shop.requests
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

    /// Small numbers much more often than large ones: as often in 1..10 as in 10..100.
    fn popular(&mut self, bound: u64) -> u64 {
        let power = self.below(1 << 20) as f64 / (1u64 << 20) as f64;
        ((bound as f64).powf(power) as u64).min(bound) - 1
    }
}

struct Shop {
    random: Random,
    /// Spans of every instance that are not sent yet, with the number of their scope.
    waiting: Vec<Vec<(usize, Span)>>,
    count: usize,
    left: usize,
    size: usize,
    requests: Vec<Vec<u8>>,
}

/// A call of a service: what its server span is told.
struct Call {
    trace_id: Vec<u8>,
    parent: Vec<u8>,
    service: u64,
    start_ns: u64,
    duration_ns: u64,
    depth: u64,
    caller: u64,
}

impl Shop {
    fn trace(&mut self, start_ns: u64) {
        let trace_id = [self.random.next(), self.random.next()].map(u64::to_be_bytes);
        let power = self.random.below(1_000) as f64 / 1_000.0;
        let call = Call {
            trace_id: trace_id.concat(),
            parent: Vec::new(),
            // Gateways.
            service: self.random.below(2),
            start_ns: start_ns + self.random.below(TRACE_EVERY_NS),
            // 1 ms to 1 s.
            duration_ns: (1e6 * 1e3f64.powf(power)) as u64 + self.random.below(1_000_000),
            depth: 0,
            caller: 0,
        };
        self.call(&call);
    }

    /// A server span, its queries, and the calls it makes.
    fn call(&mut self, call: &Call) {
        let instance = call.service * INSTANCES + self.random.below(INSTANCES);
        let resource = self.random.popular(12);
        let server = self.random.next().to_be_bytes().to_vec();
        let failed = self.random.below(50) == 0;
        let mut attributes = self.http(call.service, resource, failed, false);
        attributes.extend(self.peer(instance, call.caller));
        if call.depth == 0 {
            attributes.extend(self.entry());
        }
        attributes.extend(self.thread(instance));
        let name = format!("{} {}", method(resource), route(call.service, resource));
        let server_span = Span {
            trace_id: call.trace_id.clone(),
            span_id: server.clone(),
            parent_span_id: call.parent.clone(),
            name,
            kind: 2,
            start_time_unix_nano: call.start_ns,
            end_time_unix_nano: call.start_ns + call.duration_ns,
            attributes,
            ..Default::default()
        };
        self.add(instance, 0, with_outcome(server_span, failed));
        let children = match call.depth {
            0 => 2 + self.random.below(3),
            1 | 2 => self.random.below(4),
            _ => self.random.below(2),
        };
        let share = call.duration_ns / (children + 1);
        for child in 0..children {
            let start_ns = call.start_ns + child * share + self.random.below(share.max(1));
            let duration_ns = share / 8 + self.random.below((share / 2).max(1));
            let span_id = self.random.next().to_be_bytes().to_vec();
            let is_query = call.depth > 0 && self.random.below(2) == 0 || call.depth > 3;
            let failed = self.random.below(50) == 0;
            // A service calls few others.
            let callee = 2 + (call.service * 7 + self.random.below(3)) % (SERVICES - 2);
            let (name, mut attributes) = if is_query {
                let table = self.random.popular(12);
                let returned = self.random.popular(200);
                (
                    format!("SELECT shop.table_{table}"),
                    query(call.service, table, returned),
                )
            } else {
                let resource = self.random.popular(12);
                let mut attributes = self.http(callee, resource, failed, true);
                attributes.extend(self.peer(instance, callee * INSTANCES));
                (method(resource).to_owned(), attributes)
            };
            attributes.extend(self.thread(instance));
            let span = Span {
                trace_id: call.trace_id.clone(),
                span_id: span_id.clone(),
                parent_span_id: server.clone(),
                name,
                kind: 3,
                start_time_unix_nano: start_ns,
                end_time_unix_nano: start_ns + duration_ns,
                attributes,
                ..Default::default()
            };
            self.add(
                instance,
                if is_query { 2 } else { 1 },
                with_outcome(span, failed),
            );
            if !is_query {
                let network_ns = self.random.below(duration_ns / 4 + 1);
                self.call(&Call {
                    trace_id: call.trace_id.clone(),
                    parent: span_id,
                    service: callee,
                    start_ns: start_ns + network_ns / 2,
                    duration_ns: duration_ns - network_ns,
                    depth: call.depth + 1,
                    caller: instance,
                });
            }
        }
    }

    fn http(
        &mut self,
        service: u64,
        resource: u64,
        failed: bool,
        is_client: bool,
    ) -> Vec<KeyValue> {
        let status = match self.random.below(20) {
            _ if failed => 503,
            0 => 404,
            1 => 304,
            _ => 200,
        };
        let id = self.random.popular(20_000);
        let path = match resource {
            0..4 => route(service, resource),
            _ => route(service, resource).replace("{id}", &id.to_string()),
        };
        let mut attributes = vec![
            text("http.request.method", method(resource)),
            integer("http.response.status_code", status),
            text("server.address", format!("service-{service}.shop.svc")),
            integer("server.port", 8080),
            text("network.protocol.version", "1.1"),
        ];
        if is_client {
            let url = format!("http://service-{service}.shop.svc:8080{path}");
            attributes.push(text("url.full", url));
        } else {
            attributes.push(text("http.route", route(service, resource)));
            attributes.push(text("url.path", path));
            attributes.push(text("url.scheme", "http"));
        }
        attributes
    }

    fn peer(&mut self, instance: u64, other: u64) -> [KeyValue; 2] {
        let connection = self.random.below(8);
        let port = 32_768 + (instance * 971 + other * 131 + connection * 3_517) % 28_000;
        [
            text(
                "network.peer.address",
                format!("10.4.{}.{}", other / 16, other % 16 * 12 + 7),
            ),
            integer("network.peer.port", port),
        ]
    }

    fn entry(&mut self) -> [KeyValue; 4] {
        let client = self.random.popular(20_000) * 2_654_435_761 % (1 << 24);
        let id = u128::from(self.random.next()) << 64 | u128::from(self.random.next());
        [
            text("request.id", format!("{id:032x}")),
            text(
                "enduser.id",
                format!("user-{}", self.random.popular(50_000)),
            ),
            text(
                "client.address",
                format!("81.{}.{}.{}", client >> 16, client >> 8 & 255, client & 255),
            ),
            text(
                "user_agent.original",
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/{}.0.0.0 Safari/537.36",
                    100 + self.random.popular(40)
                ),
            ),
        ]
    }

    fn thread(&mut self, instance: u64) -> Vec<KeyValue> {
        if instance / INSTANCES % 2 == 1 {
            return Vec::new();
        }
        let thread = self.random.below(32);
        vec![
            integer("thread.id", 40 + thread),
            text("thread.name", format!("http-nio-8080-exec-{thread}")),
        ]
    }

    fn add(&mut self, instance: u64, scope: usize, span: Span) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.count += 1;
        self.waiting[instance as usize].push((scope, span));
        if self.count >= self.size {
            self.send();
        }
    }

    /// What a Collector's batch processor does with all that came in.
    fn send(&mut self) {
        let mut resource_spans = Vec::new();
        for (instance, waiting) in (0..).zip(&mut self.waiting) {
            if waiting.is_empty() {
                continue;
            }
            let mut scopes: [Vec<Span>; 3] = Default::default();
            for (scope, span) in waiting.drain(..) {
                scopes[scope].push(span);
            }
            resource_spans.push(ResourceSpans {
                resource: Some(resource(instance)),
                scope_spans: SCOPES
                    .iter()
                    .zip(scopes)
                    .filter(|(_, spans)| !spans.is_empty())
                    .map(|(name, spans)| ScopeSpans {
                        scope: Some(InstrumentationScope {
                            name: (*name).to_owned(),
                            version: "2.9.0".to_owned(),
                            ..Default::default()
                        }),
                        spans,
                        schema_url: String::new(),
                    })
                    .collect(),
                schema_url: String::new(),
            });
        }
        if self.count > 0 {
            let request = ExportTraceServiceRequest { resource_spans };
            self.requests.push(request.encode_to_vec());
        }
        self.count = 0;
        // Twice what the other case has: a request is of many resources here.
        self.size = 600 + self.random.below(400) as usize;
    }
}

fn method(resource: u64) -> &'static str {
    if resource.is_multiple_of(3) {
        "POST"
    } else {
        "GET"
    }
}

fn route(service: u64, resource: u64) -> String {
    match resource {
        0..4 => format!("/api/v1/service-{service}/resource-{resource}"),
        _ => format!("/api/v1/service-{service}/resource-{resource}/{{id}}"),
    }
}

fn query(service: u64, table: u64, returned: u64) -> Vec<KeyValue> {
    vec![
        text("db.system.name", "postgresql"),
        text("db.namespace", "shop"),
        text("db.collection.name", format!("table_{table}")),
        text("db.operation.name", "SELECT"),
        text(
            "db.query.text",
            format!(
                "SELECT id, name, price, currency, stock, updated_at FROM shop.table_{table} WHERE id = $1 AND tenant = {service} ORDER BY updated_at DESC LIMIT $2"
            ),
        ),
        text("server.address", format!("pg-{}.shop.svc", service % 3)),
        integer("server.port", 5432),
        integer("db.response.returned_rows", returned),
    ]
}

fn resource(instance: u64) -> Resource {
    let (service, pod) = (instance / INSTANCES, instance % INSTANCES);
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
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.version", "1.45.0"),
    ];
    Resource {
        attributes,
        ..Default::default()
    }
}

fn with_outcome(mut span: Span, failed: bool) -> Span {
    span.flags = 0x101;
    if failed {
        span.status = Some(Status {
            message: "upstream timed out".to_owned(),
            code: 2,
        });
        span.events.push(span::Event {
            time_unix_nano: span.end_time_unix_nano,
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
        });
    }
    span
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn integer(key: &str, value: u64) -> KeyValue {
    pair(key, Value::IntValue(value as i64))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}
