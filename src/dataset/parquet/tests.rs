//! The encoder writes what `ArrowWriter` of the `parquet` crate writes, byte by byte.

use arrow::array::{
    ArrayRef, Int32Array, RecordBatch, StringArray, StringDictionaryBuilder, StructArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;

use super::*;
use crate::dataset::table::plain;
use crate::dataset::{DatasetError, tables};

/// Accepts the first bytes, and refuses the rest.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_footer_that_does_not_fit_is_named_with_its_cause() {
    // Without rows, the file consists of the magic number and the footer.
    let file = ParquetFile::new(Full(100), tables::hops().schema(), &footer()).unwrap();
    let Err(error) = file.finish() else {
        panic!("a footer within 100 bytes");
    };
    let error = DatasetError::encode("a.parquet".as_ref(), &error).to_string();
    assert!(error.contains("free space there"), "{error}");
}

fn footer() -> Footer {
    Footer {
        run_id: "run".to_owned(),
        config_sha256: "0".to_owned(),
    }
}

/// A text of 64 bytes, the longest that statistics hold whole.
const LONGEST: &str = "0123456789012345678901234567890123456789012345678901234567890123";
/// A text of 65 bytes.
const TOO_LONG: &str = "01234567890123456789012345678901234567890123456789012345678901234";

/// The values of a nullable column in a batch, or the end of a row group.
#[derive(Clone, Debug)]
enum Step {
    Rows(Vec<Option<&'static str>>),
    EndGroup,
}

use Step::{EndGroup, Rows};

fn rows(count: usize, text: &'static str) -> Step {
    Rows(vec![Some(text); count])
}

fn nulls(count: usize) -> Step {
    Rows(vec![None; count])
}

/// Columns of every kind that the encoder tells apart.
fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let members = Fields::from(vec![text("first", false), text("second", true)]);
    Arc::new(Schema::new(vec![
        text("required", false),
        Field::new("number", DataType::Int32, false),
        text("nullable", true),
        Field::new("pair", DataType::Struct(members), false),
        text("filtered", false),
        text("uncompressed", false),
        text("plain", false),
    ]))
}

fn dictionary(values: &[Option<&str>]) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    builder.extend(values.iter().copied());
    Arc::new(builder.finish())
}

/// A batch with `values` in all text columns. Columns without nulls have an empty text in place of each.
fn batch(schema: &SchemaRef, values: &[Option<&str>]) -> RecordBatch {
    let texts: Vec<_> = values.iter().map(|text| text.unwrap_or_default()).collect();
    let present: Vec<_> = texts.iter().copied().map(Some).collect();
    let numbers: Int32Array = (0..values.len() as i32).collect();
    let DataType::Struct(members) = schema.field(3).data_type() else {
        panic!("a pair is a struct");
    };
    let pair: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(texts.clone())),
        Arc::new(StringArray::from(values.to_vec())),
    ];
    let columns: Vec<ArrayRef> = vec![
        dictionary(&present),
        Arc::new(numbers),
        dictionary(values),
        Arc::new(StructArray::new(members.clone(), pair, None)),
        dictionary(&present),
        dictionary(&present),
        Arc::new(StringArray::from(texts)),
    ];
    let fields = schema.fields().iter().zip(&columns).map(|(field, array)| {
        let field = Field::clone(field);
        field.with_data_type(array.data_type().clone())
    });
    let with_dictionaries = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(with_dictionaries, columns).unwrap()
}

/// Small pages that end at odd rows.
fn small_pages() -> WriterPropertiesBuilder {
    compressed()
        .set_data_page_row_count_limit(20)
        .set_write_batch_size(7)
}

fn compressed() -> WriterPropertiesBuilder {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3).unwrap());
    let uncompressed = ColumnPath::from("uncompressed");
    WriterProperties::builder()
        .set_compression(zstd)
        .set_column_bloom_filter_enabled("filtered".into(), true)
        .set_column_bloom_filter_max_ndv("filtered".into(), 10)
        .set_column_compression(uncompressed, Compression::UNCOMPRESSED)
}

/// Writes the steps with this encoder and with the crate's. Both files must have the same bytes, and hold the rows.
fn check(properties: WriterPropertiesBuilder, steps: &[Step]) {
    let (schema, properties) = (schema(), properties.build());
    let mut ours = ParquetFile::with(Vec::new(), &schema, properties.clone()).unwrap();
    let mut theirs =
        ArrowWriter::try_new(Vec::new(), SchemaRef::clone(&schema), Some(properties)).unwrap();
    let mut written = Vec::new();
    for step in steps {
        match step {
            Rows(values) => {
                let batch = batch(&schema, values);
                ours.write(&batch).unwrap();
                theirs.write(&batch).unwrap();
                written.push(plain(&batch, SchemaRef::clone(&schema)).unwrap());
            }
            EndGroup => {
                ours.end_group().unwrap();
                theirs.flush().unwrap();
            }
        }
    }
    let ours = Bytes::from(ours.finish().unwrap());
    let rows = concat_batches(&schema, &written).unwrap();
    let reader = ParquetRecordBatchReader::try_new(ours.clone(), 1024).unwrap();
    let read: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(concat_batches(&schema, &read).unwrap(), rows);
    let theirs = theirs.into_inner().unwrap();
    assert!(ours == theirs, "{} and {} bytes", ours.len(), theirs.len());
}

#[test]
fn one_value_in_several_row_groups() {
    let steps = [
        rows(50, "a"),
        rows(1, "a"),
        EndGroup,
        rows(70, "a"),
        EndGroup,
        rows(3, "b"),
    ];
    check(small_pages(), &steps);
    check(compressed(), &steps);
}

#[test]
fn pages_end_at_the_same_rows_with_the_default_sizes() {
    let mut steps = vec![rows(1024, "a"); 19];
    // The page is one row short of full.
    steps.extend([rows(543, "a"), rows(1024, "a"), rows(4096, "a")]);
    steps.extend(vec![rows(1000, "a"); 30]);
    check(compressed(), &steps);
    steps.push(rows(5, "b"));
    check(compressed(), &steps);
    steps.extend([nulls(2), rows(30_000, "b")]);
    check(compressed(), &steps);
}

#[test]
fn the_value_changes_within_a_row_group() {
    check(small_pages(), &[rows(50, "a"), rows(50, "b")]);
    check(small_pages(), &[rows(20, "a"), rows(1, "b"), rows(90, "a")]);
    let mixed = Rows(vec![Some("a"), Some("a"), Some("b")]);
    check(small_pages(), &[rows(19, "a"), mixed.clone()]);
    check(
        small_pages(),
        &[mixed, rows(60, "a"), EndGroup, rows(60, "a")],
    );
}

#[test]
fn nulls_before_between_and_after_the_value() {
    check(small_pages(), &[nulls(1), rows(60, "a")]);
    check(small_pages(), &[rows(60, "a"), nulls(1)]);
    check(small_pages(), &[rows(30, "a"), nulls(30), rows(30, "a")]);
    check(small_pages(), &[nulls(60), EndGroup, rows(60, "a")]);
    let first = Rows(vec![None, Some("a"), Some("a")]);
    check(small_pages(), &[first, rows(60, "a")]);
}

#[test]
fn no_rows_and_one_row() {
    check(small_pages(), &[]);
    check(small_pages(), &[EndGroup, rows(0, "a"), EndGroup]);
    check(small_pages(), &[rows(1, "a")]);
    check(small_pages(), &[rows(0, "a"), rows(1, "a"), rows(0, "b")]);
    check(small_pages(), &[nulls(1)]);
}

#[test]
fn empty_and_long_texts() {
    for text in ["", LONGEST, TOO_LONG, "ü"] {
        check(small_pages(), &[rows(60, text)]);
        check(small_pages(), &[rows(60, text), rows(1, "a")]);
        check(small_pages(), &[rows(60, "a"), rows(1, text)]);
    }
}

#[test]
fn a_row_group_is_full_within_a_batch() {
    for most in [1, 30, 64, 100] {
        let limited = || small_pages().set_max_row_group_row_count(Some(most));
        check(limited(), &[rows(30, "a"), rows(90, "a"), rows(40, "b")]);
        check(limited(), &[rows(99, "a"), rows(1, "b"), EndGroup]);
        check(limited(), &[rows(50, "a"), EndGroup, rows(50, "a")]);
    }
}

#[test]
fn a_row_group_is_full_with_the_batch_that_exceeds_its_bytes() {
    let limited = small_pages().set_max_row_group_bytes(Some(1));
    let mut file = ParquetFile::with(Vec::new(), &schema(), limited.build()).unwrap();
    for count in [3, 4] {
        file.write(&batch(&schema(), &vec![Some("a"); count]))
            .unwrap();
    }
    let groups = file.file.flushed_row_groups().iter();
    assert_eq!(
        groups.map(|group| group.num_rows()).collect::<Vec<_>>(),
        [3, 4]
    );
}

#[test]
fn text_is_counted_until_it_changes() {
    let counted = |steps: &[Step]| {
        let (schema, properties) = (schema(), small_pages().build());
        let mut file = ParquetFile::with(Vec::new(), &schema, properties).unwrap();
        for step in steps {
            match step {
                Rows(values) => file.write(&batch(&schema, values)).unwrap(),
                EndGroup => file.end_group().unwrap(),
            }
        }
        let group = file.group.unwrap();
        let names = group.counted().map(|field| field.name().clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        counted(&[rows(9, "a"), rows(9, "a")]),
        ["required", "nullable"]
    );
    assert_eq!(counted(&[rows(9, ""), nulls(9)]), ["required"]);
    assert!(counted(&[rows(9, "a"), rows(9, "b")]).is_empty());
    let again = [rows(9, "a"), rows(9, "b"), EndGroup, rows(9, "b")];
    assert_eq!(counted(&again), ["required", "nullable"]);
}

#[test]
fn text_of_every_table_is_counted_unless_it_has_a_bloom_filter() {
    for table in tables::of(true) {
        let table = table.schema();
        let file = ParquetFile::new(Vec::new(), table, &footer()).unwrap();
        let group = RowGroup::new(&file.file, &file.encoders, &file.schema).unwrap();
        let counted: Vec<_> = group.counted().map(|field| field.name().as_str()).collect();
        let texts = table.arrow().fields().iter();
        let texts = texts.filter(|field| field.data_type() == &DataType::Utf8);
        let texts = texts.map(|field| field.name().as_str());
        let expected = texts.filter(|name| !table.looked_up.contains(name));
        assert_eq!(counted, expected.collect::<Vec<_>>());
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let text = prop::sample::select(vec![
        Some("a"),
        Some("a"),
        Some("a"),
        Some("b"),
        Some(""),
        Some(LONGEST),
        Some(TOO_LONG),
        None,
    ]);
    let same = (0..50_usize, text.clone()).prop_map(|(count, text)| Rows(vec![text; count]));
    let mixed = prop::collection::vec(text, 0..50).prop_map(Rows);
    let step = prop_oneof![
        4 => (0..50_usize).prop_map(|count| rows(count, "a")),
        2 => same,
        1 => mixed,
        1 => Just(EndGroup),
    ];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_give_the_bytes_of_the_crate(
        steps in steps(),
        page_rows in 1..60_usize,
        step_rows in 1..20_usize,
        most in 1..200_usize,
    ) {
        let properties = compressed()
            .set_data_page_row_count_limit(page_rows)
            .set_write_batch_size(step_rows)
            .set_max_row_group_row_count(Some(most));
        check(properties, &steps);
    }
}
