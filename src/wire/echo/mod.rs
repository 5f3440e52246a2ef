//! ICMP echo probes, IPv4 (RFC 792) and IPv6 (RFC 4443): layout, quotes, answers and evidence.
//!
//! | field | value | constant in a flow |
//! |---|---|---|
//! | IP destination | the target | yes |
//! | IP ID (IPv4) | secret: the serial | no |
//! | TTL or hop limit | the TTL of the probe | no |
//! | type, code | echo request | yes |
//! | identifier | base + flow; with `--vary icmp-checksum` the base | yes |
//! | checksum | secret: keyed hash of target and identifier, never 0 or 0xffff; with `--vary icmp-checksum` plus the flow | yes |
//! | sequence | high byte: TTL; low byte: 8 bits of the tag | no |
//! | payload | marks (see [`payload`]) | no |
//!
//! Balancers that hash ICMP use identifier and checksum in place of ports, so both are constant. The compensation word in the
//! payload makes that possible. With IPv4 the checksum covers no addresses, so address translators do not change it.

use std::net::IpAddr;

use super::checksum::Sum;
use super::format::{Marked, ProbeFormat};
use super::ip::{self, Ends};
use super::payload::{self, MARKS};
use super::protocol::{Answer, ProbeProtocol, Proof, Quote, Secret, Shown};
use super::token::{Marks, TokenMaker};
use crate::model::{
    DiscardReason, Echoed, Evidence, FlowId, Protocol, ProtocolName, QuotedEcho, QuotedProbe,
    QuotedTransport, Reply, Ttl,
};

/// The size of an echo request's header, in bytes.
pub const HEADER: usize = 8;
/// Echo request, ICMPv4.
pub const REQUEST_V4: u8 = 8;
/// Echo request, ICMPv6.
pub const REQUEST_V6: u8 = 128;
/// Echo reply, ICMPv4.
pub const REPLY_V4: u8 = 0;
/// Echo reply, ICMPv6.
pub const REPLY_V6: u8 = 129;

/// The least size of a transport part, in bytes.
const LEAST: usize = HEADER + MARKS;

/// ICMP echo requests. Their replies are decoded like other ICMP messages: see [`icmp`](super::icmp).
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl ProbeProtocol for Echo {
    fn name(&self) -> ProtocolName {
        Protocol::Icmp.into()
    }

    fn number(&self, ipv6: bool) -> u8 {
        match ipv6 {
            false => ip::ICMP,
            true => ip::ICMPV6,
        }
    }

    fn has_ports(&self) -> bool {
        false
    }

    fn draws_errors_from_targets(&self) -> bool {
        false
    }

    fn size(&self, _run: &ProbeFormat, _ttl: Ttl, wanted: Option<usize>) -> usize {
        wanted.unwrap_or(LEAST).max(LEAST)
    }

    /// All probes of a flow carry the same check.
    fn marks(
        &self,
        run: &ProbeFormat,
        drawn: Marks,
        tokens: &TokenMaker,
        destination: IpAddr,
        flow: FlowId,
    ) -> Marks {
        let offset = match run.check_is_flow() {
            true => flow.0,
            false => 0,
        };
        Marks {
            check: tokens.flow_check(destination, run.src_port(flow), offset),
            ..drawn
        }
    }

    #[inline]
    fn encode(&self, run: &ProbeFormat, probe: &Marked, ends: &Ends, transport: &mut [u8]) {
        let (kind, pseudo) = match ends {
            Ends::V4(..) => (REQUEST_V4, Sum::default()),
            Ends::V6(..) => (REQUEST_V6, ends.pseudo_header(ip::ICMPV6, transport.len())),
        };
        transport[0] = kind;
        transport[1] = 0;
        transport[2..4].copy_from_slice(&probe.marks.check.to_be_bytes());
        transport[4..6].copy_from_slice(&run.src_port(probe.flow).to_be_bytes());
        transport[6..8].copy_from_slice(&sequence(probe.ttl, &probe.marks).to_be_bytes());
        let rest = pseudo.bytes(&transport[..HEADER]);
        payload::encode(&mut transport[HEADER..], &probe.marks, probe.serial, rest);
    }

    fn checksum_offset(&self) -> usize {
        2
    }

    fn shows_ttl(&self, _run: &ProbeFormat) -> bool {
        true
    }

    /// Only a quoted echo request is a probe.
    fn read_quote(&self, transport: &[u8], ipv6: bool) -> QuotedTransport {
        let request = match ipv6 {
            false => REQUEST_V4,
            true => REQUEST_V6,
        };
        if transport.first() != Some(&request) {
            return QuotedTransport::Other(transport.into());
        }
        let word = |at: usize| Some(u16::from_be_bytes(*transport.get(at..)?.first_chunk()?));
        let carried = transport.get(HEADER..).unwrap_or_default();
        QuotedTransport::Echo(QuotedEcho {
            identifier: word(4),
            sequence: word(6),
            checksum: word(2),
            tag: payload::tag(carried),
            serial: payload::serial(carried),
        })
    }

    fn shown(&self, _run: &ProbeFormat, quoted: &QuotedTransport) -> Option<Shown> {
        let QuotedTransport::Echo(echo) = quoted else {
            return None;
        };
        Some(Shown {
            source_number: echo.identifier,
            dst_port: None,
            ttl: ttl_of_sequence(echo.sequence?),
            checksum: echo.checksum,
            tag: echo.tag,
            serial: echo.serial,
        })
    }

    /// The low byte of the sequence number is part of the tag.
    fn agrees(&self, _run: &ProbeFormat, quote: &Quote, sent: &Marked) -> bool {
        match &quote.packet.transport {
            QuotedTransport::Echo(echo) => echo.sequence == Some(sequence(sent.ttl, &sent.marks)),
            _ => false,
        }
    }

    fn check_covers_addresses(&self, ipv6: bool) -> bool {
        ipv6
    }

    /// An echo reply repeats the whole payload, so its tag is sufficient.
    fn answer(&self, run: &ProbeFormat, echoed: &Echoed) -> Result<Answer, DiscardReason> {
        let Echoed::Echo {
            identifier,
            sequence,
            tag,
            serial,
        } = *echoed
        else {
            return Err(DiscardReason::OtherType);
        };
        let tagged = tag.zip(serial).map(|(tag, serial)| Proof {
            serial,
            secret: Secret::Tag(tag),
        });
        Ok(Answer {
            flow: run.answered_flow(0, identifier),
            ttl: ttl_of_sequence(sequence),
            proofs: [tagged, None],
            weak_from_port: None,
        })
    }

    /// A reply from another address, or with another identifier or sequence number, is recorded as rewritten.
    fn answer_evidence(&self, run: &ProbeFormat, reply: &Reply, sent: &Marked) -> Option<Evidence> {
        let Some(Echoed::Echo {
            identifier,
            sequence: shown,
            ..
        }) = reply.echoed
        else {
            return None;
        };
        let is_as_sent = sent.destination == reply.responder
            && identifier == run.src_port(sent.flow)
            && shown == sequence(sent.ttl, &sent.marks);
        Some(match is_as_sent {
            true => Evidence::Full,
            false => Evidence::Rewritten,
        })
    }
}

/// The sequence number of a probe.
const fn sequence(ttl: Ttl, marks: &Marks) -> u16 {
    (ttl.0 as u16) << 8 | (marks.tag & 0xff) as u16
}

/// The TTL that a sequence number encodes.
fn ttl_of_sequence(sequence: u16) -> Option<Ttl> {
    let [ttl, _] = sequence.to_be_bytes();
    (ttl > 0).then_some(Ttl(ttl))
}

/// The fields that an echo reply repeats. `rest` is its identifier and sequence number, `body` the bytes after them.
pub(super) fn echoed(rest: [u8; 4], body: &[u8]) -> Echoed {
    let [identifier @ .., high, low] = rest;
    Echoed::Echo {
        identifier: u16::from_be_bytes(identifier),
        sequence: u16::from_be_bytes([high, low]),
        tag: payload::tag(body),
        serial: payload::serial(body),
    }
}

/// The quoted packet that the kernel delivers to a ping socket. The destination is the quoted one.
/// `returned` contains the bytes after the quoted IP header. Zeros may follow it, so the size of the quote is unknown.
pub(crate) fn quoted_to_socket(destination: IpAddr, returned: &[u8]) -> QuotedProbe {
    let ipv6 = destination.is_ipv6();
    let mut transport = Echo.read_quote(returned, ipv6);
    if let QuotedTransport::Echo(echo) = &mut transport {
        let carried = returned.get(HEADER..).unwrap_or_default();
        (echo.tag, echo.serial) = payload::of_padded(carried);
    }
    QuotedProbe::bare(destination, Echo.number(ipv6), transport)
}

#[cfg(test)]
mod tests;
