//! The service graph's diff for Graphviz.

use tracediff_core::diff::{Diff, GraphChange};

use super::graph_text::{self, Drawing};

/// The diff as a DOT document.
pub(super) fn write(diff: &Diff, names: &[String; 2]) -> String {
    let drawing = Drawing::new(diff);
    let mut out = format!(
        "digraph services {{\n  \
         graph [rankdir=LR, labelloc=t, fontname=\"sans-serif\", fontsize=12, nodesep=0.3, ranksep=0.9, label={}];\n  \
         node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=12, color=\"#6b7280\"];\n  \
         edge [fontname=\"sans-serif\", fontsize=10, color=\"#6b7280\"];\n",
        label(&graph_text::title(diff, names))
    );
    for (place, node) in drawing.nodes.iter().enumerate() {
        let shape = if node.is_dependency {
            ", shape=cylinder"
        } else {
            ""
        };
        out.push_str(&format!(
            "  n{place} [label={}{shape}{}];\n",
            label(&graph_text::node_label(node)),
            style(node.comparison.change, !node.is_dependency)
        ));
    }
    for (caller, callee, edge) in &drawing.edges {
        let arrow = if edge.is_async {
            ", arrowhead=empty"
        } else {
            ""
        };
        out.push_str(&format!(
            "  n{caller} -> n{callee} [label={}{arrow}{}];\n",
            label(&graph_text::edge_label(edge)),
            style(edge.comparison.change, false)
        ));
    }
    out.push_str("}\n");
    out
}

/// Colours that differ in lightness too. What did not change keeps the style that is set for all; a style that is set
/// must say again that services are rounded.
fn style(change: GraphChange, is_rounded: bool) -> String {
    let (color, width, line) = match change {
        GraphChange::Unchanged => return String::new(),
        GraphChange::New => ("#15803d", 2.5, "bold"),
        GraphChange::Gone => ("#b91c1c", 1.5, "dashed"),
        GraphChange::Changed => ("#c2410c", 2.0, "solid"),
        GraphChange::Inconclusive => ("#6b7280", 1.0, "dotted"),
    };
    let rounded = if is_rounded { "rounded," } else { "" };
    format!(
        ", color=\"{color}\", fontcolor=\"{color}\", penwidth={width}, style=\"{rounded}{line}\""
    )
}

/// Lines as one quoted string. In it Graphviz knows `\` escapes and the entities of HTML.
fn label(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| escape(line)).collect();
    format!("\"{}\"", lines.join("\\n"))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '&' => escaped.push_str("&amp;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Graphviz makes of a quoted string: the text, where it ends with the string.
    fn read_back(quoted: &str) -> Option<String> {
        let inside = quoted.strip_prefix('"')?;
        let (mut text, mut chars) = (String::new(), inside.chars());
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => match chars.next()? {
                    'n' => text.push('\n'),
                    c @ ('"' | '\\') => text.push(c),
                    _ => return None,
                },
                c => text.push(c),
            }
        }
        chars.next().is_none().then(|| text.replace("&amp;", "&"))
    }

    #[test]
    fn every_text_comes_back_as_it_was() {
        let nasty = [
            "a\"b",
            "a\\",
            "\\\"",
            "\\n\\N\\G",
            "&amp;#34;",
            "<b>[x](y){z|w}",
            "a;b -> c",
            "ünï→…",
            "\"];}\nx",
        ];
        for text in nasty {
            assert_eq!(read_back(&label(&[text.to_owned()])).as_deref(), Some(text));
        }
        // Every pair of characters that mean something somewhere.
        let special: Vec<char> = (' '..='~').chain(['ä', '→', '\u{fffd}']).collect();
        for a in &special {
            for b in &special {
                let text = format!("{a}{b}");
                let lines = [text.clone(), text.clone()];
                let expected = format!("{text}\n{text}");
                assert_eq!(read_back(&label(&lines)), Some(expected));
            }
        }
    }
}
