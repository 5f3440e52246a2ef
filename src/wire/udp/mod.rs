//! UDP probes: layout, quotes, answers and evidence.
//!
//! | field | value | constant in a flow |
//! |---|---|---|
//! | IP destination | the target | yes |
//! | IP ID (IPv4) | secret: the serial | no |
//! | IPv6 flow label | hash of the target, the same in every run; with `--vary flow-label` plus the flow | yes |
//! | TTL or hop limit | the TTL of the probe | no |
//! | source port | base + flow; with another `--vary` the base | yes |
//! | destination port | as configured (unless `--port-per-ttl`); with `--vary dest-port` plus the flow | yes |
//! | UDP length | 20 + TTL: a quote of 8 bytes shows the TTL (unless `--packet-size`) | no |
//! | UDP checksum | secret: the check, never 0 | no |
//! | payload | marks (see [`payload`]), zeros | no |
//!
//! Every field that a per-flow balancer may hash is constant over the TTLs and attempts of a flow.

use std::net::IpAddr;

use super::format::{AnsweredFlow, Marked, ProbeFormat};
use super::ip::{self, Ends};
use super::payload::{self, MARKS};
use super::protocol::{Answer, ProbeProtocol, Proof, Secret, Shown};
use crate::model::{
    DiscardReason, Echoed, Evidence, Protocol, ProtocolName, QuotedProbe, QuotedTransport,
    QuotedUdp, Reply, ReplyKind, Ttl,
};

/// The size of a UDP header, in bytes.
pub const HEADER: usize = 8;
/// The least size of a transport part, in bytes.
const LEAST: usize = HEADER + MARKS;

/// UDP datagrams to a port that is expected to be closed.
#[derive(Clone, Copy, Debug)]
pub struct Udp;

impl ProbeProtocol for Udp {
    fn name(&self) -> ProtocolName {
        Protocol::Udp.into()
    }

    fn number(&self, _ipv6: bool) -> u8 {
        ip::UDP
    }

    fn size(&self, run: &ProbeFormat, ttl: Ttl, wanted: Option<usize>) -> usize {
        match wanted {
            Some(wanted) => wanted.max(LEAST),
            None if !run.quotes_with_headers => LEAST,
            None => LEAST + usize::from(ttl.0),
        }
    }

    #[inline]
    fn encode(&self, run: &ProbeFormat, probe: &Marked, ends: &Ends, transport: &mut [u8]) {
        let length = transport.len();
        let (src_port, dst_port) = (run.src_port(probe.flow), run.port_at(probe.flow, probe.ttl));
        let rest = ends
            .pseudo_header(ip::UDP, length)
            .word(src_port)
            .word(dst_port)
            .word(length as u16)
            .word(probe.marks.check);
        transport[0..2].copy_from_slice(&src_port.to_be_bytes());
        transport[2..4].copy_from_slice(&dst_port.to_be_bytes());
        transport[4..6].copy_from_slice(&(length as u16).to_be_bytes());
        transport[6..8].copy_from_slice(&probe.marks.check.to_be_bytes());
        payload::encode(&mut transport[HEADER..], &probe.marks, probe.serial, rest);
    }

    fn checksum_offset(&self) -> usize {
        6
    }

    fn shows_ttl(&self, run: &ProbeFormat) -> bool {
        run.packet_size.is_none() && run.quotes_with_headers
    }

    fn is_one_by_one(&self, run: &ProbeFormat) -> bool {
        !run.quotes_with_headers
    }

    fn read_quote(&self, transport: &[u8], _ipv6: bool) -> QuotedTransport {
        let word = |at: usize| Some(u16::from_be_bytes(*transport.get(at..)?.first_chunk()?));
        let carried = transport.get(HEADER..).unwrap_or_default();
        QuotedTransport::Udp(QuotedUdp {
            src_port: word(0),
            dst_port: word(2),
            length: word(4),
            checksum: word(6),
            tag: payload::tag(carried),
            serial: payload::serial(carried),
        })
    }

    fn shown(&self, run: &ProbeFormat, quoted: &QuotedTransport) -> Option<Shown> {
        let QuotedTransport::Udp(udp) = quoted else {
            return None;
        };
        let is_whole = udp.length.is_some() && udp.checksum.is_some();
        let length = udp.length.filter(|_| self.shows_ttl(run));
        (is_whole || !run.quotes_with_headers).then_some(Shown {
            source_number: udp.src_port,
            dst_port: udp.dst_port,
            ttl: length.and_then(ttl_of_length),
            checksum: udp.checksum,
            tag: udp.tag,
            serial: udp.serial,
        })
    }

    fn check_covers_addresses(&self, _ipv6: bool) -> bool {
        true
    }

    fn read_answer(&self, transport: &[u8]) -> Result<(ReplyKind, Echoed), DiscardReason> {
        let (header, carried) = transport
            .split_first_chunk::<HEADER>()
            .ok_or(DiscardReason::Truncated)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Ok((ReplyKind::Udp, echoed(word(0), word(2), carried)))
    }

    /// A datagram need not repeat anything of the probe.
    fn answer(&self, run: &ProbeFormat, echoed: &Echoed) -> Result<Answer, DiscardReason> {
        let Echoed::Udp {
            src_port,
            dst_port,
            tag,
            serial,
        } = *echoed
        else {
            return Err(DiscardReason::OtherType);
        };
        let flow = run.answered_flow(src_port, dst_port);
        if flow == AnsweredFlow::Foreign {
            return Err(DiscardReason::Foreign);
        }
        let tagged = tag.zip(serial).map(|(tag, serial)| Proof {
            serial,
            secret: Secret::Tag(tag),
        });
        Ok(Answer {
            flow,
            ttl: None,
            proofs: [tagged, None],
            weak_from_port: Some(src_port),
        })
    }

    fn answer_evidence(&self, run: &ProbeFormat, reply: &Reply, sent: &Marked) -> Option<Evidence> {
        let Some(Echoed::Udp { dst_port, .. }) = reply.echoed else {
            return None;
        };
        let is_flow_right = dst_port == run.src_port(sent.flow);
        is_flow_right.then_some(match sent.destination == reply.responder {
            true => Evidence::Full,
            false => Evidence::Rewritten,
        })
    }
}

/// The TTL that a UDP length encodes.
fn ttl_of_length(length: u16) -> Option<Ttl> {
    let ttl = usize::from(length).checked_sub(LEAST)?;
    u8::try_from(ttl).ok().filter(|ttl| *ttl > 0).map(Ttl)
}

/// The fields that a datagram with `payload` repeats of a probe.
pub(super) fn echoed(src_port: u16, dst_port: u16, payload: &[u8]) -> Echoed {
    Echoed::Udp {
        src_port,
        dst_port,
        tag: payload::tag(payload),
        serial: payload::serial(payload),
    }
}

/// The quoted packet that the kernel delivers to an ordinary UDP socket. The socket itself knows ports and destination.
/// `returned` is the quoted part of the datagram's payload. Zeros may follow it, so the size of the quote is unknown.
pub(crate) fn quoted_to_socket(
    destination: IpAddr,
    src_port: u16,
    dst_port: u16,
    returned: &[u8],
) -> QuotedProbe {
    let (tag, serial) = payload::of_padded(returned);
    let udp = QuotedUdp {
        src_port: Some(src_port),
        dst_port: Some(dst_port),
        tag,
        serial,
        ..QuotedUdp::default()
    };
    QuotedProbe::bare(destination, ip::UDP, QuotedTransport::Udp(udp))
}

#[cfg(test)]
mod tests;
