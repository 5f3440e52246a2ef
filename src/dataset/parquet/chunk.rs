//! The chunk of a text column whose rows all have the same value.
//!
//! It consists of a dictionary page with the value, and of data pages that say how many times the value comes. The encodings are those of
//! the [Parquet format](https://parquet.apache.org/docs/file-format/data-pages/encodings/). Thrift headers come from the `parquet` crate.
//!
//! It leaves out nulls: a nullable column has a value in every row.

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

/// Returns the bytes of a chunk and their metadata. `pages` has the number of rows of each data page.
///
/// # Errors
/// If `compression` is not zstd.
pub(super) fn chunk(
    column: &ColumnDescPtr,
    compression: Compression,
    value: &str,
    pages: impl Iterator<Item = usize>,
) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
    let Compression::ZSTD(level) = compression else {
        return Err(ParquetError::NYI(format!("a chunk with {compression}")));
    };
    let mut zstd = Compressor::new(level.compression_level())?;
    let mut bytes = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut bytes);
    let mut facts = Facts::new(column, value);
    let dictionary = dictionary(value);
    let page = Page::DictionaryPage {
        buf: zstd.compress(&dictionary)?.into(),
        num_values: 1,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    facts.add(&writer.write_page(CompressedPage::new(page, dictionary.len()))?);
    for rows in pages {
        let body = repetitions(rows, column.max_def_level());
        let page = Page::DataPage {
            buf: zstd.compress(&body)?.into(),
            num_values: rows as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        facts.add_rows(
            rows,
            &writer.write_page(CompressedPage::new(page, body.len()))?,
        );
    }
    let close = facts.close(compression)?;
    Ok((bytes.into_inner()?.into(), close))
}

/// The body of a dictionary page: the length, and the text.
fn dictionary(value: &str) -> Vec<u8> {
    let length = value.len() as u32;
    [&length.to_le_bytes(), value.as_bytes()].concat()
}

/// The body of a data page whose rows all have the first value of the dictionary.
fn repetitions(rows: usize, max_def_level: i16) -> Vec<u8> {
    let mut run = Vec::new();
    // The header of a run of equal numbers is their count, times two.
    let mut header = rows << 1;
    while header >= 0x80 {
        run.push(header as u8 | 0x80);
        header >>= 7;
    }
    run.push(header as u8);
    let mut body = Vec::new();
    if max_def_level > 0 {
        // All rows have a value: their definition level is 1. It takes a byte after the header.
        let length = run.len() as u32 + 1;
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&run);
        body.push(1);
    }
    // Indexes into a dictionary of one value have 0 bits, so nothing follows the header.
    body.push(0);
    body.extend_from_slice(&run);
    body
}

/// The metadata of a chunk that is being written.
struct Facts<'a> {
    column: &'a ColumnDescPtr,
    value: &'a str,
    rows: usize,
    data_pages: i32,
    compressed: usize,
    uncompressed: usize,
    /// The offset of the first data page.
    data_offset: Option<u64>,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
}

impl<'a> Facts<'a> {
    fn new(column: &'a ColumnDescPtr, value: &'a str) -> Self {
        Facts {
            column,
            value,
            rows: 0,
            data_pages: 0,
            compressed: 0,
            uncompressed: 0,
            data_offset: None,
            column_index: ColumnIndexBuilder::new(Type::BYTE_ARRAY),
            offset_index: OffsetIndexBuilder::new(),
        }
    }

    fn add(&mut self, page: &PageWriteSpec) {
        self.compressed += page.compressed_size;
        self.uncompressed += page.uncompressed_size;
    }

    fn add_rows(&mut self, rows: usize, page: &PageWriteSpec) {
        self.add(page);
        self.rows += rows;
        self.data_pages += 1;
        self.data_offset.get_or_insert(page.offset);
        let value = self.value.as_bytes().to_vec();
        self.column_index
            .append(false, value.clone(), value, 0, None);
        self.column_index
            .append_histograms(&None, &self.levels(rows));
        self.offset_index.append_row_count(rows as i64);
        self.offset_index
            .append_unencoded_byte_array_data_bytes(Some(self.text_bytes(rows)));
        self.offset_index
            .append_offset_and_size(page.offset as i64, page.compressed_size as i32);
    }

    /// How many of the rows have each definition level.
    fn levels(&self, rows: usize) -> Option<LevelHistogram> {
        let mut levels = LevelHistogram::try_new(self.column.max_def_level())?;
        levels.increment_by(self.column.max_def_level(), rows as i64);
        Some(levels)
    }

    fn text_bytes(&self, rows: usize) -> i64 {
        (rows * self.value.len()) as i64
    }

    fn close(mut self, compression: Compression) -> Result<ColumnCloseResult, ParquetError> {
        let value = || Some(ByteArray::from(self.value));
        let statistics = ValueStatistics::new(value(), value(), None, Some(0), false);
        let encodings = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
        let pages = [
            (PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
            (
                PageType::DATA_PAGE,
                Encoding::RLE_DICTIONARY,
                self.data_pages,
            ),
        ];
        let pages = pages.map(|(page_type, encoding, count)| PageEncodingStats {
            page_type,
            encoding,
            count,
        });
        let metadata = ColumnChunkMetaData::builder(ColumnDescPtr::clone(self.column))
            .set_compression(compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(pages.to_vec())
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(self.compressed as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(self.data_offset.unwrap_or_default() as i64)
            .set_statistics(Statistics::ByteArray(statistics))
            .set_unencoded_byte_array_data_bytes(Some(self.text_bytes(self.rows)))
            .set_definition_level_histogram(self.levels(self.rows))
            .build()?;
        self.column_index
            .set_boundary_order(BoundaryOrder::ASCENDING);
        Ok(ColumnCloseResult {
            bytes_written: self.compressed as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: Some(self.column_index.build()?),
            offset_index: Some(self.offset_index.build()),
        })
    }
}
