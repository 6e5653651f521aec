//! `tracediff spans`: counts spans of a store, or writes them to a file.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::SignedDuration;
use tracediff_core::diff::text;
use tracediff_core::model::{SpanBatch, TraceId, Window};
use tracediff_core::query::{Matcher, Query};

use crate::args::{SpansArgs, SpansCommand};
use crate::compare::input::{Place, Source};
use crate::compare::reading::{Progress, Reading, read};
use crate::compare::window;
use crate::span_file::SpanFile;
use crate::stored::{StoredSpans, StoredTraces};

/// Longest request that a server may send: more than any it sends.
const MAX_REQUEST_BYTES: u64 = 1 << 30;

/// Runs the command.
pub(crate) fn run(command: &SpansCommand) -> anyhow::Result<ExitCode> {
    match command {
        SpansCommand::Count(args) => count(args)?,
        SpansCommand::Export { args, out } => export(args, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn count(args: &SpansArgs) -> anyhow::Result<()> {
    let selected = Selected::of(args)?;
    let (mut spans, mut matching) = (0u64, 0u64);
    let mut traces: HashSet<TraceId> = HashSet::new();
    selected.each(&mut |batch, rows| {
        spans += batch.len() as u64;
        for row in (0..batch.len()).filter(|row| rows[*row]) {
            matching += 1;
            traces.insert(batch.trace_id(row));
        }
        Ok(())
    })?;
    let traces = text::counted(traces.len() as u64, "trace");
    let all = text::counted(spans, "span");
    anstream::println!(
        "{}",
        match &args.query {
            None => format!("{all} in {traces}"),
            Some(_) => format!("{} of {all} match, in {traces}", text::count(matching)),
        }
    );
    Ok(())
}

/// Writes all spans of the traces that have a matching one in the window.
fn export(args: &SpansArgs, out: &str) -> anyhow::Result<()> {
    let selected = Selected::of(args)?;
    let mut traces: HashSet<TraceId> = HashSet::new();
    selected.each(&mut |batch, rows| {
        traces.extend(
            (0..batch.len())
                .filter(|row| rows[*row])
                .map(|row| batch.trace_id(row)),
        );
        Ok(())
    })?;
    let mut file = SpanFile::create(out)?;
    let around = selected.traces.around(&[selected.window])?;
    for spans in around {
        each_batch(spans, &mut |batch| {
            let keep: Vec<bool> = (0..batch.len())
                .map(|row| traces.contains(&batch.trace_id(row)))
                .collect();
            if keep.contains(&true) {
                file.write(&batch.filter(&keep))?;
            }
            Ok(())
        })?;
    }
    file.finish()
}

/// Spans of a store in a window, and which of them match.
struct Selected {
    traces: StoredTraces,
    window: Window,
    matcher: Option<Matcher>,
}

impl Selected {
    fn of(args: &SpansArgs) -> anyhow::Result<Self> {
        let query = args.query.as_ref().map(|text| {
            Query::parse(text).map_err(|e| anyhow!("--where cannot be used\n{}", e.render(text)))
        });
        let matcher = query.transpose()?.map(|query| Matcher::new(&query));
        let traces = StoredTraces::open(&args.source)?;
        let extent = traces.extent_ns()?;
        let window = match (&args.window, &args.last) {
            (Some(text), _) => window::parse(text, extent)?,
            (None, Some(last)) => {
                let last: SignedDuration = last.parse().with_context(|| {
                    format!("--last `{last}` is not a duration; write one such as 15m")
                })?;
                let last_ns = i64::try_from(last.as_nanos())?;
                let end_ns = extent.1.saturating_add(1);
                Window::new(end_ns.saturating_sub(last_ns), end_ns)
                    .map_err(|_| anyhow!("--last must be more than nothing"))?
            }
            (None, None) => Window::new(extent.0, extent.1.saturating_add(1))?,
        };
        Ok(Self {
            traces,
            window,
            matcher,
        })
    }

    /// Hands out the spans that start in the window, and which of them match.
    fn each(
        &self,
        take: &mut dyn FnMut(&SpanBatch, &[bool]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        each_batch(self.traces.spans(self.window), &mut |batch| {
            let rows: Vec<bool> = match &self.matcher {
                Some(matcher) => matcher.matching_rows(&batch).iter().collect(),
                None => vec![true; batch.len()],
            };
            take(&batch, &rows)
        })
    }
}

fn each_batch(
    spans: StoredSpans,
    take: &mut dyn FnMut(SpanBatch) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let sources = [Source {
        place: Place::Store(spans),
        is_from_folder: false,
    }];
    let progress = Progress::new(&[&sources]);
    let reading = Reading {
        strict: true,
        max_document_bytes: MAX_REQUEST_BYTES,
        progress: &progress,
    };
    read(&sources, reading, take)?;
    Ok(())
}
