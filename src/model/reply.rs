//! A reply: the packet that came back, its quote, and the certainty of the match.

use std::net::IpAddr;

use super::named::named;
use super::{QuotedProbe, Time};

named! {
    /// The kind of a reply. ICMP types and codes are kept as numbers as well.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum ReplyKind: "a kind of reply" {
        /// The TTL ran out in transit (ICMP type 11 code 0; ICMPv6 type 3 code 0).
        TimeExceeded = "time_exceeded",
        /// Reassembly took too long (type 11 code 1; ICMPv6 type 3 code 1).
        ReassemblyTimeExceeded = "reassembly_time_exceeded",
        /// Type 3 code 0; ICMPv6 type 1 code 0 (no route).
        NetworkUnreachable = "network_unreachable",
        /// Type 3 code 1; ICMPv6 type 1 code 3 (address unreachable).
        HostUnreachable = "host_unreachable",
        /// Type 3 code 2.
        ProtocolUnreachable = "protocol_unreachable",
        /// Type 3 code 3; ICMPv6 type 1 code 4.
        PortUnreachable = "port_unreachable",
        /// Type 3 code 4.
        FragmentationNeeded = "fragmentation_needed",
        /// Type 3 code 5.
        SourceRouteFailed = "source_route_failed",
        /// Type 3 codes 9, 10 and 13; ICMPv6 type 1 codes 1, 5 and 6.
        AdministrativelyProhibited = "administratively_prohibited",
        /// Type 3 with any other code.
        Unreachable = "unreachable",
        /// Type 12; ICMPv6 type 4.
        ParameterProblem = "parameter_problem",
        /// ICMPv6 type 2.
        PacketTooBig = "packet_too_big",
        /// An answer to an ICMP echo request.
        EchoReply = "echo_reply",
        /// TCP SYN and ACK: the port is open.
        SynAck = "syn_ack",
        /// TCP RST: the port is closed, or the segment belonged to no connection.
        Rst = "rst",
        /// TCP ACK without SYN or RST: the answer to a further SYN of a half-open connection.
        Ack = "ack",
        /// A UDP datagram from the port probed.
        Udp = "udp",
    }
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

named! {
    /// How certain it is that a reply answers the probe that it was matched to. Weakest first.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Evidence: "a grade of evidence" {
        /// One secret came back, and every open fact is right.
        Weak = "weak",
        /// Both secrets came back, with the checksum as a rewriting box adjusts it. Or the tag came back, with an open fact changed.
        Rewritten = "rewritten",
        /// The tag came back, or both secrets as sent. Every open fact is right.
        Full = "full",
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

named! {
    /// The role of an interface in the packet's path (RFC 5837, section 4.1).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum InterfaceRole: "a role of an interface" {
        /// The IP interface that received the packet.
        Incoming = "incoming",
        /// The interface below the IP interface that received it, such as a member of a bundle.
        SubIp = "sub_ip",
        /// The IP interface that would have sent the packet on.
        Outgoing = "outgoing",
        /// The next hop to which it would have been sent.
        NextHop = "next_hop",
    }
}

/// The information of a router about one of its interfaces (RFC 5837).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Its role in the packet's path.
    pub role: InterfaceRole,
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

named! {
    /// Why a received packet was matched to no probe.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum DiscardReason: "a reason for a discard" {
        /// Too short for its headers.
        Truncated = "truncated",
        /// Not IP, or header fields that contradict each other.
        Malformed = "malformed",
        /// A fragment whose packet could not be reassembled.
        Fragment = "fragment",
        /// The ICMP checksum is wrong.
        BadChecksum = "bad_checksum",
        /// An ICMP type, a TCP segment or another packet that cannot answer a probe of ours.
        OtherType = "other_type",
        /// It quotes a packet that this run cannot have sent: another protocol, or ports that are not ours.
        Foreign = "foreign",
        /// It quotes our ports or identifiers, but no live probe has these open facts or this serial.
        Unknown = "unknown",
        /// It quotes the open facts of a live probe without its secrets.
        Forged = "forged",
        /// It came from one of our own addresses: a local failure to send, not a hop.
        Local = "local",
        /// It may answer several probes, and the packet does not show which.
        Ambiguous = "ambiguous",
        /// A further reply to a probe that already has a thousand.
        Excess = "excess",
    }
}
