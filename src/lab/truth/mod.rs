//! What a network would show of a path if nothing went missing: the measure of every dataset.

mod table;
mod walk;

use std::net::IpAddr;
use std::time::Duration;

use crate::lab::packet::address::Family;
use crate::lab::packet::{ICMP, ICMPV6, TCP, UDP};
use crate::model::{InterfaceInfo, MplsLabel, ReplyKind, Ttl};

/// What every probe of a flow has in common: all that a per-flow balancer hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TruthFlow {
    /// The address probed.
    pub destination: IpAddr,
    /// Source port; for ICMP echo the identifier.
    pub source_port: u16,
    /// Destination port; for ICMP echo the checksum.
    pub destination_port: u16,
    /// IP protocol number; of ICMP echo 1, or 58 in IPv6.
    pub protocol: u8,
    /// IPv6 flow label; `None` and `Some(0)` are the same on the wire.
    pub flow_label: Option<u32>,
}

impl TruthFlow {
    /// A UDP flow.
    pub fn udp(destination: impl Into<IpAddr>, source_port: u16, destination_port: u16) -> Self {
        Self::new(destination.into(), UDP, source_port, destination_port)
    }

    /// A TCP flow. Truth is what its SYNs bring; an ACK without a connection brings a reset wherever a SYN brings
    /// [`TruthKind::SynAck`] or [`TruthKind::Rst`].
    pub fn tcp(destination: impl Into<IpAddr>, source_port: u16, destination_port: u16) -> Self {
        Self::new(destination.into(), TCP, source_port, destination_port)
    }

    /// A flow of ICMP echo requests with this identifier and, whatever they carry, this checksum.
    pub fn echo(destination: impl Into<IpAddr>, identifier: u16, checksum: u16) -> Self {
        let destination = destination.into();
        let protocol = match Family::of(destination) {
            Family::V4 => ICMP,
            Family::V6 => ICMPV6,
        };
        Self::new(destination, protocol, identifier, checksum)
    }

    /// The same flow with an IPv6 flow label (20 bits).
    #[must_use]
    pub fn with_flow_label(self, label: u32) -> Self {
        TruthFlow {
            flow_label: Some(label),
            ..self
        }
    }

    fn new(destination: IpAddr, protocol: u8, source_port: u16, destination_port: u16) -> Self {
        TruthFlow {
            destination,
            source_port,
            destination_port,
            protocol,
            flow_label: None,
        }
    }
}

/// The true path of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Where it starts: the vantage point's address of the destination's family, or where it has none the other.
    pub vantage: IpAddr,
    /// Whose path it is.
    pub flow: TruthFlow,
    /// What each TTL shows, from TTL 1 on without a gap.
    pub hops: Vec<TruthHop>,
    /// How the path ends.
    pub end: TruthEnd,
}

/// What a probe with one TTL shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthHop {
    /// The TTL it is sent with.
    pub ttl: Ttl,
    /// What may happen: one outcome, or several different ones behind per-packet balancers.
    pub outcomes: Vec<TruthOutcome>,
}

/// What happens to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TruthOutcome {
    /// Somebody answers.
    Answer(TruthAnswer),
    /// Nobody does, and here is where it ended.
    Silence {
        /// The router or target that says nothing; of a router without an address of the flow's family, the other one.
        at: IpAddr,
        /// Whether it is the target.
        is_target: bool,
    },
}

/// What kind of packet an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TruthKind {
    /// An ICMP error; in IPv6 type and code are those of ICMPv6 (RFC 4443).
    Icmp {
        /// ICMP type.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
    },
    /// An ICMP echo reply: type 0, in IPv6 129.
    EchoReply,
    /// A TCP segment with SYN and ACK: the port is open.
    SynAck,
    /// A TCP reset: the port is closed.
    Rst,
    /// A UDP datagram from the port that was probed.
    Udp,
}

/// An answer as it arrives at the vantage point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthAnswer {
    /// Who sent it.
    pub responder: IpAddr,
    /// Whether that is the target.
    pub is_target: bool,
    /// Whether probes with a higher TTL get past whoever sent it.
    pub lets_pass: bool,
    /// There and back, without jitter.
    pub rtt: Duration,
    /// What it is.
    pub answer: TruthKind,
    /// The answer's own TTL on arrival.
    pub reply_ttl: u8,
    /// TTL in the quoted probe; `None` for all but ICMP errors, which alone quote it.
    pub quoted_ttl: Option<u8>,
    /// Source address in the quoted probe.
    pub quoted_source: Option<IpAddr>,
    /// Destination address in the quoted probe.
    pub quoted_destination: Option<IpAddr>,
    /// MPLS labels that it shows, top first.
    pub mpls: Vec<MplsLabel>,
    /// What it says of interfaces (RFC 5837).
    pub interfaces: Vec<InterfaceInfo>,
}

impl TruthAnswer {
    /// The ICMP type, also of an echo reply; `None` for TCP and UDP.
    pub fn icmp_type(&self) -> Option<u8> {
        match self.answer {
            TruthKind::Icmp { icmp_type, .. } => Some(icmp_type),
            TruthKind::EchoReply if self.responder.is_ipv6() => Some(129),
            TruthKind::EchoReply => Some(0),
            TruthKind::SynAck | TruthKind::Rst | TruthKind::Udp => None,
        }
    }

    /// The ICMP code, also of an echo reply; `None` for TCP and UDP.
    pub fn icmp_code(&self) -> Option<u8> {
        match self.answer {
            TruthKind::Icmp { code, .. } => Some(code),
            TruthKind::EchoReply => Some(0),
            TruthKind::SynAck | TruthKind::Rst | TruthKind::Udp => None,
        }
    }

    /// What it says; `None` for an ICMP error of a type that answers nothing.
    pub fn kind(&self) -> Option<ReplyKind> {
        match self.answer {
            TruthKind::Icmp { icmp_type, code } if self.responder.is_ipv4() => {
                ReplyKind::of_icmpv4(icmp_type, code)
            }
            TruthKind::Icmp { icmp_type, code } => ReplyKind::of_icmpv6(icmp_type, code),
            TruthKind::EchoReply => Some(ReplyKind::EchoReply),
            TruthKind::SynAck => Some(ReplyKind::SynAck),
            TruthKind::Rst => Some(ReplyKind::Rst),
            TruthKind::Udp => Some(ReplyKind::Udp),
        }
    }
}

/// How a path ends. The TTL is the smallest that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruthEnd {
    /// The target answers.
    Reached(Ttl),
    /// Probes arrive at a target that says nothing.
    SilentTarget(Ttl),
    /// A router says that it cannot go on.
    Unreachable(Ttl),
    /// Routers throw probes away, or pass them to and fro for good, up to the last TTL asked for.
    Nowhere,
}

impl TruthHop {
    /// The answer, where exactly one thing can happen and it is an answer.
    pub fn answer(&self) -> Option<&TruthAnswer> {
        match self.outcomes.as_slice() {
            [TruthOutcome::Answer(answer)] => Some(answer),
            _ => None,
        }
    }

    /// Who answers, where that is certain; `None` for silence and for per-packet balancers with several answers.
    pub fn responder(&self) -> Option<IpAddr> {
        self.answer().map(|answer| answer.responder)
    }

    /// Everyone who may answer.
    pub fn candidates(&self) -> impl Iterator<Item = &TruthAnswer> {
        self.outcomes.iter().filter_map(|outcome| match outcome {
            TruthOutcome::Answer(answer) => Some(answer),
            TruthOutcome::Silence { .. } => None,
        })
    }

    /// Whether nobody answers.
    pub fn is_silent(&self) -> bool {
        self.candidates().next().is_none()
    }
}

impl Truth {
    /// Whether the target answers.
    pub fn reached(&self) -> bool {
        matches!(self.end, TruthEnd::Reached(_))
    }

    /// The distance of the target, if probes reach it.
    pub fn path_length(&self) -> Option<Ttl> {
        match self.end {
            TruthEnd::Reached(ttl) | TruthEnd::SilentTarget(ttl) => Some(ttl),
            TruthEnd::Unreachable(_) | TruthEnd::Nowhere => None,
        }
    }

    /// What `ttl` shows, if it was asked for.
    pub fn hop(&self, ttl: Ttl) -> Option<&TruthHop> {
        self.hops.get(usize::from(ttl.0).checked_sub(1)?)
    }
}
