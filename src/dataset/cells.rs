//! Cells of a batch as plain text, for CSV. Lists and maps are JSON: see `json`.
//!
//! | value | text |
//! |---|---|
//! | number, boolean, text | the same |
//! | time | RFC 3339 in UTC, with microseconds |
//! | bytes | hexadecimal digits |
//! | absent | empty |

use std::fmt::Write;

use arrow::array::{Array, AsArray};
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
