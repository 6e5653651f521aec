//! Incidents: what can happen to any system, at a place that can be chosen, with what a right answer is.
//!
//! A [`Scenario`](crate::Scenario) is about the shop; an incident is put into a [`Topology`] that is given, by hand or
//! by a seed. Either is a list of [`Edit`]s.

mod edits;
mod expected;
mod graph;
mod kind;
mod place;
mod shop;
mod visible;

pub use expected::{Culprit, IncidentExpected};
pub use kind::{Answer, IncidentKind, Measure, UnknownIncident};
pub use place::Place;

use thiserror::Error;

use crate::edit::Edit;
use crate::load::stream;
use crate::plan::TopologyError;
use crate::random::{Random, Streams};
use crate::settings::Settings;
use crate::simulation::{SimulateError, Simulation};
use crate::topology::Topology;
use crate::trial::Trial;

/// Something that happens at a place of a system.
///
/// ```
/// use tracediff_simulate::{Incident, IncidentKind, Settings, Topology};
///
/// let topology = Topology::random(7);
/// let incident = Incident::at_random(&topology, IncidentKind::SlowService, 1)?;
/// let settings = |seed| Settings { seed, minutes: 0.5, ..Settings::default() };
/// let baseline = incident.baseline(&topology, &settings(1))?.into_batches()?;
/// let candidate = incident.candidate(&topology, &settings(2))?.into_batches()?;
/// assert!(incident.expected().culprit.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    kind: IncidentKind,
    place: Place,
    strength: f64,
}

/// Why there is no such incident.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum IncidentError {
    /// A system that makes no sense.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A place at which this cannot happen.
    #[error("`{kind}` cannot happen at {place}, expected {expected}")]
    Place {
        /// What was to happen.
        kind: IncidentKind,
        /// Where.
        place: Place,
        /// Where it could happen.
        expected: &'static str,
    },
    /// A system in which it would be seen nowhere.
    #[error("the system has no place where `{0}` could be seen")]
    Nowhere(IncidentKind),
}

/// The strengths that are tried, one after the other, until the incident can be seen somewhere.
const STRENGTHS: [f64; 5] = [1.0, 1.5, 2.0, 3.0, 5.0];

/// At most so many places are tried with one strength.
const MAX_TRIALS: usize = 60;

/// How many times as many traces there were before [`IncidentKind::SamplingRate`], with a strength of 1.
const SAMPLING_FACTOR: f64 = 4.0;

impl Incident {
    /// Of that kind at that place. Strength 0 does nothing, 1 is as [`IncidentKind::description`] says, more is more.
    pub fn at(kind: IncidentKind, place: Place, strength: f64) -> Result<Self, IncidentError> {
        if let Some(expected) = place.lacks(kind) {
            return Err(IncidentError::Place {
                kind,
                place,
                expected,
            });
        }
        Ok(Self {
            kind,
            place,
            strength,
        })
    }

    /// Of that kind at a place of the topology where it can be seen: requests that are at least a twentieth of all
    /// take 10 % longer, fail more, or come by another way. The seed chooses among such places; the strength is 1, or
    /// as much more as is needed.
    pub fn at_random(
        topology: &Topology,
        kind: IncidentKind,
        seed: u64,
    ) -> Result<Self, IncidentError> {
        let before = Trial::run(topology)?;
        let mut places = Place::candidates(topology, kind);
        shuffle(&mut places, &mut Streams::new(seed).stream(stream::PLACE));
        places.truncate(MAX_TRIALS);
        for strength in STRENGTHS {
            for place in &places {
                let incident = Self {
                    kind,
                    place: place.clone(),
                    strength,
                };
                if incident.is_visible(topology, &before)? {
                    return Ok(incident);
                }
            }
        }
        Err(IncidentError::Nowhere(kind))
    }

    /// What happens.
    pub fn kind(&self) -> IncidentKind {
        self.kind
    }

    /// Where.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How much of it.
    pub fn strength(&self) -> f64 {
        self.strength
    }

    /// What it does to a topology that has its place.
    pub fn edits(&self) -> Vec<Edit> {
        if self.strength <= 0.0 {
            return Vec::new();
        }
        edits::edits(self.kind, &self.place, self.strength)
    }

    /// The topology in which it has happened.
    pub fn apply(&self, topology: &Topology) -> Result<Topology, TopologyError> {
        let mut changed = topology.clone();
        for edit in self.edits() {
            changed.apply(&edit)?;
        }
        Ok(changed)
    }

    /// What a right answer to "what changed?" is.
    pub fn expected(&self) -> IncidentExpected {
        IncidentExpected::of(self.kind, &self.place)
    }

    /// The system before it happened. Of the settings, `scenario` and `strength` have no part in this.
    pub fn baseline(
        &self,
        topology: &Topology,
        settings: &Settings,
    ) -> Result<Simulation, SimulateError> {
        Simulation::with_topology(&self.sampled(settings, 1.0), topology)
    }

    /// The system in which it has happened.
    pub fn candidate(
        &self,
        topology: &Topology,
        settings: &Settings,
    ) -> Result<Simulation, SimulateError> {
        let factor = 1.0 + (SAMPLING_FACTOR - 1.0) * self.strength.max(0.0);
        Simulation::with_topology(&self.sampled(settings, factor), &self.apply(topology)?)
    }

    /// Only a change of sampling is not one of the topology. Where it happens both sides tell their sampling.
    fn sampled(&self, settings: &Settings, factor: f64) -> Settings {
        let mut settings = settings.clone();
        if self.kind == IncidentKind::SamplingRate {
            let before = settings.sampling_probability.unwrap_or(1.0);
            settings.sampling_probability = Some(before / factor);
        }
        settings
    }
}

/// Fisher and Yates.
fn shuffle(places: &mut [Place], random: &mut Random) {
    for last in (1..places.len()).rev() {
        places.swap(last, random.below(last as u32 + 1) as usize);
    }
}
