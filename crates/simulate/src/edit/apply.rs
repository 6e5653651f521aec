//! What each edit does.

use super::Edit;
use crate::plan::TopologyError;
use crate::property::{Value, Values};
use crate::steps::Step;
use crate::topology::{Operation, Service, Topology};
use crate::walk::{each_step, each_step_mut};

impl Topology {
    /// Changes the topology. An error leaves it as it was.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), TopologyError> {
        match edit {
            Edit::SlowWork { service, factor } => {
                for operation in &mut self.find_service(service)?.operations {
                    each_step_mut(&mut operation.steps, &mut |step| {
                        if let Step::Work(latency) = step {
                            latency.median_us *= factor;
                        }
                    });
                }
            }
            Edit::SlowDependency { dependency, factor } => {
                self.slow_dependency(dependency, *factor)?;
            }
            Edit::DelayCalls {
                service,
                callee,
                by_us,
            } => self.delay_calls(service, callee.as_deref(), *by_us)?,
            Edit::AddFailure { service, failure } => {
                for operation in &mut self.find_service(service)?.operations {
                    operation.failures.push(failure.clone());
                }
            }
            Edit::AddOperationFailure {
                service,
                operation,
                failure,
            } => {
                let operation = self.find_operation(service, operation)?;
                operation.failures.push(failure.clone());
            }
            Edit::AddStep {
                service,
                operation,
                step,
            } => {
                let operation = self.find_operation(service, operation)?;
                operation.steps.push(step.clone());
            }
            Edit::RepeatStep {
                service,
                operation,
                target,
                times,
            } => self.find_operation(service, operation)?.change(
                |step| target.is_asked_by(step),
                |step| {
                    let once = std::mem::replace(step, Step::Sequence(Vec::new()));
                    *step = Step::repeat(*times, *times, once);
                },
                || target.unknown(),
            )?,
            Edit::SetProbability {
                service,
                operation,
                target,
                probability: new,
            } => self.find_operation(service, operation)?.change(
                |step| target.is_asked_inside(step),
                |step| {
                    if let Step::Maybe { probability, .. } = step {
                        *probability = *new;
                    }
                },
                || target.unknown(),
            )?,
            Edit::ReturnEarly {
                service,
                operation,
                probability,
            } => {
                let operation = self.find_operation(service, operation)?;
                let is_work = |step: &Step| matches!(step, Step::Work(_));
                let first = usize::from(operation.steps.first().is_some_and(is_work));
                let rest = operation.steps.split_off(first);
                let rest = Step::maybe(1.0 - probability, Step::Sequence(rest));
                operation.steps.push(rest);
            }
            Edit::Rename {
                service,
                operation,
                to,
            } => self.rename(service, operation, to)?,
            Edit::Wrap {
                service,
                operation,
                name,
            } => {
                let operation = self.find_operation(service, operation)?;
                let steps = std::mem::take(&mut operation.steps);
                operation.steps.push(Step::internal(name, steps));
            }
            Edit::Silence { service } => self.find_service(service)?.is_instrumented = false,
            Edit::MultiplyEntryWeight {
                service,
                operation,
                factor,
            } => {
                let mut entries = self.entries.iter_mut();
                let found = entries.find(|e| e.service == *service && e.operation == *operation);
                let name = || format!("{service} {operation}");
                found.ok_or_else(|| unknown("entry", &name()))?.weight *= factor;
            }
            Edit::SetShare { key, value, share } => self.set_share(key, value, *share)?,
            Edit::SetVersion { service, version } => {
                self.find_service(service)?.version = version.clone();
            }
        }
        Ok(())
    }

    fn find_service(&mut self, name: &str) -> Result<&mut Service, TopologyError> {
        let found = self.service_mut(name);
        found.ok_or_else(|| unknown("service", name))
    }

    pub(super) fn find_operation(
        &mut self,
        service: &str,
        name: &str,
    ) -> Result<&mut Operation, TopologyError> {
        let mut operations = self.find_service(service)?.operations.iter_mut();
        let found = operations.find(|o| o.name == name);
        found.ok_or_else(|| unknown("operation", &format!("{service} {name}")))
    }

    fn slow_dependency(&mut self, name: &str, factor: f64) -> Result<(), TopologyError> {
        if !self.dependencies.iter().any(|d| d.name == name) {
            return Err(unknown("dependency", name));
        }
        for operation in self.services.iter_mut().flat_map(|s| &mut s.operations) {
            each_step_mut(&mut operation.steps, &mut |step| {
                if let Step::Query(query) = step
                    && query.dependency == name
                {
                    query.latency.median_us *= factor;
                }
            });
        }
        Ok(())
    }

    fn delay_calls(
        &mut self,
        service: &str,
        callee: Option<&str>,
        by_us: f64,
    ) -> Result<(), TopologyError> {
        if let Some(callee) = callee {
            self.find_service(callee)?;
        }
        for operation in &mut self.find_service(service)?.operations {
            each_step_mut(&mut operation.steps, &mut |step| match step {
                Step::Call(call) if callee.is_none_or(|callee| call.service == callee) => {
                    call.network.median_us += by_us;
                }
                // There and back again are one time here.
                Step::Query(query) if callee.is_none() => query.latency.median_us += 2.0 * by_us,
                _ => {}
            });
        }
        Ok(())
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
            return Err(unknown("property of a few values", key));
        };
        values.retain(|(v, _)| v != value);
        if share > 0.0 {
            let others: f64 = values.iter().map(|(_, weight)| weight).sum();
            values.push((value.clone(), others * share / (1.0 - share)));
        }
        Ok(())
    }
}

impl Operation {
    /// Changes every step that is meant, of which there must be one.
    fn change(
        &mut self,
        is_meant: impl Fn(&Step) -> bool,
        change: impl Fn(&mut Step),
        error: impl Fn() -> TopologyError,
    ) -> Result<(), TopologyError> {
        let mut is_there = false;
        each_step(&self.steps, &mut |step| is_there |= is_meant(step));
        if !is_there {
            return Err(error());
        }
        each_step_mut(&mut self.steps, &mut |step| {
            if is_meant(step) {
                change(step);
            }
        });
        Ok(())
    }
}

pub(super) fn unknown(what: &'static str, name: &str) -> TopologyError {
    TopologyError::Unknown {
        place: "an edit".to_owned(),
        what,
        name: name.to_owned(),
    }
}
