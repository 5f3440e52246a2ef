//! A test of the receiver over loopback: whether what this run waits for reaches it.
//!
//! From each address that probes carry we send ourselves what looks like a probe, and then what answers such a probe: the ICMP
//! errors that quote it, and what its target would say. All of it passes the firewall's rules for output and
//! input, and connection tracking takes the answers for what they are, because it has seen the probe. The
//! probe's checksum is wrong, so that our own hosts and services are not troubled with it: nothing but our answers answers. Its
//! TTL, and theirs, is 1: what a strange routing table leads astray dies at the first router.
//!
//! What is found: a receiver that hears nothing, and rules that drop these packets whichever way they come. What is not: rules for
//! the interface, the hosts or the networks from which answers will come, rules that let everything on loopback pass first, and
//! limits that a few packets do not meet. Packets that the kernel refuses to send (rules for output, an interface `lo` that is down)
//! tell nothing, and nothing is told of them. A packet ring hears packets before the rules for input see them: what they
//! drop is then not missing.

mod messages;
mod words;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::{Protocol, TcpFlags};
use crate::transport::loopback::{leads_back, listen_until, offer};
use crate::transport::{PacketBatch, PacketReceiver, PacketSender};
use crate::wire::ip::{Ends, header_size};

pub(super) use words::warning;

/// What the run's probes are, as far as a firewall can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackProbe {
    /// Their protocol.
    pub protocol: Protocol,
    /// Which TCP segment.
    pub tcp_flags: TcpFlags,
    /// Type of service or traffic class.
    pub tos: u8,
    /// One of the run's ports (ICMP: identifiers).
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Tells this test from that of another run on this machine; not 0.
    pub mark: u16,
}

/// A kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ICMP destination unreachable (port).
    Unreachable,
    /// ICMP time exceeded.
    TimeExceeded,
    /// An ICMP echo reply.
    EchoReply,
    /// A TCP reset.
    Segment,
    /// A UDP datagram.
    Datagram,
}

impl Kind {
    /// What a run of `protocol` waits for. The target's own answer comes last.
    const fn awaited(protocol: Protocol) -> [Kind; 3] {
        let own = match protocol {
            Protocol::Udp => Kind::Datagram,
            Protocol::Icmp => Kind::EchoReply,
            Protocol::Tcp => Kind::Segment,
        };
        [Kind::Unreachable, Kind::TimeExceeded, own]
    }
}

/// What became of an answer that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether it was IPv6.
    pub ipv6: bool,
    /// What it was.
    pub kind: Kind,
    /// Whether it reached the receiver.
    pub heard: bool,
}

/// An answer in the batch, and the probe there that it answers.
struct Sent {
    probe: usize,
    answer: usize,
    kind: Kind,
}

/// Makes the test with `addresses`, of which those that are not ours are left out. All that is missing is waited for together,
/// up to `patience`. Other packets that arrive meanwhile are dropped: nothing of the run is under way yet.
///
/// # Errors
/// A socket that is broken.
pub fn loopback_test(
    receiver: &mut dyn PacketReceiver,
    sender: &mut dyn PacketSender,
    probe: &LoopbackProbe,
    addresses: &[IpAddr],
    patience: Duration,
) -> io::Result<Vec<Heard>> {
    let mut batch = PacketBatch::default();
    let mut sent = Vec::new();
    for address in addresses.iter().copied().filter(|ours| leads_back(*ours)) {
        let Some(ends) = Ends::new(address, address) else {
            continue;
        };
        let mut push = |packet: &[u8]| {
            batch.push(address, packet.len()).copy_from_slice(packet);
            batch.len() - 1
        };
        let bytes = messages::probe(probe, ends);
        let at = push(&bytes);
        for kind in Kind::awaited(probe.protocol) {
            sent.push(Sent {
                probe: at,
                answer: push(&messages::answer(kind, probe, ends, &bytes)),
                kind,
            });
        }
        // Once more: a reset has connection tracking forget the first, and whether anything is tracked is looked at later.
        push(&bytes);
    }
    let taken = offer(sender, &batch)?;
    sent.retain(|sent| taken[sent.probe] && taken[sent.answer]);
    let mut heard: Vec<Heard> = Vec::new();
    let mut wanted = Vec::new();
    for sent in &sent {
        let Some((address, packet)) = batch.get(sent.answer) else {
            continue;
        };
        heard.push(Heard {
            ipv6: address.is_ipv6(),
            kind: sent.kind,
            heard: false,
        });
        wanted.push((address.is_ipv6(), &packet[header_size(address)..]));
    }
    if heard.is_empty() {
        return Ok(heard);
    }
    listen_until(receiver, patience, &mut |packet| {
        let arrived = behind_header(packet);
        for (heard, wanted) in heard.iter_mut().zip(&wanted) {
            heard.heard |= arrived == Some(*wanted);
        }
        heard.iter().all(|heard| heard.heard)
    })?;
    Ok(heard)
}

/// Whether a packet is IPv6, and what stands behind its IP header. That header is not compared: rules may set fields of it.
fn behind_header(packet: &[u8]) -> Option<(bool, &[u8])> {
    let first = *packet.first()?;
    let (ipv6, header) = match first >> 4 {
        4 => (false, usize::from(first & 0x0f) * 4),
        _ => (true, 40),
    };
    Some((ipv6, packet.get(header..)?))
}
