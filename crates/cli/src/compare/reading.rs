//! Reads sources into batches, with progress on a terminal, and notes what was odd on the way.

use std::io::{IsTerminal as _, Read as _};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tracediff_core::diff::{Warning, text};
use tracediff_core::model::{Oddities, SpanBatch, SpanBatchBuilder};
use tracediff_wire::{StreamDecoder, StreamOptions};

use super::input::{Place, Source};
use super::memory::bytes_text;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 1 << 18;
/// Problems of one side that are shown; all are counted.
const PROBLEMS_SHOWN: usize = 3;
/// Before 1990 there were no traces: such times are in another unit.
pub(crate) const EARLIEST_NS: i64 = 631_152_000_000_000_000;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Stop at the first damaged record.
    pub(crate) strict: bool,
    /// Longest line or document that is held in memory.
    pub(crate) max_document_bytes: u64,
    /// Where progress is shown.
    pub(crate) progress: &'a Progress,
}

/// What was odd in the input of a side.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) spans: u64,
    bad_records: u64,
    rejected_spans: u64,
    problems: Vec<String>,
    skipped_files: Vec<String>,
    oddities: Oddities,
    early_spans: u64,
}

impl Notes {
    /// The notes as warnings about `side`.
    pub(crate) fn warnings(&self, side: &str) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |code, message| warnings.push(Warning { code, message });
        let examples = || self.problems.join("; ");
        if self.bad_records > 0 {
            let records = text::counted(self.bad_records, "damaged record");
            warn(
                "damaged",
                format!("{records} of the {side} skipped: {}", examples()),
            );
        }
        if self.rejected_spans > 0 {
            let spans = text::counted(self.rejected_spans, "span");
            warn(
                "rejected",
                format!(
                    "{spans} of the {side} without a valid id skipped: {}",
                    examples()
                ),
            );
        }
        if !self.skipped_files.is_empty() {
            let files = text::counted(self.skipped_files.len() as u64, "file");
            warn(
                "skipped_files",
                format!(
                    "{files} in the {side}'s folder hold no traces: {}",
                    self.skipped_files.join("; ")
                ),
            );
        }
        if self.oddities.negative_durations > 0 {
            let spans = text::counted(self.oddities.negative_durations, "span");
            warn(
                "negative_durations",
                format!(
                    "{spans} of the {side} end before they start; their duration is taken as 0"
                ),
            );
        }
        if self.oddities.without_service > 0 {
            let spans = text::counted(self.oddities.without_service, "span");
            warn(
                "without_service",
                format!(
                    "{spans} of the {side} have no service.name; they are in `unknown_service`"
                ),
            );
        }
        if self.oddities.invalid_utf8 > 0 {
            let texts = text::counted(self.oddities.invalid_utf8, "text");
            warn(
                "invalid_utf8",
                format!("{texts} of the {side} are not UTF-8; bad bytes became U+FFFD"),
            );
        }
        if self.early_spans > 0 {
            let spans = text::counted(self.early_spans, "span");
            warn(
                "early_spans",
                format!("{spans} of the {side} begin before 1990; their traces are left out"),
            );
        }
        warnings
    }
}

/// Reads all sources and gives each batch to `take` as soon as it is full.
pub(crate) fn read(
    sources: &[Source],
    reading: Reading<'_>,
    take: &mut dyn FnMut(SpanBatch) -> anyhow::Result<()>,
) -> anyhow::Result<Notes> {
    let mut notes = Notes::default();
    for source in sources {
        read_source(source, reading, take, &mut notes)?;
    }
    Ok(notes)
}

fn read_source(
    source: &Source,
    reading: Reading<'_>,
    take: &mut dyn FnMut(SpanBatch) -> anyhow::Result<()>,
    notes: &mut Notes,
) -> anyhow::Result<()> {
    let name = source.name();
    let mut times = Times::default();
    let mut take = |batch: SpanBatch| {
        times.add(&batch);
        take(batch)
    };
    match decode(source, reading, &mut take) {
        Ok((summary, oddities)) => {
            notes.spans += summary.spans;
            notes.bad_records += summary.bad_records;
            notes.rejected_spans += summary.rejected_spans;
            notes.oddities.add(oddities);
            let room = PROBLEMS_SHOWN.saturating_sub(notes.problems.len());
            notes.problems.extend(
                summary
                    .problems
                    .iter()
                    .take(room)
                    .map(|p| format!("{name}: {p}")),
            );
        }
        Err(error) if source.is_from_folder && error.is::<NoTraces>() && !reading.strict => {
            notes.skipped_files.push(format!("{name} ({error})"));
        }
        Err(error) => return Err(error.context(name)),
    }
    notes.early_spans += times.check(&name)?;
    Ok(())
}

/// A file that holds something else.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct NoTraces(tracediff_wire::DecodeError);

fn decode(
    source: &Source,
    reading: Reading<'_>,
    take: &mut dyn FnMut(SpanBatch) -> anyhow::Result<()>,
) -> anyhow::Result<(tracediff_wire::StreamSummary, Oddities)> {
    if let Place::Store(stored) = &source.place
        && !stored.is_remote()
    {
        let summary = tracediff_wire::StreamSummary {
            spans: stored.read(take)?,
            ..Default::default()
        };
        return Ok((summary, Oddities::default()));
    }
    let mut bytes = source.open(|count| reading.progress.add(count))?;
    let mut decoder = StreamDecoder::new(StreamOptions {
        strict: reading.strict,
        max_record_bytes: reading.max_document_bytes as usize,
    });
    let mut builder = SpanBatchBuilder::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut decompressed: u64 = 0;
    loop {
        let count = bytes
            .read(&mut chunk)
            .map_err(|error| damaged(error, decompressed))?;
        if count == 0 {
            break;
        }
        decompressed += count as u64;
        if let Err(error) = decoder.push(&chunk[..count], &mut builder) {
            return Err(if decoder.is_record_too_long() {
                too_long(error.position, reading.max_document_bytes)
            } else {
                NoTraces(error).into()
            });
        }
        builder.take_sealed().into_iter().try_for_each(&mut *take)?;
    }
    let summary = decoder.finish(&mut builder).map_err(NoTraces)?;
    let oddities = builder.oddities();
    builder.finish().into_iter().try_for_each(&mut *take)?;
    Ok((summary, oddities))
}

/// Says that a record would take too much memory, and how it can be read all the same.
fn too_long(position: tracediff_wire::Position, max_bytes: u64) -> anyhow::Error {
    anyhow!(
        "{position}: what begins here is longer than {}, the most that one document or line may take; raise \
         --memory-limit, or write one request a line",
        bytes_text(max_bytes)
    )
}

/// Says what is wrong with compressed data.
fn damaged(error: std::io::Error, decompressed: u64) -> anyhow::Error {
    let after = format!("after {decompressed} decompressed bytes");
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => anyhow!(
            "the compressed data ends too early, {after}: the file is cut off; copy it again, or decompress what is \
             there and compare that"
        ),
        _ => anyhow::Error::new(error).context(format!("could not read on {after}")),
    }
}

/// The starts of a source's spans, to find times in the wrong unit.
#[derive(Debug, Default)]
struct Times {
    spans: u64,
    early: u64,
    latest_early_ns: i64,
}

impl Times {
    fn add(&mut self, batch: &SpanBatch) {
        self.spans += batch.len() as u64;
        for row in 0..batch.len() {
            let start_ns = batch.start_ns(row);
            if start_ns < EARLIEST_NS {
                self.early += 1;
                self.latest_early_ns = self.latest_early_ns.max(start_ns);
            }
        }
    }

    /// The spans that begin before 1990; an error where all do.
    fn check(&self, name: &str) -> anyhow::Result<u64> {
        if self.early < self.spans || self.spans == 0 {
            return Ok(self.early);
        }
        let start = self.latest_early_ns;
        let (unit, factor) = match start {
            0 => bail!("{name}: every span begins at 0; expected nanoseconds since 1970"),
            ..100_000_000_000 => ("seconds", "1,000,000,000"),
            100_000_000_000..100_000_000_000_000 => ("milliseconds", "1,000,000"),
            _ => ("microseconds", "1,000"),
        };
        Err(anyhow!(
            "{name}: spans begin at {start}, which looks like {unit} since 1970 where nanoseconds belong; multiply all \
             times by {factor}"
        ))
    }
}

/// Progress over stored bytes, on standard error when that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    bytes: AtomicU64,
}

impl Progress {
    pub(crate) fn new(sources: &[&[Source]]) -> Self {
        const WORTH_SHOWING: u64 = 16 << 20;
        let total: u64 = sources
            .iter()
            .flat_map(|s| s.iter())
            .map(Source::stored_bytes)
            .sum();
        let is_shown = total >= WORTH_SHOWING && std::io::stderr().is_terminal();
        let bar = is_shown.then(|| {
            let style = ProgressStyle::with_template(
                "reading {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
            );
            let bar = ProgressBar::new(total);
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        Self {
            bar,
            bytes: AtomicU64::new(0),
        }
    }

    fn add(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.bytes.fetch_add(count, Ordering::Relaxed) + count);
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
