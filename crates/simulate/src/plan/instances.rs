//! The instances of services: their resource attributes and hosts. They depend on the topology only, so that two
//! windows of one system have the same pods.

use super::{Attribute, Instance, attribute};
use crate::random::mix;
use crate::topology::{Service, Topology};

/// The instances of all services, in the order of the services.
pub(super) fn instances(topology: &Topology) -> Vec<Instance> {
    let mut instances = Vec::new();
    for (number, service) in topology.services.iter().enumerate() {
        for ordinal in 0..service.instances {
            // Two apart, so that three instances are on three hosts, and with six hosts in three zones.
            let host = (number as u32 + 2 * ordinal) % topology.hosts;
            instances.push(Instance {
                attributes: resource(topology, service, ordinal, host),
                host,
            });
        }
    }
    instances
}

fn resource(topology: &Topology, service: &Service, ordinal: u32, host: u32) -> Vec<Attribute> {
    let release = text_hash(&format!("{}@{}", service.name, service.version));
    let own = mix(release ^ u64::from(ordinal + 1));
    let pod = format!("{}-{:010x}-{:05x}", service.name, release >> 24, own >> 44);
    let high = mix(own);
    let instance_id = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        own >> 32,
        own >> 16 & 0xffff,
        own & 0xfff,
        high >> 52,
        high & 0xffff_ffff_ffff
    );
    let mut attributes = vec![
        attribute("service.name", &*service.name),
        attribute("service.namespace", &*topology.namespace),
        attribute("service.version", &*service.version),
        attribute("service.instance.id", &*instance_id),
        attribute("deployment.environment.name", &*topology.environment),
        attribute("telemetry.sdk.language", &*service.language),
        attribute("k8s.pod.name", &*pod),
        attribute("host.name", &*format!("node-{}", host + 1)),
    ];
    if !topology.zones.is_empty() {
        let zone = &topology.zones[host as usize % topology.zones.len()];
        attributes.push(attribute("cloud.availability_zone", &**zone));
    }
    attributes.push(attribute("tracediff.simulated", true));
    attributes
}

/// FNV-1a, mixed: a text's number, the same everywhere and always.
fn text_hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(hash)
}
