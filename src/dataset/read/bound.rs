//! A filter bound to the types of a table: evaluates rows, and decides what statistics rule out.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Int16Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};

use super::ReadError;
use super::filter::{Condition, Value};

/// A filter with every value checked against its column.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    Leaf { column: String, test: Test },
    All(Vec<Bound>),
    Any(Vec<Bound>),
    Not(Box<Bound>),
}

/// What a column's value must be.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// An integer, a time in microseconds, or a boolean as 0 or 1: within inclusive bounds.
    Ints { low: i64, high: i64 },
    /// One of these, in ascending order.
    IntSet(Vec<i64>),
    /// A text within inclusive bounds.
    Texts {
        low: Option<String>,
        high: Option<String>,
    },
    /// One of these, in ascending order.
    TextSet(Vec<String>),
    /// Whether it is null.
    Null(bool),
}

/// The kinds of columns that have an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Bool,
    Time,
}

fn kind_of(data_type: &DataType) -> Option<Kind> {
    match data_type {
        DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(Kind::Int),
        DataType::Utf8 => Some(Kind::Text),
        DataType::Boolean => Some(Kind::Bool),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(Kind::Time),
        _ => None,
    }
}

impl Bound {
    /// Checks a filter against the columns of `table`.
    pub(super) fn new(
        condition: &Condition,
        table: &str,
        schema: &Schema,
    ) -> Result<Self, ReadError> {
        let all = |conditions: &[Condition]| {
            let bound = conditions.iter();
            bound
                .map(|condition| Bound::new(condition, table, schema))
                .collect::<Result<Vec<_>, _>>()
        };
        let (column, test) = match condition {
            Condition::All(conditions) => return Ok(Bound::All(all(conditions)?)),
            Condition::Any(conditions) => return Ok(Bound::Any(all(conditions)?)),
            Condition::Not(condition) => {
                let bound = Bound::new(condition, table, schema)?;
                return Ok(Bound::Not(Box::new(bound)));
            }
            Condition::Between { column, low, high } => {
                (column, between(column, low, high, table, schema)?)
            }
            Condition::AnyOf { column, values } => (column, any_of(column, values, table, schema)?),
            Condition::Null { column, is_null } => {
                super::schema::column(table, schema, column)?;
                (column, Test::Null(*is_null))
            }
        };
        Ok(Bound::Leaf {
            column: column.clone(),
            test,
        })
    }

    /// Adds the names of the columns, without repetition.
    pub(super) fn columns<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Bound::Leaf { column, .. } => {
                if !into.contains(&column.as_str()) {
                    into.push(column);
                }
            }
            Bound::All(parts) | Bound::Any(parts) => {
                parts.iter().for_each(|part| part.columns(into));
            }
            Bound::Not(bound) => bound.columns(into),
        }
    }

    /// Which of `rows` rows satisfy it. `column` returns a column of the rows. A column that it does not have counts as null.
    pub(super) fn evaluate(
        &self,
        rows: usize,
        column: &dyn Fn(&str) -> Option<ArrayRef>,
    ) -> BooleanBuffer {
        let fold = |parts: &[Bound], empty: bool, all: bool| {
            let start = match empty {
                true => BooleanBuffer::new_set(rows),
                false => BooleanBuffer::new_unset(rows),
            };
            parts.iter().fold(start, |so_far, part| {
                let next = part.evaluate(rows, column);
                if all {
                    &so_far & &next
                } else {
                    &so_far | &next
                }
            })
        };
        match self {
            Bound::All(parts) => fold(parts, true, true),
            Bound::Any(parts) => fold(parts, false, false),
            Bound::Not(bound) => !&bound.evaluate(rows, column),
            Bound::Leaf { column: name, test } => match (column(name), test) {
                (Some(array), test) => test.evaluate(&array),
                (None, Test::Null(true)) => BooleanBuffer::new_set(rows),
                (None, _) => BooleanBuffer::new_unset(rows),
            },
        }
    }
}

impl Test {
    fn evaluate(&self, array: &ArrayRef) -> BooleanBuffer {
        match self {
            Test::Null(is_null) => {
                BooleanBuffer::collect_bool(array.len(), |row| array.is_null(row) == *is_null)
            }
            Test::Ints { low, high } => ints(array, |value| (*low..=*high).contains(&value)),
            Test::IntSet(values) => match values.as_slice() {
                [only] => ints(array, |value| value == *only),
                _ => ints(array, |value| values.binary_search(&value).is_ok()),
            },
            Test::Texts { low, high } => texts(array, |value| {
                low.as_ref().is_none_or(|low| low.as_str() <= value)
                    && high.as_ref().is_none_or(|high| value <= high.as_str())
            }),
            Test::TextSet(values) => texts(array, |value| {
                let found = values.binary_search_by(|known| known.as_str().cmp(value));
                found.is_ok()
            }),
        }
    }

    /// Whether values between `low` and `high` (inclusive, `None` if not known) may satisfy it.
    pub(super) fn may_match(&self, low: Edge, high: Edge) -> bool {
        match (self, low, high) {
            (Test::Ints { low, high }, Edge::Int(least), Edge::Int(most)) => {
                *low <= most && least <= *high
            }
            (Test::IntSet(values), Edge::Int(least), Edge::Int(most)) => {
                let next = values.partition_point(|value| *value < least);
                values.get(next).is_some_and(|value| *value <= most)
            }
            (Test::Texts { low, high }, Edge::Text(least), Edge::Text(most)) => {
                low.as_ref().is_none_or(|low| low.as_str() <= most)
                    && high.as_ref().is_none_or(|high| least <= high.as_str())
            }
            (Test::TextSet(values), Edge::Text(least), Edge::Text(most)) => {
                let next = values.partition_point(|value| value.as_str() < least);
                values.get(next).is_some_and(|value| value.as_str() <= most)
            }
            _ => true,
        }
    }
}

/// The least or the greatest value of some rows, as statistics have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Edge<'a> {
    Int(i64),
    Text(&'a str),
    Unknown,
}

impl Edge<'_> {
    pub(super) fn of(statistics: &ArrayRef, at: usize) -> Edge<'_> {
        if at >= statistics.len() || statistics.is_null(at) {
            return Edge::Unknown;
        }
        match statistics.data_type() {
            DataType::Utf8 => Edge::Text(statistics.as_string::<i32>().value(at)),
            _ => int_at(statistics, at).map_or(Edge::Unknown, Edge::Int),
        }
    }
}

/// An integer, a time or a boolean as a number. `None` for other types.
fn int_at(array: &ArrayRef, at: usize) -> Option<i64> {
    Some(match array.data_type() {
        DataType::Int16 => array.as_primitive::<Int16Type>().value(at).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(at).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(at),
        DataType::Boolean => array.as_boolean().value(at).into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().value(at)
        }
        _ => return None,
    })
}

/// Which rows have an integer that passes. The types were checked when the filter was bound.
fn ints(array: &ArrayRef, passes: impl Fn(i64) -> bool) -> BooleanBuffer {
    let valid = |row: usize| array.is_valid(row);
    let rows = array.len();
    match array.data_type() {
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values();
            BooleanBuffer::collect_bool(rows, |row| passes(values[row]) && valid(row))
        }
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>().values();
            BooleanBuffer::collect_bool(rows, |row| passes(values[row].into()) && valid(row))
        }
        _ => BooleanBuffer::collect_bool(rows, |row| {
            valid(row) && int_at(array, row).is_some_and(&passes)
        }),
    }
}

fn texts(array: &ArrayRef, passes: impl Fn(&str) -> bool) -> BooleanBuffer {
    match array.as_string_opt::<i32>() {
        Some(texts) => BooleanBuffer::collect_bool(texts.len(), |row| {
            texts.is_valid(row) && passes(texts.value(row))
        }),
        None => BooleanBuffer::new_unset(array.len()),
    }
}

fn between(
    column: &str,
    low: &Option<Value>,
    high: &Option<Value>,
    table: &str,
    schema: &Schema,
) -> Result<Test, ReadError> {
    let kind = ordered(column, table, schema)?;
    if kind == Kind::Text {
        let text = |value: &Option<Value>| {
            let value = value.as_ref();
            value.map(|value| text(column, value, schema)).transpose()
        };
        return Ok(Test::Texts {
            low: text(low)?,
            high: text(high)?,
        });
    }
    let int = |value: &Option<Value>, open: i64| {
        let value = value.as_ref();
        value.map_or(Ok(open), |value| int(column, kind, value, schema))
    };
    Ok(Test::Ints {
        low: int(low, i64::MIN)?,
        high: int(high, i64::MAX)?,
    })
}

fn any_of(column: &str, values: &[Value], table: &str, schema: &Schema) -> Result<Test, ReadError> {
    let kind = ordered(column, table, schema)?;
    if kind == Kind::Text {
        let values = values.iter().map(|value| text(column, value, schema));
        let mut values = values.collect::<Result<Vec<_>, _>>()?;
        values.sort_unstable();
        return Ok(Test::TextSet(values));
    }
    let values = values.iter().map(|value| int(column, kind, value, schema));
    let mut values = values.collect::<Result<Vec<_>, _>>()?;
    values.sort_unstable();
    Ok(Test::IntSet(values))
}

fn ordered(column: &str, table: &str, schema: &Schema) -> Result<Kind, ReadError> {
    let at = super::schema::column(table, schema, column)?;
    kind_of(schema.field(at).data_type()).ok_or_else(|| mismatch(column, "a value", schema))
}

fn int(column: &str, kind: Kind, value: &Value, schema: &Schema) -> Result<i64, ReadError> {
    match (kind, value) {
        (Kind::Int, Value::Int(value)) => Ok(*value),
        (Kind::Bool, Value::Bool(value)) => Ok(i64::from(*value)),
        (Kind::Time, Value::Time(value)) => Ok(value.as_micros()),
        _ => Err(mismatch(column, value, schema)),
    }
}

fn text(column: &str, value: &Value, schema: &Schema) -> Result<String, ReadError> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(mismatch(column, value, schema)),
    }
}

fn mismatch(column: &str, value: impl ToString, schema: &Schema) -> ReadError {
    let data_type = schema
        .field_with_name(column)
        .map(|field| field.data_type());
    ReadError::FilterType {
        column: column.to_owned(),
        data_type: data_type.map_or_else(|_| "absent".to_owned(), ToString::to_string),
        value: value.to_string(),
    }
}
