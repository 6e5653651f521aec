//! A topology made ready to run: names resolved to numbers, attributes of every kind of span put together once.

mod compile;
mod error;
mod graph;
mod instances;
mod names;
mod outcomes;
mod spans;

pub use error::TopologyError;

use crate::property::Value;
use crate::random::Random;
use crate::steps::FailureKind;

/// An attribute that is the same for all spans of a shape or with an outcome.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) key: Box<[u8]>,
    pub(crate) value: Value,
}

fn attribute(key: &str, value: impl Into<Value>) -> Attribute {
    Attribute {
        key: key.as_bytes().into(),
        value: value.into(),
    }
}

/// What all spans made at one place in the topology share.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: Box<[u8]>,
    /// OpenTelemetry's number of the kind.
    pub(crate) kind: u8,
    pub(crate) attributes: Vec<Attribute>,
    /// Properties that the span tells, by number.
    pub(crate) records: Vec<u32>,
}

/// How a span ended, and what that adds to it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) is_error: bool,
    pub(crate) message: Box<[u8]>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) exception: Option<Exception>,
}

/// What an exception event says.
#[derive(Debug)]
pub(crate) struct Exception {
    pub(crate) exception_type: Box<[u8]>,
    pub(crate) message: Box<[u8]>,
}

/// A log-normal time in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    /// Minus infinity for no time at all.
    log_median: f64,
    sigma: f64,
}

impl Time {
    /// When something ends that starts at `at_ns` and takes a time drawn, whose median is multiplied by the
    /// exponential of `log_load`.
    #[inline]
    pub(crate) fn after(self, at_ns: u64, random: &mut Random, log_load: f64) -> u64 {
        if self.log_median == f64::NEG_INFINITY {
            return at_ns;
        }
        let drawn_ns = libm::exp(self.log_median + log_load + self.sigma * random.normal());
        // A double beyond the range of the integer gives the largest integer.
        at_ns.saturating_add(drawn_ns as u64)
    }
}

/// A way to fail, with the outcome of the span that fails.
#[derive(Debug)]
pub(crate) struct FailurePlan {
    pub(crate) probability: f64,
    pub(crate) kind: FailureKind,
    pub(crate) wait: Time,
    pub(crate) outcome: u32,
}

/// Outcomes of a span that has no failure of its own to tell: fine, or failed below.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcomes {
    pub(crate) fine: u32,
    /// By the number of the [`FailureKind`].
    pub(crate) failed: [u32; FailureKind::ALL.len()],
}

impl Outcomes {
    pub(crate) fn of(&self, failed: Option<FailureKind>) -> u32 {
        failed.map_or(self.fine, |kind| self.failed[kind as usize])
    }
}

#[derive(Debug)]
pub(crate) struct OperationPlan {
    pub(crate) service: u32,
    /// Whether its service sends no spans.
    pub(crate) is_silent: bool,
    pub(crate) shape: u32,
    pub(crate) steps: Vec<StepPlan>,
    pub(crate) failures: Vec<FailurePlan>,
    pub(crate) outcomes: Outcomes,
    /// Whether a request that comes here can start another trace.
    pub(crate) starts_traces: bool,
}

#[derive(Debug)]
pub(crate) enum StepPlan {
    Work(Time),
    Internal {
        shape: u32,
        outcomes: Outcomes,
        steps: Vec<StepPlan>,
    },
    Call(CallPlan),
    Query {
        shape: u32,
        outcomes: Outcomes,
        latency: Time,
        failures: Vec<FailurePlan>,
    },
    Produce {
        shape: u32,
        fine: u32,
        operation: u32,
        latency: Time,
        delay: Time,
        new_trace: bool,
    },
    Parallel(Vec<StepPlan>),
    Sequence(Vec<StepPlan>),
    Maybe(f64, Box<StepPlan>),
    Repeat(u32, u32, Box<StepPlan>),
}

#[derive(Debug)]
pub(crate) struct CallPlan {
    pub(crate) shape: u32,
    pub(crate) outcomes: Outcomes,
    pub(crate) operation: u32,
    pub(crate) network: Time,
    pub(crate) retries: u32,
    pub(crate) backoff: Time,
    pub(crate) absorbed: bool,
    /// Whether spans of retries tell which one they are, as HTTP's do.
    pub(crate) counts_resends: bool,
}

/// One instance of a service.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) host: u32,
}

#[derive(Debug)]
pub(crate) struct PropertyPlan {
    pub(crate) key: Box<[u8]>,
    pub(crate) values: ValuesPlan,
}

#[derive(Debug)]
pub(crate) enum ValuesPlan {
    OneOf { values: Vec<Value>, choice: Choice },
    Identifier(Box<[u8]>),
}

/// A choice among a few by weight.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Ascending, the last one 1.
    cumulative: Vec<f64>,
}

impl Choice {
    /// `None` where a weight is negative or not finite, or all are 0.
    fn new(weights: impl Iterator<Item = f64>) -> Option<Self> {
        let mut cumulative = Vec::new();
        let mut sum = 0.0;
        for weight in weights {
            if !(weight.is_finite() && weight >= 0.0) {
                return None;
            }
            sum += weight;
            cumulative.push(sum);
        }
        for bound in &mut cumulative {
            *bound /= sum;
        }
        (sum.is_finite() && sum > 0.0).then_some(Self { cumulative })
    }

    /// The place of the chosen one; always takes one draw.
    #[inline]
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let u = random.unit();
        self.cumulative.partition_point(|bound| *bound <= u)
    }
}

/// A topology made ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) shapes: Vec<Shape>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) operations: Vec<OperationPlan>,
    pub(crate) instances: Vec<Instance>,
    /// For each service, its first instance and how many it has.
    pub(crate) services: Vec<(u32, u32)>,
    pub(crate) hosts: u32,
    pub(crate) properties: Vec<PropertyPlan>,
    /// The operations where requests come in.
    pub(crate) entries: Vec<u32>,
    pub(crate) entry_choice: Choice,
}
