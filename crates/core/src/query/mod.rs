//! The query language: which spans a snapshot is about.
//!
//! Text becomes a [`Query`] (`lexer`, `parser`), a `Query` becomes text again (`printer`), and a [`Matcher`] tells
//! for every row of a [`SpanBatch`](crate::model::SpanBatch) whether it matches. `docs/query-language.md` describes
//! the language for its users. The text of a query is hostile input: it may be wrong, never make us panic, overflow
//! the stack, or work out of proportion to its length.

mod answers;
mod ast;
mod comparison;
mod error;
mod key;
mod lexer;
mod matcher;
mod number;
mod parser;
mod printer;

pub use ast::{Clause, Comparison, Expr, Literal, Order, Pattern, Query};
pub use error::{Problem, QueryError};
pub use key::{Key, SpanKind, SpanStatus};
pub use matcher::Matcher;
pub use number::Number;

/// The longest text of a query, in bytes.
pub const MAX_QUERY_BYTES: usize = 64 << 10;
/// How deep parentheses and NOT may nest.
pub const MAX_DEPTH: usize = 64;
/// Values in all lists of a query together.
pub const MAX_VALUES: usize = 10_000;
/// Regular expressions in a query.
pub const MAX_PATTERNS: usize = 100;
/// The text of all regular expressions of a query together, in bytes. Reading one comes before its compiled size is
/// known, and 60 KB of Unicode classes take seconds and hundreds of megabytes to read.
pub const MAX_PATTERN_TEXT_BYTES: usize = 8 << 10;
/// The memory that one compiled regular expression may take, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
