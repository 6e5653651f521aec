//! Aligned columns that fit a width: the one flexible column is cut, the others are as wide as their widest cell.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::harmless::harmless;

/// A cell: text and how it looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            style: Style::new(),
        }
    }

    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

const GAP: usize = 2;

fn widths(rows: &[Vec<Cell>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    (0..columns)
        .map(|column| {
            cells(column)
                .map(|cell| cell.text.width())
                .max()
                .unwrap_or(0)
        })
        .collect()
}

/// What the other columns leave of a line for column `flexible`.
pub(super) fn room(rows: &[Vec<Cell>], flexible: usize, width: usize) -> usize {
    let widths = widths(rows);
    let others = widths.iter().enumerate().filter(|(i, _)| *i != flexible);
    width.saturating_sub(others.map(|(_, width)| width + GAP).sum())
}

/// The rows as lines. Column `flexible` gives way where a line would be longer than `width`.
pub(super) fn lines(rows: &[Vec<Cell>], flexible: usize, width: usize) -> String {
    const LEAST: usize = 12;
    let room = room(rows, flexible, width).max(LEAST);
    let mut widths = widths(rows);
    if let Some(flexible) = widths.get_mut(flexible) {
        *flexible = (*flexible).min(room);
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        let mut pending = 0;
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&" ".repeat(pending));
            let text = cut(&cell.text, *width);
            pending = width - text.width() + GAP;
            if !text.is_empty() {
                line.push_str(&format!("{}{text}{:#}", cell.style, cell.style));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The text, with `…` for what does not fit.
pub(super) fn cut(text: &str, width: usize) -> String {
    let text = harmless(text);
    if text.width() <= width {
        return text;
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The text in lines of at most `width`, those after the first indented.
pub(super) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in harmless(text).split(' ') {
        let mut word = word;
        loop {
            let used = lines.last().map_or(0, |line| line.width());
            let is_empty = used == 0 || (lines.len() > 1 && used == indent);
            let gap = usize::from(!is_empty);
            if used + gap + word.width() <= width {
                lines
                    .last_mut()
                    .into_iter()
                    .for_each(|line| line.push_str(&" ".repeat(gap)));
                lines
                    .last_mut()
                    .into_iter()
                    .for_each(|line| line.push_str(word));
                break;
            }
            if is_empty {
                // Longer than a line: broken where the line ends.
                let (head, tail) = split_at_width(word, width.saturating_sub(used).max(1));
                lines
                    .last_mut()
                    .into_iter()
                    .for_each(|line| line.push_str(head));
                word = tail;
            }
            lines.push(" ".repeat(indent));
        }
    }
    lines.join("\n")
}

fn split_at_width(word: &str, width: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, c) in word.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width && at > 0 {
            return word.split_at(at);
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flexible_column_gives_way() {
        let row = |a: &str, b: &str| vec![Cell::plain(a), Cell::plain(b)];
        let rows = [
            row("a very long name of an operation", "12 ms"),
            row("short", "1 ms"),
        ];
        assert_eq!(
            lines(&rows, 0, 25),
            "a very long name …  12 ms\nshort               1 ms\n"
        );
        assert_eq!(
            lines(&rows, 0, 80),
            "a very long name of an operation  12 ms\nshort                             1 ms\n"
        );
    }

    #[test]
    fn wide_characters_count_twice_and_control_characters_are_shown() {
        assert_eq!(cut("配送サービス", 7), "配送サ…");
        assert_eq!(cut("a\u{1b}[31mb", 20), "a\u{fffd}[31mb");
    }

    #[test]
    fn long_text_wraps_with_an_indent() {
        assert_eq!(wrap("one two three four", 9, 2), "one two\n  three\n  four");
    }
}
