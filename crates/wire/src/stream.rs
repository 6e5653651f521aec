//! Decoding an input that comes in chunks, without I/O: push the chunks, then finish.
//!
//! What has a record on each line, and protobuf with lengths, takes memory for the longest record only; a document
//! has to be held whole, and so has a protobuf message without a length.

mod layout;
mod scan;

use tracediff_core::model::SpanBatchBuilder;

use crate::decoded::Decoded;
use crate::error::{DecodeError, Position};
use crate::format::{Detection, EXPECTED, Format, detect_format};
use crate::jaeger::decode_jaeger;
use crate::json::{Source, syntax_error};
use crate::lightstep::decode_lightstep;
use crate::otlp_json::decode_otlp_json;
use crate::otlp_protobuf::{Framing, decode_otlp_protobuf, next_message};
use crate::zipkin::decode_zipkin;
use layout::{Choice, Chooser, Layout};
use scan::Scan;

/// How to decode a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// Whether the first record or span that is not valid ends it.
    pub strict: bool,
    /// Bytes that a line, document or message may have; a longer one ends the stream.
    pub max_record_bytes: usize,
}

impl Default for StreamOptions {
    /// Not strict, and records of up to 2 GiB.
    fn default() -> Self {
        Self {
            strict: false,
            max_record_bytes: 1 << 31,
        }
    }
}

/// What a stream held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamSummary {
    /// The format of the first record of which it could be told.
    pub format: Option<Format>,
    /// Lines, documents or messages that were decoded.
    pub requests: u64,
    /// Spans in them.
    pub spans: u64,
    /// Lines, documents or messages that were left out.
    pub bad_records: u64,
    /// Spans that were left out of decoded records because their ids are not valid.
    pub rejected_spans: u64,
    /// The first of what was wrong with any of these, at most ten.
    pub problems: Vec<DecodeError>,
}

/// Problems that a summary keeps.
const KEPT_PROBLEMS: usize = 10;

/// Decodes an input chunk by chunk. Each record is committed to the builder by itself, so that the caller can take
/// sealed batches between two pushes. After an error nothing more should be pushed.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    options: StreamOptions,
    summary: StreamSummary,
    state: State,
    /// Bytes of the record that is not complete yet.
    buffer: Vec<u8>,
    /// Lines before `buffer`.
    lines: u64,
    /// Bytes before `buffer`.
    offset: u64,
}

#[derive(Debug)]
enum State {
    Beginning(Chooser),
    Lines,
    Documents(Scan),
    Messages(Framing),
    /// What is left cannot be told apart, so it is passed over.
    Lost,
}

impl Default for State {
    fn default() -> Self {
        Self::Beginning(Chooser::default())
    }
}

impl StreamDecoder {
    /// A decoder at the beginning of an input.
    pub fn new(options: StreamOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Decodes what `chunk` completes. An input that is no traces is an error; so is any bad record if the decoder is
    /// strict.
    pub fn push(
        &mut self,
        chunk: &[u8],
        builder: &mut SpanBatchBuilder,
    ) -> Result<(), DecodeError> {
        match &mut self.state {
            State::Beginning(chooser) => {
                self.buffer.extend_from_slice(chunk);
                let choice = chooser.choose(&self.buffer, false);
                self.begin(choice, builder)
            }
            State::Lines => self.push_lines(chunk, builder),
            State::Documents(_) => self.push_documents(chunk, builder),
            State::Messages(framing) => {
                let framing = *framing;
                self.buffer.extend_from_slice(chunk);
                self.read_messages(framing, builder)
            }
            State::Lost => Ok(()),
        }?;
        if self.is_record_too_long() {
            let problem = format!(
                "a record of more than {} bytes",
                self.options.max_record_bytes
            );
            return Err(self.problem_here(problem));
        }
        Ok(())
    }

    /// Whether the record that is being read has more bytes than the options allow. Then that is what
    /// [`push`](Self::push) failed for, and not that the input is no traces.
    pub fn is_record_too_long(&self) -> bool {
        self.buffer.len() > self.options.max_record_bytes
    }

    /// Decodes what is left and sums up. An input without anything in it, and one of which not a single span could be
    /// read because all was bad, are errors.
    pub fn finish(mut self, builder: &mut SpanBatchBuilder) -> Result<StreamSummary, DecodeError> {
        if let State::Beginning(chooser) = &mut self.state {
            let choice = chooser.choose(&self.buffer, true);
            self.begin(choice, builder)?;
        }
        let rest = std::mem::take(&mut self.buffer);
        match self.state {
            State::Lines | State::Documents(_) => self.last_text(&rest, builder)?,
            State::Messages(framing) => self.last_message(&rest, framing, builder)?,
            State::Beginning(_) | State::Lost => {}
        }
        let left_out = self.summary.bad_records + self.summary.rejected_spans;
        match self.summary.problems.first() {
            Some(first) if self.summary.spans == 0 => Err(DecodeError {
                position: first.position,
                problem: match left_out {
                    0 | 1 => first.problem.clone(),
                    more => format!("{} (and {} more such)", first.problem, more - 1),
                },
                kind: first.kind,
            }),
            _ => Ok(self.summary),
        }
    }

    /// Goes on as the beginning tells.
    fn begin(&mut self, choice: Choice, builder: &mut SpanBatchBuilder) -> Result<(), DecodeError> {
        let layout = match choice {
            Choice::NeedMore => return Ok(()),
            Choice::Layout(layout) => layout,
            Choice::Empty => {
                return Err(self.problem_here(format!("the input is empty; expected {EXPECTED}")));
            }
            Choice::Unknown(unrecognized) => {
                return Err(self.problem_here(unrecognized.to_string()));
            }
        };
        let beginning = std::mem::take(&mut self.buffer);
        let text = beginning
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&beginning);
        match layout {
            Layout::Lines => {
                self.state = State::Lines;
                self.push_lines(text, builder)
            }
            Layout::Documents => {
                self.state = State::Documents(Scan::default());
                self.push_documents(text, builder)
            }
            Layout::Messages(framing) => {
                self.state = State::Messages(framing);
                self.buffer = beginning;
                self.read_messages(framing, builder)
            }
        }
    }

    fn push_lines(
        &mut self,
        mut chunk: &[u8],
        builder: &mut SpanBatchBuilder,
    ) -> Result<(), DecodeError> {
        while let Some(newline) = memchr::memchr(b'\n', chunk) {
            let line = &chunk[..newline];
            chunk = &chunk[newline + 1..];
            if self.buffer.is_empty() {
                self.read_text(line, builder)?;
            } else {
                self.buffer.extend_from_slice(line);
                let line = std::mem::take(&mut self.buffer);
                self.read_text(&line, builder)?;
                self.buffer = line;
                self.buffer.clear();
            }
            self.lines += 1;
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    fn push_documents(
        &mut self,
        mut chunk: &[u8],
        builder: &mut SpanBatchBuilder,
    ) -> Result<(), DecodeError> {
        while let State::Documents(scan) = &mut self.state
            && let Some(end) = scan.value_end(chunk)
        {
            let (last, rest) = chunk.split_at(end);
            chunk = rest;
            self.buffer.extend_from_slice(last);
            let document = std::mem::take(&mut self.buffer);
            self.read_text(&document, builder)?;
            self.lines += memchr::memchr_iter(b'\n', &document).count() as u64;
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// Decodes a line or document that is complete.
    fn read_text(
        &mut self,
        text: &[u8],
        builder: &mut SpanBatchBuilder,
    ) -> Result<(), DecodeError> {
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let result = self.decode_text(text, builder);
        self.record(result)
    }

    fn decode_text(
        &mut self,
        text: &[u8],
        builder: &mut SpanBatchBuilder,
    ) -> Result<Decoded, DecodeError> {
        let source = Source::new(text, self.lines);
        let unrecognized = match detect_format(text) {
            Detection::Known(Format::OtlpProtobuf(_)) | Detection::NeedMore => None,
            Detection::Unknown(unrecognized) => Some(unrecognized),
            Detection::Known(format) => {
                self.summary.format.get_or_insert(format);
                return match format {
                    Format::Jaeger => decode_jaeger(text, self.lines, builder),
                    Format::Zipkin => decode_zipkin(text, self.lines, builder),
                    Format::Lightstep => decode_lightstep(text, self.lines, builder),
                    Format::OtlpJson | Format::OtlpProtobuf(_) => {
                        decode_otlp_json(text, self.lines, builder)
                    }
                };
            }
        };
        Err(syntax_error(source).unwrap_or_else(|| {
            let problem =
                unrecognized.map_or_else(|| format!("expected {EXPECTED}"), |u| u.to_string());
            DecodeError::malformed(source.start(), problem)
        }))
    }

    /// Decodes what stands behind the last line feed or document.
    fn last_text(
        &mut self,
        rest: &[u8],
        builder: &mut SpanBatchBuilder,
    ) -> Result<(), DecodeError> {
        let mut scan = Scan::default();
        let is_cut = scan.value_end(rest).is_none() && scan.is_open();
        if rest.trim_ascii().is_empty() {
            return Ok(());
        }
        let result = self
            .decode_text(rest, builder)
            .map_err(|error| match is_cut {
                true => DecodeError {
                    problem: format!("{}: the input seems to be cut off", error.problem),
                    ..error
                },
                false => error,
            });
        self.record(result)
    }

    /// Decodes the messages that are complete.
    fn read_messages(
        &mut self,
        framing: Framing,
        builder: &mut SpanBatchBuilder,
    ) -> Result<(), DecodeError> {
        if framing == Framing::Single {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut read_bytes = 0;
        let result = loop {
            let rest = &buffer[read_bytes..];
            let offset = self.offset + read_bytes as u64;
            let frame = match next_message(rest, framing, offset) {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(error) => {
                    // Where the next message begins is not known any more.
                    self.state = State::Lost;
                    return self.record(Err(error));
                }
            };
            let end = frame.header_bytes.saturating_add(frame.message_bytes);
            let Some(message) = rest.get(frame.header_bytes..end) else {
                break Ok(());
            };
            let message_offset = offset + frame.header_bytes as u64;
            let result = self.decode_message(message, message_offset, framing, builder);
            read_bytes += end;
            if result.is_err() {
                break result;
            }
        };
        buffer.drain(..read_bytes);
        self.buffer = buffer;
        self.offset += read_bytes as u64;
        result
    }

    fn decode_message(
        &mut self,
        message: &[u8],
        offset: u64,
        framing: Framing,
        builder: &mut SpanBatchBuilder,
    ) -> Result<(), DecodeError> {
        let format = Format::OtlpProtobuf(framing);
        self.summary.format.get_or_insert(format);
        let result = decode_otlp_protobuf(message, offset, builder);
        self.record(result)
    }

    /// Decodes the only message, or says that the last one is not complete.
    fn last_message(
        &mut self,
        rest: &[u8],
        framing: Framing,
        builder: &mut SpanBatchBuilder,
    ) -> Result<(), DecodeError> {
        if framing == Framing::Single {
            return self.decode_message(rest, 0, framing, builder);
        }
        if rest.is_empty() {
            return Ok(());
        }
        let problem = match next_message(rest, framing, self.offset)? {
            Some(frame) => format!(
                "expected a message of {} bytes, found {}: the input seems to be cut off",
                frame.message_bytes,
                rest.len() - frame.header_bytes
            ),
            None => "expected the length of a message: the input seems to be cut off".to_owned(),
        };
        let error = self.problem_here(problem);
        self.record(Err(error))
    }

    /// Counts what a record held or why it was left out; an error only if the decoder is strict.
    fn record(&mut self, result: Result<Decoded, DecodeError>) -> Result<(), DecodeError> {
        let problem = match result {
            Ok(decoded) => {
                self.summary.requests += 1;
                self.summary.spans += decoded.spans;
                self.summary.rejected_spans += decoded.rejected;
                decoded.first_rejection
            }
            Err(error) => {
                self.summary.bad_records += 1;
                Some(error)
            }
        };
        match problem {
            Some(problem) if self.options.strict => Err(problem),
            Some(problem) => {
                if self.summary.problems.len() < KEPT_PROBLEMS {
                    self.summary.problems.push(problem);
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A problem of the record that is in the buffer.
    fn problem_here(&self, problem: String) -> DecodeError {
        let position = match self.state {
            State::Messages(_) | State::Lost => Position::Byte(self.offset),
            _ => Source::new(&[], self.lines).start(),
        };
        DecodeError::malformed(position, problem)
    }
}

#[cfg(test)]
mod tests;
