//! The architecture over time: services, endpoints and edges, when each was seen first and last, and what came and went
//! between two times.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tracediff_catalog::Seen;
use utoipa::IntoParams;

use super::answered;
use super::problem::Problem;
use super::saved::{Parameters, add_kept, parameters};
use crate::snapshots::Snapshots;

pub(super) fn router<S: Clone + Send + Sync + 'static>(snapshots: Snapshots) -> Router<S> {
    Router::new()
        .route("/api/architecture", get(architecture))
        .with_state(snapshots)
}

/// Unix seconds; the whole time where they are left out.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenTimes {
    from: Option<f64>,
    to: Option<f64>,
}

/// What was seen between two times, and what of it was there at only one of them.
#[utoipa::path(
    get, path = "/api/architecture", tag = "architecture",
    params(GivenTimes),
    responses((status = 200, description = "`items`, and of them `new`, `gone` and `passing`", body = Object)),
)]
pub(super) async fn architecture(
    State(snapshots): State<Snapshots>,
    given: Parameters<GivenTimes>,
) -> Result<Response, Problem> {
    let given = parameters(given)?;
    let ns = |seconds: f64| (seconds * 1e9) as i64;
    let (from_ns, to_ns) = (given.from.map(ns), given.to.map(ns));
    if let (Some(from_ns), Some(to_ns)) = (from_ns, to_ns)
        && from_ns >= to_ns
    {
        let detail = "`from` must be before `to`; both are in Unix seconds";
        return Err(Problem::invalid("invalid_window", detail));
    }
    let seen = snapshots.catalog.seen(from_ns, to_ns).await?;
    let at = |pick: fn(&Seen) -> i64| seen.iter().map(pick);
    // What was last seen in the newest snapshot is still there, however long ago that was.
    let end_ns = at(|seen| seen.last_ns).max();
    let start_ns = at(|seen| seen.first_ns).min();
    let from_ns = from_ns.max(start_ns);
    let to_ns = to_ns.map_or(end_ns, |to_ns| end_ns.map(|end_ns| end_ns.min(to_ns)));
    let is_new = |seen: &&Seen| from_ns.is_some_and(|from_ns| seen.first_ns > from_ns);
    let is_gone = |seen: &&Seen| to_ns.is_some_and(|to_ns| seen.last_ns < to_ns);
    Ok(answered(&json!({
        "fromNs": from_ns.map(|ns| ns.to_string()),
        "toNs": to_ns.map(|ns| ns.to_string()),
        "items": seen.iter().map(shown).collect::<Vec<_>>(),
        "new": seen.iter().filter(|s| is_new(s) && !is_gone(s)).map(shown).collect::<Vec<_>>(),
        "gone": seen.iter().filter(|s| is_gone(s) && !is_new(s)).map(shown).collect::<Vec<_>>(),
        "passing": seen.iter().filter(|s| is_new(s) && is_gone(s)).map(shown).collect::<Vec<_>>(),
    })))
}

fn shown(seen: &Seen) -> Value {
    let body = json!({
        "kind": seen.kind,
        "name": seen.name,
        "firstSeenNs": seen.first_ns.to_string(),
        "lastSeenNs": seen.last_ns.to_string(),
    });
    add_kept(body, &seen.details)
}
