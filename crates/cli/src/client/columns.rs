//! Tables of a server's answers.

use jiff::Timestamp;
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::harmless::harmless;

/// Rows under a heading, each column as wide as its widest cell; the last is not padded.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines: Vec<Vec<String>> = vec![heading.iter().map(|cell| (*cell).to_owned()).collect()];
    for row in rows {
        lines.push(row.iter().map(|cell| harmless(cell)).collect());
    }
    let widths: Vec<usize> = (0..heading.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].width())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let last = line.len() - 1;
        for (column, cell) in line.iter().enumerate() {
            text.push_str(cell);
            if column < last {
                text.extend(std::iter::repeat_n(' ', widths[column] - cell.width() + 2));
            }
        }
        let kept = text.trim_end_matches(' ').len();
        text.truncate(kept);
        text.push('\n');
    }
    text
}

/// A field that is a text, or nothing.
pub(super) fn text(of: &Value, field: &str) -> String {
    match &of[field] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A time in Unix seconds, in UTC.
pub(super) fn second(of: &Value, field: &str) -> String {
    let time = of[field]
        .as_i64()
        .and_then(|second| Timestamp::from_second(second).ok());
    time.map(shown).unwrap_or_default()
}

/// A window by its two ends in nanoseconds: `2026-01-05 10:00:00 +120 s`.
pub(super) fn window(of: &Value) -> String {
    let ns = |field: &str| of[field].as_str().and_then(|text| text.parse::<i64>().ok());
    let (Some(from_ns), Some(to_ns)) = (ns("fromNs"), ns("toNs")) else {
        return String::new();
    };
    let from = Timestamp::from_nanosecond(i128::from(from_ns)).map(shown);
    let length = tracediff_core::diff::text::duration((to_ns.saturating_sub(from_ns)) as f64);
    format!("{} +{length}", from.unwrap_or_default())
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A line for each name and value.
pub(super) fn fields(lines: &[(&str, String)]) -> String {
    let widest = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:widest$}  {}\n", harmless(value));
    lines.iter().map(line).collect()
}
