//! The main port: is the process alive, does it take spans, what has it done, and what is in its traces. Saved queries,
//! snapshots and diffs are in `saved.rs`.

use std::io;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{MatchedPath, Path, Query as UrlQuery, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracediff_core::model::{SpanBatch, TraceId, Window};
use tracediff_core::query::Query;
use tracediff_store::{Ask, Counted, Offer, ReadError, Store, Wanted, once};
use tracediff_wire::{encode_otlp_json_batches, encode_otlp_protobuf_delimited};
use tracing::Instrument as _;
use utoipa::{IntoParams, ToSchema};

use crate::metrics::Metrics;
use crate::snapshots::{Snapshots, with_sources};

mod architecture;
mod deployments;
mod events;
mod gate;
mod graphs;
mod openapi;
mod problem;
mod saved;

pub(crate) use gate::Gate;
pub use openapi::openapi;
use problem::Problem;

/// Spans that are read at a time to be sent.
const PART_SPANS: u64 = 200_000;

/// What the paths need.
#[derive(Debug, Clone)]
struct Shared {
    store: Store,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

/// The port's paths. Once `stop` is cancelled the process is not ready any more.
pub(crate) fn router(
    store: Store,
    snapshots: Snapshots,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(show_metrics))
        .route("/api/traces/{id}", get(trace))
        .route("/api/openapi.json", get(show_openapi))
        .route("/api/status", get(status))
        .route("/api/spans", get(spans))
        .route("/api/count", get(count))
        .route("/api/services", get(services))
        .route("/api/operations", get(operations))
        .route("/api/attributes", get(attributes))
        .route("/api/attributes/{key}/values", get(attribute_values))
        .merge(events::router(snapshots.changes.clone(), stop.clone()))
        .merge(graphs::router(snapshots.clone()))
        .merge(architecture::router(snapshots.clone()))
        .merge(deployments::router(snapshots.clone()))
        .merge(saved::router(snapshots))
        .layer(from_fn(traced))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Shared {
            store,
            metrics,
            stop,
        })
}

async fn ready(State(shared): State<Shared>) -> Response {
    if shared.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the process is stopping").into_response();
    }
    match shared.store.accepting() {
        Ok(()) => "ok".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

/// Has each request be a span, by the names of OpenTelemetry's semantic conventions for HTTP.
async fn traced(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = request.method().as_str(),
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

async fn show_openapi() -> Response {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi);
    answered(&DOCUMENT)
}

async fn show_metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], shared.metrics.text())
}

/// One trace.
#[utoipa::path(
    get, path = "/api/traces/{id}", tag = "spans",
    params(("id" = String, Path, description = "of the trace: 32 hex digits")),
    responses((status = 200, description = "All spans of the trace as one OTLP document", body = Object)),
)]
async fn trace(State(shared): State<Shared>, Path(text): Path<String>) -> Response {
    let id: TraceId = match text.parse() {
        Ok(id) => id,
        Err(error) => {
            let text = format!("`{text}` is not a trace id: {error}");
            return failure(StatusCode::BAD_REQUEST, &text);
        }
    };
    answer(id, shared.store.trace(id).await)
}

/// A trace as one OTLP JSON document, however many batches its spans are in.
fn answer<E: std::error::Error>(id: TraceId, batches: Result<Vec<SpanBatch>, E>) -> Response {
    let batches = match batches {
        Ok(batches) => batches,
        Err(error) => {
            let text = format!("the trace cannot be read: {}", with_sources(&error));
            return failure(StatusCode::INTERNAL_SERVER_ERROR, &text);
        }
    };
    if batches.iter().all(|batch| batch.is_empty()) {
        let text = format!("no span of trace {id} is stored");
        return failure(StatusCode::NOT_FOUND, &text);
    }
    let document = encode_otlp_json_batches(&batches);
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

/// What the store holds.
#[derive(Debug, Serialize, ToSchema)]
struct StoreStatus {
    /// Start of the earliest span, in nanoseconds since 1970; `null` where there is none.
    first_start_ns: Option<i64>,
    /// Start of the latest.
    last_start_ns: Option<i64>,
    spans: u64,
    segments: u64,
    segment_bytes: u64,
    /// What the store could not do last.
    last_failure: Option<String>,
}

/// What the store holds.
#[utoipa::path(
    get, path = "/api/status", tag = "spans",
    responses((status = 200, description = "What the store holds", body = StoreStatus)),
)]
async fn status(State(shared): State<Shared>) -> Response {
    let extent = shared.store.extent_ns();
    let readings = shared.store.readings();
    let status = StoreStatus {
        first_start_ns: extent.map(|(first, _)| first),
        last_start_ns: extent.map(|(_, last)| last),
        spans: readings.head_spans + readings.segment_spans,
        segments: readings.segments,
        segment_bytes: readings.segment_bytes,
        last_failure: shared.store.last_failure(),
    };
    answered(&json!(status))
}

/// Which spans are asked for. Times are in nanoseconds since the epoch.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SpansParameters {
    from_ns: i64,
    to_ns: i64,
    /// How much before and after the window other spans of the same traces may start.
    #[serde(default)]
    before_ns: u64,
    #[serde(default)]
    after_ns: u64,
    #[serde(rename = "where")]
    query: Option<String>,
}

/// All spans of the traces with a span that starts in a window and matches, as length-delimited OTLP requests.
#[utoipa::path(
    get, path = "/api/spans", tag = "spans",
    params(SpansParameters),
    responses((status = 200, description = "Length-delimited OTLP requests", body = Vec<u8>, content_type = "application/x-protobuf")),
)]
async fn spans(
    State(shared): State<Shared>,
    parameters: Result<UrlQuery<SpansParameters>, QueryRejection>,
) -> Response {
    let wanted = || {
        let UrlQuery(given) = parameters.map_err(|e| e.body_text())?;
        let window = window(given.from_ns, given.to_ns)?;
        let margin = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        let around = Window::new(
            given.from_ns.saturating_sub(margin(given.before_ns)),
            given.to_ns.saturating_add(margin(given.after_ns)),
        );
        Ok::<_, String>(Wanted {
            query: query(given.query.as_deref())?,
            around: around.map_err(|e| e.to_string())?,
            ..Wanted::all(window, PART_SPANS)
        })
    };
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(problem) => return failure(StatusCode::BAD_REQUEST, &problem),
    };
    let reading = match shared.store.read(wanted).await {
        Ok(reading) => Arc::new(reading),
        Err(error) => return failure(StatusCode::INTERNAL_SERVER_ERROR, &with_sources(&error)),
    };
    // A part is read when the one before it was sent, so that no more than one is in memory.
    let parts = futures::stream::iter(0..reading.parts()).then(move |number| {
        let reading = Arc::clone(&reading);
        async move {
            let batches = once(reading.part(number).await.map_err(io::Error::other)?);
            let requests = batches.iter().map(encode_otlp_protobuf_delimited);
            Ok::<_, io::Error>(Bytes::from(requests.collect::<Vec<_>>().concat()))
        }
    });
    (
        [(CONTENT_TYPE, "application/x-protobuf")],
        Body::from_stream(parts),
    )
        .into_response()
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct CountParameters {
    from_ns: i64,
    to_ns: i64,
    #[serde(rename = "where")]
    query: Option<String>,
}

/// What a count comes to.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the store's own counts are sent, which have these fields"
)]
struct SpanCounts {
    /// Spans that start in the window.
    spans: u64,
    /// Those that match.
    matching: u64,
    /// The traces that those are of.
    traces: u64,
}

/// How many spans start in a window and match.
#[utoipa::path(
    get, path = "/api/count", tag = "spans",
    params(CountParameters),
    responses((status = 200, description = "How many there are", body = SpanCounts)),
)]
async fn count(
    State(shared): State<Shared>,
    parameters: Result<UrlQuery<CountParameters>, QueryRejection>,
) -> Response {
    let asked = || {
        let UrlQuery(given) = parameters.map_err(|e| e.body_text())?;
        let window = window(given.from_ns, given.to_ns)?;
        Ok::<_, String>((query(given.query.as_deref())?, window))
    };
    match asked() {
        Ok((query, window)) => match shared.store.count(query, window).await {
            Ok(counts) => answered(&json!(counts)),
            Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &with_sources(&error)),
        },
        Err(problem) => failure(StatusCode::BAD_REQUEST, &problem),
    }
}

/// Which texts are asked for: of spans that start in a window, which is all time unless it is given.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OfferParameters {
    from_ns: Option<i64>,
    to_ns: Option<i64>,
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
    /// Operations: of this service only.
    service: Option<String>,
}

type GivenOffer = Result<UrlQuery<OfferParameters>, QueryRejection>;

/// Texts, and how many spans have each.
#[derive(Debug, Serialize, ToSchema)]
struct Offered {
    values: Vec<OfferedValue>,
    /// Whether there are more than were asked for.
    has_more: bool,
}

/// A text, and how many spans have it.
#[derive(Debug, Serialize, ToSchema)]
struct OfferedValue {
    value: String,
    spans: u64,
}

/// Services, for completion.
#[utoipa::path(
    get, path = "/api/services", tag = "completion",
    params(OfferParameters),
    responses((status = 200, description = "Services, most spans first", body = Offered)),
)]
async fn services(State(shared): State<Shared>, parameters: GivenOffer) -> Response {
    offer(parameters, async |ask, _| shared.store.services(&ask).await).await
}

/// Operations, for completion.
#[utoipa::path(
    get, path = "/api/operations", tag = "completion",
    params(OfferParameters),
    responses((status = 200, description = "Operations, most spans first", body = Offered)),
)]
async fn operations(State(shared): State<Shared>, parameters: GivenOffer) -> Response {
    offer(parameters, async |ask, service| {
        shared.store.operations(service.as_deref(), &ask).await
    })
    .await
}

/// Keys of attributes, for completion.
#[utoipa::path(
    get, path = "/api/attributes", tag = "completion",
    params(OfferParameters),
    responses((status = 200, description = "Keys of attributes, most spans first", body = Offered)),
)]
async fn attributes(State(shared): State<Shared>, parameters: GivenOffer) -> Response {
    offer(parameters, async |ask, _| {
        shared.store.attribute_keys(&ask).await
    })
    .await
}

/// Values of an attribute, for completion.
#[utoipa::path(
    get, path = "/api/attributes/{key}/values", tag = "completion",
    params(("key" = String, Path, description = "of the attribute"), OfferParameters),
    responses((status = 200, description = "Values, most spans first", body = Offered)),
)]
async fn attribute_values(
    State(shared): State<Shared>,
    Path(key): Path<String>,
    parameters: GivenOffer,
) -> Response {
    offer(parameters, async |ask, _| {
        shared.store.attribute_values(&key, &ask).await
    })
    .await
}

/// Answers with texts and how many spans have each.
async fn offer(
    parameters: GivenOffer,
    find: impl AsyncFnOnce(Ask, Option<String>) -> Result<Offer, ReadError>,
) -> Response {
    const LIMIT: usize = 100;
    const MOST: usize = 10_000;
    let asked = || {
        let UrlQuery(given) = parameters.map_err(|e| e.body_text())?;
        let from_ns = given.from_ns.unwrap_or(i64::MIN);
        let limit = given.limit.unwrap_or(LIMIT);
        if limit > MOST {
            return Err(format!("limit is {limit}, and {MOST} is the most"));
        }
        let ask = Ask {
            window: window(from_ns, given.to_ns.unwrap_or(i64::MAX))?,
            prefix: given.prefix,
            limit,
        };
        Ok((ask, given.service))
    };
    let (ask, service) = match asked() {
        Ok(asked) => asked,
        Err(problem) => return failure(StatusCode::BAD_REQUEST, &problem),
    };
    match find(ask, service).await {
        Ok(Offer { texts, has_more }) => {
            let value = |counted: Counted| OfferedValue {
                value: counted.text,
                spans: counted.spans,
            };
            let values = texts.into_iter().map(value).collect();
            answered(&json!(Offered { values, has_more }))
        }
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &with_sources(&error)),
    }
}

fn window(from_ns: i64, to_ns: i64) -> Result<Window, String> {
    Window::new(from_ns, to_ns)
        .map_err(|e| format!("{e}; give from_ns and to_ns, in nanoseconds since 1970"))
}

fn query(text: Option<&str>) -> Result<Option<Query>, String> {
    let parse =
        |text| Query::parse(text).map_err(|e| format!("where cannot be used\n{}", e.render(text)));
    text.map(parse).transpose()
}

fn answered(body: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let text = format!("there is nothing at {}", uri.path());
    failure(StatusCode::NOT_FOUND, &text)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let text = format!("{method} is not understood at {}", uri.path());
    failure(StatusCode::METHOD_NOT_ALLOWED, &text)
}

fn failure(status: StatusCode, text: &str) -> Response {
    let code = match status {
        StatusCode::BAD_REQUEST => "invalid_parameter",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        _ => "internal",
    };
    Problem::new(status, code, text).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tracediff_core::model::SpanBatchBuilder;
    use tracediff_wire::decode_zipkin;

    use super::*;

    async fn check(batches: io::Result<Vec<SpanBatch>>, status: u16, text: &str) {
        let answer = answer(TraceId([10; 16]), batches);
        let found = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!((found, std::str::from_utf8(&body).unwrap()), (status, text));
    }

    #[tokio::test]
    async fn batches_become_one_document() {
        let mut builder = SpanBatchBuilder::new();
        let mut batch = |id: &str| {
            let span = format!(r#"{{"traceId":"a","id":"{id}","timestamp":1,"duration":1}}"#);
            decode_zipkin(span.as_bytes(), 0, &mut builder).unwrap();
            std::mem::take(&mut builder).finish().remove(0)
        };
        let batches = vec![batch("b"), batch("c")];
        let span = |id: &str| {
            format!(
                r#"{{"traceId":"0000000000000000000000000000000a","spanId":"000000000000000{id}","name":"","kind":0,"startTimeUnixNano":"1000","endTimeUnixNano":"2000","status":{{}}}}"#
            )
        };
        let document = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"unknown_service"}}}}]}},"scopeSpans":[{{"scope":{{}},"spans":[{},{}]}}]}}]}}"#,
            span("b"),
            span("c")
        );
        check(Ok(batches), 200, &document).await;
    }

    #[tokio::test]
    async fn no_spans_and_no_disk() {
        let text = r#"{"code":"not_found","detail":"no span of trace 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a is stored","status":404,"title":"Not Found","type":"about:blank"}"#;
        check(Ok(Vec::new()), 404, text).await;
        let text = r#"{"code":"internal","detail":"the trace cannot be read: broken","status":500,"title":"Internal Server Error","type":"about:blank"}"#;
        check(Err(io::Error::other("broken")), 500, text).await;
    }
}
