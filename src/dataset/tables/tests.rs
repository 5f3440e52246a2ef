//! The promised schemas, compared with the code.

use serde_json::Value;

use super::*;
use crate::model::{Anomaly, Evidence, Protocol, Purpose, ReplyKind, Status, StopReason};

fn promised(table: Table) -> Value {
    serde_json::from_str(schema_text(table)).expect("schemas/*.json are JSON")
}

/// The Arrow type of a column in the JSON text.
fn data_type(column: &Value) -> DataType {
    match column["type"].as_str().expect("a type") {
        "text" => Utf8,
        "int16" => Int16,
        "int32" => Int32,
        "int64" => Int64,
        "boolean" => Boolean,
        "binary" => Binary,
        "timestamp_us_utc" => timestamp(),
        "list" if column["element"]["type"] == "text" => DataType::List(text_child()),
        "list" => DataType::List(list_child(fields(&column["element"]["fields"]).into())),
        "map" => text_map(),
        other => panic!("no such type: {other}"),
    }
}

fn fields(columns: &Value) -> Vec<Field> {
    let columns = columns.as_array().expect("a list of columns");
    columns
        .iter()
        .map(|column| {
            let name = column["name"].as_str().expect("a name");
            let nullable = column["nullable"].as_bool().expect("nullable");
            let described = column["description"]
                .as_str()
                .is_some_and(|d| !d.is_empty());
            assert!(described, "{name} is not described");
            Field::new(name, data_type(column), nullable)
        })
        .collect()
}

#[test]
fn code_and_promise_agree() {
    for table in [Table::Hops, Table::Traces] {
        let promise = promised(table);
        assert_eq!(promise["table"], table.as_str());
        assert_eq!(promise["version"], table.version());
        assert_eq!(promise["nulls"], "last");
        let order: Vec<_> = promise["sort_order"].as_array().unwrap().iter().collect();
        assert_eq!(order, table.sort_order());
        let fields = fields(&promise["columns"]);
        assert_eq!(
            fields.len(),
            table.arrow_schema().fields().len(),
            "{table:?}"
        );
        for (promised, written) in fields.iter().zip(table.arrow_schema().fields()) {
            assert_eq!(promised, written.as_ref(), "{table:?}");
        }
    }
}

/// The values of a column according to the text.
fn values(table: Table, column: &str) -> Vec<String> {
    let promise = promised(table);
    let columns = promise["columns"].as_array().unwrap().clone();
    let column = columns.iter().find(|c| c["name"] == column).unwrap();
    let values = column["values"].as_array().expect("a list of values");
    values
        .iter()
        .map(|v| v.as_str().unwrap().to_owned())
        .collect()
}

/// Lists every variant of an enum by name. It does not compile if one is missing.
macro_rules! names {
    ($kind:ident: $($variant:ident)+) => {{
        let _every_variant_is_listed = |value: $kind| match value { $($kind::$variant => ()),+ };
        vec![$($kind::$variant.as_str()),+]
    }};
}

#[test]
fn listed_values_are_the_code_s() {
    let protocols = names!(Protocol: Udp Icmp Tcp);
    let expected = [
        (
            Table::Hops,
            "status",
            names!(Status: Replied Timeout Late Duplicate SendError Skipped Inferred),
        ),
        (
            Table::Hops,
            "purpose",
            names!(Purpose: Distance Trace Retry Repeat Sweep Multipath SecondPass Mtu Audit),
        ),
        (
            Table::Hops,
            "evidence",
            names!(Evidence: Weak Rewritten Full),
        ),
        (
            Table::Hops,
            "reply_kind",
            names!(ReplyKind: TimeExceeded ReassemblyTimeExceeded NetworkUnreachable HostUnreachable
                ProtocolUnreachable PortUnreachable FragmentationNeeded SourceRouteFailed
                AdministrativelyProhibited Unreachable ParameterProblem PacketTooBig EchoReply
                SynAck Rst Ack Udp),
        ),
        (Table::Hops, "protocol", protocols.clone()),
        (Table::Traces, "protocol", protocols),
        (
            Table::Traces,
            "stop_reason",
            names!(StopReason: Completed Unreachable GapLimit Loop MaxTtl Interrupted Error
                Excluded MaxFlows MaxWidth),
        ),
        (
            Table::Traces,
            "anomalies",
            names!(Anomaly: Loop Cycle ZeroTtlForwarding PerPacketBalancing Nat Rewriting
                TosRewritten TargetTimeExceeded RateLimited SilentHop MplsTunnel
                OtherAddress PerFlowBalancing PerDestinationBalancing InferredHop SkippedHop),
        ),
    ];
    for (table, column, names) in expected {
        assert_eq!(values(table, column), names, "{table:?}.{column}");
    }
}
