//! Finds the value that answers for a key in every row, and tests it: once per distinct value where it has a column,
//! else where it stands.
//!
//! A span can have several values for one key: under an older and a newer name, on the span and on its resource, in a
//! column and beside the columns. One answers: the newest name's, and for one name the one nearest to the span
//! (see [`SpanBatch::columns_of`]).

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt8Type};
use arrow_buffer::BooleanBuffer;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::ast::{Order, Pattern};
use super::number::Number;
use crate::model::{Origin, SpanBatch, TextColumn, ValueType};

/// A condition on the text of a value.
#[derive(Debug, Clone)]
pub(super) enum TextTest {
    Any,
    In(HashSet<String, RandomState>),
    Matches(Vec<Pattern>),
    /// The same text, or for integers and doubles the same number. A text such as the version `1.10` is no number.
    Equals(Number),
    Compares(Order, Number),
}

impl TextTest {
    fn holds(&self, text: &str, value_type: ValueType) -> bool {
        match self {
            Self::Any => true,
            Self::In(values) => values.contains(text),
            Self::Matches(patterns) => patterns.iter().any(|p| p.regex().is_match(text)),
            Self::Equals(number) => {
                text == number.as_str()
                    || matches!(value_type, ValueType::Int | ValueType::Double)
                        && number
                            .ordering_of(text, value_type)
                            .is_some_and(|ordering| ordering.is_eq())
            }
            Self::Compares(order, number) => number
                .ordering_of(text, value_type)
                .is_some_and(|ordering| order.holds(ordering)),
        }
    }

    /// Whether it holds for what is text by nature.
    pub(super) fn holds_for_text(&self, text: &str) -> bool {
        self.holds(text, ValueType::String)
    }

    /// The answer for every code of a column with `len` rows. A dictionary that is larger than the batch, which is
    /// then a part of something larger, is looked at only where the rows point.
    fn table(&self, column: &TextColumn, len: usize, value_type: ValueType) -> Vec<bool> {
        let values = column.values();
        let answer = |code: usize| self.holds(values.value(code), value_type);
        if values.len() <= len {
            return (0..values.len()).map(answer).collect();
        }
        let mut is_used = vec![false; values.len()];
        for code in (0..len).filter_map(|row| column.code(row)) {
            is_used[code] = true;
        }
        let used = is_used.into_iter().enumerate();
        used.map(|(code, is_used)| is_used && answer(code))
            .collect()
    }
}

/// The rows of a core column whose text passes.
pub(super) fn text_rows(column: &TextColumn, len: usize, test: &TextTest) -> BooleanBuffer {
    let table = test.table(column, len, ValueType::String);
    BooleanBuffer::collect_bool(len, |row| column.code(row).is_some_and(|code| table[code]))
}

/// How much a value is preferred, lower first: the place of its name, then how near it was to the span.
type Rank = (usize, u8);

fn rank(name: usize, origin: Origin) -> Rank {
    let distance = match origin {
        Origin::Span => 0,
        Origin::Event => 1,
        Origin::Scope => 2,
        Origin::Resource => 3,
    };
    (name, distance)
}

/// A column with the key, and the answer for each of its codes.
struct Answers<'a> {
    rank: Rank,
    column: &'a TextColumn,
    table: Vec<bool>,
}

/// The rows whose value for a key passes; `otherwise` answers for rows that have none. `names` are all the key's
/// names, preferred first.
pub(super) fn attribute_rows(
    batch: &SpanBatch,
    names: &[String],
    test: &TextTest,
    otherwise: BooleanBuffer,
) -> BooleanBuffer {
    let len = batch.len();
    let mut columns = Vec::new();
    for found in batch.attribute_columns() {
        if let Some(name) = names.iter().position(|name| *name == found.key) {
            columns.push(Answers {
                rank: rank(name, found.origin),
                column: &found.column,
                table: test.table(&found.column, len, found.value_type),
            });
        }
    }
    columns.sort_by_key(|answers| answers.rank);
    let beside = answers_beside_columns(batch, names, test);
    if columns.is_empty() && beside.is_empty() {
        return otherwise;
    }
    let from_columns = |row: usize| {
        let answer = |a: &Answers<'_>| a.column.code(row).map(|code| (a.rank, a.table[code]));
        columns.iter().find_map(answer)
    };
    if beside.is_empty() {
        return BooleanBuffer::collect_bool(len, |row| {
            from_columns(row).map_or_else(|| otherwise.value(row), |(_, holds)| holds)
        });
    }
    BooleanBuffer::collect_bool(len, |row| match (from_columns(row), beside[row]) {
        (Some((column_rank, holds)), Some((rank, holds_beside))) => {
            if rank < column_rank {
                holds_beside
            } else {
                holds
            }
        }
        (Some((_, holds)), None) | (None, Some((_, holds))) => holds,
        (None, None) => otherwise.value(row),
    })
}

/// For every row the answer of an attribute that has no column of its own; nothing at all where no row has such a
/// one.
fn answers_beside_columns(
    batch: &SpanBatch,
    names: &[String],
    test: &TextTest,
) -> Vec<Option<(Rank, bool)>> {
    if !batch.has_other_attributes() {
        return Vec::new();
    }
    let Some(lists) = batch
        .record_batch()
        .column_by_name("other_attributes")
        .and_then(|column| column.as_list_opt::<i32>())
    else {
        return Vec::new();
    };
    let structs = lists.values().as_struct();
    let origins = structs.column(0).as_primitive::<UInt8Type>();
    let keys = structs.column(1).as_dictionary::<Int32Type>();
    let types = structs.column(2).as_primitive::<UInt8Type>();
    let texts = structs.column(3).as_string::<i32>();
    let place_of_key: Vec<Option<usize>> = keys
        .values()
        .as_string::<i32>()
        .iter()
        .map(|key| names.iter().position(|name| Some(name.as_str()) == key))
        .collect();
    if place_of_key.iter().all(Option::is_none) {
        return Vec::new();
    }
    let answer = |at: usize| {
        let name = place_of_key[keys.keys().value(at) as usize]?;
        let origin = Origin::ALL[usize::from(origins.value(at)) % Origin::ALL.len()];
        let value_type = ValueType::from_number(types.value(at)).unwrap_or(ValueType::String);
        Some((rank(name, origin), test.holds(texts.value(at), value_type)))
    };
    let offsets = lists.value_offsets();
    let row_answer = |row: usize| {
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        // Of equal ones the last: a key set twice keeps its last value.
        range.rev().filter_map(answer).min_by_key(|(rank, _)| *rank)
    };
    (0..batch.len()).map(row_answer).collect()
}
