//! Columns that several tables have.

use std::net::IpAddr;

use crate::dataset::table::{Columns, Run};
use crate::model::{DiamondRow, LinkRow, NodeRow, TargetId, TraceId};

/// A row that belongs to the graph of a target.
pub(super) trait OfGraph: 'static {
    /// The trace of the graph.
    fn trace_id(&self) -> TraceId;
    /// The address probed.
    fn destination(&self) -> IpAddr;
}

macro_rules! of_graph {
    ($($row:ty),+) => {$(
        impl OfGraph for $row {
            fn trace_id(&self) -> TraceId {
                self.trace_id
            }

            fn destination(&self) -> IpAddr {
                self.destination
            }
        }
    )+};
}

of_graph!(NodeRow, LinkRow, DiamondRow);

/// The columns that join a row to its run and its graph.
pub(super) fn of_graph<R: OfGraph>(columns: &mut Columns<R>) {
    columns.constant(
        "run_id",
        "The run that wrote the row. (run_id, trace_id) joins graphs, traces and hops.",
        |run| &run.meta.run_id,
    );
    columns.int64(
        "trace_id",
        "The trace of the graph; joins graphs, traces and hops.",
        |row, _| row.trace_id(),
    );
    columns.constant(
        "survey_id",
        "The survey, such as one night's work. All shards of a survey share it.",
        |run| &run.meta.survey_id,
    );
    columns.constant("vantage", "The id of the vantage point.", |run| {
        &run.meta.vantage.id
    });
    columns.address("destination", "The address probed.", |row, _| {
        row.destination()
    });
}

/// Adds the labels of a target by name, without the empty cells.
pub(super) fn labels<'a>(run: &'a Run, target: TargetId, pairs: &mut Vec<(&'a str, &'a str)>) {
    let names = run.targets.label_names().iter().map(String::as_str);
    let values = run.targets.info(target).labels;
    let present = names
        .zip(values)
        .filter_map(|(name, value)| Some((name, value?)));
    pairs.extend(present.filter(|(_, value)| !value.is_empty()));
}
