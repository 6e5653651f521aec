//! How queries, snapshots and diffs are shown. The names of the system that this one replaces come first in each.

use serde::Serialize;
use serde_json::{Value, json};
use tracediff_catalog::{Diff, Query, Snapshot};
use utoipa::ToSchema;

use crate::snapshots::{Settings, SnapshotError, Snapshots};

const SECOND_NS: i64 = 1_000_000_000;

pub(in crate::api) fn seconds(ns: i64) -> i64 {
    ns.div_euclid(SECOND_NS)
}

/// JSON that was kept as text.
fn kept(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// The same, of which nothing is left where it is no object.
fn kept_object(text: &str) -> Object {
    serde_json::from_str(text).unwrap_or_default()
}

/// Puts what was kept as text beside what is shown anyway.
pub(in crate::api) fn add_kept(mut shown: Value, text: &str) -> Value {
    if let Some(shown) = shown.as_object_mut() {
        shown.extend(kept_object(text));
    }
    shown
}

/// A saved query: what is sent, with its id, and all settings that were left out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ShownQuery {
    #[serde(rename = "_id")]
    id: String,
    name: String,
    query: String,
    group_by_keys: Vec<String>,
    /// Unix seconds.
    created_at: i64,
    #[serde(flatten)]
    settings: Settings,
}

pub(super) fn query_json(row: &Query, snapshots: &Snapshots) -> Result<Value, SnapshotError> {
    Ok(json!(ShownQuery {
        id: row.id.clone(),
        name: row.name.clone(),
        query: row.query.clone(),
        group_by_keys: row.group_by_keys.clone(),
        created_at: seconds(row.created_ns),
        settings: snapshots.settings_of(&row.settings)?,
    }))
}

/// A snapshot, with the text of the query that it was taken with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ShownSnapshot {
    #[serde(rename = "_id")]
    id: String,
    snapshot_id: String,
    query: String,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds; `null` until it is over.
    complete_time: Option<i64>,
    /// Its path in the API.
    link: String,
    /// `null` once the query is removed.
    query_id: Option<String>,
    name: String,
    group_by_keys: Vec<String>,
    /// Where its window begins, in nanoseconds since 1970.
    from_ns: String,
    /// Where it ends.
    to_ns: String,
    /// `pending`, `collecting`, `ready`, `failed` or `cancelled`.
    status: &'static str,
    /// Why it failed.
    reason: Option<String>,
    /// 0 to 1.
    progress: f64,
    /// What it was taken for.
    origin: String,
    is_pinned: bool,
    /// Of a ready one: how many traces and spans there were, and what they are worth as data.
    #[schema(value_type = SnapshotCounts)]
    counts: Value,
}

/// What was in a snapshot's window. Empty until it is ready.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it says what `counts` has, which is kept as JSON")]
pub(in crate::api) struct SnapshotCounts {
    traces: Option<u64>,
    spans: Option<u64>,
    errors: Option<u64>,
    complete_traces: Option<u64>,
    orphan_spans: Option<u64>,
    duplicate_spans: Option<u64>,
}

pub(super) fn snapshot_json(row: &Snapshot) -> Value {
    json!(ShownSnapshot {
        id: row.id.clone(),
        snapshot_id: row.id.clone(),
        query: row.query.clone(),
        created_at: seconds(row.created_ns),
        complete_time: row.completed_ns.map(seconds),
        link: link("snapshots", &row.id),
        query_id: row.query_id.clone(),
        name: row.name.clone(),
        group_by_keys: row.group_by_keys.clone(),
        from_ns: row.from_ns.to_string(),
        to_ns: row.to_ns.to_string(),
        status: row.state.as_str(),
        reason: row.reason.clone(),
        progress: row.progress,
        origin: row.origin.clone(),
        is_pinned: row.is_pinned,
        counts: kept(&row.summary),
    })
}

/// A diff as lists show it; one that is asked for by its id has its document too.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ShownDiff {
    #[serde(rename = "_id")]
    id: String,
    query: String,
    /// The baseline's path in the API.
    link_a: String,
    /// The candidate's.
    link_b: String,
    /// Unix seconds.
    calculated_at: i64,
    query_id: Option<String>,
    name: String,
    baseline_id: String,
    candidate_id: String,
    /// `regressed`, `improved`, `changed`, `no_change_found` or `nothing_to_compare`.
    verdict: String,
    sentence: String,
    #[serde(flatten)]
    #[schema(value_type = DiffSummary)]
    summary: Object,
}

/// What lists show of a diff beside its verdict.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "it says what a summary has, which is kept as JSON"
)]
pub(in crate::api) struct DiffSummary {
    /// New, missing and changed values by key, candidate − baseline, latency in whole microseconds.
    diffs: Vec<Object>,
    /// Services to look at, first first.
    culprits: Vec<String>,
    /// The first findings in words.
    findings: Vec<String>,
    /// The whole document: only of one diff that is asked for without `summary=1`; `null` where it is gone.
    document: Option<Object>,
}

/// Any object.
type Object = serde_json::Map<String, Value>;

pub(super) fn diff_json(row: &Diff) -> Value {
    json!(ShownDiff {
        id: row.id.clone(),
        query: row.query.clone(),
        link_a: link("snapshots", &row.baseline_id),
        link_b: link("snapshots", &row.candidate_id),
        calculated_at: seconds(row.calculated_ns),
        query_id: row.query_id.clone(),
        name: row.name.clone(),
        baseline_id: row.baseline_id.clone(),
        candidate_id: row.candidate_id.clone(),
        verdict: row.verdict.clone(),
        sentence: row.sentence.clone(),
        summary: kept_object(&row.summary),
    })
}

/// Where something of ours is.
fn link(kind: &str, id: &str) -> String {
    format!("/api/{kind}/{id}")
}
