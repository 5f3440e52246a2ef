//! The truth: what a network shows of a path if nothing is lost or limited. Datasets are compared with it.

mod table;
mod walk;

use std::net::IpAddr;
use std::time::Duration;

use crate::lab::packet::address::Family;
use crate::lab::packet::{ICMP, ICMPV6, TCP, UDP};
use crate::model::{InterfaceInfo, MplsLabel, ReplyKind, Ttl};

/// The fields that every probe of a flow shares. A per-flow balancer hashes exactly these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TruthFlow {
    /// The address probed.
    pub destination: IpAddr,
    /// Source port; for ICMP echo the identifier.
    pub source_port: u16,
    /// Destination port; for ICMP echo the checksum.
    pub destination_port: u16,
    /// IP protocol number. For ICMP echo it is 1, or 58 in IPv6.
    pub protocol: u8,
    /// IPv6 flow label; `None` and `Some(0)` are the same on the wire.
    pub flow_label: Option<u32>,
}

impl TruthFlow {
    /// A UDP flow.
    pub fn udp(destination: impl Into<IpAddr>, source_port: u16, destination_port: u16) -> Self {
        Self::new(destination.into(), UDP, source_port, destination_port)
    }

    /// A TCP flow. The truth holds the replies to SYNs. If a SYN brings [`TruthKind::SynAck`] or [`TruthKind::Rst`], an ACK without a
    /// connection brings a reset.
    pub fn tcp(destination: impl Into<IpAddr>, source_port: u16, destination_port: u16) -> Self {
        Self::new(destination.into(), TCP, source_port, destination_port)
    }

    /// A flow of ICMP echo requests with this identifier and checksum, whatever their payload.
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
    /// Where the path starts: the vantage point's address in the destination's family. If it has none, its address in the other family.
    pub vantage: IpAddr,
    /// The flow that takes this path.
    pub flow: TruthFlow,
    /// What each TTL shows, from TTL 1 on, without gaps.
    pub hops: Vec<TruthHop>,
    /// How the path ends.
    pub end: TruthEnd,
}

/// What a probe with one TTL shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthHop {
    /// The TTL it is sent with.
    pub ttl: Ttl,
    /// The possible outcomes: one, or several if there are per-packet balancers.
    pub outcomes: Vec<TruthOutcome>,
}

/// What happens to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TruthOutcome {
    /// A node answers.
    Answer(TruthAnswer),
    /// No node answers. The probe ended at `at`.
    Silence {
        /// The silent router or target. If a router has no address in the flow's family, its address in the other family.
        at: IpAddr,
        /// Whether `at` is the target.
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

/// A reply as it arrives at the vantage point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthAnswer {
    /// The address that sent it.
    pub responder: IpAddr,
    /// Whether the responder is the target.
    pub is_target: bool,
    /// Whether probes with a higher TTL pass the responder.
    pub lets_pass: bool,
    /// The RTT without jitter.
    pub rtt: Duration,
    /// The kind of packet.
    pub answer: TruthKind,
    /// The reply's own TTL on arrival.
    pub reply_ttl: u8,
    /// TTL in the quoted probe. `None` for replies that quote no probe: all but ICMP errors.
    pub quoted_ttl: Option<u8>,
    /// Source address in the quoted probe.
    pub quoted_source: Option<IpAddr>,
    /// Destination address in the quoted probe.
    pub quoted_destination: Option<IpAddr>,
    /// MPLS labels in the reply, top first.
    pub mpls: Vec<MplsLabel>,
    /// Interface information in the reply (RFC 5837).
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

    /// The kind of the reply in datasets. `None` for an ICMP error of a type that answers no probe.
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

/// How a path ends. The TTL is the lowest that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruthEnd {
    /// The target answers.
    Reached(Ttl),
    /// Probes arrive at a silent target.
    SilentTarget(Ttl),
    /// A router reports that it cannot deliver probes.
    Unreachable(Ttl),
    /// Routers discard the probes, or forward them in a loop, up to the highest TTL asked for.
    Nowhere,
}

impl TruthHop {
    /// The reply, if it is the only possible outcome.
    pub fn answer(&self) -> Option<&TruthAnswer> {
        match self.outcomes.as_slice() {
            [TruthOutcome::Answer(answer)] => Some(answer),
            _ => None,
        }
    }

    /// The responder, if it is certain. `None` for silence, and if per-packet balancers allow several responders.
    pub fn responder(&self) -> Option<IpAddr> {
        self.answer().map(|answer| answer.responder)
    }

    /// All possible replies.
    pub fn candidates(&self) -> impl Iterator<Item = &TruthAnswer> {
        self.outcomes.iter().filter_map(|outcome| match outcome {
            TruthOutcome::Answer(answer) => Some(answer),
            TruthOutcome::Silence { .. } => None,
        })
    }

    /// Whether no reply is possible.
    pub fn is_silent(&self) -> bool {
        self.candidates().next().is_none()
    }
}

impl Truth {
    /// Whether the target answers.
    pub fn reached(&self) -> bool {
        matches!(self.end, TruthEnd::Reached(_))
    }

    /// The distance of the target, if probes arrive there.
    pub fn path_length(&self) -> Option<Ttl> {
        match self.end {
            TruthEnd::Reached(ttl) | TruthEnd::SilentTarget(ttl) => Some(ttl),
            TruthEnd::Unreachable(_) | TruthEnd::Nowhere => None,
        }
    }

    /// What `ttl` shows. `None` if that TTL was not asked for.
    pub fn hop(&self, ttl: Ttl) -> Option<&TruthHop> {
        self.hops.get(usize::from(ttl.0).checked_sub(1)?)
    }
}
