//! The properties that all probes of a run share, and their effect on probes and quotes.
//!
//! The protocol itself is a [`ProbeProtocol`]. This file holds what is the same for every protocol: ports, flows, sizes, the IP
//! header, and the comparison of open facts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ip::{self, Ends, IpHeader};
use super::protocol::{ProbeProtocol, Quote};
use super::token::{Marks, TokenMaker};
use super::udp::Udp;
use crate::model::{DiscardReason, FlowId, QuotedProbe, TargetId, TraceId, Ttl, Vary};

/// The properties that all probes of a run share.
#[derive(Clone, Copy, Debug)]
pub struct ProbeFormat {
    /// The protocol.
    pub protocol: &'static dyn ProbeProtocol,
    /// Source port (ICMP: identifier) of flow 0.
    pub source_port: u16,
    /// Flows per target.
    pub flows: u16,
    /// The field in which flows differ. It increases by one per flow.
    pub vary: Vary,
    /// Whether all flows of a target belong to one trace. Otherwise each flow is a trace.
    pub one_trace: bool,
    /// Destination port of flow 0.
    pub destination_port: u16,
    /// Whether the destination port increases with the TTL, as in the classic traceroute.
    pub port_per_ttl: bool,
    /// Type of service or traffic class.
    pub tos: u8,
    /// The size of every probe with its IP header, in bytes. `None`: as small as the protocol allows.
    pub packet_size: Option<u16>,
    /// Whether routers must not fragment (IPv4 DF).
    pub dont_fragment: bool,
    /// Whether ICMP errors are received with the quoted IP and UDP headers. Ordinary sockets do not deliver these.
    pub quotes_with_headers: bool,
}

/// The open facts of a quoted packet, if they can belong to this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFacts {
    /// The destination in the quoted packet.
    pub destination: IpAddr,
    /// The flow that the varied field belongs to.
    pub flow: FlowId,
    /// The TTL, if the packet shows it.
    pub ttl: Option<Ttl>,
}

/// The flow of an answer that quotes no probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredFlow {
    /// A flow of this run.
    Known(FlowId),
    /// One of the flows of this run. The answer does not show which.
    Unknown,
    /// The ports or the identifier are not of this run.
    Foreign,
}

/// A probe with its addresses and marks, ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct Marked {
    /// Our address.
    pub source: IpAddr,
    /// The address probed.
    pub destination: IpAddr,
    /// The flow.
    pub flow: FlowId,
    /// The TTL.
    pub ttl: Ttl,
    /// The size with the IP header, in bytes. `None`: the size of the run's other probes.
    pub size: Option<u16>,
    /// Identifies one transmission; also sent as the IP ID.
    pub serial: u16,
    /// Check and tag.
    pub marks: Marks,
    /// IPv6 flow label.
    pub flow_label: u32,
}

impl ProbeFormat {
    /// UDP to port 33434 without options. Flow 0 has the source port 24000.
    pub const fn udp(flows: u16) -> Self {
        ProbeFormat {
            protocol: &Udp,
            source_port: 24_000,
            flows,
            vary: Vary::SourcePort,
            one_trace: false,
            destination_port: 33_434,
            port_per_ttl: false,
            tos: 0,
            packet_size: None,
            dont_fragment: false,
            quotes_with_headers: true,
        }
    }

    /// The source port of `flow`, or its identifier.
    pub fn src_port(&self, flow: FlowId) -> u16 {
        match self.vary {
            Vary::SourcePort => self.source_port.wrapping_add(flow.0),
            Vary::DestPort | Vary::IcmpChecksum | Vary::FlowLabel => self.source_port,
        }
    }

    /// How many source ports (identifiers) the flows have.
    pub fn source_ports(&self) -> u16 {
        self.vary.source_ports(self.flows)
    }

    /// The IPv6 flow label of a flow; 0 for IPv4.
    pub fn flow_label(&self, destination: IpAddr, flow: FlowId) -> u32 {
        match (destination, self.vary) {
            (IpAddr::V4(_), _) => 0,
            (IpAddr::V6(_), Vary::FlowLabel) => TokenMaker::flow_label(destination, flow.0),
            (IpAddr::V6(_), _) => TokenMaker::flow_label(destination, 0),
        }
    }

    /// The trace that a flow of a target belongs to.
    pub fn trace_id(&self, target: TargetId, flow: FlowId) -> TraceId {
        match self.one_trace {
            true => TraceId::new(target, FlowId(0), 1),
            false => TraceId::new(target, flow, self.flows),
        }
    }

    /// The destination port of a probe; 0 if the protocol has no ports.
    pub fn dst_port(&self, flow: FlowId, ttl: Ttl) -> u16 {
        match self.protocol.has_ports() {
            true => self.port_at(flow, ttl),
            false => 0,
        }
    }

    /// The destination port of a probe, for a protocol that has ports.
    pub fn port_at(&self, flow: FlowId, ttl: Ttl) -> u16 {
        let of_flow = match self.vary {
            Vary::DestPort => self.destination_port.wrapping_add(flow.0),
            Vary::SourcePort | Vary::IcmpChecksum | Vary::FlowLabel => self.destination_port,
        };
        match self.port_per_ttl {
            true => of_flow.wrapping_add(u16::from(ttl.0) - 1),
            false => of_flow,
        }
    }

    /// Whether a quote of 8 transport bytes shows the TTL that the probe was sent with. The ledger's index depends on it.
    pub fn shows_ttl(&self) -> bool {
        self.protocol.shows_ttl(self)
    }

    /// Whether only one probe of a flow may be pending at a time, because a short quote shows neither its TTL nor a secret.
    pub fn is_one_by_one(&self) -> bool {
        self.protocol.is_one_by_one(self)
    }

    /// The size of a probe to `destination` with `ttl`, IP header included, in bytes. `chosen` is the probe's own size, if any.
    pub fn size(&self, destination: IpAddr, ttl: Ttl, chosen: Option<u16>) -> u16 {
        let header = ip::header_size(destination);
        let wanted = chosen
            .or(self.packet_size)
            .map(|size| usize::from(size).saturating_sub(header));
        (header + self.protocol.size(self, ttl, wanted)) as u16
    }

    /// The size of every probe of a family, in bytes. `None` if the size depends on the TTL.
    pub fn constant_size(&self, ipv6: bool) -> Option<u16> {
        let destination = match ipv6 {
            false => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let [least, most] = [1, u8::MAX].map(|ttl| self.size(destination, Ttl(ttl), None));
        (least == most).then_some(least)
    }

    /// The check and the tag of a probe. `drawn` holds those that [`TokenMaker::marks`] computed.
    pub fn marks(
        &self,
        drawn: Marks,
        tokens: &TokenMaker,
        destination: IpAddr,
        flow: FlowId,
    ) -> Marks {
        self.protocol.marks(self, drawn, tokens, destination, flow)
    }

    /// Writes a probe into `packet`, whose length is the probe's [`size`](Self::size).
    pub fn write(&self, probe: &Marked, ends: &Ends, packet: &mut [u8]) {
        let header = IpHeader {
            ends: *ends,
            protocol: self.protocol.number(probe.destination.is_ipv6()),
            ttl: probe.ttl,
            tos: self.tos,
            ip_id: probe.serial,
            dont_fragment: self.dont_fragment,
            flow_label: probe.flow_label,
        };
        header.encode(packet);
        let transport = &mut packet[ends.header_size()..];
        self.protocol.encode(self, probe, ends, transport);
    }

    /// The transport checksum of a probe. `None` if its addresses belong to different families.
    pub fn checksum(&self, probe: &Marked) -> Option<u16> {
        let ends = Ends::new(probe.source, probe.destination)?;
        Some(self.protocol.checksum(self, probe, &ends))
    }

    /// Reads the quoted packet of a probe. Refuses a packet of another protocol as foreign, and a short packet as truncated.
    pub fn read<'a>(&self, packet: &'a QuotedProbe) -> Result<Quote<'a>, DiscardReason> {
        if packet.protocol != self.protocol.number(packet.destination.is_ipv6()) {
            return Err(DiscardReason::Foreign);
        }
        match self.protocol.shown(self, &packet.transport) {
            Some(shown) => Ok(Quote { packet, shown }),
            None => Err(DiscardReason::Truncated),
        }
    }

    /// Whether a source port or identifier is one of this run.
    pub fn is_ours(&self, number: u16) -> bool {
        let behind = number.checked_sub(self.source_port);
        behind.is_some_and(|behind| behind < self.source_ports())
    }

    /// The flow of an answer that was sent from the port `theirs` to our port or identifier `ours`.
    pub fn answered_flow(&self, theirs: u16, ours: u16) -> AnsweredFlow {
        let offset = match self.vary {
            _ if !self.is_ours(ours) => return AnsweredFlow::Foreign,
            Vary::SourcePort => ours - self.source_port,
            // An answer from another port answers no probe of a flow.
            Vary::DestPort => match theirs.checked_sub(self.destination_port) {
                Some(offset) => offset,
                None => return AnsweredFlow::Foreign,
            },
            Vary::IcmpChecksum | Vary::FlowLabel if self.flows > 1 => return AnsweredFlow::Unknown,
            Vary::IcmpChecksum | Vary::FlowLabel => 0,
        };
        match offset < self.flows {
            true => AnsweredFlow::Known(FlowId(offset)),
            false => AnsweredFlow::Foreign,
        }
    }

    /// The flow that a quoted probe belongs to; `None` if this run has no such flow.
    pub fn quoted_flow(&self, quote: &Quote, tokens: &TokenMaker) -> Option<FlowId> {
        let number = { quote.shown.source_number }.filter(|number| self.is_ours(*number))?;
        let destination = quote.packet.destination;
        let offset = match self.vary {
            Vary::SourcePort => u32::from(number - self.source_port),
            Vary::DestPort => quote
                .shown
                .dst_port?
                .checked_sub(self.destination_port)?
                .into(),
            Vary::IcmpChecksum => {
                let check = quote.shown.checksum?;
                tokens
                    .flow_of_check(destination, self.source_port, check)?
                    .into()
            }
            Vary::FlowLabel => TokenMaker::flow_of_label(destination, quote.packet.flow_label?)?,
        };
        (offset < self.flows.into()).then_some(FlowId(offset as u16))
    }

    /// Whether the check only says which flow a probe belongs to, so that it proves nothing else.
    pub fn check_is_flow(&self) -> bool {
        self.vary == Vary::IcmpChecksum
    }

    /// The open facts of a quote; `None` if one of them cannot belong to this run.
    pub fn open_facts(&self, quote: &Quote, tokens: &TokenMaker) -> Option<OpenFacts> {
        let shown = &quote.shown;
        let flow = self.quoted_flow(quote, tokens)?;
        if self.shows_ttl() && shown.ttl.is_none() {
            return None;
        }
        let is_port_right = match shown.ttl {
            _ if !self.protocol.has_ports() => true,
            Some(ttl) => shown.dst_port? == self.port_at(flow, ttl),
            None => self.port_per_ttl || shown.dst_port? == self.port_at(flow, Ttl(1)),
        };
        is_port_right.then_some(OpenFacts {
            destination: quote.packet.destination,
            flow,
            ttl: shown.ttl,
        })
    }

    /// Whether only one side differs from what was sent: source or destination. An address translator changes one side. A flow label that
    /// tells flows apart belongs to the source.
    pub fn one_side_changed(&self, sent: &Marked, quote: &Quote) -> bool {
        let Quote { packet, shown } = quote;
        let is_label_right = self.vary != Vary::FlowLabel
            || packet
                .flow_label
                .is_none_or(|label| label == sent.flow_label);
        let is_source_right = packet.source.is_none_or(|source| source == sent.source)
            && shown.source_number == Some(self.src_port(sent.flow))
            && is_label_right;
        let is_port_right = || shown.dst_port == Some(self.port_at(sent.flow, sent.ttl));
        let is_destination_right = sent.destination == packet.destination
            && (!self.protocol.has_ports() || is_port_right());
        is_source_right != is_destination_right
    }

    /// Whether the quoted IP ID is the serial of `sent`.
    pub fn serial_is_as_sent(&self, sent: &Marked, quoted: &QuotedProbe) -> bool {
        quoted.ip_id == Some(sent.serial)
    }

    /// Whether a changed source address changes the check. The change that a translator in front of this host makes can then be
    /// learned.
    pub fn check_covers_addresses(&self, destination: IpAddr) -> bool {
        self.protocol.check_covers_addresses(destination.is_ipv6())
    }
}
