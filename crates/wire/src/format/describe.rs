//! What an input that is not understood looks like, for the person who gave it.

use super::{Compression, Unrecognized};

/// What is understood.
pub(crate) const EXPECTED: &str = "traces as OTLP (protobuf, JSON or JSON lines), Jaeger JSON, Zipkin v2 JSON or \
                                   Lightstep stored traces";

/// Says what bytes that are no JSON look like.
pub(crate) fn describe(prefix: &[u8]) -> Unrecognized {
    let found = match Compression::detect(prefix) {
        Some(Compression::Gzip) => "gzip-compressed data, which has to be decompressed".to_owned(),
        Some(Compression::Zstd) => "zstd-compressed data, which has to be decompressed".to_owned(),
        None if prefix.starts_with(b"PAR1") => "a Parquet file".to_owned(),
        None => match first_line(prefix) {
            Some(line) => describe_text(line),
            None => format!("bytes that are no trace request: {}", hex(prefix)),
        },
    };
    Unrecognized { found }
}

/// The first line that is not blank, where the bytes are text.
fn first_line(prefix: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(prefix) {
        Ok(text) => text,
        // The prefix may end inside a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&prefix[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || c.is_ascii_whitespace();
    let line = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .lines()
        .next()?;
    text.chars().all(is_text).then_some(line.trim_end())
}

fn describe_text(line: &str) -> String {
    let shown: String = line.chars().take(40).collect();
    let dots = if shown.len() < line.len() { "…" } else { "" };
    let kind = if line.starts_with('<') {
        "HTML or XML"
    } else if line.matches(',').count() >= 2 && !line.contains(['{', '"', ':']) {
        "what looks like CSV"
    } else {
        "text"
    };
    format!("{kind} that begins with `{shown}{dots}`")
}

fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    shown.join(" ")
}
