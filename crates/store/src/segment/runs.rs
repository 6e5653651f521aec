//! Parquet's encodings of whole numbers: runs and packed bits for codes and levels, packed differences for all others.
//!
//! Source: Parquet's `Encodings.md`, "RLE" and "DELTA_BINARY_PACKED".

use parquet::errors::{ParquetError, Result};

fn cut_short() -> ParquetError {
    ParquetError::General("a page ends too early".to_owned())
}

/// The number of bits that numbers up to `largest` need.
pub(super) fn width_of(largest: u32) -> u8 {
    (u32::BITS - largest.leading_zeros()) as u8
}

/// Codes of a number of bits each: runs of eight and more equal ones as such, all others packed, eight at a time.
pub(super) fn write_codes(codes: &[u32], width: u8, into: &mut Vec<u8>) {
    let (mut packed_from, mut at) = (0, 0);
    while let Some(block) = codes[at..].first_chunk::<8>() {
        let differences = block.iter().fold(0, |all, code| all | (code ^ block[0]));
        if differences != 0 {
            at += 8;
            continue;
        }
        write_packed(&codes[packed_from..at], width, into);
        let run = codes[at..]
            .iter()
            .take_while(|code| **code == codes[at])
            .count();
        write_run(codes[at], run, width, into);
        at += run;
        packed_from = at;
    }
    write_packed(&codes[packed_from..], width, into);
}

/// One code, many times.
pub(super) fn write_run(code: u32, count: usize, width: u8, into: &mut Vec<u8>) {
    write_varint((count as u64) << 1, into);
    into.extend_from_slice(&code.to_le_bytes()[..usize::from(width).div_ceil(8)]);
}

fn write_packed(codes: &[u32], width: u8, into: &mut Vec<u8>) {
    if codes.is_empty() {
        return;
    }
    write_varint((codes.len().div_ceil(8) as u64) << 1 | 1, into);
    pack(
        codes.iter().map(|code| u64::from(*code)),
        codes.len(),
        width,
        into,
    );
}

/// Numbers of a number of bits each, filled up with zeros to a whole number of eight.
fn pack(numbers: impl Iterator<Item = u64>, count: usize, width: u8, into: &mut Vec<u8>) {
    into.reserve(count.div_ceil(8) * usize::from(width) + 8);
    let padding = std::iter::repeat_n(0, count.next_multiple_of(8) - count);
    let (mut bits, mut filled) = (0u128, 0);
    for number in numbers.chain(padding) {
        bits |= u128::from(number) << filled;
        filled += u32::from(width);
        if filled >= 64 {
            into.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= 64;
            filled -= 64;
        }
    }
    into.extend_from_slice(&bits.to_le_bytes()[..filled.div_ceil(8) as usize]);
}

/// Reads packed numbers; `each` gets one after the other.
fn unpack(bytes: &[u8], width: u8, count: usize, mut each: impl FnMut(u64)) {
    let mask = u64::MAX.checked_shr(64 - u32::from(width)).unwrap_or(0);
    let (mut bits, mut filled) = (0u128, 0);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut words = words.iter().chain([&last]);
    for _ in 0..count {
        if filled < u32::from(width) {
            let word = words.next().map_or(0, |word| u64::from_le_bytes(*word));
            bits |= u128::from(word) << filled;
            filled += 64;
        }
        each(bits as u64 & mask);
        bits >>= width;
        filled -= u32::from(width);
    }
}

/// Reads `count` codes of `width` bits each as [`write_codes`] and others write them, and appends `map` of each.
pub(super) fn read_codes(
    mut bytes: &[u8],
    width: u8,
    count: usize,
    into: &mut Vec<u32>,
    map: impl Fn(u32) -> u32,
) -> Result<()> {
    if width > 32 {
        return Err(ParquetError::General(format!("codes of {width} bits")));
    }
    let end = into.len() + count;
    into.reserve(count);
    while into.len() < end {
        let left = end - into.len();
        let header = read_varint(&mut bytes)?;
        let length = usize::try_from(header >> 1).map_err(|_| cut_short())?;
        if header & 1 == 0 {
            let value_bytes = usize::from(width).div_ceil(8);
            let mut code = [0; 4];
            code[..value_bytes].copy_from_slice(take(&mut bytes, value_bytes)?);
            let code = map(u32::from_le_bytes(code));
            into.resize(into.len() + length.min(left), code);
        } else {
            let packed = length.saturating_mul(usize::from(width)).min(bytes.len());
            let packed = take(&mut bytes, packed)?;
            let count = length.saturating_mul(8).min(left);
            if packed.len() * 8 < count * usize::from(width) {
                return Err(cut_short());
            }
            unpack(packed, width, count, |code| into.push(map(code as u32)));
        }
        if length == 0 {
            return Err(cut_short());
        }
    }
    Ok(())
}

/// LEB128.
pub(super) fn write_varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(cut_short())
}

pub(super) fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or_else(cut_short)?;
    *bytes = rest;
    Ok(taken)
}

/// Numbers of a block, and of the parts of it that have a width each.
const BLOCK: usize = 128;
const PART: usize = 32;

/// Numbers as packed differences between neighbours.
pub(super) fn write_differences(numbers: &[i64], into: &mut Vec<u8>) {
    write_varint(BLOCK as u64, into);
    write_varint((BLOCK / PART) as u64, into);
    write_varint(numbers.len() as u64, into);
    write_varint(zigzag(numbers.first().copied().unwrap_or(0)), into);
    let mut before = numbers.first().copied().unwrap_or(0);
    for block in numbers.get(1..).unwrap_or_default().chunks(BLOCK) {
        let mut differences = [0i64; BLOCK];
        for (difference, number) in differences.iter_mut().zip(block) {
            *difference = number.wrapping_sub(before);
            before = *number;
        }
        let differences = &differences[..block.len()];
        let least = differences.iter().min().copied().unwrap_or(0);
        write_varint(zigzag(least), into);
        let widths = into.len();
        into.extend_from_slice(&[0; BLOCK / PART]);
        for (number, part) in differences.chunks(PART).enumerate() {
            let above = |difference: &i64| difference.wrapping_sub(least) as u64;
            let bits = part
                .iter()
                .fold(0, |bits, difference| bits | above(difference));
            let width = (u64::BITS - bits.leading_zeros()) as u8;
            into[widths + number] = width;
            // A part is written whole, whatever number of differences it has.
            let filled = std::iter::repeat_n(0, PART - part.len());
            pack(part.iter().map(above).chain(filled), PART, width, into);
        }
    }
}

/// Reads what [`write_differences`] writes, from the front of `bytes`.
pub(super) fn read_differences(bytes: &mut &[u8], into: &mut Vec<i64>) -> Result<()> {
    let block = usize::try_from(read_varint(bytes)?).map_err(|_| cut_short())?;
    let parts = usize::try_from(read_varint(bytes)?).map_err(|_| cut_short())?;
    let count = usize::try_from(read_varint(bytes)?).map_err(|_| cut_short())?;
    let first = unzigzag(read_varint(bytes)?);
    let part_length = block.checked_div(parts).unwrap_or(0);
    if count > 0 && (part_length == 0 || part_length % 8 != 0) {
        return Err(cut_short());
    }
    if count > 0 {
        into.push(first);
    }
    let (mut left, mut before) = (count.saturating_sub(1), first);
    while left > 0 {
        let least = unzigzag(read_varint(bytes)?);
        let widths = take(bytes, parts)?;
        for width in widths {
            if left == 0 {
                break;
            }
            if *width > 64 {
                return Err(cut_short());
            }
            let packed = take(bytes, part_length / 8 * usize::from(*width))?;
            let numbers = part_length.min(left);
            unpack(packed, *width, numbers, |above| {
                before = before.wrapping_add(least).wrapping_add(above as i64);
                into.push(before);
            });
            left -= numbers;
        }
    }
    Ok(())
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_were_written() {
        for width in 0..=32 {
            let mask = u64::MAX.checked_shr(64 - u32::from(width)).unwrap_or(0) as u32;
            let code = |n: u32| match n / 50 % 3 {
                0 => n.wrapping_mul(0x9e37_79b9) & mask,
                1 => 7 & mask,
                _ => mask,
            };
            for count in [0, 1, 7, 8, 9, 49, 64, 333, 1_001] {
                let codes: Vec<u32> = (0..count).map(code).collect();
                let mut bytes = Vec::new();
                write_codes(&codes, width, &mut bytes);
                let mut read = Vec::new();
                read_codes(&bytes, width, codes.len(), &mut read, |code| code).unwrap();
                assert_eq!(read, codes, "{count} of {width} bits");
                // Numbers that only fill up the last eight may be missing.
                if count > 0 && count % 8 == 0 {
                    let cut = &bytes[..bytes.len() - 1];
                    let result = read_codes(cut, width, codes.len(), &mut read, |code| code);
                    assert!(
                        result.is_err() || width == 0,
                        "{count} of {width} bits, cut"
                    );
                }
            }
        }
    }

    #[test]
    fn differences_are_read_as_they_were_written() {
        let numbers = |count: i64, scale: i64| -> Vec<i64> {
            (0..count)
                .map(|n| (n * 7_919 % 1_009).wrapping_mul(scale))
                .collect()
        };
        for count in [0, 1, 2, 32, 33, 128, 129, 130, 1_000] {
            for scale in [0, 1, -3, 1 << 40, i64::MAX / 500, i64::MAX] {
                let numbers = numbers(count, scale);
                let mut bytes = Vec::new();
                write_differences(&numbers, &mut bytes);
                bytes.push(9);
                let (mut rest, mut read) = (&bytes[..], Vec::new());
                read_differences(&mut rest, &mut read).unwrap();
                assert_eq!((read, rest), (numbers, &[9][..]), "{count} times {scale}");
            }
        }
    }
}
