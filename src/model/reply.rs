//! A reply: the packet that came back, its quote, and the certainty of the match.

use std::net::IpAddr;

use serde::Serialize;

use super::{QuotedProbe, Time};

/// The kind of a reply. ICMP types and codes are kept as numbers as well.
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
    /// TCP ACK without SYN or RST: the answer to a further SYN of a half-open connection.
    Ack,
    /// A UDP datagram from the port probed.
    Udp,
}

impl ReplyKind {
    /// The kind of an ICMPv4 error that answers a probe. `None` for any other type. Redirects (5) and source quenches (4) quote a packet but
    /// are not answers: the sender of a redirect still forwards the packet.
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

    /// The kind of an ICMPv6 error (RFC 4443). `None` for any other type.
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

    /// Whether a reply of this kind may answer any of several probes, or may spoil the replies to others. TCP answers a connection, and a
    /// UDP datagram answers no probe in particular.
    pub const fn tells_no_probe_apart(self) -> bool {
        matches!(
            self,
            ReplyKind::SynAck | ReplyKind::Rst | ReplyKind::Ack | ReplyKind::Udp
        )
    }

    /// Whether it reports that the packet is too large for the next line and must not be fragmented. A router that reports this did not
    /// check the TTL.
    pub const fn is_too_large(self) -> bool {
        matches!(
            self,
            ReplyKind::FragmentationNeeded | ReplyKind::PacketTooBig
        )
    }

    /// Whether only the end of a path sends such a reply: it repeats fields of the probe that no router on the way reads.
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

    /// Whether a reply of this kind proves that its probe reached the end of the path. `from_target`: the responder is the address probed.
    /// A target that answers Time Exceeded forwards the packet, so this does not count.
    pub const fn is_arrival(self, from_target: bool) -> bool {
        self.repeats_probe() || from_target && !matches!(self, ReplyKind::TimeExceeded)
    }

    /// Whether it reports that the packet was dropped for another reason than its TTL. From a router on the way this is a complaint: other
    /// packets may still pass.
    pub const fn is_complaint(self) -> bool {
        self.is_unreachable() || matches!(self, ReplyKind::ParameterProblem)
    }

    /// Whether it reports that the packet cannot be delivered (Destination Unreachable with any code, or Packet Too Big).
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

/// How certain it is that a reply answers the probe that it was matched to. Weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// One secret came back, and every open fact is right.
    Weak,
    /// Both secrets came back, with the checksum as a rewriting box adjusts it. Or the tag came back, with an open fact changed.
    Rewritten,
    /// The tag came back, or both secrets as sent. Every open fact is right.
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

/// The information of a router about one of its interfaces (RFC 5837).
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

/// The fields of the probe that a reply without a quote repeats.
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
        /// The tag, if the datagram repeats our payload.
        tag: Option<u64>,
        /// The serial, if the datagram repeats it.
        serial: Option<u16>,
    },
}

/// A reply that was received from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The responder.
    pub responder: IpAddr,
    /// When it arrived.
    pub received_at: Time,
    /// Its kind.
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
    /// The address of ours to which it was sent.
    pub destination: Option<IpAddr>,
    /// The quoted probe.
    pub quoted: Option<QuotedProbe>,
    /// The fields of the probe that it repeats, if it has no quote.
    pub echoed: Option<Echoed>,
    /// Next-hop MTU in bytes, of a fragmentation-needed or packet-too-big message. Absent if the router wrote none.
    pub next_hop_mtu: Option<u32>,
    /// MPLS label stack, top first.
    pub mpls: Vec<MplsLabel>,
    /// Interface information objects.
    pub interface_info: Vec<InterfaceInfo>,
    /// The whole extension structure (RFC 4884) as received.
    pub icmp_extensions: Option<Vec<u8>>,
}

impl Reply {
    /// A reply of `kind` without further facts.
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

/// Why a received packet was matched to no probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscardReason {
    /// Too short for its headers.
    Truncated,
    /// Not IP, or header fields that contradict each other.
    Malformed,
    /// A fragment whose packet could not be reassembled.
    Fragment,
    /// The ICMP checksum is wrong.
    BadChecksum,
    /// An ICMP type, a TCP segment or another packet that cannot answer a probe of ours.
    OtherType,
    /// It quotes a packet that this run cannot have sent: another protocol, or ports that are not ours.
    Foreign,
    /// It quotes our ports or identifiers, but no live probe has these open facts or this serial.
    Unknown,
    /// It quotes the open facts of a live probe without its secrets.
    Forged,
    /// It came from one of our own addresses: a local failure to send, not a hop.
    Local,
    /// It may answer several probes, and the packet does not show which.
    Ambiguous,
    /// A further reply to a probe that already has a thousand.
    Excess,
}

impl DiscardReason {
    /// All reasons, in the order of the manifest.
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
