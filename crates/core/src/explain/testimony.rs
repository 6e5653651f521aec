//! Goes through traces once more, for those that questions concern.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::question::{Badness, Question, Subject};
use super::timeline::Timeline;
use crate::facts::{Plan, SERVICE};
use crate::model::{Origin, SpanBatch, TraceId};
use crate::paths::{Label, PathBuilder};
use crate::snapshot::{Pick, Selection};
use crate::trace::{Assembler, SpanRef, Trace, TraceIndex, trace_hash};

/// Traces that are kept for a question on each side.
const CASES: usize = 5_000;
/// Those of them whose times are kept, to find typical ones by.
pub(super) const WITH_TIMES: usize = 1_000;
/// Requests that are kept to be timed again, by question.
const RETIMED: usize = 1_000;
/// Values of an attribute that are told apart, and bytes of a value.
const VALUES: usize = 200;
const VALUE_BYTES: usize = 200;

/// Attributes that say how a span ended: they do not explain that it failed.
const OUTCOMES: [&str; 8] = [
    "error.type",
    "http.response.status_code",
    "rpc.response.status_code",
    "rpc.grpc.status_code",
    "db.response.status_code",
    "exception.type",
    "exception.message",
    "exception.stacktrace",
];

/// A value of an attribute of a service's spans.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Feature {
    pub(super) service: String,
    pub(super) key: String,
    pub(super) value: String,
}

/// A trace that some question concerns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Witness {
    pub(super) trace_id: TraceId,
    pub(super) slice: u32,
    /// Which type of request it is.
    pub(super) request: Option<Label>,
    pub(super) is_complete: bool,
    /// Numbers of features, in order.
    pub(super) features: Vec<u32>,
    /// Logarithms of the time on the critical path by label, in order of labels' hashes; empty where not kept.
    pub(super) times: Vec<(u64, f32)>,
}

/// What a trace says to a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Case {
    /// How long the subject took, in nanoseconds; the longest of several spans, the sum of several nodes.
    pub(super) time_ns: i64,
    pub(super) is_failed: bool,
    /// Whether the subject calls what the question asks about.
    pub(super) calls: bool,
}

/// What one side's traces say to questions. Of each question those with the lowest hashes are kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Testimony {
    pub(super) features: Vec<Feature>,
    pub(super) witnesses: BTreeMap<u64, Witness>,
    /// By question, by the trace's hash.
    pub(super) cases: Vec<BTreeMap<u64, Case>>,
    /// Requests to be timed again, by question, by the trace's hash.
    pub(super) timelines: Vec<BTreeMap<u64, Timeline>>,
}

impl Testimony {
    /// Adds another part's testimony to the same questions.
    pub fn merge(&mut self, other: Self) {
        let mut numbers: HashMap<Feature, u32, FixedState> = HashMap::default();
        for (number, feature) in (0..).zip(&self.features) {
            numbers.insert(feature.clone(), number);
        }
        let renumbered: Vec<u32> = other
            .features
            .into_iter()
            .map(|feature| {
                let next = self.features.len() as u32;
                *numbers.entry(feature.clone()).or_insert_with(|| {
                    self.features.push(feature);
                    next
                })
            })
            .collect();
        merge_lowest(&mut self.cases, other.cases, CASES);
        merge_lowest(&mut self.timelines, other.timelines, RETIMED);
        for (hash, mut witness) in other.witnesses {
            for feature in &mut witness.features {
                *feature = renumbered[*feature as usize];
            }
            witness.features.sort_unstable();
            self.witnesses.insert(hash, witness);
        }
        let cases = &self.cases;
        self.witnesses
            .retain(|hash, _| cases.iter().any(|of| of.contains_key(hash)));
    }
}

/// Merges question by question what is kept of the traces with the lowest hashes.
fn merge_lowest<T>(mine: &mut Vec<BTreeMap<u64, T>>, theirs: Vec<BTreeMap<u64, T>>, most: usize) {
    mine.resize_with(theirs.len(), BTreeMap::new);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        mine.extend(theirs);
        while mine.len() > most {
            mine.pop_last();
        }
    }
}

/// Asks the traces of `part` of `parts` that the selection picks (see [`crate::snapshot::take_part`]). Attributes in
/// `left_out` are passed over.
pub fn ask(
    batches: &[SpanBatch],
    index: &TraceIndex,
    plan: &Plan,
    selection: &Selection,
    questions: &[Question],
    left_out: &BTreeSet<String>,
    (part, parts): (usize, usize),
) -> Testimony {
    let mut traces: Vec<(u64, &[SpanRef])> = index
        .part(part, parts)
        .map(|spans| {
            let first = spans[0];
            let id = batches[first.batch as usize].trace_id(first.row as usize);
            (trace_hash(&id), spans)
        })
        .collect();
    traces.sort_unstable_by_key(|(hash, _)| *hash);
    let mut asking = Asking::new(batches, plan, questions, left_out);
    let mut assembler = Assembler::default();
    for (_, spans) in traces {
        if !asking.may_concern(spans) {
            continue;
        }
        let mut refs = spans.iter().copied();
        if selection.pick(refs.clone()) != Pick::Taken {
            continue;
        }
        asking.observe(&assembler.assemble(batches, &mut refs));
        if asking.is_full() {
            break;
        }
    }
    asking.testimony
}

/// Questions while traces are asked.
struct Asking<'a> {
    batches: &'a [SpanBatch],
    plan: &'a Plan,
    questions: &'a [Question],
    left_out: &'a BTreeSet<String>,
    /// By batch and code of the service, the questions that it may concern; bit by bit.
    wanted: Vec<Vec<u64>>,
    /// Questions that have cases enough, bit by bit.
    full: u64,
    paths: PathBuilder,
    /// What every label is to every question.
    parts_of_labels: Vec<Option<LabelPart>>,
    numbers: HashMap<Feature, u32, FixedState>,
    /// Feature by batch, column, service code and value code; `None` where it is passed over.
    by_code: HashMap<[u32; 4], Option<u32>, FixedState>,
    values: HashMap<(String, String), usize, FixedState>,
    testimony: Testimony,
}

/// What a label is to the questions, bit by bit.
#[derive(Debug, Clone, Copy, Default)]
struct LabelPart {
    subject_of: u64,
    called_in: u64,
    hash: u64,
}

/// The most questions: a bit each.
const MOST: usize = 64;

impl<'a> Asking<'a> {
    fn new(
        batches: &'a [SpanBatch],
        plan: &'a Plan,
        questions: &'a [Question],
        left_out: &'a BTreeSet<String>,
    ) -> Self {
        let questions = &questions[..questions.len().min(MOST)];
        let services: Vec<Vec<&str>> = questions.iter().map(Question::services).collect();
        let of_service = |name: &str| {
            (0..).zip(&services).fold(0u64, |bits, (i, services)| {
                let concerns = services.is_empty() || services.contains(&name);
                bits | u64::from(concerns) << i
            })
        };
        let wanted = batches.iter().map(|batch| {
            let names = batch.service().values().iter();
            names
                .map(|name| of_service(name.unwrap_or_default()))
                .collect()
        });
        Self {
            batches,
            plan,
            questions,
            left_out,
            wanted: wanted.collect(),
            full: 0,
            paths: PathBuilder::new(batches, plan.clocks.clone()),
            parts_of_labels: Vec::new(),
            numbers: HashMap::default(),
            by_code: HashMap::default(),
            values: HashMap::default(),
            testimony: Testimony {
                cases: vec![BTreeMap::new(); questions.len()],
                timelines: vec![BTreeMap::new(); questions.len()],
                ..Testimony::default()
            },
        }
    }

    fn is_full(&self) -> bool {
        self.full.count_ones() as usize == self.questions.len()
    }

    /// Whether some span is of a service that an open question asks about.
    fn may_concern(&self, spans: &[SpanRef]) -> bool {
        spans.iter().any(|span| {
            let batch = span.batch as usize;
            let code = self.batches[batch].service().code(span.row as usize);
            // A span without a service may be anybody's.
            code.is_none_or(|code| self.wanted[batch][code] & !self.full != 0)
        })
    }

    fn observe(&mut self, trace: &Trace<'_>) {
        let Some(slice) = self.plan.slicing.find(trace.start_ns()) else {
            return;
        };
        self.paths.observe(trace, 0, 1.0, |_| {}, |_| {});
        let (mut is_witness, mut keeps_times) = (false, false);
        for number in 0..self.questions.len() {
            if self.full >> number & 1 == 1 {
                continue;
            }
            if let Some(case) = self.case(number, trace) {
                let cases = &mut self.testimony.cases[number];
                cases.insert(trace.hash, case);
                if cases.len() >= CASES {
                    self.full |= 1 << number;
                }
                keeps_times |= cases.len() <= WITH_TIMES;
                is_witness = true;
                self.keep_timeline(number, trace);
            }
        }
        if is_witness {
            let witness = self.witness(trace, slice as u32, keeps_times);
            self.testimony.witnesses.insert(trace.hash, witness);
        }
    }

    fn keep_timeline(&mut self, number: usize, trace: &Trace<'_>) {
        let is_wanted = self.questions[number].retimed().is_some()
            && self.testimony.timelines[number].len() < RETIMED;
        if !is_wanted {
            return;
        }
        let subjects: Vec<bool> = (0..trace.spans.len())
            .map(|index| {
                let label = self.paths.labels()[index];
                self.part_of(label).subject_of >> number & 1 == 1
            })
            .collect();
        if let Some(timeline) = Timeline::of(trace, &self.paths, &subjects) {
            self.testimony.timelines[number].insert(trace.hash, timeline);
        }
    }

    /// What a trace says to a question; `None` where it does not concern it.
    fn case(&mut self, number: usize, trace: &Trace<'_>) -> Option<Case> {
        let mut case = Case {
            time_ns: 0,
            is_failed: false,
            calls: false,
        };
        let mut concerns = false;
        let question = &self.questions[number];
        if let Subject::Node(_) = &question.subject {
            for index in 0..trace.spans.len() {
                let label = self.paths.labels()[index];
                if self.part_of(label).subject_of >> number & 1 == 0 {
                    continue;
                }
                concerns = true;
                case.time_ns += self.paths.parts()[index].exclusive_ns;
                case.is_failed |= trace.spans[index].is_error;
                for place in 0..self.paths.children(index).len() {
                    let child = self.paths.children(index)[place];
                    let label = self.paths.labels()[child as usize];
                    // Any child counts where the question is about none at all.
                    case.calls |= question.badness == Badness::LeavesOut(None)
                        || self.part_of(label).called_in >> number & 1 == 1;
                }
            }
            return concerns.then_some(case);
        }
        for (index, span) in trace.spans.iter().enumerate() {
            if self.is_subject(&question.subject, trace, index) {
                concerns = true;
                let duration_ns = i64::try_from(span.duration_ns).unwrap_or(i64::MAX);
                case.time_ns = case.time_ns.max(duration_ns);
                case.is_failed |= span.is_error;
            }
        }
        concerns.then_some(case)
    }

    fn is_subject(&self, subject: &Subject, trace: &Trace<'_>, index: usize) -> bool {
        let at = trace.spans[index].at;
        let (batch, row) = (&self.batches[at.batch as usize], at.row as usize);
        let service = || batch.service().text(row);
        let operation = || batch.operation().text(row);
        let is_endpoint = |value: &str| match (service(), operation()) {
            (Some(service), Some(operation)) => value
                .strip_prefix(service)
                .and_then(|rest| rest.strip_prefix(": "))
                .is_some_and(|rest| rest == operation),
            _ => false,
        };
        match subject {
            Subject::Node(_) => false,
            Subject::Service(name) => service() == Some(name),
            Subject::Operation(name) => operation() == Some(name),
            Subject::Endpoint(value) => is_endpoint(value),
            Subject::EntryPoint(value) => trace.is_entry(index) && is_endpoint(value),
        }
    }

    /// What a label is to the questions.
    fn part_of(&mut self, number: u32) -> LabelPart {
        let place = number as usize;
        if place >= self.parts_of_labels.len() {
            self.parts_of_labels.resize(place + 1, None);
        }
        if let Some(part) = self.parts_of_labels[place] {
            return part;
        }
        let label = self.paths.label(number);
        let mut part = LabelPart {
            hash: self.paths.label_hash(number),
            ..LabelPart::default()
        };
        for (i, question) in self.questions.iter().enumerate() {
            if let Subject::Node(subject) = &question.subject {
                part.subject_of |= u64::from(label.is_same_call(subject)) << i;
            }
            if let Badness::Calls(child) | Badness::LeavesOut(Some(child)) = &question.badness {
                part.called_in |= u64::from(label.is_same_call(child)) << i;
            }
        }
        self.parts_of_labels[place] = Some(part);
        part
    }

    fn witness(&mut self, trace: &Trace<'_>, slice: u32, keeps_times: bool) -> Witness {
        let mut features = Vec::new();
        let root = trace.root();
        for (index, span) in trace.spans.iter().enumerate() {
            self.add_features(span.at, root == Some(index), &mut features);
        }
        features.sort_unstable();
        features.dedup();
        let mut times: BTreeMap<u64, i64> = BTreeMap::new();
        if keeps_times {
            for index in 0..trace.spans.len() {
                let part = self.part_of(self.paths.labels()[index]);
                *times.entry(part.hash).or_default() += self.paths.parts()[index].critical_ns;
            }
        }
        let times = times.into_iter();
        Witness {
            trace_id: trace.id,
            slice,
            request: root.and_then(|root| self.paths.request_of(root)),
            is_complete: trace.is_complete(),
            features,
            // In units of 0.1 ms, below which nobody looks.
            times: times
                .map(|(label, ns)| (label, (ns as f32 / 1e5).ln_1p()))
                .collect(),
        }
    }

    /// The attributes of a span: of the root, and of services that questions ask about.
    fn add_features(&mut self, at: SpanRef, is_root: bool, into: &mut Vec<u32>) {
        let (batch, row) = (&self.batches[at.batch as usize], at.row as usize);
        let Some(service) = batch.service().code(row) else {
            return;
        };
        if !is_root && self.wanted[at.batch as usize][service] == 0 {
            return;
        }
        // That the service is called at all: what all its spans have in common says no more.
        let code = [at.batch, u32::MAX, service as u32, 0];
        if let Some(called) = self.by_code.get(&code) {
            into.extend(*called);
        } else {
            let name = batch.service().values().value(service);
            let called = self.feature(name, SERVICE, Origin::Resource, name);
            self.by_code.insert(code, called);
            into.extend(called);
        }
        for (column, attribute) in (0..).zip(batch.attribute_columns()) {
            let Some(value) = attribute.column.code(row) else {
                continue;
            };
            let code = [at.batch, column, service as u32, value as u32];
            let feature = match self.by_code.get(&code) {
                Some(feature) => *feature,
                None => {
                    let feature = self.feature(
                        batch.service().values().value(service),
                        &attribute.key,
                        attribute.origin,
                        attribute.column.values().value(value),
                    );
                    self.by_code.insert(code, feature);
                    feature
                }
            };
            into.extend(feature);
        }
    }

    /// The number of a feature; `None` for attributes that explain nothing and values past the cap.
    fn feature(&mut self, service: &str, key: &str, origin: Origin, value: &str) -> Option<u32> {
        let is_outcome = OUTCOMES.contains(&key) || origin == Origin::Event;
        if is_outcome || value.len() > VALUE_BYTES || self.left_out.contains(key) {
            return None;
        }
        let feature = Feature {
            service: service.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        if let Some(number) = self.numbers.get(&feature) {
            return Some(*number);
        }
        let values = self.values.entry((service.to_owned(), key.to_owned()));
        let values = values.or_insert(0);
        if *values >= VALUES {
            return None;
        }
        *values += 1;
        let number = self.testimony.features.len() as u32;
        self.testimony.features.push(feature.clone());
        self.numbers.insert(feature, number);
        Some(number)
    }
}
