//! ICMP echo probes, IPv4 (RFC 792) and IPv6 (RFC 4443), with our own IP header.
//!
//! | field | holds | constant over a flow |
//! |---|---|---|
//! | IP destination | the target | yes |
//! | IP ID (IPv4) | secret: which sending | no |
//! | TTL or hop limit | the hop asked for | no |
//! | type, code | echo request | yes |
//! | identifier | base + flow | yes |
//! | checksum | secret: keyed hash of target and flow, never 0 or 0xffff | yes |
//! | sequence | high byte: TTL; low byte: 8 bits of the tag | no |
//! | payload | marks (see [`payload`](super::payload)) | no |
//!
//! Balancers that hash ICMP take identifier and checksum for ports: both are held constant, the compensation word pays for
//! it. The checksum covers no addresses (IPv4), so address translators leave it alone.

use super::ip::{Ends, ICMP, ICMPV6, IpHeader};
use super::payload;
use super::token::Marks;
use crate::model::{Echoed, Ttl};
use crate::wire::checksum::Sum;

/// Size of an echo request's header, bytes.
pub const HEADER: usize = 8;
/// Echo request, ICMPv4.
pub const REQUEST_V4: u8 = 8;
/// Echo request, ICMPv6.
pub const REQUEST_V6: u8 = 128;
/// Echo reply, ICMPv4.
pub const REPLY_V4: u8 = 0;
/// Echo reply, ICMPv6.
pub const REPLY_V6: u8 = 129;

/// The sequence number of a probe.
pub const fn sequence(ttl: Ttl, marks: &Marks) -> u16 {
    (ttl.0 as u16) << 8 | (marks.tag & 0xff) as u16
}

/// The TTL that a sequence number stands for.
pub fn ttl_of_sequence(sequence: u16) -> Option<Ttl> {
    let [ttl, _] = sequence.to_be_bytes();
    (ttl > 0).then_some(Ttl(ttl))
}

/// The protocol number of echo requests between `ends`.
pub const fn protocol(ends: &Ends) -> u8 {
    match ends {
        Ends::V4(..) => ICMP,
        Ends::V6(..) => ICMPV6,
    }
}

/// What an echo reply repeats of its probe: `rest` is its identifier and sequence number, `body` what follows them.
pub fn echoed(rest: [u8; 4], body: &[u8]) -> Echoed {
    let [identifier @ .., high, low] = rest;
    Echoed::Echo {
        identifier: u16::from_be_bytes(identifier),
        sequence: u16::from_be_bytes([high, low]),
        tag: payload::tag(body),
        serial: payload::serial(body),
    }
}

/// What an echo probe says.
#[derive(Clone, Copy, Debug)]
pub struct EchoProbe {
    /// The IP header.
    pub ip: IpHeader,
    /// Identifier.
    pub identifier: u16,
    /// Names the sending.
    pub serial: u16,
    /// The flow's checksum, and the tag.
    pub marks: Marks,
}

impl EchoProbe {
    /// Writes the probe into `packet`, whose length is the probe's.
    #[inline]
    pub fn encode(&self, packet: &mut [u8]) {
        self.ip.encode(packet);
        let icmp = &mut packet[self.ip.ends.header_size()..];
        let (kind, pseudo) = match self.ip.ends {
            Ends::V4(..) => (REQUEST_V4, Sum::default()),
            Ends::V6(..) => (REQUEST_V6, self.ip.ends.pseudo_header(ICMPV6, icmp.len())),
        };
        let sequence = sequence(self.ip.ttl, &self.marks);
        icmp[0] = kind;
        icmp[1] = 0;
        icmp[2..4].copy_from_slice(&self.marks.check.to_be_bytes());
        icmp[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        icmp[6..8].copy_from_slice(&sequence.to_be_bytes());
        let rest = pseudo.bytes(&icmp[..HEADER]);
        payload::encode(&mut icmp[HEADER..], &self.marks, self.serial, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::payload::MARKS;
    use crate::wire::quote;

    fn families() -> [Ends; 2] {
        [
            Ends::V4([192, 0, 2, 1].into(), [198, 51, 100, 9].into()),
            Ends::V6(
                "2001:db8::1".parse().unwrap(),
                "2001:db8:5:6::9".parse().unwrap(),
            ),
        ]
    }

    fn probe(ends: Ends, ttl: u8, identifier: u16, serial: u16, marks: Marks) -> EchoProbe {
        EchoProbe {
            ip: IpHeader {
                ends,
                protocol: protocol(&ends),
                ttl: Ttl(ttl),
                tos: 0,
                ip_id: serial,
                dont_fragment: false,
                flow_label: 0x54321,
            },
            identifier,
            serial,
            marks,
        }
    }

    fn encoded(probe: &EchoProbe) -> Vec<u8> {
        let mut bytes = vec![0xff; probe.ip.ends.header_size() + HEADER + MARKS];
        probe.encode(&mut bytes);
        bytes
    }

    fn verifies(ends: Ends, bytes: &[u8]) -> bool {
        let icmp = &bytes[ends.header_size()..];
        let pseudo = match ends {
            Ends::V4(..) => Sum::default(),
            Ends::V6(..) => ends.pseudo_header(ICMPV6, icmp.len()),
        };
        pseudo.bytes(icmp).folded() == 0xffff
    }

    #[test]
    fn every_ttl_serial_and_identifier_come_back() {
        for ends in families() {
            for number in 1..=u16::MAX {
                let marks = Marks {
                    check: 0x4567,
                    tag: u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                };
                let ttl = (number % 255 + 1) as u8;
                let bytes = encoded(&probe(ends, ttl, number, number, marks));
                assert!(verifies(ends, &bytes));
                let short = quote::parse(&bytes[..ends.header_size() + 8]).expect("readable");
                assert_eq!(short.icmp_id, Some(number));
                assert_eq!(
                    short.icmp_sequence.and_then(ttl_of_sequence),
                    Some(Ttl(ttl))
                );
                assert_eq!((short.checksum, short.tag), (Some(0x4567), None));
                let whole = quote::parse(&bytes).expect("readable");
                assert_eq!((whole.tag, whole.serial), (Some(marks.tag), Some(number)));
            }
        }
    }

    #[test]
    fn every_checksum_can_be_held() {
        for ends in families() {
            for check in 1..u16::MAX {
                let marks = Marks { check, tag: 77 };
                let bytes = encoded(&probe(ends, 3, 24_000, 9, marks));
                assert!(verifies(ends, &bytes), "{check:#x}");
            }
        }
    }

    #[test]
    fn paris_nothing_that_a_balancer_hashes_changes_within_a_flow() {
        for ends in families() {
            let transport = ends.header_size();
            let hashed = |bytes: &[u8]| {
                let ip = match ends {
                    Ends::V4(..) => [&bytes[1..2], &bytes[9..10], &bytes[12..20]].concat(),
                    Ends::V6(..) => [&bytes[..4], &bytes[6..7], &bytes[8..40]].concat(),
                };
                // Type, code, checksum, identifier.
                [&ip, &bytes[transport..transport + 6]].concat()
            };
            let of = |ttl: u8, serial: u16| {
                let marks = Marks {
                    check: 0x1111,
                    tag: u64::from(serial) << 17 ^ u64::from(ttl),
                };
                hashed(&encoded(&probe(ends, ttl, 24_000, serial, marks)))
            };
            for ttl in 1..=255 {
                for serial in [1, 0x8000, u16::MAX] {
                    assert_eq!(of(ttl, serial), of(1, 1));
                }
            }
        }
    }
}
