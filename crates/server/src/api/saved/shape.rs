//! How queries, snapshots and diffs are shown. The names of the system that this one replaces come first in each.

use serde_json::{Value, json};
use tracediff_catalog::{Diff, Query, Snapshot};

const SECOND_NS: i64 = 1_000_000_000;

pub(in crate::api) fn seconds(ns: i64) -> i64 {
    ns.div_euclid(SECOND_NS)
}

/// JSON that was kept as text.
fn kept(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

pub(super) fn query_json(row: &Query) -> Value {
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

pub(super) fn snapshot_json(row: &Snapshot) -> Value {
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

pub(super) fn diff_json(row: &Diff) -> Value {
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
