//! Names that mean nothing: no answer can be read off them.

use super::layout::{Layout, Role};
use crate::random::Random;
use crate::topology::Interface;

const WORDS: [&str; 40] = [
    "amber", "anchor", "aspen", "basalt", "beacon", "birch", "bramble", "canyon", "cedar",
    "cinder", "cobalt", "comet", "coral", "delta", "ember", "fern", "flint", "garnet", "glacier",
    "harbor", "hazel", "indigo", "juniper", "lagoon", "larch", "lichen", "maple", "marble",
    "meadow", "nimbus", "onyx", "orchid", "pebble", "quartz", "raven", "saffron", "tundra",
    "umber", "willow", "zephyr",
];

const NOUNS: [&str; 10] = [
    "record", "sample", "token", "item", "group", "label", "report", "ticket", "note", "profile",
];

#[derive(Debug)]
pub(super) struct Names {
    /// By the number of the service, all different.
    pub(super) services: Vec<String>,
    /// Where nouns begin, so that two systems' operations are not all alike.
    first_noun: usize,
}

impl Names {
    pub(super) fn draw(random: &mut Random, count: usize) -> Self {
        let mut words = WORDS.to_vec();
        let services = (0..count).map(|_| {
            let place = random.below(words.len() as u32) as usize;
            words.swap_remove(place).to_owned()
        });
        Self {
            services: services.collect(),
            first_noun: random.below(NOUNS.len() as u32) as usize,
        }
    }

    fn noun(&self, number: usize) -> &'static str {
        NOUNS[(self.first_noun + number) % NOUNS.len()]
    }

    /// The collection that a service keeps.
    pub(super) fn collection(&self, service: usize) -> String {
        format!("{}s", self.noun(service))
    }

    /// The name of an operation. A service has at most six, so that ten nouns are enough to tell them apart.
    pub(super) fn operation(&self, layout: &Layout, number: usize) -> String {
        let service = layout.operations[number].service;
        let word = &self.services[service];
        let noun = self.noun(number);
        let sketch = &layout.services[service];
        match (sketch.interface, sketch.role) {
            (Interface::Queue, _) => format!("process {word}.{noun}s"),
            (Interface::Http, Role::Gateway) if number % 2 == 1 => format!("POST /{noun}s"),
            (Interface::Http, Role::Gateway) => format!("GET /{noun}s/{{id}}"),
            (Interface::Http, _) => format!("GET /{word}/{noun}s/{{id}}"),
            (Interface::Grpc, _) => {
                format!("{word}.{}/Get{}", capital(word), capital(noun))
            }
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
