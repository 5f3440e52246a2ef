//! Row groups and pages that statistics rule out.
//!
//! Statistics only say where rows cannot be. What remains is filtered exactly, so missing statistics cost time, not correctness.

use arrow::array::{Array, ArrayRef, UInt64Array};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::Type;
use parquet::errors::ParquetError;

use super::ReadError;
use super::bound::{Bound, Edge, Test};
use super::file::{PartFile, guarded};

/// Whether a row group may hold rows that satisfy the filter.
pub(super) fn group_may_match(
    file: &PartFile,
    group: usize,
    filter: &Bound,
) -> Result<bool, ReadError> {
    match filter {
        Bound::All(parts) => all(parts, |part| group_may_match(file, group, part)),
        Bound::Any(parts) => any(parts, |part| group_may_match(file, group, part)),
        // Statistics say where rows cannot satisfy a filter, not where all of them do.
        Bound::Not(_) => Ok(true),
        Bound::Leaf { column, test } => {
            if file.schema().index_of(column).is_err() {
                // A column that the file lacks is null in all rows.
                return Ok(matches!(test, Test::Null(true)));
            }
            let Some(leaf) = leaf_of(file, column) else {
                return Ok(true);
            };
            let field = file.schema().field(leaf.field);
            guarded(file.path(), || {
                let metadata = file.metadata().row_group(group);
                let schema = file.metadata().file_metadata().schema_descr();
                let converter = StatisticsConverter::from_column_index(leaf.chunk, field, schema)?
                    .with_missing_null_counts_as_zero(false);
                let statistics = Statistics {
                    mins: converter.row_group_mins([metadata])?,
                    maxes: converter.row_group_maxes([metadata])?,
                    nulls: converter.row_group_null_counts([metadata])?,
                };
                let rows = u64::try_from(metadata.num_rows()).unwrap_or(u64::MAX);
                Ok(statistics.may_match(0, rows, test)
                    && !bloom_rules_out(file, group, leaf.chunk, test)?)
            })
        }
    }
}

/// Most values that are looked up in a Bloom filter. With more of them, one is probably there.
const BLOOM_VALUES: usize = 64;

/// Whether the Bloom filter of a column, if there is one, has none of the values.
fn bloom_rules_out(
    file: &PartFile,
    group: usize,
    chunk: usize,
    test: &Test,
) -> Result<bool, ParquetError> {
    let few = match test {
        Test::TextSet(values) => values.len() <= BLOOM_VALUES,
        Test::IntSet(values) => values.len() <= BLOOM_VALUES,
        _ => false,
    };
    if !few {
        return Ok(false);
    }
    let reader = file.reader();
    let Some(bloom) = reader.get_row_group_column_bloom_filter(group, chunk)? else {
        return Ok(false);
    };
    let column = file.metadata().row_group(group).column(chunk);
    Ok(match (test, column.column_type()) {
        (Test::TextSet(values), Type::BYTE_ARRAY) => {
            !values.iter().any(|value| bloom.check(value.as_str()))
        }
        (Test::IntSet(values), Type::INT64) => !values.iter().any(|value| bloom.check(value)),
        _ => false,
    })
}

/// Whether a column has a Bloom filter in a row group.
pub(super) fn has_bloom(file: &PartFile, group: usize, column: &str) -> bool {
    let group = file.metadata().row_group(group);
    leaf_of(file, column)
        .is_some_and(|leaf| group.column(leaf.chunk).bloom_filter_offset().is_some())
}

/// The rows of a row group in pages that may hold rows that satisfy the filter. All of them if the page index of the
/// filter's columns was not read.
pub(super) fn rows_that_may_match(
    file: &PartFile,
    group: usize,
    filter: &Bound,
) -> Result<RowSelection, ReadError> {
    let rows = usize::try_from(file.metadata().row_group(group).num_rows()).unwrap_or(0);
    let everything = || RowSelection::from_consecutive_ranges(std::iter::once(0..rows), rows);
    match filter {
        Bound::All(parts) => {
            let selections = parts
                .iter()
                .map(|part| rows_that_may_match(file, group, part));
            selections
                .reduce(|a, b| Ok(a?.intersection(&b?)))
                .unwrap_or_else(|| Ok(everything()))
        }
        Bound::Any(parts) => {
            let selections = parts
                .iter()
                .map(|part| rows_that_may_match(file, group, part));
            let nothing = || {
                Ok(RowSelection::from_consecutive_ranges(
                    std::iter::empty(),
                    rows,
                ))
            };
            selections
                .reduce(|a, b| Ok(a?.union(&b?)))
                .unwrap_or_else(nothing)
        }
        Bound::Not(_) => Ok(everything()),
        Bound::Leaf { column, test } => match leaf_of(file, column) {
            Some(leaf) => Ok(pages(file, group, &leaf, test, rows)?.unwrap_or_else(everything)),
            None => Ok(everything()),
        },
    }
}

/// The rows of the pages that may match. `None` without a usable page index.
fn pages(
    file: &PartFile,
    group: usize,
    leaf: &Leaf,
    test: &Test,
    rows: usize,
) -> Result<Option<RowSelection>, ReadError> {
    let Some(index) = file.metadata().page_index() else {
        return Ok(None);
    };
    let (Some(locations), Some(_)) = (
        index.page_locations(group, leaf.chunk),
        index.column_index(group, leaf.chunk),
    ) else {
        return Ok(None);
    };
    let starts = locations
        .iter()
        .map(|page| usize::try_from(page.first_row_index).ok());
    let Some(mut starts) = starts.collect::<Option<Vec<usize>>>() else {
        return Ok(None);
    };
    starts.push(rows);
    if starts[0] != 0 || !starts.is_sorted() {
        return Ok(None);
    }
    let field = file.schema().field(leaf.field);
    let statistics = guarded(file.path(), || -> Result<Statistics, ParquetError> {
        let schema = file.metadata().file_metadata().schema_descr();
        let converter = StatisticsConverter::from_column_index(leaf.chunk, field, schema)?;
        Ok(Statistics {
            mins: converter.data_page_mins(index.as_ref(), [&group])?,
            maxes: converter.data_page_maxes(index.as_ref(), [&group])?,
            nulls: converter.data_page_null_counts(index.as_ref(), [&group])?,
        })
    })?;
    let kept = starts.windows(2).enumerate().filter_map(|(page, bounds)| {
        let rows = (bounds[1] - bounds[0]) as u64;
        statistics
            .may_match(page, rows, test)
            .then_some(bounds[0]..bounds[1])
    });
    Ok(Some(RowSelection::from_consecutive_ranges(kept, rows)))
}

/// A column that has statistics: its field, and its column chunk.
struct Leaf {
    field: usize,
    chunk: usize,
}

/// `None` if the file does not have the column, or if the column is nested.
fn leaf_of(file: &PartFile, column: &str) -> Option<Leaf> {
    let field = file.schema().index_of(column).ok()?;
    let schema = file.metadata().file_metadata().schema_descr();
    let chunk =
        (0..schema.num_columns()).find(|chunk| schema.get_column_root_idx(*chunk) == field)?;
    (!file.schema().field(field).data_type().is_nested()).then_some(Leaf { field, chunk })
}

/// Statistics of some groups of rows: of row groups, or of pages.
struct Statistics {
    mins: ArrayRef,
    maxes: ArrayRef,
    nulls: UInt64Array,
}

impl Statistics {
    fn may_match(&self, at: usize, rows: u64, test: &Test) -> bool {
        let known = at < self.nulls.len() && self.nulls.is_valid(at);
        let nulls = known.then(|| self.nulls.value(at));
        match test {
            Test::Null(true) => nulls != Some(0),
            Test::Null(false) => nulls != Some(rows) || rows == 0,
            // Rows that are all null have neither a least nor a greatest value, and satisfy no comparison.
            _ if nulls == Some(rows) && rows > 0 => false,
            test => test.may_match(Edge::of(&self.mins, at), Edge::of(&self.maxes, at)),
        }
    }
}

fn all(
    parts: &[Bound],
    mut holds: impl FnMut(&Bound) -> Result<bool, ReadError>,
) -> Result<bool, ReadError> {
    for part in parts {
        if !holds(part)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any(
    parts: &[Bound],
    mut holds: impl FnMut(&Bound) -> Result<bool, ReadError>,
) -> Result<bool, ReadError> {
    for part in parts {
        if holds(part)? {
            return Ok(true);
        }
    }
    Ok(false)
}
