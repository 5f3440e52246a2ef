//! From a probe to its packet, and from what comes back to the facts that name a probe.
//!
//! What is the same for a whole run (protocol, ports, lengths) stands here once; a further protocol is one more
//! arm of each `match`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::model::{FlowId, Protocol, QuotedProbe, TcpFlags, Ttl};
use crate::transport::PacketBatch;
use crate::wire::checksum::{self, Sum};
use crate::wire::ip::{self, Ends, IpHeader};
use crate::wire::payload::MARKS;
use crate::wire::token::{Marks, TokenMaker};
use crate::wire::{echo, tcp, udp};

/// What all probes of a run have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeFormat {
    /// The transport protocol.
    pub protocol: Protocol,
    /// Which TCP segment.
    pub tcp_flags: TcpFlags,
    /// Source port (ICMP: identifier) of flow 0.
    pub source_port: u16,
    /// Flows a target; their source ports follow one another.
    pub flows: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Whether the destination port grows with the TTL, as in the classic traceroute.
    pub port_per_ttl: bool,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Size of every probe with its IP header, bytes; where there is none, the smallest that holds what it must.
    pub packet_size: Option<u16>,
    /// Whether routers may not fragment (IPv4 DF).
    pub dont_fragment: bool,
    /// Whether quotes come without IP headers, and of UDP without its header, too, as ordinary sockets give them.
    pub headless: bool,
}

impl ProbeFormat {
    /// UDP from port 24000 on to 33434, and nothing out of the ordinary.
    pub const fn udp(flows: u16) -> Self {
        ProbeFormat {
            protocol: Protocol::Udp,
            tcp_flags: TcpFlags::Syn,
            source_port: 24_000,
            flows,
            destination_port: 33_434,
            port_per_ttl: false,
            tos: 0,
            packet_size: None,
            dont_fragment: false,
            headless: false,
        }
    }
}

/// The open facts that a packet shows, as far as they can be this run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFacts {
    /// Destination as quoted, or who answers.
    pub destination: IpAddr,
    /// The flow that the source port or identifier stands for.
    pub flow: FlowId,
    /// The TTL, where the packet shows it.
    pub ttl: Option<Ttl>,
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
    /// Its size with the IP header, bytes; that of the run's other probes where there is none.
    pub size: Option<u16>,
    /// Names the sending; the IP ID too.
    pub serial: u16,
    /// Check and tag.
    pub marks: Marks,
    /// IPv6 flow label.
    pub flow_label: u32,
}

impl ProbeFormat {
    /// The source port of `flow`, or its identifier.
    pub fn src_port(&self, flow: FlowId) -> u16 {
        self.source_port.wrapping_add(flow.0)
    }

    /// The destination port of a probe with `ttl`; 0 where the protocol has none.
    pub fn dst_port(&self, ttl: Ttl) -> u16 {
        match (self.protocol.has_ports(), self.port_per_ttl) {
            (false, _) => 0,
            (true, true) => self.destination_port.wrapping_add(u16::from(ttl.0) - 1),
            (true, false) => self.destination_port,
        }
    }

    /// Whether a quote of 8 transport bytes shows the TTL that the probe was sent with. The ledger's index depends on it.
    pub fn shows_ttl(&self) -> bool {
        match self.protocol {
            Protocol::Udp => self.packet_size.is_none() && !self.headless,
            Protocol::Icmp => true,
            Protocol::Tcp => false,
        }
    }

    /// Whether one probe of a flow is under way at a time, because a short quote shows neither its TTL nor a secret.
    pub fn is_one_by_one(&self) -> bool {
        self.headless && self.protocol == Protocol::Udp
    }

    /// The least that a probe to `destination` can be, with its IP header, bytes.
    pub fn least_size(&self, destination: IpAddr) -> u16 {
        let transport = match self.protocol {
            Protocol::Udp => udp::HEADER + MARKS,
            Protocol::Icmp => echo::HEADER + MARKS,
            Protocol::Tcp => tcp::HEADER + tcp::payload_size(self.tcp_flags),
        };
        (ip::header_size(destination) + transport) as u16
    }

    /// The size of a probe to `destination` with `ttl`, IP header included, bytes. `chosen` is its own, where it has one.
    pub fn size(&self, destination: IpAddr, ttl: Ttl, chosen: Option<u16>) -> u16 {
        let least = self.least_size(destination);
        match (self.protocol, chosen.or(self.packet_size)) {
            // A segment of no connection carries no more than it must.
            (Protocol::Tcp, _) => least,
            (_, Some(size)) => size.max(least),
            (Protocol::Udp, None) if self.headless => least,
            (Protocol::Udp, None) => least + u16::from(ttl.0),
            (Protocol::Icmp, None) => least,
        }
    }

    /// The size of every probe of a family, bytes, where it is the same for every TTL. Where sizes are looked for it is not.
    pub fn constant_size(&self, ipv6: bool) -> Option<u16> {
        let destination = match ipv6 {
            false => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let [least, most] = [1, u8::MAX].map(|ttl| self.size(destination, Ttl(ttl), None));
        (least == most).then_some(least)
    }

    /// Check and tag of a probe whose own are `drawn`: echo probes carry their flow's check.
    pub fn marks(
        &self,
        drawn: Marks,
        tokens: &TokenMaker,
        destination: IpAddr,
        flow: FlowId,
    ) -> Marks {
        match self.protocol {
            Protocol::Udp | Protocol::Tcp => drawn,
            Protocol::Icmp => Marks {
                check: tokens.flow_check(destination, self.src_port(flow)),
                ..drawn
            },
        }
    }

    /// Writes a probe to the end of `batch`. Addresses of different families are the caller's mistake and write nothing.
    pub fn encode(&self, probe: &Marked, batch: &mut PacketBatch) {
        let Some(ends) = Ends::new(probe.source, probe.destination) else {
            debug_assert!(false, "a probe between two families");
            return;
        };
        let size = usize::from(self.size(probe.destination, probe.ttl, probe.size));
        let packet = batch.push(probe.destination, size);
        match self.protocol {
            Protocol::Udp => udp::UdpProbe {
                ip: self.ip_header(probe, ends, ip::UDP),
                src_port: self.src_port(probe.flow),
                dst_port: self.dst_port(probe.ttl),
                serial: probe.serial,
                marks: probe.marks,
            }
            .encode(packet),
            Protocol::Icmp => echo::EchoProbe {
                ip: self.ip_header(probe, ends, echo::protocol(&ends)),
                identifier: self.src_port(probe.flow),
                serial: probe.serial,
                marks: probe.marks,
            }
            .encode(packet),
            Protocol::Tcp => self.tcp_probe(probe, ends).encode(packet),
        }
    }

    /// The transport checksum of a probe.
    pub fn checksum(&self, probe: &Marked) -> Option<u16> {
        match self.protocol {
            Protocol::Udp | Protocol::Icmp => Some(probe.marks.check),
            Protocol::Tcp => {
                let ends = Ends::new(probe.source, probe.destination)?;
                let length = tcp::HEADER + tcp::payload_size(self.tcp_flags);
                Some(self.tcp_probe(probe, ends).checksum(length))
            }
        }
    }

    fn tcp_probe(&self, probe: &Marked, ends: Ends) -> tcp::TcpProbe {
        tcp::TcpProbe {
            ip: self.ip_header(probe, ends, ip::TCP),
            src_port: self.src_port(probe.flow),
            dst_port: self.dst_port(probe.ttl),
            flags: self.tcp_flags,
            serial: probe.serial,
            marks: probe.marks,
        }
    }

    fn ip_header(&self, probe: &Marked, ends: Ends, protocol: u8) -> IpHeader {
        IpHeader {
            ends,
            protocol,
            ttl: probe.ttl,
            tos: self.tos,
            ip_id: probe.serial,
            dont_fragment: self.dont_fragment,
            flow_label: probe.flow_label,
        }
    }

    /// Whether a quote is of this run's protocol at all.
    pub fn quotes_protocol(&self, quoted: &QuotedProbe) -> bool {
        quoted.protocol
            == match (self.protocol, quoted.destination) {
                (Protocol::Udp, _) => ip::UDP,
                (Protocol::Tcp, _) => ip::TCP,
                (Protocol::Icmp, IpAddr::V4(_)) => ip::ICMP,
                (Protocol::Icmp, IpAddr::V6(_)) => ip::ICMPV6,
            }
    }

    /// Whether a quote holds the 8 transport bytes that routers return at least (RFC 792), as far as they matter.
    pub fn is_whole(&self, quoted: &QuotedProbe) -> bool {
        match self.protocol {
            Protocol::Udp if self.headless => true,
            Protocol::Udp => quoted.udp_length.is_some() && quoted.checksum.is_some(),
            Protocol::Icmp => quoted.icmp_sequence.is_some(),
            Protocol::Tcp => quoted.tcp_sequence.is_some(),
        }
    }

    /// The flow that a source port or identifier stands for.
    pub fn flow_of(&self, number: u16) -> Option<FlowId> {
        let flow = number.checked_sub(self.source_port)?;
        (flow < self.flows).then_some(FlowId(flow))
    }

    /// The number in a quote that names the flow.
    pub fn flow_number(&self, quoted: &QuotedProbe) -> Option<u16> {
        match self.protocol {
            Protocol::Udp | Protocol::Tcp => quoted.src_port,
            Protocol::Icmp => quoted.icmp_id,
        }
    }

    /// The TTL with which a quoted probe was sent, where it shows.
    pub fn ttl_of(&self, quoted: &QuotedProbe) -> Option<Ttl> {
        match self.protocol {
            _ if !self.shows_ttl() => None,
            Protocol::Udp => udp::ttl_of_length(quoted.udp_length?),
            Protocol::Icmp => echo::ttl_of_sequence(quoted.icmp_sequence?),
            Protocol::Tcp => None,
        }
    }

    /// The open facts of a quote, where all of them can be this run's.
    pub fn open_facts(&self, quoted: &QuotedProbe) -> Option<OpenFacts> {
        let flow = self.flow_of(self.flow_number(quoted)?)?;
        let ttl = self.ttl_of(quoted);
        if self.shows_ttl() && ttl.is_none() {
            return None;
        }
        let port_right = match (self.protocol, ttl) {
            (Protocol::Icmp, _) => true,
            (_, Some(ttl)) => quoted.dst_port? == self.dst_port(ttl),
            (_, None) if self.port_per_ttl => true,
            (_, None) => quoted.dst_port? == self.destination_port,
        };
        port_right.then_some(OpenFacts {
            destination: quoted.destination,
            flow,
            ttl,
        })
    }

    /// Whether what else of a quote must be as sent, is: of an echo probe the low byte of the sequence; with a destination port
    /// for each TTL, the port, where the TTL shows nowhere else.
    pub fn agrees(&self, quoted: &QuotedProbe, ttl: Ttl, marks: &Marks) -> bool {
        match self.protocol {
            Protocol::Icmp => quoted.icmp_sequence == Some(echo::sequence(ttl, marks)),
            Protocol::Udp | Protocol::Tcp => {
                !self.port_per_ttl || quoted.dst_port == Some(self.dst_port(ttl))
            }
        }
    }

    /// Whether the facts of one side only, source or destination, differ from what was sent: what address translators do.
    pub fn one_side_changed(&self, sent: &Marked, quoted: &QuotedProbe) -> bool {
        let source_right = quoted.source.is_none_or(|source| source == sent.source)
            && self.flow_number(quoted) == Some(self.src_port(sent.flow));
        let destination_right = sent.destination == quoted.destination
            && (!self.protocol.has_ports() || quoted.dst_port == Some(self.dst_port(sent.ttl)));
        source_right != destination_right
    }

    /// Whether the quoted check is that of `sent`, as it was sent. That of TCP is the whole sequence number, which holds
    /// [the serial too](ProbeFormat::check_holds_serial).
    pub fn check_is_as_sent(&self, sent: &Marked, quoted: &QuotedProbe) -> bool {
        match self.protocol {
            Protocol::Udp | Protocol::Icmp => quoted
                .checksum
                .is_some_and(|checksum| checksum::same(checksum, sent.marks.check)),
            Protocol::Tcp => {
                quoted.tcp_sequence == Some(tcp::sequence(sent.serial, sent.marks.check))
            }
        }
    }

    /// Whether the check proves the serial, too.
    pub fn check_holds_serial(&self) -> bool {
        self.protocol == Protocol::Tcp
    }

    /// Whether the serial of `sent` came back as the IP ID. In the payload the tag stands before it, and decides.
    pub fn serial_is_as_sent(&self, sent: &Marked, quoted: &QuotedProbe) -> bool {
        quoted.ip_id == Some(sent.serial)
    }

    /// The serials that a quote may hold, to look a probe up by.
    pub fn serials_of(&self, quoted: &QuotedProbe) -> impl Iterator<Item = u16> + use<> {
        let in_sequence = quoted.tcp_sequence.map(tcp::serial_of);
        let all = [quoted.ip_id, quoted.serial, in_sequence];
        let repeated = |at: usize| all[..at].contains(&all[at]);
        let distinct = [0, 1, 2].map(|at| all[at].filter(|_| !repeated(at)));
        distinct.into_iter().flatten()
    }

    /// Whether the quoted check is what changes of addresses, ports or identifier on the way leave of it (RFC 1624).
    pub fn check_is_adjusted(&self, sent: &Marked, quoted: &QuotedProbe) -> bool {
        let addresses = || {
            let source = quoted.source.unwrap_or(sent.source);
            (
                address_sum(sent.source, sent.destination),
                address_sum(source, quoted.destination),
            )
        };
        let number = self.flow_number(quoted).unwrap_or_default();
        let (old, new) = match (self.protocol, sent.destination) {
            (Protocol::Tcp, _) => return self.check_is_as_sent(sent, quoted),
            (Protocol::Icmp, IpAddr::V4(_)) => (Sum::default(), Sum::default()),
            (Protocol::Icmp, IpAddr::V6(_)) => addresses(),
            (Protocol::Udp, _) => {
                let (old, new) = addresses();
                (
                    old.word(self.dst_port(sent.ttl)),
                    new.word(quoted.dst_port.unwrap_or_default()),
                )
            }
        };
        let (old, new) = (old.word(self.src_port(sent.flow)), new.word(number));
        quoted.checksum.is_some_and(|checksum| {
            checksum::same(checksum, checksum::adjusted(sent.marks.check, old, new))
        })
    }

    /// Whether a change of the source address changes the check: what a translator before us does to it can be learned.
    pub fn check_covers_addresses(&self, destination: IpAddr) -> bool {
        match self.protocol {
            Protocol::Udp => !self.headless,
            Protocol::Icmp => destination.is_ipv6(),
            Protocol::Tcp => false,
        }
    }
}

fn address_sum(source: IpAddr, destination: IpAddr) -> Sum {
    [source, destination]
        .into_iter()
        .fold(Sum::default(), |sum, address| match address {
            IpAddr::V4(address) => sum.address(address),
            IpAddr::V6(address) => sum.bytes(&address.octets()),
        })
}
