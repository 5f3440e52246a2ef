//! The names that options accept, and their values.

use clap::ValueEnum;

use pathsurvey::config::{IfExists, StrategyChoice, TransportChoice};
use pathsurvey::model::{Algorithm, Protocol, TcpFlags, Vary};
use pathsurvey::targets::Families;

/// The strategy.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StrategyName {
    /// Trace complete paths with few probes: measure the distance, then probe hop by hop. A trace ends at the target, an unreachable, a loop
    /// or the gap limit.
    Trace,
    /// Probe every (target, TTL, flow) exactly once, in random order.
    Sweep,
    /// Find all paths that the flows to a target can take (MDA): at each node, send flows until it is unlikely that a next hop was missed.
    Multipath,
}

impl From<StrategyName> for StrategyChoice {
    fn from(name: StrategyName) -> Self {
        match name {
            StrategyName::Trace => StrategyChoice::Trace,
            StrategyName::Sweep => StrategyChoice::Sweep,
            StrategyName::Multipath => StrategyChoice::Multipath,
        }
    }
}

/// The kind of sockets.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TransportName {
    /// Raw sockets if they are allowed. Otherwise ordinary sockets, if they support all given options.
    Auto,
    /// Raw sockets. They support all options, record every field of a reply, and need CAP_NET_RAW.
    Raw,
    /// Ordinary sockets, without privileges. They support UDP traces, and ICMP echo traces and sweeps if net.ipv4.ping_group_range allows
    /// them. Columns that need the whole packet are null.
    Dgram,
}

impl From<TransportName> for TransportChoice {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Auto => TransportChoice::Auto,
            TransportName::Raw => TransportChoice::Raw,
            TransportName::Dgram => TransportChoice::Dgram,
        }
    }
}

/// The probes' protocol.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ProtocolName {
    /// UDP datagrams to a port that is normally closed.
    Udp,
    /// TCP segments without a connection.
    Tcp,
    /// ICMP echo requests; ICMPv6 for IPv6 targets.
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

/// The kind of TCP segment.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FlagsName {
    /// A connection request.
    Syn,
    /// An acknowledgement without a connection.
    Ack,
    /// A byte of data without a connection.
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

/// How the graph of a target is searched.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AlgorithmName {
    /// Complete each node by itself (MDA).
    Full,
    /// Complete whole hops, with fewer probes (MDA-Lite). Goes over to the full search if the graph is meshed, not uniform, or changes from
    /// packet to packet.
    Lite,
}

impl From<AlgorithmName> for Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::Full => Algorithm::Full,
            AlgorithmName::Lite => Algorithm::Lite,
        }
    }
}

/// The field in which flows differ.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum VaryName {
    /// The UDP or TCP source port. With ICMP, the identifier and the checksum.
    SourcePort,
    /// The UDP or TCP destination port: --dest-port and those after it.
    DestPort,
    /// The checksum of ICMP echo requests. The identifier stays the same.
    IcmpChecksum,
    /// The IPv6 flow label. All targets must be IPv6.
    FlowLabel,
}

impl From<VaryName> for Vary {
    fn from(name: VaryName) -> Self {
        match name {
            VaryName::SourcePort => Vary::SourcePort,
            VaryName::DestPort => Vary::DestPort,
            VaryName::IcmpChecksum => Vary::IcmpChecksum,
            VaryName::FlowLabel => Vary::FlowLabel,
        }
    }
}

/// The addresses of a host name to probe.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum NameFamily {
    /// The lowest IPv4 address.
    #[value(name = "4")]
    Ipv4,
    /// The lowest IPv6 address.
    #[value(name = "6")]
    Ipv6,
    /// All addresses, IPv4 and IPv6.
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

/// What to do if the dataset directory already holds a run of the same night and vantage point.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum IfExistsName {
    /// Add the run beside the other one.
    Append,
    /// End with an error before the first probe.
    Fail,
    /// If a run of the night is finished, end successfully before the first probe. If it is unfinished, end with an error.
    Skip,
    /// Remove the other runs of the night when this one is complete.
    Replace,
}

impl From<IfExistsName> for IfExists {
    fn from(name: IfExistsName) -> Self {
        match name {
            IfExistsName::Append => IfExists::Append,
            IfExistsName::Fail => IfExists::Fail,
            IfExistsName::Skip => IfExists::Skip,
            IfExistsName::Replace => IfExists::Replace,
        }
    }
}

/// Returns an error if TCP flags or ports are given for a protocol that has none.
pub(super) fn unsupported(
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
