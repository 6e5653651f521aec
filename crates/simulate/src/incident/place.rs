//! Where an incident happens, and where in a topology one could.

use std::collections::BTreeSet;
use std::fmt;

use super::graph::Graph;
use super::kind::IncidentKind;
use crate::edit::Target;
use crate::steps::Step;
use crate::topology::{Interface, Operation, Service, Topology};
use crate::walk::each_step;

/// Where an incident happens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Everywhere.
    System,
    /// At a service.
    Service(String),
    /// At one operation of a service.
    Operation {
        /// The service.
        service: String,
        /// Its operation.
        operation: String,
    },
    /// Where an operation asks something, or is to ask it.
    Step {
        /// The service.
        service: String,
        /// Its operation.
        operation: String,
        /// What it asks.
        target: Target,
    },
    /// At something without spans of its own.
    Dependency {
        /// The only service that asks it.
        service: String,
        /// Its name.
        dependency: String,
    },
    /// Between two services.
    Link {
        /// The one that calls.
        caller: String,
        /// The one called.
        callee: String,
    },
}

/// What asks for something in at most this share of cases has a cache before it.
const MAX_MISS_RATIO: f64 = 0.4;

impl Place {
    /// What the kind would need, where this is no place for it.
    pub(super) fn lacks(&self, kind: IncidentKind) -> Option<&'static str> {
        use IncidentKind as Kind;
        let (is_good, expected) = match kind {
            Kind::Healthy | Kind::SamplingRate => {
                (matches!(self, Self::System), "the whole system")
            }
            Kind::SlowService | Kind::CpuStarvation | Kind::LostInstrumentation => {
                (matches!(self, Self::Service(_)), "a service")
            }
            Kind::SlowDependency => (matches!(self, Self::Dependency { .. }), "a dependency"),
            Kind::AddedCall => {
                let is_call = |target: &Target| matches!(target, Target::Call { .. });
                let is_good = matches!(self, Self::Step { target, .. } if is_call(target));
                (is_good, "a step that calls another service")
            }
            Kind::NPlusOne | Kind::RemovedCache => (
                matches!(self, Self::Step { .. }),
                "a step that asks something",
            ),
            Kind::RetryStorm
            | Kind::EarlyReturn
            | Kind::ErrorAtOrigin
            | Kind::AbsorbedError
            | Kind::MixShift
            | Kind::Rename
            | Kind::Wrap => (matches!(self, Self::Operation { .. }), "an operation"),
            Kind::SlowLink => (matches!(self, Self::Link { .. }), "a link"),
        };
        (!is_good).then_some(expected)
    }

    /// Every place of a topology where something of that kind would mean what it is meant to, seen or not.
    pub(super) fn candidates(topology: &Topology, kind: IncidentKind) -> Vec<Self> {
        use IncidentKind as Kind;
        let graph = Graph::new(topology);
        let services = || topology.services.iter();
        let of_services = |is_good: &dyn Fn(&Service) -> bool| {
            let good = services().filter(|s| is_good(s));
            good.map(|s| Self::Service(s.name.clone())).collect()
        };
        let of_operations = |is_good: &dyn Fn(&Service, &Operation) -> bool| {
            let all = services().flat_map(|s| s.operations.iter().map(move |o| (s, o)));
            let good = all.filter(|(s, o)| o.interface != Interface::Queue && is_good(s, o));
            good.map(|(s, o)| Self::operation(s, o)).collect()
        };
        match kind {
            Kind::Healthy | Kind::SamplingRate => vec![Self::System],
            Kind::SlowService => of_services(&|_| true),
            // Otherwise one could not tell starvation from callees that are slow one by one.
            Kind::CpuStarvation => of_services(&|s| graph.callees(&s.name).len() >= 3),
            Kind::LostInstrumentation => of_services(&|s| {
                let asked = s.operations.iter().all(|o| o.interface != Interface::Queue);
                asked && graph.asks(&s.name) == 0 && !graph.is_entry(&s.name, None)
            }),
            Kind::SlowDependency => dependencies(topology),
            Kind::SlowLink => {
                let links: BTreeSet<_> = graph.links().collect();
                let link = |(caller, callee): (&str, &str)| Self::Link {
                    caller: caller.to_owned(),
                    callee: callee.to_owned(),
                };
                links.into_iter().map(link).collect()
            }
            Kind::AddedCall => added_calls(topology, &graph),
            Kind::NPlusOne => targets(topology, &|step| {
                matches!(step, Step::Call(_) | Step::Query(_)) && !graph.can_fail(step)
            }),
            Kind::RemovedCache => cached(topology, &graph),
            Kind::RetryStorm => of_operations(&|s, o| {
                graph.is_asked_only(s, o, |call| call.retries >= 2 && !call.absorbed)
            }),
            Kind::AbsorbedError => {
                of_operations(&|s, o| graph.is_asked_only(s, o, |call| call.absorbed))
            }
            Kind::ErrorAtOrigin => of_operations(&|s, o| graph.fails_up_to_entries(s, o)),
            Kind::EarlyReturn => of_operations(&|_, o| {
                let mut calls = false;
                each_step(&o.steps, &mut |step| calls |= matches!(step, Step::Call(_)));
                calls
            }),
            Kind::MixShift => of_operations(&|s, o| graph.is_entry(&s.name, Some(&o.name))),
            Kind::Rename => of_operations(&|s, o| !graph.is_entry(&s.name, Some(&o.name))),
            Kind::Wrap => of_operations(&|_, _| true),
        }
    }

    fn operation(service: &Service, operation: &Operation) -> Self {
        Self::Operation {
            service: service.name.clone(),
            operation: operation.name.clone(),
        }
    }

    fn step(service: &Service, operation: &Operation, target: Target) -> Self {
        Self::Step {
            service: service.name.clone(),
            operation: operation.name.clone(),
            target,
        }
    }
}

fn operations(topology: &Topology) -> impl Iterator<Item = (&Service, &Operation)> {
    let services = topology.services.iter();
    services.flat_map(|s| s.operations.iter().map(move |o| (s, o)))
}

/// What good steps ask, each once.
fn targets(topology: &Topology, is_good: &dyn Fn(&Step) -> bool) -> Vec<Place> {
    let mut places = BTreeSet::new();
    for (service, operation) in operations(topology) {
        each_step(&operation.steps, &mut |step| {
            if is_good(step)
                && let Some(target) = Target::of(step)
            {
                places.insert(Place::step(service, operation, target));
            }
        });
    }
    places.into_iter().collect()
}

/// What is asked seldom.
fn cached(topology: &Topology, graph: &Graph<'_>) -> Vec<Place> {
    let mut places = BTreeSet::new();
    for (service, operation) in operations(topology) {
        each_step(&operation.steps, &mut |step| {
            let Step::Maybe { probability, step } = step else {
                return;
            };
            let mut queries = Vec::new();
            each_step(std::slice::from_ref(step.as_ref()), &mut |step| {
                queries.push(step);
            });
            let first = queries.into_iter().find(|s| matches!(s, Step::Query(_)));
            if let Some(query) = first
                && *probability <= MAX_MISS_RATIO
                && !graph.can_fail(query)
                && let Some(target) = Target::of(query)
            {
                places.insert(Place::step(service, operation, target));
            }
        });
    }
    places.into_iter().collect()
}

/// Dependencies that only one service asks: which service a change shows at is then exact.
fn dependencies(topology: &Topology) -> Vec<Place> {
    let place = |dependency: &str| {
        let mut askers = BTreeSet::new();
        for (service, operation) in operations(topology) {
            each_step(&operation.steps, &mut |step| {
                if matches!(step, Step::Query(query) if query.dependency == dependency) {
                    askers.insert(&service.name);
                }
            });
        }
        let only = askers.len() == 1;
        askers
            .into_iter()
            .find(|_| only)
            .map(|s| Place::Dependency {
                service: s.clone(),
                dependency: dependency.to_owned(),
            })
    };
    topology
        .dependencies
        .iter()
        .filter_map(|d| place(&d.name))
        .collect()
}

/// Calls that a service does not make yet and could, without any service calling itself through others.
fn added_calls(topology: &Topology, graph: &Graph<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    for (service, operation) in operations(topology) {
        if operation.interface == Interface::Queue {
            continue;
        }
        for (callee, called) in operations(topology) {
            let is_new = called.interface != Interface::Queue
                && !graph.is_entry(&callee.name, Some(&called.name))
                && !graph.calls(&service.name, &callee.name)
                && !graph.reaches(&callee.name, &service.name);
            if is_new {
                let target = Target::Call {
                    service: callee.name.clone(),
                    operation: called.name.clone(),
                };
                places.push(Place::step(service, operation, target));
            }
        }
    }
    places
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the whole system"),
            Self::Service(service) => write!(f, "service {service}"),
            Self::Operation { service, operation } => {
                write!(f, "operation {service} {operation}")
            }
            Self::Step {
                service,
                operation,
                target,
            } => write!(f, "{service} {operation} → {target}"),
            Self::Dependency {
                service,
                dependency,
            } => write!(f, "dependency {dependency} of {service}"),
            Self::Link { caller, callee } => write!(f, "link {caller} → {callee}"),
        }
    }
}
