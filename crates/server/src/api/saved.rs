//! Saved queries, their snapshots and diffs. Fields and answers of the system that this one replaces stay as they were;
//! what is new stands beside them.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};
use tracediff_catalog::{CatalogError, Diff, Page, Snapshot, State as SnapshotState, new_id};
use utoipa::ToSchema;

mod given;
mod shape;

use given::GivenQuery;
pub(super) use given::{
    GivenForm, GivenId, GivenPage, GivenPair, GivenText, GivenWindow, Paged, QueryFields, page,
    read,
};
pub(super) use shape::{
    DiffSummary, ShownDiff, ShownQuery, ShownSnapshot, SnapshotCounts, seconds,
};
use shape::{diff_json, query_json, snapshot_json};

use super::answered;
use super::problem::Problem;
use crate::snapshots::{
    Kind, SnapshotError, Snapshots, Verdict, document, log, now_ns, settings_of, with_sources,
};

/// The most bytes of a request.
const BODY_BYTES: usize = 256 << 10;
type Answer = Result<Response, Problem>;

/// The paths below `/api`.
pub(super) fn router<S: Clone + Send + Sync + 'static>(snapshots: Snapshots) -> Router<S> {
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
        .with_state(snapshots)
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
                log(&format!("api: {text}"));
                let detail = "the server could not do it; its log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
            }
        }
    }
}

/// All saved queries.
#[utoipa::path(
    get, path = "/api/queries", tag = "queries",
    responses((status = 200, description = "All, oldest first", body = [ShownQuery])),
)]
pub(super) async fn queries(State(snapshots): State<Snapshots>) -> Answer {
    let rows = snapshots.catalog.queries().await?;
    Ok(answered(&rows.iter().map(query_json).collect()))
}

/// Saves a query.
#[utoipa::path(
    post, path = "/api/queries", tag = "queries",
    request_body = QueryFields,
    responses((status = 201, description = "It is saved", body = ShownQuery)),
)]
pub(super) async fn create_query(State(snapshots): State<Snapshots>, body: Bytes) -> Answer {
    let row = GivenQuery::read(&body)?.into_row(new_id(), now_ns())?;
    snapshots.catalog.create_query(&row).await?;
    snapshots.changes.tell(Kind::Query, &row.id);
    snapshots.wake();
    Ok((StatusCode::CREATED, answered(&query_json(&row))).into_response())
}

/// One saved query.
#[utoipa::path(
    get, path = "/api/queries/{id}", tag = "queries",
    params(("id" = String, Path, description = "of the query")),
    responses((status = 200, description = "The query", body = ShownQuery)),
)]
pub(super) async fn query(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    let row = snapshots.catalog.query(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("query", &id))?;
    Ok(answered(&query_json(&row)))
}

/// Replaces a query.
#[utoipa::path(
    put, path = "/api/queries/{id}", tag = "queries",
    params(("id" = String, Path, description = "of the query")),
    request_body = QueryFields,
    responses((status = 200, description = "It is replaced; what was left out has its default again", body = ShownQuery)),
)]
pub(super) async fn update_query(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let known = snapshots.catalog.query(&id).await?;
    let known = known.ok_or_else(|| Problem::unknown("query", &id))?;
    let row = GivenQuery::read(&body)?.into_row(id.clone(), known.created_ns)?;
    if !snapshots.catalog.update_query(&row).await? {
        return Err(Problem::unknown("query", &id));
    }
    snapshots.changes.tell(Kind::Query, &id);
    snapshots.wake();
    Ok(answered(&query_json(&row)))
}

/// Removes a query.
#[utoipa::path(
    delete, path = "/api/queries/{id}", tag = "queries",
    params(("id" = String, Path, description = "of the query")),
    responses((status = 200, description = "What was removed is in `msg`; its snapshots and diffs stay", body = Object)),
)]
pub(super) async fn delete_query(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    let row = snapshots.catalog.delete_query(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("query", &id))?;
    snapshots.changes.tell(Kind::Query, &id);
    Ok(answered(&json!({ "msg": query_json(&row) })))
}

/// Takes a snapshot of a query.
#[utoipa::path(
    post, path = "/api/queries/{id}/snapshots", tag = "snapshots",
    params(("id" = String, Path, description = "of the query")),
    request_body = Option<GivenWindow>,
    responses((status = 202, description = "It is taken when its window has settled", body = ShownSnapshot)),
)]
pub(super) async fn take_snapshot(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let row = snapshots.catalog.query(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("query", &id))?;
    let given: GivenWindow = match body.is_empty() {
        true => GivenWindow::default(),
        false => read(&body)?,
    };
    let settings = settings_of(&row.settings)?;
    let window = given.window(&settings)?;
    let added = snapshots.add(&row, &settings, window, "request").await?;
    Ok((StatusCode::ACCEPTED, answered(&snapshot_json(&added))).into_response())
}

/// Whether a query can be used.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Validity {
    valid: bool,
    /// The same query as it is printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical: Option<String>,
    /// What is wrong, with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The line of the query with the place marked under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rendered: Option<String>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// In characters; 0 at the end of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
}

/// Whether a query can be used, and if not, where it goes wrong.
#[utoipa::path(
    post, path = "/api/query/validate", tag = "queries",
    request_body = GivenText,
    responses((status = 200, description = "Whether it can be used, and if not, where it goes wrong", body = Validity)),
)]
pub(super) async fn validate(body: Bytes) -> Answer {
    let given: GivenText = read(&body)?;
    let validity = match tracediff_core::query::Query::parse(&given.query) {
        Ok(query) => Validity {
            valid: true,
            canonical: Some(query.to_string()),
            ..Validity::default()
        },
        Err(error) => Validity {
            error: Some(error.to_string()),
            rendered: Some(error.render(&given.query)),
            line: Some(error.line()),
            column: Some(error.column()),
            length: Some(given.query[error.span()].chars().count()),
            ..Validity::default()
        },
    };
    Ok(answered(&json!(validity)))
}

/// A part of the list of snapshots.
#[utoipa::path(
    get, path = "/api/snapshots", tag = "snapshots",
    params(GivenPage),
    responses((status = 200, description = "The newest, last", body = [ShownSnapshot])),
)]
pub(super) async fn list_snapshots(State(snapshots): State<Snapshots>, given: Paged) -> Answer {
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

pub(super) async fn found_snapshot(snapshots: &Snapshots, id: &str) -> Result<Snapshot, Problem> {
    let row = snapshots.catalog.snapshot(id).await?;
    row.ok_or_else(|| Problem::unknown("snapshot", id))
}

pub(super) async fn found_diff(snapshots: &Snapshots, id: &str) -> Result<Diff, Problem> {
    let row = snapshots.catalog.diff(id).await?;
    row.ok_or_else(|| Problem::unknown("diff", id))
}

/// One snapshot.
#[utoipa::path(
    get, path = "/api/snapshots/{id}", tag = "snapshots",
    params(("id" = String, Path, description = "of the snapshot")),
    responses((status = 200, description = "The snapshot", body = ShownSnapshot)),
)]
pub(super) async fn snapshot(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
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
pub(super) async fn delete_snapshot(
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
pub(super) async fn pin(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    set_pinned(&snapshots, &id, true).await
}

/// Lets a snapshot go again.
#[utoipa::path(
    delete, path = "/api/snapshots/{id}/pin", tag = "snapshots",
    params(("id" = String, Path, description = "of the snapshot")),
    responses((status = 200, description = "It may go when it is old", body = ShownSnapshot)),
)]
pub(super) async fn unpin(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
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
pub(super) async fn cancel(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
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

/// A part of the list of diffs.
#[utoipa::path(
    get, path = "/api/diffs", tag = "diffs",
    params(GivenPage),
    responses((status = 200, description = "The newest, last, without documents", body = [ShownDiff])),
)]
pub(super) async fn diffs(State(snapshots): State<Snapshots>, given: Paged) -> Answer {
    let rows = snapshots.catalog.diffs(&page(given)?).await?;
    Ok(answered(&rows.iter().map(diff_json).collect()))
}

/// Compares any two snapshots that are ready.
#[utoipa::path(
    post, path = "/api/diffs", tag = "diffs",
    request_body = GivenPair,
    responses((status = 201, description = "The diff; a pair is compared once", body = ShownDiff)),
)]
pub(super) async fn create_diff(State(snapshots): State<Snapshots>, body: Bytes) -> Answer {
    let given: GivenPair = read(&body)?;
    if given.baseline == given.candidate {
        let detail = "a snapshot differs in nothing from itself; name two";
        return Err(Problem::invalid("invalid_field", detail));
    }
    let baseline = found_snapshot(&snapshots, &given.baseline).await?;
    let candidate = found_snapshot(&snapshots, &given.candidate).await?;
    let settings = settings_of(&candidate.settings)?;
    let row = snapshots.diff(&baseline, &candidate, &settings.policy);
    let row = row.await?;
    Ok((StatusCode::CREATED, answered(&diff_json(&row))).into_response())
}

/// One diff.
#[utoipa::path(
    get, path = "/api/diffs/{id}", tag = "diffs",
    params(("id" = String, Path, description = "of the diff"), GivenForm),
    responses((status = 200, description = "The diff with its document", body = ShownDiff)),
)]
pub(super) async fn diff(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
    form: Result<UrlQuery<GivenForm>, QueryRejection>,
) -> Answer {
    let form = form.map_err(|e| Problem::invalid("invalid_parameter", e.body_text()))?;
    let row = found_diff(&snapshots, &id).await?;
    let mut body = diff_json(&row);
    if form
        .0
        .summary
        .as_deref()
        .is_none_or(|summary| summary == "0")
    {
        body["document"] = document(&snapshots, &row).await?.unwrap_or(Value::Null);
    }
    Ok(answered(&body))
}

/// Removes a diff.
#[utoipa::path(
    delete, path = "/api/diffs/{id}", tag = "diffs",
    params(("id" = String, Path, description = "of the diff")),
    responses((status = 200, description = "What was removed is in `msg`", body = Object)),
)]
pub(super) async fn delete_diff(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    let row = snapshots.catalog.delete_diff(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("diff", &id))?;
    let forgotten = snapshots.store.forget(&row.object).await;
    forgotten.map_err(SnapshotError::from)?;
    snapshots.changes.tell(Kind::Diff, &id);
    Ok(answered(&json!({ "msg": diff_json(&row) })))
}

/// What the newest diff of a query comes to, small enough for a gate.
#[utoipa::path(
    get, path = "/api/verdict", tag = "diffs",
    params(GivenId),
    responses((status = 200, description = "What the newest diff of the query comes to", body = Verdict)),
)]
pub(super) async fn verdict(
    State(snapshots): State<Snapshots>,
    given: Result<UrlQuery<GivenId>, QueryRejection>,
) -> Answer {
    let given = given.map_err(|e| Problem::invalid("invalid_parameter", e.body_text()))?;
    let id = given.0.query_id;
    let newest = Page {
        limit: 1,
        before: None,
        query_id: Some(id.clone()),
        status: None,
    };
    let Some(row) = snapshots.catalog.diffs(&newest).await?.pop() else {
        if snapshots.catalog.query(&id).await?.is_none() {
            return Err(Problem::unknown("query", &id));
        }
        let detail = format!("query `{id}` has no diff yet: there must be two snapshots first");
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_diff_yet", detail));
    };
    let verdict = Verdict {
        is_regressed: row.verdict == "regressed",
        verdict: row.verdict,
        sentence: row.sentence,
        diff_id: row.id,
        calculated_at: seconds(row.calculated_ns),
    };
    Ok(answered(&json!(verdict)))
}
