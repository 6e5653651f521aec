//! Edits: single changes to a topology. A scenario is a list of them, and so is every incident to come.

use crate::plan::TopologyError;
use crate::property::{Value, Values};
use crate::steps::{Failure, Step};
use crate::topology::{Operation, Topology};

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
    /// Gives every operation of a service one more way to fail.
    AddFailure {
        /// The service.
        service: String,
        /// How it then also fails.
        failure: Failure,
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

impl Topology {
    /// Changes the topology. An error leaves it as it was.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), TopologyError> {
        match edit {
            Edit::SlowWork { service, factor } => {
                for operation in self.operations_of(service)? {
                    slow_work(&mut operation.steps, *factor);
                }
            }
            Edit::AddFailure { service, failure } => {
                for operation in self.operations_of(service)? {
                    operation.failures.push(failure.clone());
                }
            }
            Edit::SetShare { key, value, share } => self.set_share(key, value, *share)?,
            Edit::SetVersion { service, version } => {
                let found = self.service_mut(service);
                found.ok_or_else(|| unknown_service(service))?.version = version.clone();
            }
        }
        Ok(())
    }

    fn operations_of(&mut self, service: &str) -> Result<&mut [Operation], TopologyError> {
        let found = self.service_mut(service);
        Ok(&mut found.ok_or_else(|| unknown_service(service))?.operations)
    }

    fn set_share(&mut self, key: &str, value: &Value, share: f64) -> Result<(), TopologyError> {
        if !(0.0..1.0).contains(&share) {
            return Err(TopologyError::Number {
                place: format!("the share of {key}={}", value.text()),
                found: share,
                expected: "0 or more and below 1",
            });
        }
        let property = self.properties.iter_mut().find(|p| p.key == key);
        let Some(Values::OneOf(values)) = property.map(|p| &mut p.values) else {
            return Err(TopologyError::Unknown {
                place: "an edit".to_owned(),
                what: "property of a few values",
                name: key.to_owned(),
            });
        };
        values.retain(|(v, _)| v != value);
        if share > 0.0 {
            let others: f64 = values.iter().map(|(_, weight)| weight).sum();
            values.push((value.clone(), others * share / (1.0 - share)));
        }
        Ok(())
    }
}

fn unknown_service(name: &str) -> TopologyError {
    TopologyError::Unknown {
        place: "an edit".to_owned(),
        what: "service",
        name: name.to_owned(),
    }
}

fn slow_work(steps: &mut [Step], factor: f64) {
    for step in steps {
        match step {
            Step::Work(latency) => latency.median_us *= factor,
            Step::Internal { steps, .. } | Step::Parallel(steps) | Step::Sequence(steps) => {
                slow_work(steps, factor);
            }
            Step::Maybe { step, .. } | Step::Repeat { step, .. } => {
                slow_work(std::slice::from_mut(step.as_mut()), factor);
            }
            Step::Call(_) | Step::Query(_) | Step::Produce(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        check(
            share_edit("trial", 1.0),
            "the share of app.customer.tier=trial is 1, expected 0 or more and below 1",
        );
    }
}
