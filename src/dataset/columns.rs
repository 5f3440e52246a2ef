//! Builds Arrow columns straight from rows.
//!
//! Text columns are built as dictionaries: most hold few different values, and an encoder then gets a key instead of a copy. This is not
//! visible in files, which have the plain schema. [`plain`] converts a batch for formats that would otherwise show the dictionaries.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, BooleanArray, BooleanBufferBuilder,
    DictionaryArray, Int32Array, PrimitiveArray, RecordBatch, StringArray, StringBuilder,
    new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
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

    /// Adds the next column, which was built elsewhere.
    pub(super) fn push(&mut self, array: ArrayRef) {
        self.arrays.push(array);
    }

    /// The rows that the columns are built from.
    pub(super) fn rows(&self) -> &'a [&'a R] {
        self.rows
    }

    fn primitive<T: ArrowPrimitiveType>(&mut self, get: impl Fn(&R) -> Option<T::Native>) {
        let mut values = Vec::with_capacity(self.rows.len());
        let nulls = nulls_of(self.rows, |row| {
            let value = get(row);
            values.push(value.unwrap_or_default());
            value.is_some()
        });
        let array = PrimitiveArray::<T>::new(values.into(), nulls);
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

    /// A column of nulls.
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

    /// Text from a small set of names.
    pub(super) fn name(&mut self, get: impl Fn(&R) -> Option<&'static str>) {
        let mut names: Vec<&'static str> = Vec::new();
        let mut keys: Vec<i32> = Vec::with_capacity(self.rows.len());
        let nulls = nulls_of(self.rows, |row| {
            let name = get(row);
            keys.push(name.map_or(0, |name| {
                // Names are constants: the same pointer is the same name. Different pointers may hold the same name, which does no harm.
                let known = names.iter().position(|known| std::ptr::eq(*known, name));
                known.unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                }) as i32
            }));
            name.is_some()
        });
        let keys = Int32Array::new(keys.into(), nulls);
        self.dictionary(keys, StringArray::from(names));
    }

    /// Any text. A value equal to the previous one is stored once.
    pub(super) fn text<'t, V: AsRef<str> + 't>(&mut self, get: impl Fn(&'a R) -> Option<V>) {
        let mut keys: Vec<i32> = Vec::with_capacity(self.rows.len());
        let mut values = StringBuilder::new();
        let mut last: Option<V> = None;
        let nulls = nulls_of(self.rows, |row| {
            let value = get(row);
            let present = value.is_some();
            if let Some(value) = value
                && last.as_ref().map(V::as_ref) != Some(value.as_ref())
            {
                values.append_value(value.as_ref());
                last = Some(value);
            }
            // For a null the key has no meaning, but it must not be negative.
            keys.push((values.len() as i32 - 1).max(0));
            present
        });
        self.dictionary(Int32Array::new(keys.into(), nulls), values.finish());
    }

    /// Addresses as canonical text. An address seen shortly before is neither formatted nor stored again.
    pub(super) fn address(&mut self, get: impl Fn(&R) -> Option<IpAddr>) {
        let mut keys: Vec<i32> = Vec::with_capacity(self.rows.len());
        let mut values = StringBuilder::new();
        let mut text = String::with_capacity(64);
        let mut last: (Option<IpAddr>, i32) = (None, 0);
        let mut recent: [(Option<IpAddr>, i32); RECENT] = [(None, 0); RECENT];
        let nulls = nulls_of(self.rows, |row| {
            let address = get(row);
            let Some(known) = address else {
                keys.push(0);
                return false;
            };
            if last.0 != address {
                let place = &mut recent[place_of(known)];
                if place.0 != address {
                    text.clear();
                    push_address(&mut text, known);
                    values.append_value(&text);
                    *place = (address, values.len() as i32 - 1);
                }
                last = *place;
            }
            keys.push(last.1);
            true
        });
        self.dictionary(Int32Array::new(keys.into(), nulls), values.finish());
    }

    fn dictionary(&mut self, keys: Int32Array, values: StringArray) {
        self.push(Arc::new(DictionaryArray::new(keys, Arc::new(values))));
    }

    /// The batch, with text as dictionaries.
    pub(super) fn finish(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(encoder_schema(&self.schema), self.arrays)
    }
}

/// Which of `rows` have a value, by `has`. `None` if all have one.
fn nulls_of<'a, R>(rows: &[&'a R], mut has: impl FnMut(&'a R) -> bool) -> Option<NullBuffer> {
    let mut words: Vec<u64> = Vec::with_capacity(rows.len().div_ceil(64));
    let mut present = 0;
    for rows in rows.chunks(64) {
        let mut word = 0;
        for (at, row) in rows.iter().enumerate() {
            word |= u64::from(has(row)) << at;
        }
        present += word.count_ones() as usize;
        words.push(word);
    }
    (present < rows.len()).then(|| NullBuffer::new(BooleanBuffer::new(words.into(), 0, rows.len())))
}

/// Addresses remembered per batch. This is more than the number of different routers on the paths of its few traces.
const RECENT: usize = 512;

/// The slot in which an address is remembered. If two addresses share a slot, the only cost is a second copy of the text.
fn place_of(address: IpAddr) -> usize {
    let bits = match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    };
    // The upper bits of a product by an odd number without pattern (2^64 / golden ratio) depend on all bits.
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}

/// Appends an address as canonical text (RFC 5952 for IPv6).
pub(super) fn push_address(out: &mut String, address: IpAddr) {
    match address {
        // This is several times as fast as `Display`, and addresses are most of a dataset's text.
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
