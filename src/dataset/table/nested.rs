//! Arrays of lists and maps. Lists of text have dictionaries. Text in structs and maps is plain.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListArray, MapBuilder, MapFieldNames, StringBuilder, StructArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::column::Columns;
use super::schema::{map_fields, struct_child, struct_fields, text_child};
use super::{Run, arrays};
use crate::model::Named;

/// Lists of names. An empty list is null.
pub(super) fn names<R, N: Named, I: IntoIterator<Item = N>>(
    rows: &[&R],
    get: impl Fn(&R) -> I,
) -> Result<ArrayRef, ArrowError> {
    let mut names: Vec<&'static str> = Vec::new();
    let mut lengths = Vec::with_capacity(rows.len());
    for row in rows {
        let before = names.len();
        names.extend(get(row).into_iter().map(N::name));
        lengths.push(names.len() - before);
    }
    let nulls = NullBuffer::from_iter(lengths.iter().map(|length| *length > 0));
    let names: Vec<&&'static str> = names.iter().collect();
    let values = arrays::static_texts(&names, |name| Some(*name));
    list(false, lengths, values, nulls)
}

/// Lists of addresses. An absent address is a null element.
pub(super) fn addresses<'a, R>(
    rows: &[&'a R],
    get: impl Fn(&'a R) -> Option<&'a [Option<IpAddr>]>,
) -> Result<ArrayRef, ArrowError> {
    let lists: Vec<_> = rows.iter().map(|row| get(row)).collect();
    let lengths = lists
        .iter()
        .map(|list| list.map_or(0, <[_]>::len))
        .collect();
    let nulls = NullBuffer::from_iter(lists.iter().map(Option::is_some));
    let elements: Vec<&Option<IpAddr>> = lists.into_iter().flatten().flatten().collect();
    let values = arrays::addresses(&elements, |address| *address);
    list(true, lengths, values, nulls)
}

/// Lists of the texts in a dictionary. `lengths` and `nulls` are by list.
fn list(
    nullable_elements: bool,
    lengths: Vec<usize>,
    texts: ArrayRef,
    nulls: NullBuffer,
) -> Result<ArrayRef, ArrowError> {
    let child = text_child(nullable_elements).with_data_type(texts.data_type().clone());
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(Arc::new(child), offsets, texts, Some(nulls))?;
    Ok(Arc::new(list))
}

/// Lists of structs with `fields`. An empty list is null.
pub(super) fn structs<'a, R, E: 'static>(
    rows: &[&'a R],
    run: &Run,
    fields: &Columns<E>,
    get: impl Fn(&'a R) -> &'a [E],
) -> Result<ArrayRef, ArrowError> {
    let lists: Vec<&[E]> = rows.iter().map(|row| get(row)).collect();
    let struct_fields = struct_fields(&fields.schemas());
    let child = struct_child(struct_fields.clone());
    if lists.iter().all(|list| list.is_empty()) {
        return Ok(new_null_array(&DataType::List(child), rows.len()));
    }
    let elements: Vec<&E> = lists.iter().copied().flatten().collect();
    let members = fields.arrays(&elements, run)?;
    let members = members.iter().map(arrays::without_dictionary);
    let values = StructArray::try_new(struct_fields, members.collect::<Result<_, _>>()?, None)?;
    let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.len()));
    let nulls = NullBuffer::from_iter(lists.iter().map(|list| !list.is_empty()));
    let list = ListArray::try_new(child, offsets, Arc::new(values), Some(nulls))?;
    Ok(Arc::new(list))
}

/// Maps from text to text. An empty map is null.
pub(super) fn maps<'a, R>(
    rows: &[&'a R],
    get: impl Fn(&'a R, &mut Vec<(&'a str, &'a str)>),
) -> ArrayRef {
    let [key, value] = map_fields();
    let field_names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: key.name().clone(),
        value: value.name().clone(),
    };
    let (keys, values) = (StringBuilder::new(), StringBuilder::new());
    let mut map = MapBuilder::new(Some(field_names), keys, values).with_values_field(value);
    let mut pairs = Vec::new();
    for row in rows {
        pairs.clear();
        get(row, &mut pairs);
        for (key, value) in &pairs {
            map.keys().append_value(key);
            map.values().append_value(value);
        }
        map.append(!pairs.is_empty())
            .expect("keys and values are appended in pairs");
    }
    Arc::new(map.finish())
}
