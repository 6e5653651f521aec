//! Whether an incident can be seen where it is: an evaluation that asks for what no trace shows measures nothing.

use super::Incident;
use super::graph::Graph;
use super::kind::IncidentKind;
use super::place::Place;
use crate::plan::TopologyError;
use crate::topology::Topology;
use crate::trial::{EntryTrial, Trial};

/// Entries that fewer requests ask are not counted on.
const MIN_SHARE: f64 = 0.05;

/// How much longer an entry's requests take, at least: 10 %, and what a trial may be wrong by.
const MIN_SLOWDOWN: f64 = 1.12;

/// How often a request of an entry comes to the place, at least.
const MIN_VISITS: f64 = 0.2;

/// How often a starved service calls each of its callees in a request, at least.
const MIN_CALLS: f64 = 0.02;

/// Traces do not grow beyond so many times their spans, and a few more.
const MAX_GROWTH: f64 = 4.0;
const MAX_MORE_SPANS: f64 = 30.0;

impl Incident {
    pub(super) fn is_visible(
        &self,
        topology: &Topology,
        before: &Trial<'_>,
    ) -> Result<bool, TopologyError> {
        use IncidentKind as Kind;
        let changed = self.apply(topology)?;
        let after = Trial::run(&changed)?;
        let is_seen = |sees: &dyn Fn(&EntryTrial, &EntryTrial) -> bool| {
            let mut both = before.entries.iter().zip(&after.entries);
            both.any(|(b, a)| b.share >= MIN_SHARE && sees(b, a))
        };
        let is_slower = || is_seen(&|b, a| a.duration_ns > MIN_SLOWDOWN * b.duration_ns);
        let spans = |trial: &Trial<'_>| trial.mean(|e| e.spans);
        let is_bounded = || spans(&after) <= MAX_GROWTH * spans(before) + MAX_MORE_SPANS;
        Ok(match self.kind {
            Kind::Healthy | Kind::SamplingRate => true,
            Kind::SlowService | Kind::SlowDependency | Kind::RemovedCache | Kind::SlowLink => {
                is_slower()
            }
            Kind::AddedCall | Kind::NPlusOne => is_bounded() && is_slower(),
            Kind::CpuStarvation => self.is_heard_by_callees(topology, before) && is_slower(),
            Kind::RetryStorm => self.is_visited(before) && is_bounded(),
            Kind::EarlyReturn => {
                self.is_visited(before) && is_seen(&|b, a| a.spans < 0.9 * b.spans)
            }
            Kind::ErrorAtOrigin => is_seen(&|b, a| a.error_ratio > b.error_ratio + 0.03),
            Kind::AbsorbedError => self.is_visited(before),
            Kind::MixShift => {
                let moves = |of_entry: &dyn Fn(&EntryTrial) -> f64| {
                    let ratio = after.mean(of_entry) / before.mean(of_entry);
                    ratio.max(1.0 / ratio) > MIN_SLOWDOWN
                };
                moves(&|e| e.duration_ns) || moves(&|e| e.spans)
            }
            Kind::Rename | Kind::Wrap | Kind::LostInstrumentation => self.is_visited(before),
        })
    }

    fn is_visited(&self, before: &Trial<'_>) -> bool {
        let visits = match &self.place {
            Place::Service(service) => before.visits(service, None),
            Place::Operation { service, operation } => before.visits(service, Some(operation)),
            _ => return false,
        };
        let mut entries = before.entries.iter().zip(visits);
        entries.any(|(entry, visits)| entry.share >= MIN_SHARE && visits >= MIN_VISITS)
    }

    fn is_heard_by_callees(&self, topology: &Topology, before: &Trial<'_>) -> bool {
        let Place::Service(service) = &self.place else {
            return false;
        };
        let callees = Graph::new(topology).callees(service);
        let heard = callees
            .iter()
            .filter(|callee| before.calls(service, callee) >= MIN_CALLS);
        heard.count() >= 3
    }
}
