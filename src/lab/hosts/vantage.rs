//! The vantage point's kernel where there is none: in virtual time.
//!
//! The engine sends its SYNs past the kernel, which therefore knows of no connection and resets what their answers would open.
//! Without that a host holds the connection half open and answers later SYNs for it alone, so that a survey would show less in
//! virtual time than over real sockets. Every sound TCP segment is answered by RFC 9293, section 3.10.7.1 (CLOSED), in a packet such
//! as Linux sends: TTL 64, no IP ID, DF.
//!
//! Left out: what else a kernel says by itself (port unreachable), because no host's later answers depend on it. Flow labels are 0.

use super::tcp::{self, Segment};
use crate::lab::packet::envelope::Envelope;
use crate::lab::packet::{Packet, TCP};

/// TTL and hop limit of Linux.
const INITIAL_TTL: u8 = 64;

/// What the vantage point sends by itself on the arrival of `delivered`, from the IP header on.
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
