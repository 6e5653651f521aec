//! Decompression that cannot be made to grow: it ends as soon as the output passes its limit, whatever the input
//! promises.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use crate::memory::Share;
use crate::refusal::Refusal;

/// zstd's window, in powers of two: 32 MiB, more than RFC 9659 asks of a receiver (8 MiB), as common encoders use it at
/// their highest levels. The window is allocated at once but touched no further than there is output.
const ZSTD_WINDOW_LOG: u32 = 25;

/// What is decompressed before the memory for more of it is asked for.
const STEP_BYTES: usize = 64 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Identity,
    Gzip,
    Zstd,
}

impl Compression {
    /// What clients may send, as `Accept-Encoding` and `grpc-accept-encoding` list it.
    pub(crate) const UNDERSTOOD: &str = "identity, gzip, zstd";

    /// The value of `Content-Encoding` or `grpc-encoding`; `None` stands for no such header.
    pub(crate) fn parse(name: Option<&[u8]>) -> Result<Self, Refusal> {
        let Some(name) = name else {
            return Ok(Self::Identity);
        };
        let name = name.trim_ascii();
        if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
            Ok(Self::Identity)
        } else if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            Ok(Self::Gzip)
        } else if name.eq_ignore_ascii_case(b"zstd") {
            Ok(Self::Zstd)
        } else {
            Err(Refusal::Unsupported(format!(
                "the encoding `{}` is not understood: use one of {}",
                name.escape_ascii(),
                Self::UNDERSTOOD
            )))
        }
    }
}

/// A request's bytes, and how they came if that was as zstd.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) bytes: Bytes,
    pub(crate) zstd: Option<Bytes>,
}

/// Decompresses to at most `limit_bytes`, whose memory comes from `share`.
pub(crate) fn decompress(
    compression: Compression,
    bytes: Bytes,
    limit_bytes: usize,
    share: &mut Share,
) -> Result<Plain, Refusal> {
    match compression {
        Compression::Identity if bytes.len() > limit_bytes => Err(too_large(limit_bytes)),
        Compression::Identity => Ok(Plain { bytes, zstd: None }),
        Compression::Gzip => {
            let decoder = MultiGzDecoder::new(&bytes[..]);
            Ok(Plain {
                bytes: read_bounded(decoder, "gzip", limit_bytes, share)?,
                zstd: None,
            })
        }
        Compression::Zstd => {
            let failed = |error| malformed("zstd", &error);
            let mut decoder = zstd::Decoder::with_buffer(&bytes[..]).map_err(failed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(failed)?;
            Ok(Plain {
                bytes: read_bounded(decoder, "zstd", limit_bytes, share)?,
                zstd: Some(bytes),
            })
        }
    }
}

fn read_bounded(
    mut decoder: impl Read,
    name: &str,
    limit_bytes: usize,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let mut out = Vec::new();
    loop {
        // The output doubles, as a vector does, but never past the limit and one byte, which tells that it is passed.
        let step = out.len().clamp(STEP_BYTES, limit_bytes.max(STEP_BYTES));
        let step = step.min(limit_bytes + 1 - out.len());
        share.grow(step)?;
        out.reserve_exact(step);
        let read = (&mut decoder)
            .take(step as u64)
            .read_to_end(&mut out)
            .map_err(|error| malformed(name, &error))?;
        if out.len() > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        if read < step {
            return Ok(out.into());
        }
    }
}

fn too_large(limit_bytes: usize) -> Refusal {
    Refusal::TooLarge {
        limit_bytes,
        decompressed: true,
    }
}

fn malformed(name: &str, error: &io::Error) -> Refusal {
    Refusal::Malformed(format!(
        "the body cannot be decompressed as {name}: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::memory::Memory;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn run(compression: Compression, bytes: &[u8], limit_bytes: usize) -> Result<Bytes, Refusal> {
        let memory = Memory::new(1 << 20);
        let bytes = Bytes::copy_from_slice(bytes);
        let plain = decompress(compression, bytes.clone(), limit_bytes, &mut memory.share())?;
        let zstd = (compression == Compression::Zstd).then_some(bytes);
        assert_eq!(plain.zstd, zstd, "only zstd is handed on as it came");
        Ok(plain.bytes)
    }

    #[test]
    fn what_fits_comes_back() {
        for size in [
            0,
            1,
            STEP_BYTES - 1,
            STEP_BYTES,
            STEP_BYTES + 1,
            5 * STEP_BYTES,
        ] {
            let text: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            for limit in [size, size + 1, 1 << 20] {
                assert_eq!(run(Compression::Identity, &text, limit).unwrap(), text);
                assert_eq!(run(Compression::Gzip, &gzip(&text), limit).unwrap(), text);
                assert_eq!(run(Compression::Zstd, &zstd(&text), limit).unwrap(), text);
            }
        }
    }

    #[test]
    fn members_and_frames_one_after_the_other_are_one_text() {
        let twice = |one: Vec<u8>| [one.clone(), one].concat();
        let text = run(Compression::Gzip, &twice(gzip(b"ab")), 4).unwrap();
        assert_eq!(text, &b"abab"[..]);
        let text = run(Compression::Zstd, &twice(zstd(b"ab")), 4).unwrap();
        assert_eq!(text, &b"abab"[..]);
    }

    #[test]
    fn one_byte_too_many_is_refused() {
        for (compression, bytes) in [
            (Compression::Identity, vec![0; 100_001]),
            (Compression::Gzip, gzip(&[0; 100_001])),
            (Compression::Zstd, zstd(&[0; 100_001])),
        ] {
            let refusal = run(compression, &bytes, 100_000).unwrap_err();
            assert_eq!(refusal, too_large(100_000), "{compression:?}");
        }
    }

    #[test]
    fn a_bomb_takes_no_more_memory_than_the_limit() {
        let zeros = vec![0; 50 << 20];
        for (compression, bytes) in [
            (Compression::Gzip, gzip(&zeros)),
            (Compression::Zstd, zstd(&zeros)),
        ] {
            let memory = Memory::new(200_001);
            let bytes = Bytes::from(bytes);
            let refusal = decompress(compression, bytes.clone(), 200_000, &mut memory.share());
            assert_eq!(refusal.unwrap_err(), too_large(200_000), "{compression:?}");
            let memory = Memory::new(150_000);
            let refusal = decompress(compression, bytes, 200_000, &mut memory.share());
            assert!(
                matches!(refusal, Err(Refusal::Busy { .. })),
                "{compression:?}"
            );
        }
    }

    #[test]
    fn a_window_too_large_is_refused() {
        let compress = |window_log| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(window_log).unwrap();
            encoder.write_all(b"spans").unwrap();
            encoder.flush().unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(
            run(Compression::Zstd, &compress(25), 9).unwrap(),
            &b"spans"[..]
        );
        let refusal = run(Compression::Zstd, &compress(26), 9).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed(_)), "{refusal}");
    }

    #[test]
    fn what_is_cut_off_or_no_such_thing_is_malformed() {
        for (compression, bytes) in [
            (Compression::Gzip, gzip(b"spans")),
            (Compression::Zstd, zstd(b"spans")),
        ] {
            for bytes in [&bytes[..bytes.len() - 1], b"spans"] {
                let refusal = run(compression, bytes, 9).unwrap_err();
                assert!(matches!(refusal, Refusal::Malformed(_)), "{refusal}");
            }
        }
    }

    #[test]
    fn names_are_read_as_headers_have_them() {
        let parse = |name: &str| Compression::parse(Some(name.as_bytes()));
        assert_eq!(Compression::parse(None).unwrap(), Compression::Identity);
        assert_eq!(parse("identity").unwrap(), Compression::Identity);
        assert_eq!(parse(" GZip ").unwrap(), Compression::Gzip);
        assert_eq!(parse("zstd").unwrap(), Compression::Zstd);
        let refusal = parse("br, gzip").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the encoding `br, gzip` is not understood: use one of identity, gzip, zstd"
        );
    }
}
