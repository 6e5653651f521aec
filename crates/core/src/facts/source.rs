//! Where a key's values are in one batch, and the group of every value there.

use arrow_array::Array as _;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::builder::Row;
use super::group::BlockTrace;
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
    Endpoints(Endpoints),
}

/// Pairs of service and operation codes, with their groups.
#[derive(Debug)]
pub(super) struct Endpoints {
    service: TextColumn,
    operation: TextColumn,
    groups: HashMap<(u32, u32), u32, FixedState>,
    /// Whether only spans that begin a request count.
    entries_only: bool,
}

impl Endpoints {
    #[inline]
    fn group(&mut self, row: &Row, groups: &mut OpenGroups) -> Option<u32> {
        if self.entries_only && !row.is_entry {
            return None;
        }
        let at = row.at.row as usize;
        let (s, o) = (self.service.code(at)?, self.operation.code(at)?);
        let resolve = || {
            groups.resolve(&endpoint(
                self.service.values().value(s),
                self.operation.values().value(o),
            ))
        };
        let pair = (s as u32, o as u32);
        Some(*self.groups.entry(pair).or_insert_with(resolve))
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
    fn group(&mut self, row: usize, groups: &mut OpenGroups) -> Option<u32> {
        let code = self.texts.code(row)?;
        let mut group = self.groups[code];
        if group == UNRESOLVED {
            group = groups.resolve(self.texts.values().value(code));
            self.groups[code] = group;
        }
        Some(group)
    }

    fn open(&mut self) {
        if self.groups.is_empty() {
            self.groups.resize(self.texts.values().len(), UNRESOLVED);
        }
    }
}

impl Source {
    pub(super) fn new(key: &str, batch: &SpanBatch) -> Self {
        let column = |texts: &TextColumn| Column {
            texts: texts.clone(),
            groups: Vec::new(),
        };
        let endpoints = |entries_only| {
            Self::Endpoints(Endpoints {
                service: batch.service().clone(),
                operation: batch.operation().clone(),
                groups: HashMap::default(),
                entries_only,
            })
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

    /// Adds the rows to the groups of their values. They must be rows of this source's batch.
    pub(super) fn fold(&mut self, rows: &[Row], traces: &[BlockTrace], into: &mut OpenGroups) {
        match self {
            Self::Absent => {}
            Self::Columns(columns) => {
                columns.iter_mut().for_each(Column::open);
                match &mut columns[..] {
                    [column] => {
                        for row in rows {
                            if let Some(group) = column.group(row.at.row as usize, into) {
                                into.add(group, &row.seen, traces);
                            }
                        }
                    }
                    columns => {
                        for row in rows {
                            let at = row.at.row as usize;
                            if let Some(group) = columns.iter_mut().find_map(|c| c.group(at, into))
                            {
                                into.add(group, &row.seen, traces);
                            }
                        }
                    }
                }
            }
            Self::Endpoints(endpoints) => {
                for row in rows {
                    if let Some(group) = endpoints.group(row, into) {
                        into.add(group, &row.seen, traces);
                    }
                }
            }
        }
    }

    /// Forgets the groups of all values, because they have new numbers.
    pub(super) fn forget_groups(&mut self) {
        match self {
            Self::Absent => {}
            Self::Columns(columns) => columns.iter_mut().for_each(|c| c.groups = Vec::new()),
            Self::Endpoints(endpoints) => endpoints.groups.clear(),
        }
    }
}

/// The value of an endpoint or entry point.
pub(crate) fn endpoint(service: &str, operation: &str) -> String {
    format!("{service}: {operation}")
}
