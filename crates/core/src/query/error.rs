//! What is wrong with a query's text, where, and what would be right there.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use super::{MAX_DEPTH, MAX_PATTERN_TEXT_BYTES, MAX_PATTERNS, MAX_QUERY_BYTES, MAX_VALUES};
use crate::model::IdError;

/// A text that is no query.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct QueryError {
    problem: Problem,
    span: Range<usize>,
    place: Place,
}

/// Line and column, both from 1, in characters. The line is told only where there is more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// The place of the byte `at`, which starts a character.
    pub(super) fn of(text: &str, at: usize) -> Self {
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}", self.column)
    }
}

/// What is wrong at the place of a [`QueryError`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum Problem {
    #[error("the query is empty; to match every span write `EXISTS service`")]
    Empty,
    #[error("the query has {length_bytes} bytes, and may have at most {MAX_QUERY_BYTES}")]
    TooLong { length_bytes: usize },
    #[error("parentheses and NOT nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("the query has more than {MAX_VALUES} values")]
    TooManyValues,
    #[error(
        "the query has more than {MAX_PATTERNS} regular expressions; join some of them with `|`"
    )]
    TooManyPatterns,
    #[error(
        "the query's regular expressions have more than {MAX_PATTERN_TEXT_BYTES} bytes together"
    )]
    TooLongPatterns,
    #[error("the text that starts here with `{quote}` has no closing quote{advice}")]
    UnterminatedQuote { quote: char, advice: &'static str },
    #[error("`{found}` cannot stand outside quotes{advice}")]
    Character { found: char, advice: &'static str },
    #[error("`{found}` is not an operator; use {instead}")]
    Symbol {
        found: &'static str,
        instead: &'static str,
    },
    #[error("expected {expected}, found {found}{advice}")]
    Unexpected {
        expected: String,
        found: String,
        advice: String,
    },
    #[error("a key cannot be empty")]
    EmptyKey,
    #[error("the list of values is empty; it needs at least one")]
    EmptyList,
    #[error("`{operator}` takes one value; for a list write `{list} (…)`")]
    ListAfterComparison {
        operator: &'static str,
        list: &'static str,
    },
    #[error("`{key}` has no order; use `=` or `!=`")]
    NoOrder { key: String },
    #[error("`{found}` is not a number, and `{operator}` compares numbers{advice}")]
    NotANumber {
        found: String,
        operator: &'static str,
        advice: &'static str,
    },
    #[error("`{found}` is not a duration; write a number and a unit, such as `250ms`")]
    NotADuration { found: String },
    #[error("`{found}` has no unit; write `{found}ms`, or another of ns, us, ms, s, m, h")]
    MissingUnit { found: String },
    #[error("`{found}` is not a unit of duration; use ns, us, ms, s, m or h")]
    UnknownUnit { found: String },
    #[error("`{found}` is negative, and no span lasts less than no time")]
    NegativeDuration { found: String },
    #[error("a duration has no part smaller than a nanosecond")]
    FineDuration,
    #[error("a duration of more than 584 years is too long")]
    LongDuration,
    #[error("`{found}` is not a value of `{key}`; it is {choices}")]
    NotAChoice {
        key: &'static str,
        found: String,
        choices: &'static str,
    },
    #[error("this is no id: {reason}")]
    Id { reason: IdError },
    #[error("the regular expression is not valid: {reason}")]
    Regex { reason: String },
}

/// Characters of a line that an error shows before and after its place.
const SHOWN_CHARS: usize = 60;

impl QueryError {
    pub(super) fn new(text: &str, span: Range<usize>, problem: Problem) -> Self {
        Self {
            place: Place::of(text, span.start),
            problem,
            span,
        }
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Where, in bytes of the query's text. Empty at the text's end.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The line where it starts, from 1.
    pub fn line(&self) -> usize {
        self.place.line
    }

    /// The character in its line where it starts, from 1.
    pub fn column(&self) -> usize {
        self.place.column
    }

    /// The line of the query with the place marked under it, and what is wrong. `text` is the text that was parsed.
    pub fn render(&self, text: &str) -> String {
        let line = text.split('\n').nth(self.place.line - 1).unwrap_or("");
        let from = self.place.column - 1;
        let marked = text.get(self.span.clone()).unwrap_or("");
        let marked = marked.split('\n').next().unwrap_or("").chars().count();
        let skipped = from.saturating_sub(SHOWN_CHARS);
        let ends = from + marked.min(SHOWN_CHARS) + SHOWN_CHARS;
        let shown: String = line
            .chars()
            .take(ends)
            .skip(skipped)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let (head, indent) = if skipped > 0 { ("…", 1) } else { ("", 0) };
        let tail = if line.chars().nth(ends).is_some() {
            "…"
        } else {
            ""
        };
        let shown = shown.trim_end();
        let carets = marked.clamp(1, SHOWN_CHARS);
        format!(
            "{head}{shown}{tail}\n{:indent$}{:^<carets$} {self}",
            "",
            "",
            indent = indent + from - skipped,
        )
    }
}
