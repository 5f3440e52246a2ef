//! Reads rows of `hops` back as records, for the functions that find paths.
//!
//! Only fields that these functions read are filled. The others are absent in the records:
//!
//! | field | absent |
//! |---|---|
//! | the reply | its ICMP type and code, TTL, type of service, size, IP ID, local address, next-hop MTU, what it echoes, interfaces and extensions |
//! | the quoted probe | its length, its number of bytes, and the tag and serial in its payload |
//! | `on_path`, `round` | both |

use std::str::FromStr;

use crate::dataset::read::{Row, RowError};
use crate::model::{
    Evidence, FlowId, HopRecord, MplsLabel, ProbeId, Protocol, Purpose, QuotedEcho, QuotedProbe,
    QuotedTcp, QuotedTransport, QuotedUdp, Reply, ReplyKind, Status, TraceId, Ttl, UnsentReason,
};

/// The columns that are read.
pub(super) const COLUMNS: [&str; 35] = [
    "trace_id",
    "probe_id",
    "reply_index",
    "destination",
    "source",
    "protocol",
    "src_port",
    "dst_port",
    "icmp_id",
    "flow_label",
    "flow",
    "ttl",
    "attempt",
    "purpose",
    "probe_size",
    "probe_tos",
    "probe_ip_id",
    "probe_checksum",
    "sent_at",
    "status",
    "reason",
    "responder",
    "received_at",
    "rtt_us",
    "reply_kind",
    "evidence",
    "quoted_ttl",
    "quoted_tos",
    "quoted_ip_id",
    "quoted_checksum",
    "quoted_src_port",
    "quoted_dst_port",
    "quoted_source",
    "quoted_destination",
    "quoted_icmp_id",
];

/// Columns that are read if the others say that they hold a value.
pub(super) const FURTHER: [&str; 2] = ["quoted_flow_label", "mpls"];

/// The record of a row.
///
/// # Errors
/// [`RowError::BadValue`] names the column with a value that no run writes.
pub(super) fn hop(row: &Row<'_>) -> Result<HopRecord, RowError> {
    let fields = Fields(row);
    let protocol: Protocol = fields.name("protocol")?;
    Ok(HopRecord {
        trace_id: TraceId(fields.number("trace_id")?),
        probe_id: fields.optional("probe_id")?.map(ProbeId),
        reply_index: fields.number("reply_index")?,
        on_path: None,
        destination: needed("destination", row.address("destination")?)?,
        source: row.address("source")?,
        protocol: protocol.into(),
        src_port: fields.optional("src_port")?,
        dst_port: fields.optional("dst_port")?,
        icmp_id: fields.optional("icmp_id")?,
        flow_label: fields.optional("flow_label")?,
        flow: FlowId(fields.number("flow")?),
        round: 0,
        ttl: fields.optional("ttl")?.map(Ttl),
        attempt: fields.number("attempt")?,
        purpose: fields.name::<Purpose>("purpose")?,
        probe_size: fields.number("probe_size")?,
        probe_tos: fields.number("probe_tos")?,
        probe_ip_id: fields.optional("probe_ip_id")?,
        probe_checksum: fields.optional("probe_checksum")?,
        sent_at: row.time("sent_at")?,
        status: fields.name::<Status>("status")?,
        reason: fields.optional_name::<UnsentReason>("reason")?,
        reply: reply(&fields, protocol)?.map(Box::new),
        evidence: fields.optional_name::<Evidence>("evidence")?,
        rtt_us: fields.optional("rtt_us")?,
        inferred: None,
    })
}

fn reply(fields: &Fields<'_>, protocol: Protocol) -> Result<Option<Reply>, RowError> {
    let Some(kind) = fields.optional_name::<ReplyKind>("reply_kind")? else {
        return Ok(None);
    };
    let row = fields.0;
    let responder = needed("responder", row.address("responder")?)?;
    let received_at = needed("received_at", row.time("received_at")?)?;
    Ok(Some(Reply {
        quoted: quoted(fields, protocol)?,
        mpls: labels(row)?,
        ..Reply::bare(responder, received_at, kind)
    }))
}

fn quoted(fields: &Fields<'_>, protocol: Protocol) -> Result<Option<QuotedProbe>, RowError> {
    let row = fields.0;
    let Some(destination) = row.address("quoted_destination")? else {
        return Ok(None);
    };
    let src_port = fields.optional("quoted_src_port")?;
    let dst_port = fields.optional("quoted_dst_port")?;
    let checksum = fields.optional("quoted_checksum")?;
    let (number, transport) = match protocol {
        Protocol::Udp => (
            libc::IPPROTO_UDP,
            QuotedTransport::Udp(QuotedUdp {
                src_port,
                dst_port,
                checksum,
                ..QuotedUdp::default()
            }),
        ),
        Protocol::Tcp => (
            libc::IPPROTO_TCP,
            QuotedTransport::Tcp(QuotedTcp {
                src_port,
                dst_port,
                checksum,
                ..QuotedTcp::default()
            }),
        ),
        Protocol::Icmp => (
            match destination.is_ipv6() {
                true => libc::IPPROTO_ICMPV6,
                false => libc::IPPROTO_ICMP,
            },
            QuotedTransport::Echo(QuotedEcho {
                identifier: fields.optional("quoted_icmp_id")?,
                checksum,
                ..QuotedEcho::default()
            }),
        ),
    };
    Ok(Some(QuotedProbe {
        source: row.address("quoted_source")?,
        ttl: fields.optional("quoted_ttl")?,
        tos: fields.optional("quoted_tos")?,
        ip_id: fields.optional("quoted_ip_id")?,
        flow_label: match destination.is_ipv6() {
            true => fields.optional("quoted_flow_label")?,
            false => None,
        },
        ..QuotedProbe::bare(destination, number as u8, transport)
    }))
}

fn labels(row: &Row<'_>) -> Result<Vec<MplsLabel>, RowError> {
    let Some(stack) = row.list("mpls")? else {
        return Ok(Vec::new());
    };
    let label = |row: Row<'_>| {
        let fields = Fields(&row);
        Ok(MplsLabel {
            label: fields.number("label")?,
            traffic_class: fields.number("tc")?,
            bottom: needed("bottom", row.bool("bottom")?)?,
            ttl: fields.number("ttl")?,
        })
    };
    stack.iter().map(label).collect()
}

/// Getters that check values.
struct Fields<'r>(&'r Row<'r>);

impl Fields<'_> {
    fn optional<N: TryFrom<i64>>(&self, column: &str) -> Result<Option<N>, RowError> {
        let Some(value) = self.0.int(column)? else {
            return Ok(None);
        };
        let number = N::try_from(value).map_err(|_| bad(column, value.to_string()))?;
        Ok(Some(number))
    }

    fn number<N: TryFrom<i64>>(&self, column: &str) -> Result<N, RowError> {
        needed(column, self.optional(column)?)
    }

    fn optional_name<E: FromStr>(&self, column: &str) -> Result<Option<E>, RowError> {
        let Some(text) = self.0.text(column)? else {
            return Ok(None);
        };
        let value = text.parse().map_err(|_| bad(column, text.to_owned()))?;
        Ok(Some(value))
    }

    fn name<E: FromStr>(&self, column: &str) -> Result<E, RowError> {
        needed(column, self.optional_name(column)?)
    }
}

fn needed<V>(column: &str, value: Option<V>) -> Result<V, RowError> {
    value.ok_or_else(|| bad(column, "null".to_owned()))
}

fn bad(column: &str, value: String) -> RowError {
    RowError::BadValue {
        column: column.to_owned(),
        value,
        wanted: "a value that a run writes",
    }
}
