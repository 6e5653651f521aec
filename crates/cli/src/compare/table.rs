//! The diff for a terminal: one sentence, the data's quality, what changed, then a table per key.

use anstyle::{AnsiColor, Style};
use tracediff_core::diff::{Culprit, Diff, KeyDiff, text};
use unicode_width::UnicodeWidthStr as _;

use super::columns::{Cell, cut, lines, room, wrap};
use super::evidence;
use super::rows::{self, Mark, Row};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const WARNING: Style = AnsiColor::Yellow.on_default();

/// Columns where output is not a terminal.
const DEFAULT_WIDTH: usize = 110;
/// The table never gets narrower or wider than this.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=160;

/// The width to write for.
pub(super) fn width(is_terminal: bool) -> usize {
    let terminal = terminal_size::terminal_size()
        .filter(|_| is_terminal)
        .map(|(width, _)| usize::from(width.0));
    terminal
        .unwrap_or(DEFAULT_WIDTH)
        .clamp(*WIDTHS.start(), *WIDTHS.end())
}

/// The diff as text, with styles that the stream strips where they are not wanted.
pub(super) fn write(diff: &Diff, names: &[String; 2], top: usize, width: usize) -> String {
    let mut out = format!("{BOLD}{}{BOLD:#}\n\n", wrap(&diff.sentence, width, 0));
    out.push_str(&header(diff, names, width));
    out.push_str(&culprits(diff, top, width));
    out.push_str(&findings(diff, top, width));
    for (title, lines) in [
        ("how requests are made up", evidence::structure(diff)),
        ("service graph", evidence::graph(diff)),
    ] {
        out.push_str(&listed(title, &lines, top, width));
    }
    for key in rows::shown_keys(diff) {
        out.push_str(&key_table(key, top, width));
    }
    out.push_str(&footer(diff, top, width));
    out
}

fn header(diff: &Diff, names: &[String; 2], width: usize) -> String {
    let quality = &diff.quality;
    let side = |title: &str, name: &str, side| {
        vec![
            Cell::styled(title, BOLD),
            Cell::plain(name),
            Cell::plain(rows::side_text(side)),
        ]
    };
    let sides = [
        side("baseline", &names[0], &quality.baseline),
        side("candidate", &names[1], &quality.candidate),
    ];
    let mut out = lines(&sides, 1, width);
    for warning in &quality.warnings {
        let text = wrap(&format!("! {}", warning.message), width, 2);
        out.push_str(&format!("{WARNING}{text}{WARNING:#}\n"));
    }
    out
}

fn section(title: &str) -> String {
    format!("\n{BOLD}{}{BOLD:#}\n", title.to_uppercase())
}

fn more(count: usize, what: &str) -> String {
    if count == 0 {
        return String::new();
    }
    format!(
        "{DIM}  and {} more {what} (--top N shows more){DIM:#}\n",
        text::count(count as u64)
    )
}

fn style(mark: Mark) -> Style {
    match mark {
        Mark::Worse => AnsiColor::Red.on_default(),
        Mark::Better => AnsiColor::Green.on_default(),
        Mark::New => AnsiColor::Yellow.on_default(),
        Mark::Missing => AnsiColor::Magenta.on_default(),
        Mark::Changed => AnsiColor::Cyan.on_default(),
        Mark::Same | Mark::Unclear => DIM,
    }
}

fn culprits(diff: &Diff, top: usize, width: usize) -> String {
    if diff.culprits.is_empty() {
        return String::new();
    }
    let mut out = section("where to start");
    for (place, culprit) in diff.culprits.iter().take(top).enumerate() {
        let text = format!("{}. {}", place + 1, rows::culprit_text(culprit));
        out.push_str(&format!("{}\n", wrap(&text, width, 3)));
        let lines = culprit.explanation.iter().flat_map(evidence::explanation);
        let lines = evidence::what_if(culprit).into_iter().chain(lines);
        out.extend(lines.map(|line| format!("   {}\n", wrap(&line, width.saturating_sub(3), 3))));
        if place == 0 {
            out.push_str(&ledger(culprit, width));
        }
    }
    out.push_str(&more(diff.culprits.len().saturating_sub(top), "of these"));
    let mean = rows::attribution_text(&diff.attribution);
    for text in std::iter::once(mean)
        .chain(evidence::tail(diff))
        .chain(evidence::failures(diff))
    {
        out.push_str(&format!("{DIM}{}{DIM:#}\n", wrap(&text, width, 3)));
    }
    out
}

/// A section of plain lines.
fn listed(title: &str, all: &[String], top: usize, width: usize) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut out = section(title);
    for line in all.iter().take(top) {
        out.push_str(&format!("~ {}\n", wrap(line, width.saturating_sub(2), 2)));
    }
    out.push_str(&more(all.len().saturating_sub(top), "of these"));
    out
}

fn ledger(culprit: &Culprit, width: usize) -> String {
    let entries = rows::ledger(culprit);
    if entries.is_empty() {
        return String::new();
    }
    let heads = ["", "per request", "calls per request", "per call"];
    let mut table = vec![heads.map(|text| Cell::styled(text, DIM)).to_vec()];
    table.extend(entries.iter().map(|entry| {
        let texts = [&entry.node, &entry.change, &entry.calls, &entry.per_call];
        texts.map(|text| Cell::plain(text.as_str())).to_vec()
    }));
    let indent = |line: &str| format!("   {line}\n");
    lines(&table, 0, width.saturating_sub(3))
        .lines()
        .map(indent)
        .collect()
}

fn findings(diff: &Diff, top: usize, width: usize) -> String {
    let subjects = rows::subjects(diff);
    if subjects.is_empty() {
        return String::new();
    }
    let mut out = section("what changed");
    for subject in subjects.iter().take(top) {
        let first = subject.findings[0];
        let head_style = style(Mark::of(first));
        let name = cut(&rows::subject_name(first), width.saturating_sub(4));
        out.push_str(&format!(
            "{head_style}{}{head_style:#} {BOLD}{name}{BOLD:#}\n",
            Mark::of(first).sign()
        ));
        for finding in &subject.findings {
            let style = style(Mark::of(finding));
            let text = wrap(
                &format!("{} ({})", finding.text, rows::sureness(finding)),
                width - 4,
                2,
            );
            out.push_str(&format!(
                "    {style}{}{style:#}\n",
                text.replace('\n', "\n    ")
            ));
        }
        let traces: Vec<String> = ["baseline", "candidate"]
            .into_iter()
            .zip(rows::example_traces(diff, first))
            .filter_map(|(side, id)| Some(format!("{side} {}", id?)))
            .collect();
        if !traces.is_empty() {
            out.push_str(&format!("    {DIM}e.g. {}{DIM:#}\n", traces.join(", ")));
        }
    }
    out.push_str(&more(subjects.len().saturating_sub(top), "of these"));
    out
}

fn key_table(key: &KeyDiff, top: usize, width: usize) -> String {
    let rows = rows::rows(key);
    let shown = &rows[..rows.len().min(top)];
    let has_p95 = shown.iter().any(|row| row.p95 != rows::NOT_ENOUGH);
    // What can be done without goes first where names would be cut.
    let choices = [
        (true, has_p95),
        (false, has_p95),
        (true, false),
        (false, false),
    ];
    let tables = choices.map(|(traces, p95)| table(shown, traces, p95));
    let longest = shown.iter().map(|row| row.value.width()).max().unwrap_or(0);
    const ENOUGH: usize = 32;
    let fits = |table: &&Vec<Vec<Cell>>| room(table, 1, width) >= longest.min(ENOUGH);
    let mut out = section(&rows::title(key));
    if let Some(table) = tables.iter().find(fits).or(tables.last()) {
        out.push_str(&lines(table, 1, width));
    }
    out.push_str(&more(rows.len().saturating_sub(top), "rows"));
    out
}

fn table(rows: &[Row<'_>], with_traces: bool, with_p95: bool) -> Vec<Vec<Cell>> {
    let cells = |mark: Cell, value: Cell, texts: [Cell; 5]| {
        let [traces, median, p95, errors, verdict] = texts;
        let mut cells = vec![mark, value];
        cells.extend(Some(traces).filter(|_| with_traces));
        cells.push(median);
        cells.extend(Some(p95).filter(|_| with_p95));
        cells.extend([errors, verdict]);
        cells
    };
    let heads = ["traces", "median", "p95", "errors", ""].map(|text| Cell::styled(text, DIM));
    let head = cells(Cell::plain(" "), Cell::plain(""), heads);
    let row = |row: &Row<'_>| {
        let style = style(row.mark);
        let plain = |text: &str| Cell::plain(text);
        let texts = [
            plain(&row.traces),
            plain(&row.median),
            plain(&row.p95),
            plain(&row.errors),
            Cell::styled(row.verdict.as_str(), style),
        ];
        cells(
            Cell::styled(row.mark.sign(), style),
            plain(row.value),
            texts,
        )
    };
    std::iter::once(head).chain(rows.iter().map(row)).collect()
}

fn footer(diff: &Diff, top: usize, width: usize) -> String {
    let mut out = String::new();
    let weak = rows::weak_values(diff);
    if !weak.is_empty() {
        let mut text = format!(
            "On one side only, too few to count: {}",
            weak[..weak.len().min(top)].join(", ")
        );
        if weak.len() > top {
            text.push_str(&format!(
                " and {} more",
                text::count((weak.len() - top) as u64)
            ));
        }
        out.push_str(&format!("\n{DIM}{}{DIM:#}\n", wrap(&text, width, 0)));
    }
    if !diff.left_out.is_empty() {
        let keys: Vec<&str> = diff
            .left_out
            .iter()
            .take(top)
            .map(|key| key.key.as_str())
            .collect();
        let mut text = format!(
            "Not compared, as they look like identifiers: {}",
            keys.join(", ")
        );
        if diff.left_out.len() > top {
            text.push_str(&format!(
                " and {} more",
                text::count((diff.left_out.len() - top) as u64)
            ));
        }
        out.push_str(&format!("\n{DIM}{}{DIM:#}\n", wrap(&text, width, 0)));
    }
    out
}
