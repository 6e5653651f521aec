//! The service graph's diff for Mermaid, which code hosts draw inside Markdown.

use std::collections::BTreeMap;

use tracediff_core::diff::{Diff, GraphChange};

use super::graph_text::{self, Drawing};

/// The diff as a Mermaid flow chart.
pub(super) fn write(diff: &Diff, names: &[String; 2]) -> String {
    let drawing = Drawing::new(diff);
    let mut out = String::from("flowchart LR\n");
    for line in graph_text::title(diff, names) {
        // Comments end with their line; a brace would begin a directive.
        let line = line.replace(['{', '}'], "|");
        out.push_str(&format!("  %% {line}\n"));
    }
    for (place, node) in drawing.nodes.iter().enumerate() {
        let (open, close) = if node.is_dependency {
            ("[(", ")]")
        } else {
            ("[", "]")
        };
        out.push_str(&format!(
            "  n{place}{open}{}{close}\n",
            label(&graph_text::node_label(node))
        ));
    }
    for (caller, callee, edge) in &drawing.edges {
        let arrow = if edge.is_async { "-.->" } else { "-->" };
        out.push_str(&format!(
            "  n{caller} {arrow}|{}| n{callee}\n",
            label(&graph_text::edge_label(edge))
        ));
    }
    let nodes = drawing.nodes.iter().map(|node| node.comparison.change);
    for (change, places) in places(nodes) {
        let (name, style) = style(change);
        let places: Vec<String> = places.iter().map(|place| format!("n{place}")).collect();
        out.push_str(&format!("  classDef {name} {style}\n"));
        out.push_str(&format!("  class {} {name}\n", places.join(",")));
    }
    let edges = drawing
        .edges
        .iter()
        .map(|(_, _, edge)| edge.comparison.change);
    for (change, places) in places(edges) {
        let places: Vec<String> = places.iter().map(usize::to_string).collect();
        let (_, style) = style(change);
        out.push_str(&format!("  linkStyle {} {style}\n", places.join(",")));
    }
    out
}

/// The places of everything by what became of it; what did not change keeps the reader's own style.
fn places(changes: impl Iterator<Item = GraphChange>) -> BTreeMap<GraphChange, Vec<usize>> {
    let mut places: BTreeMap<GraphChange, Vec<usize>> = BTreeMap::new();
    for (place, change) in changes.enumerate() {
        if change != GraphChange::Unchanged {
            places.entry(change).or_default().push(place);
        }
    }
    places
}

/// A class's name and its style.
fn style(change: GraphChange) -> (&'static str, &'static str) {
    match change {
        GraphChange::New => ("new", "stroke:#15803d,stroke-width:3px"),
        GraphChange::Gone => ("gone", "stroke:#b91c1c,stroke-dasharray:6 4"),
        GraphChange::Changed => ("changed", "stroke:#c2410c,stroke-width:2px"),
        GraphChange::Unchanged => ("unchanged", "stroke:#6b7280"),
        GraphChange::Inconclusive => ("seldom", "stroke:#9ca3af,stroke-dasharray:2 4"),
    }
}

/// Lines as one quoted string.
fn label(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| escape(line)).collect();
    format!("\"{}\"", lines.join("<br/>"))
}

/// Text in which nothing is Mermaid, Markdown or HTML: all but letters, digits and a few signs by number. A colon means
/// something too, before the number of another sign.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() || " -_./,→…".contains(c) => escaped.push(c),
            c => escaped.push_str(&format!("#{};", u32::from(c))),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_written_by_number() {
        let check = |text: &str, expected: &str| {
            let lines = [text.to_owned(), "new".to_owned()];
            assert_eq!(label(&lines), format!("\"{expected}<br/>new\""));
        };
        check("cart-v2/load item", "cart-v2/load item");
        check("a\"b", "a#34;b");
        check("[x](y)", "#91;x#93;#40;y#41;");
        check("<b>&amp;", "#60;b#62;#38;amp#59;");
        check("#35;", "#35;35#59;");
        check("%%{init}%%", "#37;#37;#123;init#125;#37;#37;");
        check("`**x**`", "#96;#42;#42;x#42;#42;#96;");
        check("style redis:6379", "style redis#58;6379");
        check("größe→日本", "größe→日本");
    }
}
