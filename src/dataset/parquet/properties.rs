//! The settings of the Parquet encoder. They are chosen for fast reading.
//!
//! It leaves out what [`repeated`](super::repeated) does without the encoder: to follow these settings is its task.

use arrow::datatypes::{DataType, Field};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::{Footer, MOST_ROW_GROUP_ROWS, ROW_GROUP_BYTES};
use crate::dataset::table::TableSchema;

/// The default level of zstd. In measurements, higher levels cost more time than they save space.
const ZSTD_LEVEL: i32 = 3;
/// The largest dictionary of an address column in a row group. The default of 1 MiB holds about 60,000 addresses.
const ADDRESS_DICTIONARY_BYTES: usize = 4 << 20;
/// The share of look-ups that a Bloom filter fails to rule out. The filters take about 1% of a dataset.
const BLOOM_ERRORS: f64 = 0.01;

/// The settings of files of `table`.
pub(super) fn properties(
    table: &TableSchema,
    footer: &Footer,
) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("pathsurvey version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(MOST_ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(Some(sorting_columns(table)))
        .set_key_value_metadata(Some(footer.entries(table)));
    // Numbers are consecutive, repeated or nearly unique. Deltas of such numbers are as small as a dictionary, and need no look-ups.
    let fields = table.arrow().fields();
    for field in fields.iter().filter(|field| is_number(field)) {
        let path = ColumnPath::from(field.name().as_str());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for path in table.address_leaves() {
        properties =
            properties.set_column_dictionary_page_size_limit(path, ADDRESS_DICTIONARY_BYTES);
    }
    for path in table.uncompressed_leaves() {
        properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
    }
    for name in table.looked_up {
        let path = ColumnPath::from(*name);
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path, BLOOM_ERRORS);
    }
    Ok(properties.build())
}

fn is_number(field: &Field) -> bool {
    field.data_type().is_integer() || matches!(field.data_type(), DataType::Timestamp(..))
}

/// The table's order by the index of leaf columns, as Parquet counts them.
fn sorting_columns(table: &TableSchema) -> Vec<SortingColumn> {
    let fields = table.arrow().fields();
    let order = table.sort_order.iter();
    order
        .filter_map(|name| table.arrow().index_of(name).ok())
        .map(|at| SortingColumn {
            column_idx: fields[..at].iter().map(|field| leaves(field)).sum(),
            descending: false,
            nulls_first: false,
        })
        .collect()
}

/// The number of leaf columns of a column.
fn leaves(field: &Field) -> i32 {
    match field.data_type() {
        DataType::List(child) | DataType::Map(child, _) => leaves(child),
        DataType::Struct(members) => members.iter().map(|member| leaves(member)).sum(),
        _ => 1,
    }
}
