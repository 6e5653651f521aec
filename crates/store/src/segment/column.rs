//! One column of one segment for merging: its bytes, and its values page by page.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::Field;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::async_reader::AsyncFileReader as _;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::chunk::{NONE, PAGE_ROWS};
use super::read::Segment;
use super::runs::{read_codes, read_differences, take};
use super::texts::Dictionary;
use crate::gather::position;

/// Parts of a file, at their places.
#[derive(Debug, Clone, Default)]
pub(super) struct FileParts {
    parts: Vec<(u64, Bytes)>,
    bytes: u64,
}

impl Length for FileParts {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for FileParts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(not_read());
        }
        Ok(bytes.slice(..length))
    }
}

impl FileParts {
    fn from(&self, start: u64) -> Result<Bytes> {
        let has = |(offset, bytes): &&(u64, Bytes)| {
            (*offset..*offset + bytes.len() as u64).contains(&start)
        };
        let (offset, bytes) = self.parts.iter().find(has).ok_or_else(not_read)?;
        Ok(bytes.slice((start - offset) as usize..))
    }
}

fn not_read() -> ParquetError {
    ParquetError::General("a part of the file is needed that was not read".to_owned())
}

/// Some rows of one column of a segment; of several, where their names are given.
pub(super) struct SegmentColumn {
    metadata: ArrowReaderMetadata,
    file: FileParts,
    leaves: Vec<usize>,
    /// Row groups that have the rows.
    groups: Vec<usize>,
    /// The first of the rows, from the first row of those row groups on.
    skip: usize,
    rows: usize,
}

impl SegmentColumn {
    /// Reads the bytes of columns; `None` where the segment has none of them.
    pub(super) async fn read(
        segment: &Segment,
        fields: Vec<&Field>,
        rows: Range<usize>,
    ) -> Result<Option<Self>> {
        let metadata = segment.metadata().await?;
        let roots: Vec<usize> = fields
            .iter()
            .filter_map(|field| position(metadata.schema(), field))
            .collect();
        let schema = metadata.parquet_schema();
        let is_wanted = |leaf: &usize| roots.contains(&schema.get_column_root_idx(*leaf));
        let leaves: Vec<usize> = (0..schema.num_columns()).filter(is_wanted).collect();
        if leaves.is_empty() {
            return Ok(None);
        }
        let (mut groups, mut ranges) = (Vec::new(), Vec::new());
        let (mut first, mut skip) = (0, 0);
        for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
            let end = first + group.num_rows() as usize;
            if first < rows.end && rows.start < end {
                if groups.is_empty() {
                    skip = rows.start - first;
                }
                groups.push(number);
                ranges.extend(leaves.iter().map(|leaf| {
                    let (start, length) = group.column(*leaf).byte_range();
                    start..start + length
                }));
            }
            first = end;
        }
        let mut file = segment.file();
        let bytes = file.get_byte_ranges(ranges.clone()).await?;
        Ok(Some(Self {
            metadata: metadata.clone(),
            file: FileParts {
                parts: ranges.iter().map(|range| range.start).zip(bytes).collect(),
                bytes: segment.meta.bytes,
            },
            leaves,
            groups,
            skip,
            rows: rows.len(),
        }))
    }

    fn chunks(&self, leaf: usize) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let group = move |number: &usize| self.metadata.metadata().row_group(*number).column(leaf);
        self.groups.iter().map(group)
    }

    /// Whether no row has a value, as far as the footer tells.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty = |chunk: &ColumnChunkMetaData| {
            let nulls = chunk.statistics().and_then(|s| s.null_count_opt());
            nulls == Some(chunk.num_values() as u64)
        };
        self.leaves
            .iter()
            .all(|leaf| self.chunks(*leaf).all(is_empty))
    }

    /// Whether every text is in a dictionary, as far as the footer tells.
    pub(super) fn has_dictionary_alone(&self) -> bool {
        let is_coded = |chunk: &ColumnChunkMetaData| {
            let encodings = chunk.page_encoding_stats_mask();
            encodings.is_some_and(|of| of.is_only(Encoding::RLE_DICTIONARY))
        };
        self.leaves
            .iter()
            .all(|leaf| self.chunks(*leaf).all(is_coded))
    }

    /// Its rows as Arrow arrays.
    pub(super) fn batches(&self) -> Result<ParquetRecordBatchReader> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.file.clone(),
            self.metadata.clone(),
        );
        let leaves = self.leaves.iter().copied();
        let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves);
        builder
            .with_projection(mask)
            .with_row_groups(self.groups.clone())
            .with_offset(self.skip)
            .with_limit(self.rows)
            .with_batch_size(PAGE_ROWS)
            .build()
    }

    /// Its rows as texts. Pages before them are passed over.
    pub(super) fn texts(&self) -> Result<TextColumn> {
        let [leaf] = self.leaves[..] else {
            return Err(not_read());
        };
        let file = Arc::new(self.file.clone());
        let mut chunks = VecDeque::new();
        for number in &self.groups {
            let metadata = self.metadata.metadata();
            let (group, index) = (metadata.row_group(*number), metadata.offset_index());
            let chunk = group.column(leaf);
            let pages = index.map(|index| index[*number][leaf].page_locations().clone());
            let rows = group.num_rows() as usize;
            let mut pages = SerializedPageReader::new(Arc::clone(&file), chunk, rows, pages)?;
            let mut dictionary = Texts::default();
            if chunk.dictionary_page_offset().is_some()
                && let Some(Page::DictionaryPage {
                    buf, num_values, ..
                }) = pages.get_next_page()?
            {
                dictionary = Texts::plain(buf, num_values as usize)?;
            }
            let nulls = chunk.statistics().and_then(|s| s.null_count_opt());
            chunks.push_back(TextChunk {
                pages,
                dictionary,
                joint: Vec::new(),
                is_nullable: chunk.column_descr().max_def_level() > 0,
                has_nulls: nulls != Some(0),
            });
        }
        Ok(TextColumn {
            chunks,
            skip: self.skip,
            codes: Vec::new(),
            of_page: None,
            at: 0,
        })
    }
}

/// Texts end to end.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Bytes,
    /// Where each begins and ends.
    bounds: Vec<(u32, u32)>,
}

impl Texts {
    /// Each with its length before it.
    fn plain(bytes: Bytes, count: usize) -> Result<Self> {
        let mut bounds = Vec::with_capacity(count.min(bytes.len()));
        let mut rest = &bytes[..];
        for _ in 0..count {
            let length = take(&mut rest, 4)?.try_into().map_or(0, u32::from_le_bytes);
            let start = (bytes.len() - rest.len()) as u32;
            take(&mut rest, length as usize)?;
            bounds.push((start, start + length));
        }
        Ok(Self { bytes, bounds })
    }

    /// All lengths before all texts.
    fn with_lengths(bytes: Bytes) -> Result<Self> {
        let (mut rest, mut lengths) = (&bytes[..], Vec::new());
        read_differences(&mut rest, &mut lengths)?;
        let mut bounds = Vec::with_capacity(lengths.len());
        for length in lengths {
            let start = (bytes.len() - rest.len()) as u32;
            let text = take(&mut rest, usize::try_from(length).map_err(|_| not_read())?)?;
            bounds.push((start, start + text.len() as u32));
        }
        Ok(Self { bytes, bounds })
    }

    pub(super) fn get(&self, code: u32) -> Option<&[u8]> {
        let (start, end) = self.bounds.get(code as usize)?;
        Some(&self.bytes[*start as usize..*end as usize])
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let text = |(start, end): &(u32, u32)| &self.bytes[*start as usize..*end as usize];
        self.bounds.iter().map(text)
    }
}

/// The chunk of one row group.
struct TextChunk {
    pages: SerializedPageReader<FileParts>,
    dictionary: Texts,
    /// The joint code of every text of the dictionary. Empty where texts are not joined.
    joint: Vec<u32>,
    is_nullable: bool,
    has_nulls: bool,
}

/// Texts of the rows, page by page.
pub(super) struct TextColumn {
    chunks: VecDeque<TextChunk>,
    /// Rows that are still to be passed over.
    skip: usize,
    /// Of the page that is being read: codes by row, `NONE` where there is no text.
    codes: Vec<u32>,
    /// The texts of that page, where it has its own.
    of_page: Option<Texts>,
    at: usize,
}

impl TextColumn {
    /// Joins the dictionaries with others.
    pub(super) fn join(&mut self, dictionary: &mut Dictionary) {
        for chunk in &mut self.chunks {
            let texts = chunk.dictionary.iter();
            chunk.joint = texts.map(|text| dictionary.code_of(text)).collect();
        }
    }

    /// Whether all rows have a text, as far as the footer tells.
    pub(super) fn is_whole(&self) -> bool {
        self.chunks.iter().all(|chunk| !chunk.has_nulls)
    }

    /// The bytes of texts of dictionaries, and how many texts there are.
    pub(super) fn dictionary_size(&self) -> (usize, usize) {
        let sizes = self.chunks.iter().map(|chunk| &chunk.dictionary);
        sizes.fold((0, 0), |(bytes, count), texts| {
            (bytes + texts.bytes.len(), count + texts.bounds.len())
        })
    }

    /// The next row's joint code; a text that is in no dictionary is added to it.
    #[inline]
    pub(super) fn next_code(&mut self, dictionary: &mut Dictionary) -> Result<u32> {
        if self.at == self.codes.len() {
            self.next_page(Some(dictionary))?;
        }
        let code = self.codes[self.at];
        self.at += 1;
        Ok(code)
    }

    /// The next row's text.
    #[inline]
    pub(super) fn next_text(&mut self) -> Result<Option<&[u8]>> {
        if self.at == self.codes.len() {
            self.next_page(None)?;
        }
        let code = self.codes[self.at];
        self.at += 1;
        if code == NONE {
            return Ok(None);
        }
        let texts = match (&self.of_page, self.chunks.front()) {
            (Some(texts), _) => texts,
            (None, Some(chunk)) => &chunk.dictionary,
            (None, None) => return Err(not_read()),
        };
        texts.get(code).map(Some).ok_or_else(not_read)
    }

    /// Reads the next page with a row that is wanted. Codes are those of the page or its dictionary, or joint ones where
    /// that is given.
    fn next_page(&mut self, mut dictionary: Option<&mut Dictionary>) -> Result<()> {
        loop {
            self.codes.clear();
            self.at = 0;
            self.of_page = None;
            let chunk = self.chunks.front_mut().ok_or_else(not_read)?;
            let rows = chunk.pages.peek_next_page()?.and_then(|page| page.num_rows);
            if rows.is_some_and(|rows| rows <= self.skip && rows > 0) {
                self.skip -= rows.unwrap_or(0);
                chunk.pages.skip_next_page()?;
                continue;
            }
            let Some(page) = chunk.pages.get_next_page()? else {
                self.chunks.pop_front();
                continue;
            };
            if page.is_dictionary_page() {
                continue;
            }
            self.of_page = read_page(chunk, &page, dictionary.as_deref_mut(), &mut self.codes)?;
            self.at = self.skip.min(self.codes.len());
            self.skip -= self.at;
            if self.at < self.codes.len() {
                return Ok(());
            }
        }
    }
}

/// Reads the codes of a page's rows, and its texts where it has its own.
fn read_page(
    chunk: &TextChunk,
    page: &Page,
    dictionary: Option<&mut Dictionary>,
    codes: &mut Vec<u32>,
) -> Result<Option<Texts>> {
    let rows = page.num_values() as usize;
    let mut bytes = &page.buffer()[..];
    let levels = match page {
        Page::DataPageV2 {
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => {
            take(&mut bytes, *rep_levels_byte_len as usize)?;
            take(&mut bytes, *def_levels_byte_len as usize)?
        }
        _ if chunk.is_nullable => {
            let length = take(&mut bytes, 4)?
                .try_into()
                .map_or(0, u32::from_le_bytes);
            take(&mut bytes, length as usize)?
        }
        _ => &[],
    };
    let mut there = Vec::new();
    let mut count = rows;
    if chunk.is_nullable {
        read_codes(levels, 1, rows, &mut there, |level| level)?;
        count = there.iter().map(|level| *level as usize).sum();
    }
    let is_joint = dictionary.is_some();
    let mut of_page = None;
    match page.encoding() {
        Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY if count == 0 => {}
        Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
            let width = take(&mut bytes, 1)?[0];
            if is_joint {
                let is_wrong = std::cell::Cell::new(false);
                let joint = |code: u32| {
                    let joint = chunk.joint.get(code as usize).copied();
                    is_wrong.set(is_wrong.get() | joint.is_none());
                    joint.unwrap_or(NONE)
                };
                read_codes(bytes, width, count, codes, joint)?;
                if is_wrong.get() {
                    let problem = "a code is in no dictionary".to_owned();
                    return Err(ParquetError::General(problem));
                }
            } else {
                read_codes(bytes, width, count, codes, |code| code)?;
            }
        }
        encoding => {
            let bytes = page.buffer().slice_ref(bytes);
            let texts = match encoding {
                Encoding::PLAIN => Texts::plain(bytes, count)?,
                Encoding::DELTA_LENGTH_BYTE_ARRAY => Texts::with_lengths(bytes)?,
                _ => return Err(ParquetError::NYI(format!("texts as {encoding} in a merge"))),
            };
            match dictionary {
                Some(dictionary) => codes.extend(texts.iter().map(|text| dictionary.code_of(text))),
                None => {
                    codes.extend(0..count as u32);
                    of_page = Some(texts);
                }
            }
        }
    }
    if codes.len() != count {
        return Err(ParquetError::General("a page has too few texts".to_owned()));
    }
    if count < rows {
        // From behind, so that each finds its place free.
        codes.resize(rows, NONE);
        let mut from = count;
        for row in (0..rows).rev() {
            codes[row] = if there[row] == 1 && from > 0 {
                from -= 1;
                codes[from]
            } else {
                NONE
            };
        }
    }
    Ok(of_page)
}
