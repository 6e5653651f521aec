//! What each incident does to a topology.

use super::kind::IncidentKind;
use super::place::Place;
use crate::edit::{Edit, Target};
use crate::steps::{Call, Failure, FailureKind, Step};

/// The edits of an incident at a place where it can happen; none elsewhere.
pub(super) fn edits(kind: IncidentKind, place: &Place, strength: f64) -> Vec<Edit> {
    match place {
        Place::System => Vec::new(),
        Place::Service(service) => at_service(kind, service.clone(), strength),
        Place::Operation { service, operation } => {
            at_operation(kind, service.clone(), operation.clone(), strength)
        }
        Place::Step {
            service,
            operation,
            target,
        } => at_step(
            kind,
            service.clone(),
            operation.clone(),
            target.clone(),
            strength,
        ),
        Place::Dependency { dependency, .. } => vec![Edit::SlowDependency {
            dependency: dependency.clone(),
            factor: 1.0 + 2.0 * strength,
        }],
        Place::Link { caller, callee } => vec![Edit::DelayCalls {
            service: caller.clone(),
            callee: Some(callee.clone()),
            by_us: 5_000.0 * strength,
        }],
    }
}

fn at_service(kind: IncidentKind, service: String, strength: f64) -> Vec<Edit> {
    match kind {
        IncidentKind::SlowService => vec![Edit::SlowWork {
            service,
            factor: 1.0 + strength,
        }],
        IncidentKind::CpuStarvation => vec![
            Edit::SlowWork {
                service: service.clone(),
                factor: 1.0 + 1.5 * strength,
            },
            Edit::DelayCalls {
                service,
                callee: None,
                by_us: 800.0 * strength,
            },
        ],
        IncidentKind::LostInstrumentation => vec![Edit::Silence { service }],
        _ => Vec::new(),
    }
}

fn at_operation(
    kind: IncidentKind,
    service: String,
    operation: String,
    strength: f64,
) -> Vec<Edit> {
    let failure = |probability: f64, kind, exception_type, message| {
        let probability = (probability * strength).min(0.8);
        Failure::new(probability, kind, exception_type, message)
    };
    let failures = |failure| Edit::AddOperationFailure {
        service: service.clone(),
        operation: operation.clone(),
        failure,
    };
    let edit = match kind {
        IncidentKind::RetryStorm => failures(failure(
            0.35,
            FailureKind::Unavailable,
            "PoolExhausted",
            "no worker is free",
        )),
        IncidentKind::ErrorAtOrigin => failures(failure(
            0.08,
            FailureKind::Internal,
            "UnexpectedState",
            "the state is not one of those expected",
        )),
        IncidentKind::AbsorbedError => failures(failure(
            0.25,
            FailureKind::Internal,
            "UnexpectedState",
            "the state is not one of those expected",
        )),
        IncidentKind::EarlyReturn => Edit::ReturnEarly {
            service,
            operation,
            probability: strength.min(1.0),
        },
        IncidentKind::MixShift => Edit::MultiplyEntryWeight {
            service,
            operation,
            factor: 1.0 + 3.0 * strength,
        },
        IncidentKind::Rename => Edit::Rename {
            to: other_name(&operation),
            service,
            operation,
        },
        IncidentKind::Wrap => Edit::Wrap {
            service,
            operation,
            name: "middleware".to_owned(),
        },
        _ => return Vec::new(),
    };
    vec![edit]
}

fn at_step(
    kind: IncidentKind,
    service: String,
    operation: String,
    target: Target,
    strength: f64,
) -> Vec<Edit> {
    let edit = match (kind, target) {
        (
            IncidentKind::AddedCall,
            Target::Call {
                service: callee,
                operation: called,
            },
        ) => {
            // Absorbed, so that the callee's everyday failures do not become those of callers that had none.
            let call = Step::from(Call::new(&callee, &called).absorbed());
            let times = strength.round().max(1.0) as u32;
            Edit::AddStep {
                service,
                operation,
                step: if times == 1 {
                    call
                } else {
                    Step::repeat(times, times, call)
                },
            }
        }
        (IncidentKind::NPlusOne, target) => Edit::RepeatStep {
            service,
            operation,
            target,
            times: 1 + (9.0 * strength).round() as u32,
        },
        (IncidentKind::RemovedCache, target) => Edit::SetProbability {
            service,
            operation,
            target,
            probability: 0.95 * strength.min(1.0),
        },
        _ => return Vec::new(),
    };
    vec![edit]
}

/// Another name that says of the same interface what names must say.
fn other_name(operation: &str) -> String {
    match operation.split_once(' ') {
        Some(("process", destination)) => format!("process {destination}.v2"),
        Some((method, route)) => format!("{method} /v2{route}"),
        None => format!("{operation}V2"),
    }
}
