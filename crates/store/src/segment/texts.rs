//! Texts as a Parquet column chunk, from codes to codes: no text is looked at for every row where it is in many.
//!
//! Parquet's own writer takes every row's text and looks its code up again, which was a quarter of the time that a span
//! took on its way into a segment.

use std::hash::BuildHasher as _;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use parquet::basic::{BoundaryOrder, Encoding};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Encoder, NONE, PAGE_ROWS, Values};

/// Bytes that a dictionary may always have.
const DICTIONARY_BYTES: usize = 1 << 20;
/// Bytes past which texts are never in a dictionary: readers hold all of it.
const MAX_DICTIONARY_BYTES: usize = 16 << 20;
/// Texts of a page. One alone may have more.
const PAGE_BYTES: usize = 64 << 20;
/// Texts up to this length are kept as least and largest of a column.
const BOUND_BYTES: usize = 64;

/// Distinct texts and their codes.
#[derive(Default)]
pub(crate) struct Dictionary {
    /// Every text with its length before it, as the dictionary page has them.
    bytes: Vec<u8>,
    /// Where each text begins in it.
    starts: Vec<u32>,
    codes: HashTable<u32>,
    hasher: RandomState,
}

impl Dictionary {
    /// The code of a text.
    pub(crate) fn code_of(&mut self, text: &[u8]) -> u32 {
        let Self {
            bytes,
            starts,
            codes,
            hasher,
        } = self;
        let hash = hasher.hash_one(text);
        if let Some(code) = codes.find(hash, |code| text_at(bytes, starts, *code) == text) {
            return *code;
        }
        let code = starts.len() as u32;
        codes.insert_unique(hash, code, |code| {
            hasher.hash_one(text_at(bytes, starts, *code))
        });
        starts.push(bytes.len() as u32);
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text);
        code
    }

    /// The number of texts.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether it is too large, beside texts that have `plain_bytes` where each is written for itself.
    pub(crate) fn is_too_large(&self, plain_bytes: usize) -> bool {
        let bound = (plain_bytes / 4).clamp(DICTIONARY_BYTES, MAX_DICTIONARY_BYTES);
        self.bytes.len() > bound
    }

    /// Least and largest text, where they are short.
    fn bounds(&self) -> Option<(&[u8], &[u8])> {
        let texts = || (0..self.len() as u32).map(|code| text_at(&self.bytes, &self.starts, code));
        let (least, largest) = (texts().min()?, texts().max()?);
        (least.len().max(largest.len()) <= BOUND_BYTES).then_some((least, largest))
    }
}

fn text_at<'a>(bytes: &'a [u8], starts: &[u32], code: u32) -> &'a [u8] {
    let start = starts[code as usize] as usize;
    let end = starts.get(code as usize + 1);
    &bytes[start + 4..end.map_or(bytes.len(), |end| *end as usize)]
}

/// A column of codes into a dictionary: begin, pages of codes, end.
pub(crate) struct CodedTexts<'e> {
    chunk: Chunk<'e>,
    bounds: Option<(ByteArray, ByteArray)>,
}

impl<'e> CodedTexts<'e> {
    pub(crate) fn begin(
        encoder: &'e mut Encoder,
        column: ColumnDescPtr,
        dictionary: &Dictionary,
    ) -> Result<Self> {
        let mut chunk = Chunk::new(encoder, column);
        chunk.write_dictionary(&dictionary.bytes, dictionary.len())?;
        let bounds = dictionary.bounds();
        Ok(Self {
            chunk,
            bounds: bounds.map(|(least, largest)| (least.to_vec().into(), largest.to_vec().into())),
        })
    }

    /// A page of rows, `NONE` for those without a text.
    pub(crate) fn write(&mut self, codes: &[u32]) -> Result<()> {
        self.chunk.write_codes(codes)
    }

    /// Rows that all have one code.
    pub(crate) fn write_constant(&mut self, code: u32, rows: usize) -> Result<()> {
        self.chunk.write_constant(code, rows)
    }

    pub(crate) fn close(self) -> Result<(Bytes, ColumnCloseResult)> {
        let (least, largest) = self.bounds.unzip();
        let statistics = text_statistics(least, largest, self.chunk.nulls());
        self.chunk.close(Some(statistics), BoundaryOrder::UNORDERED)
    }
}

fn text_statistics(
    least: Option<ByteArray>,
    largest: Option<ByteArray>,
    nulls: usize,
) -> Statistics {
    // A dictionary may have a text that is in no row, so these are bounds only.
    Statistics::ByteArray(
        ValueStatistics::new(least, largest, None, Some(nulls as u64), false)
            .with_min_is_exact(false)
            .with_max_is_exact(false),
    )
}

/// A column of texts that hardly repeat, each written for itself: in Parquet's plain form, since Arrow's C++ library reads
/// no other into dictionary columns.
pub(crate) struct SingleTexts<'e> {
    chunk: Chunk<'e>,
    /// 0 for a row with a text, else `NONE`.
    rows: Vec<u32>,
    there: usize,
    /// Texts, each with its length before it.
    bytes: Vec<u8>,
}

impl<'e> SingleTexts<'e> {
    pub(crate) fn begin(encoder: &'e mut Encoder, column: ColumnDescPtr) -> Self {
        Self {
            chunk: Chunk::new(encoder, column),
            rows: Vec::with_capacity(PAGE_ROWS),
            there: 0,
            bytes: Vec::new(),
        }
    }

    /// A row's text, or none.
    #[inline]
    pub(crate) fn push(&mut self, text: Option<&[u8]>) -> Result<()> {
        match text {
            None => self.rows.push(NONE),
            Some(text) => {
                self.rows.push(0);
                self.there += 1;
                self.bytes
                    .extend_from_slice(&(text.len() as u32).to_le_bytes());
                self.bytes.extend_from_slice(text);
            }
        }
        if self.rows.len() == PAGE_ROWS || self.bytes.len() >= PAGE_BYTES {
            self.end_page()?;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<()> {
        self.chunk.write_levels(&self.rows, self.there);
        let how = Values::Compressible(Encoding::PLAIN);
        let written = self
            .chunk
            .write_values(&self.bytes, self.rows.len(), self.there, how);
        self.rows.clear();
        self.there = 0;
        self.bytes.clear();
        written
    }

    pub(crate) fn close(mut self) -> Result<(Bytes, ColumnCloseResult)> {
        if !self.rows.is_empty() {
            self.end_page()?;
        }
        let statistics = text_statistics(None, None, self.chunk.nulls());
        self.chunk.close(Some(statistics), BoundaryOrder::UNORDERED)
    }
}
