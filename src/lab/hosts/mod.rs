//! What hosts make of the probes that reach them, before checksums and rate limits: the part that answers and truth share.

pub(super) mod half_open;
pub(super) mod tcp;
pub(super) mod vantage;

use crate::lab::packet::address::Family;
use crate::lab::packet::envelope::Envelope;
use crate::lab::packet::message::Message;
use crate::lab::packet::{ICMP, ICMPV6, Packet, TCP, UDP};
use crate::lab::topology::{Host, TcpPort};

/// The code of Destination Unreachable by which a firewall says that it lets nothing pass.
const PROHIBITED: u8 = 13;

/// Behind the two bytes of the request's that name it: a DNS response (RFC 1035) that the request had a wrong form, and all
/// counts zero.
const SERVICE_ANSWER: [u8; 10] = [0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0];

/// What a host does about a probe.
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
    /// A TCP port that is open, or not.
    Tcp { listening: bool },
}

impl Host<'_> {
    /// What the host does about a probe of `protocol` to `port`.
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
            _ => Verdict::Silence,
        }
    }
}

/// Builds the datagram by which a service answers `probe`, a sound UDP datagram.
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
