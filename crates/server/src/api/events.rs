//! What changes, as it happens: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::stream::{Stream, StreamExt as _, unfold};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use crate::snapshots::Changes;

/// How often a line is sent where there is nothing to tell: proxies cut off what is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams that may be open at a time: pages are told to ask for lists beyond.
const MOST_STREAMS: usize = 100;

#[derive(Debug, Clone)]
pub(super) struct Told {
    changes: Changes,
    stop: CancellationToken,
    streams: Arc<Semaphore>,
}

pub(super) fn router<S: Clone + Send + Sync + 'static>(
    changes: Changes,
    stop: CancellationToken,
) -> Router<S> {
    Router::new()
        .route("/api/events", get(events))
        .with_state(Told {
            changes,
            stop,
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        })
}

/// `change` names what changed in this process; `missed` says that there were more changes than could be told.
#[utoipa::path(
    get, path = "/api/events", tag = "events",
    responses((status = 200, description = "Server-sent events: `hello`, `change`, `missed`", body = String, content_type = "text/event-stream")),
)]
pub(super) async fn events(
    State(told): State<Told>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let Ok(stream) = told.streams.try_acquire_owned() else {
        let detail = format!("{MOST_STREAMS} listen already: ask for lists now and then instead");
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            detail,
        ));
    };
    let listening = unfold(
        (told.changes.listen(), stream),
        async |(mut receiver, stream)| {
            let event = match receiver.recv().await {
                Ok(change) => Event::default()
                    .event("change")
                    .data(json!(change).to_string()),
                Err(RecvError::Lagged(count)) => {
                    let data = json!({ "missed": count }).to_string();
                    Event::default().event("missed").data(data)
                }
                Err(RecvError::Closed) => return None,
            };
            Some((Ok(event), (receiver, stream)))
        },
    );
    // The first line is sent at once: who reads it knows that nothing from now on escapes it.
    let hello = futures::stream::once(async { Ok(Event::default().event("hello").data("{}")) });
    let listening = hello.chain(listening);
    let stopped = told.stop.cancelled_owned();
    Ok(Sse::new(listening.take_until(Box::pin(stopped)))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
