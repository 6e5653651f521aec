//! A system tried out: what requests of each entry do without load, so that an incident is put where it can be seen.
//!
//! Trials of two topologies use the same streams, and so differ by little but by what was edited.

use std::collections::{BTreeMap, HashMap};

use crate::load::stream;
use crate::plan::{Plan, TopologyError};
use crate::random::Streams;
use crate::request::{Record, Request, trace_id};
use crate::topology::Topology;

/// Requests of each entry: enough to know a mean that varies by a half to 3 %.
const REQUESTS: u32 = 300;

/// The seed of all trials: where an incident is put depends on the topology and the incident's own seed only.
const SEED: u64 = 0x7472_6961_6c73;

/// What requests of all entries do.
#[derive(Debug)]
pub(crate) struct Trial<'t> {
    topology: &'t Topology,
    /// By the place of the entry in the topology.
    pub(crate) entries: Vec<EntryTrial>,
}

/// What requests of one entry do, as means per request.
#[derive(Debug, Default)]
pub(crate) struct EntryTrial {
    /// Its share of all requests.
    pub(crate) share: f64,
    pub(crate) duration_ns: f64,
    /// The share of its requests that fail by the server's fault.
    pub(crate) error_ratio: f64,
    pub(crate) spans: f64,
    /// How often each operation is asked, by service and operation.
    visits: BTreeMap<(u32, u32), f64>,
    /// How often each service calls each other one.
    calls: BTreeMap<(u32, u32), f64>,
}

impl<'t> Trial<'t> {
    pub(crate) fn run(topology: &'t Topology) -> Result<Self, TopologyError> {
        let plan = Plan::new(topology)?;
        let weights: f64 = topology.entries.iter().map(|e| e.weight).sum();
        let streams = Streams::new(SEED);
        let log_load = vec![0.0; plan.services.len()];
        let counter = Counter::new(&plan);
        let mut entries = Vec::new();
        let mut records = Vec::new();
        for (number, (entry, operation)) in topology.entries.iter().zip(&plan.entries).enumerate() {
            let mut trial = EntryTrial {
                share: entry.weight / weights,
                ..EntryTrial::default()
            };
            for request in 0..u64::from(REQUESTS) {
                let stream = stream::TRIAL + ((number as u64) << 16 | request);
                let mut random = streams.stream(stream);
                let mut traces = vec![trace_id(&mut random)];
                records.clear();
                Request {
                    plan: &plan,
                    random: &mut random,
                    log_load: &log_load,
                    own_log_load: 0.0,
                    records: &mut records,
                    traces: &mut traces,
                }
                .run(*operation, 0);
                counter.add(&records, &mut trial);
            }
            entries.push(trial);
        }
        Ok(Self { topology, entries })
    }

    /// The mean over all requests.
    pub(crate) fn mean(&self, of_entry: impl Fn(&EntryTrial) -> f64) -> f64 {
        self.entries.iter().map(|e| e.share * of_entry(e)).sum()
    }

    /// How often a request of each entry asks a service for an operation, or for any.
    pub(crate) fn visits(&self, service: &str, operation: Option<&str>) -> Vec<f64> {
        let Some(number) = self.number_of(service) else {
            return vec![0.0; self.entries.len()];
        };
        let operations = &self.topology.services[number as usize].operations;
        let is_meant =
            |place: u32| operation.is_none_or(|name| operations[place as usize].name == name);
        let of_entry = |entry: &EntryTrial| {
            let visits = entry.visits.range((number, 0)..=(number, u32::MAX));
            visits
                .filter(|((_, place), _)| is_meant(*place))
                .map(|(_, n)| n)
                .sum()
        };
        self.entries.iter().map(of_entry).collect()
    }

    /// How often a request makes one service call another.
    pub(crate) fn calls(&self, caller: &str, callee: &str) -> f64 {
        let key = self.number_of(caller).zip(self.number_of(callee));
        self.mean(|entry| {
            key.and_then(|key| entry.calls.get(&key))
                .copied()
                .unwrap_or(0.0)
        })
    }

    fn number_of(&self, service: &str) -> Option<u32> {
        let mut numbered = (0..).zip(&self.topology.services);
        numbered.find(|(_, s)| s.name == service).map(|(n, _)| n)
    }
}

/// Counts what records tell.
struct Counter<'p> {
    plan: &'p Plan,
    /// Service and place of the operation in it, by the shape of its span, which no other has.
    operations: HashMap<u32, (u32, u32)>,
    /// By the number of the instance.
    services: Vec<u32>,
}

impl<'p> Counter<'p> {
    fn new(plan: &'p Plan) -> Self {
        let mut places = vec![0; plan.services.len()];
        let operations = plan.operations.iter().map(|operation| {
            let place = &mut places[operation.service as usize];
            *place += 1;
            (operation.shape, (operation.service, *place - 1))
        });
        let operations = operations.collect();
        let numbered = (0..).zip(&plan.services);
        let services = numbered.flat_map(|(n, (_, count))| (0..*count).map(move |_| n));
        Self {
            plan,
            operations,
            services: services.collect(),
        }
    }

    fn add(&self, records: &[Record], trial: &mut EntryTrial) {
        const EACH: f64 = 1.0 / REQUESTS as f64;
        let Some(root) = records.first() else { return };
        let is_error = self.plan.outcomes[root.outcome as usize].is_error;
        trial.duration_ns += EACH * root.end_ns as f64;
        trial.error_ratio += EACH * f64::from(u8::from(is_error));
        let by_id: HashMap<u64, &Record> = records.iter().map(|r| (r.span_id, r)).collect();
        for record in records {
            trial.spans += EACH * f64::from(u8::from(!record.is_silent));
            let Some((service, place)) = self.operations.get(&record.shape).copied() else {
                continue;
            };
            *trial.visits.entry((service, place)).or_default() += EACH;
            if let Some(parent) = by_id.get(&record.parent) {
                let caller = self.services[parent.instance as usize];
                *trial.calls.entry((caller, service)).or_default() += EACH;
            }
        }
    }
}
