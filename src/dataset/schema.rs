//! The schemas of the tables: as text for people and programs, and as Arrow types for the encoders.
//!
//! Readers may rely on `schemas/*.json`. Columns are only added, and new ones are nullable. A test compares text and code.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType::{Binary, Boolean, Int16, Int32, Int64, Utf8};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// A table of the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// One row per probe, and one per further reply.
    Hops,
    /// One row per (target, flow).
    Traces,
}

impl Table {
    /// The name, which is also its directory.
    pub const fn as_str(self) -> &'static str {
        match self {
            Table::Hops => "hops",
            Table::Traces => "traces",
        }
    }

    /// The version of its schema.
    pub const fn version(self) -> u32 {
        match self {
            Table::Hops | Table::Traces => 1,
        }
    }

    /// The columns by which the rows of a file (in Parquet: of a row group) are ordered, ascending, with nulls last.
    pub(super) const fn sort_order(self) -> &'static [&'static str] {
        match self {
            Table::Hops => &["trace_id", "ttl", "attempt", "reply_index", "probe_id"],
            Table::Traces => &["trace_id"],
        }
    }

    /// The schema as written into files.
    pub(super) fn arrow_schema(self) -> SchemaRef {
        static HOPS: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(hops_fields())));
        static TRACES: LazyLock<SchemaRef> =
            LazyLock::new(|| Arc::new(Schema::new(traces_fields())));
        match self {
            Table::Hops => Arc::clone(&HOPS),
            Table::Traces => Arc::clone(&TRACES),
        }
    }
}

/// The JSON text of a table's schema: name, type, unit and meaning of every column.
pub fn schema_text(table: Table) -> &'static str {
    match table {
        Table::Hops => include_str!("../../schemas/hops.v1.json"),
        Table::Traces => include_str!("../../schemas/traces.v1.json"),
    }
}

/// Microseconds since the epoch, UTC.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The members of one MPLS label.
pub(super) fn mpls_fields() -> Fields {
    Fields::from(vec![
        required("label", Int32),
        required("tc", Int16),
        required("bottom", Boolean),
        required("ttl", Int16),
    ])
}

/// The members of one interface information object.
pub(super) fn interface_info_fields() -> Fields {
    Fields::from(vec![
        required("role", Utf8),
        optional("ifindex", Int64),
        optional("address", Utf8),
        optional("name", Utf8),
        optional("mtu", Int64),
    ])
}

/// The child of a list of structs: `element`. Parquet uses this name and readers expect it.
pub(super) fn list_child(fields: Fields) -> Arc<Field> {
    Arc::new(required("element", DataType::Struct(fields)))
}

/// The child of a list of texts.
pub(super) fn text_child() -> Arc<Field> {
    Arc::new(required("element", Utf8))
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn text_map() -> DataType {
    let entry = Fields::from(vec![required("key", Utf8), required("value", Utf8)]);
    let entries = required("key_value", DataType::Struct(entry));
    DataType::Map(Arc::new(entries), false)
}

fn hops_fields() -> Vec<Field> {
    vec![
        required("run_id", Utf8),
        required("trace_id", Int64),
        required("probe_id", Int64),
        required("reply_index", Int16),
        required("destination", Utf8),
        optional("source", Utf8),
        required("vantage", Utf8),
        required("ip_version", Int16),
        required("protocol", Utf8),
        optional("src_port", Int32),
        optional("dst_port", Int32),
        optional("icmp_id", Int32),
        optional("flow_label", Int32),
        required("flow", Int32),
        required("round", Int32),
        optional("ttl", Int16),
        required("attempt", Int16),
        required("purpose", Utf8),
        required("probe_size", Int32),
        required("probe_tos", Int16),
        optional("probe_ip_id", Int32),
        optional("probe_checksum", Int32),
        optional("sent_at", timestamp()),
        required("status", Utf8),
        optional("reason", Utf8),
        optional("responder", Utf8),
        optional("received_at", timestamp()),
        optional("rtt_us", Int32),
        optional("reply_kind", Utf8),
        optional("icmp_type", Int16),
        optional("icmp_code", Int16),
        optional("reply_tcp_flags", Int16),
        optional("reply_ttl", Int16),
        optional("reply_tos", Int16),
        optional("reply_size", Int32),
        optional("reply_ip_id", Int32),
        optional("reply_destination", Utf8),
        optional("quoted_ttl", Int16),
        optional("quoted_tos", Int16),
        optional("quoted_ip_id", Int32),
        optional("quoted_length", Int32),
        optional("quoted_checksum", Int32),
        optional("quoted_src_port", Int32),
        optional("quoted_dst_port", Int32),
        optional("quoted_source", Utf8),
        optional("quoted_destination", Utf8),
        optional("quoted_icmp_id", Int32),
        optional("quoted_flow_label", Int32),
        optional("quote_size", Int32),
        optional("next_hop_mtu", Int32),
        optional("evidence", Utf8),
        optional("mpls", DataType::List(list_child(mpls_fields()))),
        optional(
            "interface_info",
            DataType::List(list_child(interface_info_fields())),
        ),
        optional("icmp_extensions", Binary),
        optional("inferred_from", Int64),
    ]
}

fn traces_fields() -> Vec<Field> {
    vec![
        required("run_id", Utf8),
        required("trace_id", Int64),
        required("survey_id", Utf8),
        optional("shard", Int32),
        optional("cycle", Int32),
        required("vantage", Utf8),
        required("target_input", Utf8),
        required("destination", Utf8),
        optional("labels", text_map()),
        required("flow", Int32),
        required("method", Utf8),
        required("protocol", Utf8),
        optional("src_port", Int32),
        optional("dst_port", Int32),
        required("attempts", Int16),
        optional("gap_limit", Int16),
        optional("probe_size", Int32),
        required("started_at", timestamp()),
        required("finished_at", timestamp()),
        optional("first_ttl", Int16),
        optional("max_ttl", Int16),
        required("stop_reason", Utf8),
        required("reached", Boolean),
        optional("path_length", Int16),
        required("hops_responding", Int32),
        required("probes_sent", Int32),
        required("replies", Int32),
        optional("path_hash", Int64),
        optional("anomalies", DataType::List(text_child())),
        optional("path_mtu", DataType::Int32),
    ]
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
