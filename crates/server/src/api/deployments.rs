//! Deployments: told of by whoever deploys, shown, and looked at before and after.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tracediff_catalog::{Deployment, new_id};
use utoipa::ToSchema;

use super::answered;
use super::problem::Problem;
use super::saved::{GivenPage, Paged, add_kept, page, read, seconds};
use crate::snapshots::{Kind, Snapshots, now_ns};

const BODY_BYTES: usize = 64 << 10;
const MOST_NAME: usize = 200;
/// How far ahead a deployment may be told of.
const MOST_AHEAD_NS: i64 = 31 * 86_400 * 1_000_000_000;

pub(super) fn router<S: Clone + Send + Sync + 'static>(snapshots: Snapshots) -> Router<S> {
    Router::new()
        .route("/api/deployments", get(list).post(add))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(snapshots)
}

/// A version of a service that went live.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GivenDeployment)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    service: String,
    version: String,
    /// Unix seconds; now where it is left out.
    time: Option<f64>,
}

/// A part of the list of deployments.
#[utoipa::path(
    get, path = "/api/deployments", tag = "deployments",
    params(GivenPage),
    responses((status = 200, description = "The newest, last", body = [Object])),
)]
pub(super) async fn list(
    State(snapshots): State<Snapshots>,
    given: Paged,
) -> Result<Response, Problem> {
    let rows = snapshots.catalog.deployments(&page(given)?).await?;
    Ok(answered(&rows.iter().map(shown).collect()))
}

/// Notes a deployment, and has snapshots taken before and after it for the queries that touch the service.
#[utoipa::path(
    post, path = "/api/deployments", tag = "deployments",
    request_body = Given,
    responses((status = 201, description = "It is noted; `snapshots` names those that are taken before and after", body = Object)),
)]
pub(super) async fn add(
    State(snapshots): State<Snapshots>,
    body: Bytes,
) -> Result<Response, Problem> {
    let given: Given = read(&body)?;
    for (name, text) in [("service", &given.service), ("version", &given.version)] {
        if text.trim().is_empty() || text.chars().count() > MOST_NAME {
            let detail = format!("`{name}` must have 1 to {MOST_NAME} characters");
            return Err(Problem::invalid("invalid_field", detail));
        }
    }
    let now_ns = now_ns();
    let at_ns = given.time.map_or(now_ns, |seconds| (seconds * 1e9) as i64);
    if at_ns < 0 || at_ns.saturating_sub(now_ns) > MOST_AHEAD_NS {
        let detail = "`time` is in Unix seconds, from 1970 to 31 days from now";
        return Err(Problem::invalid("invalid_field", detail));
    }
    let taken = snapshots.around(&given.service, at_ns).await?;
    let row = Deployment {
        id: new_id(),
        service: given.service,
        version: given.version,
        at_ns,
        created_ns: now_ns,
        details: json!({ "snapshots": taken }).to_string(),
    };
    snapshots.catalog.add_deployment(&row).await?;
    snapshots.changes.tell(Kind::Deployment, &row.id);
    Ok((StatusCode::CREATED, answered(&shown(&row))).into_response())
}

fn shown(row: &Deployment) -> Value {
    let body = json!({
        "_id": row.id,
        "service": row.service,
        "version": row.version,
        "time": seconds(row.at_ns),
        "createdAt": seconds(row.created_ns),
    });
    add_kept(body, &row.details)
}
