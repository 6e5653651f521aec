//! `tracediff simulate`: writes the spans of the simulated shop to a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tracediff_core::model::SpanBatchBuilder;
use tracediff_simulate::{Incident, IncidentKind, Scenario, Settings, Simulation, Topology};
use tracediff_wire::{encode_otlp_json, encode_otlp_protobuf_delimited};

use crate::args::SimulateArgs;

/// Spans of one request.
const REQUEST_SPANS: usize = 512;

/// Runs the command.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let mut simulation = simulation(args)?;
    let plain = args.out.strip_suffix(".gz").unwrap_or(&args.out);
    let is_protobuf = Path::new(plain)
        .extension()
        .is_some_and(|e| e == "pb" || e == "binpb");
    let mut out = open(&args.out)?;
    let mut builder = SpanBatchBuilder::new();
    let mut more = true;
    while more {
        more = simulation.write_next(&mut builder).is_some();
        if builder.rows() >= REQUEST_SPANS || !more {
            builder.commit()?;
            for batch in builder.finish() {
                let bytes = if is_protobuf {
                    encode_otlp_protobuf_delimited(&batch)
                } else {
                    let mut line = encode_otlp_json(&batch);
                    line.push('\n');
                    line.into_bytes()
                };
                out.write_all(&bytes)
                    .with_context(|| format!("could not write `{}`", args.out))?;
            }
        }
    }
    out.finish()
        .with_context(|| format!("could not write `{}`", args.out))?;
    Ok(ExitCode::SUCCESS)
}

/// The shop in one of its scenarios, or after an incident that is none.
fn simulation(args: &SimulateArgs) -> anyhow::Result<Simulation> {
    let mut settings = settings(args)?;
    if let Ok(scenario) = args.scenario.parse::<Scenario>() {
        settings.scenario = scenario;
        return Ok(Simulation::new(&settings)?);
    }
    let incident = Incident::in_shop(args.scenario.parse::<IncidentKind>()?);
    Ok(incident.candidate(&Topology::shop(), &settings)?)
}

fn settings(args: &SimulateArgs) -> anyhow::Result<Settings> {
    let start: Timestamp = args.start.parse().map_err(|_| {
        anyhow!(
            "--start `{}` is not a time; write one such as 2026-01-05T10:00:00Z",
            args.start
        )
    })?;
    let start_ns = u64::try_from(start.as_nanosecond())
        .map_err(|_| anyhow!("--start `{}` is before 1970 or too late", args.start))?;
    Ok(Settings {
        seed: args.seed,
        start_ns,
        minutes: args.minutes,
        rate_per_second: args.rate,
        sampling_probability: args.sampling,
        ..Settings::default()
    })
}

/// Where the spans go.
enum Out {
    Plain(Box<dyn Write>),
    Gzip(GzEncoder<Box<dyn Write>>),
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
        Out::Gzip(GzEncoder::new(stored, Compression::default()))
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
