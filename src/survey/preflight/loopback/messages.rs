//! The packets of the test: a probe and the replies to it. Source and destination are the same address.

use super::{LoopbackProbe, TestReplyKind};
use crate::engine::format::{Marked, ProbeFormat};
use crate::model::{FlowId, TcpFlags, Ttl};
use crate::wire::checksum::Sum;
use crate::wire::ip::{Ends, ICMP, ICMPV6, IpHeader, TCP, UDP};
use crate::wire::token::Marks;
use crate::wire::{echo, protocol, tcp, udp};

/// The size of an ICMP header, in bytes.
const ICMP_HEADER: usize = 8;
/// XORed into a probe's checksum. The result is always wrong, because the difference is not a multiple of 65535.
const SPOILER: u16 = 0x5555;
/// The checksum of UDP and echo probes before [`SPOILER`].
const CHECK: u16 = 0x1234;

fn header(probe: &LoopbackProbe, ends: Ends, protocol: u8) -> IpHeader {
    IpHeader {
        ends,
        protocol,
        ttl: Ttl(1),
        tos: probe.tos,
        ip_id: probe.mark,
        dont_fragment: false,
        flow_label: 0,
    }
}

/// A packet like a probe of the run, with a wrong transport checksum.
pub(super) fn probe(probe: &LoopbackProbe, ends: Ends) -> Vec<u8> {
    let protocol = protocol::of(probe.protocol, probe.tcp_flags);
    let format = ProbeFormat {
        protocol,
        source_port: probe.source_port,
        destination_port: probe.destination_port,
        tos: probe.tos,
        // As small as the protocol allows.
        packet_size: Some(0),
        ..ProbeFormat::udp(1)
    };
    let (source, destination) = ends.addresses();
    let marked = Marked {
        source,
        destination,
        flow: FlowId(0),
        ttl: Ttl(1),
        size: None,
        serial: probe.mark,
        marks: Marks {
            check: CHECK,
            tag: probe.mark.into(),
        },
        flow_label: 0,
    };
    let mut packet = vec![0; format.size(destination, Ttl(1), None).into()];
    format.write(&marked, &ends, &mut packet);
    let at = ends.header_size() + protocol.checksum_offset();
    for (byte, spoiler) in packet[at..at + 2].iter_mut().zip(SPOILER.to_be_bytes()) {
        *byte ^= spoiler;
    }
    packet
}

/// The reply of `kind` to the `packet` that [`probe`] made.
pub(super) fn reply(
    kind: TestReplyKind,
    probe: &LoopbackProbe,
    ends: Ends,
    packet: &[u8],
) -> Vec<u8> {
    let v4 = matches!(ends, Ends::V4(..));
    let transport = &packet[ends.header_size()..];
    match kind {
        TestReplyKind::Unreachable => {
            let (icmp_type, code) = if v4 { (3, 3) } else { (1, 4) };
            icmp(probe, ends, [icmp_type, code], [0; 4], packet)
        }
        TestReplyKind::TimeExceeded => {
            let icmp_type = if v4 { 11 } else { 3 };
            icmp(probe, ends, [icmp_type, 0], [0; 4], packet)
        }
        TestReplyKind::EchoReply => {
            let icmp_type = if v4 { echo::REPLY_V4 } else { echo::REPLY_V6 };
            let [.., a, b, c, d] = *array::<8>(transport);
            icmp(
                probe,
                ends,
                [icmp_type, 0],
                [a, b, c, d],
                &transport[ICMP_HEADER..],
            )
        }
        TestReplyKind::Reset => reset(probe, ends),
        TestReplyKind::Datagram => datagram(probe, ends, &transport[udp::HEADER..]),
    }
}

/// The first `N` bytes of `bytes`, which must have at least `N`.
fn array<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    bytes.first_chunk().unwrap_or(&[0; N])
}

/// Adds an IP header and a checksum to `transport`. Its checksum field, at `checksum_at`, must be 0.
fn packet(
    probe: &LoopbackProbe,
    ends: Ends,
    protocol: u8,
    mut transport: Vec<u8>,
    checksum_at: usize,
) -> Vec<u8> {
    let covered = match protocol {
        ICMP => Sum::default(),
        _ => ends.pseudo_header(protocol, transport.len()),
    };
    let sum = match (covered.bytes(&transport).checksum(), protocol) {
        // 0 would mean that there is no checksum (RFC 768).
        (0, UDP) => u16::MAX,
        (sum, _) => sum,
    };
    transport[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0; ends.header_size()];
    packet.extend(transport);
    header(probe, ends, protocol).encode(&mut packet);
    packet
}

fn icmp(
    probe: &LoopbackProbe,
    ends: Ends,
    [icmp_type, code]: [u8; 2],
    rest: [u8; 4],
    body: &[u8],
) -> Vec<u8> {
    let mut message = vec![icmp_type, code, 0, 0];
    message.extend(rest);
    message.extend(body);
    let protocol = match ends {
        Ends::V4(..) => ICMP,
        Ends::V6(..) => ICMPV6,
    };
    packet(probe, ends, protocol, message, 2)
}

/// The reset of a closed port (RFC 9293, section 3.10.7.1).
fn reset(probe: &LoopbackProbe, ends: Ends) -> Vec<u8> {
    let theirs = tcp::sequence(probe.mark, CHECK);
    let (sequence, acknowledgement, flags) = match probe.tcp_flags {
        TcpFlags::Syn => (0, theirs.wrapping_add(1), tcp::RST | tcp::ACK),
        // The probe's acknowledgement number repeats its sequence number.
        TcpFlags::Ack | TcpFlags::Psh => (theirs, 0, tcp::RST),
    };
    let mut segment = Vec::with_capacity(tcp::HEADER);
    segment.extend(probe.destination_port.to_be_bytes());
    segment.extend(probe.source_port.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledgement.to_be_bytes());
    segment.extend([(tcp::HEADER as u8 / 4) << 4, flags]);
    segment.resize(tcp::HEADER, 0);
    packet(probe, ends, TCP, segment, 16)
}

/// A datagram that repeats the probe's payload.
fn datagram(probe: &LoopbackProbe, ends: Ends, payload: &[u8]) -> Vec<u8> {
    let length = (udp::HEADER + payload.len()) as u16;
    let mut datagram = Vec::with_capacity(length.into());
    datagram.extend(probe.destination_port.to_be_bytes());
    datagram.extend(probe.source_port.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0; 2]);
    datagram.extend(payload);
    packet(probe, ends, UDP, datagram, 6)
}

#[cfg(test)]
mod tests;
