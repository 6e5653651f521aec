//! A seeded shop that makes traces: services, load, sampling, and incidents with known culprits.
//!
//! Same settings, same spans, bit for bit and on every machine: nothing here reads a clock, a disk or the
//! environment, calls the platform's mathematics, or depends on a hash's order. What is simulated says so itself, by
//! the resource attribute `tracediff.simulated`.
//!
//! A [`Topology`] is data, a [`Scenario`] is a list of [`Edit`]s of it, and [`simulate`] runs it; an [`Incident`] is
//! such a list for any topology, be it drawn from a seed. The formulae and what is left out are in
//! `docs/simulator.md`.

mod edit;
mod emit;
mod generate;
mod incident;
mod load;
mod plan;
mod property;
mod random;
mod request;
mod scenario;
mod settings;
mod shop;
mod simulation;
mod steps;
mod topology;
mod trial;
mod walk;

pub use edit::{Edit, Target};
pub use incident::{
    Answer, Culprit, Incident, IncidentError, IncidentExpected, IncidentKind, Measure, Place,
    UnknownIncident,
};
pub use load::LoadSeries;
pub use plan::TopologyError;
pub use property::{Property, Value, Values};
pub use scenario::{Change, Expected, ExpectedChange, Scenario, UnknownScenario};
pub use settings::{Load, Settings, SettingsError};
pub use simulation::{SimulateError, Simulation, Written, simulate};
pub use steps::{Call, Failure, FailureKind, Latency, Produce, Query, Step};
pub use topology::{Dependency, Entry, Interface, Operation, Protocol, Service, Topology};
