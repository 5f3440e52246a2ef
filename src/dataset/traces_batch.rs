//! Rows of `traces` as an Arrow batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, MapBuilder, MapFieldNames, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::RunMeta;
use super::columns::Columns;
use super::schema::{Table, text_child};
use crate::model::{TargetInfo, Targets, TraceRecord};

/// A batch of `rows` in the given order, with the columns of [`Table::Traces`].
pub(super) fn traces_batch(
    rows: &[&TraceRecord],
    run: &RunMeta,
    targets: &dyn Targets,
) -> Result<RecordBatch, ArrowError> {
    let asked: Vec<(&TraceRecord, TargetInfo)> = rows
        .iter()
        .map(|row| (*row, targets.info(row.target)))
        .collect();
    let refs: Vec<&(&TraceRecord, TargetInfo)> = asked.iter().collect();
    let mut columns = Columns::new(&refs, Table::Traces.arrow_schema());
    run_columns(&mut columns, run, targets);
    outcome(&mut columns);
    columns.finish()
}

type Traces<'a, 't> = Columns<'a, (&'t TraceRecord, TargetInfo<'t>)>;

fn run_columns(columns: &mut Traces, run: &RunMeta, targets: &dyn Targets) {
    columns.constant(&run.run_id);
    columns.int64(|(row, _)| Some(row.trace_id.0.cast_signed()));
    columns.constant(&run.survey_id);
    columns.int32(|_| run.shard);
    columns.int32(|_| run.cycle);
    columns.constant(&run.vantage.id);
    columns.text(|(_, asked)| Some(asked.input.as_ref()));
    columns.address(|(row, _)| Some(row.destination));
    columns.push(labels(columns.rows(), targets.label_names()));
    columns.int32(|(row, _)| row.flow.map(|flow| i32::from(flow.0)));
    columns.constant(&run.method);
    columns.constant(run.protocol.as_str());
    columns.int32(|(row, _)| Some(i32::from(run.base_src_port?.wrapping_add(row.flow?.0))));
    columns.int32(|_| run.dst_port.map(i32::from));
    columns.int16(|_| Some(i16::from(run.attempts)));
    columns.int16(|_| run.gap_limit.map(i16::from));
    columns.int32(|(row, _)| {
        let ipv6 = usize::from(row.destination.is_ipv6());
        run.probe_sizes[ipv6].map(i32::from)
    });
}

fn outcome(columns: &mut Traces) {
    columns.time(|(row, _)| Some(row.started_at));
    columns.time(|(row, _)| Some(row.finished_at));
    columns.int16(|(row, _)| row.first_ttl.map(|ttl| i16::from(ttl.0)));
    columns.int16(|(row, _)| row.max_ttl.map(|ttl| i16::from(ttl.0)));
    columns.name(|(row, _)| Some(row.stop_reason.as_str()));
    columns.boolean(|(row, _)| row.reached);
    columns.int16(|(row, _)| row.path_length.map(|ttl| i16::from(ttl.0)));
    columns.int32(|(row, _)| Some(i32::from(row.hops_responding)));
    columns.int32(|(row, _)| Some(i32::try_from(row.probes_sent).unwrap_or(i32::MAX)));
    columns.int32(|(row, _)| Some(i32::try_from(row.replies).unwrap_or(i32::MAX)));
    columns.int64(|(row, _)| row.path_hash);
    columns.push(anomalies(columns.rows()));
    columns.int32(|(row, _)| row.path_mtu.map(i32::from));
}

/// The names of each trace's anomalies. Null if there are none.
fn anomalies(rows: &[&(&TraceRecord, TargetInfo)]) -> ArrayRef {
    let mut list = ListBuilder::new(StringBuilder::new()).with_field(text_child());
    for (row, _) in rows {
        for anomaly in row.anomalies.iter() {
            list.values().append_value(anomaly.as_str());
        }
        list.append(!row.anomalies.is_empty());
    }
    Arc::new(list.finish())
}

/// Label values by name, without the empty cells. Null if none remain.
fn labels(rows: &[&(&TraceRecord, TargetInfo)], names: &[String]) -> ArrayRef {
    let field_names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let (keys, values) = (StringBuilder::new(), StringBuilder::new());
    let mut map = MapBuilder::new(Some(field_names), keys, values).with_values_field(Field::new(
        "value",
        DataType::Utf8,
        false,
    ));
    for (_, asked) in rows {
        let present = names.iter().zip(&asked.labels).filter_map(|(name, value)| {
            value
                .filter(|value| !value.is_empty())
                .map(|value| (name, value))
        });
        let mut any = false;
        for (name, value) in present {
            map.keys().append_value(name);
            map.values().append_value(value);
            any = true;
        }
        map.append(any)
            .expect("keys and values are appended in pairs");
    }
    Arc::new(map.finish())
}
