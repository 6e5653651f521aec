//! The main port: is the process alive, does it take spans, what has it done, and what is in a trace.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracediff_core::model::{SpanBatch, TraceId, Window};
use tracediff_store::Store;
use tracediff_wire::{encode_otlp_json_batches, encode_otlp_protobuf_delimited};

use crate::metrics::Metrics;

/// Spans that are read at a time to be sent.
const PART_SPANS: u64 = 50_000;

/// What the paths need.
#[derive(Debug, Clone)]
struct Shared {
    store: Store,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

/// The port's paths. Once `stop` is cancelled the process is not ready any more.
pub(crate) fn router(store: Store, metrics: Arc<Metrics>, stop: CancellationToken) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(show_metrics))
        .route("/api/traces/{id}", get(trace))
        .route("/api/status", get(status))
        .route("/api/spans", get(spans))
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

async fn show_metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], shared.metrics.text())
}

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
async fn status(State(shared): State<Shared>) -> Response {
    let extent = shared.store.extent_ns();
    let readings = shared.store.readings();
    let body = json!({
        "first_start_ns": extent.map(|(first, _)| first),
        "last_start_ns": extent.map(|(_, last)| last),
        "spans": readings.head_spans + readings.segment_spans,
        "segments": readings.segments,
        "segment_bytes": readings.segment_bytes,
        "last_failure": shared.store.last_failure(),
    });
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Nanoseconds since the epoch.
#[derive(Debug, Deserialize)]
struct WindowQuery {
    from_ns: i64,
    to_ns: i64,
}

/// All spans that start in a window, as length-delimited OTLP requests.
async fn spans(
    State(shared): State<Shared>,
    query: Result<axum::extract::Query<WindowQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let window = match &query {
        Ok(query) => Window::new(query.from_ns, query.to_ns).map_err(|e| e.to_string()),
        Err(rejection) => Err(rejection.body_text()),
    };
    let window = match window {
        Ok(window) => window,
        Err(problem) => {
            let text = format!("{problem}; give from_ns and to_ns, in nanoseconds since 1970");
            return failure(StatusCode::BAD_REQUEST, &text);
        }
    };
    let reading = match shared.store.read(window, PART_SPANS).await {
        Ok(reading) => Arc::new(reading),
        Err(error) => return failure(StatusCode::INTERNAL_SERVER_ERROR, &with_sources(&error)),
    };
    // A part is read when the one before it was sent, so that no more than one is in memory.
    let parts = futures::stream::iter(0..reading.parts()).then(move |number| {
        let reading = Arc::clone(&reading);
        async move {
            let batches = reading.part(number).await.map_err(io::Error::other)?;
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

fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    let texts = std::iter::once(error.to_string()).chain(sources.map(ToString::to_string));
    texts.collect::<Vec<_>>().join(": ")
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
    let body = json!({ "error": text }).to_string();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
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
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
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
        let text = r#"{"error":"no span of trace 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a is stored"}"#;
        check(Ok(Vec::new()), 404, text).await;
        let text = r#"{"error":"the trace cannot be read: broken"}"#;
        check(Err(io::Error::other("broken")), 500, text).await;
    }
}
