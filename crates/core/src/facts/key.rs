//! A group-by key: its groups, and what became of values past the cap.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::group::Group;

/// The key whose values are the entry points: service and operation of spans that begin a request.
pub const ENTRY_POINT: &str = "entry_point";
/// The key whose values are the endpoints: service and operation of every span.
pub const ENDPOINT: &str = "endpoint";
/// The key of services.
pub const SERVICE: &str = "service";
/// The key of span names.
pub const OPERATION: &str = "operation";

/// Why a key is in the facts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// An attribute that was found.
    Scanned,
    /// Asked for, or one of the keys that are always there.
    GroupBy,
    /// The entry points.
    EntryPoint,
}

impl KeyRole {
    /// The values that are kept; the rest goes to `other`.
    pub fn cap(self) -> usize {
        match self {
            Self::Scanned => 200,
            Self::GroupBy | Self::EntryPoint => 2_000,
        }
    }
}

/// Values past the cap, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Other {
    /// How often a value was moved here; a value that came again counts again.
    pub values: u64,
    /// Their spans.
    pub spans: u64,
    /// Their failed spans.
    pub errors: u64,
}

/// A key and its groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Why it is here.
    pub role: KeyRole,
    /// The groups by value.
    pub groups: BTreeMap<String, Group>,
    /// Values past the cap.
    pub other: Other,
    /// Spans that have the key.
    pub spans: u64,
    /// Set when nearly every trace has a value of its own: an identifier, of which no groups are kept. Holds the
    /// number of distinct values that were seen before that was clear.
    pub identifier: Option<u64>,
}

impl Key {
    pub(crate) fn new(role: KeyRole) -> Self {
        Self {
            role,
            groups: BTreeMap::new(),
            other: Other::default(),
            spans: 0,
            identifier: None,
        }
    }

    /// Adds another's groups.
    pub(crate) fn merge(&mut self, other: &Self, slice_of: &[usize]) {
        self.role = self.role.max(other.role);
        self.spans += other.spans;
        self.other.values += other.other.values;
        self.other.spans += other.other.spans;
        self.other.errors += other.other.errors;
        self.identifier = match (self.identifier, other.identifier) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        if self.identifier.is_some() {
            self.groups.clear();
            return;
        }
        for (value, group) in &other.groups {
            match self.groups.get_mut(value) {
                Some(mine) => mine.merge(group, slice_of),
                None => {
                    let mut moved = Group::default();
                    moved.merge(group, slice_of);
                    self.groups.insert(value.clone(), moved);
                }
            }
        }
        if self.groups.len() > PRUNE_FACTOR * self.role.cap() {
            self.prune();
        }
    }

    /// Keeps the groups with the most spans, up to the cap, and moves the others to `other`. A scanned key whose
    /// values each occur in one trace or little more becomes an identifier instead.
    pub(crate) fn prune(&mut self) {
        if self.role == KeyRole::Scanned && self.is_identifier_like() {
            self.identifier = Some(self.groups.len() as u64);
            self.groups.clear();
            return;
        }
        let cap = self.role.cap();
        if self.groups.len() <= cap {
            return;
        }
        let mut by_spans: Vec<(u64, &String)> =
            self.groups.iter().map(|(v, g)| (g.spans(), v)).collect();
        by_spans.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let dropped: Vec<String> = by_spans[cap..]
            .iter()
            .map(|(_, value)| (*value).clone())
            .collect();
        for value in dropped {
            if let Some(group) = self.groups.remove(&value) {
                self.other.values += 1;
                self.other.spans += group.spans();
                self.other.errors += group.cells().map(|(_, c)| c.errors).sum::<u64>();
            }
        }
    }

    /// Whether at least [`IDENTIFIER_MIN_VALUES`] values occur in fewer than two traces each on average.
    pub fn is_identifier_like(&self) -> bool {
        let traces: u64 = self.groups.values().map(Group::traces).sum();
        self.groups.len() >= IDENTIFIER_MIN_VALUES && traces < 2 * self.groups.len() as u64
    }
}

/// Groups may outgrow the cap by this factor before they are pruned, so that a value has time to prove itself.
pub(crate) const PRUNE_FACTOR: usize = 4;

/// With fewer distinct values than this a key is never taken for an identifier.
pub const IDENTIFIER_MIN_VALUES: usize = 20;
