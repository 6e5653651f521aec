//! A file that spans are written to: OTLP, protobuf or JSON, plain or gzip, by its name.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use tracediff_core::model::SpanBatch;
use tracediff_wire::{encode_otlp_json, encode_otlp_protobuf_delimited};

/// The file, or standard output.
pub(crate) struct SpanFile {
    name: String,
    is_protobuf: bool,
    out: Out,
}

impl SpanFile {
    /// A new file; - is standard output. Protobuf for .pb and .binpb, else JSON, one request a line; gzip for .gz behind.
    pub(crate) fn create(name: &str) -> anyhow::Result<Self> {
        let plain = Path::new(name.strip_suffix(".gz").unwrap_or(name));
        Ok(Self {
            name: name.to_owned(),
            is_protobuf: plain.extension().is_some_and(|e| e == "pb" || e == "binpb"),
            out: open(name)?,
        })
    }

    /// Writes a batch as one request.
    pub(crate) fn write(&mut self, batch: &SpanBatch) -> anyhow::Result<()> {
        let bytes = if self.is_protobuf {
            encode_otlp_protobuf_delimited(batch)
        } else {
            let mut line = encode_otlp_json(batch);
            line.push('\n');
            line.into_bytes()
        };
        let written = self.out.write_all(&bytes);
        written.with_context(|| format!("could not write `{}`", self.name))
    }

    /// Writes what is left. Without it the file is cut off.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let finished = self.out.finish();
        finished.with_context(|| format!("could not write `{}`", self.name))
    }
}

/// Where the spans go.
enum Out {
    Plain(Box<dyn Write>),
    Gzip(Box<GzEncoder<Box<dyn Write>>>),
}

fn open(path: &str) -> anyhow::Result<Out> {
    let stored: Box<dyn Write> = if path == "-" {
        Box::new(BufWriter::new(io::stdout()))
    } else {
        Box::new(BufWriter::new(
            File::create(path).with_context(|| format!("could not create `{path}`"))?,
        ))
    };
    let is_gzip = path.ends_with(".gz");
    Ok(if is_gzip {
        Out::Gzip(Box::new(GzEncoder::new(stored, Compression::default())))
    } else {
        Out::Plain(stored)
    })
}

impl Out {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Gzip(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Gzip(out) => out.finish()?.flush(),
        }
    }
}
