//! TCP probes (RFC 9293), segments without a connection: layout, quotes, answers and evidence.
//!
//! | field | value | constant in a flow |
//! |---|---|---|
//! | IP destination | the target | yes |
//! | IP ID (IPv4) | secret: the serial | no |
//! | TTL or hop limit | the TTL of the probe | no |
//! | source port | base + flow; with another `--vary` the base | yes |
//! | destination port | as configured | yes |
//! | sequence number | secret: high 16 bits the serial, low 16 bits the check | no |
//! | acknowledgement number | 0 in a SYN; otherwise the sequence number, which a reset returns as its own sequence number | no |
//! | flags | SYN, ACK, or PSH and ACK | yes |
//! | payload | empty; one byte with PSH | yes |
//!
//! A quote of 8 bytes contains both ports and the whole sequence number. A reset or a SYN-ACK returns the sequence number in
//! its own numbers. Address translators do not change it.

use super::format::{AnsweredFlow, Marked, ProbeFormat};
use super::ip::{self, Ends};
use super::protocol::{Answer, ProbeProtocol, Proof, Quote, Secret, Shown};
use crate::model::{
    DiscardReason, Echoed, Evidence, Protocol, ProtocolName, QuotedTcp, QuotedTransport, Reply,
    ReplyKind, TcpFlags, Ttl,
};

/// Size of a TCP header without options, bytes.
pub const HEADER: usize = 20;
/// FIN.
pub const FIN: u8 = 0x01;
/// SYN.
pub const SYN: u8 = 0x02;
/// RST.
pub const RST: u8 = 0x04;
/// ACK.
pub const ACK: u8 = 0x10;

/// The window of a typical host.
const WINDOW: u16 = 64_240;
/// The position of the checksum in the header.
const CHECKSUM: usize = 16;
/// The size of the largest probe segment, in bytes.
const MOST: usize = HEADER + payload_size(TcpFlags::Psh);

/// TCP probes with certain flags.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    /// The flags to send.
    flags: TcpFlags,
}

impl Tcp {
    /// The protocol that sends segments with these flags.
    pub const fn sending(flags: TcpFlags) -> &'static Tcp {
        match flags {
            TcpFlags::Syn => &Tcp {
                flags: TcpFlags::Syn,
            },
            TcpFlags::Ack => &Tcp {
                flags: TcpFlags::Ack,
            },
            TcpFlags::Psh => &Tcp {
                flags: TcpFlags::Psh,
            },
        }
    }
}

impl ProbeProtocol for Tcp {
    fn name(&self) -> ProtocolName {
        Protocol::Tcp.into()
    }

    fn number(&self, _ipv6: bool) -> u8 {
        ip::TCP
    }

    fn draws_errors_from_targets(&self) -> bool {
        false
    }

    /// A segment without a connection carries no more data than necessary.
    fn size(&self, _run: &ProbeFormat, _ttl: Ttl, _wanted: Option<usize>) -> usize {
        HEADER + payload_size(self.flags)
    }

    fn encode(&self, run: &ProbeFormat, probe: &Marked, ends: &Ends, transport: &mut [u8]) {
        let sequence = sequence(probe.serial, probe.marks.check);
        let acknowledgement = match self.flags {
            TcpFlags::Syn => 0,
            TcpFlags::Ack | TcpFlags::Psh => sequence,
        };
        transport[0..2].copy_from_slice(&run.src_port(probe.flow).to_be_bytes());
        transport[2..4].copy_from_slice(&run.port_at(probe.flow, probe.ttl).to_be_bytes());
        transport[4..8].copy_from_slice(&sequence.to_be_bytes());
        transport[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
        transport[12] = (HEADER as u8 / 4) << 4;
        transport[13] = self.flags.bits();
        transport[14..16].copy_from_slice(&WINDOW.to_be_bytes());
        transport[CHECKSUM..].fill(0);
        let sum = ends
            .pseudo_header(ip::TCP, transport.len())
            .bytes(transport);
        transport[CHECKSUM..][..2].copy_from_slice(&sum.checksum().to_be_bytes());
    }

    /// The check is in the sequence number, so the checksum has to be computed.
    fn checksum(&self, run: &ProbeFormat, probe: &Marked, ends: &Ends) -> u16 {
        let mut segment = [0; MOST];
        let segment = &mut segment[..HEADER + payload_size(self.flags)];
        self.encode(run, probe, ends, segment);
        u16::from_be_bytes([segment[CHECKSUM], segment[CHECKSUM + 1]])
    }

    fn checksum_offset(&self) -> usize {
        CHECKSUM
    }

    fn shows_ttl(&self, _run: &ProbeFormat) -> bool {
        false
    }

    fn read_quote(&self, transport: &[u8], _ipv6: bool) -> QuotedTransport {
        let word = |at: usize| Some(u16::from_be_bytes(*transport.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u32::from_be_bytes(*transport.get(at..)?.first_chunk()?));
        QuotedTransport::Tcp(QuotedTcp {
            src_port: word(0),
            dst_port: word(2),
            sequence: long(4),
            checksum: word(CHECKSUM),
        })
    }

    fn shown(&self, _run: &ProbeFormat, quoted: &QuotedTransport) -> Option<Shown> {
        let QuotedTransport::Tcp(tcp) = quoted else {
            return None;
        };
        Some(Shown {
            source_number: tcp.src_port,
            dst_port: tcp.dst_port,
            ttl: None,
            checksum: tcp.checksum,
            tag: None,
            serial: Some(serial_of(tcp.sequence?)),
        })
    }

    fn check_holds_serial(&self) -> bool {
        true
    }

    fn check_covers_addresses(&self, _ipv6: bool) -> bool {
        false
    }

    /// The check and the serial form the sequence number, so the whole number is compared.
    fn check_is_as_sent(&self, sent: &Marked, quote: &Quote) -> bool {
        match &quote.packet.transport {
            QuotedTransport::Tcp(tcp) => {
                tcp.sequence == Some(sequence(sent.serial, sent.marks.check))
            }
            _ => false,
        }
    }

    /// Address translators do not change sequence numbers.
    fn check_is_adjusted(&self, _run: &ProbeFormat, sent: &Marked, quote: &Quote) -> bool {
        self.check_is_as_sent(sent, quote)
    }

    /// Reads a SYN-ACK, a reset or a bare ACK.
    fn read_answer(&self, transport: &[u8]) -> Result<(ReplyKind, Echoed), DiscardReason> {
        let header = transport
            .first_chunk::<HEADER>()
            .ok_or(DiscardReason::Truncated)?;
        let flags = header[13];
        let has = |flag: u8| flags & flag != 0;
        let kind = if has(RST) {
            ReplyKind::Rst
        } else if has(SYN) && has(ACK) {
            ReplyKind::SynAck
        } else if has(ACK) && !has(FIN) {
            ReplyKind::Ack
        } else {
            return Err(DiscardReason::OtherType);
        };
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
        let echoed = Echoed::Tcp {
            src_port: word(0),
            dst_port: word(2),
            flags,
            sequence: long(4),
            acknowledgement: long(8),
        };
        Ok((kind, echoed))
    }

    /// A segment repeats the sequence number, which is secret as a whole. No other field proves an answer.
    fn answer(&self, run: &ProbeFormat, echoed: &Echoed) -> Result<Answer, DiscardReason> {
        let Echoed::Tcp {
            src_port,
            dst_port,
            flags,
            sequence,
            acknowledgement,
        } = *echoed
        else {
            return Err(DiscardReason::OtherType);
        };
        let flow = run.answered_flow(src_port, dst_port);
        if flow == AnsweredFlow::Foreign {
            return Err(DiscardReason::Foreign);
        }
        let mut answered =
            answered_sequences(self.flags, flags, sequence, acknowledgement).map(|sequence| {
                Proof {
                    serial: serial_of(sequence),
                    secret: Secret::Check(sequence as u16),
                }
            });
        let proofs = [answered.next(), answered.next()];
        if proofs[0].is_none() {
            return Err(DiscardReason::OtherType);
        }
        Ok(Answer {
            flow,
            ttl: None,
            proofs,
            weak_from_port: None,
        })
    }

    /// If the answer comes from another address than the one probed, only SYN-ACK and reset are accepted.
    fn answer_evidence(&self, run: &ProbeFormat, reply: &Reply, sent: &Marked) -> Option<Evidence> {
        let Some(Echoed::Tcp {
            src_port, dst_port, ..
        }) = reply.echoed
        else {
            return None;
        };
        let is_flow_right = dst_port == run.src_port(sent.flow);
        if !is_flow_right || src_port != run.port_at(sent.flow, sent.ttl) {
            return None;
        }
        match reply.kind {
            _ if sent.destination == reply.responder => Some(Evidence::Full),
            ReplyKind::SynAck | ReplyKind::Rst => Some(Evidence::Rewritten),
            _ => None,
        }
    }
}

/// The size of a segment's payload, in bytes. Only a PSH carries data.
const fn payload_size(flags: TcpFlags) -> usize {
    match flags {
        TcpFlags::Syn | TcpFlags::Ack => 0,
        TcpFlags::Psh => 1,
    }
}

/// The sequence number of a probe.
pub const fn sequence(serial: u16, check: u16) -> u32 {
    (serial as u32) << 16 | check as u32
}

/// The serial in a sequence number.
pub const fn serial_of(sequence: u32) -> u16 {
    (sequence >> 16) as u16
}

/// The sequence numbers that the answered probe may have. Empty if the segment cannot answer a probe.
///
/// - A SYN is acknowledged with its sequence number + 1.
/// - A probe with ACK draws a reset. The reset's sequence number is the probe's acknowledgement number, which repeats the
///   probe's sequence number.
/// - A reset with ACK acknowledges the probe's sequence number plus its data. It may carry the probe's number as its own
///   sequence number as well.
pub fn answered_sequences(
    probed: TcpFlags,
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
) -> impl Iterator<Item = u32> {
    let acknowledged = (flags & ACK != 0).then_some(acknowledgement);
    let behind = |data: usize| acknowledged.map(|number| number.wrapping_sub(data as u32));
    let numbers = match probed {
        TcpFlags::Syn => [behind(1), None],
        TcpFlags::Ack | TcpFlags::Psh if flags & RST == 0 => [None, None],
        TcpFlags::Ack | TcpFlags::Psh => [behind(payload_size(probed)), Some(sequence)],
    };
    numbers.into_iter().flatten()
}

#[cfg(test)]
mod tests;
