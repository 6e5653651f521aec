//! What can be wrong with bytes that should be spans: where it is and what was expected there.

use thiserror::Error;
use tracediff_core::model::TooLarge;

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
    /// What kind of wrong it is.
    pub kind: ErrorKind,
}

/// What can be done about a [`DecodeError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing: these bytes can never be decoded.
    Malformed,
    /// It is more than the builder can hold: perhaps only together with what is in there already, else it must be sent in
    /// parts.
    TooLarge,
}

impl DecodeError {
    /// Something that is not as it should be.
    pub fn malformed(position: Position, problem: String) -> Self {
        Self {
            position,
            problem,
            kind: ErrorKind::Malformed,
        }
    }

    /// More than the builder can hold.
    pub(crate) fn too_large(position: Position, error: TooLarge) -> Self {
        Self {
            position,
            problem: error.to_string(),
            kind: ErrorKind::TooLarge,
        }
    }
}
