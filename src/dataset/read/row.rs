//! Rows as plain values, for tests and tools that read few rows.
//!
//! Every getter looks its column up by name. Code that reads millions of rows takes the Arrow columns instead.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{
    DataType, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use serde_json::{Map, Value};

use crate::model::Time;

/// Why a getter failed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowError {
    /// The rows do not have the column. Was it read?
    #[error("the rows have no column {0}: add it to the columns to read")]
    NoColumn(String),
    /// The column is of another kind.
    #[error("the column {column} is {data_type}, not {wanted}")]
    OtherKind {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The value does not have the form that was asked for.
    #[error("{value:?} in the column {column} is not {wanted}")]
    BadValue {
        /// The column.
        column: String,
        /// The value.
        value: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// Rows of several files cannot be joined.
    #[error("the hops of a trace cannot be joined ({0}): read fewer columns")]
    CannotJoin(String),
}

/// Some rows of a table. Cheap to clone.
#[derive(Clone)]
pub struct Rows {
    batch: Arc<RecordBatch>,
    range: Range<usize>,
}

impl Rows {
    /// All rows of a batch.
    pub fn new(batch: RecordBatch) -> Self {
        Rows {
            range: 0..batch.num_rows(),
            batch: Arc::new(batch),
        }
    }

    pub(super) fn within(batch: &Arc<RecordBatch>, range: Range<usize>) -> Self {
        Rows {
            batch: Arc::clone(batch),
            range,
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// A row by its number, from 0.
    pub fn get(&self, at: usize) -> Option<Row<'_>> {
        let row = self.range.clone().nth(at)?;
        Some(Row {
            batch: &self.batch,
            row,
        })
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.range.clone().map(|row| Row {
            batch: &self.batch,
            row,
        })
    }

    /// Each row alone.
    pub(super) fn split(&self) -> impl Iterator<Item = Rows> + '_ {
        self.range
            .clone()
            .map(|row| Rows::within(&self.batch, row..row + 1))
    }

    pub(super) fn slice(&self) -> (&RecordBatch, Range<usize>) {
        (&self.batch, self.range.clone())
    }

    /// The rows as Arrow columns. Copies nothing.
    pub fn to_batch(&self) -> RecordBatch {
        self.batch.slice(self.range.start, self.range.len())
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A row. Getters return `Ok(None)` for null, and an error if there is no such column or if it is of another kind.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    batch: &'r RecordBatch,
    row: usize,
}

impl<'r> Row<'r> {
    /// A text.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`].
    pub fn text(&self, name: &str) -> Result<Option<&'r str>, RowError> {
        let column = self.column(name)?;
        let texts = column.as_string_opt::<i32>();
        let texts = texts.ok_or_else(|| other_kind(name, column, "a text"))?;
        Ok(texts.is_valid(self.row).then(|| texts.value(self.row)))
    }

    /// An integer of any width.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`].
    pub fn int(&self, name: &str) -> Result<Option<i64>, RowError> {
        let column = self.column(name)?;
        let row = self.row;
        let value = match column.data_type() {
            DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
            DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
            _ => return Err(other_kind(name, column, "an integer")),
        };
        Ok(column.is_valid(row).then_some(value))
    }

    /// A boolean.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`].
    pub fn bool(&self, name: &str) -> Result<Option<bool>, RowError> {
        let column = self.column(name)?;
        let flags = column.as_boolean_opt();
        let flags = flags.ok_or_else(|| other_kind(name, column, "a boolean"))?;
        Ok(flags.is_valid(self.row).then(|| flags.value(self.row)))
    }

    /// A time.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`], and [`RowError::BadValue`] for times before the epoch.
    pub fn time(&self, name: &str) -> Result<Option<Time>, RowError> {
        let column = self.column(name)?;
        let times = column.as_primitive_opt::<TimestampMicrosecondType>();
        let times = times.ok_or_else(|| other_kind(name, column, "a time"))?;
        if times.is_null(self.row) {
            return Ok(None);
        }
        let micros = times.value(self.row);
        let nanos = u64::try_from(micros)
            .ok()
            .and_then(|micros| micros.checked_mul(1_000));
        let time = nanos.map(Time::from_nanos);
        time.map(Some)
            .ok_or_else(|| bad_value(name, micros.to_string(), "a time of a run"))
    }

    /// An address, from its text.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`], [`RowError::BadValue`].
    pub fn address(&self, name: &str) -> Result<Option<IpAddr>, RowError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let address = text.parse();
        address
            .map(Some)
            .map_err(|_| bad_value(name, text.to_owned(), "an address"))
    }

    /// Bytes.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`].
    pub fn bytes(&self, name: &str) -> Result<Option<&'r [u8]>, RowError> {
        let column = self.column(name)?;
        let bytes = column.as_binary_opt::<i32>();
        let bytes = bytes.ok_or_else(|| other_kind(name, column, "bytes"))?;
        Ok(bytes.is_valid(self.row).then(|| bytes.value(self.row)))
    }

    /// A list of texts. An element may be null.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`].
    pub fn texts(&self, name: &str) -> Result<Option<Vec<Option<String>>>, RowError> {
        let column = self.column(name)?;
        let Some(list) = self.list_of(name, column, "a list of texts")? else {
            return Ok(None);
        };
        let texts = list.as_string_opt::<i32>();
        let texts = texts.ok_or_else(|| other_kind(name, column, "a list of texts"))?;
        let texts = texts.iter().map(|text| text.map(str::to_owned));
        Ok(Some(texts.collect()))
    }

    /// A list of addresses, such as a path. An element may be null.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`], [`RowError::BadValue`].
    pub fn addresses(&self, name: &str) -> Result<Option<Vec<Option<IpAddr>>>, RowError> {
        let Some(texts) = self.texts(name)? else {
            return Ok(None);
        };
        let address = |text: String| match text.parse() {
            Ok(address) => Ok(address),
            Err(_) => Err(bad_value(name, text, "an address")),
        };
        let addresses = texts.into_iter().map(|text| text.map(address).transpose());
        addresses.collect::<Result<_, _>>().map(Some)
    }

    /// A number with a fraction, or an integer.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`].
    pub fn float(&self, name: &str) -> Result<Option<f64>, RowError> {
        let column = self.column(name)?;
        match column.as_primitive_opt::<Float64Type>() {
            Some(numbers) => Ok(numbers.is_valid(self.row).then(|| numbers.value(self.row))),
            None => Ok(self.int(name)?.map(|number| number as f64)),
        }
    }

    /// A list of structures, such as the labels of an MPLS stack, as rows of their members.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`].
    pub fn list(&self, name: &str) -> Result<Option<Rows>, RowError> {
        const WANTED: &str = "a list of structures";
        let column = self.column(name)?;
        let Some(list) = self.list_of(name, column, WANTED)? else {
            return Ok(None);
        };
        let members = list
            .as_struct_opt()
            .filter(|members| members.null_count() == 0);
        let members = members.ok_or_else(|| other_kind(name, column, WANTED))?;
        Ok(Some(Rows::new(RecordBatch::from(members))))
    }

    /// Texts by name, such as the labels of a target.
    ///
    /// # Errors
    /// [`RowError::NoColumn`], [`RowError::OtherKind`].
    pub fn map(&self, name: &str) -> Result<Option<Vec<(String, String)>>, RowError> {
        let column = self.column(name)?;
        let refuse = || other_kind(name, column, "a map of texts");
        let map = column.as_map_opt().ok_or_else(refuse)?;
        if map.is_null(self.row) {
            return Ok(None);
        }
        let entries: StructArray = map.value(self.row);
        let keys = entries
            .column(0)
            .as_string_opt::<i32>()
            .ok_or_else(refuse)?;
        let values = entries
            .column(1)
            .as_string_opt::<i32>()
            .ok_or_else(refuse)?;
        let pairs = keys
            .iter()
            .zip(values)
            .filter_map(|(key, value)| Some((key?.to_owned(), value?.to_owned())));
        Ok(Some(pairs.collect()))
    }

    /// Whether the value is null.
    ///
    /// # Errors
    /// [`RowError::NoColumn`].
    pub fn is_null(&self, name: &str) -> Result<bool, RowError> {
        Ok(self.column(name)?.is_null(self.row))
    }

    /// The names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &'r str> {
        self.batch
            .schema_ref()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
    }

    /// The whole row as a JSON object. Times are microseconds since the epoch, bytes are lists of numbers.
    pub fn to_json(&self) -> Value {
        object(self.columns().zip(self.batch.columns()), self.row)
    }

    fn column(&self, name: &str) -> Result<&'r ArrayRef, RowError> {
        let column = self.batch.column_by_name(name);
        column.ok_or_else(|| RowError::NoColumn(name.to_owned()))
    }

    fn list_of(
        &self,
        name: &str,
        column: &ArrayRef,
        wanted: &'static str,
    ) -> Result<Option<ArrayRef>, RowError> {
        let lists = column.as_list_opt::<i32>();
        let lists = lists.ok_or_else(|| other_kind(name, column, wanted))?;
        Ok(lists.is_valid(self.row).then(|| lists.value(self.row)))
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

fn other_kind(name: &str, column: &ArrayRef, wanted: &'static str) -> RowError {
    RowError::OtherKind {
        column: name.to_owned(),
        data_type: column.data_type().to_string(),
        wanted,
    }
}

fn bad_value(name: &str, value: String, wanted: &'static str) -> RowError {
    RowError::BadValue {
        column: name.to_owned(),
        value,
        wanted,
    }
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a ArrayRef)>, row: usize) -> Value {
    let members = members.map(|(name, column)| (name.to_owned(), json(column, row)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn json(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Binary => column.as_binary::<i32>().value(row).into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => column
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .into(),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            (0..list.len()).map(|at| json(&list, at)).collect()
        }
        DataType::Struct(_) => {
            let members = column.as_struct();
            object(
                members.column_names().into_iter().zip(members.columns()),
                row,
            )
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let texts =
                [entries.column(0), entries.column(1)].map(|side| side.as_string_opt::<i32>());
            let [Some(keys), Some(values)] = texts else {
                return Value::Null;
            };
            let pairs = keys.iter().zip(values);
            pairs
                .filter_map(|(key, value)| Some((key?.to_owned(), Value::from(value))))
                .collect()
        }
        // No table has another type.
        _ => Value::Null,
    }
}
