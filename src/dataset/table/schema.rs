//! The schema of a table: for the encoders as Arrow types, and for people and programs as JSON.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use parquet::schema::types::ColumnPath;
use serde::Serialize;
use serde_json::{Value, json};

use super::column::ADDRESS;
use super::{Table, arrays};

/// The type of a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text in UTF-8.
    Text,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// IEEE 754, 64 bits.
    Float64,
    /// Yes or no.
    Boolean,
    /// Bytes. In CSV and JSON Lines: hexadecimal digits.
    Binary,
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    Timestamp,
    /// A list of texts.
    TextList {
        /// Whether an element may be null.
        nullable_elements: bool,
    },
    /// A list of structs with these fields.
    List(Vec<ColumnSchema>),
    /// A map from text to text.
    TextMap,
}

impl ColumnType {
    /// The name in `schemas/*.json`.
    const fn name(&self) -> &'static str {
        match self {
            ColumnType::Text => "text",
            ColumnType::Int16 => "int16",
            ColumnType::Int32 => "int32",
            ColumnType::Int64 => "int64",
            ColumnType::Float64 => "float64",
            ColumnType::Boolean => "boolean",
            ColumnType::Binary => "binary",
            ColumnType::Timestamp => "timestamp_us_utc",
            ColumnType::TextList { .. } | ColumnType::List(_) => "list",
            ColumnType::TextMap => "map",
        }
    }

    /// The type in files. The children of lists are called `element`, because Parquet uses this name and readers expect it.
    pub(super) fn arrow(&self) -> DataType {
        match self {
            ColumnType::Text => DataType::Utf8,
            ColumnType::Int16 => DataType::Int16,
            ColumnType::Int32 => DataType::Int32,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Float64 => DataType::Float64,
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Binary => DataType::Binary,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::TextList { nullable_elements } => {
                DataType::List(Arc::new(text_child(*nullable_elements)))
            }
            ColumnType::List(fields) => DataType::List(struct_child(struct_fields(fields))),
            ColumnType::TextMap => {
                let [key, value] = map_fields();
                let entries = DataType::Struct(Fields::from(vec![key, value]));
                let entries = Field::new("key_value", entries, false);
                DataType::Map(Arc::new(entries), false)
            }
        }
    }
}

/// The key and the value of a map.
pub(super) fn map_fields() -> [Field; 2] {
    ["key", "value"].map(|name| Field::new(name, DataType::Utf8, false))
}

/// The child of a list of texts.
pub(super) fn text_child(nullable: bool) -> Field {
    Field::new("element", DataType::Utf8, nullable)
}

/// The fields of a struct.
pub(super) fn struct_fields(columns: &[ColumnSchema]) -> Fields {
    columns.iter().map(ColumnSchema::field).collect()
}

/// The child of a list of structs.
pub(super) fn struct_child(fields: Fields) -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(fields), false))
}

/// The schema of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSchema {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub kind: ColumnType,
    /// Whether the value may be absent.
    pub nullable: bool,
    /// The unit, if the values have one.
    pub unit: Option<&'static str>,
    /// All values that the column may have, if these are few.
    pub values: Option<&'static [&'static str]>,
    /// Whether Parquet files compress the values.
    pub(super) compressed: bool,
    /// The meaning.
    pub description: &'static str,
}

impl ColumnSchema {
    fn field(&self) -> Field {
        Field::new(self.name, self.kind.arrow(), self.nullable)
    }

    /// The path of the column in Parquet. Must not be called for a list of structs or a map, which have several leaf columns.
    fn leaf(&self) -> ColumnPath {
        let mut path = vec![self.name.to_owned()];
        if matches!(self.kind, ColumnType::TextList { .. }) {
            path.extend(["list".to_owned(), "element".to_owned()]);
        }
        ColumnPath::new(path)
    }

    fn json(&self) -> ColumnJson<'_> {
        ColumnJson {
            name: self.name,
            kind: self.kind.name(),
            nullable: self.nullable,
            unit: self.unit.filter(|_| !self.is_list()),
            element: self.element_json(),
            key: matches!(self.kind, ColumnType::TextMap).then_some("text"),
            value: matches!(self.kind, ColumnType::TextMap).then_some("text"),
            values: self.values,
            description: self.description,
        }
    }

    fn is_list(&self) -> bool {
        matches!(self.kind, ColumnType::TextList { .. } | ColumnType::List(_))
    }

    /// The elements of a list.
    fn element_json(&self) -> Option<Value> {
        match &self.kind {
            ColumnType::TextList { nullable_elements } => Some(match self.unit {
                Some(unit) => json!({"type": "text", "nullable": nullable_elements, "unit": unit}),
                None => json!({"type": "text", "nullable": nullable_elements}),
            }),
            ColumnType::List(fields) => {
                let fields: Vec<_> = fields.iter().map(ColumnSchema::json).collect();
                Some(json!({"type": "struct", "fields": fields}))
            }
            _ => None,
        }
    }
}

/// A column in `schemas/*.json`.
#[derive(Serialize)]
struct ColumnJson<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    nullable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    element: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<&'a [&'a str]>,
    description: &'a str,
}

/// The schema of a table.
#[derive(Clone, Debug)]
pub struct TableSchema {
    /// The table's name, which is also its directory.
    pub name: &'static str,
    /// The version of the schema.
    pub version: u32,
    /// Says what a row is.
    pub description: &'static str,
    /// The columns that identify a row.
    pub key: &'static [&'static str],
    /// The columns by which the rows of a part are sorted, ascending, with nulls last.
    pub sort_order: &'static [&'static str],
    /// The columns in which readers look up single values.
    pub(in crate::dataset) looked_up: &'static [&'static str],
    /// The columns in their order.
    pub columns: Vec<ColumnSchema>,
    written: SchemaRef,
    built: SchemaRef,
}

impl TableSchema {
    pub(super) fn new<T: Table>(columns: Vec<ColumnSchema>) -> Self {
        let fields: Vec<Field> = columns.iter().map(ColumnSchema::field).collect();
        let written = Arc::new(Schema::new(fields));
        TableSchema {
            name: T::NAME,
            version: T::VERSION,
            description: T::DESCRIPTION,
            key: T::KEY,
            sort_order: T::SORT_ORDER,
            looked_up: T::LOOKED_UP,
            columns,
            built: arrays::with_dictionaries(&written),
            written,
        }
    }

    /// The schema in files.
    pub fn arrow(&self) -> &SchemaRef {
        &self.written
    }

    /// The schema of the batches that encoders get, with dictionaries in place of text.
    pub(super) fn built(&self) -> &SchemaRef {
        &self.built
    }

    /// The columns of addresses, as paths of leaf columns in Parquet.
    pub(in crate::dataset) fn address_leaves(&self) -> impl Iterator<Item = ColumnPath> {
        let columns = self.columns.iter();
        let addresses = columns.filter(|column| column.unit == Some(ADDRESS));
        addresses.map(ColumnSchema::leaf)
    }

    /// The columns of random numbers, as paths of leaf columns in Parquet.
    pub(in crate::dataset) fn uncompressed_leaves(&self) -> impl Iterator<Item = ColumnPath> {
        let columns = self.columns.iter();
        let random = columns.filter(|column| !column.compressed);
        random.map(ColumnSchema::leaf)
    }

    /// Returns the schema as JSON text with one line per column, as in `schemas/*.json`.
    pub fn json(&self) -> String {
        let mut json = format!(
            "{{\n  \"table\": {},\n  \"version\": {},\n  \"description\": {},\n  \"key\": {},\n  \"sort_order\": {},\n  \"nulls\": \"last\",\n  \"columns\": [\n",
            json_text(&self.name),
            self.version,
            json_text(&self.description),
            json_text(&self.key),
            json_text(&self.sort_order),
        );
        let lines: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("    {}", json_text(&column.json())))
            .collect();
        json.push_str(&lines.join(",\n"));
        json.push_str("\n  ]\n}\n");
        json
    }
}

/// Compact JSON.
fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("text, numbers and lists are JSON")
}
