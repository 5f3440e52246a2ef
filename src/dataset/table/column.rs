//! Declares columns: the name, type, unit, meaning and getter of each stand in one place.
//!
//! Every method of [`Columns`] adds one column. Its getter gets the row and the facts that all rows of the run share. If a getter
//! returns an `Option`, the column is nullable.

use std::borrow::Cow;
use std::net::IpAddr;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Float64Type, Int16Type, Int32Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;

use super::schema::{ColumnSchema, ColumnType};
use super::{Cell, Run, arrays, nested};
use crate::model::{Named, Time};

/// Builds the array of a column. Text may come as a dictionary.
type Build<R> = Box<dyn Fn(&[&R], &Run) -> Result<ArrayRef, ArrowError> + Send + Sync>;

/// The columns of a table, or the fields of a list's elements.
pub struct Columns<R> {
    columns: Vec<(ColumnSchema, Build<R>)>,
}

impl<R> Default for Columns<R> {
    fn default() -> Self {
        Columns {
            columns: Vec::new(),
        }
    }
}

/// The column that was added last. Its methods state facts that only some columns have.
pub struct Described<'a>(&'a mut ColumnSchema);

impl Described<'_> {
    /// States the unit of the values.
    pub fn unit(self, unit: &'static str) -> Self {
        self.0.unit = Some(unit);
        self
    }

    /// States the values that the column may have.
    pub fn values(self, values: &'static [&'static str]) -> Self {
        self.0.values = Some(values);
        self
    }

    /// States that the values are random numbers. Parquet files hold them without compression, which would take time and save nothing.
    pub fn random(self) -> Self {
        self.0.compressed = false;
        self
    }
}

impl<R: 'static> Columns<R> {
    /// Whole numbers of 16 bits.
    pub fn int16<V: Cell<i16>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(
            name,
            ColumnType::Int16,
            V::NULLABLE,
            meaning,
            move |rows, run| arrays::primitive::<Int16Type, R>(rows, |row| get(row, run).cell()),
        )
    }

    /// Whole numbers of 32 bits.
    pub fn int32<V: Cell<i32>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(
            name,
            ColumnType::Int32,
            V::NULLABLE,
            meaning,
            move |rows, run| arrays::primitive::<Int32Type, R>(rows, |row| get(row, run).cell()),
        )
    }

    /// Whole numbers of 64 bits.
    pub fn int64<V: Cell<i64>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(
            name,
            ColumnType::Int64,
            V::NULLABLE,
            meaning,
            move |rows, run| arrays::primitive::<Int64Type, R>(rows, |row| get(row, run).cell()),
        )
    }

    /// Numbers with a fraction, or null. NaN and infinity become null, because JSON cannot express them.
    pub fn float64<V: Cell<f64>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(
            name,
            ColumnType::Float64,
            true,
            meaning,
            move |rows, run| {
                arrays::primitive::<Float64Type, R>(rows, |row| {
                    get(row, run).cell().filter(|number| number.is_finite())
                })
            },
        )
    }

    /// Times in microseconds, UTC.
    pub fn time<V: Cell<Time>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(
            name,
            ColumnType::Timestamp,
            V::NULLABLE,
            meaning,
            move |rows, run| arrays::times(rows, |row| get(row, run).cell().map(Time::as_micros)),
        )
    }

    /// Yes or no.
    pub fn boolean<V: Cell<bool>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(
            name,
            ColumnType::Boolean,
            V::NULLABLE,
            meaning,
            move |rows, run| arrays::boolean(rows, |row| get(row, run).cell()),
        )
    }

    /// Addresses as canonical text (RFC 5952 for IPv6).
    pub fn address<V: Cell<IpAddr>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        let column = self.add(
            name,
            ColumnType::Text,
            V::NULLABLE,
            meaning,
            move |rows, run| arrays::addresses(rows, |row| get(row, run).cell()),
        );
        column.unit(ADDRESS)
    }

    /// Names of the values of an enum. The schema lists all of them.
    pub fn name<N: Named, V: Cell<N>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        let column = self.static_text(name, meaning, move |row, run| {
            get(row, run).cell().map(N::name)
        });
        column.0.nullable = V::NULLABLE;
        column.values(N::NAMES)
    }

    /// Text from a small set of constants.
    pub fn static_text<V: Cell<&'static str>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> V + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(
            name,
            ColumnType::Text,
            V::NULLABLE,
            meaning,
            move |rows, run| arrays::static_texts(rows, |row| get(row, run).cell()),
        )
    }

    /// Text that every row of the run shares.
    pub fn constant(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&Run) -> &str + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(name, ColumnType::Text, false, meaning, move |rows, run| {
            arrays::constant(rows.len(), get(run))
        })
    }

    /// Any text.
    pub fn text(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl for<'a> Fn(&'a R, &'a Run) -> Cow<'a, str> + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(name, ColumnType::Text, false, meaning, move |rows, run| {
            arrays::texts(rows, |row| Some(get(row, run)))
        })
    }

    /// Any text, or null.
    pub fn optional_text(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl for<'a> Fn(&'a R, &'a Run) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(name, ColumnType::Text, true, meaning, move |rows, run| {
            arrays::texts(rows, |row| get(row, run))
        })
    }

    /// Bytes, or null.
    pub fn bytes(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl for<'a> Fn(&'a R, &'a Run) -> Option<&'a [u8]> + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(name, ColumnType::Binary, true, meaning, move |rows, run| {
            arrays::bytes(rows, |row| get(row, run))
        })
    }

    /// Lists of names of an enum. An empty list is null.
    pub fn names<N: Named, I: IntoIterator<Item = N>>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl Fn(&R, &Run) -> I + Send + Sync + 'static,
    ) -> Described<'_> {
        let list = ColumnType::TextList {
            nullable_elements: false,
        };
        let build: Build<R> = Box::new(move |rows, run| nested::names(rows, |row| get(row, run)));
        let column = self.push(name, list, true, meaning, build);
        column.values(N::NAMES)
    }

    /// Lists of addresses, in which an address may be absent. An empty list is an empty list.
    pub fn addresses(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl for<'a> Fn(&'a R, &'a Run) -> Option<&'a [Option<IpAddr>]> + Send + Sync + 'static,
    ) -> Described<'_> {
        let list = ColumnType::TextList {
            nullable_elements: true,
        };
        let build: Build<R> =
            Box::new(move |rows, run| nested::addresses(rows, |row| get(row, run)));
        let column = self.push(name, list, true, meaning, build);
        column.unit(ADDRESS)
    }

    /// Lists of structs, whose fields are declared like columns. An empty list is null.
    pub fn list<E: 'static>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl for<'a> Fn(&'a R, &'a Run) -> &'a [E] + Send + Sync + 'static,
        declare: impl FnOnce(&mut Columns<E>),
    ) -> Described<'_> {
        let mut fields = Columns::default();
        declare(&mut fields);
        let list = ColumnType::List(fields.schemas());
        let build: Build<R> =
            Box::new(move |rows, run| nested::structs(rows, run, &fields, |row| get(row, run)));
        self.push(name, list, true, meaning, build)
    }

    /// Maps from text to text: `get` adds the pairs of a row. An empty map is null.
    pub fn map(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        get: impl for<'a> Fn(&'a R, &'a Run, &mut Vec<(&'a str, &'a str)>) + Send + Sync + 'static,
    ) -> Described<'_> {
        self.add(
            name,
            ColumnType::TextMap,
            true,
            meaning,
            move |rows, run| nested::maps(rows, |row, pairs| get(row, run, pairs)),
        )
    }

    fn add(
        &mut self,
        name: &'static str,
        kind: ColumnType,
        nullable: bool,
        description: &'static str,
        build: impl Fn(&[&R], &Run) -> ArrayRef + Send + Sync + 'static,
    ) -> Described<'_> {
        let build: Build<R> = Box::new(move |rows, run| Ok(build(rows, run)));
        self.push(name, kind, nullable, description, build)
    }

    fn push(
        &mut self,
        name: &'static str,
        kind: ColumnType,
        nullable: bool,
        description: &'static str,
        build: Build<R>,
    ) -> Described<'_> {
        let schema = ColumnSchema {
            name,
            kind,
            nullable,
            unit: None,
            values: None,
            compressed: true,
            description,
        };
        self.columns.push((schema, build));
        let at = self.columns.len() - 1;
        Described(&mut self.columns[at].0)
    }

    /// The schemas of the columns.
    pub(super) fn schemas(&self) -> Vec<ColumnSchema> {
        let schemas = self.columns.iter().map(|(schema, _)| schema.clone());
        schemas.collect()
    }

    /// Builds the arrays of all columns for `rows`.
    pub(super) fn arrays(&self, rows: &[&R], run: &Run) -> Result<Vec<ArrayRef>, ArrowError> {
        let columns = self.columns.iter();
        columns.map(|(_, build)| build(rows, run)).collect()
    }

    /// Builds a batch of `rows`. Its schema is `schema`, with dictionaries in place of text.
    pub(super) fn batch(
        &self,
        rows: &[&R],
        run: &Run,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(SchemaRef::clone(schema), self.arrays(rows, run)?)
    }
}

/// The unit of text that is an address.
pub(super) const ADDRESS: &str = "address";
