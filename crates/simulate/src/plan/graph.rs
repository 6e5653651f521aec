//! What follows from who calls whom: which operations can start a trace, and that none calls itself.

use super::error::TopologyError;
use super::{OperationPlan, StepPlan};
use crate::topology::Topology;

/// Marks the operations that can start a trace, and finds those that call themselves.
pub(super) fn mark_trace_starts(
    topology: &Topology,
    operations: &mut [OperationPlan],
) -> Result<(), TopologyError> {
    let mut marks = vec![Mark::Unseen; operations.len()];
    for operation in 0..operations.len() {
        starts_traces(operation, operations, &mut marks).map_err(|cyclic| {
            let all = topology.services.iter();
            let mut names = all.flat_map(|s| s.operations.iter().map(move |o| (s, o)));
            let (service, operation) = names
                .nth(cyclic)
                .map_or_else(Default::default, |(s, o)| (s.name.clone(), o.name.clone()));
            TopologyError::Cycle { service, operation }
        })?;
    }
    for (operation, mark) in operations.iter_mut().zip(marks) {
        operation.starts_traces = mark == Mark::Done(true);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Unseen,
    Open,
    Done(bool),
}

/// Whether the operation can start a trace; the error is an operation that calls itself.
fn starts_traces(
    number: usize,
    operations: &[OperationPlan],
    marks: &mut [Mark],
) -> Result<bool, usize> {
    match marks[number] {
        Mark::Done(starts) => return Ok(starts),
        Mark::Open => return Err(number),
        Mark::Unseen => marks[number] = Mark::Open,
    }
    let mut starts = false;
    let mut todo: Vec<&StepPlan> = operations[number].steps.iter().collect();
    while let Some(step) = todo.pop() {
        match step {
            StepPlan::Work(_) | StepPlan::Query { .. } => {}
            StepPlan::Internal { steps, .. }
            | StepPlan::Parallel(steps)
            | StepPlan::Sequence(steps) => todo.extend(steps),
            StepPlan::Maybe(_, step) | StepPlan::Repeat(_, _, step) => todo.push(step),
            StepPlan::Call(call) => {
                starts |= starts_traces(call.operation as usize, operations, marks)?;
            }
            StepPlan::Produce {
                operation,
                new_trace,
                ..
            } => {
                starts |= new_trace | starts_traces(*operation as usize, operations, marks)?;
            }
        }
    }
    marks[number] = Mark::Done(starts);
    Ok(starts)
}
