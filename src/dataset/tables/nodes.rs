//! The table `nodes`: one row per address at a TTL of a graph.

use super::shared::of_graph;
use crate::dataset::table::{Columns, Table};
use crate::model::{NodeRow, StoppedBy};

/// The table `nodes`.
pub struct Nodes;

impl Table for Nodes {
    type Row = NodeRow;
    /// Trace and TTL.
    type SortKey = (u64, u8);

    const NAME: &'static str = "nodes";
    const VERSION: u32 = 1;
    const DESCRIPTION: &'static str = "One row per address that replied at a TTL of a target, from multipath tracing. An \
             address at two TTLs has two rows. Silent hops have no rows. A value that is absent is \
             null, never 0.";
    const KEY: &'static [&'static str] = &["run_id", "trace_id", "ttl", "address"];
    const SORT_ORDER: &'static [&'static str] = &["trace_id", "ttl"];

    const LOOKED_UP: &'static [&'static str] = &["trace_id"];

    fn columns(columns: &mut Columns<NodeRow>) {
        of_graph(columns);
        columns
            .int16("ttl", "The TTL of the node.", |row, _| row.ttl)
            .unit("hops");
        columns.address("address", "The address that replied.", |row, _| row.address);
        columns.int32(
            "flows",
            "The number of flows whose first reply at this TTL came from the address.",
            |row, _| row.flows,
        );
        next_hops(columns);
        columns.boolean(
            "varies",
            "Whether the node is inside of a per-packet balancer: packets of one flow pass \
             several nodes of this TTL.",
            |row, _| row.varies,
        );
        columns.boolean(
            "is_end",
            "Whether the paths of its flows end here: it is the target, or reported that the \
             packets cannot be delivered.",
            |row, _| row.is_end,
        );
    }

    fn sort_key(row: &NodeRow) -> (u64, u8) {
        (row.trace_id.0, row.ttl.0)
    }
}

fn next_hops(columns: &mut Columns<NodeRow>) {
    columns.int32(
        "next_hops",
        "The number of addresses found at the next TTL by flows through this node. Null at the \
             end of a path and inside of a per-packet balancer.",
        |row, _| row.next_hops,
    );
    columns.int32(
        "next_hop_flows",
        "The number of flows through this node that were answered at the next TTL. Null if \
             next_hops is null.",
        |row, _| row.next_hop_flows,
    );
    columns.float64(
        "miss_probability",
        "The probability that next_hop_flows flows show only next_hops addresses if there is one \
             more, and flows are spread evenly. Null if next_hops is null.",
        |row, _| row.miss_probability,
    );
    columns.name::<StoppedBy, _>(
        "stopped_by",
        "Why no more flows were sent through the node. points: as many flows as the stopping \
             point asks for have passed it; max_flows: all flows of the target were used; \
             max_width: the next TTL has more addresses than are followed; silence: too many of \
             its flows were not answered at the next TTL. Null if next_hops is null.",
        |row, _| row.stopped_by,
    );
}
