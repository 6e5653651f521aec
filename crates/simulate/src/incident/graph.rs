//! Who calls whom in a topology, and what becomes of failures on the way up.

use std::collections::BTreeSet;

use crate::steps::{Call, Step};
use crate::topology::{Operation, Service, Topology};
use crate::walk::each_step;

/// One place where a service asks another.
#[derive(Debug)]
struct Edge<'t> {
    caller: &'t Service,
    caller_operation: &'t Operation,
    service: &'t str,
    operation: &'t str,
    /// `None` for a message.
    call: Option<&'t Call>,
}

/// All calls and messages between services.
#[derive(Debug)]
pub(super) struct Graph<'t> {
    topology: &'t Topology,
    edges: Vec<Edge<'t>>,
}

impl<'t> Graph<'t> {
    pub(super) fn new(topology: &'t Topology) -> Self {
        let mut edges = Vec::new();
        for caller in &topology.services {
            for caller_operation in &caller.operations {
                each_step(&caller_operation.steps, &mut |step| {
                    let (service, operation, call) = match step {
                        Step::Call(call) => (&call.service, &call.operation, Some(call)),
                        Step::Produce(sent) => (&sent.service, &sent.operation, None),
                        _ => return,
                    };
                    edges.push(Edge {
                        caller,
                        caller_operation,
                        service,
                        operation,
                        call,
                    });
                });
            }
        }
        Self { topology, edges }
    }

    /// Whether requests come in at a service, by that operation or any.
    pub(super) fn is_entry(&self, service: &str, operation: Option<&str>) -> bool {
        let mut entries = self.topology.entries.iter();
        entries.any(|e| e.service == service && operation.is_none_or(|o| e.operation == o))
    }

    /// Caller and callee of every call, more than once where there are several.
    pub(super) fn links(&self) -> impl Iterator<Item = (&'t str, &'t str)> {
        let calls = self.edges.iter().filter(|e| e.call.is_some());
        calls.map(|e| (e.caller.name.as_str(), e.service))
    }

    /// The services that one calls.
    pub(super) fn callees(&self, service: &str) -> BTreeSet<&'t str> {
        let own = self.links().filter(|(caller, _)| *caller == service);
        own.map(|(_, callee)| callee).collect()
    }

    pub(super) fn calls(&self, caller: &str, callee: &str) -> bool {
        self.links().any(|link| link == (caller, callee))
    }

    /// How often a service's operations name another one.
    pub(super) fn asks(&self, service: &str) -> usize {
        let own = self.edges.iter().filter(|e| e.caller.name == service);
        own.count()
    }

    /// Whether a request or message can come from one service to another, or they are the same.
    pub(super) fn reaches(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut todo = vec![from];
        while let Some(service) = todo.pop() {
            for edge in self.edges.iter().filter(|e| e.caller.name == service) {
                if seen.insert(edge.service) {
                    todo.push(edge.service);
                }
            }
        }
        seen.contains(to)
    }

    fn edges_to(
        &self,
        service: &Service,
        operation: &Operation,
    ) -> impl Iterator<Item = &Edge<'t>> {
        let (service, operation) = (service.name.clone(), operation.name.clone());
        let edges = self.edges.iter();
        edges.filter(move |e| e.service == service && e.operation == operation)
    }

    /// Whether an operation is called, and never in another way, nor is where requests come in.
    pub(super) fn is_asked_only(
        &self,
        service: &Service,
        operation: &Operation,
        is_good: impl Fn(&Call) -> bool,
    ) -> bool {
        self.edges_to(service, operation).next().is_some()
            && !self.is_entry(&service.name, Some(&operation.name))
            && self
                .edges_to(service, operation)
                .all(|e| e.call.is_some_and(&is_good))
    }

    /// Whether a failure of an operation always goes up to where the request came in.
    pub(super) fn fails_up_to_entries(&self, service: &Service, operation: &Operation) -> bool {
        let is_plain = |call: &Call| call.retries == 0 && !call.absorbed;
        self.is_entry(&service.name, Some(&operation.name))
            || self.is_asked_only(service, operation, is_plain)
                && self
                    .edges_to(service, operation)
                    .all(|e| self.fails_up_to_entries(e.caller, e.caller_operation))
    }

    /// Whether what a step asks can fail while all is well.
    pub(super) fn can_fail(&self, step: &Step) -> bool {
        let (service, operation) = match step {
            Step::Query(query) => return !query.failures.is_empty(),
            Step::Call(call) => (&call.service, &call.operation),
            _ => return false,
        };
        let called = self.topology.service(service);
        let called = called.and_then(|s| s.operations.iter().find(|o| o.name == *operation));
        called.is_some_and(|called| {
            let mut can_fail = !called.failures.is_empty();
            each_step(&called.steps, &mut |step| can_fail |= self.can_fail(step));
            can_fail
        })
    }
}
