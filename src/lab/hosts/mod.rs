//! What hosts answer, before checksums and rate limits. The simulation and the truth share this code.

pub(super) mod half_open;
pub(super) mod tcp;
pub(super) mod vantage;

use crate::lab::packet::address::Family;
use crate::lab::packet::envelope::Envelope;
use crate::lab::packet::message::Message;
use crate::lab::packet::{ICMP, ICMPV6, Packet, TCP, UDP};
use crate::lab::topology::{Host, TcpPort};

/// The code of Destination Unreachable that a firewall sends.
const PROHIBITED: u8 = 13;

/// The code of Destination Unreachable for a protocol that a host does not speak.
const PROTOCOL: u8 = 2;

/// A DNS response without the two bytes of the request's identifier: "format error" (RFC 1035), and all counts zero.
const SERVICE_ANSWER: [u8; 10] = [0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0];

/// A host's reaction to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Verdict {
    /// Nothing.
    Silence,
    /// An ICMP error.
    Error(Message),
    /// Sends an echo request back.
    Echo,
    /// A service answers a UDP datagram.
    Service,
    /// The TCP port answers; `listening` if it is open.
    Tcp { listening: bool },
}

impl Host<'_> {
    /// Returns the host's reaction to a probe of `protocol` to `port`.
    pub(in crate::lab) fn verdict(&self, family: Family, protocol: u8, port: u16) -> Verdict {
        if self.silent {
            return Verdict::Silence;
        }
        match protocol {
            ICMP | ICMPV6 if self.echo => Verdict::Echo,
            UDP if self.udp_services.contains(&port) => Verdict::Service,
            UDP => Verdict::Error(Message::unreachable(family, self.code)),
            TCP if self.tcp_open.contains(&port) => Verdict::Tcp { listening: true },
            TCP => match self.tcp {
                TcpPort::Closed => Verdict::Tcp { listening: false },
                TcpPort::Filtered => Verdict::Silence,
                TcpPort::Prohibited => Verdict::Error(Message::unreachable(family, PROHIBITED)),
            },
            ICMP | ICMPV6 => Verdict::Silence,
            _ => Verdict::Error(Message::unreachable(family, PROTOCOL)),
        }
    }
}

/// Builds a UDP service's answer to `probe`. The probe must be a valid UDP datagram.
pub(in crate::lab) fn service_answer(envelope: Envelope, probe: &Packet) -> Vec<u8> {
    let length = 8 + 2 + SERVICE_ANSWER.len();
    let mut packet = envelope.room(length);
    let bytes = &mut packet[envelope.family().header()..];
    let [source_port, destination_port] = probe.ports();
    bytes[..2].copy_from_slice(&destination_port.to_be_bytes());
    bytes[2..4].copy_from_slice(&source_port.to_be_bytes());
    bytes[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    for (to, from) in bytes[8..10].iter_mut().zip(&probe.transport()[8..]) {
        *to = *from;
    }
    bytes[10..].copy_from_slice(&SERVICE_ANSWER);
    envelope.seal(&mut packet, UDP, 0);
    packet
}
