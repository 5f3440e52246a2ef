//! How routers quote packets, and which extensions they append.

use pnet_packet::icmp::IcmpPacket;
use pnet_packet::icmpv6::{self, Icmpv6Packet};
use pnet_packet::ipv6::Ipv6Packet;

use super::super::TruthFlow;
use super::packets6::{self, VANTAGE, v6};
use super::*;
use crate::model::{InterfaceInfo, InterfaceRole, Ttl};

const TARGETS: [&str; 2] = ["198.18.0.9", "2001:db8:1000::9"];

/// The reply of a router in `labs/quoting.toml`: the ICMP message, with its checksum checked.
fn message(to: &str, ttl: u8) -> Vec<u8> {
    let mut network = lab("quoting");
    let packet = match to.parse().unwrap() {
        IpAddr::V4(to) => probe(network.vantage(), to, 24000, ttl, 12),
        IpAddr::V6(_) => packets6::probe(to, 24000, ttl, 0),
    };
    let mut deliveries = Vec::new();
    network.respond(&packet, START, &mut deliveries);
    let answer = deliveries.pop().unwrap().packet;
    checked(&answer).to_vec()
}

fn checked(answer: &[u8]) -> &[u8] {
    if answer[0] >> 4 == 4 {
        let message = &answer[20..];
        let sum = IcmpPacket::new(message).unwrap().get_checksum();
        assert_eq!(sum, util::checksum(message, 1), "ICMP checksum");
        return message;
    }
    let header = Ipv6Packet::new(answer).unwrap();
    let (_, message) = packets6::message(answer);
    let icmp = Icmpv6Packet::new(message).unwrap();
    let sum = icmpv6::checksum(&icmp, &header.get_source(), &VANTAGE);
    assert_eq!(icmp.get_checksum(), sum, "ICMPv6 checksum");
    message
}

/// The probe as it arrives, with TTL 1.
fn arrived(to: &str) -> Vec<u8> {
    match to.parse().unwrap() {
        IpAddr::V4(to) => probe(v4("192.0.2.1"), to, 24000, 1, 12),
        IpAddr::V6(_) => packets6::probe(to, 24000, 1, 0),
    }
}

#[test]
fn a_quoted_length_is_zeroed_or_swapped_and_nothing_else_is() {
    for (to, length_at) in [(TARGETS[0], 2), (TARGETS[1], 4)] {
        for ttl in [3, 4] {
            let mut expected = arrived(to);
            // The IPv4 header checksum is that of the true length: the header was checked before it was mangled.
            match ttl {
                3 => expected[length_at..length_at + 2].fill(0),
                _ => expected.swap(length_at, length_at + 1),
            }
            assert_eq!(message(to, ttl)[8..], expected, "{to} {ttl}");
        }
    }
}

#[test]
fn eight_bytes_are_eight_bytes_in_both_families() {
    for (to, header) in [(TARGETS[0], 20), (TARGETS[1], 40)] {
        assert_eq!(message(to, 2)[8..], arrived(to)[..header + 8], "{to}");
    }
}

/// A compliant message with one interface object (RFC 5837, figure 1 and section 4).
#[test]
fn interface_information_stands_where_the_length_says() {
    let object = [
        &[0, 28, 2, 0x0f][..],
        &[0, 0, 0, 7],
        &[0, 1, 0, 0, 10, 0, 0, 1],
        b"\x08eth0\0\0\0",
        &[0, 0, 5, 220],
    ]
    .concat();
    for (to, length_at, words) in [(TARGETS[0], 5, 32), (TARGETS[1], 4, 16)] {
        let message = message(to, 1);
        assert_eq!(message[length_at], words, "{to}");
        let (quote, structure) = message[8..].split_at(128);
        let arrived = arrived(to);
        assert_eq!(quote[..arrived.len()], arrived);
        assert!(quote[arrived.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(structure[4..], object, "{to}");
        check_structure(structure);
    }
}

/// Eight bytes, a label stack and two interface objects, after 128 bytes of quote without a length field.
#[test]
fn extensions_of_the_old_form_stand_behind_128_bytes() {
    for (to, header) in [(TARGETS[0], 20), (TARGETS[1], 40)] {
        let message = message(to, 5);
        assert_eq!(message[4..8], [0; 4], "{to}");
        let (quote, structure) = message[8..].split_at(128);
        assert_eq!(quote[..header + 8], arrived(to)[..header + 8]);
        assert!(quote[header + 8..].iter().all(|byte| *byte == 0));
        check_structure(structure);
        let objects = objects(structure);
        let kinds: Vec<_> = objects.iter().map(|o| (o[2], o[3], o.len())).collect();
        assert_eq!(kinds, [(1, 1, 12), (2, 0x0a, 20), (2, 0x85, 28)], "{to}");
        assert_eq!(objects[1][8..], *b"\x0cet-0/0/1.0\0");
        let address = v6("2001:db8:f004::99").octets();
        assert_eq!(
            objects[2][4..],
            [&[0, 2, 0, 0], &address[..], &[0, 0, 0x23, 0x28]].concat()
        );
    }
}

#[test]
fn truth_knows_the_interfaces() {
    for to in TARGETS {
        let flow = TruthFlow::udp(to.parse::<IpAddr>().unwrap(), 24000, PORT);
        let truth = lab("quoting").truth(flow, Ttl(32));
        let told: Vec<_> = truth
            .hops
            .iter()
            .map(|hop| hop.answer().unwrap().interfaces.clone())
            .collect();
        let first = InterfaceInfo {
            role: InterfaceRole::Incoming,
            ifindex: Some(7),
            address: "10.0.0.1".parse().ok(),
            name: Some("eth0".to_owned()),
            mtu: Some(1500),
        };
        assert_eq!(told[0], [first]);
        let counts: Vec<_> = told.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 0, 0, 0, 2, 0], "{to}");
    }
}

fn check_structure(structure: &[u8]) {
    assert_eq!(structure[..2], [0x20, 0]);
    let sum = u16::from_be_bytes([structure[2], structure[3]]);
    assert_eq!(sum, util::checksum(structure, 1), "extension checksum");
}

/// The objects of a structure. They fill it completely.
fn objects(structure: &[u8]) -> Vec<&[u8]> {
    let mut rest = &structure[4..];
    let mut objects = Vec::new();
    while let Some(length) = rest.first_chunk::<2>() {
        let (object, behind) = rest.split_at(u16::from_be_bytes(*length).into());
        objects.push(object);
        rest = behind;
    }
    objects
}
