//! What the operations of a random system do.

use super::Generator;
use super::layout::{Manner, Role, Sketch};
use super::pick;
use crate::random::Random;
use crate::steps::{Call, Failure, FailureKind, Latency, Produce, Query, Step};
use crate::topology::Dependency;

/// Spans of what is called beside those that must be called: bounds how large a trace grows.
const MAX_EXTRA_SPANS: u32 = 6;

/// So many other services that a gateway's calls can be told from its own slowness.
const GATEWAY_CALLEES: usize = 3;

/// A log-normal draw, kept away from both ends.
fn median_us(random: &mut Random, middle_us: f64, spread: f64) -> f64 {
    let drawn = middle_us * libm::exp(spread * random.normal());
    drawn.clamp(middle_us / 4.0, middle_us * 4.0).round()
}

fn sigma(random: &mut Random) -> f64 {
    0.3 + 0.05 * f64::from(random.below(5))
}

impl Generator {
    fn work(&mut self, middle_us: f64) -> Step {
        let median_us = median_us(&mut self.random, middle_us, 0.6);
        Step::work(median_us, sigma(&mut self.random))
    }

    /// The steps of an operation that others call or where requests come in, and how many spans they leave.
    pub(super) fn steps(&mut self, number: usize, sketch: &Sketch) -> (Vec<Step>, u32) {
        let mut size = 1;
        let mut steps = vec![self.work(1_800.0)];
        if self.layout.services[sketch.service].role == Role::Inner {
            // The first inner operation has a cache that spares much, so that every system has one to lose.
            let is_first = self
                .layout
                .operations
                .iter()
                .position(|o| o.caller.is_some());
            let stores = self.stores(sketch, is_first == Some(number));
            size += stores.len() as u32;
            steps.extend(stores);
        }
        let mut calls = Vec::new();
        for callee in self.callees(number) {
            size += 1 + self.sizes[callee];
            calls.push(self.ask(callee));
        }
        if calls.len() >= 2 && self.random.chance(0.4) {
            steps.push(Step::Parallel(calls));
        } else {
            steps.extend(calls);
        }
        if self.random.chance(0.6) {
            let work = self.work(1_200.0);
            let is_told = self.random.chance(0.5);
            size += u32::from(is_told);
            steps.push(match is_told {
                true => Step::internal("assemble answer", vec![work]),
                false => work,
            });
        }
        (steps, size)
    }

    /// The operations that one calls: those that it must, and now and then one more that is small.
    fn callees(&mut self, number: usize) -> Vec<usize> {
        let of = |caller: usize| {
            let all = self.layout.operations.iter().enumerate();
            all.filter(move |(_, o)| o.caller == Some(caller))
                .map(|(callee, _)| callee)
        };
        let mut callees: Vec<usize> = of(number).collect();
        let layer = self.layout.layer(number);
        let mut others: Vec<usize> = (number + 1..self.layout.operations.len())
            .filter(|other| {
                let service = &self.layout.services[self.layout.operations[*other].service];
                service.role == Role::Inner
                    && service.layer > layer
                    && self.sizes[*other] <= MAX_EXTRA_SPANS
                    && !callees.contains(other)
            })
            .collect();
        let is_first = number == 0;
        while !others.is_empty() {
            let mut services: Vec<usize> = Vec::new();
            services.extend(callees.iter().map(|c| self.layout.operations[*c].service));
            services.sort_unstable();
            services.dedup();
            let lacks = is_first && services.len() < GATEWAY_CALLEES;
            if !lacks && !self.random.chance(0.25) {
                break;
            }
            let other = others.swap_remove(self.random.below(others.len() as u32) as usize);
            if !lacks || !services.contains(&self.layout.operations[other].service) {
                callees.push(other);
            }
        }
        callees
    }

    /// A call of an operation, or a message to it.
    fn ask(&mut self, callee: usize) -> Step {
        let sketch = self.layout.operations[callee].clone();
        let service = self.service_name(&sketch);
        let operation = self.names.operation(&self.layout, callee);
        if self.layout.services[sketch.service].role == Role::Worker {
            return Step::Produce(Produce {
                service,
                operation,
                latency: Latency::new(median_us(&mut self.random, 900.0, 0.3), 0.4),
                delay: Latency::new(median_us(&mut self.random, 60_000.0, 0.5), 0.8),
                new_trace: self.random.chance(0.3),
            });
        }
        let mut call = Call::new(&service, &operation);
        call.network.median_us = median_us(&mut self.random, 300.0, 0.3);
        match sketch.manner {
            Manner::Plain => {}
            Manner::Retried => {
                call.retries = 2;
                call.backoff.median_us = median_us(&mut self.random, 10_000.0, 0.4);
            }
            Manner::Absorbed => call.absorbed = true,
        }
        // The first ones are called always, so that there is something to see at them.
        let is_certain = self.layout.layer(callee) == 1 || self.random.chance(0.75);
        if is_certain {
            call.into()
        } else {
            let probability = 0.5 + 0.1 * f64::from(self.random.below(5));
            Step::maybe(probability, call.into())
        }
    }

    /// What a service asks of its stores and of third parties.
    fn stores(&mut self, sketch: &Sketch, must_have_cache: bool) -> Vec<Step> {
        let service = self.service_name(sketch);
        let collection = self.names.collection(sketch.service);
        match self.random.below(20) {
            _ if must_have_cache => self.cached(&service, &collection, 50_000.0),
            0..7 => self.cached(&service, &collection, 6_000.0),
            7..14 => {
                let verb = pick(&mut self.random, &["SELECT", "SELECT", "UPDATE", "INSERT"]);
                vec![self.query(&service, "db", verb, &collection, 3_000.0)]
            }
            14..16 => vec![self.third_party()],
            _ => Vec::new(),
        }
    }

    /// A look into a cache, and into the store behind it where it is not there.
    fn cached(&mut self, service: &str, collection: &str, middle_us: f64) -> Vec<Step> {
        let look = self.query(service, "cache", "GET", "", 350.0);
        let read = self.query(service, "db", "SELECT", collection, middle_us);
        let miss = 0.05 + 0.05 * f64::from(self.random.below(4));
        vec![look, Step::maybe(miss, read)]
    }

    fn query(
        &mut self,
        service: &str,
        what: &str,
        verb: &str,
        collection: &str,
        middle_us: f64,
    ) -> Step {
        let name = format!("{what}-{service}");
        if !self.dependencies.iter().any(|d| d.name == name) {
            let (port, system) = match (what, self.random.below(3)) {
                ("cache", 0) => (11_211, "memcached"),
                ("cache", _) => (6_379, "redis"),
                (_, 0) => (3_306, "mysql"),
                (_, 1) => (27_017, "mongodb"),
                _ => (5_432, "postgresql"),
            };
            let store = Dependency::database(&name, port, system, service);
            self.dependencies.push(store);
        }
        let median_us = median_us(&mut self.random, middle_us, 0.4);
        Step::query(&name, verb, collection, median_us, sigma(&mut self.random))
    }

    fn third_party(&mut self) -> Step {
        let host = pick(
            &mut self.random,
            &["api.north.example", "api.south.example"],
        );
        if !self.dependencies.iter().any(|d| d.name == host) {
            self.dependencies.push(Dependency::http(host));
        }
        Step::Query(Query {
            dependency: host.to_owned(),
            operation: "POST /v1/lookups".to_owned(),
            collection: String::new(),
            latency: Latency::new(median_us(&mut self.random, 20_000.0, 0.4), 0.35),
            failures: Vec::new(),
        })
    }

    /// What a consumer of messages does.
    pub(super) fn worker_steps(&mut self, sketch: &Sketch) -> (Vec<Step>, u32) {
        let service = self.service_name(sketch);
        let collection = self.names.collection(sketch.service);
        let work = self.work(2_500.0);
        let write = self.query(&service, "db", "INSERT", &collection, 2_500.0);
        (vec![work, write], 2)
    }

    /// How an operation fails while all is well, if it does.
    pub(super) fn failure(&mut self, sketch: &Sketch) -> Option<Failure> {
        let (share, most, kind) = match sketch.manner {
            Manner::Plain => (0.3, 0.003, FailureKind::Internal),
            Manner::Retried => (1.0, 0.02, FailureKind::Unavailable),
            Manner::Absorbed => (0.6, 0.005, FailureKind::Timeout),
        };
        let fails = self.random.chance(share);
        let probability = most * (0.3 + 0.7 * self.random.unit());
        let failure = Failure::new(probability, kind, "UpstreamError", "the request was lost");
        fails.then_some(failure)
    }
}
