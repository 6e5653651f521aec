//! What can be wrong with bytes that should be spans: where it is and what was expected there.

use thiserror::Error;

/// Where in the input something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Bytes from the start of the (decompressed) input.
    Byte(u64),
    /// Line and column of a text, both from 1.
    Line {
        /// The line.
        line: u64,
        /// The column, in bytes.
        column: u64,
    },
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Byte(offset) => write!(f, "byte {offset}"),
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
        }
    }
}

/// A request, line or document that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{position}: {problem}")]
pub struct DecodeError {
    /// Where it is.
    pub position: Position,
    /// What is wrong and what was expected, e.g. `traceId: expected 32 hex digits, found 5 characters`.
    pub problem: String,
}
