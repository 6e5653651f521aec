//! Any bytes as Zipkin v2 JSON: never a panic; what was read and written again reads as the same spans.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracediff_core::model::SpanBatchBuilder;
use tracediff_wire::{decode_zipkin, encode_zipkin};

fuzz_target!(|bytes: &[u8]| {
    let mut builder = SpanBatchBuilder::new();
    let Ok(decoded) = decode_zipkin(bytes, 0, &mut builder) else {
        assert!(builder.finish().is_empty(), "a failed request leaves nothing");
        return;
    };
    let batches = builder.finish();
    let spans: usize = batches.iter().map(|batch| batch.len()).sum();
    assert_eq!(spans as u64, decoded.spans);
    let mut again = SpanBatchBuilder::new();
    for batch in &batches {
        let written = encode_zipkin(batch);
        let read = decode_zipkin(written.as_ref(), 0, &mut again).expect("our own bytes can be read");
        assert_eq!(read.spans, batch.len() as u64);
    }
});
