//! What a right answer to an incident is.

use super::kind::{Answer, IncidentKind, Measure};
use super::place::Place;
use crate::edit::Target;

/// What a right answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentExpected {
    /// What must be said.
    pub answer: Answer,
    /// Where it comes from; `None` where nothing is to blame.
    pub culprit: Option<Culprit>,
    /// Of what a regression may be told; a regression told of anything else is a false alarm. Empty unless the answer
    /// is [`Answer::Regressed`].
    pub regresses: &'static [Measure],
    /// Whether entry points get worse; where not, a regression told of one is a false alarm.
    pub harms_entries: bool,
}

/// What an incident comes from, as exactly as it can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// The service to look at first.
    pub service: String,
    /// Its operation, where it is one.
    pub operation: Option<String>,
    /// The services on both ends, caller and callee, where it is what one asks of the other.
    pub link: Option<(String, String)>,
    /// What has no spans of its own, where it is what the service asks of that.
    pub dependency: Option<String>,
}

impl IncidentExpected {
    /// Whether a regression must be said.
    pub fn is_regression(&self) -> bool {
        self.answer == Answer::Regressed
    }

    pub(super) fn of(kind: IncidentKind, place: &Place) -> Self {
        let is_blamed = kind.answer() != Answer::NotRegressed;
        Self {
            answer: kind.answer(),
            culprit: is_blamed.then(|| Culprit::at(place)).flatten(),
            regresses: kind.regresses(),
            harms_entries: kind.is_regression() && kind != IncidentKind::AbsorbedError,
        }
    }
}

impl Culprit {
    fn at(place: &Place) -> Option<Self> {
        let service = |service: &str| Self {
            service: service.to_owned(),
            operation: None,
            link: None,
            dependency: None,
        };
        let operation = |of: &str, operation: &str| Self {
            operation: Some(operation.to_owned()),
            ..service(of)
        };
        Some(match place {
            Place::System => return None,
            Place::Service(name) => service(name),
            Place::Operation {
                service,
                operation: name,
            } => operation(service, name),
            // Who asks more often owns what that takes.
            Place::Step {
                service,
                operation: name,
                target,
            } => {
                let culprit = operation(service, name);
                match target {
                    Target::Call {
                        service: callee, ..
                    } => Self {
                        link: Some((service.clone(), callee.clone())),
                        ..culprit
                    },
                    Target::Query { dependency, .. } => Self {
                        dependency: Some(dependency.clone()),
                        ..culprit
                    },
                }
            }
            Place::Dependency {
                service: asker,
                dependency,
            } => Self {
                dependency: Some(dependency.clone()),
                ..service(asker)
            },
            // From spans alone a slow network before a service is a service that is slow to take calls.
            Place::Link { caller, callee } => Self {
                link: Some((caller.clone(), callee.clone())),
                ..service(callee)
            },
        })
    }
}
