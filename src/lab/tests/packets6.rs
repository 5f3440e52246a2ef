//! IPv6 packets for the lab's tests. A packet library builds and checks them, not the lab's own code.

use std::net::{IpAddr, Ipv6Addr};

use pnet_packet::icmpv6::{self, Icmpv6Packet};
use pnet_packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet_packet::ipv6::{Ipv6Packet, MutableIpv6Packet};
use pnet_packet::udp::{self, MutableUdpPacket};
use pnet_packet::util;

use super::{PORT, START};
use crate::lab::{LabNetwork, Respond};
use crate::model::Time;

pub(super) const VANTAGE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

pub(super) fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// An IPv6 packet from the vantage point around `message`, whose checksum is already right.
pub(super) fn packet(
    destination: Ipv6Addr,
    protocol: u8,
    hop_limit: u8,
    flow_label: u32,
    message: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; 40 + message.len()];
    let mut header = MutableIpv6Packet::new(&mut bytes).unwrap();
    header.set_version(6);
    header.set_flow_label(flow_label);
    header.set_payload_length(message.len() as u16);
    header.set_next_header(IpNextHeaderProtocol(protocol));
    header.set_hop_limit(hop_limit);
    header.set_source(VANTAGE);
    header.set_destination(destination);
    bytes[40..].copy_from_slice(message);
    bytes
}

/// A UDP datagram with `payload` bytes, and the checksum for `source` and `destination`.
pub(super) fn datagram(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    ports: (u16, u16),
    payload: usize,
) -> Vec<u8> {
    let mut bytes = vec![0x5a; 8 + payload];
    let mut datagram = MutableUdpPacket::new(&mut bytes).unwrap();
    datagram.set_source(ports.0);
    datagram.set_destination(ports.1);
    datagram.set_length((8 + payload) as u16);
    datagram.set_checksum(0);
    let sum = udp::ipv6_checksum(&datagram.to_immutable(), &source, &destination);
    datagram.set_checksum(sum);
    bytes
}

/// A UDP probe with 12 bytes of payload.
pub(super) fn probe(destination: &str, port: u16, hop_limit: u8, flow_label: u32) -> Vec<u8> {
    let to = v6(destination);
    let message = datagram(VANTAGE, to, (port, PORT), 12);
    packet(to, 17, hop_limit, flow_label, &message)
}

/// An ICMPv6 echo request.
pub(super) fn echo(destination: &str, identifier: u16, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![128, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend([0, 9]);
    message.extend(payload);
    let to = v6(destination);
    let sum = icmpv6::checksum(&Icmpv6Packet::new(&message).unwrap(), &VANTAGE, &to);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(to, 58, hop_limit, 0, &message)
}

/// A delivered ICMPv6 message, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) responder: Ipv6Addr,
    pub(super) hop_limit: u8,
    pub(super) icmp: (u8, u8),
    /// The four bytes after the checksum, without the length that RFC 4884 puts there.
    pub(super) rest: u32,
    /// The quoted packet with padding, without extensions. For an echo reply: the bytes after the checksum.
    pub(super) quote: Vec<u8>,
    pub(super) extension: Option<Vec<u8>>,
}

impl Seen {
    pub(super) fn quoted(&self) -> Ipv6Packet<'_> {
        Ipv6Packet::new(&self.quote).unwrap()
    }
}

/// Returns the message of a delivered packet and its protocol. Checks the header.
pub(super) fn message(packet: &[u8]) -> (u8, &[u8]) {
    let header = Ipv6Packet::new(packet).unwrap();
    assert_eq!(header.get_version(), 6);
    assert_eq!(usize::from(header.get_payload_length()), packet.len() - 40);
    assert_eq!(header.get_destination(), VANTAGE);
    (header.get_next_header().0, &packet[40..])
}

/// Decodes a delivered ICMPv6 message. Checks every length and checksum in it.
pub(super) fn read(packet: &[u8]) -> Seen {
    let (protocol, bytes) = message(packet);
    assert_eq!(protocol, IpNextHeaderProtocols::Icmpv6.0);
    let header = Ipv6Packet::new(packet).unwrap();
    let icmp = Icmpv6Packet::new(bytes).unwrap();
    let sum = icmpv6::checksum(&icmp, &header.get_source(), &header.get_destination());
    assert_eq!(icmp.get_checksum(), sum, "ICMPv6 checksum");
    let kind = (icmp.get_icmpv6_type().0, icmp.get_icmpv6_code().0);
    let (quote, extension) = match (kind.0, bytes[4]) {
        (129, _) => (bytes[4..].to_vec(), None),
        (1 | 3, words) if words > 0 => {
            let (quote, extension) = bytes[8..].split_at(usize::from(words) * 8);
            assert!(quote.len() >= 128);
            let sum = u16::from_be_bytes([extension[2], extension[3]]);
            assert_eq!(sum, util::checksum(extension, 1), "extension checksum");
            (quote.to_vec(), Some(extension.to_vec()))
        }
        _ => (bytes[8..].to_vec(), None),
    };
    assert!(packet.len() <= 1280 || kind.0 == 129);
    Seen {
        responder: header.get_source(),
        hop_limit: header.get_hop_limit(),
        icmp: kind,
        rest: match extension {
            None => u32::from_be_bytes(bytes[4..8].try_into().unwrap()),
            Some(_) => u32::from_be_bytes([0, bytes[5], bytes[6], bytes[7]]),
        },
        quote,
        extension,
    }
}

/// Sends one packet. Returns the only reply, an ICMPv6 message, and its time of arrival.
pub(super) fn ask(network: &mut LabNetwork, packet: &[u8]) -> Option<(Time, Seen)> {
    let mut deliveries = Vec::new();
    network.respond(packet, START, &mut deliveries);
    assert!(deliveries.len() <= 1, "{deliveries:?}");
    deliveries.pop().map(|d| (d.at, read(&d.packet)))
}

/// As [`ask`] with a UDP probe: (responder, type and code).
pub(super) fn who(
    network: &mut LabNetwork,
    destination: &str,
    hop_limit: u8,
) -> Option<(String, (u8, u8))> {
    let (_, seen) = ask(network, &probe(destination, 24000, hop_limit, 0))?;
    Some((IpAddr::from(seen.responder).to_string(), seen.icmp))
}
