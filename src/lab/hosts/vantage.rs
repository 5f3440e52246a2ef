//! The vantage point's kernel, for virtual time.
//!
//! The engine bypasses the kernel when it sends SYNs. A real kernel knows no connection for the SYN-ACK, and answers it by a reset.
//! Without the reset, the host would keep the connection half open and treat later SYNs as part of it.
//! A survey in virtual time would then see less than one over real sockets.
//!
//! Every valid TCP segment is answered as RFC 9293 says for the state CLOSED (section 3.10.7.1). The packet looks like one of Linux:
//! TTL 64, no IP ID, DF, flow label 0.
//!
//! Left out: other messages that a kernel sends by itself, such as port unreachable. No host's answer depends on them.

use super::tcp::{self, Segment};
use crate::lab::packet::envelope::Envelope;
use crate::lab::packet::{Packet, TCP};

/// TTL and hop limit of Linux.
const INITIAL_TTL: u8 = 64;

/// Returns what the vantage point sends when `delivered` arrives, from the IP header on.
pub(in crate::lab) fn answer(delivered: &[u8]) -> Option<Vec<u8>> {
    let packet = Packet::parse(delivered).ok()?;
    if packet.protocol() != TCP {
        return None;
    }
    let reset = Segment::parse(&packet)?.reset()?;
    let envelope = Envelope {
        source: packet.destination(),
        destination: packet.source(),
        ttl: INITIAL_TTL,
        ip_id: None,
    };
    Some(tcp::build(envelope, &reset))
}
