//! The packet that an ICMP error quotes.
//!
//! Routers quote at least the IP header and 8 bytes (RFC 792), most more, some with fields swapped or zeroed. So
//! only the header's own length is believed; the quoted total length bounds the quote where it is plausible, and
//! nothing else depends on it.

use pnet_packet::ipv4::Ipv4Packet;

use super::udp::{IP_HEADER, MARKS, UDP_HEADER};
use crate::model::{DiscardReason, QuotedProbe};

/// The IP protocol number of UDP.
pub const UDP: u8 = 17;

/// Reads a quoted IPv4 packet. `bytes` is the quote alone: extensions are cut off before.
pub fn parse_ipv4(bytes: &[u8]) -> Result<QuotedProbe, DiscardReason> {
    let ip = Ipv4Packet::new(bytes).ok_or(DiscardReason::Truncated)?;
    let header = usize::from(ip.get_header_length()) * 4;
    if ip.get_version() != 4 || header < IP_HEADER {
        return Err(DiscardReason::Malformed);
    }
    let length = ip.get_total_length();
    let quoted = match usize::from(length) {
        // Padding behind a short packet is not part of it.
        plausible if plausible >= header + UDP_HEADER => &bytes[..bytes.len().min(plausible)],
        _ => bytes,
    };
    let transport = quoted.get(header..).ok_or(DiscardReason::Truncated)?;
    let mut probe = QuotedProbe {
        source: ip.get_source().into(),
        destination: ip.get_destination().into(),
        protocol: ip.get_next_level_protocol().0,
        ttl: ip.get_ttl(),
        tos: ip.get_dscp() << 2 | ip.get_ecn(),
        ip_id: Some(ip.get_identification()),
        length,
        src_port: None,
        dst_port: None,
        udp_length: None,
        checksum: None,
        tag: None,
        quote_size: u16::try_from(quoted.len()).unwrap_or(u16::MAX),
    };
    // A later fragment has no transport header, whatever stands in its place.
    if probe.protocol == UDP && ip.get_fragment_offset() == 0 {
        read_udp(transport, &mut probe);
    }
    Ok(probe)
}

fn read_udp(transport: &[u8], probe: &mut QuotedProbe) {
    let word = |at: usize| Some(u16::from_be_bytes(*transport.get(at..)?.first_chunk()?));
    probe.src_port = word(0);
    probe.dst_port = word(2);
    probe.udp_length = word(4);
    probe.checksum = word(6);
    probe.tag = transport
        .get(UDP_HEADER + 2..UDP_HEADER + MARKS)
        .and_then(|tag| tag.first_chunk())
        .map(|tag| u64::from_be_bytes(*tag));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with the given total length, then `transport`.
    fn packet(total_length: u16, transport: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x45, 0x10, 0, 0, 0x12, 0x34, 0, 0, 1, UDP, 0, 0];
        bytes[2..4].copy_from_slice(&total_length.to_be_bytes());
        bytes.extend([192, 0, 2, 1, 198, 51, 100, 1]);
        bytes.extend(transport);
        bytes
    }

    #[test]
    fn a_quoted_length_of_zero_or_with_swapped_bytes_hides_nothing() {
        let transport: Vec<u8> = (0..18).collect();
        for length in [0, 20, 38, 38u16.swap_bytes()] {
            let quoted = parse_ipv4(&packet(length, &transport)).expect("readable");
            assert_eq!(quoted.src_port, Some(0x0001), "length {length}");
            assert_eq!(quoted.tag, Some(0x0a0b_0c0d_0e0f_1011), "length {length}");
            assert_eq!((quoted.length, quoted.quote_size), (length, 38));
        }
    }

    #[test]
    fn padding_behind_a_short_packet_is_not_read_as_its_tag() {
        let quoted = parse_ipv4(&packet(28, &[0; 108])).expect("readable");
        assert_eq!((quoted.tag, quoted.quote_size), (None, 28));
    }

    #[test]
    fn options_are_stepped_over() {
        let mut bytes = packet(0, &[9; 4]);
        bytes[0] = 0x46;
        bytes.extend([0x5d, 0xc0, 0x82, 0x9a, 0, 20, 1, 2]);
        let quoted = parse_ipv4(&bytes).expect("readable");
        assert_eq!(
            (quoted.src_port, quoted.dst_port),
            (Some(24_000), Some(33_434))
        );
    }

    #[test]
    fn what_is_cut_short_is_absent_or_refused() {
        let whole = packet(28, &[1; 8]);
        for size in 0..20 {
            assert_eq!(parse_ipv4(&whole[..size]), Err(DiscardReason::Truncated));
        }
        let ports_only = parse_ipv4(&whole[..24]).expect("readable");
        assert_eq!(
            (ports_only.dst_port, ports_only.udp_length),
            (Some(0x0101), None)
        );
    }

    #[test]
    fn a_later_fragment_and_another_protocol_have_no_ports() {
        let mut fragment = packet(28, &[1; 8]);
        fragment[7] = 5;
        assert_eq!(parse_ipv4(&fragment).expect("readable").src_port, None);
        let mut tcp = packet(28, &[1; 8]);
        tcp[9] = 6;
        assert_eq!(parse_ipv4(&tcp).expect("readable").src_port, None);
    }
}
