//! What can be wrong with a topology.

use thiserror::Error;

/// A topology, or an edit of one, that makes no sense.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum TopologyError {
    /// A name that leads nowhere.
    #[error("{place} names {what} `{name}`, which is not in the topology")]
    Unknown {
        /// Where the name stands.
        place: String,
        /// What it should be.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two things of one name.
    #[error("the topology has {what} `{name}` twice")]
    Twice {
        /// What they are.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// An operation's name from which route, method or destination cannot be read.
    #[error("operation `{name}` of {service} is not named like {expected}")]
    Name {
        /// The service.
        service: String,
        /// The operation's name.
        name: String,
        /// How it should look.
        expected: &'static str,
    },
    /// A call of what can only be reached through a queue, or the other way round.
    #[error("{place} {found} {service} {operation}, which is reached {instead}")]
    Interface {
        /// Where the step stands.
        place: String,
        /// What the step does.
        found: &'static str,
        /// The service.
        service: String,
        /// The operation.
        operation: String,
        /// How it is reached.
        instead: &'static str,
    },
    /// An operation that calls itself, directly or through others: a request might never end.
    #[error("{service} {operation} calls itself, directly or through others")]
    Cycle {
        /// The service.
        service: String,
        /// The operation.
        operation: String,
    },
    /// A number outside its range.
    #[error("{place} is {found}, expected {expected}")]
    Number {
        /// Which number.
        place: String,
        /// What it was.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
}
