//! How the records of an input follow each other, told from its beginning.

use super::scan::Scan;
use crate::format::{
    Compression, Detection, JsonStart, Unrecognized, describe, detect_format, json_start,
};
use crate::otlp_protobuf::{Framing, detect_protobuf_framing};

/// How records follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One JSON value on each line.
    Lines,
    /// JSON values over several lines, one behind the other; mostly there is one.
    Documents,
    /// Protobuf messages.
    Messages(Framing),
}

/// What the beginning of an input tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Layout(Layout),
    /// More bytes are needed; never at the end of an input.
    NeedMore,
    /// There is nothing but white space.
    Empty,
    Unknown(Unrecognized),
}

/// Bytes by which protobuf is told, and by which a second line tells that the first one is cut.
const ENOUGH_BYTES: usize = 4096;
/// Bytes within which the first line of a text has to end.
const LONGEST_TEXT_BYTES: usize = 1 << 20;

/// Chooses once it has seen enough. More bytes never change a choice, so that it does not depend on how the input
/// comes in chunks.
#[derive(Debug, Default)]
pub(super) struct Chooser {
    /// Where the JSON begins.
    start: Option<usize>,
    first: Option<FirstLine>,
    /// Bytes of the beginning that have no line feed behind the start.
    without_newline: usize,
}

/// What the first line is.
#[derive(Debug, Clone, Copy)]
enum FirstLine {
    /// A whole value, or more than one.
    Whole,
    /// The beginning of a value that goes on in the next line, as it is written for people to read.
    Begins,
    /// The beginning of a value that ends in its middle: the line may be broken, or the next one go on with it.
    Breaks,
}

impl FirstLine {
    fn of(line: &[u8]) -> Self {
        if Scan::default().value_end(line).is_some() {
            return Self::Whole;
        }
        match line.trim_ascii_end().last() {
            Some(b'{' | b'[' | b',' | b':') => Self::Begins,
            _ => Self::Breaks,
        }
    }
}

impl Chooser {
    /// What `beginning` tells; it is all of the input if `at_end`.
    pub(super) fn choose(&mut self, beginning: &[u8], at_end: bool) -> Choice {
        if Compression::detect(beginning).is_some() {
            return Choice::Unknown(describe(beginning));
        }
        let start = match self
            .start
            .map_or_else(|| json_start(beginning), JsonStart::At)
        {
            JsonStart::At(start) => start,
            JsonStart::No => return self.choose_other(beginning, at_end),
            JsonStart::NeedMore if beginning.len() > LONGEST_TEXT_BYTES => {
                return Choice::Unknown(describe(&beginning[..ENOUGH_BYTES]));
            }
            JsonStart::NeedMore if !at_end => return Choice::NeedMore,
            // A bracket and no more: cut off.
            JsonStart::NeedMore if beginning.iter().any(|b| b"{[".contains(b)) => 0,
            JsonStart::NeedMore => return Choice::Empty,
        };
        self.start = Some(start);
        let Some(newline) = self.newline(beginning, start) else {
            return match at_end {
                true => Choice::Layout(Layout::Lines),
                false => Choice::NeedMore,
            };
        };
        let line = &beginning[start..newline];
        match *self.first.get_or_insert_with(|| FirstLine::of(line)) {
            FirstLine::Whole => return Choice::Layout(Layout::Lines),
            FirstLine::Begins => return Choice::Layout(Layout::Documents),
            FirstLine::Breaks => {}
        }
        match is_record(&beginning[newline + 1..], at_end) {
            None => Choice::NeedMore,
            Some(true) => Choice::Layout(Layout::Lines),
            Some(false) => Choice::Layout(Layout::Documents),
        }
    }

    /// Protobuf; or text of which the second line is a record, so that the first is what is left of a cut one.
    fn choose_other(&mut self, beginning: &[u8], at_end: bool) -> Choice {
        if beginning.len() < ENOUGH_BYTES && !at_end {
            return Choice::NeedMore;
        }
        let prefix = &beginning[..beginning.len().min(ENOUGH_BYTES)];
        let whole_len = (beginning.len() <= ENOUGH_BYTES && at_end).then_some(prefix.len() as u64);
        if let Some(framing) = detect_protobuf_framing(prefix, whole_len) {
            return Choice::Layout(Layout::Messages(framing));
        }
        let unknown = || Choice::Unknown(describe(prefix));
        if prefix.iter().any(|b| *b < b' ' && !b.is_ascii_whitespace()) {
            return unknown();
        }
        match self.newline(beginning, 0) {
            Some(newline) if newline < LONGEST_TEXT_BYTES => {
                match is_record(&beginning[newline + 1..], at_end) {
                    None => Choice::NeedMore,
                    Some(true) => Choice::Layout(Layout::Lines),
                    Some(false) => unknown(),
                }
            }
            None if beginning.len() < LONGEST_TEXT_BYTES && !at_end => Choice::NeedMore,
            _ => unknown(),
        }
    }

    fn newline(&mut self, beginning: &[u8], start: usize) -> Option<usize> {
        let from = self.without_newline.max(start);
        match memchr::memchr(b'\n', &beginning[from..]) {
            Some(at) => Some(from + at),
            None => {
                self.without_newline = beginning.len();
                None
            }
        }
    }
}

/// Whether `rest` begins with a line that is an object in a format that can be decoded; `None` where more of it has
/// to be seen.
fn is_record(rest: &[u8], at_end: bool) -> Option<bool> {
    let rest = &rest[..rest.len().min(ENOUGH_BYTES)];
    let (line, is_all) = match memchr::memchr(b'\n', rest) {
        Some(newline) => (&rest[..newline], true),
        None => (rest, at_end || rest.len() == ENOUGH_BYTES),
    };
    if !line.is_empty() && !line.starts_with(b"{") {
        return Some(false);
    }
    match detect_format(line) {
        Detection::Known(_) => Some(true),
        Detection::NeedMore if !is_all => None,
        Detection::NeedMore | Detection::Unknown(_) => Some(false),
    }
}
