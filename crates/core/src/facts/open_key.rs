//! A key while traces are added to it.

use super::builder::Block;
use super::group::BlockTrace;
use super::key::{Key, KeyRole, PRUNE_FACTOR};
use super::open_groups::OpenGroups;
use super::source::Source;
use crate::model::SpanBatch;

/// A key under construction.
#[derive(Debug)]
pub(super) struct OpenKey {
    name: String,
    key: Key,
    groups: OpenGroups,
    /// Where the key's values are, by batch.
    sources: Vec<Source>,
}

impl OpenKey {
    pub(super) fn new(name: &str, role: KeyRole, batches: &[SpanBatch]) -> Self {
        Self {
            name: name.to_owned(),
            key: Key::new(role),
            groups: OpenGroups::default(),
            sources: batches.iter().map(|b| Source::new(name, b)).collect(),
        }
    }

    /// Folds a block into the groups.
    pub(super) fn fold(&mut self, block: &Block) {
        if self.key.identifier.is_some() {
            return;
        }
        for run in &block.runs {
            self.sources[run.batch].fold(run.spans.clone(), block, &mut self.groups);
        }
    }

    /// Adds a span of the block whose value is in no column.
    pub(super) fn add_other(&mut self, value: &str, place: usize, block: &Block) {
        if self.key.identifier.is_none() {
            let group = self.groups.resolve(value);
            self.groups.add(group, &block.spans[place], &block.traces);
        }
    }

    /// Ends the traces of the block and keeps the groups within bounds.
    pub(super) fn end_block(&mut self, traces: &[BlockTrace]) {
        self.groups.end_block(traces);
        if self.groups.len() > PRUNE_FACTOR * self.key.role.cap() {
            self.key.groups.extend(self.groups.drain());
            self.key.prune();
            self.reopen();
        }
    }

    /// Opens the groups that the key kept, under new numbers.
    fn reopen(&mut self) {
        for source in &mut self.sources {
            source.forget_groups();
        }
        for (label, group) in std::mem::take(&mut self.key.groups) {
            self.groups.open(label, group);
        }
    }

    /// The key's name, and the key.
    pub(super) fn close(mut self) -> (String, Key) {
        self.key.spans = self.groups.spans;
        self.key.groups.extend(self.groups.drain());
        if self.key.groups.len() > self.key.role.cap() {
            self.key.prune();
        }
        (self.name, self.key)
    }
}
