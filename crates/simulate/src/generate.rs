//! Random systems: topologies drawn from a seed, for evaluations that must not learn one shop by heart.
//!
//! Services stand in layers and call downwards only, so that no operation calls itself. They are made from the lowest
//! layer up: when an operation is made, what it may call is known, and so is how many spans that costs.

mod layout;
mod names;
mod steps;

use layout::{Layout, Role, Sketch};
use names::Names;

use crate::load::stream;
use crate::property::Property;
use crate::random::{Random, Streams};
use crate::topology::{Dependency, Entry, Interface, Operation, Service, Topology};

impl Topology {
    /// A system of 8 to 20 services that depends on nothing but the seed: calls 2 to 6 services deep, three to six
    /// entry points, data stores, caches and third parties without spans, one or two consumers of messages, calls that
    /// are tried again and calls whose failure is absorbed. `docs/simulator.md` says what is drawn how.
    pub fn random(seed: u64) -> Self {
        let mut random = Streams::new(seed).stream(stream::TOPOLOGY);
        let layout = Layout::draw(&mut random);
        let names = Names::draw(&mut random, layout.services.len());
        Generator {
            operations: layout.operations.iter().map(|_| None).collect(),
            sizes: vec![0; layout.operations.len()],
            random,
            layout,
            names,
            dependencies: Vec::new(),
        }
        .topology()
    }
}

struct Generator {
    random: Random,
    layout: Layout,
    names: Names,
    /// Those made so far, by the number of their sketch.
    operations: Vec<Option<Operation>>,
    /// How many spans a call of each leaves, about.
    sizes: Vec<u32>,
    dependencies: Vec<Dependency>,
}

const PLAN: &str = "app.plan";
const REGION: &str = "app.region";
const TENANT: &str = "app.tenant.id";
const REQUEST: &str = "app.request.id";

impl Generator {
    fn topology(mut self) -> Topology {
        // Callers come before those they call, so that the other way round everything called is there.
        for number in (0..self.layout.operations.len()).rev() {
            let operation = self.operation(number);
            self.operations[number] = Some(operation);
        }
        let entries = self.entries();
        let services = self.services();
        Topology {
            namespace: "random".to_owned(),
            environment: "test".to_owned(),
            zones: (1..=1 + self.random.below(3))
                .map(|n| format!("zone-{n}"))
                .collect(),
            hosts: 4 + self.random.below(7),
            services,
            dependencies: self.dependencies,
            properties: vec![
                Property::one_of(PLAN, &[("basic", 60.0), ("team", 30.0), ("scale", 10.0)]),
                Property::one_of(REGION, &[("north", 45.0), ("south", 35.0), ("west", 20.0)]),
                Property::ranked(TENANT, "tenant-", 40),
                Property::identifier(REQUEST, "req-"),
            ],
            entries,
        }
    }

    fn operation(&mut self, number: usize) -> Operation {
        let sketch = self.layout.operations[number].clone();
        let (steps, size) = match self.layout.services[sketch.service].role {
            Role::Worker => self.worker_steps(&sketch),
            Role::Gateway | Role::Inner => self.steps(number, &sketch),
        };
        self.sizes[number] = size;
        let name = self.names.operation(&self.layout, number);
        let interface = self.layout.services[sketch.service].interface;
        let mut operation = match interface {
            Interface::Http => Operation::http(&name, steps),
            Interface::Grpc => Operation::grpc(&name, steps),
            Interface::Queue => Operation::queue(&name, steps),
        };
        if self.layout.is_entry(number) {
            operation = operation.records(&[PLAN, REGION, TENANT, REQUEST]);
        } else if self.random.chance(0.4) {
            operation = operation.records(&[PLAN, TENANT]);
        }
        operation.failures.extend(self.failure(&sketch));
        operation
    }

    fn services(&mut self) -> Vec<Service> {
        const LANGUAGES: [&str; 8] = [
            "go", "java", "python", "nodejs", "dotnet", "rust", "ruby", "php",
        ];
        let mut services: Vec<Service> = Vec::new();
        for number in 0..self.layout.services.len() {
            let language = pick(&mut self.random, &LANGUAGES);
            let version = format!(
                "{}.{}.{}",
                1 + self.random.below(5),
                self.random.below(20),
                self.random.below(10)
            );
            let mut service = Service::new(&self.names.services[number], &version, language)
                .instances(1 + self.random.below(4));
            let own = self.layout.operations.iter().zip(&mut self.operations);
            let own = own.filter(|(sketch, _)| sketch.service == number);
            service.operations.extend(own.filter_map(|(_, o)| o.take()));
            services.push(service);
        }
        services
    }

    fn entries(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (sketch, operation) in self.layout.operations.iter().zip(&self.operations) {
            let Some(operation) = operation else { continue };
            if self.layout.services[sketch.service].role == Role::Gateway {
                let service = &self.names.services[sketch.service];
                let weight = 8.0 + f64::from(self.random.below(33));
                entries.push(Entry::new(service, &operation.name, weight));
            }
        }
        entries
    }

    /// The name of a sketch's service.
    fn service_name(&self, sketch: &Sketch) -> String {
        self.names.services[sketch.service].clone()
    }
}

/// One of a few, all equally likely.
fn pick<'a>(random: &mut Random, items: &[&'a str]) -> &'a str {
    let place = random.below(items.len() as u32);
    items.get(place as usize).copied().unwrap_or_default()
}
