//! What boxes on the way do to a probe before a router quotes it.

use std::net::IpAddr;

use pathsurvey::model::Protocol;
use pathsurvey::wire::checksum::{self, Sum};

use crate::world::Kind;

/// One thing that a box changes. Where it changes what a checksum covers it adjusts the checksum (RFC 1624).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewriting {
    /// The source address, and the quote shows it.
    SourceAddress,
    /// The source port; the identifier of an echo request.
    SourceNumber,
    /// The destination address, to one that nobody probes.
    Destination,
    /// The destination address, to another that is probed.
    LiveDestination,
    /// The destination port.
    DestinationPort,
    /// The IP ID; the flow label of IPv6.
    IpId,
    /// The check: the transport checksum, or the TCP sequence number.
    Check,
    /// Type of service and TTL.
    Class,
    /// The packet's length, its bytes swapped.
    Length,
}

/// All, in the order of the table's rows and columns.
pub const ALL: [Rewriting; 9] = [
    Rewriting::SourceAddress,
    Rewriting::SourceNumber,
    Rewriting::Destination,
    Rewriting::LiveDestination,
    Rewriting::DestinationPort,
    Rewriting::IpId,
    Rewriting::Check,
    Rewriting::Class,
    Rewriting::Length,
];

impl Rewriting {
    /// Changes a probe of `kind`; `value` decides what to.
    pub fn apply(self, kind: Kind, packet: &mut [u8], value: u16) {
        let header = kind.header();
        let word = value.to_be_bytes();
        let (source, destination) = if kind.v6 { (8, 24) } else { (12, 16) };
        match self {
            Rewriting::SourceAddress => {
                adjusted(kind, packet, source, &elsewhere(kind, 0x71, value))
            }
            Rewriting::Destination => {
                adjusted(kind, packet, destination, &elsewhere(kind, 0x72, value));
            }
            Rewriting::LiveDestination => {
                // Another than the present one: targets are numbered in the last byte.
                let last = packet[destination + if kind.v6 { 15 } else { 3 }];
                let number = u32::from(last) + 64 - u32::from(kind.v6);
                let other = (number + 1 + u32::from(value) % 63) % 64;
                adjusted(kind, packet, destination, &octets(kind.target(other)));
            }
            // Far from our ports, which begin at 24000.
            Rewriting::SourceNumber if kind.protocol == Protocol::Icmp => {
                adjusted(kind, packet, header + 4, &(value | 0x8000).to_be_bytes());
            }
            Rewriting::SourceNumber => {
                adjusted(kind, packet, header, &(value | 0x8000).to_be_bytes());
            }
            Rewriting::DestinationPort => {
                if kind.protocol.has_ports() {
                    adjusted(kind, packet, header + 2, &(value & 0x7fff).to_be_bytes());
                }
            }
            Rewriting::IpId if kind.v6 => {
                packet[1] ^= 0x05;
                packet[2..4].copy_from_slice(&word);
            }
            Rewriting::IpId => flip(&mut packet[4..6], value),
            Rewriting::Check => {
                let at = match kind.protocol {
                    Protocol::Udp => 6,
                    Protocol::Icmp => 2,
                    Protocol::Tcp => 4,
                };
                flip(&mut packet[header + at..][..2], value);
            }
            Rewriting::Class if kind.v6 => {
                packet[0] ^= 0x0b;
                packet[7] ^= word[1];
            }
            Rewriting::Class => {
                packet[1] ^= 0xb8;
                packet[8] ^= word[1];
            }
            Rewriting::Length => {
                let at = if kind.v6 { 4 } else { 2 };
                packet.swap(at, at + 1);
            }
        }
    }
}

/// Changes at least one bit, and never all: 0x0000 and 0xffff mean the same in one's complement.
fn flip(word: &mut [u8], value: u16) {
    let mask = (value | 0x0100) & !0x0002;
    word[0] ^= mask.to_be_bytes()[0];
    word[1] ^= mask.to_be_bytes()[1];
}

/// An address that is no target and not ours.
fn elsewhere(kind: Kind, network: u8, value: u16) -> Vec<u8> {
    let [high, low] = value.to_be_bytes();
    match kind.v6 {
        false => vec![203, network, high, low],
        true => {
            let mut address = octets(kind.source());
            address[6] = network;
            address[14..].copy_from_slice(&[high, low]);
            address
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Overwrites bytes and adjusts the checksum that covers them.
fn adjusted(kind: Kind, packet: &mut [u8], at: usize, bytes: &[u8]) {
    let header = kind.header();
    let old = Sum::default().bytes(&packet[at..at + bytes.len()]);
    let new = Sum::default().bytes(bytes);
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    let is_address = at < header;
    let field = header
        + match (kind.protocol, kind.v6) {
            (Protocol::Udp, _) => 6,
            // No pseudo-header: addresses are not covered.
            (Protocol::Icmp, false) if is_address => return,
            (Protocol::Icmp, _) => 2,
            (Protocol::Tcp, _) => 16,
        };
    let checksum = u16::from_be_bytes([packet[field], packet[field + 1]]);
    let checksum = checksum::adjusted(checksum, old, new);
    packet[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
}
