//! Which of the JSON formats a text is in, told by the names in its first object.

use super::{Detection, Format, Unrecognized};

/// Where JSON begins in some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonStart {
    /// At this offset, behind a byte-order mark and white space.
    At(usize),
    /// The bytes are too few to tell.
    NeedMore,
    /// These bytes are no JSON object or array.
    No,
}

/// Finds where JSON begins. The first byte does not decide: a protobuf request begins with 0x0a, a line feed, and
/// lengths in it may look like brackets and quotes. But then a tag follows, a control character, which no JSON has
/// there.
pub(crate) fn json_start(bytes: &[u8]) -> JsonStart {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if bytes.len() < MARK.len() && MARK.starts_with(bytes) {
        return JsonStart::NeedMore;
    }
    let mut cursor = Cursor::new(bytes);
    if bytes.starts_with(MARK) {
        cursor.at = MARK.len();
    }
    let Some(bracket) = cursor.peek() else {
        return JsonStart::NeedMore;
    };
    let start = cursor.at;
    cursor.at += 1;
    let followers: &[u8] = match bracket {
        b'{' => b"\"}",
        b'[' => b"{[]\"",
        _ => return JsonStart::No,
    };
    match cursor.peek() {
        None => JsonStart::NeedMore,
        Some(b'"') => match bytes.get(cursor.at + 1) {
            None => JsonStart::NeedMore,
            Some(control) if *control < b' ' => JsonStart::No,
            Some(_) => JsonStart::At(start),
        },
        Some(next) if followers.contains(&next) => JsonStart::At(start),
        Some(_) => JsonStart::No,
    }
}

/// What an object's names say.
enum Names {
    Format(Format),
    Unknown(String),
    NeedMore,
}

/// Where an object stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Array,
    Data,
}

/// Tells the format of a JSON text; `json` begins with its first bracket.
pub(super) fn detect_json(json: &[u8]) -> Detection {
    let mut cursor = Cursor::new(json);
    let names = match json.first() {
        Some(b'{') => cursor.object(Place::Document),
        _ => {
            cursor.at = 1;
            match cursor.peek() {
                None => Names::NeedMore,
                Some(b'{') => cursor.object(Place::Array),
                // An array of arrays of spans, as Zipkin answers to a search; an empty array is any format's.
                Some(b'[' | b']') => Names::Format(Format::Zipkin),
                Some(_) => Names::Unknown("a JSON array of something else".to_owned()),
            }
        }
    };
    match names {
        Names::Format(format) => Detection::Known(format),
        Names::NeedMore => Detection::NeedMore,
        Names::Unknown(found) => Detection::Unknown(Unrecognized { found }),
    }
}

/// Reads as much JSON as it takes to see names. `None` is the end of the bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte that is no white space, which the cursor then stands at.
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// The string that begins at the cursor, escapes and all.
    fn string(&mut self) -> Option<&'a [u8]> {
        let from = self.at + 1;
        let mut at = from;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.bytes.get(at..)?)?;
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Some(&self.bytes[from..at]);
            }
            at += 2;
        }
    }

    /// Passes over a value.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                b',' | b':' => return Some(()),
                _ => {
                    let rest = &self.bytes[self.at..];
                    let ends = |b: &u8| b.is_ascii_whitespace() || b",:]}".contains(b);
                    self.at += rest.iter().position(ends)?.max(1);
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Reads the names of the object at the cursor until they tell its format.
    fn object(&mut self, place: Place) -> Names {
        self.at += 1;
        let mut seen = Seen::default();
        loop {
            let key = match self.peek() {
                None => return Names::NeedMore,
                Some(b'"') => self.string(),
                Some(b',') => {
                    self.at += 1;
                    continue;
                }
                Some(b'}') => return seen.verdict(place),
                Some(_) => return Names::Unknown("JSON that is not well formed".to_owned()),
            };
            let Some(key) = key else {
                return Names::NeedMore;
            };
            if self.peek() != Some(b':') {
                return match self.peek() {
                    None => Names::NeedMore,
                    Some(_) => Names::Unknown("JSON that is not well formed".to_owned()),
                };
            }
            self.at += 1;
            let Some(value) = self.peek() else {
                return Names::NeedMore;
            };
            if let Some(names) = self.name(place, key, value, &mut seen) {
                return names;
            }
            if self.skip_value().is_none() {
                return Names::NeedMore;
            }
        }
    }

    /// What a name and the first byte of its value tell; `None` where others have to.
    fn name(&mut self, place: Place, key: &[u8], value: u8, seen: &mut Seen) -> Option<Names> {
        match key {
            b"resourceSpans" | b"resource_spans" | b"batches" if place == Place::Document => {
                Some(Names::Format(Format::OtlpJson))
            }
            b"trace" if place == Place::Document && value == b'{' => {
                Some(Names::Format(Format::OtlpJson))
            }
            b"resourceSpans" | b"resource_spans" => Some(Names::Unknown(
                "an array of OTLP requests, which should stand one on each line".to_owned(),
            )),
            b"resourceMetrics" | b"resource_metrics" => {
                Some(Names::Unknown("OTLP metrics".to_owned()))
            }
            b"resourceLogs" | b"resource_logs" => Some(Names::Unknown("OTLP logs".to_owned())),
            b"traceID" | b"processes" => Some(Names::Format(Format::Jaeger)),
            b"traceId" | b"localEndpoint" if place != Place::Data => {
                Some(Names::Format(Format::Zipkin))
            }
            b"relationships" => Some(Names::Format(Format::Lightstep)),
            b"attributes" if value == b'{' => Some(Names::Format(Format::Lightstep)),
            b"spans" => {
                seen.likely_jaeger = true;
                None
            }
            b"data" if place == Place::Document => self.data(value, seen),
            _ => {
                if seen.others.len() <= SHOWN {
                    seen.others.push(String::from_utf8_lossy(key).into_owned());
                }
                None
            }
        }
    }

    /// The value of `data`, which Jaeger and Lightstep share.
    fn data(&mut self, value: u8, seen: &mut Seen) -> Option<Names> {
        match value {
            b'{' => Some(self.object(Place::Data)),
            b'[' => {
                let open = self.at;
                self.at += 1;
                match self.peek() {
                    None => Some(Names::NeedMore),
                    Some(b'{') => Some(self.object(Place::Data)),
                    Some(b']') => {
                        self.at = open;
                        seen.likely_jaeger = true;
                        None
                    }
                    Some(_) => Some(Names::Unknown(
                        "a JSON object whose `data` has no traces".to_owned(),
                    )),
                }
            }
            _ => {
                seen.likely_jaeger = true;
                None
            }
        }
    }
}

/// Names that an error shows.
const SHOWN: usize = 5;

/// Names that do not decide by themselves.
#[derive(Default)]
struct Seen {
    /// `spans`, or `data` without anything in it: Jaeger's, unless another name decides.
    likely_jaeger: bool,
    others: Vec<String>,
}

impl Seen {
    /// What the object is, now that all its names are known.
    fn verdict(self, place: Place) -> Names {
        if self.likely_jaeger {
            return Names::Format(Format::Jaeger);
        }
        if self.others.is_empty() && place == Place::Document {
            // An empty request.
            return Names::Format(Format::OtlpJson);
        }
        let mut names: Vec<String> = self.others.iter().map(|name| format!("`{name}`")).collect();
        if names.len() > SHOWN {
            names.truncate(SHOWN);
            names.push("…".to_owned());
        }
        Names::Unknown(match names.as_slice() {
            [] => "a JSON object without any names".to_owned(),
            _ => format!("a JSON object with {}", names.join(", ")),
        })
    }
}
