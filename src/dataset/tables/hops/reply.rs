//! The columns of a reply: the packet itself, the quoted probe, and the ICMP extensions.

use std::borrow::Cow;

use crate::dataset::table::Columns;
use crate::model::{
    Echoed, Evidence, HopRecord, InterfaceInfo, InterfaceRole, MplsLabel, QuotedProbe, Reply,
    ReplyKind,
};

/// Declares the columns.
pub(super) fn declare(columns: &mut Columns<HopRecord>) {
    packet(columns);
    quoted(columns);
    extensions(columns);
}

fn packet(columns: &mut Columns<HopRecord>) {
    columns.address(
        "responder",
        "The address that replied. In an inferred row, the address that replied to other \
             traces.",
        |row, _| row.responder(),
    );
    columns.time(
        "received_at",
        "When the reply arrived (the kernel's receive timestamp).",
        |row, _| Some(reply_of(row)?.received_at),
    );
    columns
        .int32(
            "rtt_us",
            "Round-trip time: receive timestamp − send timestamp. 0 if the receive timestamp is \
             up to 1 ms before the send timestamp. Null if it is even earlier: the machine was \
             busy, and the send timestamp is not exact.",
            |row, _| row.rtt_us,
        )
        .unit("µs");
    columns.name::<ReplyKind, _>("reply_kind", "The kind of the reply.", |row, _| {
        row.reply_kind()
    });
    columns.int16("icmp_type", "ICMP type of the reply.", |row, _| {
        reply_of(row)?.icmp_type
    });
    columns.int16("icmp_code", "ICMP code of the reply.", |row, _| {
        reply_of(row)?.icmp_code
    });
    columns.int16("reply_tcp_flags", "TCP flags of the reply.", |row, _| {
        tcp_flags(reply_of(row)?)
    });
    columns
        .int16("reply_ttl", "The reply's own TTL on arrival.", |row, _| {
            reply_of(row)?.ttl
        })
        .unit("hops");
    columns.int16(
        "reply_tos",
        "The reply's type of service (IPv6: traffic class).",
        |row, _| reply_of(row)?.tos,
    );
    columns
        .int32(
            "reply_size",
            "The reply's size, with its IP header.",
            |row, _| reply_of(row)?.size,
        )
        .unit("bytes");
    columns
        .int32("reply_ip_id", "The reply's IP ID (IPv4).", |row, _| {
            reply_of(row)?.ip_id
        })
        .random();
    columns.address(
        "reply_destination",
        "The local address that the reply was sent to.",
        |row, _| reply_of(row)?.destination,
    );
}

fn quoted(columns: &mut Columns<HopRecord>) {
    columns
        .int16(
            "quoted_ttl",
            "Quoted TTL: the probe's TTL when it reached the responder.",
            |row, _| quote_of(row)?.ttl,
        )
        .unit("hops");
    columns.int16(
        "quoted_tos",
        "Quoted type of service: the probe's when it reached the responder.",
        |row, _| quote_of(row)?.tos,
    );
    columns
        .int32("quoted_ip_id", "Quoted IP ID (IPv4).", |row, _| {
            quote_of(row)?.ip_id
        })
        .random();
    columns
        .int32(
            "quoted_length",
            "Quoted total length of the IP packet.",
            |row, _| quote_of(row)?.length,
        )
        .unit("bytes");
    columns
        .int32("quoted_checksum", "Quoted transport checksum.", |row, _| {
            quote_of(row)?.checksum()
        })
        .random();
    columns.int32("quoted_src_port", "Quoted source port.", |row, _| {
        quote_of(row)?.src_port()
    });
    columns.int32("quoted_dst_port", "Quoted destination port.", |row, _| {
        quote_of(row)?.dst_port()
    });
    columns.address("quoted_source", "Quoted source address.", |row, _| {
        quote_of(row)?.source
    });
    columns.address(
        "quoted_destination",
        "Quoted destination address.",
        |row, _| Some(quote_of(row)?.destination),
    );
    columns.int32("quoted_icmp_id", "Quoted ICMP identifier.", |row, _| {
        quote_of(row)?.icmp_id()
    });
    columns.int32("quoted_flow_label", "Quoted IPv6 flow label.", |row, _| {
        quote_of(row)?.flow_label
    });
    columns
        .int32(
            "quote_size",
            "The number of bytes of the probe that the reply quotes, from the probe's IP header \
             on.",
            |row, _| quote_of(row)?.quote_size,
        )
        .unit("bytes");
}

fn extensions(columns: &mut Columns<HopRecord>) {
    columns
        .int32(
            "next_hop_mtu",
            "Next-hop MTU in a fragmentation-needed or packet-too-big message; null if the router \
             wrote none.",
            |row, _| reply_of(row)?.next_hop_mtu,
        )
        .unit("bytes");
    columns.name::<Evidence, _>(
        "evidence",
        "How certain it is that the reply answers this probe. full: certain; rewritten: \
             certain, and a field was changed on the way; weak: only one of two secrets came \
             back, or no other probe fits.",
        |row, _| row.evidence,
    );
    columns.list(
        "mpls",
        "MPLS label stack (RFC 4950), top label first; null if the reply has none.",
        |row, _| reply_of(row).map_or(&[][..], |reply| &reply.mpls),
        mpls,
    );
    columns.list(
        "interface_info",
        "Interface information objects (RFC 5837); null if the reply has none.",
        |row, _| reply_of(row).map_or(&[][..], |reply| &reply.interface_info),
        interface_info,
    );
    columns.bytes(
        "icmp_extensions",
        "The whole ICMP extension structure (RFC 4884) as received. CSV and JSON Lines hold \
             it as hexadecimal digits.",
        |row, _| reply_of(row)?.icmp_extensions.as_deref(),
    );
}

fn mpls(fields: &mut Columns<MplsLabel>) {
    fields.int32("label", "The label, 20 bits.", |label, _| label.label);
    fields.int16("tc", "Traffic class, 3 bits.", |label, _| {
        label.traffic_class
    });
    fields.boolean(
        "bottom",
        "Whether the label is at the bottom of the stack.",
        |label, _| label.bottom,
    );
    fields
        .int16("ttl", "The label's own TTL.", |label, _| label.ttl)
        .unit("hops");
}

fn interface_info(fields: &mut Columns<InterfaceInfo>) {
    fields.name::<InterfaceRole, _>(
        "role",
        "The role of the interface: incoming, sub_ip, outgoing or next_hop.",
        |info, _| info.role,
    );
    fields.int64(
        "ifindex",
        "The router's ifIndex of the interface.",
        |info, _| info.ifindex,
    );
    fields.address("address", "The interface's address.", |info, _| {
        info.address
    });
    fields.optional_text("name", "The interface's name.", |info, _| {
        info.name.as_deref().map(Cow::from)
    });
    fields
        .int64("mtu", "The interface's MTU.", |info, _| info.mtu)
        .unit("bytes");
}

fn reply_of(row: &HopRecord) -> Option<&Reply> {
    row.reply.as_deref()
}

/// The flags byte of a TCP reply.
fn tcp_flags(reply: &Reply) -> Option<u8> {
    match reply.echoed? {
        Echoed::Tcp { flags, .. } => Some(flags),
        Echoed::Echo { .. } | Echoed::Udp { .. } => None,
    }
}

fn quote_of(row: &HopRecord) -> Option<&QuotedProbe> {
    reply_of(row)?.quoted.as_ref()
}
