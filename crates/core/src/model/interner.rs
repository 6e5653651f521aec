//! A growing set of distinct texts with dense codes: the dictionary of a column that is being built.

use std::hash::{BuildHasher, Hasher};

use arrow_array::StringArray;
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::value::double_text;

/// Distinct texts in the order they came, end to end in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    table: HashTable<Entry>,
    /// Codes of numbers by their bits, so that one that was seen is not formatted again.
    numbers: hashbrown::HashMap<u64, u32, RandomState>,
    /// Seeded at random, so that no producer can choose texts that collide. Codes do not depend on it.
    hasher: RandomState,
    /// The last text that was asked for: producers repeat themselves.
    last: Option<u32>,
    /// The number that was asked for last, and its code.
    last_number: Option<(u64, u32)>,
    /// Texts that were not UTF-8 and were mended.
    pub(crate) invalid_utf8: u64,
    /// Texts, and those of them that were mended, at the last commit.
    committed: (usize, u64),
    too_large: bool,
}

/// A code and half the hash of its text: most texts that differ are told apart, and the table grows, without a look
/// at the texts, which lie far away.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    code: u32,
}

impl Entry {
    /// The hash as the table takes it: it picks slots by the low bits and tells neighbours apart by the high ones.
    fn table_hash(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}

impl Interner {
    /// The code of `text`, which is checked to be UTF-8 only when it is new.
    #[inline]
    pub(crate) fn intern(&mut self, text: &[u8]) -> u32 {
        if let Some(code) = self.last
            && equal(self.get(code), text)
        {
            return code;
        }
        let code = self.look_up(text);
        self.last = Some(code);
        code
    }

    fn look_up(&mut self, text: &[u8]) -> u32 {
        let hash = self.hash(text);
        let Self {
            bytes, ends, table, ..
        } = self;
        let found = table
            .iter_hash(Entry::table_hash(hash))
            .find(|entry| entry.hash == hash && equal(slice(bytes, ends, entry.code), text));
        match found {
            Some(entry) => entry.code,
            None => self.insert(text, hash),
        }
    }

    fn hash(&self, text: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text);
        hasher.finish() as u32
    }

    /// The code of an integer's decimal text.
    pub(crate) fn intern_integer(&mut self, value: i64) -> u32 {
        self.intern_number(value as u64, |interner| {
            interner.intern(itoa::Buffer::new().format(value).as_bytes())
        })
    }

    /// The code of a double's text. An interner has integers or doubles, never both.
    pub(crate) fn intern_double(&mut self, value: f64) -> u32 {
        self.intern_number(value.to_bits(), |interner| {
            interner.intern(double_text(value).as_bytes())
        })
    }

    fn intern_number(&mut self, bits: u64, intern: impl FnOnce(&mut Self) -> u32) -> u32 {
        if let Some((last, code)) = self.last_number
            && last == bits
        {
            return code;
        }
        let code = match self.numbers.get(&bits) {
            Some(code) => *code,
            None => {
                let code = intern(self);
                self.numbers.insert(bits, code);
                code
            }
        };
        self.last_number = Some((bits, code));
        code
    }

    fn insert(&mut self, text: &[u8], hash: u32) -> u32 {
        if !text.is_ascii() && std::str::from_utf8(text).is_err() {
            self.invalid_utf8 += 1;
            let mended = String::from_utf8_lossy(text).into_owned();
            return self.intern(mended.as_bytes());
        }
        if self.bytes.len() + text.len() > i32::MAX as usize {
            self.too_large = true;
            return self.intern(b"");
        }
        let code = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as i32);
        let table_hash = Entry::table_hash(hash);
        self.table
            .insert_unique(table_hash, Entry { hash, code }, |entry| {
                Entry::table_hash(entry.hash)
            });
        code
    }

    /// The text of a code.
    pub(crate) fn get(&self, code: u32) -> &[u8] {
        slice(&self.bytes, &self.ends, code)
    }

    /// The number of texts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The length of all texts together.
    pub(crate) fn text_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a text came that the offsets of a column cannot reach; an empty one stands for it.
    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// Keeps all texts so far.
    pub(crate) fn commit(&mut self) {
        self.committed = (self.ends.len(), self.invalid_utf8);
    }

    /// Forgets all texts since the last commit.
    pub(crate) fn rollback(&mut self) {
        let (len, invalid_utf8) = self.committed;
        for code in len as u32..self.ends.len() as u32 {
            let hash = Entry::table_hash(self.hash(self.get(code)));
            if let Ok(entry) = self.table.find_entry(hash, |entry| entry.code == code) {
                entry.remove();
            }
        }
        if len < self.ends.len() {
            self.numbers.retain(|_, code| (*code as usize) < len);
            self.ends.truncate(len);
            self.bytes
                .truncate(self.ends.last().map_or(0, |end| *end as usize));
        }
        self.last = None;
        self.last_number = None;
        self.invalid_utf8 = invalid_utf8;
        self.too_large = false;
    }

    /// The texts as an Arrow array, by code. The interner is empty afterwards, but keeps its tables for texts to come.
    pub(crate) fn take_values(&mut self) -> StringArray {
        let mut offsets = std::mem::take(&mut self.ends);
        offsets.insert(0, 0);
        let bytes = std::mem::take(&mut self.bytes);
        self.ends.reserve(offsets.len());
        self.table.clear();
        self.numbers.clear();
        self.last = None;
        self.last_number = None;
        self.invalid_utf8 = 0;
        self.committed = (0, 0);
        self.too_large = false;
        string_array(offsets, bytes)
    }
}

/// A string array over offsets and bytes that are UTF-8 because every text was checked as it came in.
pub(crate) fn string_array(offsets: Vec<i32>, bytes: Vec<u8>) -> StringArray {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::new(offsets, Buffer::from_vec(bytes), None)
}

/// Whether two texts are the same. Most are short, for which a call of `memcmp` costs more than the comparison.
#[inline(always)]
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (Some(a_end), Some(b_end)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        let chunks = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
        a_end == b_end && chunks.into_iter().all(|(a, b)| a == b)
    } else if let (Some(a_end), Some(b_end)) = (a.last_chunk::<4>(), b.last_chunk::<4>()) {
        a_end == b_end && a[..4] == b[..4]
    } else {
        a.iter().zip(b).all(|(a, b)| a == b)
    }
}

#[inline(always)]
fn slice<'a>(bytes: &'a [u8], ends: &[i32], code: u32) -> &'a [u8] {
    let code = code as usize;
    let from = if code == 0 {
        0
    } else {
        ends[code - 1] as usize
    };
    &bytes[from..ends[code] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_a_code() {
        let mut interner = Interner::default();
        let codes: Vec<u32> = ["a", "", "b", "a", "200"]
            .iter()
            .map(|t| interner.intern(t.as_bytes()))
            .collect();
        assert_eq!(codes, [0, 1, 2, 0, 3]);
        assert_eq!(interner.intern_integer(200), 3);
        assert_eq!(interner.intern_integer(-7), 4);
        let values = interner.take_values();
        assert_eq!(
            values.iter().flatten().collect::<Vec<_>>(),
            ["a", "", "b", "200", "-7"]
        );
        assert_eq!(
            interner.intern(b"b"),
            0,
            "taking the values empties the interner"
        );
    }

    #[test]
    fn a_rollback_forgets_texts_and_numbers() {
        let mut interner = Interner::default();
        interner.intern(b"kept");
        interner.intern_integer(1);
        interner.commit();
        for lost in 0..1_000 {
            interner.intern_integer(lost);
        }
        interner.intern(b"\xff");
        interner.rollback();
        assert_eq!((interner.text_bytes(), interner.invalid_utf8), (5, 0));
        let codes = [
            interner.intern_integer(7),
            interner.intern_integer(1),
            interner.intern(b"kept"),
        ];
        assert_eq!(codes, [2, 1, 0]);
        assert_eq!(interner.intern(b"7"), 2);
    }

    #[test]
    fn texts_are_equal_when_all_bytes_are() {
        let text: Vec<u8> = (0..40).collect();
        for len in 0..text.len() {
            assert!(equal(&text[..len], &text.clone()[..len]), "{len}");
            assert!(!equal(&text[..len], &text[..len + 1]), "{len}");
            for changed in 0..len {
                let mut other = text[..len].to_vec();
                other[changed] ^= 1;
                assert!(!equal(&text[..len], &other), "byte {changed} of {len}");
            }
        }
    }

    #[test]
    fn bad_utf8_is_mended_and_counted() {
        let mut interner = Interner::default();
        let code = interner.intern(b"caf\xe9");
        assert_eq!(interner.get(code), "caf\u{fffd}".as_bytes());
        assert_eq!(interner.intern(b"caf\xe9"), code);
        assert_eq!(interner.invalid_utf8, 2);
    }
}
