//! Numbers for services, operations and labels, so that the hot loop compares numbers.

use std::hash::BuildHasher as _;

use arrow_array::Array as _;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};

use super::label::{Label, NodeKind, bare_method, normalized};
use super::tree::PathId;
use crate::model::{SpanBatch, TextColumn};
use crate::trace::SpanRef;

const UNRESOLVED: u32 = u32::MAX;
/// The empty text.
pub(super) const EMPTY: u32 = 0;
/// Operations past the cap of a service.
pub(super) const OTHER: &str = "«other»";
/// What OpenTelemetry calls a service that does not say its name.
const UNKNOWN_SERVICE: &str = "unknown_service";
/// Operations of one service that are told apart.
const MAX_OPERATIONS: u32 = 200;

/// A label in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LabelCode {
    pub(super) kind: NodeKind,
    pub(super) is_async: bool,
    pub(super) service: u32,
    pub(super) peer: u32,
    pub(super) operation: u32,
}

/// Texts by number.
#[derive(Debug, Default)]
struct Texts {
    texts: Vec<String>,
    numbers: HashTable<u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        let hasher = FixedState::default();
        let entry = self.numbers.entry(
            hasher.hash_one(text),
            |number| self.texts[*number as usize] == text,
            |number| hasher.hash_one(&self.texts[*number as usize]),
        );
        let number = *entry.or_insert(self.texts.len() as u32).get();
        if number as usize == self.texts.len() {
            self.texts.push(text.to_owned());
        }
        number
    }
}

/// An operation's number, and whether its name says only the method.
#[derive(Debug, Clone, Copy)]
struct Operation {
    text: u32,
    is_bare: bool,
}

/// One batch's columns, and the numbers of their codes.
#[derive(Debug)]
struct BatchCodes {
    service: TextColumn,
    operation: TextColumn,
    services: Vec<u32>,
    operations: Vec<Operation>,
    /// Where the route of a bare method is.
    routes: Vec<TextColumn>,
    /// What a dependency is called, first answer wins.
    dependencies: Vec<TextColumn>,
    /// A database's name, behind that of its system.
    namespaces: Vec<TextColumn>,
}

/// Labels and their texts.
#[derive(Debug)]
pub(super) struct Labeler {
    texts: Texts,
    labels: Vec<LabelCode>,
    /// For every label a hash that does not depend on this labeler; 0 until it is asked for.
    hashes: Vec<u64>,
    numbers: HashMap<LabelCode, u32, FixedState>,
    /// For every operation, the work label it was met with last.
    latest_work: Vec<(LabelCode, u32)>,
    operations_of: HashMap<u32, u32, FixedState>,
    batches: Vec<BatchCodes>,
}

impl Labeler {
    pub(super) fn new(batches: &[SpanBatch]) -> Self {
        let mut texts = Texts::default();
        texts.number("");
        Self {
            texts,
            labels: Vec::new(),
            hashes: Vec::new(),
            numbers: HashMap::default(),
            latest_work: Vec::new(),
            operations_of: HashMap::default(),
            batches: batches.iter().map(BatchCodes::new).collect(),
        }
    }

    /// The service of a span.
    pub(super) fn service(&mut self, at: SpanRef) -> u32 {
        let batch = &mut self.batches[at.batch as usize];
        let Some(code) = batch.service.code(at.row as usize) else {
            return self.texts.number(UNKNOWN_SERVICE);
        };
        let number = &mut batch.services[code];
        if *number == UNRESOLVED {
            *number = self.texts.number(batch.service.values().value(code));
        }
        *number
    }

    /// The operation of a span: its name without ids, with the route where the name says only the method.
    pub(super) fn operation(&mut self, at: SpanRef) -> u32 {
        let (batch, row) = (&mut self.batches[at.batch as usize], at.row as usize);
        let Some(code) = batch.operation.code(row) else {
            return EMPTY;
        };
        let operation = &mut batch.operations[code];
        if operation.text == UNRESOLVED {
            let name = batch.operation.values().value(code);
            *operation = Operation {
                text: self.texts.number(&normalized(name)),
                is_bare: bare_method(name).is_some(),
            };
        }
        if operation.is_bare
            && let Some(route) = batch.routes.iter().find_map(|column| column.text(row))
        {
            let name = batch.operation.values().value(code);
            let method = bare_method(name).unwrap_or(name);
            return self
                .texts
                .number(&format!("{method} {}", normalized(route)));
        }
        operation.text
    }

    /// What the span of a call without a server span calls: the system, host or topic that it names; its operation
    /// where it names none.
    pub(super) fn dependency(&mut self, at: SpanRef) -> u32 {
        let (batch, row) = (&self.batches[at.batch as usize], at.row as usize);
        let Some(name) = batch.dependencies.iter().find_map(|c| c.text(row)) else {
            return self.operation(at);
        };
        match batch.namespaces.iter().find_map(|c| c.text(row)) {
            Some(namespace) => self.texts.number(&format!("{name}/{namespace}")),
            None => self.texts.number(&normalized(name)),
        }
    }

    /// The label of a span that does work.
    pub(super) fn work(&mut self, service: u32, operation: u32, is_async: bool) -> u32 {
        let code = LabelCode {
            kind: NodeKind::Work,
            is_async,
            service,
            peer: EMPTY,
            operation,
        };
        let place = operation as usize;
        if let Some((latest, number)) = self.latest_work.get(place)
            && *latest == code
        {
            return *number;
        }
        let capped = self.within_cap(code);
        let number = self.number(capped);
        if place >= self.latest_work.len() {
            self.latest_work.resize(place + 1, (code, number));
        }
        self.latest_work[place] = (code, number);
        number
    }

    /// The code, or that of the service's other operations where there are too many.
    fn within_cap(&mut self, code: LabelCode) -> LabelCode {
        if self.numbers.contains_key(&code) {
            return code;
        }
        let count = self.operations_of.entry(code.service).or_insert(0);
        if *count < MAX_OPERATIONS {
            *count += 1;
            return code;
        }
        LabelCode {
            operation: self.texts.number(OTHER),
            ..code
        }
    }

    /// The number of any other label.
    pub(super) fn number(&mut self, code: LabelCode) -> u32 {
        let labels = &mut self.labels;
        *self.numbers.entry(code).or_insert_with(|| {
            labels.push(code);
            labels.len() as u32 - 1
        })
    }

    pub(super) fn code(&self, label: u32) -> LabelCode {
        self.labels[label as usize]
    }

    /// A hash of a label's text.
    pub(super) fn hash(&mut self, label: u32) -> u64 {
        let place = label as usize;
        if place >= self.hashes.len() {
            self.hashes.resize(place + 1, 0);
        }
        if self.hashes[place] == 0 {
            self.hashes[place] = PathId::below(None, &self.label(label)).low();
        }
        self.hashes[place]
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn text(&self, number: u32) -> &str {
        &self.texts.texts[number as usize]
    }

    pub(super) fn text_number(&mut self, text: &str) -> u32 {
        self.texts.number(text)
    }

    /// A label in words.
    pub(super) fn label(&self, number: u32) -> Label {
        let code = self.code(number);
        Label {
            kind: code.kind,
            is_async: code.is_async,
            service: self.text(code.service).to_owned(),
            peer: self.text(code.peer).to_owned(),
            operation: self.text(code.operation).to_owned(),
        }
    }
}

impl BatchCodes {
    fn new(batch: &SpanBatch) -> Self {
        let columns = |keys: &[&str]| {
            let of_key = |key: &&str| batch.columns_of(key);
            let columns = keys.iter().flat_map(of_key);
            columns.map(|c| c.column.clone()).collect::<Vec<_>>()
        };
        let unresolved = Operation {
            text: UNRESOLVED,
            is_bare: false,
        };
        Self {
            service: batch.service().clone(),
            operation: batch.operation().clone(),
            services: vec![UNRESOLVED; batch.service().values().len()],
            operations: vec![unresolved; batch.operation().values().len()],
            routes: columns(&["http.route", "url.template"]),
            dependencies: columns(&[
                "peer.service",
                "db.system.name",
                "messaging.destination.name",
                "server.address",
                "rpc.service",
            ]),
            namespaces: columns(&["db.namespace"]),
        }
    }
}
