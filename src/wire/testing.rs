//! Helpers that the tests of all protocols share.

use super::format::{Marked, ProbeFormat};
use super::ip::Ends;
use super::token::Marks;
use crate::model::{FlowId, Ttl};

/// One source and destination per family.
pub(super) fn families() -> [Ends; 2] {
    [
        Ends::V4([192, 0, 2, 1].into(), [198, 51, 100, 9].into()),
        Ends::V6(
            "2001:db8::1".parse().expect("an address"),
            "2001:db8:5:6::9".parse().expect("an address"),
        ),
    ]
}

/// A probe of flow 0.
pub(super) fn probe(ends: Ends, ttl: u8, serial: u16, marks: Marks) -> Marked {
    let (source, destination) = ends.addresses();
    Marked {
        source,
        destination,
        flow: FlowId(0),
        ttl: Ttl(ttl),
        size: None,
        serial,
        marks,
        flow_label: 0x12345,
    }
}

/// The packet of a probe, written into a buffer that was not zeroed.
pub(super) fn encoded(format: &ProbeFormat, ends: Ends, probe: &Marked) -> Vec<u8> {
    let size = format.size(probe.destination, probe.ttl, probe.size);
    let mut packet = vec![0xff; size.into()];
    format.write(probe, &ends, &mut packet);
    packet
}

/// Whether the transport checksum is right. `pseudo` is the protocol number if the checksum covers a pseudo header.
pub(super) fn adds_up(ends: Ends, pseudo: Option<u8>, packet: &[u8]) -> bool {
    let transport = &packet[ends.header_size()..];
    let covered = pseudo.map(|protocol| ends.pseudo_header(protocol, transport.len()));
    covered.unwrap_or_default().bytes(transport).folded() == 0xffff
}

/// The fields of the IP header that a balancer may hash: type of service, protocol, addresses, and the flow label of IPv6.
pub(super) fn hashed(ends: Ends, packet: &[u8]) -> Vec<u8> {
    match ends {
        Ends::V4(..) => [&packet[1..2], &packet[9..10], &packet[12..20]].concat(),
        Ends::V6(..) => [&packet[..4], &packet[6..7], &packet[8..40]].concat(),
    }
}
