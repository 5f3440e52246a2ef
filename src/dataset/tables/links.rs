//! The table `links`: one row per two nodes at consecutive TTLs of a graph.

use super::shared::of_graph;
use crate::dataset::table::{Columns, Table};
use crate::model::LinkRow;

/// The table `links`.
pub struct Links;

impl Table for Links {
    type Row = LinkRow;
    /// Trace and TTL.
    type SortKey = (u64, u8);

    const NAME: &'static str = "links";
    const VERSION: u32 = 1;
    const DESCRIPTION: &'static str = "One row per two nodes at consecutive TTLs of a target that the same flow passed, from \
             multipath tracing. There are no links over a silent hop, and none inside of a \
             per-packet balancer.";
    const KEY: &'static [&'static str] = &["run_id", "trace_id", "ttl", "near", "far"];
    const SORT_ORDER: &'static [&'static str] = &["trace_id", "ttl"];

    const LOOKED_UP: &'static [&'static str] = &["trace_id"];

    fn columns(columns: &mut Columns<LinkRow>) {
        of_graph(columns);
        columns
            .int16(
                "ttl",
                "The TTL of near. The TTL of far is one more.",
                |row, _| row.ttl,
            )
            .unit("hops");
        columns.address("near", "The node nearer to the source.", |row, _| row.near);
        columns.address("far", "The node farther from the source.", |row, _| row.far);
        columns.int32(
            "flows",
            "The number of flows that were seen to pass both nodes.",
            |row, _| row.flows,
        );
    }

    fn sort_key(row: &LinkRow) -> (u64, u8) {
        (row.trace_id.0, row.ttl.0)
    }
}
