//! Any bytes in chunks of any size: never a panic, and the chunks make no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracediff_core::model::SpanBatchBuilder;
use tracediff_wire::{DecodeError, StreamDecoder, StreamOptions, StreamSummary};

fn read(bytes: &[u8], chunk: usize) -> Result<StreamSummary, DecodeError> {
    let options = StreamOptions { strict: false, max_record_bytes: 1 << 20 };
    let mut decoder = StreamDecoder::new(options);
    let mut builder = SpanBatchBuilder::new();
    for part in bytes.chunks(chunk) {
        decoder.push(part, &mut builder)?;
    }
    decoder.finish(&mut builder)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    assert_eq!(read(rest, usize::from(*first) + 1), read(rest, usize::MAX));
});
