//! A simulation: requests one after the other, each from a stream of its own.

use thiserror::Error;
use tracediff_core::model::{SpanBatch, SpanBatchBuilder, TooLarge, TraceId};

use crate::emit::Emitter;
use crate::load::{Arrivals, LoadSeries, stream};
use crate::plan::{Plan, TopologyError};
use crate::random::Streams;
use crate::request::{Record, Request, trace_id};
use crate::settings::{Settings, SettingsError};
use crate::topology::Topology;

/// Why there is nothing to simulate.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SimulateError {
    /// A setting outside its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A topology that makes no sense.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// One request of more spans than a batch can hold.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// All spans of a window of the shop.
pub fn simulate(settings: &Settings) -> Result<Vec<SpanBatch>, SimulateError> {
    Simulation::new(settings)?.into_batches()
}

/// A window that is being simulated: memory is bounded by what its user keeps.
///
/// ```
/// use tracediff_core::model::SpanBatchBuilder;
/// use tracediff_simulate::{Settings, Simulation};
///
/// let mut simulation = Simulation::new(&Settings::default())?;
/// let mut builder = SpanBatchBuilder::new();
/// while let Some(written) = simulation.write_next(&mut builder) {
///     assert!(written.spans > 0);
///     builder.commit()?;
///     for batch in builder.take_sealed() {
///         // Send it on.
///     }
/// }
/// let rest = builder.finish();
/// # Ok::<(), tracediff_simulate::SimulateError>(())
/// ```
#[derive(Debug)]
pub struct Simulation {
    plan: Plan,
    streams: Streams,
    load: LoadSeries,
    arrivals: Arrivals,
    emitter: Emitter,
    start_ns: u64,
    request_sigma: f64,
    requests: u64,
    traces: Vec<TraceId>,
    records: Vec<Record>,
}

/// A request that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// When it came in, in nanoseconds since the epoch, by a true clock.
    pub start_ns: u64,
    /// The spans written, of one trace or of two that are linked.
    pub spans: usize,
}

impl Simulation {
    /// The shop, in the settings' scenario.
    pub fn new(settings: &Settings) -> Result<Self, SimulateError> {
        settings.check()?;
        let mut topology = Topology::shop();
        for edit in settings.scenario.edits(settings.strength) {
            topology.apply(&edit)?;
        }
        Self::with_topology(settings, &topology)
    }

    /// Another system. The settings' scenario, which is about the shop, is not applied: see [`Topology::apply`].
    pub fn with_topology(settings: &Settings, topology: &Topology) -> Result<Self, SimulateError> {
        settings.check()?;
        let plan = Plan::new(topology)?;
        let streams = Streams::new(settings.seed);
        let load = LoadSeries::new(settings, plan.services.len(), &streams);
        Ok(Self {
            arrivals: Arrivals::new(settings, &load, &streams),
            emitter: Emitter::new(settings, plan.hosts, &streams),
            plan,
            streams,
            load,
            start_ns: settings.start_ns,
            request_sigma: settings.load.request_sigma,
            requests: 0,
            traces: Vec::new(),
            records: Vec::new(),
        })
    }

    /// Writes the next request of which something is kept, in the order of arrival; `None` at the window's end. It is
    /// left to the caller to commit.
    pub fn write_next(&mut self, builder: &mut SpanBatchBuilder) -> Option<Written> {
        loop {
            let arrival = self.arrivals.next()?;
            let mut random = self.streams.stream(stream::REQUESTS + self.requests);
            self.requests += 1;
            self.traces.clear();
            self.traces.push(trace_id(&mut random));
            let entry = self.plan.entries[self.plan.entry_choice.draw(&mut random)];
            // What is not kept need not happen, but where it may start a trace that is.
            let starts_traces = self.plan.operations[entry as usize].starts_traces;
            if !starts_traces && !self.emitter.sampler.keeps(&self.traces[0]) {
                continue;
            }
            self.emitter.draw(&self.plan.properties, &mut random);
            let own_log_load = self.request_sigma * random.normal();
            let start_ns = self.start_ns.saturating_add(arrival.offset_ns);
            self.records.clear();
            Request {
                plan: &self.plan,
                random: &mut random,
                log_load: self.load.of_minute(arrival.minute),
                own_log_load,
                records: &mut self.records,
                traces: &mut self.traces,
            }
            .run(entry, start_ns);
            let (plan, traces) = (&self.plan, &self.traces);
            let spans = self.emitter.write(plan, traces, &self.records, builder);
            if spans > 0 {
                return Some(Written { start_ns, spans });
            }
        }
    }

    /// All spans that are left.
    pub fn into_batches(mut self) -> Result<Vec<SpanBatch>, SimulateError> {
        let mut builder = SpanBatchBuilder::new();
        while self.write_next(&mut builder).is_some() {
            builder.commit()?;
        }
        Ok(builder.finish())
    }

    /// The true load factors, which a diff does not know.
    pub fn load(&self) -> &LoadSeries {
        &self.load
    }

    /// How many requests came in so far, kept or not.
    pub fn requests(&self) -> u64 {
        self.requests
    }
}
