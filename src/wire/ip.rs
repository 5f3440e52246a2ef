//! IP headers of probes, IPv4 and IPv6.
//!
//! A per-flow balancer may hash addresses, protocol, type of service and IPv6 flow label. They are constant within a flow. Only
//! TTL, length, IP ID and header checksum differ between the probes of a flow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::Packet;
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{Ipv4Flags, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;

use super::checksum::Sum;
use crate::model::Ttl;

/// The size of the IPv4 header of probes. It has no options.
pub const IPV4_HEADER: usize = 20;
/// Size of the IPv6 header.
pub const IPV6_HEADER: usize = 40;

/// IP protocol numbers.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMPv6.
pub const ICMPV6: u8 = 58;

/// The size of the IP header towards `destination`.
pub const fn header_size(destination: IpAddr) -> usize {
    match destination {
        IpAddr::V4(_) => IPV4_HEADER,
        IpAddr::V6(_) => IPV6_HEADER,
    }
}

/// The two ends of a probe: source and destination of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// IPv4: source, destination.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6: source, destination.
    V6(Ipv6Addr, Ipv6Addr),
}

impl Ends {
    /// The ends; `None` for addresses of different families.
    pub fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Ends::V4(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Ends::V6(source, destination)),
            _ => None,
        }
    }

    /// Source and destination.
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        match *self {
            Ends::V4(source, destination) => (source.into(), destination.into()),
            Ends::V6(source, destination) => (source.into(), destination.into()),
        }
    }

    /// The size of the IP header for this family, in bytes.
    pub const fn header_size(&self) -> usize {
        match self {
            Ends::V4(..) => IPV4_HEADER,
            Ends::V6(..) => IPV6_HEADER,
        }
    }

    /// The sum of the pseudo header that transport checksums cover (RFC 9293, RFC 8200): addresses, protocol, length.
    #[inline]
    pub fn pseudo_header(&self, protocol: u8, length: usize) -> Sum {
        let addresses = match self {
            Ends::V4(source, destination) => Sum::default().address(*source).address(*destination),
            Ends::V6(source, destination) => Sum::default()
                .bytes(&source.octets())
                .bytes(&destination.octets()),
        };
        addresses.word(u16::from(protocol)).word(length as u16)
    }
}

/// The IP header of a probe, except its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// Addresses.
    pub ends: Ends,
    /// The protocol number of the payload.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: Ttl,
    /// Type of service or traffic class.
    pub tos: u8,
    /// IP ID (IPv4).
    pub ip_id: u16,
    /// Don't fragment (IPv4).
    pub dont_fragment: bool,
    /// 20 bits (IPv6).
    pub flow_label: u32,
}

impl IpHeader {
    /// Writes the header to the start of `packet`, which has the length of the whole packet.
    #[inline]
    pub fn encode(&self, packet: &mut [u8]) {
        let size = packet.len();
        match self.ends {
            Ends::V4(source, destination) => {
                let Some(mut header) = MutableIpv4Packet::new(packet) else {
                    return;
                };
                header.set_version(4);
                header.set_header_length((IPV4_HEADER / 4) as u8);
                header.set_dscp(self.tos >> 2);
                header.set_ecn(self.tos & 0b11);
                header.set_total_length(size as u16);
                header.set_identification(self.ip_id);
                header.set_flags(match self.dont_fragment {
                    true => Ipv4Flags::DontFragment,
                    false => 0,
                });
                header.set_fragment_offset(0);
                header.set_ttl(self.ttl.0);
                header.set_next_level_protocol(IpNextHeaderProtocol(self.protocol));
                header.set_checksum(0);
                header.set_source(source);
                header.set_destination(destination);
                let bytes = &header.packet()[..IPV4_HEADER];
                let checksum = Sum::default().bytes(bytes).checksum();
                header.set_checksum(checksum);
            }
            Ends::V6(source, destination) => {
                let Some(mut header) = MutableIpv6Packet::new(packet) else {
                    return;
                };
                header.set_version(6);
                header.set_traffic_class(self.tos);
                header.set_flow_label(self.flow_label & 0xf_ffff);
                header.set_payload_length((size - IPV6_HEADER) as u16);
                header.set_next_header(IpNextHeaderProtocol(self.protocol));
                header.set_hop_limit(self.ttl.0);
                header.set_source(source);
                header.set_destination(destination);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ends: Ends) -> IpHeader {
        IpHeader {
            ends,
            protocol: UDP,
            ttl: Ttl(9),
            tos: 0xb8,
            ip_id: 0x1234,
            dont_fragment: true,
            flow_label: 0xabcde,
        }
    }

    #[test]
    fn an_ipv4_header_is_as_rfc_791_has_it() {
        let ends = Ends::V4(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7));
        let mut packet = [0xff; 48];
        header(ends).encode(&mut packet);
        assert_eq!(
            packet[..10],
            [0x45, 0xb8, 0, 48, 0x12, 0x34, 0x40, 0, 9, 17]
        );
        assert_eq!(packet[12..20], [192, 0, 2, 1, 198, 51, 100, 7]);
        assert_eq!(Sum::default().bytes(&packet[..20]).folded(), 0xffff);
        assert_eq!(packet[20], 0xff, "nothing behind the header is touched");
    }

    #[test]
    fn an_ipv6_header_is_as_rfc_8200_has_it() {
        let (source, destination): (Ipv6Addr, Ipv6Addr) = (
            "2001:db8::1".parse().unwrap(),
            "2001:db8:9::7".parse().unwrap(),
        );
        let mut packet = [0xff; 60];
        header(Ends::V6(source, destination)).encode(&mut packet);
        assert_eq!(packet[..8], [0x6b, 0x8a, 0xbc, 0xde, 0, 20, 17, 9]);
        assert_eq!(packet[8..24], source.octets());
        assert_eq!(packet[24..40], destination.octets());
    }

    #[test]
    fn families_do_not_mix() {
        let (four, six) = (IpAddr::from([1, 2, 3, 4]), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(Ends::new(four, six), None);
        assert_eq!(Ends::new(six, four), None);
    }
}
