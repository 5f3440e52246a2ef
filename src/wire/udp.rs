//! UDP probes over IPv4, with our own IP header.
//!
//! | field | holds | constant over a flow |
//! |---|---|---|
//! | IP destination | the target | yes |
//! | IP ID | secret: which sending | no |
//! | IP TTL | the hop asked for | no |
//! | source port | base + flow | yes |
//! | destination port | as configured (unless `--port-per-ttl`) | yes |
//! | UDP length | 18 + TTL: says which TTL was sent even where only 8 bytes come back | no |
//! | UDP checksum | secret: the check, never 0 | no |
//! | payload | compensation word, 64-bit tag, zeros | no |
//!
//! All that a per-flow balancer may hash (addresses, protocol, ports, type of service) is the same for every TTL and
//! attempt of a flow. The compensation word makes the checksum that we want the right one.

use std::net::Ipv4Addr;

use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::MutableIpv4Packet;
use pnet_packet::udp::MutableUdpPacket;

use super::checksum::Sum;
use super::token::Marks;
use crate::model::Ttl;

/// Bytes of an IPv4 header without options.
pub const IP_HEADER: usize = 20;
/// Bytes of a UDP header.
pub const UDP_HEADER: usize = 8;
/// Bytes of the payload before the padding: compensation word and tag.
pub const MARKS: usize = 10;

/// The UDP length of a probe sent with `ttl`: 18 + TTL bytes.
pub const fn udp_length(ttl: Ttl) -> u16 {
    (UDP_HEADER + MARKS) as u16 + ttl.0 as u16
}

/// The TTL that a UDP length stands for; `None` for a length that no probe of ours has.
pub fn ttl_of_length(udp_length: u16) -> Option<Ttl> {
    let ttl = udp_length.checked_sub((UDP_HEADER + MARKS) as u16)?;
    u8::try_from(ttl).ok().filter(|ttl| *ttl > 0).map(Ttl)
}

/// The size of a probe with its IP header, bytes.
pub const fn packet_size(ttl: Ttl) -> usize {
    IP_HEADER + udp_length(ttl) as usize
}

/// All that differs from one UDP probe to another.
#[derive(Clone, Copy, Debug)]
pub struct UdpProbe {
    /// Our address.
    pub source: Ipv4Addr,
    /// The address probed.
    pub destination: Ipv4Addr,
    /// base + flow.
    pub src_port: u16,
    /// The port where nothing should listen.
    pub dst_port: u16,
    /// The hop asked for.
    pub ttl: Ttl,
    /// Never 0.
    pub ip_id: u16,
    /// Check and tag.
    pub marks: Marks,
}

impl UdpProbe {
    /// Writes the packet into `buffer`, which is [`packet_size`] bytes long and all zero.
    ///
    /// # Panics
    /// When the buffer has another size: a mistake of the caller, not of any input.
    #[inline]
    pub fn encode(&self, buffer: &mut [u8]) {
        assert_eq!(
            buffer.len(),
            packet_size(self.ttl),
            "buffer for a UDP probe"
        );
        let (ip_bytes, udp_bytes) = buffer.split_at_mut(IP_HEADER);
        self.encode_udp(udp_bytes);
        self.encode_ip(ip_bytes);
    }

    fn encode_udp(&self, bytes: &mut [u8]) {
        let length = udp_length(self.ttl);
        let rest = Sum::default()
            .address(self.source)
            .address(self.destination)
            .word(u16::from(IpNextHeaderProtocols::Udp.0))
            .word(length)
            .word(self.src_port)
            .word(self.dst_port)
            .word(length)
            .word(self.marks.check)
            .long(self.marks.tag);
        let compensation = rest.checksum();
        bytes[UDP_HEADER..UDP_HEADER + 2].copy_from_slice(&compensation.to_be_bytes());
        bytes[UDP_HEADER + 2..UDP_HEADER + MARKS].copy_from_slice(&self.marks.tag.to_be_bytes());
        if let Some(mut udp) = MutableUdpPacket::new(bytes) {
            udp.set_source(self.src_port);
            udp.set_destination(self.dst_port);
            udp.set_length(length);
            udp.set_checksum(self.marks.check);
        }
    }

    fn encode_ip(&self, bytes: &mut [u8]) {
        if let Some(mut ip) = MutableIpv4Packet::new(bytes) {
            ip.set_version(4);
            ip.set_header_length(5);
            ip.set_total_length(packet_size(self.ttl) as u16);
            ip.set_identification(self.ip_id);
            ip.set_ttl(self.ttl.0);
            ip.set_next_level_protocol(IpNextHeaderProtocols::Udp);
            ip.set_source(self.source);
            ip.set_destination(self.destination);
        }
        let checksum = Sum::default().bytes(bytes).checksum();
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::quote;

    fn probe(ttl: u8, src_port: u16, check: u16) -> UdpProbe {
        UdpProbe {
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(198, 51, 100, 9),
            src_port,
            dst_port: 33_434,
            ttl: Ttl(ttl),
            ip_id: 1 + u16::from(ttl) * 7,
            marks: Marks {
                check,
                tag: 0x0123_4567_89ab_cdef ^ u64::from(check),
            },
        }
    }

    fn encoded(probe: &UdpProbe) -> Vec<u8> {
        let mut bytes = vec![0; packet_size(probe.ttl)];
        probe.encode(&mut bytes);
        bytes
    }

    /// Checks a UDP packet as the receiving host does.
    fn verifies(bytes: &[u8]) -> bool {
        let udp = &bytes[20..];
        Sum::default()
            .bytes(&bytes[12..20])
            .word(17)
            .word(udp.len() as u16)
            .bytes(udp)
            .folded()
            == 0xffff
    }

    #[test]
    fn every_ttl_and_every_check_come_back_from_an_eight_byte_quote() {
        for ttl in 1..=255 {
            let probe = probe(ttl, 24_000, 0x1234);
            let bytes = encoded(&probe);
            let quoted = quote::parse_ipv4(&bytes[..28]).expect("a quote of 28 bytes");
            assert_eq!(quoted.udp_length.and_then(ttl_of_length), Some(Ttl(ttl)));
            assert_eq!(quoted.ip_id, Some(probe.ip_id));
            assert_eq!(quoted.tag, None);
        }
        for check in 1..=u16::MAX {
            let probe = probe(9, 24_001, check);
            let bytes = encoded(&probe);
            assert!(verifies(&bytes), "checksum {check:#x} is wrong");
            let quoted = quote::parse_ipv4(&bytes).expect("a whole quote");
            assert_eq!(quoted.checksum, Some(check));
            assert_eq!(quoted.tag, Some(probe.marks.tag));
            assert_eq!(quoted.src_port, Some(24_001));
        }
    }

    #[test]
    fn every_source_port_and_ip_id_come_back() {
        for number in 1..=u16::MAX {
            let mut probe = probe(3, number, 77);
            probe.ip_id = number;
            let bytes = encoded(&probe);
            assert!(verifies(&bytes));
            let quoted = quote::parse_ipv4(&bytes[..28]).expect("a quote of 28 bytes");
            assert_eq!(
                (quoted.src_port, quoted.ip_id),
                (Some(number), Some(number))
            );
        }
    }

    #[test]
    fn paris_nothing_that_a_balancer_hashes_changes_within_a_flow() {
        let hashed = |bytes: &[u8]| {
            let mut fields = vec![bytes[1], bytes[9]];
            fields.extend(&bytes[12..24]);
            fields
        };
        let first = hashed(&encoded(&probe(1, 24_000, 1)));
        for ttl in 1..=255 {
            for check in [1, 0x8000, u16::MAX] {
                assert_eq!(hashed(&encoded(&probe(ttl, 24_000, check))), first);
            }
        }
    }

    #[test]
    fn flows_differ_in_the_source_port_alone() {
        let (a, b) = (encoded(&probe(5, 24_000, 9)), encoded(&probe(5, 24_001, 9)));
        let differing: Vec<usize> = (0..28).filter(|at| a[*at] != b[*at]).collect();
        assert_eq!(differing, [21], "only the low byte of the source port");
    }

    #[test]
    fn the_ip_header_checksum_is_right() {
        let bytes = encoded(&probe(32, 24_000, 500));
        assert_eq!(Sum::default().bytes(&bytes[..20]).folded(), 0xffff);
        assert_eq!(bytes.len(), 20 + 18 + 32);
    }

    #[test]
    fn lengths_that_no_probe_has_stand_for_no_ttl() {
        for length in [0, 8, 17, 18, 18 + 256, u16::MAX] {
            assert_eq!(ttl_of_length(length), None, "{length}");
        }
    }
}
