//! The table `traces`: one row per traced (target, flow).

use super::shared::labels;
use crate::dataset::RowCounts;
use crate::dataset::table::{Columns, Table};
use crate::model::{Anomaly, Protocol, StopReason, TraceRecord};

/// The table `traces`.
pub struct Traces;

impl Table for Traces {
    type Row = TraceRecord;
    type SortKey = u64;

    const NAME: &'static str = "traces";
    const VERSION: u32 = 2;
    const DESCRIPTION: &'static str = "One row per traced (target, flow). A value that is absent is null, never 0 and never \
             an empty text.";
    const KEY: &'static [&'static str] = &["run_id", "trace_id"];
    const SORT_ORDER: &'static [&'static str] = &["trace_id"];

    const LOOKED_UP: &'static [&'static str] = &["destination"];

    fn columns(columns: &mut Columns<TraceRecord>) {
        run(columns);
        settings(columns);
        outcome(columns);
        findings(columns);
        path(columns);
    }

    fn sort_key(row: &TraceRecord) -> u64 {
        row.trace_id.0
    }

    fn count(row: &TraceRecord, counts: &mut RowCounts) {
        counts.trace(row);
    }

    fn heap_bytes(row: &TraceRecord) -> usize {
        row.path
            .as_ref()
            .map_or(0, |path| size_of_val(path.as_slice()))
    }
}

fn run(columns: &mut Columns<TraceRecord>) {
    columns.constant(
        "run_id",
        "The run that wrote the row. (run_id, trace_id) joins hops.",
        |run| &run.meta.run_id,
    );
    columns.int64(
        "trace_id",
        "The trace; joins hops. It is the target's number × flows + flow.",
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

fn settings(columns: &mut Columns<TraceRecord>) {
    columns.int32(
        "flow",
        "The number of the flow, from 0. The varied field (the source port, unless --vary names \
             another) is that of flow 0 plus this number. A checksum or flow label starts again at \
             the least value. Null if the trace has many flows.",
        |row, _| row.flow,
    );
    columns.constant("method", "The strategy of the trace.", |run| {
        &run.meta.method
    });
    columns
        .constant("protocol", "The protocol of the probes.", |run| {
            run.meta.protocol.as_str()
        })
        .values(Protocol::NAMES);
    columns.int32(
        "src_port",
        "UDP or TCP source port; null if the probes of the trace have several.",
        |row, run| run.meta.src_port_of(row.flow),
    );
    columns.int32(
        "dst_port",
        "UDP or TCP destination port; null if the probes of the trace have several.",
        |row, run| run.meta.dst_port_of(row.flow),
    );
    columns.int16(
        "attempts",
        "The largest number of attempts per hop.",
        |_, run| run.meta.attempts,
    );
    columns.int16(
        "gap_limit",
        "The number of silent TTLs in a row that ends a trace; null if the strategy has no \
             gap limit.",
        |_, run| run.meta.gap_limit,
    );
    columns
        .int32(
            "probe_size",
            "The size of every probe, with its IP header; null if the size changes with the TTL \
             or in the search for the path MTU.",
            |row, run| run.meta.probe_sizes[usize::from(row.destination.is_ipv6())],
        )
        .unit("bytes");
}

fn outcome(columns: &mut Columns<TraceRecord>) {
    columns.time(
        "started_at",
        "When the strategy asked for the first probe of the trace.",
        |row, _| row.started_at,
    );
    columns.time("finished_at", "When the trace ended.", |row, _| {
        row.finished_at
    });
    columns
        .int16("first_ttl", "The lowest TTL probed.", |row, _| {
            row.first_ttl
        })
        .unit("hops");
    columns
        .int16(
            "max_ttl",
            "The highest TTL probed hop by hop, without the distance probe.",
            |row, _| row.max_ttl,
        )
        .unit("hops");
    columns.name::<StopReason, _>(
        "stop_reason",
        "Why the trace ended. completed: the target replied, or another address sent a reply \
             that repeats the probe's secrets; unreachable: another address reported that the \
             packet cannot be delivered (also a port unreachable, from another interface of the \
             target or a firewall), and neither the target nor a higher TTL replied; gap_limit: \
             too many silent TTLs in a row; loop: an address came back two or more TTLs later, \
             and as many further TTLs as the gap limit brought no new address; max_ttl: the \
             highest TTL was probed; interrupted: the run was interrupted; error: the probes were \
             not sent; excluded: the blocklist excluded the target during the run; max_flows, \
             max_width: a limit of a multipath trace was reached.",
        |row, _| row.stop_reason,
    );
    columns.boolean(
        "reached",
        "Whether the target replied, from any address. A further reply counts as well.",
        |row, _| row.reached,
    );
    columns
        .int16(
            "path_length",
            "The lowest TTL at which the target replied; null unless the TTL before it is known \
             not to reach the target.",
            |row, _| row.path_length,
        )
        .unit("hops");
}

fn findings(columns: &mut Columns<TraceRecord>) {
    columns.int32(
        "hops_responding",
        "The number of TTLs with a responder, among those probed hop by hop, up to \
             path_length if it is known. A router that only reports a probe as too large does not \
             count, unless the path ends there.",
        |row, _| row.hops_responding,
    );
    columns.int32(
        "probes_sent",
        "The number of probes that the kernel accepted.",
        |row, _| row.probes_sent,
    );
    columns.int32(
        "replies",
        "The number of probes that got a reply within the timeout.",
        |row, _| row.replies,
    );
    columns.int64(
        "path_hash",
        "Hash of the path, over (TTL, responder or null) from the first TTL to path_length, \
             or to the highest TTL if path_length is null. It uses the responders that \
             hops_responding counts. Equal paths have equal hashes. A lost reply changes the \
             hash: to find changed paths, compare path.",
        |row, _| row.path_hash,
    );
    columns.names::<Anomaly, _>(
        "anomalies",
        "The anomalies in the trace's rows, in the order of the values; null if there are \
             none. Weak evidence never makes an anomaly. loop: an address comes back two or more \
             TTLs later, and no new address replies after it; cycle: an address comes back two or \
             more TTLs later, and a new address or the target replies after it; \
             zero_ttl_forwarding: a Time Exceeded quotes TTL 0, and its responder also replies at \
             the next TTL; per_packet_balancing: several responders at one TTL; nat: the quoted \
             source address, source port or ICMP identifier changed, or, from some hop to the \
             last, only the checksum over unchanged addresses and ports; rewriting: the quoted \
             destination address, destination port, IP ID or flow label changed; tos_rewritten: \
             the quoted type of service changed, other than by a congestion mark on a packet that \
             allows it; target_time_exceeded: the target replies Time Exceeded; rate_limited: a \
             hop replies to some probes only, before a hop that replies (loss looks the same); \
             silent_hop: a hop replies to no probe, before a hop that replies; mpls_tunnel: MPLS \
             labels, or Time Exceeded with quoted TTLs over 1 that rise by 1 from one router to \
             the next; other_address: a reply that only targets send (an echo reply, a TCP \
             segment, a UDP datagram that repeats the probe, a port unreachable to UDP) comes \
             from another address than the one probed; per_flow_balancing, \
             per_destination_balancing: several paths, by flow or by destination; inferred_hop: a \
             hop was copied from another trace; skipped_hop: a limit kept a TTL of the path from \
             being probed.",
        |row, _| row.anomalies.iter(),
    );
    columns
        .int32(
            "path_mtu",
            "With --mtu: the largest size that reached the end of the path, which is the target \
             or the router that reported it as unreachable. Null if the path ends in silence.",
            |row, _| row.path_mtu,
        )
        .unit("bytes");
}

fn path(columns: &mut Columns<TraceRecord>) {
    columns.addresses(
        "path",
        "The responders by TTL: element 1 is at first_ttl. The list ends at path_length, or \
             else at the last TTL whose hop replied. An element is null if its hop did not reply \
             or was inferred. The last element is never null. The list is empty if no hop \
             replied, and null if no TTL was probed hop by hop. A report that a probe is too \
             large counts only if the path ends there.",
        |row, _| row.path.as_deref(),
    );
    columns.address("last_responder", "The last element of path.", |row, _| {
        row.last_responder
    });
    columns
        .int16("last_ttl", "The TTL of last_responder.", |row, _| {
            row.last_ttl
        })
        .unit("hops");
    columns
        .int32(
            "target_rtt_us",
            "The round-trip time to the target: that of the target's reply at path_length, or \
             else the least of all its replies. Null if no reply of the target has a round-trip \
             time.",
            |row, _| row.target_rtt_us,
        )
        .unit("µs");
}
