//! Turns a topology into a plan.

use std::collections::HashMap;
use std::hash::Hash;

use super::error::TopologyError;
use super::graph::mark_trace_starts;
use super::instances::instances;
use super::names::{http_parts, interface_attributes};
use super::outcomes::{Convention, OutcomeTable};
use super::{
    Attribute, Choice, FailurePlan, OperationPlan, Plan, PropertyPlan, Shape, Time, ValuesPlan,
    attribute,
};
use crate::property::{Property, Values};
use crate::steps::{Failure, Latency};
use crate::topology::{Dependency, Interface, Operation, Service, Topology};

const SERVER: u8 = 2;
const CONSUMER: u8 = 5;

/// Instances of all services together: the emitter packs their numbers into 16 bits.
const MAX_INSTANCES: u32 = 1 << 16;

impl Plan {
    /// Resolves all names.
    pub(crate) fn new(topology: &Topology) -> Result<Self, TopologyError> {
        Compiler::new(topology)?.plan()
    }
}

/// An operation by its service's and its own name.
type Key<'t> = (&'t str, &'t str);

pub(super) struct Compiler<'t> {
    pub(super) topology: &'t Topology,
    operations: HashMap<Key<'t>, (u32, &'t Operation)>,
    pub(super) dependencies: HashMap<&'t str, &'t Dependency>,
    properties: HashMap<&'t str, u32>,
    shapes: Vec<Shape>,
    pub(super) outcomes: OutcomeTable,
    /// Where the step being compiled stands.
    pub(super) place: String,
}

/// An index of things by key; each comes with its name.
fn index<'t, K: Hash + Eq, V>(
    what: &'static str,
    items: impl Iterator<Item = (K, &'t str, V)>,
) -> Result<HashMap<K, V>, TopologyError> {
    let mut index = HashMap::new();
    for (key, name, value) in items {
        if index.insert(key, value).is_some() {
            let name = name.to_owned();
            return Err(TopologyError::Twice { what, name });
        }
    }
    Ok(index)
}

pub(super) fn number(
    place: &str,
    found: f64,
    ok: bool,
    expected: &'static str,
) -> Result<(), TopologyError> {
    if ok && found.is_finite() {
        return Ok(());
    }
    Err(TopologyError::Number {
        place: place.to_owned(),
        found,
        expected,
    })
}

impl<'t> Compiler<'t> {
    fn new(topology: &'t Topology) -> Result<Self, TopologyError> {
        let services = topology.services.iter();
        index(
            "service",
            services.clone().map(|s| (&s.name, s.name.as_str(), ())),
        )?;
        let all = services.flat_map(|s| s.operations.iter().map(|o| (s.name.as_str(), o)));
        let numbered = (0..).zip(all).map(|(i, (service, o))| {
            let name = o.name.as_str();
            ((service, name), name, (i, o))
        });
        let dependencies = topology.dependencies.iter();
        let properties = (0..).zip(&topology.properties);
        Ok(Self {
            topology,
            operations: index("operation", numbered)?,
            dependencies: index(
                "dependency",
                dependencies.map(|d| (d.name.as_str(), d.name.as_str(), d)),
            )?,
            properties: index(
                "property",
                properties.map(|(i, p)| (p.key.as_str(), p.key.as_str(), i)),
            )?,
            shapes: Vec::new(),
            outcomes: OutcomeTable::new(),
            place: String::new(),
        })
    }

    fn plan(mut self) -> Result<Plan, TopologyError> {
        let topology = self.topology;
        let mut operations = Vec::new();
        let mut services = Vec::new();
        let mut instance_count = 0u32;
        number(
            "hosts",
            topology.hosts.into(),
            topology.hosts > 0,
            "1 or more",
        )?;
        for (number_of_service, service) in (0..).zip(&topology.services) {
            let count = service.instances;
            let place = format!("the number of instances of {}", service.name);
            let fits = count > 0 && count <= MAX_INSTANCES - instance_count;
            number(
                &place,
                count.into(),
                fits,
                "1 or more, 65,536 in all services",
            )?;
            services.push((instance_count, count));
            instance_count += count;
            for operation in &service.operations {
                operations.push(self.operation(number_of_service, service, operation)?);
            }
        }
        mark_trace_starts(topology, &mut operations)?;
        let (entries, entry_choice) = self.entries()?;
        Ok(Plan {
            shapes: self.shapes,
            outcomes: self.outcomes.outcomes,
            operations,
            instances: instances(topology),
            services,
            hosts: topology.hosts,
            properties: properties(topology)?,
            entries,
            entry_choice,
        })
    }

    fn entries(&self) -> Result<(Vec<u32>, Choice), TopologyError> {
        let mut entries = Vec::new();
        for entry in &self.topology.entries {
            let (number, operation) = self.find("an entry", &entry.service, &entry.operation)?;
            if operation.interface == Interface::Queue {
                return Err(reached("an entry", "asks", &entry.service, operation));
            }
            entries.push(number);
        }
        let weights = self.topology.entries.iter().map(|e| e.weight);
        let choice = Choice::new(weights).ok_or_else(|| no_weight("the entries"))?;
        Ok((entries, choice))
    }

    pub(super) fn find(
        &self,
        place: &str,
        service: &str,
        operation: &str,
    ) -> Result<(u32, &'t Operation), TopologyError> {
        let found = self.operations.get(&(service, operation)).copied();
        found.ok_or_else(|| TopologyError::Unknown {
            place: place.to_owned(),
            what: "operation",
            name: format!("{service} {operation}"),
        })
    }

    fn operation(
        &mut self,
        number_of_service: u32,
        service: &Service,
        operation: &Operation,
    ) -> Result<OperationPlan, TopologyError> {
        self.place = format!("{} {}", service.name, operation.name);
        let kind = match operation.interface {
            Interface::Http | Interface::Grpc => SERVER,
            Interface::Queue => CONSUMER,
        };
        let mut attributes = interface_attributes(service, operation)?;
        match operation.interface {
            Interface::Http => {
                attributes.push(attribute("http.route", http_parts(service, operation)?.1));
                attributes.push(attribute("url.scheme", "http"));
            }
            Interface::Grpc => {}
            Interface::Queue => {
                attributes.push(attribute("messaging.operation.name", "process"));
                attributes.push(attribute("messaging.operation.type", "process"));
                attributes.push(attribute("messaging.consumer.group.name", &*service.name));
            }
        }
        let mut records = Vec::new();
        for key in &operation.records {
            let property = self.properties.get(key.as_str()).copied();
            records.push(property.ok_or_else(|| self.unknown("property", key))?);
        }
        let shape = self.shape(&operation.name, kind, attributes, records);
        let convention = Convention::server(operation.interface);
        Ok(OperationPlan {
            service: number_of_service,
            is_silent: !service.is_instrumented,
            shape,
            steps: self.steps(&operation.steps)?,
            failures: self.failures(convention, &operation.failures)?,
            outcomes: self.outcomes.of(convention),
            starts_traces: false,
        })
    }

    pub(super) fn unknown(&self, what: &'static str, name: &str) -> TopologyError {
        TopologyError::Unknown {
            place: self.place.clone(),
            what,
            name: name.to_owned(),
        }
    }

    pub(super) fn shape(
        &mut self,
        name: &str,
        kind: u8,
        attributes: Vec<Attribute>,
        records: Vec<u32>,
    ) -> u32 {
        self.shapes.push(Shape {
            name: name.as_bytes().into(),
            kind,
            attributes,
            records,
        });
        self.shapes.len() as u32 - 1
    }

    pub(super) fn failures(
        &mut self,
        convention: Convention,
        failures: &[Failure],
    ) -> Result<Vec<FailurePlan>, TopologyError> {
        let mut sum = 0.0;
        for failure in failures {
            let p = failure.probability;
            sum += p;
            let place = format!("a probability of failure of {}", self.place);
            number(&place, p, (0.0..=1.0).contains(&p), "0 to 1")?;
            self.time(failure.wait)?;
        }
        let place = format!("the probability of all failures of {}", self.place);
        number(&place, sum, sum <= 1.0, "0 to 1")?;
        Ok(self.outcomes.failures(convention, failures))
    }

    pub(super) fn time(&self, latency: Latency) -> Result<Time, TopologyError> {
        let Latency { median_us, sigma } = latency;
        let place = |what| format!("a {what} of time in {}", self.place);
        number(&place("median"), median_us, median_us >= 0.0, "0 or more")?;
        number(&place("sigma"), sigma, sigma >= 0.0, "0 or more")?;
        Ok(Time::new(latency))
    }
}

pub(super) fn reached(
    place: &str,
    found: &'static str,
    service: &str,
    operation: &Operation,
) -> TopologyError {
    TopologyError::Interface {
        place: place.to_owned(),
        found,
        service: service.to_owned(),
        operation: operation.name.clone(),
        instead: match operation.interface {
            Interface::Queue => "through a queue",
            Interface::Http | Interface::Grpc => "by a call",
        },
    }
}

fn no_weight(what: &str) -> TopologyError {
    TopologyError::Number {
        place: format!("the sum of the weights of {what}"),
        found: 0.0,
        expected: "above 0, of weights of 0 or more",
    }
}

fn properties(topology: &Topology) -> Result<Vec<PropertyPlan>, TopologyError> {
    let plan = |property: &Property| {
        let values = match &property.values {
            Values::OneOf(values) => ValuesPlan::OneOf {
                choice: Choice::new(values.iter().map(|(_, weight)| *weight))
                    .ok_or_else(|| no_weight(&property.key))?,
                values: values.iter().map(|(value, _)| value.clone()).collect(),
            },
            Values::Identifier(prefix) => ValuesPlan::Identifier(prefix.as_bytes().into()),
        };
        Ok(PropertyPlan {
            key: property.key.as_bytes().into(),
            values,
        })
    };
    topology.properties.iter().map(plan).collect()
}
