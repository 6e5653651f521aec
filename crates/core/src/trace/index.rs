//! Groups the spans of many batches by trace, without moving them.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::model::{SpanBatch, TraceId};

/// Where a span is: the number of its batch and the row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanRef {
    /// Number of the batch.
    pub batch: u32,
    /// Row in the batch.
    pub row: u32,
}

/// All spans, grouped by trace; traces by the start of their earliest span, then by id. Needs 8 bytes a span.
///
/// That order does not depend on the order of the spans, and it follows the order in which spans mostly arrive: who
/// goes through the traces finds their columns in the cache, and the slice of the trace before.
#[derive(Debug, Default)]
pub struct TraceIndex {
    spans: Vec<SpanRef>,
    /// Where each trace ends in `spans`.
    ends: Vec<usize>,
}

/// Whether a trace belongs to `part` of `parts`, dealt by a hash of the id: for spans that are read in several passes.
pub fn in_part(id: &TraceId, part: u64, parts: u64) -> bool {
    parts <= 1 || trace_hash(id) % parts == part
}

/// A well-mixed number for a trace id: the same for the same id everywhere, whatever part of the id is random.
pub(crate) fn trace_hash(id: &TraceId) -> u64 {
    let (mut high, mut low) = ([0; 8], [0; 8]);
    high.copy_from_slice(&id.0[..8]);
    low.copy_from_slice(&id.0[8..]);
    mix(mix(u64::from_be_bytes(high)) ^ u64::from_be_bytes(low))
}

/// Finalizer of SplitMix64 (Steele, Lea & Flood 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A trace while spans are counted.
#[derive(Debug, Clone, Copy)]
struct Counted {
    start_ns: i64,
    id: TraceId,
    spans: u32,
}

impl TraceIndex {
    /// Groups the spans of all batches.
    pub fn build(batches: &[SpanBatch]) -> Self {
        let (numbers, traces) = count(batches);
        let mut order: Vec<u32> = (0..traces.len() as u32).collect();
        // Stable, because that sort is quick where the order is nearly right already.
        order.sort_by_key(|number| {
            let trace = &traces[*number as usize];
            (trace.start_ns, trace.id)
        });
        let mut ends = Vec::with_capacity(traces.len());
        let mut places = vec![0; traces.len()];
        let mut end = 0;
        for number in order {
            places[number as usize] = end;
            end += traces[number as usize].spans as usize;
            ends.push(end);
        }
        let mut spans = vec![SpanRef { batch: 0, row: 0 }; end];
        let mut numbers = numbers.into_iter();
        for (batch, columns) in (0..).zip(batches) {
            for (row, number) in (0..columns.len() as u32).zip(&mut numbers) {
                let place = &mut places[number as usize];
                spans[*place] = SpanRef { batch, row };
                *place += 1;
            }
        }
        Self { spans, ends }
    }

    /// The number of spans.
    pub fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// The spans of one trace after the other.
    pub fn traces(&self) -> impl Iterator<Item = &[SpanRef]> {
        self.part(0, 1)
    }

    /// The same for `part` of `parts`: neighbours in time, and about as many spans as in any other part, so that parts
    /// can be worked on apart and each touches columns of its own.
    pub fn part(&self, part: usize, parts: usize) -> impl Iterator<Item = &[SpanRef]> {
        // Traces that end by then belong to the parts before.
        let traces_before = |part: usize| {
            let spans = self.spans.len() as u128 * part as u128 / parts as u128;
            self.ends.partition_point(|end| *end as u128 <= spans)
        };
        let (first, last) = (traces_before(part), traces_before(part + 1));
        let mut start = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.ends[first..last].iter().map(move |end| {
            let spans = &self.spans[start..*end];
            start = *end;
            spans
        })
    }
}

/// The number of every span's trace, and the traces by number.
fn count(batches: &[SpanBatch]) -> (Vec<u32>, Vec<Counted>) {
    // Seeded, so that nobody can choose ids that all fall into one place.
    let hasher = RandomState::default();
    let mut table: HashTable<u32> = HashTable::new();
    let mut traces: Vec<Counted> = Vec::new();
    let mut numbers = Vec::with_capacity(batches.iter().map(SpanBatch::len).sum());
    // Spans of a trace often come one after the other.
    let mut latest = None;
    for batch in batches {
        for row in 0..batch.len() {
            let id = batch.trace_id(row);
            let number = match latest {
                Some((latest, number)) if latest == id => number,
                _ => {
                    let entry = table.entry(
                        hasher.hash_one(id.0),
                        |number| traces[*number as usize].id == id,
                        |number| hasher.hash_one(traces[*number as usize].id.0),
                    );
                    let number = *entry.or_insert(traces.len() as u32).get();
                    if number as usize == traces.len() {
                        traces.push(Counted {
                            start_ns: i64::MAX,
                            id,
                            spans: 0,
                        });
                    }
                    number
                }
            };
            latest = Some((id, number));
            numbers.push(number);
            let trace = &mut traces[number as usize];
            trace.spans += 1;
            trace.start_ns = trace.start_ns.min(batch.start_ns(row));
        }
    }
    (numbers, traces)
}
