//! A Parquet column chunk from the bytes of its pages: compression, offsets of pages, statistics.
//!
//! What is needed again for every page and column is kept in one [`Encoder`].

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::runs::{width_of, write_codes, write_run};

/// Rows of a page: what a look-up of one trace reads of a column.
pub(crate) const PAGE_ROWS: usize = 8_192;
/// The code of a row without a value.
pub(crate) const NONE: u32 = u32::MAX;

/// Compresses pages; keeps its tables and buffers.
pub(crate) struct Encoder {
    level: i32,
    zstd: zstd::bulk::Compressor<'static>,
    compressed: Vec<u8>,
    /// What the values of a page are written into.
    pub(super) values: Vec<u8>,
    /// Levels of a page.
    levels: Vec<u8>,
    codes: Vec<u32>,
}

fn external(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl Encoder {
    pub(super) fn new(level: i32) -> Result<Self> {
        Ok(Self {
            level,
            zstd: zstd::bulk::Compressor::new(level).map_err(external)?,
            compressed: Vec::new(),
            values: Vec::new(),
            levels: Vec::new(),
            codes: Vec::new(),
        })
    }

    /// Compresses into `self.compressed`.
    fn compress(&mut self, bytes: &[u8]) -> Result<()> {
        self.compressed.clear();
        self.compressed
            .reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        let result = self.zstd.compress_to_buffer(bytes, &mut self.compressed);
        result.map(|_| ()).map_err(external)
    }
}

/// How the values of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Compressed, where that helps.
    Compressible(Encoding),
    /// As they are.
    Raw(Encoding),
}

/// One column of one row group.
pub(super) struct Chunk<'e> {
    pub(super) encoder: &'e mut Encoder,
    column: ColumnDescPtr,
    sink: TrackedWrite<Vec<u8>>,
    offsets: OffsetIndexBuilder,
    index: Option<ColumnIndexBuilder>,
    rows: usize,
    nulls: usize,
    uncompressed: usize,
    dictionary: Option<usize>,
    first_page: Option<u64>,
    encodings: Vec<(Encoding, i32)>,
    /// Pages that are not worth another attempt to compress them, since those before them were not.
    incompressible: usize,
    pub(super) bloom: Option<Sbbf>,
}

impl<'e> Chunk<'e> {
    pub(super) fn new(encoder: &'e mut Encoder, column: ColumnDescPtr) -> Self {
        Self {
            encoder,
            column,
            sink: TrackedWrite::new(Vec::new()),
            offsets: OffsetIndexBuilder::new(),
            index: None,
            rows: 0,
            nulls: 0,
            uncompressed: 0,
            dictionary: None,
            first_page: None,
            encodings: Vec::new(),
            incompressible: 0,
            bloom: None,
        }
    }

    /// Rows without a value so far.
    pub(super) fn nulls(&self) -> usize {
        self.nulls
    }

    /// The dictionary, before the first page: values in Parquet's plain form.
    pub(super) fn write_dictionary(&mut self, values: &[u8], count: usize) -> Result<()> {
        self.encoder.compress(values)?;
        let page = Page::DictionaryPage {
            buf: Bytes::copy_from_slice(&self.encoder.compressed),
            num_values: count as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.dictionary = Some(self.sink.bytes_written());
        self.put(CompressedPage::new(page, values.len()))?;
        Ok(())
    }

    fn put(&mut self, page: CompressedPage) -> Result<(u64, usize)> {
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed += spec.uncompressed_size;
        Ok((spec.offset, spec.compressed_size))
    }

    /// A page of codes into the dictionary, `NONE` where a row has no value.
    pub(super) fn write_codes(&mut self, codes: &[u32]) -> Result<()> {
        let there = codes.iter().filter(|code| **code != NONE).count();
        self.write_levels(codes, there);
        let mut values = std::mem::take(&mut self.encoder.values);
        values.clear();
        let encoder = &mut *self.encoder;
        let codes_there = if there == codes.len() {
            codes
        } else {
            encoder.codes.clear();
            encoder
                .codes
                .extend(codes.iter().filter(|code| **code != NONE));
            &encoder.codes
        };
        let width = width_of(codes_there.iter().fold(0, |all, code| all | code));
        values.push(width);
        write_codes(codes_there, width, &mut values);
        let written = self.write_values(
            &values,
            codes.len(),
            there,
            Values::Compressible(Encoding::RLE_DICTIONARY),
        );
        self.encoder.values = values;
        written
    }

    /// Pages of `rows` rows that all have the same code.
    pub(super) fn write_constant(&mut self, code: u32, rows: usize) -> Result<()> {
        let page = vec![code; rows.min(PAGE_ROWS)];
        let mut left = rows;
        while left > 0 {
            let page = &page[..left.min(PAGE_ROWS)];
            self.write_codes(page)?;
            left -= page.len();
        }
        Ok(())
    }

    /// Says which rows of the page that is written next have a value.
    pub(super) fn write_levels(&mut self, codes: &[u32], there: usize) {
        let levels = &mut self.encoder.levels;
        levels.clear();
        if self.column.max_def_level() == 0 {
            return;
        }
        if there == 0 || there == codes.len() {
            write_run(u32::from(there > 0), codes.len(), 1, levels);
            return;
        }
        super::runs::write_varint((codes.len().div_ceil(8) as u64) << 1 | 1, levels);
        levels.extend(codes.chunks(8).map(|codes| {
            let bits = codes.iter().enumerate();
            bits.fold(0, |bits, (bit, code)| bits | u8::from(*code != NONE) << bit)
        }));
    }

    /// Lists that are all empty, without levels of their own: `rows` rows.
    pub(super) fn write_empty(&mut self, rows: usize) -> Result<()> {
        let mut left = rows;
        while left > 0 {
            let rows = left.min(PAGE_ROWS);
            let mut levels = Vec::new();
            if self.column.max_rep_level() > 0 {
                write_run(0, rows, bits(self.column.max_rep_level()), &mut levels);
            }
            let repetition = levels.len();
            write_run(0, rows, bits(self.column.max_def_level()), &mut levels);
            self.write_page(
                &levels,
                repetition,
                &[],
                rows,
                0,
                Values::Raw(Encoding::PLAIN),
            )?;
            left -= rows;
        }
        Ok(())
    }

    /// A page with the levels of [`Self::write_levels`].
    pub(super) fn write_values(
        &mut self,
        values: &[u8],
        rows: usize,
        there: usize,
        how: Values,
    ) -> Result<()> {
        let levels = std::mem::take(&mut self.encoder.levels);
        let written = self.write_page(&levels, 0, values, rows, there, how);
        self.encoder.levels = levels;
        written
    }

    fn write_page(
        &mut self,
        levels: &[u8],
        repetition: usize,
        values: &[u8],
        rows: usize,
        there: usize,
        how: Values,
    ) -> Result<()> {
        let (encoding, mut is_compressed) = match how {
            // A header of zstd alone has a dozen bytes.
            Values::Compressible(encoding) => (encoding, values.len() > 32),
            Values::Raw(encoding) => (encoding, false),
        };
        if is_compressed && self.incompressible > 0 {
            self.incompressible -= 1;
            is_compressed = false;
        }
        if is_compressed {
            self.encoder.compress(values)?;
            // A twentieth is not worth the time of every reader.
            if self.encoder.compressed.len() + values.len() / 20 >= values.len() {
                is_compressed = false;
                self.incompressible = 3;
            }
        }
        let bytes = if is_compressed {
            &self.encoder.compressed
        } else {
            values
        };
        let mut buffer = Vec::with_capacity(levels.len() + bytes.len());
        buffer.extend_from_slice(levels);
        buffer.extend_from_slice(bytes);
        let page = Page::DataPageV2 {
            buf: buffer.into(),
            num_values: rows as u32,
            encoding,
            num_nulls: (rows - there) as u32,
            num_rows: rows as u32,
            def_levels_byte_len: (levels.len() - repetition) as u32,
            rep_levels_byte_len: repetition as u32,
            is_compressed,
            statistics: None,
        };
        let (offset, compressed) =
            self.put(CompressedPage::new(page, levels.len() + values.len()))?;
        let compressed = i32::try_from(compressed)
            .map_err(|_| ParquetError::General("a page has more than 2 GiB".to_owned()))?;
        self.first_page.get_or_insert(offset);
        self.offsets.append_row_count(rows as i64);
        self.offsets
            .append_offset_and_size(offset as i64, compressed);
        self.rows += rows;
        self.nulls += rows - there;
        match self.encodings.iter_mut().find(|(of, _)| *of == encoding) {
            Some((_, count)) => *count += 1,
            None => self.encodings.push((encoding, 1)),
        }
        Ok(())
    }

    /// Least and largest value of the page that was written last, in Parquet's plain form.
    pub(super) fn note_bounds(&mut self, least: &[u8], largest: &[u8]) {
        let new = || ColumnIndexBuilder::new(self.column.physical_type());
        let index = self.index.get_or_insert_with(new);
        index.append(false, least.to_vec(), largest.to_vec(), 0);
    }

    /// The chunk's bytes and what the file's footer says of them.
    pub(super) fn close(
        self,
        statistics: Option<Statistics>,
        order: BoundaryOrder,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let compressed = self.sink.bytes_written();
        let of_dictionary = self.dictionary.map(|_| PageEncodingStats {
            page_type: PageType::DICTIONARY_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        });
        let of_data = self
            .encodings
            .iter()
            .map(|(encoding, count)| PageEncodingStats {
                page_type: PageType::DATA_PAGE_V2,
                encoding: *encoding,
                count: *count,
            });
        let pages: Vec<PageEncodingStats> = of_dictionary.into_iter().chain(of_data).collect();
        let mut encodings = vec![Encoding::RLE];
        encodings.extend(pages.iter().map(|page| page.encoding));
        let mut metadata = ColumnChunkMetaData::builder(self.column)
            .set_encodings(encodings)
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(
                self.encoder.level.max(1),
            )?))
            .set_num_values(self.rows as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_total_compressed_size(compressed as i64)
            .set_dictionary_page_offset(self.dictionary.map(|offset| offset as i64))
            .set_data_page_offset(self.first_page.unwrap_or_default() as i64)
            .set_page_encoding_stats(pages);
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let index: Option<ColumnIndexMetaData> = match self.index {
            Some(mut index) => {
                index.set_boundary_order(order);
                Some(index.build()?)
            }
            None => None,
        };
        let close = ColumnCloseResult {
            bytes_written: compressed as u64,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: self.bloom,
            column_index: index,
            offset_index: Some(self.offsets.build()),
        };
        Ok((self.sink.into_inner()?.into(), close))
    }
}

/// Bits of a level.
fn bits(largest: i16) -> u8 {
    width_of(u32::from(largest.unsigned_abs()))
}
