//! `tracediff spans`: counts spans of a store, or writes them to a file.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::SignedDuration;
use tracediff_core::diff::text;
use tracediff_core::model::Window;
use tracediff_core::query::Query;

use crate::args::{SpansArgs, SpansCommand};
use crate::compare::input::{Place, Source};
use crate::compare::reading::{Progress, Reading, read};
use crate::compare::window;
use crate::span_file::SpanFile;
use crate::stored::StoredTraces;

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
    let Selected {
        traces,
        window,
        query,
    } = Selected::of(args)?;
    let is_asked = query.is_some();
    let counts = traces.count(query, window)?;
    let all = text::counted(counts.spans, "span");
    let traces = text::counted(counts.traces, "trace");
    let matching = text::count(counts.matching);
    anstream::println!(
        "{}",
        match is_asked {
            false => format!("{all} in {traces}"),
            true => format!("{matching} of {all} match, in {traces}"),
        }
    );
    Ok(())
}

/// Writes all spans of the traces that have a matching one in the window.
fn export(args: &SpansArgs, out: &str) -> anyhow::Result<()> {
    let selected = Selected::of(args)?;
    let spans = selected.traces.touched(selected.window, selected.query)?;
    let mut file = SpanFile::create(out)?;
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
    read(&sources, reading, &mut |batch| file.write(&batch))?;
    file.finish()
}

/// Spans of a store.
struct Selected {
    traces: StoredTraces,
    window: Window,
    query: Option<Query>,
}

impl Selected {
    fn of(args: &SpansArgs) -> anyhow::Result<Self> {
        let query = args.query.as_ref().map(|text| {
            Query::parse(text).map_err(|e| anyhow!("--where cannot be used\n{}", e.render(text)))
        });
        let query = query.transpose()?;
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
            query,
        })
    }
}
