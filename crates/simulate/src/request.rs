//! Runs one request through the plan: a depth-first walk over steps that leaves a record for every span.
//!
//! Time here is true time; clocks are wrong only where spans are written. The draws depend on nothing but the plan and
//! the request's own stream.

use tracediff_core::model::TraceId;

use crate::plan::{CallPlan, FailurePlan, Outcomes, Plan, StepPlan, Time};
use crate::random::Random;
use crate::steps::FailureKind;

/// A span before it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) span_id: u64,
    /// 0 at a root.
    pub(crate) parent: u64,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// The number of its trace inside the request.
    pub(crate) trace: u32,
    pub(crate) instance: u32,
    pub(crate) shape: u32,
    pub(crate) outcome: u32,
    /// Which retry a call is; 0 for the first try.
    pub(crate) resend: u32,
    /// Whether its service sends no spans: it happened, and is not written.
    pub(crate) is_silent: bool,
    /// The record that it links to.
    pub(crate) link: Option<u32>,
}

/// Where steps happen.
#[derive(Debug, Clone, Copy)]
struct Frame {
    trace: u32,
    /// The span around them.
    parent: u64,
    service: u32,
    instance: u32,
    is_silent: bool,
}

/// How far steps came.
#[derive(Debug, Clone, Copy)]
struct Progress {
    at_ns: u64,
    failed: Option<FailureKind>,
}

/// One request on its way.
pub(crate) struct Request<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) random: &'a mut Random,
    /// The logarithm of the load factor of each service.
    pub(crate) log_load: &'a [f64],
    /// The logarithm of the request's own factor.
    pub(crate) own_log_load: f64,
    pub(crate) records: &'a mut Vec<Record>,
    pub(crate) traces: &'a mut Vec<TraceId>,
}

impl Request<'_> {
    /// Runs the operation where the request comes in; its trace is the first of `traces`.
    pub(crate) fn run(&mut self, entry: u32, at_ns: u64) {
        self.serve(entry, 0, 0, at_ns, None);
    }

    fn log_load(&self, service: u32) -> f64 {
        self.log_load[service as usize] + self.own_log_load
    }

    /// Starts a span and gives its record's place.
    fn begin(&mut self, frame: Frame, shape: u32, at_ns: u64) -> usize {
        self.records.push(Record {
            span_id: self.random.id(),
            parent: frame.parent,
            start_ns: at_ns,
            end_ns: at_ns,
            trace: frame.trace,
            instance: frame.instance,
            shape,
            outcome: 0,
            resend: 0,
            is_silent: frame.is_silent,
            link: None,
        });
        self.records.len() - 1
    }

    fn end(&mut self, record: usize, at_ns: u64, outcome: u32) {
        self.records[record].end_ns = at_ns;
        self.records[record].outcome = outcome;
    }

    /// What is the parent of spans that start inside this record: its own span, or that around it where it is silent.
    fn parent_inside(&self, frame: Frame, record: usize) -> u64 {
        if frame.is_silent {
            frame.parent
        } else {
            self.records[record].span_id
        }
    }

    /// An operation, as a server or consumer span.
    fn serve(
        &mut self,
        operation: u32,
        trace: u32,
        parent: u64,
        at_ns: u64,
        link: Option<u32>,
    ) -> Progress {
        let plan = self.plan;
        let operation = &plan.operations[operation as usize];
        let (first, count) = plan.services[operation.service as usize];
        let frame = Frame {
            trace,
            parent,
            service: operation.service,
            instance: first + self.random.below(count),
            is_silent: operation.is_silent,
        };
        let record = self.begin(frame, operation.shape, at_ns);
        self.records[record].link = link;
        if let Some(failure) = self.own_failure(&operation.failures) {
            let mut at_ns = at_ns;
            if let Some(time) = first_work(&operation.steps) {
                at_ns = time.after(at_ns, self.random, self.log_load(frame.service));
            }
            at_ns = failure.wait.after(at_ns, self.random, 0.0);
            self.end(record, at_ns, failure.outcome);
            let failed = Some(failure.kind);
            return Progress { at_ns, failed };
        }
        let inside = Frame {
            parent: self.parent_inside(frame, record),
            ..frame
        };
        let done = self.steps(&operation.steps, inside, at_ns);
        self.end(record, done.at_ns, operation.outcomes.of(done.failed));
        done
    }

    /// The way in which something fails by itself this time, if it does.
    fn own_failure<'f>(&mut self, failures: &'f [FailurePlan]) -> Option<&'f FailurePlan> {
        if failures.is_empty() {
            return None;
        }
        let mut u = self.random.unit();
        failures.iter().find(|failure| {
            u -= failure.probability;
            u < 0.0
        })
    }

    fn steps(&mut self, steps: &[StepPlan], frame: Frame, at_ns: u64) -> Progress {
        let mut progress = Progress {
            at_ns,
            failed: None,
        };
        for step in steps {
            progress = self.step(step, frame, progress.at_ns);
            if progress.failed.is_some() {
                break;
            }
        }
        progress
    }

    fn step(&mut self, step: &StepPlan, frame: Frame, at_ns: u64) -> Progress {
        let fine = |at_ns| Progress {
            at_ns,
            failed: None,
        };
        match step {
            StepPlan::Work(time) => {
                let log_load = self.log_load(frame.service);
                fine(time.after(at_ns, self.random, log_load))
            }
            StepPlan::Internal {
                shape,
                outcomes,
                steps,
            } => {
                let record = self.begin(frame, *shape, at_ns);
                let inside = Frame {
                    parent: self.parent_inside(frame, record),
                    ..frame
                };
                let done = self.steps(steps, inside, at_ns);
                self.end(record, done.at_ns, outcomes.of(done.failed));
                done
            }
            StepPlan::Call(call) => self.call(call, frame, at_ns),
            StepPlan::Query {
                shape,
                outcomes,
                latency,
                failures,
            } => {
                let record = self.begin(frame, *shape, at_ns);
                let own_failure = self.own_failure(failures);
                let (time, log_load) = match own_failure {
                    Some(failure) => (failure.wait, 0.0),
                    None => (*latency, self.log_load(frame.service)),
                };
                let at_ns = time.after(at_ns, self.random, log_load);
                let outcome = own_failure.map_or(outcomes.fine, |failure| failure.outcome);
                self.end(record, at_ns, outcome);
                let failed = own_failure.map(|failure| failure.kind);
                Progress { at_ns, failed }
            }
            StepPlan::Produce {
                shape,
                fine: outcome,
                operation,
                latency,
                delay,
                new_trace,
            } => {
                let record = self.begin(frame, *shape, at_ns);
                let sent_ns = latency.after(at_ns, self.random, self.log_load(frame.service));
                self.end(record, sent_ns, *outcome);
                let taken_ns = delay.after(sent_ns, self.random, self.log_load(frame.service));
                let (trace, parent) = if *new_trace {
                    let id = trace_id(self.random);
                    self.traces.push(id);
                    (self.traces.len() as u32 - 1, 0)
                } else {
                    (frame.trace, self.parent_inside(frame, record))
                };
                let link = (!frame.is_silent).then_some(record as u32);
                self.serve(*operation, trace, parent, taken_ns, link);
                fine(sent_ns)
            }
            StepPlan::Parallel(branches) => {
                let mut progress = fine(at_ns);
                for branch in branches {
                    let done = self.step(branch, frame, at_ns);
                    progress.at_ns = progress.at_ns.max(done.at_ns);
                    progress.failed = progress.failed.or(done.failed);
                }
                progress
            }
            StepPlan::Sequence(steps) => self.steps(steps, frame, at_ns),
            StepPlan::Maybe(probability, step) => {
                if self.random.chance(*probability) {
                    self.step(step, frame, at_ns)
                } else {
                    fine(at_ns)
                }
            }
            StepPlan::Repeat(least, most, step) => {
                let spread = (most - least).saturating_add(1);
                let times = least + self.random.below(spread);
                let mut progress = fine(at_ns);
                for _ in 0..times {
                    progress = self.step(step, frame, progress.at_ns);
                    if progress.failed.is_some() {
                        break;
                    }
                }
                progress
            }
        }
    }

    /// A call and its retries, each with a client span of its own.
    fn call(&mut self, call: &CallPlan, frame: Frame, at_ns: u64) -> Progress {
        let mut progress = self.attempt(call, frame, at_ns, 0);
        for resend in 1..=call.retries {
            match progress.failed {
                Some(kind) if kind.is_server_error() => {}
                _ => break,
            }
            let waited_ns = call.backoff.after(progress.at_ns, self.random, 0.0);
            progress = self.attempt(call, frame, waited_ns, resend);
        }
        if call.absorbed {
            progress.failed = None;
        }
        progress
    }

    fn attempt(&mut self, call: &CallPlan, frame: Frame, at_ns: u64, resend: u32) -> Progress {
        let record = self.begin(frame, call.shape, at_ns);
        if call.counts_resends {
            self.records[record].resend = resend;
        }
        let parent = self.parent_inside(frame, record);
        let arrived_ns = call.network.after(at_ns, self.random, 0.0);
        let done = self.serve(call.operation, frame.trace, parent, arrived_ns, None);
        let at_ns = call.network.after(done.at_ns, self.random, 0.0);
        self.end(record, at_ns, Outcomes::of(&call.outcomes, done.failed));
        Progress { at_ns, ..done }
    }
}

/// The work that an operation begins with, which is also done where it then fails: a span around it is no other work.
fn first_work(steps: &[StepPlan]) -> Option<Time> {
    match steps.first()? {
        StepPlan::Work(time) => Some(*time),
        StepPlan::Internal { steps, .. } => first_work(steps),
        _ => None,
    }
}

/// A random trace id, all 16 bytes of it, as W3C trace context level 2 asks for.
pub(crate) fn trace_id(random: &mut Random) -> TraceId {
    let id = u128::from(random.id()) << 64 | u128::from(random.id());
    TraceId(id.to_be_bytes())
}
