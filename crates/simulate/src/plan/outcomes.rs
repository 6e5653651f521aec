//! How spans end: status, codes and exceptions, as the semantic conventions of HTTP, gRPC, databases and messaging
//! have them.

use super::{Attribute, Exception, FailurePlan, Outcome, Outcomes, Time, attribute};
use crate::steps::{Failure, FailureKind, Latency};
use crate::topology::Interface;

/// Which conventions a span follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Convention {
    HttpServer,
    HttpClient,
    GrpcServer,
    GrpcClient,
    /// Internal, database, producer and consumer spans: no code, an error is an error.
    Plain,
}

impl Convention {
    const ALL: [Self; 5] = [
        Self::HttpServer,
        Self::HttpClient,
        Self::GrpcServer,
        Self::GrpcClient,
        Self::Plain,
    ];

    pub(super) fn server(interface: Interface) -> Self {
        match interface {
            Interface::Http => Self::HttpServer,
            Interface::Grpc => Self::GrpcServer,
            Interface::Queue => Self::Plain,
        }
    }

    pub(super) fn client(interface: Interface) -> Self {
        match interface {
            Interface::Http => Self::HttpClient,
            Interface::Grpc => Self::GrpcClient,
            Interface::Queue => Self::Plain,
        }
    }

    fn code(self, failed: Option<FailureKind>) -> Option<Attribute> {
        match self {
            Self::HttpServer | Self::HttpClient => {
                let status = failed.map_or(200, FailureKind::http_status);
                Some(attribute("http.response.status_code", i64::from(status)))
            }
            Self::GrpcServer | Self::GrpcClient => {
                let status = failed.map_or(0, FailureKind::grpc_status);
                Some(attribute("rpc.grpc.status_code", i64::from(status)))
            }
            Self::Plain => None,
        }
    }

    /// A server's span is an error only where the server is to blame, a client's whenever the call failed.
    fn is_error(self, kind: FailureKind) -> bool {
        let is_server = matches!(self, Self::HttpServer | Self::GrpcServer);
        !is_server || kind.is_server_error()
    }

    fn outcome(self, failed: Option<FailureKind>) -> Outcome {
        let mut attributes: Vec<Attribute> = self.code(failed).into_iter().collect();
        let is_error = failed.is_some_and(|kind| self.is_error(kind));
        if is_error && let Some(code) = attributes.first() {
            let error_type = code.value.text();
            attributes.push(attribute("error.type", &*error_type));
        }
        Outcome {
            is_error,
            message: Box::default(),
            attributes,
            exception: None,
        }
    }

    /// The outcome of the span that fails first.
    fn origin(self, failure: &Failure) -> Outcome {
        let exception_type = failure.exception_type.as_str();
        if exception_type.is_empty() {
            return self.outcome(Some(failure.kind));
        }
        let mut attributes: Vec<Attribute> = self.code(Some(failure.kind)).into_iter().collect();
        attributes.push(attribute("error.type", exception_type));
        let is_error = self.is_error(failure.kind);
        let message: Box<[u8]> = failure.message.as_bytes().into();
        Outcome {
            is_error,
            message: if is_error {
                message.clone()
            } else {
                Box::default()
            },
            attributes,
            exception: Some(Exception {
                exception_type: exception_type.as_bytes().into(),
                message,
            }),
        }
    }
}

/// All outcomes, under construction.
#[derive(Debug)]
pub(super) struct OutcomeTable {
    pub(super) outcomes: Vec<Outcome>,
}

impl OutcomeTable {
    /// The outcomes without failures of their own, of every convention.
    pub(super) fn new() -> Self {
        let mut outcomes = Vec::new();
        for convention in Convention::ALL {
            outcomes.push(convention.outcome(None));
            for kind in FailureKind::ALL {
                outcomes.push(convention.outcome(Some(kind)));
            }
        }
        Self { outcomes }
    }

    pub(super) fn of(&self, convention: Convention) -> Outcomes {
        let fine = convention as u32 * (1 + FailureKind::ALL.len() as u32);
        Outcomes {
            fine,
            failed: FailureKind::ALL.map(|kind| fine + 1 + kind as u32),
        }
    }

    pub(super) fn failures(
        &mut self,
        convention: Convention,
        failures: &[Failure],
    ) -> Vec<FailurePlan> {
        let plan = |failure: &Failure| {
            let outcome = self.outcomes.len() as u32;
            self.outcomes.push(convention.origin(failure));
            FailurePlan {
                probability: failure.probability,
                kind: failure.kind,
                wait: Time::new(failure.wait),
                outcome,
            }
        };
        failures.iter().map(plan).collect()
    }
}

impl Time {
    pub(super) fn new(latency: Latency) -> Self {
        Self {
            log_median: libm::log(latency.median_us * 1e3),
            sigma: latency.sigma,
        }
    }
}
