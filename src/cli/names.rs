//! Names that options take, and what they stand for.

use clap::ValueEnum;

use pathsurvey::config::{Method, Transport};
use pathsurvey::model::{Protocol, TcpFlags};
use pathsurvey::targets::Families;

/// How targets are probed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MethodName {
    /// Complete paths with few probes: distance first, then hop by hop until target, unreachable, loop or gap limit.
    Trace,
    /// Every (target, TTL, flow) exactly once, in a random order.
    Sweep,
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::Trace => Method::Trace,
            MethodName::Sweep => Method::Sweep,
        }
    }
}

/// Through which sockets.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TransportName {
    /// Raw sockets, or where they are refused ordinary ones, if these can do what is asked for.
    Auto,
    /// Raw sockets: everything can be sent and is recorded; takes CAP_NET_RAW.
    Raw,
    /// Ordinary sockets, without privilege: traces of UDP, and traces and sweeps of ICMP echo where net.ipv4.ping_group_range
    /// allows; what only whole packets show is null.
    Dgram,
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Auto => Transport::Auto,
            TransportName::Raw => Transport::Raw,
            TransportName::Dgram => Transport::Dgram,
        }
    }
}

/// The probes' protocol.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ProtocolName {
    /// Datagrams to a port where nothing should listen.
    Udp,
    /// Segments of no connection.
    Tcp,
    /// Echo requests; ICMPv6 to IPv6 targets.
    Icmp,
}

impl From<ProtocolName> for Protocol {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::Udp => Protocol::Udp,
            ProtocolName::Tcp => Protocol::Tcp,
            ProtocolName::Icmp => Protocol::Icmp,
        }
    }
}

/// TCP segments.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FlagsName {
    /// A connection request.
    Syn,
    /// An acknowledgement of nothing.
    Ack,
    /// A byte of data of no connection.
    Psh,
}

impl From<FlagsName> for TcpFlags {
    fn from(name: FlagsName) -> Self {
        match name {
            FlagsName::Syn => TcpFlags::Syn,
            FlagsName::Ack => TcpFlags::Ack,
            FlagsName::Psh => TcpFlags::Psh,
        }
    }
}

/// What a host name stands for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum NameFamily {
    /// Its lowest IPv4 address.
    #[value(name = "4")]
    Ipv4,
    /// Its lowest IPv6 address.
    #[value(name = "6")]
    Ipv6,
    /// All its addresses, IPv4 and IPv6.
    Both,
}

impl From<NameFamily> for Families {
    fn from(family: NameFamily) -> Self {
        match family {
            NameFamily::Ipv4 => Families::Ipv4,
            NameFamily::Ipv6 => Families::Ipv6,
            NameFamily::Both => Families::Both,
        }
    }
}

/// Why options that name flags or ports make no sense with a protocol that has none.
pub(super) fn contradiction(
    protocol: ProtocolName,
    flags: Option<FlagsName>,
    ports_named: bool,
) -> Option<&'static str> {
    match protocol {
        ProtocolName::Udp | ProtocolName::Icmp if flags.is_some() => {
            Some("--tcp-flags: only TCP probes have flags; add --protocol tcp")
        }
        ProtocolName::Icmp if ports_named => {
            Some("--dest-port and --port-per-ttl: ICMP echo requests have no ports")
        }
        _ => None,
    }
}
