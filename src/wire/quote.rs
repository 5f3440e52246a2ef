//! Decodes the packet that an ICMP error quotes.
//!
//! - IPv4 routers quote at least the IP header and 8 bytes (RFC 792), and most quote more. Some swap or zero fields.
//! - IPv6 routers quote what fits into 1,280 bytes (RFC 4443).
//!
//! Only the header's own length is trusted. The quoted total length limits the quote if it is plausible, and is used for
//! nothing else.

use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;

use super::ip::{IPV4_HEADER, IPV6_HEADER};
use super::{headers, protocol};
use crate::model::{DiscardReason, QuotedProbe, QuotedTransport};

/// The least size of a quoted transport header, in bytes.
const LEAST_TRANSPORT: usize = 8;

/// Decodes a quoted packet of either family. The first byte tells the family.
pub fn parse(bytes: &[u8]) -> Result<QuotedProbe, DiscardReason> {
    match bytes.first().map(|first| first >> 4) {
        Some(6) => parse_ipv6(bytes),
        _ => parse_ipv4(bytes),
    }
}

/// Decodes a quoted IPv4 packet.
pub fn parse_ipv4(bytes: &[u8]) -> Result<QuotedProbe, DiscardReason> {
    let ip = Ipv4Packet::new(bytes).ok_or(DiscardReason::Truncated)?;
    let header = usize::from(ip.get_header_length()) * 4;
    if ip.get_version() != 4 || header < IPV4_HEADER {
        return Err(DiscardReason::Malformed);
    }
    let length = ip.get_total_length();
    let quoted = bounded(bytes, usize::from(length), header);
    let transport = quoted.get(header..).ok_or(DiscardReason::Truncated)?;
    let transport = unpadded(transport);
    let protocol = ip.get_next_level_protocol().0;
    let is_first = ip.get_fragment_offset() == 0;
    Ok(QuotedProbe {
        source: Some(ip.get_source().into()),
        ttl: Some(ip.get_ttl()),
        tos: Some(ip.get_dscp() << 2 | ip.get_ecn()),
        ip_id: Some(ip.get_identification()),
        length: Some(length.into()),
        quote_size: u16::try_from(header + transport.len()).ok(),
        ..QuotedProbe::bare(
            ip.get_destination().into(),
            protocol,
            read_transport(transport, protocol, false, is_first),
        )
    })
}

/// Decodes a quoted IPv6 packet. Extension headers are skipped: a router on the way may have added them to a probe. `protocol`
/// is that of the transport header, and `quote_size` includes the extension headers.
pub fn parse_ipv6(bytes: &[u8]) -> Result<QuotedProbe, DiscardReason> {
    let ip = Ipv6Packet::new(bytes).ok_or(DiscardReason::Truncated)?;
    if ip.get_version() != 6 {
        return Err(DiscardReason::Malformed);
    }
    let length = IPV6_HEADER + usize::from(ip.get_payload_length());
    let behind = bytes.get(IPV6_HEADER..).ok_or(DiscardReason::Truncated)?;
    let carried = headers::walk(ip.get_next_header().0, behind)?;
    let header = IPV6_HEADER + carried.offset;
    let quoted = bounded(bytes, length, header);
    let transport = quoted.get(header..).ok_or(DiscardReason::Truncated)?;
    let transport = unpadded(transport);
    let is_first = carried.fragment.is_none_or(|fragment| fragment.offset == 0);
    Ok(QuotedProbe {
        source: Some(ip.get_source().into()),
        ttl: Some(ip.get_hop_limit()),
        tos: Some(ip.get_traffic_class()),
        flow_label: Some(ip.get_flow_label()),
        length: u32::try_from(length).ok(),
        quote_size: u16::try_from(header + transport.len()).ok(),
        ..QuotedProbe::bare(
            ip.get_destination().into(),
            carried.protocol,
            read_transport(transport, carried.protocol, true, is_first),
        )
    })
}

/// Removes the padding after a short packet, if the quoted length is plausible.
fn bounded(bytes: &[u8], length: usize, header: usize) -> &[u8] {
    if length >= header + LEAST_TRANSPORT {
        &bytes[..bytes.len().min(length)]
    } else {
        bytes
    }
}

/// Removes the zeros that pad a short quote up to an extension structure (RFC 4884). The bytes of a probe there are never all
/// zero: they are marks, or the second half of a TCP header.
fn unpadded(transport: &[u8]) -> &[u8] {
    match transport.split_at_checked(LEAST_TRANSPORT) {
        Some((quoted, rest)) if rest.iter().all(|byte| *byte == 0) => quoted,
        _ => transport,
    }
}

/// Reads what follows the IP header. `is_first`: the packet is not a later fragment. A later fragment has no transport header.
fn read_transport(transport: &[u8], protocol: u8, ipv6: bool, is_first: bool) -> QuotedTransport {
    match protocol::numbered(protocol, ipv6) {
        _ if !is_first => QuotedTransport::Other(Box::default()),
        Some(protocol) => protocol.read_quote(transport, ipv6),
        None => QuotedTransport::Other(transport.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::QuotedUdp;
    use crate::wire::ip::{ICMP, TCP, UDP};

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
            assert_eq!(quoted.src_port(), Some(0x0001), "length {length}");
            assert_eq!(quoted.tag(), Some(0x0a0b_0c0d_0e0f_1011), "length {length}");
            assert_eq!(
                (quoted.length, quoted.quote_size),
                (Some(length.into()), Some(38))
            );
        }
    }

    #[test]
    fn padding_behind_a_short_packet_is_not_read_as_its_tag() {
        let quoted = parse_ipv4(&packet(28, &[0; 108])).expect("readable");
        assert_eq!((quoted.tag(), quoted.quote_size), (None, Some(28)));
    }

    /// A probe's bytes are never all zero there: they are marks, or the second half of a TCP header.
    #[test]
    fn zeros_after_eight_bytes_are_padding_whatever_the_quoted_length_says() {
        for protocol in [TCP, UDP, ICMP] {
            let mut bytes = packet(40, &[0; 20]);
            bytes[9] = protocol;
            bytes[20..28].copy_from_slice(&[8, 0, 0x82, 0x9a, 1, 2, 3, 4]);
            let quoted = parse_ipv4(&bytes).expect("readable");
            assert_eq!(quoted.quote_size, Some(28), "protocol {protocol}");
            assert_eq!((quoted.tag(), quoted.serial()), (None, None));
            let shown = (protocol != TCP).then_some(quoted.checksum().unwrap_or_default());
            assert_eq!(quoted.checksum(), shown, "protocol {protocol}");
        }
    }

    #[test]
    fn options_are_stepped_over() {
        let mut bytes = packet(0, &[9; 4]);
        bytes[0] = 0x46;
        bytes.extend([0x5d, 0xc0, 0x82, 0x9a, 0, 20, 1, 2]);
        let quoted = parse_ipv4(&bytes).expect("readable");
        assert_eq!(
            (quoted.src_port(), quoted.dst_port()),
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
        let expected = QuotedUdp {
            src_port: Some(0x0101),
            dst_port: Some(0x0101),
            ..QuotedUdp::default()
        };
        assert_eq!(ports_only.transport, QuotedTransport::Udp(expected));
    }

    #[test]
    fn an_ipv6_quote_is_read_field_by_field() {
        let mut bytes = vec![0x6b, 0x81, 0x23, 0x45, 0, 20, UDP, 3];
        bytes.extend(
            "2001:db8::1"
                .parse::<std::net::Ipv6Addr>()
                .unwrap()
                .octets(),
        );
        bytes.extend(
            "2001:db8::2"
                .parse::<std::net::Ipv6Addr>()
                .unwrap()
                .octets(),
        );
        bytes.extend([0x5d, 0xc0, 0x82, 0x9a, 0, 20, 0x77, 0x88]);
        bytes.extend(0..12);
        let quoted = parse(&bytes).expect("readable");
        assert_eq!(quoted.source, Some("2001:db8::1".parse().unwrap()));
        assert_eq!(quoted.destination.to_string(), "2001:db8::2");
        assert_eq!((quoted.ttl, quoted.tos), (Some(3), Some(0xb8)));
        assert_eq!(
            (quoted.flow_label, quoted.length, quoted.ip_id),
            (Some(0x12345), Some(60), None)
        );
        assert_eq!(quoted.tag(), Some(0x0203_0405_0607_0809));
        assert_eq!(quoted.serial(), Some(0x0a0b));
        for size in 0..40 {
            assert!(parse(&bytes[..size]).is_err(), "{size} bytes");
        }
    }

    #[test]
    fn only_an_echo_request_is_a_quoted_echo_probe() {
        for (kind, ours) in [(8, true), (0, false), (13, false)] {
            let mut bytes = packet(28, &[kind, 0, 1, 2, 3, 4, 5, 6]);
            bytes[9] = ICMP;
            let quoted = parse_ipv4(&bytes).expect("readable");
            assert_eq!(quoted.icmp_id(), ours.then_some(0x0304), "type {kind}");
        }
    }

    #[test]
    fn a_later_fragment_and_another_protocol_have_no_ports() {
        let mut fragment = packet(28, &[1; 8]);
        fragment[7] = 5;
        assert_eq!(parse_ipv4(&fragment).expect("readable").src_port(), None);
        let mut gre = packet(28, &[1; 8]);
        gre[9] = 47;
        assert_eq!(parse_ipv4(&gre).expect("readable").src_port(), None);
    }
}
