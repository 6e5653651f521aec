//! gRPC's frame around a message: a byte that says whether it is compressed, and its length.

use bytes::{Buf as _, Bytes};

use crate::compression::Compression;
use crate::refusal::Refusal;

/// Bytes before the message.
pub(super) const HEADER_BYTES: usize = 5;

/// The one message of a request, and how it is compressed; `declared` is what the request's headers say.
pub(super) fn read(
    mut body: Bytes,
    declared: Compression,
) -> Result<(Compression, Bytes), Refusal> {
    let malformed = |text: &str| Err(Refusal::Malformed(text.to_owned()));
    if body.is_empty() {
        return malformed("the request has no message");
    }
    if body.len() < HEADER_BYTES {
        return malformed("the message's frame is cut off");
    }
    let compression = match (body.get_u8(), declared) {
        (0, _) => Compression::Identity,
        (1, Compression::Identity) => {
            return malformed("the message is compressed, but `grpc-encoding` does not say how");
        }
        (1, declared) => declared,
        (flag, _) => {
            let text = format!("the frame's first byte is {flag}: expected 0 or 1");
            return Err(Refusal::Malformed(text));
        }
    };
    let length = body.get_u32() as usize;
    if body.len() < length {
        return malformed("the message is cut off");
    }
    if body.len() > length {
        return malformed("the request has more than one message");
    }
    Ok((compression, body))
}

/// A message in a frame, not compressed.
pub(super) fn write(message: &[u8]) -> Bytes {
    // Answers have a few hundred bytes at most.
    let length = message.len() as u32;
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        use Compression::{Gzip, Identity, Zstd};
        let check = |bytes: &'static [u8], declared, expected: Result<Compression, &str>| {
            let read = read(Bytes::from_static(bytes), declared);
            let seen = read.map(|(compression, message)| {
                assert_eq!(message, &bytes[5..]);
                compression
            });
            let expected = expected.map_err(|text| Refusal::Malformed(text.to_owned()));
            assert_eq!(seen, expected, "{bytes:?}");
        };
        check(b"\0\0\0\0\0", Identity, Ok(Identity));
        check(b"\0\0\0\0\x02ab", Zstd, Ok(Identity));
        check(b"\x01\0\0\0\x02ab", Zstd, Ok(Zstd));
        check(b"\x01\0\0\0\x02ab", Gzip, Ok(Gzip));
        check(b"", Identity, Err("the request has no message"));
        check(b"\0\0\0\0", Identity, Err("the message's frame is cut off"));
        check(b"\0\0\0\0\x03ab", Identity, Err("the message is cut off"));
        check(
            b"\0\xff\xff\xff\xffab",
            Identity,
            Err("the message is cut off"),
        );
        check(
            b"\0\0\0\0\x01ab",
            Identity,
            Err("the request has more than one message"),
        );
        check(
            b"\x01\0\0\0\x02ab",
            Identity,
            Err("the message is compressed, but `grpc-encoding` does not say how"),
        );
        check(
            b"\x02\0\0\0\x02ab",
            Gzip,
            Err("the frame's first byte is 2: expected 0 or 1"),
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        for message in [&b""[..], b"abc", &[7; 70_000]] {
            let (compression, read) = read(write(message), Compression::Gzip).unwrap();
            assert_eq!((compression, &read[..]), (Compression::Identity, message));
        }
    }
}
