//! Boxes that rewrite packets: every field of every protocol's probes, as seen in front of the box and behind it.
//!
//! Each quote is compared with a probe that is built from scratch, with its checksum, as it must look at that point.

use pnet_packet::icmp::{self, IcmpPacket};
use pnet_packet::icmpv6::{self, Icmpv6Packet};
use pnet_packet::ipv6::{Ipv6Packet, MutableIpv6Packet};
use pnet_packet::tcp::{self, MutableTcpPacket};

use super::packets6::{self, VANTAGE};
use super::*;

const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PUBLIC: [&str; 2] = ["203.0.113.7", "2001:db8:ffff::7"];
const TARGETS: [&str; 2] = ["198.18.0.9", "2001:db8:1000::9"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Udp,
    Tcp,
    Echo,
}
use Protocol::{Echo, Tcp, Udp};

/// The fields of a probe that boxes may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    protocol: Protocol,
    source: IpAddr,
    destination: IpAddr,
    /// Source port or identifier; destination port.
    ports: (u16, u16),
    ip_id: u16,
    tos: u8,
    ttl: u8,
}

impl Shape {
    fn new(protocol: Protocol, to: &str, ttl: u8) -> Self {
        let destination: IpAddr = to.parse().unwrap();
        let source = match destination {
            IpAddr::V4(_) => V4.into(),
            IpAddr::V6(_) => VANTAGE.into(),
        };
        Shape {
            protocol,
            source,
            destination,
            ports: (24000, 33434),
            ip_id: if destination.is_ipv4() { 777 } else { 0 },
            tos: 0x28,
            ttl,
        }
    }

    /// The packet with its right checksums.
    fn packet(&self) -> Vec<u8> {
        let message = match self.protocol {
            Udp => self.datagram(),
            Tcp => self.segment(),
            Echo => self.echo(),
        };
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut bytes = packet4(
                    destination,
                    [17, 6, 1][self.protocol as usize],
                    self.ttl,
                    &message,
                );
                let mut header = MutableIpv4Packet::new(&mut bytes).unwrap();
                header.set_source(source);
                header.set_identification(self.ip_id);
                header.set_dscp(self.tos >> 2);
                header.set_ecn(self.tos & 3);
                let sum = ipv4::checksum(&header.to_immutable());
                header.set_checksum(sum);
                bytes
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let protocol = [17, 6, 58][self.protocol as usize];
                let mut bytes = packets6::packet(destination, protocol, self.ttl, 5, &message);
                let mut header = MutableIpv6Packet::new(&mut bytes).unwrap();
                header.set_source(source);
                header.set_traffic_class(self.tos);
                bytes
            }
            _ => panic!("two families"),
        }
    }

    fn datagram(&self) -> Vec<u8> {
        let mut bytes = vec![0x5a; 20];
        let mut datagram = MutableUdpPacket::new(&mut bytes).unwrap();
        datagram.set_source(self.ports.0);
        datagram.set_destination(self.ports.1);
        datagram.set_length(20);
        datagram.set_checksum(0);
        let now = datagram.to_immutable();
        let sum = match (self.source, self.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => udp::ipv4_checksum(&now, &from, &to),
            (IpAddr::V6(from), IpAddr::V6(to)) => udp::ipv6_checksum(&now, &from, &to),
            _ => panic!("two families"),
        };
        datagram.set_checksum(sum);
        bytes
    }

    /// A SYN.
    fn segment(&self) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        let mut segment = MutableTcpPacket::new(&mut bytes).unwrap();
        segment.set_source(self.ports.0);
        segment.set_destination(self.ports.1);
        segment.set_sequence(0x1234_5678);
        segment.set_data_offset(5);
        segment.set_flags(2);
        let now = segment.to_immutable();
        let sum = match (self.source, self.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => tcp::ipv4_checksum(&now, &from, &to),
            (IpAddr::V6(from), IpAddr::V6(to)) => tcp::ipv6_checksum(&now, &from, &to),
            _ => panic!("two families"),
        };
        segment.set_checksum(sum);
        bytes
    }

    fn echo(&self) -> Vec<u8> {
        let kind = if self.source.is_ipv4() { 8 } else { 128 };
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(self.ports.0.to_be_bytes());
        bytes.extend([0, 9, 1, 2, 3, 4]);
        let sum = match (self.source, self.destination) {
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                icmpv6::checksum(&Icmpv6Packet::new(&bytes).unwrap(), &from, &to)
            }
            _ => icmp::checksum(&IcmpPacket::new(&bytes).unwrap()),
        };
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn header(&self) -> usize {
        if self.source.is_ipv4() { 20 } else { 40 }
    }

    fn checksum_at(&self) -> usize {
        self.header() + [6, 16, 2][self.protocol as usize]
    }
}

/// A router, a box with the keys `box_`, a router behind it, and targets whose port 443 is open.
fn network(box_: &str) -> LabNetwork {
    let text = format!(
        r#"
        [[router]]
        name = "home"
        address = "10.0.0.1"
        address6 = "2001:db8:f000::1"
        next = ["box"]
        [[router]]
        name = "box"
        address = "10.0.1.1"
        address6 = "2001:db8:f001::1"
        next = ["last"]
        {box_}
        [[router]]
        name = "last"
        address = "10.0.2.1"
        address6 = "2001:db8:f002::1"
        [[target]]
        prefix = "198.18.0.0/24"
        at = "last"
        tcp_open = [443]
        [[target]]
        prefix = "2001:db8:1000::/48"
        at = "last"
        tcp_open = [443]
        "#
    );
    LabNetwork::from_toml(&text, "test.toml").unwrap()
}

fn answer(network: &mut LabNetwork, sent: &Shape) -> Vec<u8> {
    let mut deliveries = Vec::new();
    network.respond(&sent.packet(), START, &mut deliveries);
    assert_eq!(deliveries.len(), 1, "{sent:?}");
    let packet = deliveries.pop().unwrap().packet;
    // The reply's own checksums, whatever it quotes.
    match sent.source {
        IpAddr::V4(_) if packet[9] == 1 => {
            assert_eq!(
                util::checksum(&packet[20..], 1),
                u16::from_be_bytes([packet[22], packet[23]])
            );
        }
        IpAddr::V6(_) if packet[6] == 58 => drop(packets6::read(&packet)),
        _ => {}
    }
    packet
}

/// What the router behind the box quotes, as it arrives at the vantage point.
fn quoted(box_: &str, protocol: Protocol, to: &str) -> (Shape, Vec<u8>) {
    let mut network = network(box_);
    let near = Shape::new(protocol, to, 2);
    let own = answer(&mut network, &near);
    let arrived = Shape { ttl: 1, ..near };
    assert_eq!(
        own[near.header() + 8..],
        arrived.packet(),
        "the box quotes what came in"
    );
    let far = answer(&mut network, &Shape { ttl: 3, ..near });
    (arrived, far[near.header() + 8..].to_vec())
}

fn number_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

const PROTOCOLS: [Protocol; 3] = [Udp, Tcp, Echo];

fn napt(restore: &str) -> String {
    let [v4, v6] = PUBLIC;
    format!(r#"nat = {{ public = "{v4}", public6 = "{v6}", ports = true, restore = "{restore}" }}"#)
}

#[test]
fn a_napt_restores_as_configured_for_every_protocol() {
    for protocol in PROTOCOLS {
        for (to, public) in TARGETS.into_iter().zip(PUBLIC) {
            let (sent, outside) = quoted(&napt("none"), protocol, to);
            let flow_at = sent.header() + if protocol == Echo { 4 } else { 0 };
            let port = number_at(&outside, flow_at);
            assert_ne!(port, 24000, "{protocol:?} {to}");
            let public = public.parse().unwrap();
            let translated = Shape {
                source: public,
                ports: (port, 33434),
                ..sent
            };
            assert_eq!(outside, translated.packet(), "{protocol:?} {to}");
            let sum = number_at(&outside, sent.checksum_at());
            let with_sum = |shape: Shape| {
                let mut packet = shape.packet();
                packet[sent.checksum_at()..][..2].copy_from_slice(&sum.to_be_bytes());
                packet
            };
            let own_address = Shape {
                source: sent.source,
                ..translated
            };
            for (restore, expected) in [
                ("full", sent.packet()),
                ("all_but_checksum", with_sum(sent)),
                ("address_only", with_sum(own_address)),
            ] {
                let (_, seen) = quoted(&napt(restore), protocol, to);
                assert_eq!(seen, expected, "{protocol:?} {to} {restore}");
            }
        }
    }
}

#[test]
fn a_napt_keeps_flows_apart() {
    let mut network = network(&napt("none"));
    let ports: std::collections::BTreeSet<u16> = (24000..24200)
        .map(|port| {
            let sent = Shape {
                ports: (port, 33434),
                ..Shape::new(Udp, TARGETS[0], 3)
            };
            number_at(&answer(&mut network, &sent), 28 + 20)
        })
        .collect();
    assert_eq!(ports.len(), 200);
}

#[test]
fn a_destination_port_is_rewritten_for_udp_and_tcp() {
    for protocol in PROTOCOLS {
        for to in TARGETS {
            let (sent, seen) = quoted("rewrite = { destination_port = 53 }", protocol, to);
            let rewritten = Shape {
                ports: (24000, 53),
                ..sent
            };
            assert_eq!(seen, rewritten.packet(), "{protocol:?} {to}");
            let full = r#"rewrite = { destination_port = 53, restore = "full" }"#;
            assert_eq!(
                quoted(full, protocol, to).1,
                sent.packet(),
                "{protocol:?} {to}"
            );
        }
    }
}

#[test]
fn ip_id_and_tos_are_rewritten_for_good() {
    for protocol in PROTOCOLS {
        let rewritten = |keys: &str, to| {
            let keys = format!(r#"rewrite = {{ {keys}, restore = "full" }}"#);
            quoted(&keys, protocol, to)
        };
        let (sent, seen) = rewritten(r#"ip_id = "zeroed", tos = 0xbb"#, TARGETS[0]);
        assert_eq!(
            seen,
            Shape {
                ip_id: 0,
                tos: 0xbb,
                ..sent
            }
            .packet()
        );
        let (sent, seen) = rewritten(r#"ip_id = "hashed""#, TARGETS[0]);
        let ip_id = number_at(&seen, 4);
        assert_ne!(ip_id, sent.ip_id);
        assert_eq!(seen, Shape { ip_id, ..sent }.packet());
        let (sent, seen) = rewritten(r#"ip_id = "hashed", tos = 0xbb"#, TARGETS[1]);
        assert_eq!(seen, Shape { tos: 0xbb, ..sent }.packet());
    }
}

#[test]
fn checksums_are_wrong_in_quotes_and_right_on_the_way() {
    for protocol in PROTOCOLS {
        for to in TARGETS {
            for (keys, zero) in [("wrong", false), ("zeroed", true)] {
                let keys = format!(r#"rewrite = {{ checksum = "{keys}" }}"#);
                let (sent, mut seen) = quoted(&keys, protocol, to);
                let at = sent.checksum_at();
                let right = number_at(&sent.packet(), at);
                let sum = number_at(&seen, at);
                assert_ne!(sum % u16::MAX, right % u16::MAX, "{protocol:?} {to}");
                assert_eq!(sum == 0, zero, "{protocol:?} {to}");
                seen[at..at + 2].copy_from_slice(&right.to_be_bytes());
                assert_eq!(seen, sent.packet(), "{protocol:?} {to}");
                // The target accepts the probe.
                answer(&mut network(&keys), &Shape { ttl: 9, ..sent });
            }
        }
    }
}

/// A box undoes only its own changes. The example's NAT restores everything but the checksum that was changed for port 443.
#[test]
fn a_nat_that_restores_leaves_what_a_box_behind_it_rewrote() {
    let example = std::fs::read_to_string(labs().join("rewriting-all.toml")).unwrap();
    let full = example.replace("all_but_checksum", "full");
    let mut network = LabNetwork::from_toml(&full, "test.toml").unwrap();
    for protocol in PROTOCOLS {
        let sent = Shape {
            tos: 0,
            ..Shape::new(protocol, TARGETS[0], 5)
        };
        let seen = answer(&mut network, &sent);
        let rewritten = Shape {
            ports: (24000, 443),
            ip_id: number_at(&seen, 28 + 4),
            ttl: 1,
            ..sent
        };
        assert_ne!(rewritten.ip_id, sent.ip_id);
        assert_eq!(seen[28..], rewritten.packet(), "{protocol:?}");
    }
}

/// A reply without a quote comes back translated, from the port that was probed, with right checksums.
#[test]
fn answers_of_a_target_are_translated_back() {
    let [from, to] = ["198.18.7.0/24", "198.18.0.0/24"];
    let boxes = [
        napt("none"),
        "rewrite = { destination_port = 443 }".to_owned(),
        format!(r#"rewrite = {{ from = "{from}", to = "{to}", tos = 0 }}"#),
    ];
    for (number, box_) in boxes.iter().enumerate() {
        let port_rewritten = number == 1;
        let targets = if number == 2 {
            ["198.18.7.9"; 2]
        } else {
            TARGETS
        };
        for target in targets {
            let mut network = network(box_);
            let echo = Shape::new(Echo, target, 9);
            let reply = answer(&mut network, &echo);
            let header = echo.header();
            assert_eq!(reply[header + 4..], echo.packet()[header + 4..], "{box_}");
            let segment = Shape::new(Tcp, target, 9);
            let reply = answer(&mut network, &segment);
            let flags = if port_rewritten { 0x12 } else { 0x14 };
            assert_eq!(reply[header + 13], flags, "{box_}");
            assert_eq!(number_at(&reply, header), 33434, "{box_}");
            assert_eq!(number_at(&reply, header + 2), 24000, "{box_}");
            assert_eq!(reply[header + 8..header + 12], 0x1234_5679u32.to_be_bytes());
            let sum = number_at(&reply, header + 16);
            match (segment.destination, segment.source) {
                (IpAddr::V4(target), IpAddr::V4(us)) => {
                    assert_eq!(Ipv4Packet::new(&reply).unwrap().get_source(), target);
                    let segment = tcp::TcpPacket::new(&reply[header..]).unwrap();
                    assert_eq!(sum, tcp::ipv4_checksum(&segment, &target, &us));
                }
                (IpAddr::V6(target), IpAddr::V6(us)) => {
                    assert_eq!(Ipv6Packet::new(&reply).unwrap().get_source(), target);
                    let segment = tcp::TcpPacket::new(&reply[header..]).unwrap();
                    assert_eq!(sum, tcp::ipv6_checksum(&segment, &target, &us));
                }
                _ => panic!("two families"),
            }
        }
    }
}
