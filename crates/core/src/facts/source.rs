//! Where a key's values are in one batch, and the group of every value there.

use std::ops::Range;

use arrow_array::Array as _;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::builder::Block;
use super::group::Observation;
use super::key::{ENDPOINT, ENTRY_POINT, OPERATION, SERVICE};
use super::open_groups::OpenGroups;
use crate::model::{SpanBatch, TextColumn};

const UNRESOLVED: u32 = u32::MAX;

/// Where a key's values are in one batch.
#[derive(Debug)]
pub(super) enum Source {
    Absent,
    /// Columns to look into, first answer wins.
    Columns(Vec<Column>),
    Endpoints(Box<Endpoints>),
}

/// Pairs of service and operation codes, with their groups.
#[derive(Debug)]
pub(super) struct Endpoints {
    service: TextColumn,
    operation: TextColumn,
    groups: HashMap<(u32, u32), u32, FixedState>,
    /// For every operation, the service it was met with last, and their group.
    latest: Vec<(u32, u32)>,
    /// Whether only spans that begin a request count.
    entries_only: bool,
}

impl Endpoints {
    #[inline]
    fn group(&mut self, row: u32, span: &Observation, groups: &mut OpenGroups) -> Option<u32> {
        if self.entries_only && !span.is_entry {
            return None;
        }
        let at = row as usize;
        let (s, o) = (self.service.code(at)?, self.operation.code(at)?);
        let resolve = || {
            groups.resolve(&endpoint(
                self.service.values().value(s),
                self.operation.values().value(o),
            ))
        };
        let pair = (s as u32, o as u32);
        // Most operations belong to one service.
        let latest = &mut self.latest[o];
        if latest.0 != pair.0 {
            *latest = (pair.0, *self.groups.entry(pair).or_insert_with(resolve));
        }
        Some(latest.1)
    }
}

/// A column with the group of every code.
#[derive(Debug)]
pub(super) struct Column {
    texts: TextColumn,
    /// Made when the first row is looked at.
    groups: Vec<u32>,
}

impl Column {
    /// The group of a row; `None` where the row has no value.
    #[inline]
    fn group(&mut self, row: u32, into: &mut OpenGroups) -> Option<u32> {
        let code = self.texts.code(row as usize)?;
        Some(self.group_of_code(code, into))
    }

    #[inline]
    fn group_of_code(&mut self, code: usize, into: &mut OpenGroups) -> u32 {
        let mut group = self.groups[code];
        if group == UNRESOLVED {
            group = into.resolve(self.texts.values().value(code));
            self.groups[code] = group;
        }
        group
    }

    fn open(&mut self) {
        if self.groups.is_empty() {
            self.groups.resize(self.texts.values().len(), UNRESOLVED);
        }
    }

    /// Writes the places of all rows that have a value, and their codes, to the beginning of `found`, and gives their
    /// number.
    fn find(&self, rows: &[u32], found: &mut Vec<(u32, u32)>) -> usize {
        if found.len() < rows.len() {
            found.resize(rows.len(), (0, 0));
        }
        let codes = self.texts.codes();
        let places = (0..).zip(rows);
        let Some(nulls) = self.texts.nulls() else {
            for ((place, row), found) in places.zip(found) {
                *found = (place, codes[*row as usize] as u32);
            }
            return rows.len();
        };
        // Written at every row and kept at some: which rows have a value is hard to foretell for a branch.
        let mut count = 0;
        for (place, row) in places {
            found[count] = (place, codes[*row as usize] as u32);
            count += usize::from(nulls.is_valid(*row as usize));
        }
        count
    }
}

impl Source {
    pub(super) fn new(key: &str, batch: &SpanBatch) -> Self {
        let column = |texts: &TextColumn| Column {
            texts: texts.clone(),
            groups: Vec::new(),
        };
        let endpoints = |entries_only| {
            Self::Endpoints(Box::new(Endpoints {
                service: batch.service().clone(),
                operation: batch.operation().clone(),
                groups: HashMap::default(),
                latest: vec![(UNRESOLVED, UNRESOLVED); batch.operation().values().len()],
                entries_only,
            }))
        };
        match key {
            SERVICE => Self::Columns(vec![column(batch.service())]),
            OPERATION => Self::Columns(vec![column(batch.operation())]),
            ENTRY_POINT => endpoints(true),
            ENDPOINT => endpoints(false),
            _ => {
                let columns = batch.columns_of(key);
                if columns.is_empty() {
                    return Self::Absent;
                }
                Self::Columns(columns.iter().map(|c| column(&c.column)).collect())
            }
        }
    }

    /// Adds the spans of a run, which must be of this source's batch, to the groups of their values.
    pub(super) fn fold(&mut self, run: Range<usize>, block: &Block, into: &mut OpenGroups) {
        let (rows, spans) = (&block.rows[run.clone()], &block.spans[run]);
        let mut found = std::mem::take(&mut into.found);
        let count = self.find(rows, spans, &mut found, into);
        into.add_all(&found[..count], spans, &block.traces);
        into.found = found;
    }

    /// Writes the places of all rows that have a value, and their groups, to the beginning of `found`, and gives their
    /// number.
    fn find(
        &mut self,
        rows: &[u32],
        spans: &[Observation],
        found: &mut Vec<(u32, u32)>,
        groups: &mut OpenGroups,
    ) -> usize {
        match self {
            Self::Absent => return 0,
            Self::Columns(columns) => {
                columns.iter_mut().for_each(Column::open);
                if let [column] = &mut columns[..] {
                    let count = column.find(rows, found);
                    for (_, code) in &mut found[..count] {
                        *code = column.group_of_code(*code as usize, groups);
                    }
                    return count;
                }
                found.clear();
                for (place, row) in (0..).zip(rows) {
                    let group = columns.iter_mut().find_map(|c| c.group(*row, groups));
                    found.extend(group.map(|group| (place, group)));
                }
            }
            Self::Endpoints(endpoints) => {
                found.clear();
                for (place, (row, span)) in (0..).zip(rows.iter().zip(spans)) {
                    let group = endpoints.group(*row, span, groups);
                    found.extend(group.map(|group| (place, group)));
                }
            }
        }
        found.len()
    }

    /// Forgets the groups of all values, because they have new numbers.
    pub(super) fn forget_groups(&mut self) {
        match self {
            Self::Absent => {}
            Self::Columns(columns) => columns.iter_mut().for_each(|c| c.groups = Vec::new()),
            Self::Endpoints(endpoints) => {
                endpoints.groups.clear();
                endpoints.latest.fill((UNRESOLVED, UNRESOLVED));
            }
        }
    }
}

/// The value of an endpoint or entry point.
pub(crate) fn endpoint(service: &str, operation: &str) -> String {
    format!("{service}: {operation}")
}
