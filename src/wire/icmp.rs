//! ICMPv4 error messages: from received bytes to a [`Reply`].

use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::Ipv4Packet;

use super::checksum::Sum;
use super::{extensions, quote};
use crate::model::{DiscardReason, Reply, ReplyKind, Time};

const ICMP_HEADER: usize = 8;
const DESTINATION_UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// Reads a received IPv4 packet, from its IP header on, as an ICMP error that quotes a probe.
pub fn decode(bytes: &[u8], received_at: Time) -> Result<Reply, DiscardReason> {
    let ip = Ipv4Packet::new(bytes).ok_or(DiscardReason::Truncated)?;
    let header = usize::from(ip.get_header_length()) * 4;
    let size = usize::from(ip.get_total_length());
    if ip.get_version() != 4 || header < 20 || size < header {
        return Err(DiscardReason::Malformed);
    }
    if ip.get_next_level_protocol() != IpNextHeaderProtocols::Icmp {
        return Err(DiscardReason::OtherType);
    }
    let more_fragments = ip.get_flags() & 0b001 != 0;
    if ip.get_fragment_offset() != 0 || more_fragments {
        return Err(DiscardReason::Malformed);
    }
    let message = bytes.get(header..size).ok_or(DiscardReason::Truncated)?;
    let (&[icmp_type, code, _, _, _, length, mtu_high, mtu_low], body) = message
        .split_first_chunk::<ICMP_HEADER>()
        .ok_or(DiscardReason::Truncated)?;
    if Sum::default().bytes(message).folded() != 0xffff {
        return Err(DiscardReason::BadChecksum);
    }
    let kind = ReplyKind::of_icmpv4(icmp_type, code).ok_or(DiscardReason::OtherType)?;
    let (quoted, structure) = match (icmp_type, code) {
        // RFC 4884 gives these types a length field. Reassembly timeouts (11, 1) carry none in practice.
        (DESTINATION_UNREACHABLE | PARAMETER_PROBLEM, _) | (TIME_EXCEEDED, 0) => {
            extensions::split(body, length)
        }
        _ => (body, None),
    };
    let mtu = u16::from_be_bytes([mtu_high, mtu_low]);
    Ok(Reply {
        responder: ip.get_source().into(),
        received_at,
        kind,
        icmp_type: Some(icmp_type),
        icmp_code: Some(code),
        ttl: ip.get_ttl(),
        tos: ip.get_dscp() << 2 | ip.get_ecn(),
        size: ip.get_total_length(),
        ip_id: Some(ip.get_identification()),
        destination: ip.get_destination().into(),
        quoted: Some(quote::parse_ipv4(quoted)?),
        next_hop_mtu: (kind == ReplyKind::FragmentationNeeded && mtu != 0).then_some(mtu),
        mpls: structure.map(extensions::mpls_stack).unwrap_or_default(),
        interface_info: Vec::new(),
        icmp_extensions: structure.map(<[u8]>::to_vec),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ICMP error around `body`, with both checksums right.
    fn message(icmp_type: u8, code: u8, length: u8, body: &[u8]) -> Vec<u8> {
        let mut icmp = vec![icmp_type, code, 0, 0, 0, length, 0x05, 0x78];
        icmp.extend(body);
        let checksum = Sum::default().bytes(&icmp).checksum();
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
        let size = (20 + icmp.len()) as u16;
        let mut packet = vec![0x45, 0xc0, 0, 0, 0xab, 0xcd, 0, 0, 61, 1, 0, 0];
        packet[2..4].copy_from_slice(&size.to_be_bytes());
        packet.extend([203, 0, 113, 9, 192, 0, 2, 1]);
        packet.extend(icmp);
        packet
    }

    fn quoted_probe() -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 40, 0x12, 0x34, 0, 0, 1, 17, 0, 0];
        bytes.extend([192, 0, 2, 1, 198, 51, 100, 1]);
        bytes.extend([0x5d, 0xc0, 0x82, 0x9a, 0, 20, 0x77, 0x88]);
        bytes
    }

    #[test]
    fn all_fields_of_a_time_exceeded_are_read() {
        let reply =
            decode(&message(11, 0, 0, &quoted_probe()), Time::from_nanos(5)).expect("a reply");
        assert_eq!(reply.kind, ReplyKind::TimeExceeded);
        assert_eq!(reply.responder.to_string(), "203.0.113.9");
        assert_eq!(reply.destination.to_string(), "192.0.2.1");
        assert_eq!((reply.ttl, reply.tos, reply.size), (61, 0xc0, 56));
        assert_eq!((reply.ip_id, reply.next_hop_mtu), (Some(0xabcd), None));
        let quoted = reply.quoted.expect("a quote");
        assert_eq!(
            (quoted.checksum, quoted.ip_id),
            (Some(0x7788), Some(0x1234))
        );
    }

    #[test]
    fn the_next_hop_mtu_is_read_where_it_means_that() {
        let reply = decode(&message(3, 4, 0, &quoted_probe()), Time::default()).expect("a reply");
        assert_eq!(reply.next_hop_mtu, Some(0x0578));
    }

    #[test]
    fn each_flaw_has_its_reason() {
        let good = message(11, 0, 0, &quoted_probe());
        let decode = |bytes: &[u8]| decode(bytes, Time::default()).map(|_| ()).unwrap_err();
        for size in 0..good.len() {
            assert_eq!(
                decode(&good[..size]),
                DiscardReason::Truncated,
                "{size} bytes"
            );
        }
        let mut flipped = good.clone();
        flipped[50] ^= 1;
        assert_eq!(decode(&flipped), DiscardReason::BadChecksum);
        let mut fragment = good.clone();
        fragment[6] = 0x20;
        assert_eq!(decode(&fragment), DiscardReason::Malformed);
        let mut six = good.clone();
        six[0] = 0x65;
        assert_eq!(decode(&six), DiscardReason::Malformed);
        assert_eq!(
            decode(&message(0, 0, 0, &quoted_probe())),
            DiscardReason::OtherType
        );
        assert_eq!(
            decode(&message(11, 0, 0, &[0x45; 12])),
            DiscardReason::Truncated
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = decode(&bytes, Time::default());
            // The same bytes as the body of a message whose outer checks hold.
            for (icmp_type, length) in [(11, 0), (11, 32), (3, 5), (12, 255)] {
                let _ = decode(&message(icmp_type, 0, length, &bytes), Time::default());
            }
        }
    }
}
