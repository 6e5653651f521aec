//! Diffs: made, listed, shown, removed; and what the newest of a query comes to.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Serialize;
use serde_json::{Value, json};
use tracediff_catalog::{DiffState, Page, Snapshot, State as RowState};
use utoipa::ToSchema;

use super::given::{
    GivenForm, GivenId, GivenPage, GivenPair, GivenSide, Paged, Parameters, page, parameters, read,
};
use super::shape::{ShownDiff, ShownSnapshot, diff_json, seconds, snapshot_json};
use super::{Answer, found_diff, found_query, found_snapshot};
use crate::api::answered;
use crate::api::problem::Problem;
use crate::snapshots::{Baseline, Kind, PAIR, SnapshotError, Snapshots, Verdict, document};

/// A part of the list of diffs.
#[utoipa::path(
    get, path = "/api/diffs", tag = "diffs",
    params(GivenPage),
    responses((status = 200, description = "The newest, last, without documents", body = [ShownDiff])),
)]
pub(in crate::api) async fn diffs(State(snapshots): State<Snapshots>, given: Paged) -> Answer {
    let rows = snapshots.catalog.diffs(&page(given)?).await?;
    Ok(answered(&rows.iter().map(diff_json).collect()))
}

/// Compares any two snapshots that are ready, or any two windows.
#[utoipa::path(
    post, path = "/api/diffs", tag = "diffs",
    request_body = GivenPair,
    responses(
        (status = 201, description = "The diff; a pair is compared once", body = ShownDiff),
        (status = 202, description = "The snapshots of both windows, which are compared as soon as they are ready; ask again where the candidate was there before", body = ShownPair),
    ),
)]
pub(in crate::api) async fn create_diff(State(snapshots): State<Snapshots>, body: Bytes) -> Answer {
    let given: GivenPair = read(&body)?;
    let baseline = side(&snapshots, given.baseline, None).await?;
    let candidate = side(&snapshots, given.candidate, Some(&baseline.id)).await?;
    if baseline.id == candidate.id {
        let detail = "a snapshot differs in nothing from itself; name two";
        return Err(Problem::invalid("invalid_field", detail));
    }
    let is_under_way = [&baseline, &candidate].iter().any(|side| {
        side.origin == PAIR && matches!(side.state, RowState::Pending | RowState::Collecting)
    });
    if is_under_way {
        let pair = ShownPair {
            baseline: snapshot_json(&baseline),
            candidate: snapshot_json(&candidate),
        };
        return Ok((StatusCode::ACCEPTED, answered(&json!(pair))).into_response());
    }
    let settings = snapshots.settings_of(&candidate.settings)?;
    let row = snapshots.diff(&baseline, &candidate, &settings.policy);
    let row = row.await?;
    Ok((StatusCode::CREATED, answered(&diff_json(&row))).into_response())
}

/// Two snapshots that are taken to be compared.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ShownPair {
    #[schema(value_type = ShownSnapshot)]
    baseline: Value,
    #[schema(value_type = ShownSnapshot)]
    candidate: Value,
}

/// The snapshot of a side: the one that is named, or one of the window that is given.
async fn side(
    snapshots: &Snapshots,
    given: GivenSide,
    baseline_id: Option<&str>,
) -> Result<Snapshot, Problem> {
    let given = match given {
        GivenSide::Snapshot(id) => return found_snapshot(snapshots, &id).await,
        GivenSide::Window(given) => given,
    };
    let query = match &given.query_id {
        Some(id) => Some(found_query(snapshots, id).await?),
        None => None,
    };
    let (mut wanted, window) = given.wanted(query, snapshots)?;
    match baseline_id {
        Some(id) => wanted.settings.baseline = Baseline::Snapshot(id.to_owned()),
        None => wanted.diff_state = DiffState::None,
    }
    Ok(snapshots.add_wanted(wanted, window).await?)
}

/// One diff.
#[utoipa::path(
    get, path = "/api/diffs/{id}", tag = "diffs",
    params(("id" = String, Path, description = "of the diff"), GivenForm),
    responses((status = 200, description = "The diff with its document", body = ShownDiff)),
)]
pub(in crate::api) async fn diff(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
    form: Parameters<GivenForm>,
) -> Answer {
    let form = parameters(form)?;
    let row = found_diff(&snapshots, &id).await?;
    let mut body = diff_json(&row);
    if form.summary.is_none_or(|summary| summary == "0") {
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
pub(in crate::api) async fn delete_diff(
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
pub(in crate::api) async fn verdict(
    State(snapshots): State<Snapshots>,
    given: Parameters<GivenId>,
) -> Answer {
    let id = parameters(given)?.query_id;
    let newest = Page {
        limit: 1,
        before: None,
        query_id: Some(id.clone()),
        status: None,
    };
    let Some(row) = snapshots.catalog.diffs(&newest).await?.pop() else {
        found_query(&snapshots, &id).await?;
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
