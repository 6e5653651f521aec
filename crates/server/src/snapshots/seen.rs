//! What a snapshot saw of the architecture: services, endpoints and edges, with the window as first and last time.

use serde_json::json;
use tracediff_catalog::{Seen, Snapshot};
use tracediff_core::facts::{ENDPOINT, Facts};
use tracediff_core::paths::GraphItem;

/// What is in the facts of a snapshot.
pub(super) fn seen(snapshot: &Snapshot, facts: &Facts) -> Vec<Seen> {
    let of = |kind: &str, name: String, details: serde_json::Value| Seen {
        kind: kind.to_owned(),
        name,
        details: details.to_string(),
        first_ns: snapshot.from_ns,
        last_ns: snapshot.to_ns,
    };
    let graph = facts.graph().keys().filter_map(|item| match item {
        GraphItem::Service(name) => Some(of("service", name.clone(), json!({}))),
        GraphItem::Dependency(name) => Some(of("dependency", name.clone(), json!({}))),
        GraphItem::Edge(edge) => {
            let details = json!({
                "caller": edge.caller,
                "callee": edge.callee,
                "isDependency": edge.is_dependency,
                "isAsync": edge.is_async,
            });
            let arrow = if edge.is_async { "⇢" } else { "→" };
            let kind = if edge.is_dependency {
                "dependency "
            } else {
                ""
            };
            let name = format!("{} {arrow} {kind}{}", edge.caller, edge.callee);
            Some(of("edge", name, details))
        }
        GraphItem::Gap(_) => None,
    });
    let endpoints = facts.keys().get(ENDPOINT).into_iter();
    let endpoints = endpoints.flat_map(|key| key.groups.keys());
    let endpoints = endpoints.map(|name| of("endpoint", name.clone(), json!({})));
    graph.chain(endpoints).collect()
}
