//! The table `graphs`: one row per target of multipath tracing.

use super::shared::labels;
use crate::dataset::table::{Columns, Table};
use crate::model::{Algorithm, GraphRow, Protocol, StopReason};

/// The table `graphs`.
pub struct Graphs;

impl Table for Graphs {
    type Row = GraphRow;
    type SortKey = u64;

    const NAME: &'static str = "graphs";
    const VERSION: u32 = 1;
    const DESCRIPTION: &'static str = "One row per target of multipath tracing: how large the graph of its paths is, and how \
             likely it is that something is missing. A value that is absent is null, never 0 and \
             never an empty text.";
    const KEY: &'static [&'static str] = &["run_id", "trace_id"];
    const SORT_ORDER: &'static [&'static str] = &["trace_id"];

    const LOOKED_UP: &'static [&'static str] = &["destination"];

    fn columns(columns: &mut Columns<GraphRow>) {
        run(columns);
        search(columns);
        size(columns);
    }

    fn sort_key(row: &GraphRow) -> u64 {
        row.trace_id.0
    }
}

fn run(columns: &mut Columns<GraphRow>) {
    columns.constant(
        "run_id",
        "The run that wrote the row. (run_id, trace_id) joins traces, hops, nodes, links and \
             diamonds.",
        |run| &run.meta.run_id,
    );
    columns.int64(
        "trace_id",
        "The trace of the target; joins traces, hops, nodes, links and diamonds.",
        |row, _| row.trace_id,
    );
    columns.constant(
        "survey_id",
        "The survey, such as one night's work. All shards of a survey share it.",
        |run| &run.meta.survey_id,
    );
    columns.int32(
        "shard",
        "The shard of the survey; null if the survey is not sharded.",
        |_, run| run.meta.shard,
    );
    columns.int32(
        "cycle",
        "The cycle of a repeated survey; null if the survey is not repeated.",
        |_, run| run.meta.cycle,
    );
    columns.constant("vantage", "The id of the vantage point.", |run| {
        &run.meta.vantage.id
    });
    columns.text(
        "target_input",
        "The target as written in the input: an address, a prefix or a host name.",
        |row, run| run.targets.info(row.target).input,
    );
    columns.address("destination", "The address probed.", |row, _| {
        row.destination
    });
    columns.map(
        "labels",
        "The values of the input's other columns, by column name, without empty cells. Null \
             if all are empty.",
        |row, run, pairs| labels(run, row.target, pairs),
    );
}

fn search(columns: &mut Columns<GraphRow>) {
    columns.constant("method", "The strategy of the trace.", |run| {
        &run.meta.method
    });
    columns
        .constant("protocol", "The protocol of the probes.", |run| {
            run.meta.protocol.as_str()
        })
        .values(Protocol::NAMES);
    columns.time(
        "started_at",
        "When the strategy asked for the first probe to the target.",
        |row, _| row.started_at,
    );
    columns.time("finished_at", "When the search ended.", |row, _| {
        row.finished_at
    });
    columns.name::<StopReason, _>(
        "stop_reason",
        "Why the search ended, as in traces. max_flows, max_width: a limit ended it before all \
             next hops were found.",
        |row, _| row.stop_reason,
    );
    columns.name::<Algorithm, _>(
        "algorithm",
        "How the graph was searched in the end: full (MDA), or lite (MDA-Lite) if it was asked for \
             and the graph allowed it.",
        |row, _| row.algorithm,
    );
    columns.int32("flows", "The number of flows sent.", |row, _| row.flows);
    columns.float64(
        "failure_bound",
        "The probability that the graph misses a node or a link is at most this, if every \
             balancer spreads flows evenly and no route changed meanwhile. It is larger than asked \
             for if a limit ended the search.",
        |row, _| row.failure_bound,
    );
}

fn size(columns: &mut Columns<GraphRow>) {
    columns.int32("nodes", "The number of rows in nodes.", |row, _| row.nodes);
    columns.int32("links", "The number of rows in links.", |row, _| row.links);
    columns.int32("diamonds", "The number of rows in diamonds.", |row, _| {
        row.diamonds
    });
    columns.int32(
        "max_width",
        "The largest number of nodes at one TTL.",
        |row, _| row.max_width,
    );
    columns.int32(
        "branchings",
        "The number of nodes, and of groups of flows behind a silent or varying hop, that showed \
             several next hops.",
        |row, _| row.branchings,
    );
}
