//! TCP as far as probes see it: the answer of a port to one segment (RFC 9293, section 3.10.7).
//!
//! The rules serve hosts, and the vantage point when it knows no connection. Hosts hold no connections: they reset a completed
//! handshake, as a program would that closes at once.
//!
//! Left out:
//! - data, SYN cookies, and the retransmission of SYN-ACKs;
//! - window checks. A second SYN within the receive window gets the usual answer; Linux would reset.

use super::half_open::{Ends, HalfOpen, HalfOpens};
use crate::lab::packet::address::Family;
use crate::lab::packet::envelope::Envelope;
use crate::lab::packet::{Packet, TCP};
use crate::model::Time;

pub(in crate::lab) const FIN: u8 = 1;
pub(in crate::lab) const SYN: u8 = 2;
pub(in crate::lab) const RST: u8 = 4;
pub(in crate::lab) const ACK: u8 = 16;

/// Bytes of a header without options.
const HEADER: usize = 20;
/// The window that hosts advertise.
const WINDOW: u16 = 64_240;
/// Largest segment on Ethernet, behind headers of 40 and 60 bytes.
const MSS: [u16; 2] = [1460, 1440];

/// A segment that the vantage point sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Segment {
    pub(in crate::lab) source_port: u16,
    pub(in crate::lab) destination_port: u16,
    pub(in crate::lab) sequence: u32,
    pub(in crate::lab) acknowledgement: u32,
    pub(in crate::lab) flags: u8,
    /// Sequence numbers that it takes up: data, SYN, FIN.
    pub(in crate::lab) length: u32,
}

impl Segment {
    /// Reads the segment in `packet`. Returns `None` if a host would drop it: wrong checksum or lengths.
    pub(in crate::lab) fn parse(packet: &Packet) -> Option<Self> {
        let bytes = packet.transport();
        let header = bytes.first_chunk::<HEADER>()?;
        let offset = usize::from(header[12] >> 4) * 4;
        let data = bytes.get(offset..).filter(|_| offset >= HEADER)?;
        if !packet.adds_up(bytes) {
            return None;
        }
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let word = |at: usize| u32::from(half(at)) << 16 | u32::from(half(at + 2));
        let flags = header[13];
        let of = |flag| u32::from(flags & flag != 0);
        Some(Segment {
            source_port: half(0),
            destination_port: half(2),
            sequence: word(4),
            acknowledgement: word(8),
            flags,
            length: data.len() as u32 + of(SYN) + of(FIN),
        })
    }

    /// The answer if no connection is known (RFC 9293, section 3.10.7.1): a reset, unless the segment is one.
    pub(in crate::lab) fn reset(&self) -> Option<Reply> {
        if self.has(RST) {
            return None;
        }
        if self.has(ACK) {
            return Some(self.reply(self.acknowledgement, 0, RST));
        }
        let next = self.sequence.wrapping_add(self.length);
        Some(self.reply(0, next, RST | ACK))
    }

    fn reply(&self, sequence: u32, acknowledgement: u32, flags: u8) -> Reply {
        Reply {
            source_port: self.destination_port,
            destination_port: self.source_port,
            sequence,
            acknowledgement,
            flags,
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// An answer: a segment without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Reply {
    source_port: u16,
    destination_port: u16,
    sequence: u32,
    acknowledgement: u32,
    flags: u8,
}

/// Returns the answer of the port at `ends` to `segment`. A new connection starts with the sequence number `isn`.
pub(in crate::lab) fn answer(
    segment: &Segment,
    listening: bool,
    ends: Ends,
    isn: u32,
    half_open: &mut HalfOpens,
    now: Time,
) -> Option<Reply> {
    let reply =
        |sequence, acknowledgement, flags| Some(segment.reply(sequence, acknowledgement, flags));
    if let Some(HalfOpen { theirs, ours, .. }) = half_open.get(ends) {
        let [expected, own_next] = [theirs.wrapping_add(1), ours.wrapping_add(1)];
        if segment.has(RST) {
            if segment.sequence == expected {
                half_open.close(ends);
            }
            return None;
        }
        if segment.has(ACK) {
            if (segment.sequence, segment.acknowledgement) == (expected, own_next) {
                half_open.close(ends);
            }
            return reply(segment.acknowledgement, 0, RST);
        }
        return match (segment.has(SYN), segment.sequence == theirs) {
            (true, true) => reply(ours, expected, SYN | ACK),
            (true, false) => reply(own_next, expected, ACK),
            (false, _) => None,
        };
    }
    if !listening || segment.has(RST) || segment.has(ACK) {
        return segment.reset();
    }
    if !segment.has(SYN) {
        return None;
    }
    half_open.open(ends, segment.sequence, isn, now);
    // Data in the segment is not acknowledged yet.
    reply(isn, segment.sequence.wrapping_add(1), SYN | ACK)
}

/// Builds the packet.
pub(in crate::lab) fn build(envelope: Envelope, reply: &Reply) -> Vec<u8> {
    let synchronises = reply.flags & SYN != 0;
    let length = if synchronises { HEADER + 4 } else { HEADER };
    let mut packet = envelope.room(length);
    let bytes = &mut packet[envelope.family().header()..];
    bytes[..2].copy_from_slice(&reply.source_port.to_be_bytes());
    bytes[2..4].copy_from_slice(&reply.destination_port.to_be_bytes());
    bytes[4..8].copy_from_slice(&reply.sequence.to_be_bytes());
    bytes[8..12].copy_from_slice(&reply.acknowledgement.to_be_bytes());
    bytes[12] = (length as u8 / 4) << 4;
    bytes[13] = reply.flags;
    if reply.flags & RST == 0 {
        bytes[14..16].copy_from_slice(&WINDOW.to_be_bytes());
    }
    if synchronises {
        let mss = match envelope.family() {
            Family::V4 => MSS[0],
            Family::V6 => MSS[1],
        };
        // Kind 2, 4 bytes.
        bytes[20..22].copy_from_slice(&[2, 4]);
        bytes[22..24].copy_from_slice(&mss.to_be_bytes());
    }
    envelope.seal(&mut packet, TCP, 0);
    packet
}
