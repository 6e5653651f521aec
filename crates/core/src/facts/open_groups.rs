//! The groups of a key while traces are added to them, by number and by label.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::group::{BlockTrace, Group, Observation, OpenGroup};

/// Longer values are cut, with a hash of the whole behind them, to name a group.
const MAX_LABEL_BYTES: usize = 256;

/// The groups of a key.
#[derive(Debug, Default)]
pub(super) struct OpenGroups {
    groups: Vec<OpenGroup>,
    labels: Vec<String>,
    by_label: HashMap<String, u32, FixedState>,
    /// Groups that have spans of the current block.
    touched: Vec<u32>,
    /// A buffer to be used again: places in a run, and their groups.
    pub(super) found: Vec<(u32, u32)>,
    /// Spans that were added, to whatever group.
    pub(super) spans: u64,
}

impl OpenGroups {
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The number of a value's group, made where there is none yet.
    #[cold]
    pub(super) fn resolve(&mut self, value: &str) -> u32 {
        let label = label(value);
        match self.by_label.get(&*label) {
            Some(number) => *number,
            None => self.open(label.into_owned(), Group::default()),
        }
    }

    /// Adds a group and gives its number.
    pub(super) fn open(&mut self, label: String, group: Group) -> u32 {
        let number = self.groups.len() as u32;
        self.groups.push(OpenGroup::holding(group));
        self.labels.push(label.clone());
        self.by_label.insert(label, number);
        number
    }

    /// Adds a span to a group.
    #[inline]
    pub(super) fn add(&mut self, number: u32, span: &Observation, traces: &[BlockTrace]) {
        self.spans += 1;
        if self.groups[number as usize].add(span, traces) {
            self.touched.push(number);
        }
    }

    /// Adds the spans at these places, each to its group.
    pub(super) fn add_all(
        &mut self,
        found: &[(u32, u32)],
        spans: &[Observation],
        traces: &[BlockTrace],
    ) {
        for (place, number) in found {
            self.add(*number, &spans[*place as usize], traces);
        }
    }

    /// Ends the traces of the block.
    pub(super) fn end_block(&mut self, traces: &[BlockTrace]) {
        for number in self.touched.drain(..) {
            self.groups[number as usize].end_trace(traces);
        }
    }

    /// Takes all groups out, with their labels.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (String, Group)> {
        self.by_label.clear();
        let groups = self.groups.drain(..).map(OpenGroup::close);
        self.labels.drain(..).zip(groups)
    }
}

/// The name of a group: the value, cut where it is very long.
fn label(value: &str) -> Cow<'_, str> {
    if value.len() <= MAX_LABEL_BYTES {
        return value.into();
    }
    let end = value.floor_char_boundary(MAX_LABEL_BYTES);
    let hash = FixedState::default().hash_one(value);
    format!("{}… ({} bytes, #{hash:016x})", &value[..end], value.len()).into()
}
