//! Walks over steps, whatever they are nested in.

use crate::steps::Step;

/// What is directly inside a step.
fn inside(step: &Step) -> &[Step] {
    match step {
        Step::Internal { steps, .. } | Step::Parallel(steps) | Step::Sequence(steps) => steps,
        Step::Maybe { step, .. } | Step::Repeat { step, .. } => std::slice::from_ref(step.as_ref()),
        Step::Work(_) | Step::Call(_) | Step::Query(_) | Step::Produce(_) => &[],
    }
}

/// Every step, each before what is inside it.
pub(crate) fn each_step<'s>(steps: &'s [Step], visit: &mut impl FnMut(&'s Step)) {
    for step in steps {
        visit(step);
        each_step(inside(step), visit);
    }
}

/// Every step, each after what is inside it, so that it can be put inside another.
pub(crate) fn each_step_mut(steps: &mut [Step], visit: &mut impl FnMut(&mut Step)) {
    for step in steps {
        match step {
            Step::Internal { steps, .. } | Step::Parallel(steps) | Step::Sequence(steps) => {
                each_step_mut(steps, visit);
            }
            Step::Maybe { step, .. } | Step::Repeat { step, .. } => {
                each_step_mut(std::slice::from_mut(step.as_mut()), visit);
            }
            Step::Work(_) | Step::Call(_) | Step::Query(_) | Step::Produce(_) => {}
        }
        visit(step);
    }
}
