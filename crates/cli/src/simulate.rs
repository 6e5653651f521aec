//! `tracediff simulate`: writes the spans of the simulated shop to a file.

use std::process::ExitCode;

use anyhow::anyhow;
use jiff::Timestamp;
use tracediff_core::model::SpanBatchBuilder;
use tracediff_simulate::{Incident, IncidentKind, Scenario, Settings, Simulation, Topology};

use crate::args::SimulateArgs;
use crate::span_file::SpanFile;

/// Spans of one request.
const REQUEST_SPANS: usize = 512;

/// Runs the command.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let mut simulation = simulation(args)?;
    let mut out = SpanFile::create(&args.out)?;
    let mut builder = SpanBatchBuilder::new();
    let mut more = true;
    while more {
        more = simulation.write_next(&mut builder).is_some();
        if builder.rows() >= REQUEST_SPANS || !more {
            builder.commit()?;
            for batch in builder.finish() {
                out.write(&batch)?;
            }
        }
    }
    out.finish()?;
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
