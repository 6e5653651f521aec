//! What is sent about saved queries, checked.

use axum::body::Bytes;
use axum::extract::Query as UrlQuery;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tracediff_catalog::{DiffState, Page, Query};
use tracediff_core::model::Window;
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use crate::snapshots::{Baseline, Defaults, PAIR, Settings, Snapshots, Span, Wanted, now_ns};

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
    settings: Map<String, Value>,
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
    /// When windows end, in place of the interval, e.g. `0 6 * * MON-FRI Europe/Berlin`.
    cron: Option<String>,
    /// The length of a window; the interval where it is left out.
    window: Option<String>,
    /// How long after its end a window is looked at.
    settle: Option<String>,
    baseline: Option<Baseline>,
    /// A baseline that ended longer than this before the window begins is not compared with.
    max_baseline_age: Option<String>,
    /// Whether snapshots are taken by the clock.
    scheduled: Option<bool>,
    /// What counts as a change; what is left out is as the server is configured.
    policy: Option<Map<String, Value>>,
}

impl GivenQuery {
    pub(super) fn read(body: &Bytes, defaults: &Defaults) -> Result<Self, Problem> {
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
        let settings = defaults.with(fields.clone());
        let settings = settings.map_err(|error| Problem::invalid("invalid_field", told(&error)))?;
        let checked = settings.check();
        checked.map_err(|error| Problem::invalid("invalid_field", error.to_string()))?;
        Ok(Self {
            name,
            query,
            group_by_keys: keys,
            settings: fields,
        })
    }

    /// The row that it becomes: with the settings that were given, so that the rest stays as the server has it.
    pub(super) fn into_row(self, id: String, created_ns: i64) -> Query {
        Query {
            id,
            name: self.name,
            query: self.query,
            group_by_keys: self.group_by_keys,
            settings: Value::Object(self.settings).to_string(),
            created_ns,
            updated_ns: now_ns(),
            scheduled_to_ns: None,
        }
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

pub(in crate::api) type Paged = Parameters<GivenPage>;

/// What stands behind the `?` of a request.
pub(in crate::api) type Parameters<T> = Result<UrlQuery<T>, QueryRejection>;

pub(in crate::api) fn parameters<T>(given: Parameters<T>) -> Result<T, Problem> {
    let given = given.map_err(|error| Problem::invalid("invalid_parameter", error.body_text()))?;
    Ok(given.0)
}

pub(in crate::api) fn page(given: Paged) -> Result<Page, Problem> {
    let given = parameters(given)?;
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
    pub(super) baseline: GivenSide,
    pub(super) candidate: GivenSide,
}

/// One side of a diff.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a side is the id of a snapshot, or an object with `queryId` or `query` and a window"
)]
pub(in crate::api) enum GivenSide {
    /// The id of a snapshot.
    Snapshot(String),
    /// A window that a snapshot is taken of.
    Window(GivenSideWindow),
}

/// A window of a query, saved or not.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct GivenSideWindow {
    /// A saved query …
    pub(super) query_id: Option<String>,
    /// … or the text of one.
    query: Option<String>,
    /// Keys beside service and operation.
    group_by_keys: Option<Vec<String>>,
    /// So long, up to now, e.g. `15m`.
    #[schema(value_type = Option<String>)]
    last: Option<Span>,
    /// Unix seconds.
    from: Option<f64>,
    to: Option<f64>,
}

impl GivenSideWindow {
    /// The snapshot that is wanted, of the saved query where one is named.
    pub(super) fn wanted(
        self,
        saved: Option<Query>,
        snapshots: &Snapshots,
    ) -> Result<(Wanted, Window), Problem> {
        let (query_id, name, query, keys, settings) = match (saved, self.query) {
            (Some(saved), None) => {
                let settings = snapshots.settings_of(&saved.settings)?;
                (
                    Some(saved.id),
                    saved.name,
                    saved.query,
                    saved.group_by_keys,
                    settings,
                )
            }
            (None, Some(query)) => {
                parsed(&query)?;
                let settings = snapshots.settings_of("{}")?;
                (None, query.clone(), query, Vec::new(), settings)
            }
            _ => {
                let detail = "a side needs `queryId` or `query`, and not both";
                return Err(Problem::invalid("invalid_field", detail));
            }
        };
        let group_by_keys = self.group_by_keys.unwrap_or(keys);
        if group_by_keys.len() > MOST_KEYS {
            let detail = format!("`groupByKeys` has more than {MOST_KEYS} keys");
            return Err(Problem::invalid("invalid_field", detail));
        }
        let given = GivenWindow {
            last: self.last,
            from: self.from,
            to: self.to,
        };
        let window = given.window(&settings)?;
        let wanted = Wanted {
            query_id,
            name,
            query,
            group_by_keys,
            settings,
            origin: PAIR.to_owned(),
            diff_state: DiffState::Due,
        };
        Ok((wanted, window))
    }
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
