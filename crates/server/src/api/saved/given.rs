//! What is sent about saved queries, checked.

use axum::body::Bytes;
use axum::extract::Query as UrlQuery;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tracediff_catalog::{Page, Query};
use tracediff_core::model::Window;
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use crate::snapshots::{Baseline, Settings, SnapshotError, Span, now_ns};

const SECOND_NS: i64 = 1_000_000_000;
/// How many a list has unless it is told, and at most.
const LISTED: u32 = 100;
const MOST_LISTED: u32 = 1_000;
/// The most keys of a query, and characters of its name.
const MOST_KEYS: usize = 50;
const MOST_NAME: usize = 200;

/// A saved query as it is sent: what it is called, what it finds, and its settings.
#[derive(Debug)]
pub(super) struct GivenQuery {
    name: String,
    query: String,
    group_by_keys: Vec<String>,
    settings: Settings,
}

/// A saved query as it is sent.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "it says what is read field by field, so that errors name the field"
)]
pub(in crate::api) struct QueryFields {
    /// Which spans are looked at; every trace with one of them counts, whole.
    query: String,
    /// What it is called; the query where it is left out.
    name: Option<String>,
    /// Keys beside service and operation, at most 50.
    group_by_keys: Option<Vec<String>>,
    /// From the end of one window to the end of the next, `10s` to `31d`.
    interval: Option<String>,
    /// The length of a window; the interval where it is left out.
    window: Option<String>,
    /// How long after its end a window is looked at.
    settle: Option<String>,
    baseline: Option<Baseline>,
    /// Whether snapshots are taken by the clock.
    scheduled: Option<bool>,
    /// What counts as a change.
    policy: Option<Map<String, Value>>,
}

impl GivenQuery {
    pub(super) fn read(body: &Bytes) -> Result<Self, Problem> {
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
            .map_err(|error| Problem::invalid("invalid_field", told(&error)))?;
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
    pub(super) fn into_row(self, id: String, created_ns: i64) -> Result<Query, Problem> {
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

/// What is wrong with the settings, which are not all the fields that there are.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("unknown field") {
        text + ", `name`, `query`, `groupByKeys`"
    } else {
        text
    }
}

/// Which window a snapshot is of: one of these three, or the newest that is over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct GivenWindow {
    /// So long, up to now, e.g. `15m`.
    #[schema(value_type = Option<String>)]
    last: Option<Span>,
    /// Unix seconds.
    from: Option<f64>,
    to: Option<f64>,
}

impl GivenWindow {
    pub(super) fn window(&self, settings: &Settings) -> Result<Window, Problem> {
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

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct GivenText {
    pub(super) query: String,
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct GivenPage {
    /// 1 to 1,000; 100 unless it is given.
    limit: Option<u32>,
    /// Only what is older than this id.
    before: Option<String>,
    query_id: Option<String>,
    /// Of snapshots: their status; of diffs: their verdict.
    status: Option<String>,
}

pub(in crate::api) type Paged = Result<UrlQuery<GivenPage>, QueryRejection>;

pub(in crate::api) fn page(given: Paged) -> Result<Page, Problem> {
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

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct GivenPair {
    /// Ids of snapshots.
    pub(super) baseline: String,
    pub(super) candidate: String,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct GivenForm {
    /// Anything but `0`: without the document.
    pub(super) summary: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct GivenId {
    pub(super) query_id: String,
}

/// A body of JSON.
pub(in crate::api) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::invalid("invalid_json", error.to_string()))
}

fn parsed(text: &str) -> Result<tracediff_core::query::Query, Problem> {
    tracediff_core::query::Query::parse(text)
        .map_err(|error| Problem::invalid("invalid_query", error.render(text)))
}
