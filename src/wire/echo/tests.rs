use super::*;
use crate::model::TcpFlags;
use crate::wire::protocol;
use crate::wire::quote;
use crate::wire::testing::{adds_up, encoded, families, hashed, probe};

fn format(identifier: u16) -> ProbeFormat {
    ProbeFormat {
        protocol: protocol::of(Protocol::Icmp, TcpFlags::Syn),
        source_port: identifier,
        ..ProbeFormat::udp(1)
    }
}

fn verifies(ends: Ends, packet: &[u8]) -> bool {
    let pseudo = matches!(ends, Ends::V6(..)).then_some(ip::ICMPV6);
    adds_up(ends, pseudo, packet)
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
            let format = format(number);
            let bytes = encoded(&format, ends, &probe(ends, ttl, number, marks));
            assert!(verifies(ends, &bytes));
            let short = quote::parse(&bytes[..ends.header_size() + 8]).expect("readable");
            assert_eq!(short.icmp_id(), Some(number));
            let shown = format.read(&short).expect("a whole quote").shown;
            assert_eq!(shown.ttl, Some(Ttl(ttl)));
            assert_eq!((shown.checksum, shown.tag), (Some(0x4567), None));
            let whole = quote::parse(&bytes).expect("readable");
            assert_eq!(
                (whole.tag(), whole.serial()),
                (Some(marks.tag), Some(number))
            );
        }
    }
}

#[test]
fn every_checksum_can_be_kept_constant() {
    for ends in families() {
        for check in 1..u16::MAX {
            let marks = Marks { check, tag: 77 };
            let bytes = encoded(&format(24_000), ends, &probe(ends, 3, 9, marks));
            assert!(verifies(ends, &bytes), "{check:#x}");
        }
    }
}

#[test]
fn paris_no_field_that_a_balancer_hashes_changes_within_a_flow() {
    for ends in families() {
        let hashed = |ttl: u8, serial: u16| {
            let marks = Marks {
                check: 0x1111,
                tag: u64::from(serial) << 17 ^ u64::from(ttl),
            };
            let packet = encoded(&format(24_000), ends, &probe(ends, ttl, serial, marks));
            // Type, code, checksum, identifier.
            let header = &packet[ends.header_size()..][..6];
            [&hashed(ends, &packet), header].concat()
        };
        for ttl in 1..=255 {
            for serial in [1, 0x8000, u16::MAX] {
                assert_eq!(hashed(ttl, serial), hashed(1, 1));
            }
        }
    }
}
