//! The newest spans, in memory: visible to queries at once, and moved into a segment generation by generation.
//!
//! A generation has as many builders as cores, so that requests that are decoded at the same time do not wait for each
//! other, and columns are long whatever number of producers there is.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use tracediff_core::model::{SpanBatch, SpanBatchBuilder};
use tracediff_wire::{
    DecodeError, Decoded, ErrorKind, decode_otlp_json, decode_otlp_protobuf, decode_zipkin,
};

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
    /// Earliest and latest start of a span; the wrong way round where there is none.
    first_start_ns: AtomicI64,
    last_start_ns: AtomicI64,
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
            first_start_ns: AtomicI64::new(i64::MAX),
            last_start_ns: AtomicI64::new(i64::MIN),
            began: Instant::now(),
        }
    }

    /// Decodes a request into the generation: all of it, or nothing. Its columns may take `limit_bytes` of memory. Comes
    /// with the number of spans that had ended before `late_before_ns`.
    pub(crate) fn decode(
        &self,
        encoding: Encoding,
        bytes: &[u8],
        limit_bytes: usize,
        late_before_ns: u64,
    ) -> Result<(Decoded, u64), DecodeError> {
        let mut shard = self.free_shard();
        let Shard { builder, sealed } = &mut *shard;
        let decode = |builder: &mut SpanBatchBuilder| {
            builder.limit_columns(limit_bytes);
            builder.call_late(late_before_ns);
            let late = builder.oddities().late;
            let decoded = match encoding {
                Encoding::OtlpProtobuf => decode_otlp_protobuf(bytes, 0, builder),
                Encoding::OtlpJson => decode_otlp_json(bytes, 0, builder),
                Encoding::Zipkin => decode_zipkin(bytes, 0, builder),
            }?;
            Ok((decoded, builder.oddities().late - late))
        };
        let before = sealed.len();
        let mut result = decode(builder);
        let mut extent_ns = builder.take_extent_ns();
        let is_too_large = |error: &DecodeError| error.kind == ErrorKind::TooLarge;
        if result.as_ref().is_err_and(is_too_large) {
            // Perhaps only together with what others sent, and the keys that they named: it gets batches of its own.
            let mut alone = SpanBatchBuilder::new();
            result = decode(&mut alone);
            extent_ns = alone.take_extent_ns();
            sealed.append(&mut alone.finish());
        }
        sealed.append(&mut builder.take_sealed());
        let columns = sealed[before..]
            .iter()
            .map(|batch| batch.memory_bytes() as u64);
        self.columns.fetch_add(columns.sum(), Ordering::Relaxed);
        let (decoded, late) = result?;
        if let Some((first_ns, last_ns)) = extent_ns {
            self.first_start_ns.fetch_min(first_ns, Ordering::Relaxed);
            self.last_start_ns.fetch_max(last_ns, Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.spans.fetch_add(decoded.spans, Ordering::Relaxed);
        Ok((decoded, late))
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

    /// Earliest and latest start of its spans, in nanoseconds since the epoch.
    pub(crate) fn extent_ns(&self) -> Option<(i64, i64)> {
        let first_ns = self.first_start_ns.load(Ordering::Relaxed);
        let last_ns = self.last_start_ns.load(Ordering::Relaxed);
        (first_ns <= last_ns).then_some((first_ns, last_ns))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A request of one trace, whose resource has this many keys.
    fn request(spans: usize, keys: usize) -> Vec<u8> {
        let keys = (0..keys)
            .map(|key| format!(r#"{{"key":"key.{key}","value":{{"stringValue":"value"}}}}"#));
        let keys: Vec<String> = keys.collect();
        let spans = (1..=spans).map(|span| {
            format!(
                r#"{{"traceId":"{span:032x}","spanId":"{span:016x}","name":"work","startTimeUnixNano":"{span}","endTimeUnixNano":"{span}"}}"#
            )
        });
        let spans: Vec<String> = spans.collect();
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{}]}},"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
            keys.join(","),
            spans.join(",")
        )
        .into_bytes()
    }

    fn batches(generation: &Generation) -> usize {
        generation.builders[0].lock().unwrap().sealed.len()
    }

    const LIMIT: usize = 1 << 20;

    #[test]
    fn only_what_is_too_large_for_the_open_batch_gets_one_of_its_own() {
        let generation = Generation::new(1, 1);
        let decode = |bytes: &[u8]| generation.decode(Encoding::OtlpJson, bytes, LIMIT, 0);
        decode(&request(100, 10)).unwrap();
        let error = decode(b"{").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert_eq!(batches(&generation), 0);
        // A hundred spans, or two hundred, times a thousand keys.
        decode(&request(100, 1_000)).unwrap();
        assert_eq!(batches(&generation), 0);
        decode(&request(200, 1_000)).unwrap();
        assert_eq!(batches(&generation), 1, "what is open stays open");
        let error = decode(&request(300, 1_000)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooLarge);
        assert_eq!((batches(&generation), generation.spans()), (1, 400));
        assert_eq!(
            generation
                .batches()
                .iter()
                .map(SpanBatch::len)
                .sum::<usize>(),
            400
        );
    }

    #[test]
    fn the_extent_is_known_without_taking_batches() {
        let generation = Generation::new(1, 1);
        assert_eq!(generation.extent_ns(), None);
        let decode = |bytes: &[u8]| generation.decode(Encoding::OtlpJson, bytes, LIMIT, 0);
        decode(&request(10, 1_000)).unwrap();
        decode(b"{").unwrap_err();
        assert_eq!(generation.extent_ns(), Some((1, 10)));
        decode(&request(260, 1_000)).unwrap();
        assert_eq!(generation.extent_ns(), Some((1, 260)));
        decode(&request(300, 1_000)).unwrap_err();
        assert_eq!(generation.extent_ns(), Some((1, 260)));
    }
}
