//! A probe: what is sent, and why.

use std::net::IpAddr;

use serde::Serialize;

use super::{FlowId, TargetId, Ttl};

/// The transport protocol of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// UDP datagrams to a port where nothing should listen.
    Udp,
    /// ICMP echo requests (ICMPv6 to IPv6 targets).
    Icmp,
    /// TCP segments of no connection; see [`TcpFlags`].
    Tcp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Protocol; 3] = [Protocol::Udp, Protocol::Icmp, Protocol::Tcp];

    /// The name that datasets and options use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Udp => "udp",
            Protocol::Icmp => "icmp",
            Protocol::Tcp => "tcp",
        }
    }

    /// Whether its probes have ports.
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

/// Which segment a TCP probe is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TcpFlags {
    /// A connection request: answered by SYN-ACK or RST.
    #[default]
    Syn,
    /// An acknowledgement of nothing: answered by RST.
    Ack,
    /// Data of no connection (PSH and ACK): answered by RST.
    Psh,
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

/// Why a probe is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Sent at the maximum TTL to learn how far the target is.
    Distance,
    /// The first probe of a trace at its TTL.
    Trace,
    /// Sent again because an earlier attempt went unanswered.
    Retry,
    /// Sent to a hop that has answered, where more than one answer is wanted.
    Repeat,
    /// One item of a sweep.
    Sweep,
}

impl Purpose {
    /// The name in the `purpose` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Purpose::Distance => "distance",
            Purpose::Trace => "trace",
            Purpose::Retry => "retry",
            Purpose::Repeat => "repeat",
            Purpose::Sweep => "sweep",
        }
    }
}

/// What a strategy asks to be sent: (target, flow, TTL, attempt) names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The target's place in the run's target set.
    pub target: TargetId,
    /// The address probed.
    pub destination: IpAddr,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// The TTL it is sent with.
    pub ttl: Ttl,
    /// From 1.
    pub attempt: u8,
    /// Why it is sent.
    pub purpose: Purpose,
    /// Its size with the IP header, bytes. `None`: the size of the run's other probes.
    pub size: Option<u16>,
    /// The round of a strategy that works in rounds; 0 in one that does not.
    pub round: u16,
}
