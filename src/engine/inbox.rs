//! Packets that were received and not yet matched. Both drivers receive through it.
//!
//! Fragments are put together and packets are decoded as they come in, before the core is needed:
//! [`deliver`](Inbox::deliver) hands them to it.

use std::net::IpAddr;
use std::ops::Range;

use super::core::Core;
use crate::model::{DiscardReason, Reply, Time};
use crate::transport::Arrival;
use crate::wire::{self, Reassembler, Taken};

/// Packets that were received. Its buffers are used again and again.
#[derive(Debug, Default)]
pub struct Inbox {
    kept: Kept,
    fragments: Reassembler,
}

/// Packets that are whole.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
}

/// One arrival and its bytes. It is a reply, or is discarded with a reason.
#[derive(Debug)]
struct Packet {
    at: Time,
    decoded: Result<Box<Reply>, DiscardReason>,
    /// Whether it is an error of this host's.
    is_ours: bool,
    bytes: Range<usize>,
}

impl Kept {
    fn push(&mut self, at: Time, decoded: Result<Reply, DiscardReason>, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.packets.push(Packet {
            at,
            decoded: decoded.map(Box::new),
            is_ours: false,
            bytes: start..self.bytes.len(),
        });
    }
}

impl Inbox {
    /// Takes something that came back at `at`.
    pub fn arrival(&mut self, arrival: &Arrival<'_>, at: Time) {
        let decoded = match arrival {
            Arrival::Packet(bytes) => return self.packet(bytes, at),
            Arrival::Error(error) => wire::decode_error(error, at),
            Arrival::Datagram(datagram) => Ok(wire::decode_datagram(datagram, at)),
            Arrival::Echo(echo) => wire::decode_echo(echo, at),
            Arrival::Unreadable(reason, _) => Err(*reason),
        };
        self.kept.push(at, decoded, arrival.bytes());
    }

    /// Takes a packet, from its IP header on. A fragment counts only with the one that makes its packet whole.
    pub fn packet(&mut self, bytes: &[u8], at: Time) {
        if let Taken::Whole(whole) = self.fragments.take(bytes, at) {
            self.kept.push(at, wire::decode(whole, at), whole);
        }
    }

    /// Marks the errors that come from this host itself.
    pub fn mark_ours(&mut self, mut is_ours: impl FnMut(IpAddr) -> bool) {
        for packet in &mut self.kept.packets {
            packet.is_ours = packet
                .decoded
                .as_ref()
                .is_ok_and(|reply| reply.kind.is_unreachable() && is_ours(reply.responder));
        }
    }

    /// Gives up the fragments that wait for others: nothing more will come.
    pub fn give_up_fragments(&mut self) {
        self.fragments.give_up();
    }

    /// Hands everything to the core, in the order of arrival.
    pub fn deliver(&mut self, core: &mut Core, now: Time) {
        for fragment in self.fragments.take_dropped() {
            let refused = Err(fragment.reason);
            self.kept.push(fragment.at, refused, &fragment.packet);
        }
        for packet in self.kept.packets.drain(..) {
            let bytes = &self.kept.bytes[packet.bytes];
            match packet.decoded {
                Ok(reply) => core.reply(reply, packet.is_ours, bytes, now),
                Err(reason) => core.discard(reason, bytes, packet.at),
            }
        }
        self.kept.bytes.clear();
    }
}
