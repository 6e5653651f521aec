//! Saved queries: made, listed, shown, replaced, removed; and whether a query can be used.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::{Value, json};
use tracediff_catalog::{Query, new_id};
use utoipa::ToSchema;

use super::given::{GivenQuery, GivenText, QueryFields, read};
use super::shape::{ShownQuery, query_json};
use super::{Answer, found_query};
use crate::api::answered;
use crate::api::problem::Problem;
use crate::snapshots::{Kind, Snapshots, now_ns};

fn shown(snapshots: &Snapshots, row: &Query) -> Result<Response, Problem> {
    Ok(answered(&query_json(row, snapshots)?))
}

/// All saved queries.
#[utoipa::path(
    get, path = "/api/queries", tag = "queries",
    responses((status = 200, description = "All, oldest first", body = [ShownQuery])),
)]
pub(in crate::api) async fn queries(State(snapshots): State<Snapshots>) -> Answer {
    let rows = snapshots.catalog.queries().await?;
    let shown = rows.iter().map(|row| query_json(row, &snapshots));
    Ok(answered(&Value::Array(shown.collect::<Result<_, _>>()?)))
}

/// Saves a query.
#[utoipa::path(
    post, path = "/api/queries", tag = "queries",
    request_body = QueryFields,
    responses((status = 201, description = "It is saved", body = ShownQuery)),
)]
pub(in crate::api) async fn create_query(
    State(snapshots): State<Snapshots>,
    body: Bytes,
) -> Answer {
    let given = GivenQuery::read(&body, &snapshots.defaults)?;
    let row = given.into_row(new_id(), now_ns());
    snapshots.catalog.create_query(&row).await?;
    snapshots.changes.tell(Kind::Query, &row.id);
    snapshots.wake();
    Ok((StatusCode::CREATED, shown(&snapshots, &row)?).into_response())
}

/// One saved query.
#[utoipa::path(
    get, path = "/api/queries/{id}", tag = "queries",
    params(("id" = String, Path, description = "of the query")),
    responses((status = 200, description = "The query", body = ShownQuery)),
)]
pub(in crate::api) async fn query(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    let row = found_query(&snapshots, &id).await?;
    shown(&snapshots, &row)
}

/// Replaces a query.
#[utoipa::path(
    put, path = "/api/queries/{id}", tag = "queries",
    params(("id" = String, Path, description = "of the query")),
    request_body = QueryFields,
    responses((status = 200, description = "It is replaced; what was left out has its default again", body = ShownQuery)),
)]
pub(in crate::api) async fn update_query(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let known = found_query(&snapshots, &id).await?;
    let given = GivenQuery::read(&body, &snapshots.defaults)?;
    let row = given.into_row(id.clone(), known.created_ns);
    if !snapshots.catalog.update_query(&row).await? {
        return Err(Problem::unknown("query", &id));
    }
    snapshots.changes.tell(Kind::Query, &id);
    snapshots.wake();
    shown(&snapshots, &row)
}

/// Removes a query.
#[utoipa::path(
    delete, path = "/api/queries/{id}", tag = "queries",
    params(("id" = String, Path, description = "of the query")),
    responses((status = 200, description = "What was removed is in `msg`; its snapshots and diffs stay", body = Object)),
)]
pub(in crate::api) async fn delete_query(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
) -> Answer {
    let row = snapshots.catalog.delete_query(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("query", &id))?;
    snapshots.changes.tell(Kind::Query, &id);
    Ok(answered(&json!({ "msg": query_json(&row, &snapshots)? })))
}

/// Whether a query can be used.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::api) struct Validity {
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
pub(in crate::api) async fn validate(body: Bytes) -> Answer {
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
