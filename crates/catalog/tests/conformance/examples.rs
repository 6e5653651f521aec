//! One of each, with a value of its own in every field.

use tracediff_catalog::{Diff, DiffState, Query, Snapshot, State, new_id};

pub(crate) const SECOND: i64 = 1_000_000_000;
/// Some time in 2026.
pub(crate) const NOW: i64 = 1_767_607_200 * SECOND;

pub(crate) fn query() -> Query {
    Query {
        id: new_id(),
        name: "checkout".into(),
        query: "service = \"checkout\" AND duration > 10ms".into(),
        group_by_keys: vec!["service".into(), "http.route".into()],
        settings: r#"{"schedule":{"every":"10m"}}"#.into(),
        created_ns: NOW,
        updated_ns: NOW + 1,
        scheduled_to_ns: Some(NOW - 7),
    }
}

/// A pending snapshot of ten minutes, due at its end.
pub(crate) fn snapshot(query_id: Option<&str>, to_ns: i64) -> Snapshot {
    Snapshot {
        id: new_id(),
        query_id: query_id.map(str::to_owned),
        name: "checkout".into(),
        query: "service = \"checkout\"".into(),
        group_by_keys: vec!["service".into()],
        settings: r#"{"exemplars":3}"#.into(),
        from_ns: to_ns - 600 * SECOND,
        to_ns,
        due_ns: to_ns,
        state: State::Pending,
        reason: None,
        origin: "schedule".into(),
        is_pinned: false,
        created_ns: to_ns - 1,
        completed_ns: None,
        progress: 0.0,
        summary: "{}".into(),
        diff_state: DiffState::Due,
        object: None,
        attempts: 0,
    }
}

/// A snapshot that was collected right after its end.
pub(crate) fn ready(query_id: Option<&str>, to_ns: i64) -> Snapshot {
    let snapshot = snapshot(query_id, to_ns);
    Snapshot {
        state: State::Ready,
        completed_ns: Some(to_ns + 5),
        progress: 1.0,
        summary: r#"{"spans":3}"#.into(),
        object: Some(format!("snapshots/{}", snapshot.id)),
        attempts: 1,
        ..snapshot
    }
}

pub(crate) fn diff(query_id: Option<&str>, baseline_id: &str, candidate_id: &str) -> Diff {
    let id = new_id();
    Diff {
        query_id: query_id.map(str::to_owned),
        name: "checkout".into(),
        query: "service = \"checkout\"".into(),
        baseline_id: baseline_id.into(),
        candidate_id: candidate_id.into(),
        calculated_ns: NOW,
        verdict: "regressed".into(),
        sentence: "checkout got slower".into(),
        summary: r#"{"findings":2}"#.into(),
        object: format!("diffs/{id}"),
        id,
    }
}
