//! The table `hops`: one row per probe, and one per further reply.

mod reply;

use std::net::IpAddr;

use crate::dataset::RowCounts;
use crate::dataset::table::{Columns, Table};
use crate::model::{HopRecord, Inferred, Protocol, Purpose, Reply, Status, UnsentReason};

/// The table `hops`.
pub struct Hops;

impl Table for Hops {
    type Row = HopRecord;
    /// Trace, TTL, attempt and reply index; then the probe.
    type SortKey = (u128, u64);

    const NAME: &'static str = "hops";
    const VERSION: u32 = 2;
    const DESCRIPTION: &'static str = "One row per probe (reply_index 0), and one row per further reply to it. A value that \
             is absent is null, never 0 and never an empty text. In an inferred row, probe_id is \
             null and (run_id, trace_id, round, ttl) is the key.";
    const KEY: &'static [&'static str] = &["run_id", "trace_id", "probe_id", "reply_index"];
    const SORT_ORDER: &'static [&'static str] =
        &["trace_id", "ttl", "attempt", "reply_index", "probe_id"];

    const LOOKED_UP: &'static [&'static str] = &["trace_id"];

    fn columns(columns: &mut Columns<HopRecord>) {
        identity(columns);
        probe(columns);
        sending(columns);
        reply::declare(columns);
        path(columns);
    }

    /// Rows without a TTL come last in their trace. Rows without a probe come last in their attempt.
    fn sort_key(row: &HopRecord) -> (u128, u64) {
        const NO_TTL: u128 = 256;
        let ttl = row.ttl.map_or(NO_TTL, |ttl| u128::from(ttl.0));
        let place = u128::from(row.trace_id.0) << 48
            | ttl << 32
            | u128::from(row.attempt) << 16
            | u128::from(row.reply_index);
        (place, row.probe_id.map_or(u64::MAX, |id| id.0))
    }

    fn count(row: &HopRecord, counts: &mut RowCounts) {
        counts.hop(row);
    }

    fn heap_bytes(row: &HopRecord) -> usize {
        row.reply.as_ref().map_or(0, |reply| {
            size_of::<Reply>()
                + size_of_val(reply.mpls.as_slice())
                + size_of_val(reply.interface_info.as_slice())
                + reply.icmp_extensions.as_ref().map_or(0, Vec::len)
        }) + row.inferred.as_ref().map_or(0, |_| size_of::<Inferred>())
    }
}

fn identity(columns: &mut Columns<HopRecord>) {
    columns.constant(
        "run_id",
        "The run that wrote the row. (run_id, trace_id) joins traces.",
        |run| &run.meta.run_id,
    );
    columns.int64(
        "trace_id",
        "The trace of the probe; joins traces. It is the target's number × flows + flow.",
        |row, _| row.trace_id,
    );
    columns.int64(
        "probe_id",
        "The probe's number within the run, from 0 in the order of sending. Null in an \
             inferred row, because it has no probe.",
        |row, _| row.probe_id,
    );
    columns.int16(
        "reply_index",
        "0 in the probe's own row; 1 and up in the rows of further replies to it. Count the \
             rows with 0 to count probes.",
        |row, _| row.reply_index,
    );
    columns.address("destination", "The address probed.", |row, _| {
        row.destination
    });
    columns.address(
        "source",
        "The address that the probe was sent from; null if the kernel had no route and so no \
             address.",
        |row, _| row.source,
    );
    columns.constant("vantage", "The id of the vantage point.", |run| {
        &run.meta.vantage.id
    });
    columns.int16("ip_version", "4 or 6.", |row, _| match row.destination {
        IpAddr::V4(_) => 4_i16,
        IpAddr::V6(_) => 6,
    });
}

fn probe(columns: &mut Columns<HopRecord>) {
    columns
        .static_text("protocol", "The protocol of the probe.", |row, _| {
            row.protocol.as_str()
        })
        .values(Protocol::NAMES);
    columns.int32(
        "src_port",
        "UDP or TCP source port; null for icmp.",
        |row, _| row.src_port,
    );
    columns.int32(
        "dst_port",
        "UDP or TCP destination port; null for icmp.",
        |row, _| row.dst_port,
    );
    columns.int32(
        "icmp_id",
        "ICMP identifier; null for udp and tcp.",
        |row, _| row.icmp_id,
    );
    columns.int32(
        "flow_label",
        "IPv6 flow label; null if the probe is IPv4 or the kernel chose the label.",
        |row, _| row.flow_label,
    );
    columns.int32(
        "flow",
        "The number of the flow, from 0. The varied field (the source port, unless --vary names \
             another) is that of flow 0 plus this number. A checksum or flow label starts again at \
             the least value.",
        |row, _| row.flow,
    );
    columns.int32(
        "round",
        "The round of the strategy; 0 if the strategy has no rounds.",
        |row, _| row.round,
    );
    columns
        .int16(
            "ttl",
            "The TTL (hop limit) sent; null if a reply quotes nothing and may answer several \
             probes.",
            |row, _| row.ttl,
        )
        .unit("hops");
    columns.int16("attempt", "The attempt, from 1.", |row, _| row.attempt);
}

fn sending(columns: &mut Columns<HopRecord>) {
    columns.name::<Purpose, _>(
        "purpose",
        "Why the probe was sent. distance: measures the target's distance; trace: first probe \
             at its TTL; retry: an earlier attempt got no reply; repeat: a further answer of the \
             hop is wanted; sweep: part of a sweep. The other values are for strategies to come.",
        |row, _| row.purpose,
    );
    columns
        .int32(
            "probe_size",
            "The size sent, with the IP header.",
            |row, _| row.probe_size,
        )
        .unit("bytes");
    columns.int16(
        "probe_tos",
        "The type of service (IPv6: traffic class) sent.",
        |row, _| row.probe_tos,
    );
    columns
        .int32(
            "probe_ip_id",
            "The IP ID sent (IPv4); null if the probe is IPv6 or the kernel chose the IP ID.",
            |row, _| row.probe_ip_id,
        )
        .random();
    columns
        .int32(
            "probe_checksum",
            "The checksum sent in the transport header.",
            |row, _| row.probe_checksum,
        )
        .random();
    columns.time(
        "sent_at",
        "When the kernel accepted the probe; null if it never did.",
        |row, _| row.sent_at,
    );
    columns.name::<Status, _>(
        "status",
        "How the probe ended: every probe has exactly one row with reply_index 0. replied: a \
             reply within the timeout; timeout: no reply; late: a reply after the timeout; \
             duplicate: a further reply; send_error: refused by the kernel; skipped: never given \
             to the kernel; inferred: not probed, copied from another trace.",
        |row, _| row.status,
    );
    columns
        .optional_text(
            "reason",
            "Why the probe was not sent, for send_error and skipped; or why an inferred row has \
             no responder. errno_N: the kernel's error number N.",
            |row, _| Some(row.reason?.text()),
        )
        .values(UnsentReason::NAMES);
}

fn path(columns: &mut Columns<HopRecord>) {
    columns.int64(
        "inferred_from",
        "In an inferred row, the trace_id of the trace that the hop was copied from.",
        |row, _| row.inferred.as_ref()?.from,
    );
    columns.boolean(
        "on_path",
        "Whether this row stands for its TTL in traces.path. One row per probed TTL of path \
             is true: the row with the responder in path. If path has null there, it is the row \
             of the last attempt, or else the inferred row. False in all other rows of a trace. \
             Null if the run wrote no traces, or if the trace has several paths.",
        |row, _| row.on_path,
    );
}
