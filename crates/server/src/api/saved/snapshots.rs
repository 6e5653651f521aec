//! Snapshots: taken, listed, shown, pinned, cancelled, removed.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;
use tracediff_catalog::State as SnapshotState;

use super::given::{GivenPage, GivenWindow, Paged, page, read};
use super::shape::{ShownSnapshot, snapshot_json};
use super::{Answer, found_query, found_snapshot};
use crate::api::answered;
use crate::api::problem::Problem;
use crate::snapshots::{Kind, SnapshotError, Snapshots};

/// Takes a snapshot of a query.
#[utoipa::path(
    post, path = "/api/queries/{id}/snapshots", tag = "snapshots",
    params(("id" = String, Path, description = "of the query")),
    request_body = Option<GivenWindow>,
    responses((status = 202, description = "It is taken when its window has settled", body = ShownSnapshot)),
)]
pub(in crate::api) async fn take_snapshot(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let row = found_query(&snapshots, &id).await?;
    let given: GivenWindow = match body.is_empty() {
        true => GivenWindow::default(),
        false => read(&body)?,
    };
    let settings = snapshots.settings_of(&row.settings)?;
    let window = given.window(&settings)?;
    let added = snapshots.add(&row, &settings, window, "request").await?;
    Ok((StatusCode::ACCEPTED, answered(&snapshot_json(&added))).into_response())
}

/// A part of the list of snapshots.
#[utoipa::path(
    get, path = "/api/snapshots", tag = "snapshots",
    params(GivenPage),
    responses((status = 200, description = "The newest, last", body = [ShownSnapshot])),
)]
pub(in crate::api) async fn list_snapshots(
    State(snapshots): State<Snapshots>,
    given: Paged,
) -> Answer {
    let page = page(given)?;
    if let Some(status) = &page.status
        && SnapshotState::parse(status).is_none()
    {
        let detail = format!(
            "`status` is `{status}`, but must be pending, collecting, ready, failed or cancelled"
        );
        return Err(Problem::invalid("invalid_parameter", detail));
    }
    let rows = snapshots.catalog.snapshots(&page).await?;
    Ok(answered(&rows.iter().map(snapshot_json).collect()))
}

/// One snapshot.
#[utoipa::path(
    get, path = "/api/snapshots/{id}", tag = "snapshots",
    params(("id" = String, Path, description = "of the snapshot")),
    responses((status = 200, description = "The snapshot", body = ShownSnapshot)),
)]
pub(in crate::api) async fn snapshot(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    Ok(answered(&snapshot_json(
        &found_snapshot(&snapshots, &id).await?,
    )))
}

/// Removes a snapshot and its facts.
#[utoipa::path(
    delete, path = "/api/snapshots/{id}", tag = "snapshots",
    params(("id" = String, Path, description = "of the snapshot")),
    responses((status = 200, description = "What was removed is in `msg`", body = Object)),
)]
pub(in crate::api) async fn delete_snapshot(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    let row = snapshots.catalog.delete_snapshot(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("snapshot", &id))?;
    if let Some(object) = &row.object {
        let forgotten = snapshots.store.forget(object).await;
        forgotten.map_err(SnapshotError::from)?;
    }
    snapshots.changes.tell(Kind::Snapshot, &id);
    Ok(answered(&json!({ "msg": snapshot_json(&row) })))
}

/// Keeps a snapshot.
#[utoipa::path(
    post, path = "/api/snapshots/{id}/pin", tag = "snapshots",
    params(("id" = String, Path, description = "of the snapshot")),
    responses((status = 200, description = "It is kept whatever its age", body = ShownSnapshot)),
)]
pub(in crate::api) async fn pin(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    set_pinned(&snapshots, &id, true).await
}

/// Lets a snapshot go again.
#[utoipa::path(
    delete, path = "/api/snapshots/{id}/pin", tag = "snapshots",
    params(("id" = String, Path, description = "of the snapshot")),
    responses((status = 200, description = "It may go when it is old", body = ShownSnapshot)),
)]
pub(in crate::api) async fn unpin(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    set_pinned(&snapshots, &id, false).await
}

async fn set_pinned(snapshots: &Snapshots, id: &str, is_pinned: bool) -> Answer {
    if !snapshots.catalog.set_pinned(id, is_pinned).await? {
        return Err(Problem::unknown("snapshot", id));
    }
    snapshots.changes.tell(Kind::Snapshot, id);
    Ok(answered(&snapshot_json(
        &found_snapshot(snapshots, id).await?,
    )))
}

/// Stops a snapshot that is pending or collecting.
#[utoipa::path(
    post, path = "/api/snapshots/{id}/cancel", tag = "snapshots",
    params(("id" = String, Path, description = "of the snapshot")),
    responses((status = 200, description = "It is stopped", body = ShownSnapshot)),
)]
pub(in crate::api) async fn cancel(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    let known = found_snapshot(&snapshots, &id).await?;
    if !snapshots.catalog.cancel_snapshot(&id).await? {
        let detail = format!("snapshot `{id}` is {} already", known.state.as_str());
        return Err(Problem::new(StatusCode::CONFLICT, "not_running", detail));
    }
    snapshots.changes.tell(Kind::Snapshot, &id);
    Ok(answered(&snapshot_json(
        &found_snapshot(&snapshots, &id).await?,
    )))
}
