//! The table `diamonds`: one row per diamond of a graph.

use super::shared::of_graph;
use crate::dataset::table::{Columns, Table};
use crate::model::{BalancerType, DiamondRow};

/// The table `diamonds`.
pub struct Diamonds;

impl Table for Diamonds {
    type Row = DiamondRow;
    /// Trace and first TTL.
    type SortKey = (u64, u8);

    const NAME: &'static str = "diamonds";
    const VERSION: u32 = 1;
    const DESCRIPTION: &'static str = "One row per diamond of a target, from multipath tracing: consecutive TTLs with several \
             nodes each, between a divergence point and a convergence point. Every TTL with several \
             nodes is in one diamond. A value that is absent is null, never 0.";
    const KEY: &'static [&'static str] = &["run_id", "trace_id", "first_ttl"];
    const SORT_ORDER: &'static [&'static str] = &["trace_id", "first_ttl"];

    const LOOKED_UP: &'static [&'static str] = &["trace_id"];

    fn columns(columns: &mut Columns<DiamondRow>) {
        of_graph(columns);
        place(columns);
        shape(columns);
    }

    fn sort_key(row: &DiamondRow) -> (u64, u8) {
        (row.trace_id.0, row.first_ttl.0)
    }
}

fn place(columns: &mut Columns<DiamondRow>) {
    columns
        .int16(
            "first_ttl",
            "The lowest TTL with several nodes.",
            |row, _| row.first_ttl,
        )
        .unit("hops");
    columns
        .int16(
            "last_ttl",
            "The highest TTL with several nodes.",
            |row, _| row.last_ttl,
        )
        .unit("hops");
    columns
        .int16(
            "divergence_ttl",
            "The TTL of the divergence point, one below first_ttl. Null if the paths part at the \
             source.",
            |row, _| row.divergence_ttl,
        )
        .unit("hops");
    columns.address(
        "divergence",
        "The node at which the paths part. Null if it is silent or was not probed, and if the \
             paths part at the source.",
        |row, _| row.divergence,
    );
    columns
        .int16(
            "convergence_ttl",
            "The TTL of the convergence point, one above last_ttl. Null if the graph ends before \
             the paths meet.",
            |row, _| row.convergence_ttl,
        )
        .unit("hops");
    columns.address(
        "convergence",
        "The node at which the paths meet. Null if it is silent, and if the paths do not meet.",
        |row, _| row.convergence,
    );
}

fn shape(columns: &mut Columns<DiamondRow>) {
    columns.int32(
        "max_width",
        "The largest number of nodes at one TTL of the diamond.",
        |row, _| row.max_width,
    );
    columns.int32(
        "max_length",
        "The number of links of the longest path: from the divergence point, or the source, to \
             the convergence point, or to last_ttl if the paths do not meet.",
        |row, _| row.max_length,
    );
    columns.int32(
        "width_asymmetry",
        "The largest difference, over all pairs of TTLs that follow each other in the diamond. \
             If the farther TTL has more nodes: between the numbers of next hops of two nearer \
             nodes. If it has fewer: between the numbers of nodes before two farther nodes. If it \
             has as many: the larger of both. 0 if the diamond has one TTL, null inside of a \
             per-packet balancer.",
        |row, _| row.width_asymmetry,
    );
    columns.boolean(
        "meshed",
        "Whether two TTLs that follow each other in the diamond are linked by more than parallel \
             paths. If the farther TTL has more nodes: one of them has two or more links to nearer \
             nodes. If it has fewer: a nearer node has two or more links to farther nodes. If it \
             has as many: either. Null inside of a per-packet balancer.",
        |row, _| row.meshed,
    );
    columns.name::<BalancerType, _>(
        "balancer",
        "What the balancer at the divergence point goes by. per_flow: the packets of a flow stay \
             together; per_packet: the packets of a flow are spread; per_destination: the packets \
             to a destination stay together, whatever their flow (known only if the destination \
             address is varied). Null if it is not known.",
        |row, _| row.balancer,
    );
}
