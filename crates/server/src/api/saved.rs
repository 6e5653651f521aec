//! Saved queries, their snapshots and diffs. Fields and answers of the system that this one replaces stay as they were;
//! what is new stands beside them.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use tracediff_catalog::{CatalogError, Diff, Query, Snapshot};

pub(super) mod diffs;
mod given;
pub(super) mod queries;
mod shape;
pub(super) mod snapshots;

pub(super) use given::{GivenPage, Paged, Parameters, page, parameters, read};
pub(super) use shape::{DiffSummary, SnapshotCounts, add_kept, seconds};

use super::problem::Problem;
use crate::snapshots::{SnapshotError, Snapshots, with_sources};

/// The most bytes of a request.
const BODY_BYTES: usize = 256 << 10;

type Answer = Result<Response, Problem>;

/// The paths below `/api`.
pub(super) fn router<S: Clone + Send + Sync + 'static>(state: Snapshots) -> Router<S> {
    use diffs::{create_diff, delete_diff, diff, diffs, verdict};
    use queries::{create_query, delete_query, queries, query, update_query, validate};
    use snapshots::{cancel, delete_snapshot, list_snapshots, pin, snapshot, take_snapshot, unpin};
    Router::new()
        .route("/api/queries", get(queries).post(create_query))
        .route(
            "/api/queries/{id}",
            get(query).put(update_query).delete(delete_query),
        )
        .route("/api/queries/{id}/snapshots", post(take_snapshot))
        .route("/api/query/validate", post(validate))
        .route("/api/snapshots", get(list_snapshots))
        .route("/api/snapshots/{id}", get(snapshot).delete(delete_snapshot))
        .route("/api/snapshots/{id}/pin", post(pin).delete(unpin))
        .route("/api/snapshots/{id}/cancel", post(cancel))
        .route("/api/diffs", get(diffs).post(create_diff))
        .route("/api/diffs/{id}", get(diff).delete(delete_diff))
        .route("/api/verdict", get(verdict))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(state)
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        SnapshotError::from(error).into()
    }
}

impl From<SnapshotError> for Problem {
    fn from(error: SnapshotError) -> Self {
        let text = with_sources(&error);
        match error {
            SnapshotError::NotReady(_) => Self::new(StatusCode::CONFLICT, "not_ready", text),
            SnapshotError::Window(_) => Self::invalid("invalid_window", text),
            SnapshotError::Catalog(error) if error.is_retryable() => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
            }
            // What is inside is for the log, not for who asks.
            _ => {
                tracing::error!("{text}");
                let detail = "the server could not do it; its log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
            }
        }
    }
}

async fn found_query(snapshots: &Snapshots, id: &str) -> Result<Query, Problem> {
    let row = snapshots.catalog.query(id).await?;
    row.ok_or_else(|| Problem::unknown("query", id))
}

pub(super) async fn found_snapshot(snapshots: &Snapshots, id: &str) -> Result<Snapshot, Problem> {
    let row = snapshots.catalog.snapshot(id).await?;
    row.ok_or_else(|| Problem::unknown("snapshot", id))
}

pub(super) async fn found_diff(snapshots: &Snapshots, id: &str) -> Result<Diff, Problem> {
    let row = snapshots.catalog.diff(id).await?;
    row.ok_or_else(|| Problem::unknown("diff", id))
}
