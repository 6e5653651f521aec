//! Ids and numbers as Parquet column chunks.

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Encoding, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::Result;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Encoder, NONE, PAGE_ROWS, Values};
use super::runs::write_differences;

/// How many trace ids that are not there the filter lets through.
const FALSE_POSITIVES: f64 = 0.01;

type Closed = Result<(Bytes, ColumnCloseResult)>;

/// Trace ids, in order.
pub(super) fn trace_ids(encoder: &mut Encoder, column: ColumnDescPtr, ids: &[[u8; 16]]) -> Closed {
    let mut chunk = Chunk::new(encoder, column);
    for page in ids.chunks(PAGE_ROWS) {
        // Spans of a trace are next to each other: compressed, a trace's id is there once.
        let how = Values::Compressible(Encoding::PLAIN);
        chunk.write_levels(&[], 0);
        chunk.write_values(page.as_flattened(), page.len(), page.len(), how)?;
        if let [first, .., last] | [first @ last] = page {
            chunk.note_bounds(first, last);
        }
    }
    let is_new = |at: &usize| *at == 0 || ids[*at] != ids[at - 1];
    let distinct = (0..ids.len()).filter(is_new);
    let mut bloom = Sbbf::new_with_ndv_fpp(distinct.clone().count() as u64, FALSE_POSITIVES)?;
    for at in distinct {
        bloom.insert(&ids[at][..]);
    }
    chunk.bloom = Some(bloom);
    let bound =
        |id: Option<&[u8; 16]>| id.map(|id| FixedLenByteArray::from(ByteArray::from(id.to_vec())));
    let statistics =
        ValueStatistics::new(bound(ids.first()), bound(ids.last()), None, Some(0), false);
    chunk.close(
        Some(Statistics::FixedLenByteArray(statistics)),
        BoundaryOrder::ASCENDING,
    )
}

/// Ids of spans: random bytes neither compress nor tell pages apart.
pub(super) fn span_ids(encoder: &mut Encoder, column: ColumnDescPtr, ids: &[[u8; 8]]) -> Closed {
    let mut chunk = Chunk::new(encoder, column);
    for page in ids.chunks(PAGE_ROWS) {
        let how = Values::Raw(Encoding::PLAIN);
        chunk.write_levels(&[], 0);
        chunk.write_values(page.as_flattened(), page.len(), page.len(), how)?;
    }
    chunk.close(None, BoundaryOrder::UNORDERED)
}

/// Ids of parents, zero where a span has none.
pub(super) fn parent_ids(encoder: &mut Encoder, column: ColumnDescPtr, ids: &[[u8; 8]]) -> Closed {
    let mut chunk = Chunk::new(encoder, column);
    let (mut codes, mut values) = (Vec::new(), Vec::new());
    for page in ids.chunks(PAGE_ROWS) {
        codes.clear();
        codes.extend(page.iter().map(|id| if *id == [0; 8] { NONE } else { 0 }));
        values.clear();
        values.extend(page.iter().filter(|id| **id != [0; 8]));
        chunk.write_levels(&codes, values.len());
        // Children of one span are close to each other.
        let how = Values::Compressible(Encoding::PLAIN);
        chunk.write_values(values.as_flattened(), page.len(), values.len(), how)?;
    }
    let nulls = Some(chunk.nulls() as u64);
    let statistics = ValueStatistics::new(None, None, None, nulls, false);
    chunk.close(
        Some(Statistics::FixedLenByteArray(statistics)),
        BoundaryOrder::UNORDERED,
    )
}

/// Times or durations. Durations are without a sign, so `key` says in which order their bits are.
pub(super) fn numbers(
    encoder: &mut Encoder,
    column: ColumnDescPtr,
    numbers: &[i64],
    key: impl Fn(&i64) -> i64,
) -> Closed {
    let mut chunk = Chunk::new(encoder, column);
    let bounds = |numbers: &[i64]| {
        let least = numbers.iter().copied().min_by_key(&key);
        least.zip(numbers.iter().copied().max_by_key(&key))
    };
    for page in numbers.chunks(PAGE_ROWS) {
        let mut values = std::mem::take(&mut chunk.encoder.values);
        values.clear();
        write_differences(page, &mut values);
        chunk.write_levels(&[], 0);
        let how = Values::Compressible(Encoding::DELTA_BINARY_PACKED);
        let written = chunk.write_values(&values, page.len(), page.len(), how);
        chunk.encoder.values = values;
        written?;
        if let Some((least, largest)) = bounds(page) {
            chunk.note_bounds(&least.to_le_bytes(), &largest.to_le_bytes());
        }
    }
    let (least, largest) = bounds(numbers).unzip();
    let statistics = ValueStatistics::new(least, largest, None, Some(0), false);
    chunk.close(
        Some(Statistics::Int64(statistics)),
        BoundaryOrder::UNORDERED,
    )
}

/// OpenTelemetry's small numbers.
pub(super) fn small_numbers(
    encoder: &mut Encoder,
    column: ColumnDescPtr,
    numbers: &[u8],
) -> Closed {
    let mut chunk = Chunk::new(encoder, column);
    let largest = numbers.iter().copied().max();
    let dictionary: Vec<[u8; 4]> = (0..=largest.unwrap_or(0))
        .map(|number| u32::from(number).to_le_bytes())
        .collect();
    chunk.write_dictionary(dictionary.as_flattened(), dictionary.len())?;
    let mut codes = Vec::new();
    for page in numbers.chunks(PAGE_ROWS) {
        codes.clear();
        codes.extend(page.iter().map(|number| u32::from(*number)));
        chunk.write_codes(&codes)?;
    }
    let bound = |number: Option<u8>| number.map(i32::from);
    let least = numbers.iter().copied().min();
    let statistics = ValueStatistics::new(bound(least), bound(largest), None, Some(0), false);
    chunk.close(
        Some(Statistics::Int32(statistics)),
        BoundaryOrder::UNORDERED,
    )
}

/// How many spans each stands for.
pub(super) fn weights(
    encoder: &mut Encoder,
    column: ColumnDescPtr,
    weights: &[Option<f64>],
) -> Closed {
    let mut chunk = Chunk::new(encoder, column);
    let (mut codes, mut values) = (Vec::new(), Vec::new());
    for page in weights.chunks(PAGE_ROWS) {
        codes.clear();
        codes.extend(page.iter().map(|weight| weight.map_or(NONE, |_| 0)));
        values.clear();
        values.extend(page.iter().flatten().map(|weight| weight.to_le_bytes()));
        chunk.write_levels(&codes, values.len());
        let how = Values::Compressible(Encoding::PLAIN);
        chunk.write_values(values.as_flattened(), page.len(), values.len(), how)?;
    }
    let nulls = Some(chunk.nulls() as u64);
    let statistics = ValueStatistics::new(None, None, None, nulls, false);
    chunk.close(
        Some(Statistics::Double(statistics)),
        BoundaryOrder::UNORDERED,
    )
}

/// A leaf that no row has a value of.
pub(super) fn empty(encoder: &mut Encoder, column: ColumnDescPtr, rows: usize) -> Closed {
    let statistics = empty_statistics(column.physical_type(), rows as u64);
    let mut chunk = Chunk::new(encoder, column);
    chunk.write_empty(rows)?;
    chunk.close(statistics, BoundaryOrder::UNORDERED)
}

fn empty_statistics(physical: Type, rows: u64) -> Option<Statistics> {
    let nulls = Some(rows);
    Some(match physical {
        Type::INT32 => Statistics::Int32(ValueStatistics::new(None, None, None, nulls, false)),
        Type::INT64 => Statistics::Int64(ValueStatistics::new(None, None, None, nulls, false)),
        Type::DOUBLE => Statistics::Double(ValueStatistics::new(None, None, None, nulls, false)),
        Type::BYTE_ARRAY => {
            Statistics::ByteArray(ValueStatistics::new(None, None, None, nulls, false))
        }
        Type::FIXED_LEN_BYTE_ARRAY => {
            Statistics::FixedLenByteArray(ValueStatistics::new(None, None, None, nulls, false))
        }
        Type::BOOLEAN | Type::INT96 | Type::FLOAT => return None,
    })
}
