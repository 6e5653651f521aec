//! Attribute columns while a batch is built: one for each key, origin and type.
//!
//! The attributes of a resource or scope are the same in all its rows. They are kept once and written to their columns
//! in one go when the resource or scope ends; only rows whose span sets the same key are treated one by one.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::Field;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::interner::{Interner, equal};
use super::nested::{Limit, NestedAttributes, dictionary};
use super::schema;
use super::value::{Origin, ValueRef, ValueType, base64_text};

/// Attribute columns a batch may have; keys that come later share one nested column.
const MAX_COLUMNS: usize = 1024;

/// The code of a row without a value.
pub(crate) const NONE: i32 = -1;

/// One attribute key of one origin and type.
#[derive(Debug)]
struct Column {
    key_id: u32,
    key: Box<[u8]>,
    origin: Origin,
    value_type: ValueType,
    /// The codes of the first rows; what is missing at the end is `NONE`.
    codes: Vec<i32>,
    values: Interner,
    /// The column that the next attribute went to, the last time: the best guess for where it goes this time.
    next: u32,
}

impl Column {
    fn identity(&self) -> (u32, Origin, ValueType) {
        (self.key_id, self.origin, self.value_type)
    }

    #[inline]
    fn is(&self, key: &[u8], origin: Origin, value_type: ValueType) -> bool {
        self.value_type == value_type && self.origin == origin && equal(&self.key, key)
    }

    #[inline]
    fn intern(&mut self, value: ValueRef<'_>) -> i32 {
        let values = &mut self.values;
        let code = match value {
            ValueRef::String(text) => values.intern(text),
            ValueRef::Int(number) => values.intern_integer(number),
            ValueRef::Double(number) => values.intern_double(number),
            ValueRef::Bool(truth) => values.intern(if truth { b"true" } else { b"false" }),
            ValueRef::Bytes(bytes) => values.intern(base64_text(bytes).as_bytes()),
            ValueRef::Array(text) | ValueRef::Map(text) => values.intern(text.as_bytes()),
        };
        code as i32
    }
}

/// What is known of a key, over all columns that it has.
#[derive(Debug, Clone, Copy, Default)]
struct KeyState {
    /// The last span that set the key itself or by an event, as [`AttributeColumns::span`] counts; 0 for none.
    set_by: u64,
    /// The column in which that span set it.
    column: u32,
    /// Which of resource (1) and scope (2) have the key.
    shared_by: u8,
}

/// The attributes that every row of a resource or scope gets.
#[derive(Debug, Default)]
struct Shared {
    /// Key, column, code.
    places: Vec<(u32, u32, i32)>,
    /// Kept as text where no column was left.
    overflow: Vec<(Vec<u8>, ValueType, String)>,
    /// The first row that does not have its codes yet.
    from_row: usize,
}

/// All attributes of the rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct AttributeColumns {
    columns: Vec<Column>,
    index: HashTable<u32>,
    hasher: RandomState,
    keys: Interner,
    key_states: Vec<KeyState>,
    /// Counts spans, those that were taken back too, from 1.
    span: u64,
    /// The columns that the span set so far.
    set: Vec<u32>,
    /// The column that the first attribute of a row went to, the last time.
    first: u32,
    resource: Shared,
    scope: Shared,
    /// Whether the row sets a key that its resource or scope has too.
    overrides: bool,
    overflow: NestedAttributes,
    /// Columns at the last commit.
    committed: usize,
    /// What the codes of all columns may take. A few bytes that name a rare key make a column as long as the batch, so
    /// this and not the size of the request is what bounds memory.
    limit: Limit,
    too_large: bool,
}

impl AttributeColumns {
    /// Bounds what the columns may take in memory.
    pub(crate) fn limit(&mut self, limit: Limit) {
        self.limit = limit;
        self.overflow.limit = limit;
    }

    /// The number of columns.
    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Ends the resource and scope before row `row`.
    pub(crate) fn begin_resource(&mut self, row: usize) {
        self.begin_scope(row);
        self.flush(Origin::Resource, row);
        self.forget(Origin::Resource);
    }

    /// Ends the scope before row `row`.
    pub(crate) fn begin_scope(&mut self, row: usize) {
        self.flush(Origin::Scope, row);
        self.forget(Origin::Scope);
    }

    fn shared(&mut self, origin: Origin) -> &mut Shared {
        match origin {
            Origin::Resource => &mut self.resource,
            _ => &mut self.scope,
        }
    }

    fn forget(&mut self, origin: Origin) {
        let mut places = std::mem::take(&mut self.shared(origin).places);
        for (key_id, _, _) in places.drain(..) {
            self.key_states[key_id as usize].shared_by &= !shared_bit(origin);
        }
        let shared = self.shared(origin);
        shared.places = places;
        shared.overflow.clear();
    }

    /// Sets an attribute of the resource or scope, for rows from `row` on.
    pub(crate) fn set_shared(
        &mut self,
        row: usize,
        key: &[u8],
        origin: Origin,
        value: ValueRef<'_>,
    ) {
        self.flush(origin, row);
        let value_type = value.value_type();
        let Some(column) = self.column(key, origin, value_type) else {
            let text = value.text().into_owned();
            let overflow = &mut self.shared(origin).overflow;
            overflow.push((key.to_vec(), value_type, text));
            return;
        };
        let code = self.columns[column as usize].intern(value);
        let key_id = self.columns[column as usize].key_id;
        let shared_by = &mut self.key_states[key_id as usize].shared_by;
        let again = *shared_by & shared_bit(origin) != 0;
        *shared_by |= shared_bit(origin);
        let places = &mut self.shared(origin).places;
        if again {
            places.retain(|(other, ..)| *other != key_id);
        }
        places.push((key_id, column, code));
    }

    /// Writes what the resource or scope says to the rows before `row`.
    fn flush(&mut self, origin: Origin, row: usize) {
        let places = std::mem::take(&mut self.shared(origin).places);
        let from_row = std::mem::replace(&mut self.shared(origin).from_row, row);
        if from_row < row && self.fits(row) {
            for (_, column, code) in &places {
                let codes = &mut self.columns[*column as usize].codes;
                codes.resize(from_row, NONE);
                codes.resize(row, *code);
            }
        }
        self.shared(origin).places = places;
    }

    /// Sets an attribute of row `row`, the one that is being built. A key set twice keeps its last value.
    pub(crate) fn set(&mut self, row: usize, key: &[u8], origin: Origin, value: ValueRef<'_>) {
        let value_type = value.value_type();
        let guess = match self.set.last() {
            Some(previous) => self.columns[*previous as usize].next,
            None => self.first,
        };
        let index = match self.columns.get(guess as usize) {
            Some(column) if column.is(key, origin, value_type) => guess,
            _ => {
                let Some(index) = self.column(key, origin, value_type) else {
                    self.overflow.push(origin, key, value);
                    return;
                };
                match self.set.last() {
                    Some(previous) => self.columns[*previous as usize].next = index,
                    None => self.first = index,
                }
                index
            }
        };
        self.set.push(index);
        let state = &mut self.key_states[self.columns[index as usize].key_id as usize];
        self.overrides |= state.shared_by != 0;
        if state.set_by == self.span + 1 {
            self.columns[state.column as usize].codes.truncate(row);
        }
        state.set_by = self.span + 1;
        state.column = index;
        if self.columns[index as usize].codes.len() < row && !self.fits(row) {
            return;
        }
        let column = &mut self.columns[index as usize];
        column.codes.resize(row, NONE);
        let code = column.intern(value);
        column.codes.push(code);
    }

    /// Whether all columns may grow to `rows` rows; where not, the request will fail and need not be kept.
    fn fits(&mut self, rows: usize) -> bool {
        self.too_large |= rows * self.columns.len() * size_of::<i32>() > self.limit.0;
        !self.too_large
    }

    /// Whether the span has set a key.
    pub(crate) fn is_set(&mut self, key: &[u8]) -> bool {
        let key_id = self.key_id(key);
        self.key_states[key_id as usize].set_by == self.span + 1
    }

    /// Completes row `row`.
    #[inline]
    pub(crate) fn end_row(&mut self, row: usize) {
        if self.overrides {
            self.apply_shared(row);
        }
        self.begin_span();
        for (origin, shared) in [
            (Origin::Resource, &self.resource),
            (Origin::Scope, &self.scope),
        ] {
            for (key, value_type, text) in &shared.overflow {
                if self.overflow.is_too_large() {
                    break;
                }
                self.overflow.push_text(origin, key, *value_type, text);
            }
        }
        self.overflow.end_list();
    }

    fn begin_span(&mut self) {
        self.span += 1;
        self.set.clear();
        self.overrides = false;
    }

    /// Forgets what was set for row `row`.
    pub(crate) fn discard_row(&mut self, row: usize) {
        for column in &self.set {
            self.columns[*column as usize].codes.truncate(row);
        }
        self.overflow.truncate(row);
        self.begin_span();
    }

    /// Gives a row what its resource and scope say, but for what it says itself.
    #[cold]
    fn apply_shared(&mut self, row: usize) {
        for origin in [Origin::Resource, Origin::Scope] {
            self.flush(origin, row);
            if self.too_large {
                return;
            }
            let places = std::mem::take(&mut self.shared(origin).places);
            for (key_id, column, code) in &places {
                if self.key_states[*key_id as usize].set_by != self.span + 1 {
                    let codes = &mut self.columns[*column as usize].codes;
                    codes.resize(row, NONE);
                    codes.push(*code);
                }
            }
            let shared = self.shared(origin);
            shared.places = places;
            shared.from_row = row + 1;
        }
    }

    /// Writes what is still to be written to the rows before `row`, and keeps the columns there are.
    pub(crate) fn commit(&mut self, row: usize) {
        self.flush(Origin::Resource, row);
        self.flush(Origin::Scope, row);
        self.committed = self.columns.len();
    }

    /// Forgets the columns that came since the last commit, after resource and scope are forgotten.
    pub(crate) fn rollback(&mut self) {
        for position in self.committed as u32..self.columns.len() as u32 {
            let identity = self.columns[position as usize].identity();
            let hash = self.hasher.hash_one(identity);
            if let Ok(entry) = self.index.find_entry(hash, |i| *i == position) {
                entry.remove();
            }
        }
        self.columns.truncate(self.committed);
        self.overflow.rollback();
        self.too_large = false;
    }

    /// Cuts to the first `rows` rows, and forgets what was set for the one behind them.
    pub(crate) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.codes.truncate(rows);
        }
        for shared in [&mut self.resource, &mut self.scope] {
            shared.from_row = shared.from_row.min(rows);
        }
        self.overflow.truncate(rows);
        self.begin_span();
    }

    /// Every interner of the columns.
    pub(crate) fn interners(&mut self) -> impl Iterator<Item = &mut Interner> {
        let columns = self.columns.iter_mut().map(|column| &mut column.values);
        columns.chain([&mut self.keys, &mut self.overflow.keys])
    }

    /// Bytes beside those in interners.
    pub(crate) fn bytes(&self) -> usize {
        self.overflow.bytes()
    }

    /// Whether the request went past what a batch can hold.
    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large || self.overflow.is_too_large()
    }

    /// The attributes that have no column, as a list.
    pub(crate) fn take_overflow(&mut self) -> arrow_array::ListArray {
        self.overflow.take()
    }

    /// The columns over `rows` rows, with their fields. Columns that had values stay, empty, for the batch to come,
    /// which likely has the same; all others go.
    pub(crate) fn take(&mut self, rows: usize) -> Vec<(Field, ArrayRef)> {
        let taken = std::mem::take(self);
        let mut arrays = Vec::with_capacity(taken.columns.len());
        for mut column in taken.columns {
            if column.codes.iter().all(|code| *code == NONE) {
                continue;
            }
            column.codes.resize(rows, NONE);
            let codes = std::mem::replace(&mut column.codes, Vec::with_capacity(rows));
            let values = column.values.take_values();
            let key = String::from_utf8_lossy(&column.key).into_owned();
            arrays.push((
                schema::attribute_field(&key, column.origin, column.value_type),
                Arc::new(dictionary(nullable(codes), values)) as ArrayRef,
            ));
            self.keep(column);
        }
        self.keys.commit();
        self.committed = self.columns.len();
        arrays
    }

    fn keep(&mut self, mut column: Column) {
        column.key_id = self.key_id(&column.key);
        column.next = 0;
        self.push(column);
    }

    fn key_id(&mut self, key: &[u8]) -> u32 {
        let id = self.keys.intern(key);
        if id as usize >= self.key_states.len() {
            self.key_states.resize(id as usize + 1, KeyState::default());
        }
        id
    }

    /// The column of a key, made where there is none yet; `None` where there are too many.
    fn column(&mut self, key: &[u8], origin: Origin, value_type: ValueType) -> Option<u32> {
        let key_id = self.key_id(key);
        let wanted = (key_id, origin, value_type);
        let hash = self.hasher.hash_one(wanted);
        let columns = &self.columns;
        let found = self
            .index
            .find(hash, |i| columns[*i as usize].identity() == wanted)
            .copied();
        if found.is_some() || self.columns.len() == MAX_COLUMNS {
            return found;
        }
        Some(self.push(Column {
            key_id,
            key: self.keys.get(key_id).into(),
            origin,
            value_type,
            codes: Vec::new(),
            values: Interner::default(),
            next: 0,
        }))
    }

    fn push(&mut self, column: Column) -> u32 {
        let position = self.columns.len() as u32;
        let hash = self.hasher.hash_one(column.identity());
        self.columns.push(column);
        let Self {
            columns,
            hasher,
            index,
            ..
        } = self;
        index.insert_unique(hash, position, |i| {
            hasher.hash_one(columns[*i as usize].identity())
        });
        position
    }
}

fn shared_bit(origin: Origin) -> u8 {
    if origin == Origin::Resource { 1 } else { 2 }
}

/// Codes with `NONE` as null.
pub(crate) fn nullable(mut codes: Vec<i32>) -> Int32Array {
    // Most columns have a value in all rows or in few: a quick look finds the former.
    if codes.iter().fold(true, |all, code| all & (*code != NONE)) {
        return Int32Array::from(codes);
    }
    let nulls = BooleanBuffer::collect_bool(codes.len(), |row| codes[row] != NONE).into();
    for code in &mut codes {
        *code = (*code).max(0);
    }
    Int32Array::new(ScalarBuffer::from(codes), Some(nulls))
}
