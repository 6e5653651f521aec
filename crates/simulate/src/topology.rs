//! A system as data: services, their operations, and what each operation does, step by step.
//!
//! Names refer to names, so that a topology can be written, generated or edited piece by piece;
//! [`Simulation::with_topology`](crate::Simulation::with_topology) resolves them and says which one leads nowhere.

use crate::property::Property;
use crate::steps::{Failure, Step};

/// A system of services.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// `service.namespace` of all services.
    pub namespace: String,
    /// `deployment.environment.name` of all services.
    pub environment: String,
    /// `cloud.availability_zone`: hosts are spread over them in turn.
    pub zones: Vec<String>,
    /// How many hosts carry the instances; each has a clock of its own.
    pub hosts: u32,
    /// The services that send spans.
    pub services: Vec<Service>,
    /// What has no spans of its own: data stores and third parties.
    pub dependencies: Vec<Dependency>,
    /// What is drawn once per request and told by the spans of operations that record it.
    pub properties: Vec<Property>,
    /// Where requests come in.
    pub entries: Vec<Entry>,
}

/// A service: a number of equal instances behind one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// `service.version`; a new one also gives its instances new pods and ids.
    pub version: String,
    /// `telemetry.sdk.language`.
    pub language: String,
    /// How many instances share its calls evenly, at least 1.
    pub instances: u32,
    /// Whether it sends spans. One that does not still works, takes its time and hands on the context that it was
    /// given, so that the spans of those it calls hang under the span of its caller.
    pub is_instrumented: bool,
    /// What it can be asked for.
    pub operations: Vec<Operation>,
}

/// One thing that a service can be asked for; each time it is, it makes a server or consumer span.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The span's name, from which route or method are read: `GET /carts/{cart_id}` over HTTP,
    /// `shop.Catalog/GetProduct` over gRPC, `process orders` from a queue.
    pub name: String,
    /// How it is reached.
    pub interface: Interface,
    /// Keys of the properties that its span tells.
    pub records: Vec<String>,
    /// What it does, one after the other.
    pub steps: Vec<Step>,
    /// How it fails by itself; at most one happens at a time.
    pub failures: Vec<Failure>,
}

/// How an operation is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    /// HTTP: client and server span, `http.*` attributes.
    Http,
    /// gRPC: client and server span, `rpc.*` attributes.
    Grpc,
    /// A message queue: producer and consumer span, `messaging.*` attributes.
    Queue,
}

/// Something called that sends no spans: only the caller's client span tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// `server.address`, and the name by which steps refer to it.
    pub name: String,
    /// `server.port`.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
}

/// What a dependency speaks.
#[derive(Debug, Clone, PartialEq)]
pub enum Protocol {
    /// A data store: `db.*` attributes.
    Database {
        /// `db.system.name`.
        system: String,
        /// `db.namespace`.
        namespace: String,
    },
    /// An HTTP service of somebody else.
    Http,
}

/// Where requests come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The service asked.
    pub service: String,
    /// Its operation.
    pub operation: String,
    /// The entry's share of all requests, relative to the others.
    pub weight: f64,
}

impl Topology {
    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|s| s.name == name)
    }

    pub(crate) fn service_mut(&mut self, name: &str) -> Option<&mut Service> {
        self.services.iter_mut().find(|s| s.name == name)
    }
}

impl Service {
    /// A service of two instances without operations.
    pub fn new(name: &str, version: &str, language: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            language: language.to_owned(),
            instances: 2,
            is_instrumented: true,
            operations: Vec::new(),
        }
    }

    /// With that many instances.
    pub fn instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// With one more operation.
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }
}

impl Operation {
    fn new(interface: Interface, name: &str, steps: Vec<Step>) -> Self {
        Self {
            name: name.to_owned(),
            interface,
            records: Vec::new(),
            steps,
            failures: Vec::new(),
        }
    }

    /// An HTTP operation, named by method and route.
    pub fn http(name: &str, steps: Vec<Step>) -> Self {
        Self::new(Interface::Http, name, steps)
    }

    /// A gRPC operation, named by service and method.
    pub fn grpc(name: &str, steps: Vec<Step>) -> Self {
        Self::new(Interface::Grpc, name, steps)
    }

    /// An operation that takes messages from a queue, named `process` and the destination.
    pub fn queue(name: &str, steps: Vec<Step>) -> Self {
        Self::new(Interface::Queue, name, steps)
    }

    /// Whose span tells these properties.
    pub fn records(mut self, keys: &[&str]) -> Self {
        self.records.extend(keys.iter().map(|k| (*k).to_owned()));
        self
    }

    /// That also fails in this way.
    pub fn fails(mut self, failure: Failure) -> Self {
        self.failures.push(failure);
        self
    }
}

impl Dependency {
    /// A data store.
    pub fn database(name: &str, port: u16, system: &str, namespace: &str) -> Self {
        let protocol = Protocol::Database {
            system: system.to_owned(),
            namespace: namespace.to_owned(),
        };
        Self {
            name: name.to_owned(),
            port,
            protocol,
        }
    }

    /// A third party over HTTPS.
    pub fn http(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            port: 443,
            protocol: Protocol::Http,
        }
    }
}

impl Entry {
    /// An entry with its share of all requests.
    pub fn new(service: &str, operation: &str, weight: f64) -> Self {
        Self {
            service: service.to_owned(),
            operation: operation.to_owned(),
            weight,
        }
    }
}
