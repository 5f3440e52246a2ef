//! A part's file: its footer, and readers of its row groups.
//!
//! A part is untrusted. Its size and rows are compared with the manifest, every read stays inside of the file, and the decoder runs
//! behind [`guarded`].

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMask, ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions,
    ParquetMetaDataReader, ParquetStatisticsPolicy, RowGroupMetaData,
};
use parquet::file::reader::{ChunkReader, Length};

pub(super) use crate::dataset::files::open_regular;

use super::{Part, ReadError};

/// An open part.
pub(super) struct PartFile {
    path: PathBuf,
    bytes: PartBytes,
    metadata: ArrowReaderMetadata,
}

/// What is read of a footer besides the files' columns. By default nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Indexes<'a> {
    /// Columns whose pages are looked up by row. Needs the page index.
    pub located: Vec<&'a str>,
    /// Columns that a filter compares. Needs their statistics.
    pub filtered: Vec<&'a str>,
    /// The places of the filtered columns among the leaves of the schema, as other files have them. Statistics of other columns are
    /// skipped, which halves the time that a footer takes.
    pub places: Vec<usize>,
}

impl PartFile {
    /// Opens a part of `table`. Reads its footer, with `indexes`.
    pub(super) fn open(part: &Part, table: &str, indexes: &Indexes) -> Result<Self, ReadError> {
        let path = part.path();
        let bytes = PartBytes::open(path)?;
        if bytes.length != part.listed().bytes {
            return Err(ReadError::PartSize {
                path: path.to_owned(),
                expected: part.listed().bytes,
                found: bytes.length,
            });
        }
        let mut metadata = guarded(path, || footer(&bytes, indexes))?;
        check_identity(path, table, &metadata)?;
        let found = metadata.file_metadata().num_rows();
        if u64::try_from(found) != Ok(part.listed().rows) {
            return Err(ReadError::PartRows {
                path: path.to_owned(),
                expected: part.listed().rows,
                found,
            });
        }
        if !is_consistent(&metadata, bytes.length) {
            return Err(ReadError::damaged(path, "its footer contradicts itself"));
        }
        if !indexes.located.is_empty() {
            metadata = guarded(path, || index_pages(metadata, &bytes, indexes))?;
        }
        let metadata = arrow_metadata(path, metadata)?;
        Ok(PartFile {
            path: path.to_owned(),
            bytes,
            metadata,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> &PartBytes {
        &self.bytes
    }

    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// The columns by their indexes in the schema.
    pub(super) fn mask(&self, columns: &[usize]) -> ProjectionMask {
        ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied())
    }

    /// A reader builder without a projection.
    pub(super) fn reader(&self) -> ParquetRecordBatchReaderBuilder<PartBytes> {
        ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.bytes.clone(),
            self.metadata.clone(),
        )
    }
}

/// Reads a footer with the statistics of the filtered columns.
fn footer(bytes: &PartBytes, indexes: &Indexes) -> Result<ParquetMetaData, ParquetError> {
    let read = |kept: ParquetStatisticsPolicy| {
        let options = ParquetMetaDataOptions::new()
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_column_stats_policy(kept);
        ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Skip)
            .with_metadata_options(Some(options))
            .parse_and_finish(bytes)
    };
    let metadata = read(ParquetStatisticsPolicy::skip_except(&indexes.places))?;
    let leaves = metadata.file_metadata().schema_descr().columns();
    let elsewhere = leaves.iter().enumerate().any(|(place, leaf)| {
        leaf.path().parts().len() == 1
            && indexes.filtered.contains(&leaf.name())
            && !indexes.places.contains(&place)
    });
    match elsewhere {
        true => read(ParquetStatisticsPolicy::KeepAll),
        false => Ok(metadata),
    }
}

/// Adds the page index to a footer.
fn index_pages(
    metadata: ParquetMetaData,
    bytes: &PartBytes,
    indexes: &Indexes,
) -> Result<ParquetMetaData, ParquetError> {
    let schema = metadata.file_metadata().schema_descr();
    let chunks = |names: &[&str]| {
        let fields = schema.root_schema().get_fields().iter().enumerate();
        let named = fields.filter(|(_, field)| names.contains(&field.name()));
        let mask = ProjectionMask::roots(schema, named.map(|(at, _)| at));
        ColumnChunkMask::from_projection(&mask, schema)
    };
    let (located, filtered) = (chunks(&indexes.located), chunks(&indexes.filtered));
    let mut reader = ParquetMetaDataReader::new_with_metadata(metadata)
        .with_column_index_policy(PageIndexPolicy::Optional)
        .with_offset_index_policy(PageIndexPolicy::Optional)
        .with_column_index_mask(filtered)
        .with_offset_index_mask(located);
    reader.read_page_indexes(bytes)?;
    reader.finish()
}

/// Runs the decoder. Its errors, and its panics at damaged bytes, become [`ReadError::Damaged`]. [`is_consistent`]
/// finds most of that damage before. The message of a panic still goes to standard error.
pub(super) fn guarded<T>(
    path: &Path,
    decode: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, ReadError> {
    // What the decoder has built so far is dropped with the panic, so nobody sees it half done.
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(error)) => Err(error_of(path, error)),
        Err(_) => Err(ReadError::damaged(path, "its pages contradict themselves")),
    }
}

fn error_of(path: &Path, error: ParquetError) -> ReadError {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => ReadError::file("read", path)(*error),
            Err(error) => ReadError::damaged(path, error),
        },
        error => ReadError::damaged(path, error),
    }
}

/// Whether the row groups add up, and their columns lie inside of the file. The decoder panics if some of that is wrong.
fn is_consistent(metadata: &ParquetMetaData, length: u64) -> bool {
    let groups = metadata.row_groups();
    let mut counts = groups
        .iter()
        .map(|group| u64::try_from(group.num_rows()).ok());
    let rows = counts.try_fold(0_u64, |sum, rows| sum.checked_add(rows?));
    let inside = |chunk: &ColumnChunkMetaData| {
        let start = chunk
            .dictionary_page_offset()
            .unwrap_or(chunk.data_page_offset());
        let range = u64::try_from(start)
            .ok()
            .zip(u64::try_from(chunk.compressed_size()).ok());
        let end = range.and_then(|(start, bytes)| start.checked_add(bytes));
        end.is_some_and(|end| end <= length) && chunk.num_values() >= 0
    };
    // A column without lists has one value, or null, in every row.
    let counted = |group: &RowGroupMetaData| {
        let mut flat = group
            .columns()
            .iter()
            .filter(|chunk| chunk.column_descr().max_rep_level() == 0);
        flat.all(|chunk| chunk.num_values() == group.num_rows())
    };
    rows == u64::try_from(metadata.file_metadata().num_rows()).ok()
        && groups.iter().all(counted)
        && groups.iter().flat_map(|group| group.columns()).all(inside)
}

/// Checks that the file is one of ours and holds the table.
fn check_identity(path: &Path, table: &str, metadata: &ParquetMetaData) -> Result<(), ReadError> {
    let entries = metadata.file_metadata().key_value_metadata();
    let entry = entries.and_then(|entries| {
        let mut named = entries.iter();
        named.find(|entry| entry.key == "pathsurvey.table")
    });
    let found = entry.and_then(|entry| entry.value.clone());
    if found.as_deref() == Some(table) {
        return Ok(());
    }
    Err(ReadError::ForeignPart {
        path: path.to_owned(),
        table: table.to_owned(),
        found,
    })
}

fn arrow_metadata(
    path: &Path,
    metadata: ParquetMetaData,
) -> Result<ArrowReaderMetadata, ReadError> {
    // The Arrow schema in the footer says nothing that the Parquet schema does not say, and would have to be checked as well.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = guarded(path, || {
        ArrowReaderMetadata::try_new(Arc::new(metadata), options)
    })?;
    let roots = metadata.parquet_schema().root_schema().get_fields().len();
    if roots != metadata.schema().fields().len() {
        return Err(ReadError::damaged(path, "a column has no type"));
    }
    Ok(metadata)
}

/// The bytes of a part. Threads share it, because every read names its place.
#[derive(Clone)]
pub(super) struct PartBytes {
    file: Arc<File>,
    length: u64,
}

impl PartBytes {
    fn open(path: &Path) -> Result<Self, ReadError> {
        match open_regular(path) {
            Ok((file, length)) => Ok(PartBytes {
                file: Arc::new(file),
                length,
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(ReadError::PartMissing(path.to_owned()))
            }
            Err(error) => Err(ReadError::file("open", path)(error)),
        }
    }
}

impl Length for PartBytes {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for PartBytes {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(At {
            bytes: self.clone(),
            place: start,
        }))
    }

    /// Allocates nothing for bytes that are not in the file.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} are beyond its end"
            )));
        }
        let mut bytes = vec![0; length];
        self.file
            .read_exact_at(&mut bytes, start)
            .map_err(read_error)?;
        Ok(bytes.into())
    }
}

fn read_error(error: io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// A place in a part.
pub(super) struct At {
    bytes: PartBytes,
    place: u64,
}

impl Read for At {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.file.read_at(into, self.place)?;
        self.place = self.place.saturating_add(read as u64);
        Ok(read)
    }
}
