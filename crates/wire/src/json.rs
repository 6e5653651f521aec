//! What the JSON decoders and encoders share: errors with their place in the input, lenient scalars, and text.

pub(crate) mod any;
pub(crate) mod message;
pub(crate) mod scalar;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod text;

use serde::de::{Deserialize, DeserializeSeed};

use crate::error::{DecodeError, Position};

/// The text that is being decoded and where it stands in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'de> {
    bytes: &'de [u8],
    line_base: u64,
}

impl<'de> Source<'de> {
    /// `line_base` is the number of lines before `bytes`.
    pub(crate) fn new(bytes: &'de [u8], line_base: u64) -> Self {
        Self { bytes, line_base }
    }

    /// Where the text starts.
    pub(crate) fn start(&self) -> Position {
        Position::Line {
            line: self.line_base + 1,
            column: 1,
        }
    }

    /// Where `part`, a slice of this text, starts. A slice of anything else (a text that had escapes and so was
    /// copied) is said to be at the start.
    pub(crate) fn position_of(&self, part: &[u8]) -> Position {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize);
        let Some(before) = self.bytes.get(..offset) else {
            return self.start();
        };
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Position::Line {
            line: self.line_base + 1 + memchr::memchr_iter(b'\n', before).count() as u64,
            column: (offset - line_start + 1) as u64,
        }
    }

    /// Runs a seed over the text. Fast; an error tells nothing but that there is one.
    pub(crate) fn try_read<S: DeserializeSeed<'de>>(&self, seed: S) -> Option<S::Value> {
        let mut deserializer = serde_json::Deserializer::from_slice(self.bytes);
        let value = seed.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(value)
    }

    /// Runs a seed over `part`, a slice of this text. An error tells the path to the field and its position.
    pub(crate) fn read<S: DeserializeSeed<'de>>(
        &self,
        part: &'de [u8],
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        let mut deserializer = serde_json::Deserializer::from_slice(part);
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
        let value = seed.deserialize(tracked);
        let value = value.map_err(|error| {
            let path = track.path().to_string();
            self.error(part, &path, &error)
        })?;
        deserializer
            .end()
            .map_err(|error| self.error(part, ".", &error))?;
        Ok(value)
    }

    /// [`read`](Self::read) over all of the text.
    pub(crate) fn read_all<S: DeserializeSeed<'de>>(
        &self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        self.read(self.bytes, seed)
    }

    fn error(&self, part: &[u8], path: &str, error: &serde_json::Error) -> DecodeError {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&place).unwrap_or(&message);
        let message = match message.strip_prefix("EOF while parsing ") {
            Some(what) => format!("the text ends inside {what}"),
            None => message.to_owned(),
        };
        // A `?` at the end stands for a name that was not read.
        let path = path.trim_end_matches(['?', '.']);
        let problem = if path.is_empty() {
            message
        } else if let Some(rest) = message.strip_prefix(PATH_GOES_ON) {
            format!("{path}.{rest}")
        } else {
            format!("{path}: {message}")
        };
        DecodeError::malformed(
            self.position_in(part, error.line() as u64, error.column() as u64),
            problem,
        )
    }

    /// Turns serde_json's position inside `part` into one inside the file.
    fn position_in(&self, part: &[u8], line: u64, column: u64) -> Position {
        let (first_line, first_column) = match self.position_of(part) {
            Position::Line { line, column } => (line, column),
            Position::Byte(_) => (1, 1),
        };
        let before = if line <= 1 { first_column - 1 } else { 0 };
        Position::Line {
            line: first_line + line.max(1) - 1,
            column: before + column.max(1),
        }
    }
}

/// Marks a message that starts with the rest of a path.
const PATH_GOES_ON: &str = "\u{0}.";

/// The message of an error inside the field `name` that was read by itself, for the error of what is around it.
pub(crate) fn path_goes_on(name: &str, problem: &str) -> String {
    let separator = if problem.starts_with('[') { "" } else { ": " };
    format!("{PATH_GOES_ON}{name}{separator}{problem}")
}

/// A whole document as a value. Errors tell the path to the field and its position.
pub(crate) fn read_document<'de, T: Deserialize<'de>>(
    source: Source<'de>,
) -> Result<T, DecodeError> {
    let seed = std::marker::PhantomData::<T>;
    match source.try_read(seed) {
        Some(value) => Ok(value),
        None => source.read_all(seed),
    }
}

/// What is wrong with the text as JSON; `None` where it is sound.
pub(crate) fn syntax_error(source: Source<'_>) -> Option<DecodeError> {
    let seed = std::marker::PhantomData::<serde::de::IgnoredAny>;
    source.read_all(seed).err()
}

/// Whether the text is an array, as far as its first character tells.
pub(crate) fn is_array(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'[')
}

/// Commits what a document put into the builder.
pub(crate) fn commit(
    source: Source<'_>,
    builder: &mut tracediff_core::model::SpanBatchBuilder,
) -> Result<(), DecodeError> {
    let committed = builder.commit();
    committed.map_err(|error| DecodeError::too_large(source.start(), error))
}
