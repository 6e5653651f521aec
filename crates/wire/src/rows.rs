//! Rows of a batch as the encoders need them: attributes by where they were attached, rows grouped by what they share.

use std::collections::HashMap;
use std::hash::Hash;

use tracediff_core::model::{Attribute, Origin, SpanBatch, ValueType};

/// A row's attributes. Those read off events are left out: they are copies.
#[derive(Debug, Default)]
pub(crate) struct RowAttributes<'a> {
    pub(crate) resource: Vec<Attribute<'a>>,
    pub(crate) scope: Vec<Attribute<'a>>,
    pub(crate) span: Vec<Attribute<'a>>,
}

impl<'a> RowAttributes<'a> {
    pub(crate) fn of(batch: &'a SpanBatch, row: usize) -> Self {
        let mut split = Self::default();
        for attribute in batch.attributes(row) {
            match attribute.origin {
                Origin::Resource => split.resource.push(attribute),
                Origin::Scope => split.scope.push(attribute),
                Origin::Span => split.span.push(attribute),
                Origin::Event => {}
            }
        }
        split
    }
}

/// What two equal sets of attributes have equal.
pub(crate) type Identity<'a> = Vec<(&'a str, ValueType, &'a str)>;

/// The identity of a resource or scope.
pub(crate) fn identity<'a>(attributes: &[Attribute<'a>]) -> Identity<'a> {
    attributes
        .iter()
        .map(|a| (a.key, a.value_type, a.text))
        .collect()
}

/// The service of a row.
pub(crate) fn service(batch: &SpanBatch, row: usize) -> &str {
    batch.service().text(row).unwrap_or_default()
}

/// Things under keys, in the order in which the keys came.
#[derive(Debug)]
pub(crate) struct Groups<K, T> {
    indices: HashMap<K, usize>,
    groups: Vec<T>,
}

impl<K: Hash + Eq, T> Groups<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            indices: HashMap::new(),
            groups: Vec::new(),
        }
    }

    /// The group of a key and its number.
    pub(crate) fn entry(&mut self, key: K, new: impl FnOnce() -> T) -> (usize, &mut T) {
        let Self { indices, groups } = self;
        let index = *indices.entry(key).or_insert_with(|| {
            groups.push(new());
            groups.len() - 1
        });
        (index, &mut groups[index])
    }

    pub(crate) fn into_groups(self) -> Vec<T> {
        self.groups
    }
}
