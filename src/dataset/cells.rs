//! Cells of a batch as text: JSON for JSON Lines and for lists and maps in CSV, plain text for the other cells of CSV.
//!
//! | value | JSON |
//! |---|---|
//! | number, boolean, text | the same |
//! | time | text: RFC 3339 in UTC, with microseconds |
//! | bytes | text: hexadecimal digits |
//! | list | array |
//! | struct, map | object |
//! | absent, not a number, infinite | null |

use std::fmt::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, SecondsFormat};

use super::files::hex;

/// Formats microseconds since the epoch as RFC 3339 in UTC. `None` beyond the years that chrono supports.
pub(super) fn rfc3339(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// Appends a cell as plain text, without quotes. Appends nothing for null. The cell must not be a list, a struct or a map.
pub(super) fn push_scalar(out: &mut String, column: &dyn Array, row: usize) {
    if column.is_null(row) {
        return;
    }
    let pushed = match column.data_type() {
        DataType::Int16 => write!(out, "{}", column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => write!(out, "{}", column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => write!(out, "{}", column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => write!(out, "{}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => write!(out, "{}", column.as_boolean().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            out.push_str(&rfc3339(micros).unwrap_or_default());
            Ok(())
        }
        _ => {
            out.push_str(text(column, row).as_ref());
            Ok(())
        }
    };
    pushed.expect("a String takes any text");
}

/// Appends a cell as JSON.
pub(super) fn push_json(out: &mut String, column: &dyn Array, row: usize) {
    if column.is_null(row) {
        out.push_str("null");
        return;
    }
    match column.data_type() {
        // Numbers with a fraction are finite: see `Columns::float64`.
        DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float64
        | DataType::Boolean => {
            push_scalar(out, column, row);
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            push_joined(out, ['{', '}'], entries.len(), |out, at| {
                push_json(out, keys, at);
                out.push(':');
                push_json(out, values, at);
            });
        }
        DataType::List(_) => {
            let entries = column.as_list::<i32>().value(row);
            push_joined(out, ['[', ']'], entries.len(), |out, at| {
                push_json(out, &entries, at);
            });
        }
        DataType::Struct(fields) => {
            let members = column.as_struct();
            push_joined(out, ['{', '}'], fields.len(), |out, at| {
                push_text(out, fields[at].name());
                out.push(':');
                push_json(out, members.column(at), row);
            });
        }
        DataType::Timestamp(..) => {
            out.push('"');
            push_scalar(out, column, row);
            out.push('"');
        }
        _ => push_text(out, text(column, row).as_ref()),
    }
}

/// Appends a whole row as one JSON object. The members have the order of the columns.
pub(super) fn push_row(out: &mut String, batch: &RecordBatch, row: usize) {
    let schema = batch.schema_ref();
    push_joined(out, ['{', '}'], batch.num_columns(), |out, at| {
        push_text(out, schema.field(at).name());
        out.push(':');
        push_json(out, batch.column(at), row);
    });
}

/// Appends `count` items between `open` and `close`, separated by commas.
fn push_joined(
    out: &mut String,
    [open, close]: [char; 2],
    count: usize,
    push: impl Fn(&mut String, usize),
) {
    out.push(open);
    for at in 0..count {
        if at > 0 {
            out.push(',');
        }
        push(out, at);
    }
    out.push(close);
}

/// Appends text as a JSON string.
fn push_text(out: &mut String, text: &str) {
    // Most text needs no escapes: column names, statuses, addresses. The JSON library escapes the rest.
    if text
        .bytes()
        .all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\')
    {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// Returns the text of a cell of text or bytes. Text may be in a dictionary.
fn text(column: &dyn Array, row: usize) -> std::borrow::Cow<'_, str> {
    match column.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = column.as_dictionary::<Int32Type>();
            let key = dictionary.key(row).unwrap_or_default();
            dictionary.values().as_string::<i32>().value(key).into()
        }
        DataType::Binary => hex(column.as_binary::<i32>().value(row)).into(),
        _ => column.as_string::<i32>().value(row).into(),
    }
}
