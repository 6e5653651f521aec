//! Trace and span ids: fixed-size byte strings, shown as lower-case hex as OpenTelemetry does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Wrong number of characters.
    #[error("expected {expected} hex digits, found {found} characters")]
    Length {
        /// Digits that the id has.
        expected: usize,
        /// Characters that were found.
        found: usize,
    },
    /// A character that is no hex digit.
    #[error("`{found}` at position {position} is not a hex digit")]
    Digit {
        /// Zero-based character position.
        position: usize,
        /// The character.
        found: char,
    },
    /// OpenTelemetry forbids ids of only zeros.
    #[error("an id of only zeros is not valid")]
    Zero,
}

fn parse_hex<const N: usize>(text: &[u8]) -> Result<[u8; N], IdError> {
    if text.len() != 2 * N {
        return Err(IdError::Length {
            expected: 2 * N,
            found: text.len(),
        });
    }
    let mut bytes = [0u8; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        let mut value = 0u8;
        for position in [2 * i, 2 * i + 1] {
            let digit = HEX_VALUE[usize::from(text[position])];
            if digit == NOT_HEX {
                return Err(IdError::Digit {
                    position,
                    found: char::from(text[position]),
                });
            }
            value = value << 4 | digit;
        }
        *byte = value;
    }
    Ok(bytes)
}

const NOT_HEX: u8 = 0xff;

/// The value of each ASCII hex digit, by byte; a table because ids are parsed for every span of a JSON file.
static HEX_VALUE: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut i = 0;
    while i < 10 {
        table[b'0' as usize + i] = i as u8;
        i += 1;
    }
    let mut i = 0;
    while i < 6 {
        table[b'a' as usize + i] = 10 + i as u8;
        table[b'A' as usize + i] = 10 + i as u8;
        i += 1;
    }
    table
};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// Whether all bytes are zero, which OpenTelemetry reads as "no id".
            pub fn is_zero(&self) -> bool {
                self.0 == [0; $size]
            }

            /// The id in bytes; `None` where the length is wrong.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The id from exactly its number of hex digits, in either case.
            pub fn parse_hex(text: &[u8]) -> Result<Self, IdError> {
                parse_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let mut text = [0; 2 * $size];
                for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(self.0) {
                    *pair = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
                }
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse_hex(text.as_bytes())
            }
        }
    };
}

id!(
    /// The 16 bytes that all spans of one trace share.
    TraceId,
    16
);
id!(
    /// The 8 bytes that name a span inside its trace.
    SpanId,
    8
);

impl TraceId {
    /// The id from 1 to 32 hex digits: Jaeger and Zipkin write 64-bit ids, and Jaeger drops leading zeros.
    pub fn parse_lenient(text: &[u8]) -> Result<Self, IdError> {
        pad_hex::<16>(text).map(Self)
    }
}

impl SpanId {
    /// The id from 1 to 16 hex digits (see [`TraceId::parse_lenient`]).
    pub fn parse_lenient(text: &[u8]) -> Result<Self, IdError> {
        pad_hex::<8>(text).map(Self)
    }
}

fn pad_hex<const N: usize>(text: &[u8]) -> Result<[u8; N], IdError> {
    if text.is_empty() || text.len() > 2 * N {
        return Err(IdError::Length {
            expected: 2 * N,
            found: text.len(),
        });
    }
    let mut padded = vec![b'0'; 2 * N];
    padded[2 * N - text.len()..].copy_from_slice(text);
    parse_hex(&padded).map_err(|error| match error {
        IdError::Digit { position, found } => IdError::Digit {
            position: position - (2 * N - text.len()),
            found,
        },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_and_written() {
        let id: TraceId = "0AF7651916cd43dd8448eb211c80319c".parse().unwrap();
        assert_eq!(id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(
            SpanId::parse_lenient(b"a1").unwrap().to_string(),
            "00000000000000a1"
        );
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(
            SpanId::parse_hex(b"b7ad6b7169203g31")
                .unwrap_err()
                .to_string(),
            "`g` at position 13 is not a hex digit"
        );
        assert_eq!(
            SpanId::parse_lenient(b"12x").unwrap_err(),
            IdError::Digit {
                position: 2,
                found: 'x'
            }
        );
        assert_eq!(
            "12".parse::<TraceId>().unwrap_err().to_string(),
            "expected 32 hex digits, found 2 characters"
        );
    }
}
