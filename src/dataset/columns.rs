//! Builds Arrow columns straight from rows.
//!
//! Text columns are built as dictionaries: most hold the same few values over and over, and an encoder is fed a key
//! instead of a copy. That is an inner matter: files are written with the plain schema, and [`plain`] gives it to
//! formats that would otherwise show the dictionaries.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, BooleanArray, BooleanBufferBuilder,
    DictionaryArray, Int32Array, NullBufferBuilder, PrimitiveArray, RecordBatch, StringArray,
    StringBuilder, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Int16Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use crate::model::Time;

/// Columns of one batch, appended in the order of the schema.
pub(super) struct Columns<'a, R> {
    rows: &'a [&'a R],
    schema: SchemaRef,
    arrays: Vec<ArrayRef>,
}

impl<'a, R> Columns<'a, R> {
    pub(super) fn new(rows: &'a [&'a R], schema: SchemaRef) -> Self {
        let arrays = Vec::with_capacity(schema.fields().len());
        Columns {
            rows,
            schema,
            arrays,
        }
    }

    /// The next column, built elsewhere.
    pub(super) fn push(&mut self, array: ArrayRef) {
        self.arrays.push(array);
    }

    /// The rows that the columns are built from.
    pub(super) fn rows(&self) -> &'a [&'a R] {
        self.rows
    }

    fn primitive<T: ArrowPrimitiveType>(&mut self, get: impl Fn(&R) -> Option<T::Native>) {
        let mut values = Vec::with_capacity(self.rows.len());
        let mut nulls = NullBufferBuilder::new(self.rows.len());
        for row in self.rows {
            let value = get(row);
            values.push(value.unwrap_or_default());
            nulls.append(value.is_some());
        }
        let array = PrimitiveArray::<T>::new(values.into(), nulls.finish());
        // The time zone is part of the field's type, not of the numbers.
        let data_type = self.schema.field(self.arrays.len()).data_type();
        let array = match data_type {
            DataType::Timestamp(..) => array.with_data_type(data_type.clone()),
            _ => array,
        };
        self.push(Arc::new(array));
    }

    pub(super) fn int16(&mut self, get: impl Fn(&R) -> Option<i16>) {
        self.primitive::<Int16Type>(get);
    }

    pub(super) fn int32(&mut self, get: impl Fn(&R) -> Option<i32>) {
        self.primitive::<Int32Type>(get);
    }

    pub(super) fn int64(&mut self, get: impl Fn(&R) -> Option<i64>) {
        self.primitive::<Int64Type>(get);
    }

    pub(super) fn time(&mut self, get: impl Fn(&R) -> Option<Time>) {
        self.primitive::<TimestampMicrosecondType>(|row| get(row).map(Time::as_micros));
    }

    pub(super) fn boolean(&mut self, get: impl Fn(&R) -> bool) {
        let mut values = BooleanBufferBuilder::new(self.rows.len());
        for row in self.rows {
            values.append(get(row));
        }
        self.push(Arc::new(BooleanArray::new(values.finish(), None)));
    }

    /// A column of nothing but nulls.
    pub(super) fn null(&mut self) {
        let data_type = match self.schema.field(self.arrays.len()).data_type() {
            DataType::Utf8 => text_type(),
            other => other.clone(),
        };
        self.push(new_null_array(&data_type, self.rows.len()));
    }

    /// The same text in every row.
    pub(super) fn constant(&mut self, text: &str) {
        let keys = Int32Array::from(vec![0; self.rows.len()]);
        self.dictionary(keys, StringArray::from(vec![text]));
    }

    /// Text out of a small set of names.
    pub(super) fn name(&mut self, get: impl Fn(&R) -> Option<&'static str>) {
        let mut names: Vec<&'static str> = Vec::new();
        let mut keys = Vec::with_capacity(self.rows.len());
        let mut nulls = NullBufferBuilder::new(self.rows.len());
        for row in self.rows {
            let name = get(row);
            nulls.append(name.is_some());
            keys.push(name.map_or(0, |name| {
                // Names are constants: the same pointer is the same name, and the other way round it does not matter.
                let known = names.iter().position(|known| std::ptr::eq(*known, name));
                known.unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                }) as i32
            }));
        }
        let keys = Int32Array::new(keys.into(), nulls.finish());
        self.dictionary(keys, StringArray::from(names));
    }

    /// Any text; a value equal to the one before it is stored once.
    pub(super) fn text<'t, V: AsRef<str> + 't>(&mut self, get: impl Fn(&'a R) -> Option<V>) {
        let mut values = Runs::new(self.rows.len());
        for row in self.rows {
            values.append(
                get(row),
                |a, b| a.as_ref() == b.as_ref(),
                |v, out| {
                    out.push_str(v.as_ref());
                },
            );
        }
        let (keys, values) = values.finish();
        self.dictionary(keys, values);
    }

    /// Addresses as canonical text; one equal to that before it is formatted once.
    pub(super) fn address(&mut self, get: impl Fn(&R) -> Option<IpAddr>) {
        let mut values = Runs::new(self.rows.len());
        for row in self.rows {
            values.append(
                get(row),
                |a, b| a == b,
                |address, out| {
                    push_address(out, *address);
                },
            );
        }
        let (keys, values) = values.finish();
        self.dictionary(keys, values);
    }

    fn dictionary(&mut self, keys: Int32Array, values: StringArray) {
        self.push(Arc::new(DictionaryArray::new(keys, Arc::new(values))));
    }

    /// The batch, with text as dictionaries.
    pub(super) fn finish(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(encoder_schema(&self.schema), self.arrays)
    }
}

/// Values of a dictionary in which only neighbours are compared.
struct Runs<V> {
    last: Option<V>,
    keys: Vec<i32>,
    nulls: NullBufferBuilder,
    values: StringBuilder,
    scratch: String,
}

impl<V> Runs<V> {
    fn new(rows: usize) -> Self {
        Runs {
            last: None,
            keys: Vec::with_capacity(rows),
            nulls: NullBufferBuilder::new(rows),
            values: StringBuilder::new(),
            scratch: String::with_capacity(64),
        }
    }

    fn append(
        &mut self,
        value: Option<V>,
        same: impl Fn(&V, &V) -> bool,
        write: impl Fn(&V, &mut String),
    ) {
        self.nulls.append(value.is_some());
        let Some(value) = value else {
            self.keys.push(0);
            return;
        };
        if !self.last.as_ref().is_some_and(|last| same(last, &value)) {
            self.scratch.clear();
            write(&value, &mut self.scratch);
            self.values.append_value(&self.scratch);
            self.last = Some(value);
        }
        self.keys.push(self.values.len() as i32 - 1);
    }

    fn finish(mut self) -> (Int32Array, StringArray) {
        let keys = Int32Array::new(self.keys.into(), self.nulls.finish());
        (keys, self.values.finish())
    }
}

/// Appends an address as canonical text (RFC 5952 for IPv6).
pub(super) fn push_address(out: &mut String, address: IpAddr) {
    match address {
        // Several times as fast as `Display`, and most of the text in a dataset.
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push('.');
                }
                if octet >= 100 {
                    out.push(char::from(b'0' + octet / 100));
                }
                if octet >= 10 {
                    out.push(char::from(b'0' + octet / 10 % 10));
                }
                out.push(char::from(b'0' + octet % 10));
            }
        }
        IpAddr::V6(address) => {
            write!(out, "{address}").expect("a String takes any text");
        }
    }
}

fn text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The written schema with dictionaries in place of text, as batches have it.
fn encoder_schema(written: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = written
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 => field.as_ref().clone().with_data_type(text_type()),
            _ => field.as_ref().clone(),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The same batch in the written schema, without dictionaries.
pub(super) fn plain(batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Dictionary(..) => cast(column, &DataType::Utf8),
            _ => Ok(Arc::clone(column)),
        })
        .collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_canonical_text() {
        for text in [
            "0.0.0.0",
            "1.2.3.4",
            "10.20.30.40",
            "100.99.9.255",
            "203.0.113.109",
            "2001:db8::1",
            "::",
            "fe80::1:0:0:2",
        ] {
            let mut out = String::new();
            push_address(&mut out, text.parse().unwrap());
            assert_eq!(out, text);
        }
        for octet in 0..=255u8 {
            let mut out = String::new();
            push_address(&mut out, IpAddr::from([octet, 0, octet, 1]));
            assert_eq!(out, format!("{octet}.0.{octet}.1"));
        }
    }
}
