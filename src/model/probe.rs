//! A probe and its purpose.

use std::net::IpAddr;

use super::named::named;
use super::{FlowId, TargetId, Ttl};

named! {
    /// The transport protocol of a probe.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Protocol: "a protocol" {
        /// UDP datagrams to a port that is normally closed.
        Udp = "udp",
        /// ICMP echo requests (ICMPv6 to IPv6 targets).
        Icmp = "icmp",
        /// TCP segments without a connection; see [`TcpFlags`].
        Tcp = "tcp",
    }
}

impl Protocol {
    /// Whether probes of this protocol have ports.
    pub const fn has_ports(self) -> bool {
        !matches!(self, Protocol::Icmp)
    }
}

/// The name of a probe's protocol in datasets: that of a [`Protocol`], or of one that a program adds to those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolName(&'static str);

impl ProtocolName {
    /// The name of a protocol that is no [`Protocol`].
    pub const fn new(name: &'static str) -> Self {
        ProtocolName(name)
    }

    /// The name in the `protocol` column.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl From<Protocol> for ProtocolName {
    fn from(protocol: Protocol) -> Self {
        ProtocolName(protocol.as_str())
    }
}

impl PartialEq<Protocol> for ProtocolName {
    fn eq(&self, other: &Protocol) -> bool {
        self.0 == other.as_str()
    }
}

named! {
    /// The kind of TCP probe.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum TcpFlags: "a kind of TCP segment" {
        /// A connection request. The answer is SYN-ACK or RST.
        #[default]
        Syn = "syn",
        /// An acknowledgement without a connection. The answer is RST.
        Ack = "ack",
        /// Data without a connection (PSH and ACK). The answer is RST.
        Psh = "psh",
    }
}

impl TcpFlags {
    /// The flags byte (RFC 9293).
    pub const fn bits(self) -> u8 {
        match self {
            TcpFlags::Syn => 0x02,
            TcpFlags::Ack => 0x10,
            TcpFlags::Psh => 0x18,
        }
    }
}

named! {
    /// The field in which the flows of a target differ. Everything else that a balancer may hash is the same in all flows of a target.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum Vary: "a field that flows differ in" {
        /// The UDP or TCP source port. With ICMP echo, the identifier and the checksum.
        #[default]
        SourcePort = "source_port",
        /// The UDP or TCP destination port.
        DestPort = "dest_port",
        /// The checksum of ICMP echo requests. The identifier is the same in all flows.
        IcmpChecksum = "icmp_checksum",
        /// The IPv6 flow label.
        FlowLabel = "flow_label",
    }
}

impl Vary {
    /// How many source ports (ICMP: identifiers) so many flows have.
    pub const fn source_ports(self, flows: u16) -> u16 {
        match self {
            Vary::SourcePort => flows,
            Vary::DestPort | Vary::IcmpChecksum | Vary::FlowLabel => 1,
        }
    }

    /// How many destination ports so many flows have.
    pub const fn destination_ports(self, flows: u16) -> u16 {
        match self {
            Vary::DestPort => flows,
            Vary::SourcePort | Vary::IcmpChecksum | Vary::FlowLabel => 1,
        }
    }
}

named! {
    /// The purpose of a probe.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Purpose: "a purpose" {
        /// Sent at the maximum TTL to measure the target's distance.
        Distance = "distance",
        /// The first probe of a trace at its TTL.
        Trace = "trace",
        /// Sent again because an earlier attempt got no reply.
        Retry = "retry",
        /// Sent to a hop that has answered, if several answers are wanted.
        Repeat = "repeat",
        /// One item of a sweep.
        Sweep = "sweep",
        /// Sent with another flow to find more next hops. Written by multipath tracing.
        Multipath = "multipath",
        /// Sent again at the end of the run, to a hop that was silent. Written by the second pass.
        SecondPass = "second_pass",
        /// Sent to find the largest size that passes. Written by the search for the path MTU.
        Mtu = "mtu",
        /// Sent to compare an inferred hop with the network. Written by the audit of inferred hops.
        Audit = "audit",
    }
}

/// A probe that a strategy asks for. (target, flow, TTL, attempt) identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The target's position in the run's set of targets.
    pub target: TargetId,
    /// The address probed.
    pub destination: IpAddr,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// The TTL it is sent with.
    pub ttl: Ttl,
    /// The attempt, from 1.
    pub attempt: u8,
    /// Its purpose.
    pub purpose: Purpose,
    /// Its size with the IP header, bytes. `None`: the size of the run's other probes.
    pub size: Option<u16>,
    /// The round of a strategy that works in rounds; 0 in one that does not.
    pub round: u16,
}
