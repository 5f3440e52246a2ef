//! Conditions on rows.

use std::fmt;
use std::net::IpAddr;
use std::ops::Not;

use crate::dataset::table::push_address;
use crate::model::Time;

/// A value to compare a column with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// For columns of integers of any width.
    Int(i64),
    /// For columns of text.
    Text(String),
    /// For columns of booleans.
    Bool(bool),
    /// For columns of times.
    Time(Time),
}

/// A condition on a row. It is true or false for every row: null equals nothing and lies between nothing. `!filter` is true for the other
/// rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(pub(super) Condition);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// Inclusive at both ends.
    Between {
        column: String,
        low: Option<Value>,
        high: Option<Value>,
    },
    AnyOf {
        column: String,
        values: Vec<Value>,
    },
    Null {
        column: String,
        is_null: bool,
    },
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
}

impl Filter {
    /// Rows whose column has this value.
    pub fn equals(column: &str, value: impl Into<Value>) -> Self {
        Filter::any_of(column, [value])
    }

    /// Rows whose column has one of these values. No row if there are no values.
    pub fn any_of<V: Into<Value>>(column: &str, values: impl IntoIterator<Item = V>) -> Self {
        Filter(Condition::AnyOf {
            column: column.to_owned(),
            values: values.into_iter().map(Into::into).collect(),
        })
    }

    /// Rows whose column is at least `low` and at most `high`.
    pub fn between(column: &str, low: impl Into<Value>, high: impl Into<Value>) -> Self {
        Filter::within(column, Some(low.into()), Some(high.into()))
    }

    /// Rows whose column is at least `low`.
    pub fn at_least(column: &str, low: impl Into<Value>) -> Self {
        Filter::within(column, Some(low.into()), None)
    }

    /// Rows whose column is at most `high`.
    pub fn at_most(column: &str, high: impl Into<Value>) -> Self {
        Filter::within(column, None, Some(high.into()))
    }

    /// Rows whose column is null. In a file without the column, these are all rows.
    pub fn is_null(column: &str) -> Self {
        Filter(Condition::Null {
            column: column.to_owned(),
            is_null: true,
        })
    }

    /// Rows whose column has a value.
    pub fn is_present(column: &str) -> Self {
        Filter(Condition::Null {
            column: column.to_owned(),
            is_null: false,
        })
    }

    /// Rows that satisfy both.
    #[must_use]
    pub fn and(self, other: Filter) -> Self {
        // A long chain stays flat, so that no code recurses deeply into it.
        let (mut all, other) = match (self.0, other.0) {
            (Condition::All(all), other) => (all, other),
            (first, other) => (vec![first], other),
        };
        match other {
            Condition::All(others) => all.extend(others),
            other => all.push(other),
        }
        Filter(Condition::All(all))
    }

    /// Rows that satisfy at least one.
    #[must_use]
    pub fn or(self, other: Filter) -> Self {
        let (mut any, other) = match (self.0, other.0) {
            (Condition::Any(any), other) => (any, other),
            (first, other) => (vec![first], other),
        };
        match other {
            Condition::Any(others) => any.extend(others),
            other => any.push(other),
        }
        Filter(Condition::Any(any))
    }

    fn within(column: &str, low: Option<Value>, high: Option<Value>) -> Self {
        Filter(Condition::Between {
            column: column.to_owned(),
            low,
            high,
        })
    }
}

/// Rows that do not satisfy the filter. A row whose column is null is among them, if the filter compares that column with a value.
impl Not for Filter {
    type Output = Filter;

    fn not(self) -> Filter {
        Filter(match self.0 {
            Condition::Not(condition) => *condition,
            condition => Condition::Not(Box::new(condition)),
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Value::Int(value) => write!(f, "the number {value}"),
            Value::Text(value) => write!(f, "the text {value:?}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Time(value) => write!(f, "the time {} µs", value.as_micros()),
        }
    }
}

macro_rules! int_values {
    ($($int:ty),*) => {$(
        impl From<$int> for Value {
            fn from(value: $int) -> Self {
                Value::Int(value.into())
            }
        }
    )*};
}

int_values!(i64, i32, i16, u32, u16, u8);

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<Time> for Value {
    fn from(value: Time) -> Self {
        Value::Time(value)
    }
}

/// The canonical text, as columns of addresses have it.
impl From<IpAddr> for Value {
    fn from(value: IpAddr) -> Self {
        let mut text = String::new();
        push_address(&mut text, value);
        Value::Text(text)
    }
}
