//! Graphs and trees of snapshots and diffs: who calls whom, on which paths, and the traces that show it.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracediff_core::facts::{Exemplar, Facts, Group, KeyRole};
use tracediff_core::paths::GraphItem;
use utoipa::{IntoParams, ToSchema};

use super::answered;
use super::openapi::CallTreeDiff;
use super::problem::Problem;
use super::saved::{Parameters, found_diff, found_snapshot, parameters};
use crate::snapshots::{SnapshotError, Snapshots, document};

mod dot;

type Answer = Result<Response, Problem>;

pub(super) fn router<S: Clone + Send + Sync + 'static>(snapshots: Snapshots) -> Router<S> {
    Router::new()
        .route("/api/diagram", get(diagram))
        .route("/api/diffs/{id}/paths", get(paths))
        .route("/api/snapshots/{id}/traces", get(traces))
        .with_state(snapshots)
}

/// Whose service graph is wanted, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenDiagram {
    /// The id of a snapshot.
    snapshot: Option<String>,
    /// Or of a diff.
    diff: Option<String>,
    /// `json` unless it is given, or `dot` for Graphviz.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    format: Format,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Dot,
}

/// The service graph of a snapshot, or of a diff's two sides over each other.
#[utoipa::path(
    get, path = "/api/diagram", tag = "diffs",
    params(GivenDiagram),
    responses((status = 200, description = "`nodes` and `edges`; of a diff as in its document", body = Object)),
)]
pub(super) async fn diagram(
    State(snapshots): State<Snapshots>,
    given: Parameters<GivenDiagram>,
) -> Answer {
    let given = parameters(given)?;
    let graph = match (&given.snapshot, &given.diff) {
        (Some(id), None) => graph_of(&facts(&snapshots, id).await?),
        (None, Some(id)) => {
            let row = found_diff(&snapshots, id).await?;
            let document = document(&snapshots, &row).await?;
            let graph = document.map(|mut document| document["graph"].take());
            graph.filter(|graph| !graph.is_null()).ok_or_else(|| {
                let detail = format!("diff `{id}` has no service graph: its document is gone, or a side was taken without one");
                Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
            })?
        }
        _ => {
            let detail = "give `snapshot` or `diff`, with an id";
            return Err(Problem::invalid("invalid_parameter", detail));
        }
    };
    Ok(match given.format {
        Format::Json => answered(&graph),
        Format::Dot => {
            let content_type = [(CONTENT_TYPE, "text/vnd.graphviz; charset=utf-8")];
            (content_type, dot::dot(&graph)).into_response()
        }
    })
}

/// The facts of a snapshot that is ready.
async fn facts(snapshots: &Snapshots, id: &str) -> Result<Facts, Problem> {
    let row = found_snapshot(snapshots, id).await?;
    Ok(snapshots.facts_of(&row).await?)
}

/// A snapshot's service graph in the form of a diff's, with the one side that there is.
fn graph_of(facts: &Facts) -> Value {
    let of = |group: &Group| {
        let total = group.total();
        let mean_ns = (total.weight > 0.0).then(|| total.weighted_duration_ns / total.weight);
        json!({
            "calls": total.spans,
            "errors": total.errors,
            "traces": total.traces,
            "weighted_calls": total.weight,
            "mean_ns": mean_ns,
        })
    };
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    for (item, group) in facts.graph() {
        match item {
            GraphItem::Service(name) => {
                nodes.push(json!({ "name": name, "is_dependency": false, "snapshot": of(group) }));
            }
            GraphItem::Dependency(name) => {
                nodes.push(json!({ "name": name, "is_dependency": true, "snapshot": of(group) }));
            }
            GraphItem::Edge(edge) => edges.push(json!({
                "caller": edge.caller,
                "callee": edge.callee,
                "is_dependency": edge.is_dependency,
                "is_async": edge.is_async,
                "snapshot": of(group),
            })),
            GraphItem::Gap(_) => {}
        }
    }
    json!({ "nodes": nodes, "edges": edges })
}

/// The call trees of both sides of a diff, path by path.
#[utoipa::path(
    get, path = "/api/diffs/{id}/paths", tag = "diffs",
    params(("id" = String, Path, description = "of the diff")),
    responses((status = 200, description = "The paths", body = CallTreeDiff)),
)]
pub(super) async fn paths(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    let row = found_diff(&snapshots, &id).await?;
    let trees = snapshots.call_trees(&row).await?.ok_or_else(|| {
        let detail = format!("a snapshot of diff `{id}` is gone, and its call tree with it");
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    })?;
    let body = serde_json::to_value(trees).map_err(SnapshotError::Document)?;
    Ok(answered(&body))
}

/// The traces that a snapshot keeps the ids of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShownTraces {
    traces: Vec<ShownTrace>,
}

/// A trace that shows something.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownTrace {
    trace_id: String,
    /// The longest span of what it is an example of.
    longest_span_ns: String,
    example_of: Vec<ExampleOf>,
}

/// What a trace is an example of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExampleOf {
    key: String,
    value: String,
    /// `slowest`, `failed` or `typical`.
    why: &'static str,
}

/// A trace that a snapshot keeps the id of.
#[derive(Debug, Default)]
struct Shown {
    /// The longest span of a group that it is an example of.
    longest_ns: u64,
    /// Key, value, and why.
    of: BTreeSet<(String, String, &'static str)>,
}

/// The traces that a snapshot keeps the ids of, each with what it is an example of.
#[utoipa::path(
    get, path = "/api/snapshots/{id}/traces", tag = "snapshots",
    params(("id" = String, Path, description = "of the snapshot")),
    responses((status = 200, description = "The traces, longest first", body = ShownTraces)),
)]
pub(super) async fn traces(State(snapshots): State<Snapshots>, Path(id): Path<String>) -> Answer {
    let facts = facts(&snapshots, &id).await?;
    let mut found: BTreeMap<String, Shown> = BTreeMap::new();
    let keys = facts.keys().iter();
    for (key, of) in keys.filter(|(_, of)| of.role != KeyRole::Scanned) {
        for (value, group) in &of.groups {
            let mut note = |exemplars: &[Exemplar], why: &'static str| {
                for exemplar in exemplars {
                    let known = found.entry(exemplar.trace_id.to_string()).or_default();
                    known.longest_ns = known.longest_ns.max(exemplar.duration_ns);
                    known.of.insert((key.clone(), value.clone(), why));
                }
            };
            let total = group.total();
            note(group.exemplars.slowest(), "slowest");
            note(group.exemplars.failed(), "failed");
            let mean_ns = total.weighted_duration_ns / total.weight.max(f64::MIN_POSITIVE);
            note(&group.exemplars.typical(mean_ns), "typical");
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by(|(a_id, a), (b_id, b)| b.longest_ns.cmp(&a.longest_ns).then(a_id.cmp(b_id)));
    let traces = found.into_iter().map(|(id, shown)| ShownTrace {
        trace_id: id,
        longest_span_ns: shown.longest_ns.to_string(),
        example_of: shown
            .of
            .into_iter()
            .map(|(key, value, why)| ExampleOf { key, value, why })
            .collect(),
    });
    let traces = traces.collect();
    Ok(answered(&json!(ShownTraces { traces })))
}
