//! Tests of the lab as a whole. Packets are built and checked by a packet library, not by the lab's own code.

mod boxes;
mod ends;
mod examples;
mod faults;
mod files;
mod generated;
mod hosts;
mod ipv6;
mod packets6;
mod quoting;
mod robustness;
mod tcp;
mod vantage;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use pnet_packet::icmp::IcmpPacket;
use pnet_packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet_packet::ipv4::{self, Ipv4Packet, MutableIpv4Packet};
use pnet_packet::udp::{self, MutableUdpPacket, UdpPacket};
use pnet_packet::util;

use super::{Delivery, LabNetwork, Respond};
use crate::model::Time;

const START: Time = Time::from_nanos(1_800_000_000_000_000_000);
const PORT: u16 = 33434;

/// A UDP probe from `source`; its IP ID is 7 and its payload `payload` bytes.
fn probe(source: Ipv4Addr, destination: Ipv4Addr, port: u16, ttl: u8, payload: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; 28 + payload];
    let mut datagram = MutableUdpPacket::new(&mut bytes[20..]).unwrap();
    datagram.set_source(port);
    datagram.set_destination(PORT);
    datagram.set_length((8 + payload) as u16);
    datagram.set_checksum(0);
    let sum = udp::ipv4_checksum(&datagram.to_immutable(), &source, &destination);
    datagram.set_checksum(sum);
    let mut header = MutableIpv4Packet::new(&mut bytes).unwrap();
    header.set_version(4);
    header.set_header_length(5);
    header.set_dscp(0);
    header.set_ecn(0);
    header.set_total_length((28 + payload) as u16);
    header.set_identification(7);
    header.set_flags(0);
    header.set_fragment_offset(0);
    header.set_ttl(ttl);
    header.set_next_level_protocol(IpNextHeaderProtocols::Udp);
    header.set_source(source);
    header.set_destination(destination);
    let sum = ipv4::checksum(&header.to_immutable());
    header.set_checksum(sum);
    bytes
}

/// An IPv4 packet from the vantage point around `message`, whose checksum is already right.
fn packet4(to: Ipv4Addr, protocol: u8, ttl: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    bytes.extend(message);
    let total = bytes.len() as u16;
    let mut header = MutableIpv4Packet::new(&mut bytes).unwrap();
    header.set_version(4);
    header.set_header_length(5);
    header.set_total_length(total);
    header.set_ttl(ttl);
    header.set_next_level_protocol(IpNextHeaderProtocol(protocol));
    header.set_source(Ipv4Addr::new(192, 0, 2, 1));
    header.set_destination(to);
    let sum = ipv4::checksum(&header.to_immutable());
    header.set_checksum(sum);
    bytes
}

/// A delivered packet, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    responder: Ipv4Addr,
    reply_ttl: u8,
    ip_id: u16,
    icmp: (u8, u8),
    /// The quoted packet with padding, without extensions. For an echo reply: the bytes after its header.
    quote: Vec<u8>,
    extension: Option<Vec<u8>>,
}

impl Seen {
    fn quoted(&self) -> Ipv4Packet<'_> {
        Ipv4Packet::new(&self.quote).unwrap()
    }

    fn quoted_udp_checksum(&self) -> u16 {
        UdpPacket::new(&self.quote[20..]).unwrap().get_checksum()
    }

    /// (label, bottom, ttl) of an RFC 4950 stack.
    fn labels(&self) -> Vec<(u32, bool, u8)> {
        let stack = self.extension.as_deref().map_or(&[][..], |e| &e[8..]);
        stack
            .chunks_exact(4)
            .map(|e| {
                let bits = u32::from_be_bytes(e.try_into().unwrap());
                (bits >> 12, bits & 0x100 != 0, bits as u8)
            })
            .collect()
    }
}

/// Decodes a delivered packet. Checks every length and checksum in it.
fn read(packet: &[u8], vantage: Ipv4Addr) -> Seen {
    let header = Ipv4Packet::new(packet).unwrap();
    assert_eq!(header.get_version(), 4);
    assert_eq!(usize::from(header.get_total_length()), packet.len());
    assert_eq!(
        header.get_checksum(),
        ipv4::checksum(&header),
        "IP checksum"
    );
    assert_eq!(header.get_destination(), vantage);
    assert_eq!(
        header.get_next_level_protocol(),
        IpNextHeaderProtocols::Icmp
    );
    let message = IcmpPacket::new(&packet[20..]).unwrap();
    assert_eq!(
        message.get_checksum(),
        util::checksum(&packet[20..], 1),
        "ICMP checksum"
    );
    let icmp = (message.get_icmp_type().0, message.get_icmp_code().0);
    // In echo messages, this byte belongs to the identifier. In errors, it is the length of the quote (RFC 4884).
    let (quote, extension) = match (icmp.0, packet[25]) {
        (0, _) | (_, 0) => (packet[28..].to_vec(), None),
        (_, words) => {
            let (quote, extension) = packet[28..].split_at(usize::from(words) * 4);
            assert!(quote.len() >= 128);
            assert_eq!(extension[0] >> 4, 2, "extension version");
            let sum = u16::from_be_bytes([extension[2], extension[3]]);
            assert_eq!(sum, util::checksum(extension, 1), "extension checksum");
            let length = u16::from_be_bytes([extension[4], extension[5]]);
            assert_eq!(usize::from(length), extension.len() - 4);
            (quote.to_vec(), Some(extension.to_vec()))
        }
    };
    if matches!(icmp.0, 3 | 11) {
        assert!(packet.len() <= 576);
        let quoted = Ipv4Packet::new(&quote).unwrap();
        assert_eq!(
            quoted.get_checksum(),
            ipv4::checksum(&quoted),
            "quoted IP checksum"
        );
    }
    Seen {
        responder: header.get_source(),
        reply_ttl: header.get_ttl(),
        ip_id: header.get_identification(),
        icmp,
        quote,
        extension,
    }
}

/// Sends one packet. Returns all replies, checked.
fn send(network: &mut LabNetwork, packet: &[u8], now: Time) -> Vec<(Time, Seen)> {
    let mut deliveries = Vec::new();
    network.respond(packet, now, &mut deliveries);
    deliveries
        .iter()
        .map(|Delivery { at, packet }| {
            assert!(*at >= now);
            (*at, read(packet, network.vantage()))
        })
        .collect()
}

/// Sends one UDP probe. Returns the only reply, if there is one.
fn ask(network: &mut LabNetwork, destination: &str, port: u16, ttl: u8) -> Option<(Time, Seen)> {
    let packet = probe(
        network.vantage(),
        destination.parse().unwrap(),
        port,
        ttl,
        12,
    );
    let mut seen = send(network, &packet, START);
    assert!(seen.len() <= 1, "{seen:?}");
    seen.pop()
}

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn labs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("labs")
}

fn lab(name: &str) -> LabNetwork {
    LabNetwork::from_file(&labs().join(format!("{name}.toml"))).unwrap()
}
