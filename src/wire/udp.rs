//! UDP probes, with our own IP header.
//!
//! | field | holds | constant over a flow |
//! |---|---|---|
//! | IP destination | the target | yes |
//! | IP ID (IPv4) | secret: which sending | no |
//! | IPv6 flow label | hash of the target, the same every night | yes |
//! | TTL or hop limit | the hop asked for | no |
//! | source port | base + flow | yes |
//! | destination port | as configured (unless `--port-per-ttl`) | yes |
//! | UDP length | 20 + TTL: says which TTL was sent even where only 8 bytes come back (unless `--packet-size`) | no |
//! | UDP checksum | secret: the check, never 0 | no |
//! | payload | marks (see [`payload`](super::payload)), zeros | no |
//!
//! All that a per-flow balancer may hash is the same for every TTL and attempt of a flow.

use super::checksum::Sum;
use super::ip::{IpHeader, UDP};
use super::payload::{self, MARKS};
use super::token::Marks;
use crate::model::Ttl;

/// Size of a UDP header, bytes.
pub const HEADER: usize = 8;

/// The UDP length of a probe with `ttl`, bytes.
pub const fn length_of_ttl(ttl: Ttl) -> u16 {
    (HEADER + MARKS) as u16 + ttl.0 as u16
}

/// The TTL that a UDP length stands for.
pub fn ttl_of_length(udp_length: u16) -> Option<Ttl> {
    let ttl = udp_length.checked_sub((HEADER + MARKS) as u16)?;
    u8::try_from(ttl).ok().filter(|ttl| *ttl > 0).map(Ttl)
}

/// What a UDP probe says.
#[derive(Clone, Copy, Debug)]
pub struct UdpProbe {
    /// The IP header.
    pub ip: IpHeader,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Names the sending.
    pub serial: u16,
    /// Check and tag.
    pub marks: Marks,
}

impl UdpProbe {
    /// Writes the probe into `packet`, whose length is the probe's: header sizes and [`MARKS`] at least.
    #[inline]
    pub fn encode(&self, packet: &mut [u8]) {
        self.ip.encode(packet);
        let udp = &mut packet[self.ip.ends.header_size()..];
        let length = udp.len();
        let rest = self
            .ip
            .ends
            .pseudo_header(UDP, length)
            .word(self.src_port)
            .word(self.dst_port)
            .word(length as u16)
            .word(self.marks.check);
        udp[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        udp[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        udp[4..6].copy_from_slice(&(length as u16).to_be_bytes());
        udp[6..8].copy_from_slice(&self.marks.check.to_be_bytes());
        payload::encode(&mut udp[HEADER..], &self.marks, self.serial, rest);
    }
}

/// The sum of the ports: what an address translator's change of them does to the checksum.
pub fn port_sum(src_port: u16, dst_port: u16) -> Sum {
    Sum::default().word(src_port).word(dst_port)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::wire::ip::Ends;
    use crate::wire::quote;

    fn probe(ends: Ends, ttl: u8, src_port: u16, check: u16) -> UdpProbe {
        let serial = 1 + u16::from(ttl) * 7;
        UdpProbe {
            ip: IpHeader {
                ends,
                protocol: UDP,
                ttl: Ttl(ttl),
                tos: 0,
                ip_id: serial,
                dont_fragment: false,
                flow_label: 0x12345,
            },
            src_port,
            dst_port: 33_434,
            serial,
            marks: Marks {
                check,
                tag: 0x0123_4567_89ab_cdef ^ u64::from(check),
            },
        }
    }

    fn families() -> [Ends; 2] {
        let ends = |source: &str, destination: &str| {
            let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
            Ends::new(parse(source), parse(destination)).expect("one family")
        };
        [
            ends("192.0.2.1", "198.51.100.9"),
            ends("2001:db8::1", "2001:db8:5:6::9"),
        ]
    }

    fn encoded(probe: &UdpProbe) -> Vec<u8> {
        let size = probe.ip.ends.header_size() + usize::from(length_of_ttl(probe.ip.ttl));
        let mut bytes = vec![0xff; size];
        probe.encode(&mut bytes);
        bytes
    }

    fn verifies(ends: Ends, bytes: &[u8]) -> bool {
        let udp = &bytes[ends.header_size()..];
        let sum = ends.pseudo_header(UDP, udp.len()).bytes(udp);
        sum.folded() == 0xffff
    }

    #[test]
    fn every_ttl_and_every_check_come_back() {
        for ends in families() {
            let short = ends.header_size() + 8;
            for ttl in 1..=255 {
                let probe = probe(ends, ttl, 24_000, 0x1234);
                let bytes = encoded(&probe);
                let quoted = quote::parse(&bytes[..short]).expect("a quote of 8 bytes");
                assert_eq!(quoted.udp_length.and_then(ttl_of_length), Some(Ttl(ttl)));
                assert_eq!((quoted.tag, quoted.serial), (None, None));
            }
            for check in 1..=u16::MAX {
                let probe = probe(ends, 9, 24_001, check);
                let bytes = encoded(&probe);
                assert!(verifies(ends, &bytes), "checksum {check:#x} is wrong");
                let quoted = quote::parse(&bytes).expect("a whole quote");
                assert_eq!(quoted.checksum, Some(check));
                assert_eq!(quoted.tag, Some(probe.marks.tag));
                assert_eq!(quoted.serial, Some(probe.serial));
                assert_eq!(quoted.src_port, Some(24_001));
            }
        }
    }

    #[test]
    fn every_source_port_and_serial_come_back() {
        for ends in families() {
            for number in 1..=u16::MAX {
                let mut probe = probe(ends, 3, number, 77);
                probe.serial = number;
                probe.ip.ip_id = number;
                let bytes = encoded(&probe);
                assert!(verifies(ends, &bytes));
                let quoted = quote::parse(&bytes).expect("a whole quote");
                let ip_id = matches!(ends, Ends::V4(..)).then_some(number);
                assert_eq!(
                    (quoted.src_port, quoted.serial, quoted.ip_id),
                    (Some(number), Some(number), ip_id)
                );
            }
        }
    }

    #[test]
    fn paris_nothing_that_a_balancer_hashes_changes_within_a_flow() {
        for ends in families() {
            // Type of service, protocol, addresses and ports; with IPv6 the first word holds class and flow label.
            let hashed = |bytes: &[u8]| match ends {
                Ends::V4(..) => [&bytes[1..2], &bytes[9..10], &bytes[12..24]].concat(),
                Ends::V6(..) => [&bytes[..4], &bytes[6..7], &bytes[8..44]].concat(),
            };
            let first = hashed(&encoded(&probe(ends, 1, 24_000, 1)));
            for ttl in 1..=255 {
                for check in [1, 0x8000, u16::MAX] {
                    assert_eq!(hashed(&encoded(&probe(ends, ttl, 24_000, check))), first);
                }
            }
        }
    }

    #[test]
    fn flows_differ_in_the_source_port_alone() {
        for ends in families() {
            let (a, b) = (
                encoded(&probe(ends, 5, 24_000, 9)),
                encoded(&probe(ends, 5, 24_001, 9)),
            );
            let transport = ends.header_size();
            let differing: Vec<usize> = (0..transport + 8).filter(|at| a[*at] != b[*at]).collect();
            assert_eq!(
                differing,
                [transport + 1],
                "only the low byte of the source port"
            );
        }
    }

    #[test]
    fn lengths_that_no_probe_has_stand_for_no_ttl() {
        for length in [0, 8, 19, 20, 20 + 256, u16::MAX] {
            assert_eq!(ttl_of_length(length), None, "{length}");
        }
    }
}
