//! The API described for programs: OpenAPI, from the handlers' own annotations.

use serde_json::{Map, Value, json};
use tracediff_core::diff;
use utoipa::{OpenApi, ToSchema};

use super::{architecture, deployments, events, graphs, saved};

/// Where schemas are in the document.
const SCHEMAS: &str = "/components/schemas";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tracediff",
        description = "Saved queries, snapshots of the traces that they touch, and diffs of two snapshots."
    ),
    paths(
        super::trace,
        super::status,
        super::spans,
        super::count,
        super::services,
        super::operations,
        super::attributes,
        super::attribute_values,
        saved::queries::queries,
        saved::queries::create_query,
        saved::queries::query,
        saved::queries::update_query,
        saved::queries::delete_query,
        saved::snapshots::take_snapshot,
        saved::queries::validate,
        saved::snapshots::list_snapshots,
        saved::snapshots::snapshot,
        saved::snapshots::delete_snapshot,
        saved::snapshots::pin,
        saved::snapshots::unpin,
        saved::snapshots::cancel,
        saved::diffs::diffs,
        saved::diffs::create_diff,
        saved::diffs::diff,
        saved::diffs::delete_diff,
        saved::diffs::verdict,
        graphs::diagram,
        graphs::paths,
        graphs::traces,
        architecture::architecture,
        deployments::list,
        deployments::add,
        events::events,
    ),
    components(schemas(saved::DiffSummary, saved::SnapshotCounts, ShownProblem))
)]
struct Document;

/// What went wrong (RFC 9457).
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it says what a problem document has")]
struct ShownProblem {
    #[schema(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    /// Stable, for programs.
    code: String,
    /// What was wrong, where, and what to do.
    detail: String,
}

/// The place of a schema that core describes itself.
#[derive(Debug, ToSchema)]
pub(super) struct CallTreeDiff;

/// The whole document.
pub fn openapi() -> Value {
    let mut document = json!(Document::openapi());
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    for (name, schema) in [
        ("Diff", schemars::schema_for!(diff::Diff)),
        ("CallTreeDiff", schemars::schema_for!(diff::CallTreeDiff)),
    ] {
        take_in(&mut document, name, schema.to_value());
    }
    document["components"]["schemas"]["DiffSummary"]["properties"]["document"] = json!({
        "anyOf": [{ "$ref": "#/components/schemas/Diff" }, { "type": "null" }],
        "description": "The whole document: only of one diff that is asked for without `summary=1`; `null` where it is gone.",
    });
    document["components"]["securitySchemes"] = json!({
        "token": { "type": "http", "scheme": "bearer", "description": "Where the server asks for tokens." },
    });
    document["security"] = json!([{}, { "token": [] }]);
    if let Some(info) = document["info"].as_object_mut() {
        info.remove("license");
    }
    let problem = json!({
        "description": "What went wrong",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let operations = document["paths"].as_object_mut().into_iter();
    let operations = operations.flat_map(|paths| paths.values_mut());
    let operations = operations.filter_map(Value::as_object_mut);
    for operation in operations.flat_map(Map::values_mut) {
        operation["responses"]["default"] = problem.clone();
    }
    document
}

/// Puts a JSON Schema among the document's, with what it refers to.
fn take_in(document: &mut Value, name: &str, mut schema: Value) {
    let definitions = schema["$defs"].take();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$defs");
        schema.remove("$schema");
    }
    let mut all = vec![(name.to_owned(), schema)];
    if let Value::Object(definitions) = definitions {
        all.extend(definitions);
    }
    for (name, mut schema) in all {
        refer_here(&mut schema);
        if let Some(Value::Object(schemas)) = document.pointer_mut(SCHEMAS) {
            schemas.insert(name, schema);
        }
    }
}

fn refer_here(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(target) if name == "$ref" => {
                        *target = target.replace("#/$defs/", "#/components/schemas/");
                    }
                    other => refer_here(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(refer_here),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every path that a router has below `/api`.
    fn routed() -> BTreeSet<String> {
        let sources = [
            include_str!("../api.rs"),
            include_str!("saved.rs"),
            include_str!("graphs.rs"),
            include_str!("architecture.rs"),
            include_str!("deployments.rs"),
            include_str!("events.rs"),
        ];
        let mut found = BTreeSet::new();
        for source in sources {
            for after in source.split(".route(").skip(1) {
                let path = after.split('"').nth(1).unwrap();
                if path.starts_with("/api/") && path != "/api/openapi.json" {
                    found.insert(path.to_owned());
                }
            }
        }
        found
    }

    #[test]
    fn every_route_is_described() {
        let document = openapi();
        let described = document["paths"].as_object().unwrap().keys().cloned();
        assert_eq!(described.collect::<BTreeSet<_>>(), routed());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(document: &Value, of: &Value) {
            if let Some(target) = of["$ref"].as_str() {
                let place = target.strip_prefix('#').unwrap();
                assert!(document.pointer(place).is_some(), "{target}");
            }
            let children = of
                .as_object()
                .into_iter()
                .flat_map(|fields| fields.values());
            let items = of.as_array().into_iter().flatten();
            children
                .chain(items)
                .for_each(|child| check(document, child));
        }
        let document = openapi();
        check(&document, &document);
    }
}
