//! The bytes of the write-ahead log: a file's header, and records that can be found again behind damage.
//!
//! A record is 28 bytes of header and a request's bytes as zstd frames:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `TDr1` |
//! | 4 | CRC-32 of the next 20 bytes |
//! | 4 | length of the frames |
//! | 4 | CRC-32 of the frames |
//! | 4 | length of the request |
//! | 1 | encoding: 1 OTLP protobuf, 2 OTLP JSON, 3 Zipkin v2 JSON |
//! | 7 | zero |
//!
//! Numbers are little-endian. The header has a checksum of its own, so that a damaged length is not believed.

use crate::request::Encoding;

/// What a log file begins with: its kind and version.
pub(super) const FILE_HEADER: &[u8; 16] = b"tracediff log 1\n";
const MAGIC: &[u8; 4] = b"TDr1";
const HEADER_BYTES: usize = 28;

/// A record of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) encoding: Encoding,
    /// The request's bytes as zstd frames.
    pub(crate) zstd: &'a [u8],
    /// How many bytes these hold.
    pub(crate) plain_bytes: usize,
}

/// What stands at a place of a log file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A record.
    Record(Record<'a>),
    /// Bytes that are no record, with a record behind them.
    Damage {
        /// From the file's start.
        offset: usize,
        /// How many.
        bytes: usize,
    },
    /// Bytes that are no record up to the file's end: a write that was cut short.
    TornTail {
        /// From the file's start.
        offset: usize,
        /// How many.
        bytes: usize,
    },
}

impl Record<'_> {
    /// Appends the record's bytes.
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
        let mut rest = [0; 20];
        rest[..4].copy_from_slice(&length(self.zstd.len()));
        rest[4..8].copy_from_slice(&crc32fast::hash(self.zstd).to_le_bytes());
        rest[8..12].copy_from_slice(&length(self.plain_bytes));
        rest[12] = self.encoding.number();
        into.extend_from_slice(MAGIC);
        into.extend_from_slice(&crc32fast::hash(&rest).to_le_bytes());
        into.extend_from_slice(&rest);
        into.extend_from_slice(self.zstd);
    }
}

impl Encoding {
    fn number(self) -> u8 {
        match self {
            Self::OtlpProtobuf => 1,
            Self::OtlpJson => 2,
            Self::Zipkin => 3,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::OtlpProtobuf, Self::OtlpJson, Self::Zipkin]
            .into_iter()
            .find(|encoding| encoding.number() == number)
    }
}

/// Everything that a log file holds, in order. A file without a right header is damage from its start.
pub(crate) fn records(file: &[u8]) -> impl Iterator<Item = Found<'_>> {
    let mut offset = if file.starts_with(FILE_HEADER) {
        FILE_HEADER.len()
    } else {
        0
    };
    std::iter::from_fn(move || {
        if offset >= file.len() {
            return None;
        }
        if let Some((record, end)) = record_at(file, offset) {
            offset = end;
            return Some(Found::Record(record));
        }
        let start = offset;
        let next = (start + 1..file.len())
            .filter(|at| file[*at..].starts_with(MAGIC))
            .find(|at| record_at(file, *at).is_some());
        offset = next.unwrap_or(file.len());
        let bytes = offset - start;
        Some(match next {
            Some(_) => Found::Damage {
                offset: start,
                bytes,
            },
            None => Found::TornTail {
                offset: start,
                bytes,
            },
        })
    })
}

/// The record at a place and where it ends, if all of it is there and right.
fn record_at(file: &[u8], offset: usize) -> Option<(Record<'_>, usize)> {
    let header = file.get(offset..offset + HEADER_BYTES)?;
    let number = |at: usize| {
        let bytes: [u8; 4] = header[at..at + 4].try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    if !header.starts_with(MAGIC) || number(4)? != crc32fast::hash(&header[8..]) {
        return None;
    }
    let start = offset + HEADER_BYTES;
    let end = start.checked_add(number(8)? as usize)?;
    let zstd = file.get(start..end)?;
    if crc32fast::hash(zstd) != number(12)? {
        return None;
    }
    let record = Record {
        encoding: Encoding::from_number(header[20])?,
        zstd,
        plain_bytes: number(16)? as usize,
    };
    Some((record, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&[u8]; 3] = [b"first", b"second request", b"third"];

    fn file() -> Vec<u8> {
        let mut file = FILE_HEADER.to_vec();
        for zstd in TEXTS {
            let record = Record {
                encoding: Encoding::OtlpJson,
                zstd,
                plain_bytes: 7,
            };
            record.write(&mut file);
        }
        file
    }

    fn texts(file: &[u8]) -> Vec<&[u8]> {
        let record = |found| match found {
            Found::Record(record) => Some(record.zstd),
            Found::Damage { .. } | Found::TornTail { .. } => None,
        };
        records(file).filter_map(record).collect()
    }

    #[test]
    fn records_are_read_as_written() {
        assert_eq!(texts(&file()), TEXTS);
        let file = file();
        let Some(Found::Record(first)) = records(&file).next() else {
            panic!("no record");
        };
        assert_eq!((first.encoding, first.plain_bytes), (Encoding::OtlpJson, 7));
    }

    #[test]
    fn whatever_byte_is_damaged_only_its_record_is_lost() {
        let whole = file();
        let first = FILE_HEADER.len();
        let second = first + HEADER_BYTES + TEXTS[0].len();
        for at in first..whole.len() {
            let mut file = whole.clone();
            file[at] ^= 0x55;
            let expected: Vec<&[u8]> = TEXTS
                .into_iter()
                .enumerate()
                .filter(|(number, _)| {
                    let starts = [
                        first,
                        second,
                        second + HEADER_BYTES + TEXTS[1].len(),
                        whole.len(),
                    ];
                    !(starts[*number]..starts[number + 1]).contains(&at)
                })
                .map(|(_, text)| text)
                .collect();
            assert_eq!(texts(&file), expected, "byte {at}");
        }
    }

    #[test]
    fn wherever_the_file_is_cut_whole_records_stay_and_the_rest_is_a_torn_tail() {
        let whole = file();
        for length in FILE_HEADER.len()..whole.len() {
            let cut = &whole[..length];
            let kept = texts(cut);
            assert!(TEXTS.starts_with(&kept), "cut at {length}");
            let torn: usize = records(cut)
                .map(|found| match found {
                    Found::TornTail { bytes, .. } => bytes,
                    Found::Record(record) => {
                        assert!(!record.zstd.is_empty());
                        0
                    }
                    Found::Damage { .. } => panic!("cut at {length}: no damage in the middle"),
                })
                .sum();
            let whole_records: usize = kept.iter().map(|text| HEADER_BYTES + text.len()).sum();
            assert_eq!(torn, length - FILE_HEADER.len() - whole_records);
        }
    }
}
