//! What a server tells of itself: lines on standard error, and traces over OTLP where the environment names a receiver.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracediff_server::Addresses;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use ureq::http::Uri;

use crate::args::{LogFormat, LogLevel};
use crate::client;

/// The path of traces at an endpoint that is for all signals.
const PATH: &str = "/v1/traces";
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of its answer.
const ANSWER_BYTES: u64 = 1 << 20;

/// While this is there, the process tells of itself.
#[derive(Debug)]
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Begins to tell: once for the process.
pub(crate) fn start(
    format: LogFormat,
    level: LogLevel,
    own: Addresses,
) -> anyhow::Result<Telemetry> {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let ours = |level: Level| {
        Targets::new()
            .with_default(LevelFilter::WARN.min(level.into()))
            .with_target("tracediff", level)
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let (traces, warning) = match receiver(own) {
        Receiver::None => (None, None),
        Receiver::Refused(why) => (None, Some(why)),
        Receiver::At(endpoint) => (Some(provider(&endpoint)?), None),
    };
    let spans = traces.as_ref().map(|provider| {
        let tracer = provider.tracer("tracediff");
        let spans = tracing_opentelemetry::layer().with_tracer(tracer);
        spans.with_filter(ours(Level::INFO))
    });
    tracing_subscriber::registry()
        .with(lines.with_filter(ours(level)))
        .with(spans)
        .try_init()
        .context("logging cannot begin")?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends what was not sent yet.
    pub(crate) fn stop(self) {
        if let Some(traces) = self.traces {
            // A receiver that is gone was told of when it went.
            let _ = traces.shutdown();
        }
    }
}

/// Who takes this process's own traces.
#[derive(Debug, PartialEq, Eq)]
enum Receiver {
    None,
    /// Nobody, and why not.
    Refused(String),
    At(String),
}

/// Whom the environment names. Source of the names: OpenTelemetry's specification, «OTLP Exporter Configuration».
fn receiver(own: Addresses) -> Receiver {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
    {
        return Receiver::None;
    }
    let of_traces = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let of_all = || set("OTEL_EXPORTER_OTLP_ENDPOINT");
    let endpoint = of_traces.or_else(|| Some(format!("{}{PATH}", of_all()?.trim_end_matches('/'))));
    let Some(endpoint) = endpoint else {
        return Receiver::None;
    };
    let protocol = set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL");
    let protocol = protocol.or_else(|| set("OTEL_EXPORTER_OTLP_PROTOCOL"));
    receiver_at(endpoint, protocol.as_deref(), own)
}

fn receiver_at(endpoint: String, protocol: Option<&str>, own: Addresses) -> Receiver {
    if let Some(protocol) = protocol.filter(|protocol| *protocol != "http/protobuf") {
        return Receiver::Refused(format!(
            "this process's own traces are sent as http/protobuf only, not as {protocol}: none are sent; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and an endpoint that speaks it"
        ));
    }
    let Some((host, port)) = host_and_port(&endpoint) else {
        return Receiver::Refused(format!(
            "`{endpoint}` is no endpoint for this process's own traces: none are sent; give http://HOST:PORT or https://HOST:PORT"
        ));
    };
    let is_own = [own.otlp_http, own.otlp_grpc, own.main]
        .into_iter()
        .any(|address| is_same(&host, port, address));
    match is_own {
        true => Receiver::Refused(format!(
            "{endpoint} is this process itself, which does not send its own traces to itself: none are sent"
        )),
        false => Receiver::At(endpoint),
    }
}

fn host_and_port(endpoint: &str) -> Option<(String, u16)> {
    let uri: Uri = endpoint.parse().ok()?;
    let port = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    Some((host, uri.port_u16().unwrap_or(port)))
}

/// Whether a name leads to where this process listens, as far as the name itself says.
fn is_same(host: &str, port: u16, address: SocketAddr) -> bool {
    let own = address.ip();
    let named: Option<IpAddr> = host.parse().ok();
    let is_local =
        host.eq_ignore_ascii_case("localhost") || named.is_some_and(|ip| ip.is_loopback());
    let is_host = named == Some(own) || (is_local && (own.is_loopback() || own.is_unspecified()));
    is_host && port == address.port()
}

fn provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::new(endpoint)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()
        .context("this process's own traces cannot be sent")?;
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("tracediff");
    }
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build())
}

/// The client that the exporter sends by. It waits on a thread that is the exporter's alone.
#[derive(Debug, Clone)]
struct Sender {
    agent: ureq::Agent,
    /// So that a receiver that is gone is told of once.
    is_failing: Arc<AtomicBool>,
}

impl Sender {
    fn new(endpoint: &str) -> anyhow::Result<Self> {
        Ok(Self {
            agent: client::agent(endpoint.starts_with("https://"), Some(PATIENCE))?,
            is_failing: Arc::default(),
        })
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.agent.run(Request::from_parts(parts, body.to_vec()))?;
        let (parts, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        body.as_reader()
            .take(ANSWER_BYTES)
            .read_to_end(&mut bytes)?;
        Ok(Response::from_parts(parts, bytes.into()))
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        let problem = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        let was_failing = self.is_failing.swap(problem.is_some(), Ordering::Relaxed);
        if let Some(problem) = problem.filter(|_| !was_failing) {
            tracing::warn!("this process's own traces are not taken: {problem}");
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &str, protocol: Option<&str>, expected: Option<&str>) {
        let own = Addresses {
            main: "127.0.0.1:4000".parse().unwrap(),
            otlp_grpc: "127.0.0.1:4317".parse().unwrap(),
            otlp_http: "0.0.0.0:4318".parse().unwrap(),
        };
        match (receiver_at(endpoint.to_owned(), protocol, own), expected) {
            (Receiver::At(found), None) => assert_eq!(found, endpoint),
            (Receiver::Refused(why), Some(part)) => assert!(why.contains(part), "{why}"),
            (found, _) => panic!("{endpoint}: {found:?}"),
        }
    }

    #[test]
    fn nothing_is_sent_into_the_process_itself() {
        let itself = Some("this process itself");
        check("http://localhost:4318/v1/traces", None, itself);
        check("http://127.0.0.1:4317", None, itself);
        check("http://[::1]:4318/v1/traces", None, itself);
        check(
            "http://collector:4318/v1/traces",
            Some("http/protobuf"),
            None,
        );
        check("http://localhost:14318/v1/traces", None, None);
        check("https://otlp.example/v1/traces", None, None);
    }

    #[test]
    fn what_cannot_be_sent_to_is_told() {
        check(
            "http://collector:4317",
            Some("grpc"),
            Some("http/protobuf only, not as grpc"),
        );
        check("collector:4317", None, Some("is no endpoint"));
    }
}
