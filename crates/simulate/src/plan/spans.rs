//! Steps made ready to run, with the shapes of the spans they leave.

use super::compile::{Compiler, number, reached};
use super::error::TopologyError;
use super::names::{destination, http_parts, interface_attributes};
use super::outcomes::Convention;
use super::{CallPlan, StepPlan, attribute};
use crate::steps::{Call, Produce, Query, Step};
use crate::topology::{Interface, Protocol};

const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
const PRODUCER: u8 = 4;

const MAX_REPETITIONS: u32 = 10_000;

impl Compiler<'_> {
    pub(super) fn steps(&mut self, steps: &[Step]) -> Result<Vec<StepPlan>, TopologyError> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Result<StepPlan, TopologyError> {
        Ok(match step {
            Step::Work(latency) => StepPlan::Work(self.time(*latency)?),
            Step::Internal { name, steps } => StepPlan::Internal {
                shape: self.shape(name, INTERNAL, Vec::new(), Vec::new()),
                outcomes: self.outcomes.of(Convention::Plain),
                steps: self.steps(steps)?,
            },
            Step::Call(call) => StepPlan::Call(self.call(call)?),
            Step::Query(query) => self.query(query)?,
            Step::Produce(produce) => self.produce(produce)?,
            Step::Parallel(steps) => StepPlan::Parallel(self.steps(steps)?),
            Step::Sequence(steps) => StepPlan::Sequence(self.steps(steps)?),
            Step::Maybe {
                probability: p,
                step,
            } => {
                let place = format!("a probability in {}", self.place);
                number(&place, *p, (0.0..=1.0).contains(p), "0 to 1")?;
                StepPlan::Maybe(*p, Box::new(self.step(step)?))
            }
            Step::Repeat { least, most, step } => {
                let place = format!("the most repetitions in {}", self.place);
                let fits = most >= least && *most <= MAX_REPETITIONS;
                let expected = "at least as many as the least, and at most 10,000";
                number(&place, (*most).into(), fits, expected)?;
                StepPlan::Repeat(*least, *most, Box::new(self.step(step)?))
            }
        })
    }

    fn call(&mut self, call: &Call) -> Result<CallPlan, TopologyError> {
        let (number, operation) = self.find(&self.place, &call.service, &call.operation)?;
        let callee = self.topology.service(&call.service);
        let callee = callee.ok_or_else(|| self.unknown("service", &call.service))?;
        let mut attributes = interface_attributes(callee, operation)?;
        let port = match operation.interface {
            Interface::Http => {
                let template = http_parts(callee, operation)?.1;
                attributes.push(attribute("url.template", template));
                8080
            }
            Interface::Grpc => 50051,
            Interface::Queue => {
                return Err(reached(&self.place, "calls", &call.service, operation));
            }
        };
        attributes.push(attribute("server.address", &*call.service));
        attributes.push(attribute("server.port", port));
        Ok(CallPlan {
            shape: self.shape(&operation.name, CLIENT, attributes, Vec::new()),
            outcomes: self.outcomes.of(Convention::client(operation.interface)),
            operation: number,
            network: self.time(call.network)?,
            retries: call.retries,
            backoff: self.time(call.backoff)?,
            absorbed: call.absorbed,
            counts_resends: operation.interface == Interface::Http,
        })
    }

    fn query(&mut self, query: &Query) -> Result<StepPlan, TopologyError> {
        let dependency = self.dependencies.get(query.dependency.as_str()).copied();
        let dependency = dependency.ok_or_else(|| self.unknown("dependency", &query.dependency))?;
        let mut name = query.operation.clone();
        let (convention, mut attributes) = match &dependency.protocol {
            Protocol::Database { system, namespace } => {
                let mut attributes = vec![
                    attribute("db.system.name", &**system),
                    attribute("db.namespace", &**namespace),
                    attribute("db.operation.name", &*query.operation),
                ];
                if !query.collection.is_empty() {
                    attributes.push(attribute("db.collection.name", &*query.collection));
                    name = format!("{name} {}", query.collection);
                }
                (Convention::Plain, attributes)
            }
            Protocol::Http => {
                let parts = query.operation.split_once(' ');
                let (method, template) = parts.ok_or_else(|| TopologyError::Name {
                    service: query.dependency.clone(),
                    name: query.operation.clone(),
                    expected: "`POST /v2/charges`",
                })?;
                let attributes = vec![
                    attribute("http.request.method", method),
                    attribute("url.template", template),
                ];
                (Convention::HttpClient, attributes)
            }
        };
        attributes.push(attribute("server.address", &*dependency.name));
        attributes.push(attribute("server.port", i64::from(dependency.port)));
        Ok(StepPlan::Query {
            shape: self.shape(&name, CLIENT, attributes, Vec::new()),
            outcomes: self.outcomes.of(convention),
            latency: self.time(query.latency)?,
            failures: self.failures(convention, &query.failures)?,
        })
    }

    fn produce(&mut self, produce: &Produce) -> Result<StepPlan, TopologyError> {
        let (number, operation) = self.find(&self.place, &produce.service, &produce.operation)?;
        if operation.interface != Interface::Queue {
            let place = &self.place;
            return Err(reached(place, "produces for", &produce.service, operation));
        }
        let consumer = self.topology.service(&produce.service);
        let consumer = consumer.ok_or_else(|| self.unknown("service", &produce.service))?;
        let mut attributes = interface_attributes(consumer, operation)?;
        attributes.push(attribute("messaging.operation.name", "send"));
        attributes.push(attribute("messaging.operation.type", "send"));
        let destination = destination(consumer, operation)?;
        let name = format!("send {destination}");
        Ok(StepPlan::Produce {
            shape: self.shape(&name, PRODUCER, attributes, Vec::new()),
            fine: self.outcomes.of(Convention::Plain).fine,
            operation: number,
            latency: self.time(produce.latency)?,
            delay: self.time(produce.delay)?,
            new_trace: produce.new_trace,
        })
    }
}
