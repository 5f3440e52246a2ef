//! Builds arrays straight from rows. A getter returns `None` for null.
//!
//! Text is built as a dictionary: most columns hold few different values, and an encoder then gets a key instead of a copy. This is
//! not visible in files, which have the plain schema. [`plain`] converts a batch for formats that would otherwise show the
//! dictionaries.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, BooleanArray,
    BooleanBufferBuilder, DictionaryArray, Int32Array, PrimitiveArray, RecordBatch, StringArray,
    StringBuilder, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::rows::BATCH_ROWS;
use crate::dataset::recent::Recent;

/// Numbers.
pub(super) fn primitive<T: ArrowPrimitiveType, R>(
    rows: &[&R],
    get: impl Fn(&R) -> Option<T::Native>,
) -> ArrayRef {
    let mut values = vec![T::Native::default(); rows.len()];
    let nulls = fill(rows, &mut values, |row, slot| {
        let value = get(row);
        *slot = value.unwrap_or_default();
        value.is_some()
    });
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}

/// Times as microseconds, UTC.
pub(super) fn times<R>(rows: &[&R], get: impl Fn(&R) -> Option<i64>) -> ArrayRef {
    let micros = primitive::<TimestampMicrosecondType, R>(rows, get);
    // The time zone is part of the array's type, not of the numbers.
    Arc::new(
        micros
            .as_primitive::<TimestampMicrosecondType>()
            .clone()
            .with_timezone("UTC"),
    )
}

/// Yes or no.
pub(super) fn boolean<R>(rows: &[&R], get: impl Fn(&R) -> Option<bool>) -> ArrayRef {
    let mut values = BooleanBufferBuilder::new(rows.len());
    let nulls = nulls_of(rows, |row| {
        let value = get(row);
        values.append(value.unwrap_or_default());
        value.is_some()
    });
    Arc::new(BooleanArray::new(values.finish(), nulls))
}

/// Bytes.
pub(super) fn bytes<'a, R>(rows: &[&'a R], get: impl Fn(&'a R) -> Option<&'a [u8]>) -> ArrayRef {
    // Most columns of bytes are empty in most batches.
    if rows.iter().all(|row| get(row).is_none()) {
        return new_null_array(&DataType::Binary, rows.len());
    }
    let mut bytes = BinaryBuilder::new();
    for row in rows {
        bytes.append_option(get(row));
    }
    Arc::new(bytes.finish())
}

/// The same text in every row.
pub(super) fn constant(rows: usize, text: &str) -> ArrayRef {
    // The keys were checked once. Only the text differs between batches.
    static FIRST: LazyLock<DictionaryArray<Int32Type>> =
        LazyLock::new(|| same_text(BATCH_ROWS, ""));
    match rows <= FIRST.len() {
        true => {
            let first = FIRST.slice(0, rows);
            Arc::new(first.with_values(Arc::new(StringArray::from(vec![text]))))
        }
        false => Arc::new(same_text(rows, text)),
    }
}

fn same_text(rows: usize, text: &str) -> DictionaryArray<Int32Type> {
    let keys = Int32Array::from(vec![0; rows]);
    DictionaryArray::new(keys, Arc::new(StringArray::from(vec![text])))
}

/// Text from a small set of constants.
pub(super) fn static_texts<R>(rows: &[&R], get: impl Fn(&R) -> Option<&'static str>) -> ArrayRef {
    let mut texts: Vec<&'static str> = Vec::new();
    let mut keys = vec![0; rows.len()];
    let mut last: (&'static str, i32) = ("", 0);
    let nulls = fill(rows, &mut keys, |row, key| {
        let Some(text) = get(row) else {
            return false;
        };
        // The same pointer is the same text. Different pointers may hold the same text, which does no harm.
        if texts.is_empty() || !std::ptr::eq(last.0, text) {
            let known = texts.iter().position(|known| std::ptr::eq(*known, text));
            let known = known.unwrap_or_else(|| {
                texts.push(text);
                texts.len() - 1
            });
            last = (text, known as i32);
        }
        *key = last.1;
        true
    });
    let keys = Int32Array::new(keys.into(), nulls);
    dictionary(keys, StringArray::from(texts))
}

/// Any text. A value equal to the previous one is stored once.
pub(super) fn texts<'a, R>(
    rows: &[&'a R],
    get: impl Fn(&'a R) -> Option<Cow<'a, str>>,
) -> ArrayRef {
    let mut keys: Vec<i32> = Vec::with_capacity(rows.len());
    let mut values = StringBuilder::new();
    let mut last: Option<Cow<'a, str>> = None;
    let nulls = nulls_of(rows, |row| {
        let value = get(row);
        let present = value.is_some();
        if let Some(value) = value
            && last.as_ref() != Some(&value)
        {
            values.append_value(&value);
            last = Some(value);
        }
        // For a null the key has no meaning, but it must not be negative.
        keys.push((values.len() as i32 - 1).max(0));
        present
    });
    dictionary(Int32Array::new(keys.into(), nulls), values.finish())
}

/// Addresses as canonical text. An address seen shortly before is neither formatted nor stored again.
pub(super) fn addresses<R>(rows: &[&R], get: impl Fn(&R) -> Option<IpAddr>) -> ArrayRef {
    let mut keys = vec![0; rows.len()];
    let mut values = StringBuilder::new();
    let mut text = String::with_capacity(64);
    let mut last: (Option<IpAddr>, i32) = (None, 0);
    let mut recent = Recent::new(RECENT_ADDRESSES);
    let nulls = fill(rows, &mut keys, |row, key| {
        let address = get(row);
        let Some(known) = address else {
            return false;
        };
        if last.0 != address {
            let key = recent.value(known, || {
                text.clear();
                push_address(&mut text, known);
                values.append_value(&text);
                values.len() as i32 - 1
            });
            last = (address, key);
        }
        *key = last.1;
        true
    });
    dictionary(Int32Array::new(keys.into(), nulls), values.finish())
}

fn dictionary(keys: Int32Array, values: StringArray) -> ArrayRef {
    Arc::new(DictionaryArray::new(keys, Arc::new(values)))
}

/// Fills `slots` from `rows`, as `set` does for each. Returns which of `rows` have a value, as `set` says. `None` if all rows have a value.
fn fill<'a, R, V>(
    rows: &[&'a R],
    slots: &mut [V],
    mut set: impl FnMut(&'a R, &mut V) -> bool,
) -> Option<NullBuffer> {
    let mut words: Vec<u64> = Vec::with_capacity(rows.len().div_ceil(64));
    let mut present = 0;
    // Slots are there already, so the loop has no check of a capacity.
    for (rows, slots) in rows.chunks(64).zip(slots.chunks_mut(64)) {
        let mut word = 0;
        for (at, (row, slot)) in rows.iter().zip(slots).enumerate() {
            word |= u64::from(set(row, slot)) << at;
        }
        present += word.count_ones() as usize;
        words.push(word);
    }
    (present < rows.len()).then(|| NullBuffer::new(BooleanBuffer::new(words.into(), 0, rows.len())))
}

/// Returns which of `rows` have a value, as `has` says. `None` if all rows have a value.
fn nulls_of<'a, R>(rows: &[&'a R], mut has: impl FnMut(&'a R) -> bool) -> Option<NullBuffer> {
    fill(rows, &mut vec![(); rows.len()], |row, ()| has(row))
}

/// Addresses remembered per batch. This is more than the number of different routers on the paths of its few traces.
const RECENT_ADDRESSES: usize = 256;

/// Appends an address as canonical text (RFC 5952 for IPv6).
pub(in crate::dataset) fn push_address(out: &mut String, address: IpAddr) {
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

fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The written schema with dictionaries in place of text, as batches have it.
pub(super) fn with_dictionaries(written: &SchemaRef) -> SchemaRef {
    let fields = written.fields().iter();
    Arc::new(Schema::new(
        fields
            .map(|field| with_dictionary(field))
            .collect::<Vec<_>>(),
    ))
}

/// The field with a dictionary in place of text, also in a list of texts.
fn with_dictionary(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::Utf8 => dictionary_type(),
        DataType::List(child) if child.data_type() == &DataType::Utf8 => {
            DataType::List(Arc::new(with_dictionary(child)))
        }
        kind => kind.clone(),
    };
    field.clone().with_data_type(kind)
}

/// The same batch in the written schema, without dictionaries.
pub(in crate::dataset) fn plain(
    batch: &RecordBatch,
    schema: SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_, _>>()?)
}

/// The same text without a dictionary. Any other array stays as it is.
pub(super) fn without_dictionary(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(..) => cast(array, &DataType::Utf8),
        _ => Ok(Arc::clone(array)),
    }
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
