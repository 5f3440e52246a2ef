//! A reply: the packet that came back, what it quotes, and how sure we are whom it answers.

use std::net::IpAddr;

use serde::Serialize;

use super::{QuotedProbe, Time};

/// What a reply says, in the field's terms. Types and codes are kept beside it as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyKind {
    /// The TTL ran out in transit (ICMP type 11 code 0; ICMPv6 type 3 code 0).
    TimeExceeded,
    /// Reassembly took too long (type 11 code 1; ICMPv6 type 3 code 1).
    ReassemblyTimeExceeded,
    /// Type 3 code 0; ICMPv6 type 1 code 0 (no route).
    NetworkUnreachable,
    /// Type 3 code 1; ICMPv6 type 1 code 3 (address unreachable).
    HostUnreachable,
    /// Type 3 code 2.
    ProtocolUnreachable,
    /// Type 3 code 3; ICMPv6 type 1 code 4.
    PortUnreachable,
    /// Type 3 code 4.
    FragmentationNeeded,
    /// Type 3 code 5.
    SourceRouteFailed,
    /// Type 3 codes 9, 10 and 13; ICMPv6 type 1 codes 1, 5 and 6.
    AdministrativelyProhibited,
    /// Type 3 with any other code.
    Unreachable,
    /// Type 12; ICMPv6 type 4.
    ParameterProblem,
    /// ICMPv6 type 2.
    PacketTooBig,
    /// An answer to an ICMP echo request.
    EchoReply,
    /// TCP SYN and ACK: the port is open.
    SynAck,
    /// TCP RST: the port is closed, or the segment belonged to no connection.
    Rst,
    /// TCP ACK without SYN or RST: what a half-open connection says to a further SYN.
    Ack,
    /// A UDP datagram from the port probed.
    Udp,
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

    /// The kind of an ICMPv6 error message (RFC 4443); `None` for any other type.
    pub const fn of_icmpv6(icmp_type: u8, code: u8) -> Option<Self> {
        Some(match (icmp_type, code) {
            (3, 0) => ReplyKind::TimeExceeded,
            (3, _) => ReplyKind::ReassemblyTimeExceeded,
            (1, 0) => ReplyKind::NetworkUnreachable,
            (1, 1 | 5 | 6) => ReplyKind::AdministrativelyProhibited,
            (1, 3) => ReplyKind::HostUnreachable,
            (1, 4) => ReplyKind::PortUnreachable,
            (1, _) => ReplyKind::Unreachable,
            (2, _) => ReplyKind::PacketTooBig,
            (4, _) => ReplyKind::ParameterProblem,
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
            ReplyKind::PacketTooBig => "packet_too_big",
            ReplyKind::EchoReply => "echo_reply",
            ReplyKind::SynAck => "syn_ack",
            ReplyKind::Rst => "rst",
            ReplyKind::Ack => "ack",
            ReplyKind::Udp => "udp",
        }
    }

    /// Whether answers of this kind may be to any of several probes, or spoil those to others: TCP answers a connection, UDP
    /// nothing in particular.
    pub const fn tells_no_probe_apart(self) -> bool {
        matches!(
            self,
            ReplyKind::SynAck | ReplyKind::Rst | ReplyKind::Ack | ReplyKind::Udp
        )
    }

    /// Whether it says that the packet is too large for the next line and may not be fragmented. Whoever says so did not look at
    /// the TTL.
    pub const fn is_too_large(self) -> bool {
        matches!(
            self,
            ReplyKind::FragmentationNeeded | ReplyKind::PacketTooBig
        )
    }

    /// Whether only the end of a path gives such an answer: it repeats what the probe holds, which no router on the way looks at.
    pub const fn repeats_probe(self) -> bool {
        matches!(
            self,
            ReplyKind::EchoReply
                | ReplyKind::SynAck
                | ReplyKind::Rst
                | ReplyKind::Ack
                | ReplyKind::Udp
        )
    }

    /// Whether an answer of this kind proves that its probe reached the end of the path. `from_target`: the responder is the
    /// address probed. A target that answers Time Exceeded forwards the packet: that is no arrival.
    pub const fn is_arrival(self, from_target: bool) -> bool {
        self.repeats_probe() || from_target && !matches!(self, ReplyKind::TimeExceeded)
    }

    /// Whether it says that the packet was dropped for another reason than its TTL. From a router on the way this is a complaint:
    /// nothing tells whether other packets pass.
    pub const fn is_complaint(self) -> bool {
        self.is_unreachable() || matches!(self, ReplyKind::ParameterProblem)
    }

    /// Whether it says that the packet cannot be delivered (Destination Unreachable, any code; Packet Too Big).
    pub const fn is_unreachable(self) -> bool {
        matches!(
            self,
            ReplyKind::NetworkUnreachable
                | ReplyKind::HostUnreachable
                | ReplyKind::ProtocolUnreachable
                | ReplyKind::PortUnreachable
                | ReplyKind::FragmentationNeeded
                | ReplyKind::PacketTooBig
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

/// What a reply that quotes nothing repeats of the probe it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echoed {
    /// An ICMP echo reply.
    Echo {
        /// Identifier.
        identifier: u16,
        /// Sequence number.
        sequence: u16,
        /// The tag in the payload.
        tag: Option<u64>,
        /// The serial in the payload.
        serial: Option<u16>,
    },
    /// A TCP segment.
    Tcp {
        /// The responder's port.
        src_port: u16,
        /// Our port.
        dst_port: u16,
        /// The flags byte.
        flags: u8,
        /// Sequence number.
        sequence: u32,
        /// Acknowledgement number; meaningless without the ACK flag.
        acknowledgement: u32,
    },
    /// A UDP datagram.
    Udp {
        /// The responder's port.
        src_port: u16,
        /// Our port.
        dst_port: u16,
        /// The tag, where the datagram repeats our payload.
        tag: Option<u64>,
        /// The serial, where it does.
        serial: Option<u16>,
    },
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
    pub ttl: Option<u8>,
    /// The reply's type of service.
    pub tos: Option<u8>,
    /// The reply's size with its IP header, bytes.
    pub size: Option<u32>,
    /// The reply's IP ID (IPv4).
    pub ip_id: Option<u16>,
    /// Which of our addresses it was sent to.
    pub destination: Option<IpAddr>,
    /// The probe it quotes.
    pub quoted: Option<QuotedProbe>,
    /// What it repeats of the probe, where it quotes none.
    pub echoed: Option<Echoed>,
    /// Next-hop MTU of a fragmentation-needed or packet-too-big message, bytes; absent where the router wrote none.
    pub next_hop_mtu: Option<u32>,
    /// MPLS label stack, top first.
    pub mpls: Vec<MplsLabel>,
    /// Interface information objects.
    pub interface_info: Vec<InterfaceInfo>,
    /// The whole extension structure (RFC 4884) as received.
    pub icmp_extensions: Option<Vec<u8>>,
}

impl Reply {
    /// A reply of `kind` of which nothing else is known.
    pub fn bare(responder: IpAddr, received_at: Time, kind: ReplyKind) -> Self {
        Reply {
            responder,
            received_at,
            kind,
            icmp_type: None,
            icmp_code: None,
            ttl: None,
            tos: None,
            size: None,
            ip_id: None,
            destination: None,
            quoted: None,
            echoed: None,
            next_hop_mtu: None,
            mpls: Vec::new(),
            interface_info: Vec::new(),
            icmp_extensions: None,
        }
    }
}

/// Why a received packet is counted but matched to no probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscardReason {
    /// Too short for the headers it claims.
    Truncated,
    /// Not IP, or header fields that contradict each other.
    Malformed,
    /// A fragment that could not be put together with others to a packet.
    Fragment,
    /// The ICMP checksum does not fit.
    BadChecksum,
    /// An ICMP type, a TCP segment or another packet that answers no probe of ours.
    OtherType,
    /// Quotes a packet that this run cannot have sent: another protocol, or ports that are not ours.
    Foreign,
    /// Quotes our ports or identifiers, but no live probe has these open facts or this serial.
    Unknown,
    /// Quotes the open facts of a live probe without its secrets.
    Forged,
    /// Came from one of our own addresses: a local failure to send, not a hop.
    Local,
    /// Several live probes may be the one answered, and nothing in the packet tells which.
    Ambiguous,
    /// A further reply to a probe that has had a thousand.
    Excess,
}

impl DiscardReason {
    /// Every reason, in the order of the manifest.
    pub const ALL: [DiscardReason; 11] = [
        DiscardReason::Truncated,
        DiscardReason::Malformed,
        DiscardReason::Fragment,
        DiscardReason::BadChecksum,
        DiscardReason::OtherType,
        DiscardReason::Foreign,
        DiscardReason::Unknown,
        DiscardReason::Forged,
        DiscardReason::Local,
        DiscardReason::Ambiguous,
        DiscardReason::Excess,
    ];

    /// The name in the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            DiscardReason::Truncated => "truncated",
            DiscardReason::Malformed => "malformed",
            DiscardReason::Fragment => "fragment",
            DiscardReason::BadChecksum => "bad_checksum",
            DiscardReason::OtherType => "other_type",
            DiscardReason::Foreign => "foreign",
            DiscardReason::Unknown => "unknown",
            DiscardReason::Forged => "forged",
            DiscardReason::Local => "local",
            DiscardReason::Ambiguous => "ambiguous",
            DiscardReason::Excess => "excess",
        }
    }
}
