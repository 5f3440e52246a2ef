//! What networks answer to a probe, as bytes from the IP header on.

use std::net::IpAddr;

use pathsurvey::wire::checksum::Sum;
use pathsurvey::wire::ip::{Ends, ICMP, ICMPV6, TCP, UDP};

use crate::world::Kind;

/// How an error's extension structure is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    Announced,
    Legacy,
}

/// How much of a probe an error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// The IP header and so many bytes of what follows.
    Head(usize),
    Whole,
    /// The whole probe, zeros up to 128 bytes, and a label stack.
    Padded(Extension),
}

/// An ICMP error about `probe`. `unreachable`: the target's port, else time exceeded.
pub fn error(
    kind: Kind,
    probe: &[u8],
    quote: Quote,
    unreachable: bool,
    responder: IpAddr,
) -> Vec<u8> {
    let mut quoted = probe.to_vec();
    quoted[if kind.v6 { 7 } else { 8 }] = 1;
    let mut length = 0;
    match quote {
        Quote::Head(size) => quoted.truncate(kind.header() + size),
        Quote::Whole => {}
        Quote::Padded(extension) => {
            quoted.resize(128, 0);
            quoted.extend(label_stack());
            if extension == Extension::Announced {
                length = if kind.v6 { 128 / 8 } else { 128 / 4 };
            }
        }
    }
    let (icmp_type, code) = match (kind.v6, unreachable) {
        (false, false) => (11, 0),
        (false, true) => (3, 3),
        (true, false) => (3, 0),
        (true, true) => (1, 4),
    };
    let mut message = vec![icmp_type, code, 0, 0, 0, 0, 0, 0];
    message[if kind.v6 { 4 } else { 5 }] = length;
    message.extend(quoted);
    icmp(kind, responder, &message)
}

/// One MPLS label in a structure with its checksum.
fn label_stack() -> Vec<u8> {
    let mut structure = vec![0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 1, 1];
    let checksum = Sum::default().bytes(&structure).checksum();
    structure[2..4].copy_from_slice(&checksum.to_be_bytes());
    structure
}

/// The answer to an echo request.
pub fn echo_reply(kind: Kind, probe: &[u8]) -> Vec<u8> {
    let mut message = probe[kind.header()..].to_vec();
    message[0] = if kind.v6 { 129 } else { 0 };
    icmp(kind, destination(kind, probe), &message)
}

/// What a host answers to a segment, with these flags.
pub fn segment(kind: Kind, probe: &[u8], flags: u8) -> Vec<u8> {
    let tcp = &probe[kind.header()..];
    let long = |at: usize| u32::from_be_bytes(*tcp[at..].first_chunk().expect("a TCP header"));
    let is_syn = tcp[13] & 0x02 != 0;
    let counted = (tcp.len() - 20) as u32 + u32::from(is_syn);
    // A reset of a segment with ACK takes its sequence number from there (RFC 9293, section 3.5.2).
    let sequence = match flags & 0x14 {
        0x04 => long(8),
        _ => 0x0102_0304,
    };
    let acknowledgement = match flags & 0x10 {
        0 => 0,
        _ => long(4).wrapping_add(counted),
    };
    let mut answer = [&tcp[2..4], &tcp[..2]].concat();
    answer.extend(sequence.to_be_bytes());
    answer.extend(acknowledgement.to_be_bytes());
    answer.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    wrap(kind, TCP, destination(kind, probe), &answer)
}

/// A datagram from the port probed; `repeats`: with the probe's payload.
pub fn datagram(kind: Kind, probe: &[u8], repeats: bool) -> Vec<u8> {
    let udp = &probe[kind.header()..];
    let mut answer = [&udp[2..4], &udp[..2], &udp[4..6], &[0, 0]].concat();
    answer.extend(if repeats { &udp[8..] } else { b"?" });
    wrap(kind, UDP, destination(kind, probe), &answer)
}

fn icmp(kind: Kind, source: IpAddr, message: &[u8]) -> Vec<u8> {
    let mut packet = wrap(kind, if kind.v6 { ICMPV6 } else { ICMP }, source, message);
    repair(kind, &mut packet);
    packet
}

/// A packet to us.
pub fn wrap(kind: Kind, protocol: u8, source: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(40 + payload.len());
    match (Ends::new(source, kind.source()), payload.len() as u16) {
        (Some(Ends::V4(source, us)), length) => {
            packet.extend([0x45, 0]);
            packet.extend((20 + length).to_be_bytes());
            packet.extend([0xab, 0xcd, 0, 0, 61, protocol, 0, 0]);
            packet.extend(source.octets());
            packet.extend(us.octets());
        }
        (Some(Ends::V6(source, us)), length) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([protocol, 61]);
            packet.extend(source.octets());
            packet.extend(us.octets());
        }
        (None, _) => panic!("an answer between two families"),
    }
    packet.extend(payload);
    packet
}

/// Puts the checksum of an ICMP message right: what is changed behind it gets as far as it can.
pub fn repair(kind: Kind, packet: &mut [u8]) {
    let Some((header, message)) = packet.split_at_mut_checked(kind.header()) else {
        return;
    };
    let pseudo_header = match kind.v6 {
        false => Sum::default(),
        true => Sum::default()
            .bytes(&header[8..40])
            .word(message.len() as u16)
            .word(ICMPV6.into()),
    };
    let protocol = header[if kind.v6 { 6 } else { 9 }];
    if message.len() < 4 || ![ICMP, ICMPV6].contains(&protocol) {
        return;
    }
    message[2..4].fill(0);
    let checksum = pseudo_header.bytes(message).checksum();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
}

fn destination(kind: Kind, probe: &[u8]) -> IpAddr {
    match kind.v6 {
        false => IpAddr::from(*probe[16..].first_chunk::<4>().expect("an IPv4 header")),
        true => IpAddr::from(*probe[24..].first_chunk::<16>().expect("an IPv6 header")),
    }
}
