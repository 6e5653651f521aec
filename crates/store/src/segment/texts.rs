//! A dictionary column as a Parquet column chunk, from codes to codes: no text is looked at more than once a batch.
//!
//! Parquet's own writer takes every row's text and looks its code up again, which was a quarter of the time that a span
//! took on its way into a segment.

use std::hash::BuildHasher as _;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{Array as _, ArrayRef, StringArray};
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows of a page.
const PAGE_ROWS: usize = 8_192;
/// Bytes of a dictionary past which texts are written as they are.
const DICTIONARY_BYTES: usize = 1 << 20;
/// The code of a row without a text, and of a text that was not looked up yet.
const NONE: u32 = u32::MAX;

/// One column of one row group.
pub(super) struct TextChunk {
    level: i32,
    /// Whether rows may be without a text: only then it is written which have one.
    is_nullable: bool,
    /// Every text with its length before it, as the dictionary page has them.
    dictionary: Vec<u8>,
    /// Where each text begins in it.
    starts: Vec<u32>,
    codes: HashTable<u32>,
    hasher: RandomState,
    /// The texts of the batch before, and the code of each.
    batch: Option<(StringArray, Vec<u32>)>,
    page: PageBuffer,
    pages: Vec<DataPage>,
}

/// The rows of a page that is not full yet.
#[derive(Default)]
struct PageBuffer {
    /// Code by row.
    codes: Vec<u32>,
    /// Texts with their lengths, where the dictionary is full.
    plain: Vec<u8>,
    is_plain: bool,
}

struct DataPage {
    buffer: Bytes,
    uncompressed: usize,
    rows: usize,
    encoding: Encoding,
}

impl TextChunk {
    pub(super) fn new(level: i32, is_nullable: bool) -> Self {
        Self {
            level,
            is_nullable,
            dictionary: Vec::new(),
            starts: Vec::new(),
            codes: HashTable::new(),
            hasher: RandomState::default(),
            batch: None,
            page: PageBuffer::default(),
            pages: Vec::new(),
        }
    }

    /// Appends the rows of a dictionary array of texts.
    pub(super) fn write(&mut self, column: &ArrayRef) -> Result<()> {
        let column = column.as_dictionary::<Int32Type>();
        let texts = column.values().as_string::<i32>();
        let is_same = |(of, _): &(StringArray, Vec<u32>)| {
            of.len() == texts.len() && of.offsets().ptr_eq(texts.offsets())
        };
        let (texts, mut codes) = match self.batch.take().filter(is_same) {
            Some(batch) => batch,
            None => (texts.clone(), vec![NONE; texts.len()]),
        };
        for code in column.keys() {
            if self.page.codes.len() == PAGE_ROWS {
                self.end_page()?;
            }
            let Some(code) = code else {
                self.page.codes.push(NONE);
                continue;
            };
            let code = code as usize;
            if self.page.is_plain {
                add_plain(&mut self.page.plain, texts.value(code));
                self.page.codes.push(0);
                continue;
            }
            if codes[code] == NONE {
                codes[code] = self.code_of(texts.value(code));
            }
            self.page.codes.push(codes[code]);
        }
        self.batch = Some((texts, codes));
        Ok(())
    }

    fn code_of(&mut self, text: &str) -> u32 {
        let hasher = &self.hasher;
        let (dictionary, starts) = (&mut self.dictionary, &mut self.starts);
        let text_at = |code: u32, dictionary: &[u8]| {
            let start = starts[code as usize] as usize;
            let end = starts
                .get(code as usize + 1)
                .map_or(dictionary.len(), |end| *end as usize);
            start + 4..end
        };
        let hash = hasher.hash_one(text.as_bytes());
        let known = self.codes.find(hash, |code| {
            dictionary[text_at(*code, dictionary)] == *text.as_bytes()
        });
        if let Some(code) = known {
            return *code;
        }
        let code = starts.len() as u32;
        self.codes.insert_unique(hash, code, |code| {
            hasher.hash_one(&dictionary[text_at(*code, dictionary)])
        });
        starts.push(dictionary.len() as u32);
        add_plain(dictionary, text);
        code
    }

    fn end_page(&mut self) -> Result<()> {
        let page = std::mem::take(&mut self.page);
        // From here on there are too many texts, or nearly one for every row.
        self.page.is_plain = page.is_plain
            || self.dictionary.len() > DICTIONARY_BYTES
            || self.starts.len() > PAGE_ROWS
                && self.starts.len() * 2 > (self.pages.len() + 1) * PAGE_ROWS;
        if page.codes.is_empty() {
            return Ok(());
        }
        let rows = page.codes.len();
        let mut buffer = Vec::with_capacity(rows * 2 + page.plain.len());
        if self.is_nullable {
            write_levels(&page.codes, &mut buffer);
        }
        let encoding = if page.is_plain {
            buffer.extend_from_slice(&page.plain);
            Encoding::PLAIN
        } else {
            let codes: Vec<u32> = page
                .codes
                .into_iter()
                .filter(|code| *code != NONE)
                .collect();
            let largest = codes.iter().max().copied().unwrap_or(0);
            let width = (u32::BITS - largest.leading_zeros()) as u8;
            buffer.push(width);
            write_codes(&codes, width, &mut buffer);
            Encoding::RLE_DICTIONARY
        };
        self.pages.push(DataPage {
            uncompressed: buffer.len(),
            buffer: self.compress(&buffer)?,
            rows,
            encoding,
        });
        Ok(())
    }

    fn compress(&self, bytes: &[u8]) -> Result<Bytes> {
        let compressed = zstd::bulk::compress(bytes, self.level);
        Ok(compressed
            .map_err(|e| ParquetError::External(Box::new(e)))?
            .into())
    }

    /// The chunk's bytes and what the file's footer says of them.
    pub(super) fn close(mut self, column: ColumnDescPtr) -> Result<(Bytes, ColumnCloseResult)> {
        self.end_page()?;
        let mut sink = TrackedWrite::new(Vec::new());
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut offsets = OffsetIndexBuilder::new();
        let (mut uncompressed, mut compressed, mut rows) = (0, 0, 0);
        let dictionary = Page::DictionaryPage {
            buf: self.compress(&self.dictionary)?,
            num_values: self.starts.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let spec = writer.write_page(CompressedPage::new(dictionary, self.dictionary.len()))?;
        uncompressed += spec.uncompressed_size;
        compressed += spec.compressed_size;
        let mut first_data_page = None;
        let mut pages = [(Encoding::RLE_DICTIONARY, 0), (Encoding::PLAIN, 0)];
        for page in self.pages {
            let data = Page::DataPage {
                buf: page.buffer,
                num_values: page.rows as u32,
                encoding: page.encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            let spec = writer.write_page(CompressedPage::new(data, page.uncompressed))?;
            first_data_page.get_or_insert(spec.offset);
            uncompressed += spec.uncompressed_size;
            compressed += spec.compressed_size;
            offsets.append_row_count(page.rows as i64);
            offsets.append_offset_and_size(spec.offset as i64, spec.compressed_size as i32);
            rows += page.rows;
            let of_encoding = pages
                .iter_mut()
                .find(|(encoding, _)| *encoding == page.encoding);
            of_encoding.into_iter().for_each(|(_, count)| *count += 1);
        }
        writer.close()?;
        let stats = [PageEncodingStats {
            page_type: PageType::DICTIONARY_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        }];
        let of_data = pages.into_iter().filter(|(_, count)| *count > 0);
        let stats = stats
            .into_iter()
            .chain(of_data.map(|(encoding, count)| PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding,
                count,
            }));
        let metadata = ColumnChunkMetaData::builder(column)
            .set_encodings(vec![
                Encoding::PLAIN,
                Encoding::RLE,
                Encoding::RLE_DICTIONARY,
            ])
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(self.level)?))
            .set_num_values(rows as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_total_compressed_size(compressed as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(first_data_page.unwrap_or_default() as i64)
            .set_page_encoding_stats(stats.collect())
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: compressed as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(offsets.build()),
        };
        Ok((sink.into_inner()?.into(), close))
    }
}

/// A text in Parquet's plain form.
fn add_plain(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(&(text.len() as u32).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// Which rows have a value, with the length before it: one run where all or none have, else a bit for each.
fn write_levels(codes: &[u32], into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    let is_there = |code: &u32| *code != NONE;
    let there = codes.iter().filter(|code| is_there(code)).count();
    if there == 0 || there == codes.len() {
        write_varint(codes.len() << 1, into);
        into.push(u8::from(there > 0));
    } else {
        write_varint(codes.len().div_ceil(8) << 1 | 1, into);
        into.extend(codes.chunks(8).map(|codes| {
            let bits = codes.iter().enumerate();
            bits.fold(0, |bits, (bit, code)| {
                bits | u8::from(is_there(code)) << bit
            })
        }));
    }
    let length = (into.len() - start - 4) as u32;
    into[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Codes of a number of bits each: runs of eight and more equal ones as such, all others packed, eight at a time.
fn write_codes(codes: &[u32], width: u8, into: &mut Vec<u8>) {
    let (mut packed_from, mut at) = (0, 0);
    while at < codes.len() {
        let block = &codes[at..codes.len().min(at + 8)];
        if block.len() < 8 || block.iter().any(|code| *code != block[0]) {
            at += block.len();
            continue;
        }
        write_packed(&codes[packed_from..at], width, into);
        let run = codes[at..]
            .iter()
            .take_while(|code| **code == codes[at])
            .count();
        write_varint(run << 1, into);
        into.extend_from_slice(&codes[at].to_le_bytes()[..usize::from(width).div_ceil(8)]);
        at += run;
        packed_from = at;
    }
    write_packed(&codes[packed_from..], width, into);
}

fn write_packed(codes: &[u32], width: u8, into: &mut Vec<u8>) {
    if codes.is_empty() {
        return;
    }
    let groups = codes.len().div_ceil(8);
    write_varint(groups << 1 | 1, into);
    let (mut bits, mut count) = (0u64, 0);
    let padding = std::iter::repeat_n(0, groups * 8 - codes.len());
    for code in codes.iter().copied().chain(padding) {
        bits |= u64::from(code) << count;
        count += u32::from(width);
        while count >= 8 {
            into.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    }
}

/// LEB128.
fn write_varint(mut value: usize, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}
