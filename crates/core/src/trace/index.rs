//! Groups the spans of many batches by trace, without moving them.

use crate::model::{SpanBatch, TraceId};

/// Where a span is: the number of its batch and the row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanRef {
    /// Number of the batch.
    pub batch: u32,
    /// Row in the batch.
    pub row: u32,
}

/// All spans, grouped by trace. Needs 16 bytes a span.
#[derive(Debug, Default)]
pub struct TraceIndex {
    spans: Vec<(u64, SpanRef)>,
}

/// Whether a trace belongs to `part` of `parts` (see [`TraceIndex::build`]).
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

impl TraceIndex {
    /// Groups the spans of all traces that belong to `part` of `parts` (by a hash of the trace id), so that parts can
    /// be worked on apart. `parts` = 1 takes all.
    pub fn build(batches: &[SpanBatch], part: u64, parts: u64) -> Self {
        let expected = batches.iter().map(SpanBatch::len).sum::<usize>() / parts.max(1) as usize;
        let mut spans = Vec::with_capacity(expected + expected / 16);
        for (number, batch) in batches.iter().enumerate() {
            for row in 0..batch.len() {
                let hash = trace_hash(&batch.trace_id(row));
                if parts <= 1 || hash % parts == part {
                    spans.push((
                        hash,
                        SpanRef {
                            batch: number as u32,
                            row: row as u32,
                        },
                    ));
                }
            }
        }
        spans.sort_unstable_by_key(|(hash, _)| *hash);
        let mut index = Self { spans };
        index.part_equal_hashes(batches);
        index
    }

    /// Two traces may share a hash: inside such a run, order by the whole id.
    fn part_equal_hashes(&mut self, batches: &[SpanBatch]) {
        let id = |span: &SpanRef| batches[span.batch as usize].trace_id(span.row as usize);
        for run in self.spans.chunk_by_mut(|a, b| a.0 == b.0) {
            let first = id(&run[0].1);
            if run.iter().any(|(_, span)| id(span) != first) {
                run.sort_unstable_by_key(|(_, span)| id(span));
            }
        }
    }

    /// The number of spans.
    pub fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// The spans of one trace after the other.
    pub fn traces<'a>(
        &'a self,
        batches: &'a [SpanBatch],
    ) -> impl Iterator<Item = &'a [(u64, SpanRef)]> {
        self.spans.chunk_by(move |a, b| {
            let id = |span: &SpanRef| batches[span.batch as usize].trace_id(span.row as usize);
            a.0 == b.0 && id(&a.1) == id(&b.1)
        })
    }
}
