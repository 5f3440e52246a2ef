//! What the earlier sessions of a run have probed, as its dataset says.
//!
//! All rows of a target are sealed together. So one row of `traces` shows that the target is finished. In a sweep, the own row of a probe
//! shows that the probe is finished.

use std::collections::HashSet;

use arrow::array::{Array, Int16Array, Int32Array, Int64Array, RecordBatch};

use crate::config::{StrategyChoice, SurveyConfig};
use crate::dataset::read::{Dataset, Filter, ReadError, RowError, Rows};
use crate::model::{FlowId, Purpose, ReplyKind, StopReason, TargetId, TraceId, Ttl};
use crate::strategy::{Answers, Finished, Hole, SweepItems};

use super::parts::{self, Earlier};

/// Reads what is finished from the rows of a run with `targets` targets.
pub(super) fn read(
    config: &SurveyConfig,
    targets: u32,
    rows: &Dataset,
) -> Result<Earlier, ReadError> {
    let mut earlier = Earlier {
        finished: Finished::new(parts::items(config, targets)),
        ..Earlier::default()
    };
    match config.strategy {
        StrategyChoice::Trace | StrategyChoice::Multipath => traced(config, rows, &mut earlier)?,
        StrategyChoice::Sweep => swept(config, targets, rows, &mut earlier)?,
    }
    Ok(earlier)
}

/// The column of a batch with this name and type.
fn column<'b, A: Array + 'static>(batch: &'b RecordBatch, name: &str) -> Result<&'b A, ReadError> {
    let column = batch.column_by_name(name);
    let column = column.ok_or_else(|| RowError::NoColumn(name.to_owned()))?;
    let typed = column.as_any().downcast_ref();
    let other = || RowError::OtherKind {
        column: name.to_owned(),
        data_type: column.data_type().to_string(),
        wanted: "the type that this program writes",
    };
    Ok(typed.ok_or_else(other)?)
}

/// The target and flow of a trace.
fn pair(trace: i64, flows: u16) -> (TargetId, FlowId) {
    let trace = TraceId(trace.cast_unsigned());
    let flow = trace.0 % u64::from(flows.max(1));
    (trace.target(flows), FlowId(flow as u16))
}

/// The finished targets of a trace, and with a second pass the holes that it has not probed.
fn traced(config: &SurveyConfig, rows: &Dataset, earlier: &mut Earlier) -> Result<(), ReadError> {
    for batch in rows.scan("traces").columns(&["trace_id"]).batches()? {
        let batch = batch?;
        for trace in column::<Int64Array>(&batch, "trace_id")?.values() {
            let (target, _) = pair(*trace, config.traces_per_target());
            earlier.finished.insert(target.0.into());
        }
    }
    if !config.second_pass {
        return Ok(());
    }
    let probed = second_passes(config, rows)?;
    let columns = ["trace_id", "first_ttl", "path", "stop_reason"];
    for batch in rows.scan("traces").columns(&columns).batches()? {
        for row in Rows::new(batch?).iter() {
            // The blocklist excluded the target.
            if row.text("stop_reason")? == Some(StopReason::Excluded.as_str()) {
                continue;
            }
            let (Some(trace), Some(first), Some(path)) = (
                row.int("trace_id")?,
                row.int("first_ttl")?,
                row.addresses("path")?,
            ) else {
                continue;
            };
            let (target, flow) = pair(trace, config.flows);
            let silent = path.iter().enumerate().filter(|(_, hop)| hop.is_none());
            let holes = silent.filter_map(|(at, _)| {
                let ttl = u8::try_from(first)
                    .ok()?
                    .checked_add(u8::try_from(at).ok()?)?;
                let ttl = Ttl(ttl);
                Some(Hole { target, flow, ttl })
            });
            earlier
                .holes
                .extend(holes.filter(|hole| !probed.contains(hole)));
        }
    }
    Ok(())
}

/// The holes that a second pass has probed.
fn second_passes(config: &SurveyConfig, rows: &Dataset) -> Result<HashSet<Hole>, ReadError> {
    let filter = Filter::equals("purpose", Purpose::SecondPass.as_str());
    let scan = rows.scan("hops").columns(&["trace_id", "ttl"]);
    let mut found = HashSet::new();
    for batch in scan.filter(filter).batches()? {
        for row in Rows::new(batch?).iter() {
            if let (Some(trace), Some(ttl)) = (row.int("trace_id")?, row.int("ttl")?) {
                let (target, flow) = pair(trace, config.flows);
                let ttl = Ttl(ttl as u8);
                found.insert(Hole { target, flow, ttl });
            }
        }
    }
    Ok(found)
}

/// The finished probes of a sweep, and with a second pass their answers.
fn swept(
    config: &SurveyConfig,
    targets: u32,
    rows: &Dataset,
    earlier: &mut Earlier,
) -> Result<(), ReadError> {
    let items = parts::sweep_items(config, targets);
    let columns = ["trace_id", "ttl", "reply_index", "round"];
    for batch in rows.scan("hops").columns(&columns).batches()? {
        let batch = batch?;
        let traces = column::<Int64Array>(&batch, "trace_id")?;
        let ttls = column::<Int16Array>(&batch, "ttl")?;
        let replies = column::<Int16Array>(&batch, "reply_index")?;
        let rounds = column::<Int32Array>(&batch, "round")?;
        for at in 0..batch.num_rows() {
            let is_own = replies.value(at) == 0 && rounds.value(at) == 0 && ttls.is_valid(at);
            let (target, flow) = pair(traces.value(at), config.flows);
            let item = items.item(target, flow, Ttl(ttls.value(at) as u8));
            if let (true, Some(item)) = (is_own, item) {
                earlier.finished.insert(item);
            }
        }
    }
    if config.second_pass {
        earlier.answers = Some(answers(config, items, rows)?);
    }
    Ok(())
}

/// The answers to the probes of a sweep. A probe of the second pass counts as answered, so that it is not sent again.
fn answers(config: &SurveyConfig, items: SweepItems, rows: &Dataset) -> Result<Answers, ReadError> {
    let mut answers = Answers::new(items.len());
    let columns = [
        "trace_id",
        "ttl",
        "purpose",
        "destination",
        "responder",
        "reply_kind",
    ];
    for batch in rows.scan("hops").columns(&columns).batches()? {
        for row in Rows::new(batch?).iter() {
            let (Some(trace), Some(ttl)) = (row.int("trace_id")?, row.int("ttl")?) else {
                continue;
            };
            let (target, flow) = pair(trace, config.flows);
            let Some(item) = items.item(target, flow, Ttl(ttl as u8)) else {
                continue;
            };
            let kind = row.text("reply_kind")?;
            let kind: Option<ReplyKind> = kind.and_then(|kind| kind.parse().ok());
            let from_target = row.address("responder")? == row.address("destination")?;
            let is_second = row.text("purpose")? == Some(Purpose::SecondPass.as_str());
            let arrived = kind.is_some_and(|kind| kind.is_arrival(from_target));
            if kind.is_some() || is_second {
                answers.note(item, arrived && !is_second);
            }
        }
    }
    Ok(answers)
}
