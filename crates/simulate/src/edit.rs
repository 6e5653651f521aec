//! Edits: single changes to a topology. A scenario is a list of them, and so is every incident.

mod apply;
mod rename;
mod target;

pub use target::Target;

use crate::property::Value;
use crate::steps::{Failure, Step};

/// One change to a topology.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Multiplies the median of the work that a service does itself; what it waits for stays.
    SlowWork {
        /// The service.
        service: String,
        /// 1.6 is 60 % slower.
        factor: f64,
    },
    /// Multiplies the median of everything that is asked of a dependency, whoever asks.
    SlowDependency {
        /// The dependency.
        dependency: String,
        /// 1.6 is 60 % slower.
        factor: f64,
    },
    /// Adds to the median of each way over the network from a service to others, and back.
    DelayCalls {
        /// The service that calls.
        service: String,
        /// The service called; `None` for every one, and for what is asked of dependencies too.
        callee: Option<String>,
        /// What is added to the median of each way, in microseconds.
        by_us: f64,
    },
    /// Gives every operation of a service one more way to fail.
    AddFailure {
        /// The service.
        service: String,
        /// How it then also fails.
        failure: Failure,
    },
    /// Gives one operation one more way to fail.
    AddOperationFailure {
        /// The service.
        service: String,
        /// Its operation.
        operation: String,
        /// How it then also fails.
        failure: Failure,
    },
    /// Lets an operation do one more thing when it has done the others.
    AddStep {
        /// The service.
        service: String,
        /// Its operation.
        operation: String,
        /// What it also does.
        step: Step,
    },
    /// Lets an operation ask several times, one after the other, each time it asked once.
    RepeatStep {
        /// The service.
        service: String,
        /// Its operation.
        operation: String,
        /// What it asks.
        target: Target,
        /// How many times.
        times: u32,
    },
    /// Sets how often an operation asks what it asks with some probability only.
    SetProbability {
        /// The service.
        service: String,
        /// Its operation.
        operation: String,
        /// What it asks, inside [`Step::Maybe`].
        target: Target,
        /// The new probability.
        probability: f64,
    },
    /// Lets an operation answer, as if all were well, when its first work is done.
    ReturnEarly {
        /// The service.
        service: String,
        /// Its operation.
        operation: String,
        /// How often, from 0 to 1.
        probability: f64,
    },
    /// Gives an operation another name, wherever it is named. Nothing else changes.
    Rename {
        /// The service.
        service: String,
        /// The operation's name so far.
        operation: String,
        /// Its new name.
        to: String,
    },
    /// Puts an internal span that takes no time of its own around all that an operation does.
    Wrap {
        /// The service.
        service: String,
        /// Its operation.
        operation: String,
        /// The name of the span.
        name: String,
    },
    /// Lets a service send no spans any more: see [`Service::is_instrumented`](crate::Service::is_instrumented).
    Silence {
        /// The service.
        service: String,
    },
    /// Multiplies the weight of an entry.
    MultiplyEntryWeight {
        /// The service asked.
        service: String,
        /// Its operation.
        operation: String,
        /// 2 is twice the share relative to the other entries.
        factor: f64,
    },
    /// Sets how often a property has a value; the others keep their proportions. A share of 0 removes the value.
    SetShare {
        /// The property's key.
        key: String,
        /// The value, which need not have been there.
        value: Value,
        /// Its share of all requests, from 0 to below 1.
        share: f64,
    },
    /// Rolls out another version of a service: its instances are replaced, by new pods with new ids.
    SetVersion {
        /// The service.
        service: String,
        /// The new version.
        version: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::Values;
    use crate::topology::Topology;

    fn shares(topology: &Topology, key: &str) -> Vec<(String, f64)> {
        let property = topology.properties.iter().find(|p| p.key == key).unwrap();
        let Values::OneOf(values) = &property.values else {
            panic!("{key} is an identifier");
        };
        let sum: f64 = values.iter().map(|(_, w)| w).sum();
        values.iter().map(|(v, w)| (v.text(), w / sum)).collect()
    }

    fn share_edit(value: &str, share: f64) -> Edit {
        Edit::SetShare {
            key: "app.customer.tier".to_owned(),
            value: value.into(),
            share,
        }
    }

    #[test]
    fn shares_are_set_and_the_others_keep_their_proportions() {
        let mut topology = Topology::shop();
        topology.apply(&share_edit("trial", 0.5)).unwrap();
        let found = shares(&topology, "app.customer.tier");
        let expected = [
            ("free", 0.35),
            ("plus", 0.11),
            ("business", 0.04),
            ("trial", 0.5),
        ];
        for ((name, share), (expected_name, expected_share)) in found.iter().zip(expected) {
            assert_eq!(name, expected_name);
            assert!((share - expected_share).abs() < 1e-12);
        }
        topology.apply(&share_edit("trial", 0.0)).unwrap();
        let original = shares(&Topology::shop(), "app.customer.tier");
        assert_eq!(shares(&topology, "app.customer.tier"), original);
    }

    #[test]
    fn edits_of_what_is_not_there_are_errors_and_change_nothing() {
        let check = |edit: Edit, expected: &str| {
            let mut topology = Topology::shop();
            assert_eq!(topology.apply(&edit).unwrap_err().to_string(), expected);
            assert_eq!(topology, Topology::shop());
        };
        check(
            Edit::SlowWork {
                service: "prizing".to_owned(),
                factor: 2.0,
            },
            "an edit names service `prizing`, which is not in the topology",
        );
        check(
            Edit::SetShare {
                key: "session.id".to_owned(),
                value: "x".into(),
                share: 0.1,
            },
            "an edit names property of a few values `session.id`, which is not in the topology",
        );
        let target = Target::Query {
            dependency: "redis-cart".to_owned(),
            operation: "DROP".to_owned(),
        };
        check(
            Edit::RepeatStep {
                service: "cart".to_owned(),
                operation: "GET /carts/{cart_id}".to_owned(),
                target,
                times: 3,
            },
            "an edit names step `redis-cart DROP`, which is not in the topology",
        );
        check(
            Edit::DelayCalls {
                service: "cart".to_owned(),
                callee: Some("katalog".to_owned()),
                by_us: 1.0,
            },
            "an edit names service `katalog`, which is not in the topology",
        );
        check(
            Edit::MultiplyEntryWeight {
                service: "frontend".to_owned(),
                operation: "GET /none".to_owned(),
                factor: 2.0,
            },
            "an edit names entry `frontend GET /none`, which is not in the topology",
        );
        check(
            share_edit("trial", 1.0),
            "the share of app.customer.tier=trial is 1, expected 0 or more and below 1",
        );
    }
}
