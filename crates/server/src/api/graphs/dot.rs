//! A service graph in the language of Graphviz.

use std::fmt::Write as _;

use serde_json::Value;

/// The graph as `dot` reads it. New is drawn bold, gone dashed, changed in colour; edges say how often they are called.
pub(super) fn dot(graph: &Value) -> String {
    let mut text = String::from(
        "digraph services {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
    );
    for node in rows(graph, "nodes") {
        let name = node["name"].as_str().unwrap_or_default();
        let shape = match node["is_dependency"].as_bool() {
            Some(true) => ", shape=cylinder",
            _ => "",
        };
        let id = node_id(name, node);
        let _ = writeln!(
            text,
            "  {id} [label={}{shape}{}];",
            quoted(name),
            look(node)
        );
    }
    for edge in rows(graph, "edges") {
        let [caller, callee] =
            ["caller", "callee"].map(|end| edge[end].as_str().unwrap_or_default());
        let label = match calls(edge) {
            Some(calls) => format!(", label={}", quoted(&calls)),
            None => String::new(),
        };
        let arrow = match edge["is_async"].as_bool() {
            Some(true) => ", arrowhead=empty",
            _ => "",
        };
        let from = quoted(&format!("service {caller}"));
        let to = node_id(callee, edge);
        let _ = writeln!(
            text,
            "  {from} -> {to} [penwidth=1{label}{arrow}{}];",
            look(edge)
        );
    }
    text.push_str("}\n");
    text
}

fn rows<'a>(graph: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    graph[name].as_array().into_iter().flatten()
}

/// Services and dependencies of one name are different nodes.
fn node_id(name: &str, of: &Value) -> String {
    let kind = match of["is_dependency"].as_bool() {
        Some(true) => "dependency",
        _ => "service",
    };
    quoted(&format!("{kind} {name}"))
}

fn look(of: &Value) -> &'static str {
    match of["change"].as_str() {
        Some("new") => ", color=\"#1a7f37\", penwidth=3, xlabel=\"new\"",
        Some("gone") => ", color=\"#6e7781\", style=dashed, xlabel=\"gone\"",
        Some("changed") => ", color=\"#bc4c00\", penwidth=2, xlabel=\"changed\"",
        _ => "",
    }
}

/// Calls per trace of a diff's two sides, or calls of a snapshot.
fn calls(edge: &Value) -> Option<String> {
    if let Some(calls) = edge["snapshot"]["weighted_calls"].as_f64() {
        return Some(format!("{calls:.0}"));
    }
    let side = |name: &str| edge[name]["per_trace"].as_f64();
    let text = |calls: Option<f64>| calls.map_or("–".to_owned(), |calls| format!("{calls:.2}"));
    match [side("baseline"), side("candidate")] {
        [None, None] => None,
        [before, after] => Some(format!("{} → {} a trace", text(before), text(after))),
    }
}

/// A text in quotes.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace(['\n', '\r', '\0'], " "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_texts_whatever_is_in_them() {
        let graph = json!({
            "nodes": [
                { "name": "a\"]; b", "is_dependency": false, "change": "new" },
                { "name": "re\\dis\n", "is_dependency": true },
            ],
            "edges": [{
                "caller": "a\"]; b", "callee": "re\\dis\n", "is_dependency": true, "is_async": true, "change": "gone",
                "baseline": { "per_trace": 1.5 }, "candidate": null,
            }],
        });
        let lines: Vec<_> = dot(&graph).lines().skip(3).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                r##"  "service a\"]; b" [label="a\"]; b", color="#1a7f37", penwidth=3, xlabel="new"];"##,
                r#"  "dependency re\\dis " [label="re\\dis ", shape=cylinder];"#,
                r##"  "service a\"]; b" -> "dependency re\\dis " [penwidth=1, label="1.50 → – a trace", arrowhead=empty, color="#6e7781", style=dashed, xlabel="gone"];"##,
                "}",
            ]
        );
    }
}
