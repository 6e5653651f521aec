//! The diff for a pull-request comment: bounded, with the details folded away.

use tracediff_core::diff::{Diff, KeyDiff};
use tracediff_core::facts::KeyRole;

use super::evidence;
use super::rows::{self, Mark};
use crate::harmless::is_harmful;

/// Longest comment in bytes; code hosts cut or refuse longer ones.
const MAX_BYTES: usize = 60_000;
/// Longest value in a table.
const MAX_VALUE_CHARS: usize = 80;

/// The diff as Markdown.
pub(super) fn write(diff: &Diff, names: &[String; 2], top: usize) -> String {
    let mut out = format!("**{}**\n\n", escape(&diff.sentence));
    for (title, name, side) in [
        ("baseline", &names[0], &diff.quality.baseline),
        ("candidate", &names[1], &diff.quality.candidate),
    ] {
        out.push_str(&format!(
            "- {title} `{}`: {}\n",
            code(name),
            rows::side_text(side)
        ));
    }
    for warning in &diff.quality.warnings {
        out.push_str(&format!("- :warning: {}\n", escape(&warning.message)));
    }
    let mut parts = vec![
        culprits(diff, top),
        findings(diff, top),
        listed("How requests are made up", &evidence::structure(diff), top),
        listed("Service graph", &evidence::graph(diff), top),
    ];
    parts.extend(rows::shown_keys(diff).map(|key| key_table(key, top)));
    for part in parts {
        if out.len() + part.len() > MAX_BYTES {
            out.push_str("\nThe rest was left out to keep this comment short; `--format json` has all of it.\n");
            break;
        }
        out.push_str(&part);
    }
    out
}

fn culprits(diff: &Diff, top: usize) -> String {
    let Some(first) = diff.culprits.first() else {
        return String::new();
    };
    let mut out = String::from("\n**Where to start**\n\n");
    for (place, culprit) in diff.culprits.iter().take(top).enumerate() {
        out.push_str(&format!(
            "{}. {}\n",
            place + 1,
            escape(&rows::culprit_text(culprit))
        ));
        let lines = culprit.explanation.iter().flat_map(evidence::explanation);
        let lines = evidence::what_if(culprit).into_iter().chain(lines);
        out.extend(lines.map(|line| format!("   - {}\n", escape(&line))));
    }
    let rows = rows::ledger(first);
    if !rows.is_empty() {
        out.push_str(&format!(
            "\n| {} | per request | calls per request | per call |\n|---|---|---|---|\n",
            escape(&first.service)
        ));
    }
    for row in rows {
        out.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            code(&row.node),
            row.change,
            row.calls,
            row.per_call
        ));
    }
    let mean = rows::attribution_text(&diff.attribution);
    for text in std::iter::once(mean)
        .chain(evidence::tail(diff))
        .chain(evidence::failures(diff))
    {
        out.push_str(&format!("\n{}\n", escape(&text)));
    }
    out
}

/// A part of plain lines.
fn listed(title: &str, all: &[String], top: usize) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut out = format!("\n**{title}**\n\n");
    let lines = all.iter().take(top);
    out.extend(lines.map(|line| format!("- {}\n", escape(line))));
    if all.len() > top {
        out.push_str(&format!("\nand {} more.\n", all.len() - top));
    }
    out
}

fn findings(diff: &Diff, top: usize) -> String {
    let subjects = rows::subjects(diff);
    if subjects.is_empty() {
        return String::new();
    }
    let mut out = String::from("\n| | what | change | traces |\n|---|---|---|---|\n");
    for subject in subjects.iter().take(top) {
        let first = subject.findings[0];
        let traces: Vec<String> = rows::example_traces(diff, first)
            .into_iter()
            .flatten()
            .map(|id| format!("`{id}`"))
            .collect();
        let changes: Vec<String> = subject
            .findings
            .iter()
            .map(|f| escape(&format!("{} ({})", f.text, rows::sureness(f))))
            .collect();
        out.push_str(&format!(
            "| {} | {} `{}` | {} | {} |\n",
            Mark::of(first).sign(),
            if first.role == KeyRole::EntryPoint {
                "entry point".to_owned()
            } else {
                escape(&first.key)
            },
            code(&first.value),
            changes.join("<br>"),
            traces.join("<br>"),
        ));
    }
    if subjects.len() > top {
        out.push_str(&format!("\nand {} more.\n", subjects.len() - top));
    }
    out
}

fn key_table(key: &KeyDiff, top: usize) -> String {
    let all = rows::rows(key);
    let mut out = format!(
        "\n<details><summary>{} ({})</summary>\n\n| | value | traces | median | p95 | errors | |\n\
         |---|---|---|---|---|---|---|\n",
        escape(&rows::title(key)),
        all.len()
    );
    for row in all.iter().take(top) {
        out.push_str(&format!(
            "| {} | `{}` | {} | {} | {} | {} | {} |\n",
            row.mark.sign(),
            code(row.value),
            row.traces,
            row.median,
            row.p95,
            row.errors,
            row.verdict
        ));
    }
    if all.len() > top {
        out.push_str(&format!("\nand {} more.\n", all.len() - top));
    }
    out.push_str("\n</details>\n");
    out
}

/// Text between code marks inside a table: bounded, on one line, with nothing that ends the code or the cell.
fn code(value: &str) -> String {
    let clean = |c: char| if is_harmful(c) { ' ' } else { c };
    let mut text: String = value.chars().take(MAX_VALUE_CHARS).map(clean).collect();
    if value.chars().count() > MAX_VALUE_CHARS {
        text.push('…');
    }
    text.replace('`', "'").replace('|', "\\|")
}

/// Text in which nothing is Markdown or HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '#' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            c if is_harmful(c) => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
