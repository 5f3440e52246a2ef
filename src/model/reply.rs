//! A reply: the packet that came back, what it quotes, and how sure we are whom it answers.

use std::net::IpAddr;

use serde::Serialize;

use super::Time;

/// What a reply says, in the field's terms. Types and codes are kept beside it as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyKind {
    /// The TTL ran out in transit (ICMP type 11 code 0).
    TimeExceeded,
    /// Reassembly took too long (type 11 code 1).
    ReassemblyTimeExceeded,
    /// Type 3 code 0.
    NetworkUnreachable,
    /// Type 3 code 1.
    HostUnreachable,
    /// Type 3 code 2.
    ProtocolUnreachable,
    /// Type 3 code 3.
    PortUnreachable,
    /// Type 3 code 4.
    FragmentationNeeded,
    /// Type 3 code 5.
    SourceRouteFailed,
    /// Type 3 codes 9, 10 and 13.
    AdministrativelyProhibited,
    /// Type 3 with any other code.
    Unreachable,
    /// Type 12.
    ParameterProblem,
}

impl ReplyKind {
    /// The kind of an ICMPv4 error message that answers a probe; `None` for any other type. Redirects (5) and source quenches (4)
    /// quote a packet too, but are no answers: whoever sends a redirect forwards the packet all the same.
    pub const fn of_icmpv4(icmp_type: u8, code: u8) -> Option<Self> {
        Some(match (icmp_type, code) {
            (11, 0) => ReplyKind::TimeExceeded,
            (11, _) => ReplyKind::ReassemblyTimeExceeded,
            (3, 0) => ReplyKind::NetworkUnreachable,
            (3, 1) => ReplyKind::HostUnreachable,
            (3, 2) => ReplyKind::ProtocolUnreachable,
            (3, 3) => ReplyKind::PortUnreachable,
            (3, 4) => ReplyKind::FragmentationNeeded,
            (3, 5) => ReplyKind::SourceRouteFailed,
            (3, 9 | 10 | 13) => ReplyKind::AdministrativelyProhibited,
            (3, _) => ReplyKind::Unreachable,
            (12, _) => ReplyKind::ParameterProblem,
            _ => return None,
        })
    }

    /// The name in the `reply_kind` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReplyKind::TimeExceeded => "time_exceeded",
            ReplyKind::ReassemblyTimeExceeded => "reassembly_time_exceeded",
            ReplyKind::NetworkUnreachable => "network_unreachable",
            ReplyKind::HostUnreachable => "host_unreachable",
            ReplyKind::ProtocolUnreachable => "protocol_unreachable",
            ReplyKind::PortUnreachable => "port_unreachable",
            ReplyKind::FragmentationNeeded => "fragmentation_needed",
            ReplyKind::SourceRouteFailed => "source_route_failed",
            ReplyKind::AdministrativelyProhibited => "administratively_prohibited",
            ReplyKind::Unreachable => "unreachable",
            ReplyKind::ParameterProblem => "parameter_problem",
        }
    }

    /// Whether it says that the packet cannot be delivered (Destination Unreachable, any code).
    pub const fn is_unreachable(self) -> bool {
        matches!(
            self,
            ReplyKind::NetworkUnreachable
                | ReplyKind::HostUnreachable
                | ReplyKind::ProtocolUnreachable
                | ReplyKind::PortUnreachable
                | ReplyKind::FragmentationNeeded
                | ReplyKind::SourceRouteFailed
                | ReplyKind::AdministrativelyProhibited
                | ReplyKind::Unreachable
        )
    }
}

/// How sure it is that a reply answers the probe it is matched to; weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// One secret came back with every open fact right.
    Weak,
    /// Both secrets came back, the checksum as a rewriting box adjusts it; or the tag with an open fact changed.
    Rewritten,
    /// The tag came back, or both secrets as sent with every open fact right.
    Full,
}

impl Evidence {
    /// The name in the `evidence` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Evidence::Weak => "weak",
            Evidence::Rewritten => "rewritten",
            Evidence::Full => "full",
        }
    }
}

/// One entry of an MPLS label stack (RFC 4950).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MplsLabel {
    /// 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits.
    pub traffic_class: u8,
    /// Bottom of the stack.
    pub bottom: bool,
    /// The label's own TTL.
    pub ttl: u8,
}

/// What a router says of one of its interfaces (RFC 5837).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// `incoming`, `sub_ip`, `outgoing` or `next_hop`.
    pub role: &'static str,
    /// The router's ifIndex.
    pub ifindex: Option<u32>,
    /// The interface's address.
    pub address: Option<IpAddr>,
    /// The interface's name, up to 63 bytes.
    pub name: Option<String>,
    /// The interface's MTU in bytes.
    pub mtu: Option<u32>,
}

/// The probe as a reply quotes it: what of it survived the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedProbe {
    /// Source address as quoted.
    pub source: IpAddr,
    /// Destination address as quoted.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// TTL as it reached the responder.
    pub ttl: u8,
    /// Type of service as it reached the responder.
    pub tos: u8,
    /// IP ID (IPv4).
    pub ip_id: Option<u16>,
    /// The IP total length as quoted, bytes.
    pub length: u16,
    /// Source port, where the quote reaches that far.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// UDP length field, bytes.
    pub udp_length: Option<u16>,
    /// Transport checksum.
    pub checksum: Option<u16>,
    /// The 64-bit tag behind the compensation word, where the quote reaches that far.
    pub tag: Option<u64>,
    /// How many bytes of the probe (from its IP header on) came back.
    pub quote_size: u16,
}

/// A reply that was read from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who sent it.
    pub responder: IpAddr,
    /// When it arrived.
    pub received_at: Time,
    /// What it says.
    pub kind: ReplyKind,
    /// ICMP type.
    pub icmp_type: Option<u8>,
    /// ICMP code.
    pub icmp_code: Option<u8>,
    /// The reply's own TTL on arrival.
    pub ttl: u8,
    /// The reply's type of service.
    pub tos: u8,
    /// The reply's size with its IP header, bytes.
    pub size: u16,
    /// The reply's IP ID (IPv4).
    pub ip_id: Option<u16>,
    /// Which of our addresses it was sent to.
    pub destination: IpAddr,
    /// The probe it quotes.
    pub quoted: Option<QuotedProbe>,
    /// Next-hop MTU of a fragmentation-needed message, bytes; absent where the router wrote none.
    pub next_hop_mtu: Option<u16>,
    /// MPLS label stack, top first.
    pub mpls: Vec<MplsLabel>,
    /// Interface information objects.
    pub interface_info: Vec<InterfaceInfo>,
    /// The whole extension structure (RFC 4884) as received.
    pub icmp_extensions: Option<Vec<u8>>,
}

/// Why a received packet is counted but matched to no probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscardReason {
    /// Too short for the headers it claims.
    Truncated,
    /// Not IPv4, a fragment, or header fields that contradict each other.
    Malformed,
    /// The ICMP checksum does not fit.
    BadChecksum,
    /// An ICMP type that answers no probe of ours.
    OtherType,
    /// Quotes a packet that this run cannot have sent: another protocol, or ports that are not ours.
    Foreign,
    /// Quotes our ports, but no live probe has these open facts or this IP ID.
    Unknown,
    /// Quotes the open facts of a live probe without its secrets.
    Forged,
    /// Came from one of our own addresses: a local failure to send, not a hop.
    Local,
    /// A further reply to a probe that has had a thousand.
    Excess,
}

impl DiscardReason {
    /// Every reason, in the order of the manifest.
    pub const ALL: [DiscardReason; 9] = [
        DiscardReason::Truncated,
        DiscardReason::Malformed,
        DiscardReason::BadChecksum,
        DiscardReason::OtherType,
        DiscardReason::Foreign,
        DiscardReason::Unknown,
        DiscardReason::Forged,
        DiscardReason::Local,
        DiscardReason::Excess,
    ];

    /// The name in the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            DiscardReason::Truncated => "truncated",
            DiscardReason::Malformed => "malformed",
            DiscardReason::BadChecksum => "bad_checksum",
            DiscardReason::OtherType => "other_type",
            DiscardReason::Foreign => "foreign",
            DiscardReason::Unknown => "unknown",
            DiscardReason::Forged => "forged",
            DiscardReason::Local => "local",
            DiscardReason::Excess => "excess",
        }
    }
}
