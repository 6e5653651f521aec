//! Scenarios: what can be wrong with the shop, and what a right answer is.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::edit::Edit;
use crate::property::Value;
use crate::steps::{Failure, FailureKind};

/// What is wrong with the shop, against the healthy one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scenario {
    /// Nothing.
    #[default]
    Healthy,
    /// Pricing's own work takes longer.
    SlowService,
    /// Payment fails more, with an exception not seen before.
    FailingService,
    /// Customers pay in a way not seen before.
    NewValue,
    /// Customers no longer pay in one of the ways.
    RemovedValue,
    /// A service runs in another version that behaves as the one before.
    NewVersion,
}

/// A text that names no scenario.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no scenario `{0}`, expected one of {list}", list = Scenario::names())]
pub struct UnknownScenario(pub String);

impl Scenario {
    /// Every scenario.
    pub const ALL: [Self; 6] = [
        Self::Healthy,
        Self::SlowService,
        Self::FailingService,
        Self::NewValue,
        Self::RemovedValue,
        Self::NewVersion,
    ];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::SlowService => "slow-service",
            Self::FailingService => "failing-service",
            Self::NewValue => "new-value",
            Self::RemovedValue => "removed-value",
            Self::NewVersion => "new-version",
        }
    }

    /// One line on what it does at a strength of 1.
    pub fn description(self) -> &'static str {
        match self {
            Self::Healthy => "nothing is wrong",
            Self::SlowService => "pricing's own work takes 60 % longer",
            Self::FailingService => {
                "payment fails in 6 % of its calls instead of 0.3 %, with the new exception PaymentTimeout"
            }
            Self::NewValue => "8 % of customers pay by app.payment.method=wallet, which is new",
            Self::RemovedValue => {
                "nobody pays by app.payment.method=invoice any more, which 13 % did"
            }
            Self::NewVersion => {
                "catalog goes from 1.4.2 to 1.5.0 on new pods and behaves as before"
            }
        }
    }

    /// What it does to [`Topology::shop`](crate::Topology::shop). Strength 0 does nothing.
    pub fn edits(self, strength: f64) -> Vec<Edit> {
        if strength <= 0.0 {
            return Vec::new();
        }
        match self {
            Self::Healthy => Vec::new(),
            Self::SlowService => vec![Edit::SlowWork {
                service: "pricing".to_owned(),
                factor: 1.0 + 0.6 * strength,
            }],
            Self::FailingService => vec![Edit::AddFailure {
                service: "payment".to_owned(),
                failure: Failure::new(
                    (0.057 * strength).min(0.99),
                    FailureKind::Timeout,
                    "PaymentTimeout",
                    "the card processor did not answer in time",
                )
                .after(150_000.0, 0.1),
            }],
            Self::NewValue => vec![payment_share("wallet", (0.08 * strength).min(0.99))],
            Self::RemovedValue => {
                vec![payment_share("invoice", (0.13 * (1.0 - strength)).max(0.0))]
            }
            Self::NewVersion => vec![Edit::SetVersion {
                service: "catalog".to_owned(),
                version: "1.5.0".to_owned(),
            }],
        }
    }

    /// What a right answer to "what changed?" is, from the healthy shop to this one at a strength of 1.
    pub fn expected(self) -> Expected {
        let healthy = Expected {
            is_regression: false,
            culprit: None,
            changes: Vec::new(),
            affected_services: &[],
        };
        match self {
            Self::Healthy => healthy,
            Self::SlowService => Expected {
                is_regression: true,
                culprit: Some("pricing"),
                changes: vec![expected(Change::Slower, "service", "pricing")],
                affected_services: &["pricing", "checkout", "frontend"],
            },
            Self::FailingService => Expected {
                is_regression: true,
                culprit: Some("payment"),
                changes: vec![
                    expected(Change::MoreErrors, "service", "payment"),
                    expected(Change::New, "exception.type", "PaymentTimeout"),
                ],
                // From shipping on they are called less, because an order that is not paid for stops there.
                affected_services: &[
                    "payment",
                    "checkout",
                    "frontend",
                    "shipping",
                    "cart",
                    "inventory",
                    "order-processor",
                    "email-worker",
                ],
            },
            Self::NewValue => Expected {
                changes: vec![expected(Change::New, "app.payment.method", "wallet")],
                ..healthy
            },
            Self::RemovedValue => Expected {
                changes: vec![expected(Change::Missing, "app.payment.method", "invoice")],
                ..healthy
            },
            Self::NewVersion => Expected {
                changes: vec![
                    expected(Change::New, "service.version", "1.5.0"),
                    expected(Change::Missing, "service.version", "1.4.2"),
                ],
                ..healthy
            },
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

fn payment_share(method: &str, share: f64) -> Edit {
    Edit::SetShare {
        key: "app.payment.method".to_owned(),
        value: Value::from(method),
        share,
    }
}

fn expected(change: Change, key: &'static str, value: &'static str) -> ExpectedChange {
    ExpectedChange { change, key, value }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(text: &str) -> Result<Self, UnknownScenario> {
        let found = Self::ALL.into_iter().find(|s| s.name() == text);
        found.ok_or_else(|| UnknownScenario(text.to_owned()))
    }
}

/// What a right answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Whether something got worse.
    pub is_regression: bool,
    /// The service to look at first; `None` where no service is to blame.
    pub culprit: Option<&'static str>,
    /// The changes that must be found.
    pub changes: Vec<ExpectedChange>,
    /// The services whose rate, errors or durations truly change, the culprit first: a change told of any other is a
    /// false alarm. New pods and instance ids of a service in a new version are true too, and not listed.
    pub affected_services: &'static [&'static str],
}

/// A change that must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedChange {
    /// What happened to the group.
    pub change: Change,
    /// The group-by key: `service` or an attribute's key.
    pub key: &'static str,
    /// The key's value.
    pub value: &'static str,
}

/// What happened to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is in the candidate only.
    New,
    /// It is in the baseline only.
    Missing,
    /// Its spans take longer.
    Slower,
    /// More of its spans fail.
    MoreErrors,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn names_lead_to_scenarios() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse(), Ok(scenario));
        }
        assert_eq!(
            "slow".parse::<Scenario>().unwrap_err().to_string(),
            "no scenario `slow`, expected one of healthy, slow-service, failing-service, new-value, removed-value, \
             new-version"
        );
    }

    #[test]
    fn every_scenario_but_healthy_changes_the_shop() {
        for scenario in Scenario::ALL {
            let mut topology = Topology::shop();
            for edit in scenario.edits(1.0) {
                topology.apply(&edit).unwrap();
            }
            let is_healthy = scenario == Scenario::Healthy;
            assert_eq!(topology == Topology::shop(), is_healthy, "{scenario}");
            assert_eq!(scenario.edits(0.0), []);
            let expected = scenario.expected();
            assert_eq!(expected.changes.is_empty(), is_healthy, "{scenario}");
            for service in expected.affected_services {
                assert!(topology.service(service).is_some(), "{service}");
            }
        }
    }
}
