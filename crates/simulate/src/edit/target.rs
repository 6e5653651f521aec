//! What a step asks, by name.

use std::fmt;

use super::apply::unknown;
use crate::plan::TopologyError;
use crate::steps::Step;
use crate::walk::each_step;

/// What an operation asks of another service or of a dependency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A call of another operation.
    Call {
        /// The service called.
        service: String,
        /// Its operation.
        operation: String,
    },
    /// A query of a dependency.
    Query {
        /// The dependency.
        dependency: String,
        /// `SELECT` of a data store, `POST /v2/charges` of a third party.
        operation: String,
    },
}

impl Target {
    /// What a step asks by itself, not by what is inside it.
    pub(crate) fn of(step: &Step) -> Option<Self> {
        match step {
            Step::Call(call) => Some(Self::Call {
                service: call.service.clone(),
                operation: call.operation.clone(),
            }),
            Step::Query(query) => Some(Self::Query {
                dependency: query.dependency.clone(),
                operation: query.operation.clone(),
            }),
            _ => None,
        }
    }

    pub(super) fn is_asked_by(&self, step: &Step) -> bool {
        Self::of(step).is_some_and(|target| target == *self)
    }

    /// Whether it is asked with the probability that this step has.
    pub(super) fn is_asked_inside(&self, step: &Step) -> bool {
        let Step::Maybe { step, .. } = step else {
            return false;
        };
        let mut is_asked = false;
        let steps = std::slice::from_ref(step.as_ref());
        each_step(steps, &mut |step| is_asked |= self.is_asked_by(step));
        is_asked
    }

    pub(super) fn unknown(&self) -> TopologyError {
        unknown("step", &self.to_string())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { service, operation } => write!(f, "{service} {operation}"),
            Self::Query {
                dependency,
                operation,
            } => write!(f, "{dependency} {operation}"),
        }
    }
}
