//! Saved queries, their snapshots and diffs. Fields and answers of the system that this one replaces stay as they were;
//! what is new stands beside them.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tracediff_catalog::{
    CatalogError, Diff, Page, Query, Snapshot, State as SnapshotState, new_id,
};
use tracediff_core::model::Window;

use super::answered;
use super::problem::Problem;
use crate::snapshots::{
    Settings, SnapshotError, Snapshots, Span, Verdict, document, log, now_ns, settings_of,
    with_sources,
};

const SECOND_NS: i64 = 1_000_000_000;
/// The most bytes of a request.
const BODY_BYTES: usize = 256 << 10;
/// How many a list has unless it is told, and at most.
const LISTED: u32 = 100;
const MOST_LISTED: u32 = 1_000;
/// The most keys of a query, and characters of its name.
const MOST_KEYS: usize = 50;
const MOST_NAME: usize = 200;

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

/// A saved query as it is sent: what it is called, what it finds, and its settings.
#[derive(Debug)]
struct GivenQuery {
    name: String,
    query: String,
    group_by_keys: Vec<String>,
    settings: Settings,
}

impl GivenQuery {
    fn read(body: &Bytes) -> Result<Self, Problem> {
        let mut fields: Map<String, Value> = read(body)?;
        let mut text = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Ok(Some(text)),
            None | Some(Value::Null) => Ok(None),
            Some(_) => Err(Problem::invalid(
                "invalid_field",
                format!("`{name}` must be a text"),
            )),
        };
        let (name, query) = (text("name")?, text("query")?);
        let query = query.ok_or_else(|| {
            let detail =
                "`query` is missing: which spans are looked at, e.g. \"service IN (\\\"cart\\\")\"";
            Problem::invalid("invalid_field", detail)
        })?;
        let name = name.filter(|name| !name.trim().is_empty());
        let name = name.unwrap_or_else(|| query.clone());
        if name.chars().count() > MOST_NAME && name != query {
            let detail = format!("`name` has more than {MOST_NAME} characters");
            return Err(Problem::invalid("invalid_field", detail));
        }
        parsed(&query)?;
        let keys = fields.remove("groupByKeys").unwrap_or(json!([]));
        let keys: Vec<String> = serde_json::from_value(keys).map_err(|_| {
            Problem::invalid("invalid_field", "`groupByKeys` must be a list of keys")
        })?;
        if keys.len() > MOST_KEYS {
            let detail = format!("`groupByKeys` has more than {MOST_KEYS} keys");
            return Err(Problem::invalid("invalid_field", detail));
        }
        // What a client that is used to the fields of an answer sends back.
        for name in ["_id", "createdAt"] {
            fields.remove(name);
        }
        let settings: Settings = serde_json::from_value(Value::Object(fields))
            .map_err(|error| Problem::invalid("invalid_field", error.to_string()))?;
        let checked = settings.check();
        checked.map_err(|error| Problem::invalid("invalid_field", error.to_string()))?;
        Ok(Self {
            name,
            query,
            group_by_keys: keys,
            settings,
        })
    }

    /// The row that it becomes.
    fn into_row(self, id: String, created_ns: i64) -> Result<Query, Problem> {
        let settings = serde_json::to_string(&self.settings).map_err(SnapshotError::Settings)?;
        Ok(Query {
            id,
            name: self.name,
            query: self.query,
            group_by_keys: self.group_by_keys,
            settings,
            created_ns,
            updated_ns: now_ns(),
            scheduled_to_ns: None,
        })
    }
}

async fn queries(State(snapshots): State<Snapshots>) -> Answer {
    let rows = snapshots.catalog.queries().await?;
    Ok(answered(&rows.iter().map(query_json).collect()))
}

async fn create_query(State(snapshots): State<Snapshots>, body: Bytes) -> Answer {
    let row = GivenQuery::read(&body)?.into_row(new_id(), now_ns())?;
    snapshots.catalog.create_query(&row).await?;
    snapshots.wake();
    Ok((StatusCode::CREATED, answered(&query_json(&row))).into_response())
}

async fn query(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    let row = snapshots.catalog.query(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("query", &id))?;
    Ok(answered(&query_json(&row)))
}

async fn update_query(
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
    snapshots.wake();
    Ok(answered(&query_json(&row)))
}

async fn delete_query(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    let row = snapshots.catalog.delete_query(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("query", &id))?;
    Ok(answered(&json!({ "msg": query_json(&row) })))
}

/// Which window a snapshot is of: one of these three, or the newest that is over.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GivenWindow {
    /// So long, up to now.
    last: Option<Span>,
    /// Unix seconds.
    from: Option<f64>,
    to: Option<f64>,
}

impl GivenWindow {
    fn window(&self, settings: &Settings) -> Result<Window, Problem> {
        let now_ns = now_ns();
        let window = match (self.last, self.from, self.to) {
            (None, None, None) => Window::new(now_ns - settings.window().ns(), now_ns),
            (Some(last), None, None) => Window::new(now_ns - last.ns(), now_ns),
            (None, Some(from), Some(to)) => {
                let ns = |seconds: f64| (seconds * 1e9) as i64;
                Window::new(ns(from), ns(to))
            }
            _ => {
                let detail = "give `last`, e.g. \"15m\", or `from` and `to` in Unix seconds";
                return Err(Problem::invalid("invalid_window", detail));
            }
        };
        let window = window.map_err(|e| Problem::invalid("invalid_window", e.to_string()))?;
        const MOST_NS: i64 = 31 * 86_400 * SECOND_NS;
        if window.length_ns() > MOST_NS || window.from_ns() < 0 || window.to_ns() > now_ns + MOST_NS
        {
            let detail = "a window may have 31 days at most, must not begin before 1970, and must end within 31 days from now";
            return Err(Problem::invalid("invalid_window", detail));
        }
        Ok(window)
    }
}

async fn take_snapshot(
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenText {
    query: String,
}

/// Whether a query can be used, and if not, where it goes wrong.
async fn validate(body: Bytes) -> Answer {
    let given: GivenText = read(&body)?;
    Ok(match tracediff_core::query::Query::parse(&given.query) {
        Ok(query) => answered(&json!({ "valid": true, "canonical": query.to_string() })),
        Err(error) => answered(&json!({
            "valid": false,
            "error": error.to_string(),
            "rendered": error.render(&given.query),
        })),
    })
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct GivenPage {
    limit: Option<u32>,
    before: Option<String>,
    query_id: Option<String>,
    status: Option<String>,
}

type Paged = Result<UrlQuery<GivenPage>, QueryRejection>;

fn page(given: Paged) -> Result<Page, Problem> {
    let given = match given {
        Ok(UrlQuery(given)) => given,
        Err(error) => return Err(Problem::invalid("invalid_parameter", error.body_text())),
    };
    let limit = given.limit.unwrap_or(LISTED);
    if limit == 0 || limit > MOST_LISTED {
        let detail = format!("`limit` is {limit}, but must be from 1 to {MOST_LISTED}");
        return Err(Problem::invalid("invalid_parameter", detail));
    }
    Ok(Page {
        limit,
        before: given.before,
        query_id: given.query_id,
        status: given.status,
    })
}

async fn list_snapshots(State(snapshots): State<Snapshots>, given: Paged) -> Answer {
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

async fn found_snapshot(snapshots: &Snapshots, id: &str) -> Result<Snapshot, Problem> {
    let row = snapshots.catalog.snapshot(id).await?;
    row.ok_or_else(|| Problem::unknown("snapshot", id))
}

async fn snapshot(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    Ok(answered(&snapshot_json(
        &found_snapshot(&snapshots, &id).await?,
    )))
}

async fn delete_snapshot(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    let row = snapshots.catalog.delete_snapshot(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("snapshot", &id))?;
    if let Some(object) = &row.object {
        let forgotten = snapshots.store.forget(object).await;
        forgotten.map_err(SnapshotError::from)?;
    }
    Ok(answered(&json!({ "msg": snapshot_json(&row) })))
}

async fn pin(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    set_pinned(&snapshots, &id, true).await
}

async fn unpin(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    set_pinned(&snapshots, &id, false).await
}

async fn set_pinned(snapshots: &Snapshots, id: &str, is_pinned: bool) -> Answer {
    if !snapshots.catalog.set_pinned(id, is_pinned).await? {
        return Err(Problem::unknown("snapshot", id));
    }
    Ok(answered(&snapshot_json(
        &found_snapshot(snapshots, id).await?,
    )))
}

async fn cancel(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    let known = found_snapshot(&snapshots, &id).await?;
    if !snapshots.catalog.cancel_snapshot(&id).await? {
        let detail = format!("snapshot `{id}` is {} already", known.state.as_str());
        return Err(Problem::new(StatusCode::CONFLICT, "not_running", detail));
    }
    Ok(answered(&snapshot_json(
        &found_snapshot(&snapshots, &id).await?,
    )))
}

async fn diffs(State(snapshots): State<Snapshots>, given: Paged) -> Answer {
    let rows = snapshots.catalog.diffs(&page(given)?).await?;
    Ok(answered(&rows.iter().map(diff_json).collect()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenPair {
    /// Ids of snapshots.
    baseline: String,
    candidate: String,
}

async fn create_diff(State(snapshots): State<Snapshots>, body: Bytes) -> Answer {
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

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GivenForm {
    summary: Option<String>,
}

async fn diff(
    State(snapshots): State<Snapshots>,
    Path(id): Path<String>,
    form: Result<UrlQuery<GivenForm>, QueryRejection>,
) -> Answer {
    let form = form.map_err(|e| Problem::invalid("invalid_parameter", e.body_text()))?;
    let row = snapshots.catalog.diff(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("diff", &id))?;
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

async fn delete_diff(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    let row = snapshots.catalog.delete_diff(&id).await?;
    let row = row.ok_or_else(|| Problem::unknown("diff", &id))?;
    let forgotten = snapshots.store.forget(&row.object).await;
    forgotten.map_err(SnapshotError::from)?;
    Ok(answered(&json!({ "msg": diff_json(&row) })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GivenId {
    query_id: String,
}

/// What the newest diff of a query comes to, small enough for a gate.
async fn verdict(
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
        calculated_at: row.calculated_ns / SECOND_NS,
    };
    Ok(answered(&json!(verdict)))
}

/// A body of JSON.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::invalid("invalid_json", error.to_string()))
}

fn parsed(text: &str) -> Result<tracediff_core::query::Query, Problem> {
    tracediff_core::query::Query::parse(text)
        .map_err(|error| Problem::invalid("invalid_query", error.render(text)))
}

fn seconds(ns: i64) -> i64 {
    ns.div_euclid(SECOND_NS)
}

/// JSON that was kept as text.
fn kept(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn query_json(row: &Query) -> Value {
    let mut body = json!({
        "_id": row.id,
        "name": row.name,
        "query": row.query,
        "groupByKeys": row.group_by_keys,
        "createdAt": seconds(row.created_ns),
    });
    if let (Some(body), Value::Object(settings)) = (body.as_object_mut(), kept(&row.settings)) {
        body.extend(settings);
    }
    body
}

fn snapshot_json(row: &Snapshot) -> Value {
    json!({
        "_id": row.id,
        "snapshotId": row.id,
        "query": row.query,
        "createdAt": seconds(row.created_ns),
        "completeTime": row.completed_ns.map(seconds),
        "link": link("snapshots", &row.id),
        "queryId": row.query_id,
        "name": row.name,
        "groupByKeys": row.group_by_keys,
        "fromNs": row.from_ns.to_string(),
        "toNs": row.to_ns.to_string(),
        "status": row.state.as_str(),
        "reason": row.reason,
        "progress": row.progress,
        "origin": row.origin,
        "isPinned": row.is_pinned,
        "counts": kept(&row.summary),
    })
}

fn diff_json(row: &Diff) -> Value {
    let mut body = json!({
        "_id": row.id,
        "query": row.query,
        "linkA": link("snapshots", &row.baseline_id),
        "linkB": link("snapshots", &row.candidate_id),
        "calculatedAt": seconds(row.calculated_ns),
        "queryId": row.query_id,
        "name": row.name,
        "baselineId": row.baseline_id,
        "candidateId": row.candidate_id,
        "verdict": row.verdict,
        "sentence": row.sentence,
    });
    if let (Some(body), Value::Object(summary)) = (body.as_object_mut(), kept(&row.summary)) {
        body.extend(summary);
    }
    body
}

/// Where something of ours is.
fn link(kind: &str, id: &str) -> String {
    format!("/api/{kind}/{id}")
}
