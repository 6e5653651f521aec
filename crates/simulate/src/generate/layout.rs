//! How many services there are, in which layers they stand, and who calls whom first.

use crate::random::Random;
use crate::topology::Interface;

/// The outline of a system.
#[derive(Debug)]
pub(super) struct Layout {
    /// Gateways, then the others from the first layer down, then workers.
    pub(super) services: Vec<ServiceSketch>,
    /// In the order of the services, so that callers come before those they call.
    pub(super) operations: Vec<Sketch>,
}

#[derive(Debug)]
pub(super) struct ServiceSketch {
    pub(super) role: Role,
    /// 0 for gateways.
    pub(super) layer: u32,
    pub(super) interface: Interface,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Requests come in here.
    Gateway,
    /// Called by others.
    Inner,
    /// Takes messages from a queue.
    Worker,
}

/// An operation to be.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    pub(super) service: usize,
    /// The operation that calls it, or sends it messages, for certain; others may too.
    pub(super) caller: Option<usize>,
    /// How all its callers treat its failures.
    pub(super) manner: Manner,
}

/// How callers treat failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// They fail too.
    Plain,
    /// They try again, twice.
    Retried,
    /// They go on without.
    Absorbed,
}

impl Layout {
    pub(super) fn draw(random: &mut Random) -> Self {
        let service_count = 8 + random.below(13);
        let worker_count = 1 + u32::from(service_count >= 12 && random.chance(0.5));
        let gateway_count = 1 + u32::from(random.chance(0.4));
        // So that at least as many services are left to make it wide as make it deep.
        let depth = (2 + random.below(5)).min((service_count - 2 - worker_count) / 2);
        let inner_count = service_count - worker_count - gateway_count;
        let mut layers: Vec<u32> = (1..=depth).collect();
        layers.extend((depth..inner_count).map(|_| 1 + random.below(depth)));
        layers.sort_unstable();
        let mut layout = Self {
            services: Vec::new(),
            operations: Vec::new(),
        };
        let mut entry_count = 3 + random.below(4);
        for gateway in 0..gateway_count {
            layout.service(Role::Gateway, 0, Interface::Http);
            let own = entry_count / (gateway_count - gateway);
            entry_count -= own;
            (0..own).for_each(|_| layout.operation(None, Manner::Plain));
        }
        for layer in layers {
            let interface = match random.chance(0.5) {
                true => Interface::Http,
                false => Interface::Grpc,
            };
            layout.service(Role::Inner, layer, interface);
            for _ in 0..1 + random.below(3) {
                let caller = layout.caller_above(layer, random);
                let manner = match random.below(10) {
                    0..6 => Manner::Plain,
                    6..8 => Manner::Retried,
                    _ => Manner::Absorbed,
                };
                layout.operation(caller, manner);
            }
        }
        layout.have_every_manner();
        for _ in 0..worker_count {
            let sender = random.below(layout.operations.len() as u32) as usize;
            layout.service(Role::Worker, depth + 1, Interface::Queue);
            layout.operation(Some(sender), Manner::Plain);
        }
        layout
    }

    fn service(&mut self, role: Role, layer: u32, interface: Interface) {
        self.services.push(ServiceSketch {
            role,
            layer,
            interface,
        });
    }

    /// Gives the service made last an operation.
    fn operation(&mut self, caller: Option<usize>, manner: Manner) {
        self.operations.push(Sketch {
            service: self.services.len() - 1,
            caller,
            manner,
        });
    }

    /// An operation of the layer above, so that layers are as deep as calls. Each service's first goes to the operation
    /// there that calls least so far, so that no layer hangs on one operation alone.
    fn caller_above(&self, layer: u32, random: &mut Random) -> Option<usize> {
        let above: Vec<usize> = (0..self.operations.len())
            .filter(|number| self.layer(*number) == layer - 1)
            .collect();
        let calls_of = |caller: &usize| {
            let callers = self.operations.iter().filter_map(|o| o.caller);
            callers.filter(|c| c == caller).count()
        };
        if random.chance(0.5) {
            return above.into_iter().min_by_key(calls_of);
        }
        let place = random.below(above.len() as u32) as usize;
        above.get(place).copied()
    }

    /// Whatever was drawn, the first three operations below the gateways are of the three manners.
    fn have_every_manner(&mut self) {
        let manners = [Manner::Plain, Manner::Absorbed, Manner::Retried];
        let below = self.operations.iter_mut().filter(|o| o.caller.is_some());
        for (operation, manner) in below.zip(manners) {
            operation.manner = manner;
        }
    }

    pub(super) fn layer(&self, operation: usize) -> u32 {
        self.services[self.operations[operation].service].layer
    }

    pub(super) fn is_entry(&self, operation: usize) -> bool {
        self.operations[operation].caller.is_none()
    }
}
