//! Arrays of lists and maps. Text in them is plain, without dictionaries.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListArray, ListBuilder, MapBuilder, MapFieldNames, StringBuilder, StructArray,
    new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::column::Columns;
use super::schema::{map_fields, struct_child, struct_fields};
use super::{Run, arrays};
use crate::model::Named;

fn text_child(nullable: bool) -> Field {
    Field::new("element", DataType::Utf8, nullable)
}

/// Lists of names. An empty list is null.
pub(super) fn names<R, N: Named, I: IntoIterator<Item = N>>(
    rows: &[&R],
    get: impl Fn(&R) -> I,
) -> ArrayRef {
    let mut list = ListBuilder::new(StringBuilder::new()).with_field(text_child(false));
    for row in rows {
        let mut any = false;
        for name in get(row) {
            list.values().append_value(name.name());
            any = true;
        }
        list.append(any);
    }
    Arc::new(list.finish())
}

/// Lists of addresses. An absent address is a null element.
pub(super) fn addresses<'a, R>(
    rows: &[&'a R],
    get: impl Fn(&'a R) -> Option<&'a [Option<IpAddr>]>,
) -> ArrayRef {
    let mut list = ListBuilder::new(StringBuilder::new()).with_field(text_child(true));
    let mut text = String::new();
    for row in rows {
        let addresses = get(row);
        for address in addresses.unwrap_or_default() {
            text.clear();
            if let Some(address) = address {
                arrays::push_address(&mut text, *address);
            }
            list.values().append_option(address.map(|_| &text));
        }
        list.append(addresses.is_some());
    }
    Arc::new(list.finish())
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
