//! The newest spans, in memory: visible to queries at once, and moved into a segment generation by generation.
//!
//! A generation has as many builders as cores, so that requests that are decoded at the same time do not wait for each
//! other, and columns are long whatever number of producers there is.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use tracediff_core::model::{SpanBatch, SpanBatchBuilder};
use tracediff_wire::{DecodeError, Decoded, decode_otlp_json, decode_otlp_protobuf, decode_zipkin};

use crate::request::Encoding;

/// The spans of one generation.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    builders: Vec<Mutex<Shard>>,
    next: AtomicUsize,
    /// Bytes of its requests.
    bytes: AtomicU64,
    /// Bytes of its sealed columns: small requests may make large ones.
    columns: AtomicU64,
    spans: AtomicU64,
    pub(crate) began: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    builder: SpanBatchBuilder,
    sealed: Vec<SpanBatch>,
}

impl Generation {
    pub(crate) fn new(number: u64, shards: usize) -> Self {
        Self {
            number,
            builders: (0..shards.max(1)).map(|_| Mutex::default()).collect(),
            next: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            columns: AtomicU64::new(0),
            spans: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// Decodes a request into the generation: all of it, or nothing.
    pub(crate) fn decode(&self, encoding: Encoding, bytes: &[u8]) -> Result<Decoded, DecodeError> {
        let mut shard = self.free_shard();
        let Shard { builder, sealed } = &mut *shard;
        let decode = |builder: &mut SpanBatchBuilder| match encoding {
            Encoding::OtlpProtobuf => decode_otlp_protobuf(bytes, 0, builder),
            Encoding::OtlpJson => decode_otlp_json(bytes, 0, builder),
            Encoding::Zipkin => decode_zipkin(bytes, 0, builder),
        };
        let before = sealed.len();
        let mut result = decode(builder);
        if result.is_err() && builder.rows() > 0 {
            // It may be too large only together with what others sent.
            sealed.append(&mut builder.finish());
            result = decode(builder);
        }
        sealed.append(&mut builder.take_sealed());
        let columns = sealed[before..]
            .iter()
            .map(|batch| batch.memory_bytes() as u64);
        self.columns.fetch_add(columns.sum(), Ordering::Relaxed);
        let decoded = result?;
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.spans.fetch_add(decoded.spans, Ordering::Relaxed);
        Ok(decoded)
    }

    fn free_shard(&self) -> MutexGuard<'_, Shard> {
        let count = self.builders.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for number in 0..count {
            match self.builders[(first + number) % count].try_lock() {
                Ok(shard) => return shard,
                Err(TryLockError::Poisoned(shard)) => return shard.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.builders[first % count]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the requests in it, or of their columns, where these are more.
    pub(crate) fn bytes(&self) -> u64 {
        let columns = self.columns.load(Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed).max(columns)
    }

    /// Spans in it.
    pub(crate) fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }

    /// All spans so far.
    pub(crate) fn batches(&self) -> Vec<SpanBatch> {
        let mut batches = Vec::new();
        for shard in &self.builders {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let Shard { builder, sealed } = &mut *shard;
            sealed.extend(builder.finish());
            batches.extend(sealed.iter().cloned());
        }
        batches
    }
}
