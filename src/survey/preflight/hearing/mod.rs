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
use crate::wire::ip::Ends;

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

/// A test that has begun: connection tracking has seen its probes, and no answers yet.
pub struct LoopbackTest {
    probe: LoopbackProbe,
    /// The probes that were sent.
    sent: Vec<(Ends, Vec<u8>)>,
}

impl LoopbackTest {
    /// Sends a probe from each of `addresses` that leads back to us.
    ///
    /// # Errors
    /// A socket that is broken.
    pub fn begin(
        sender: &mut dyn PacketSender,
        probe: &LoopbackProbe,
        addresses: &[IpAddr],
    ) -> io::Result<Self> {
        let mut batch = PacketBatch::default();
        let mut sent = Vec::new();
        for address in addresses.iter().copied().filter(|ours| leads_back(*ours)) {
            if let Some(ends) = Ends::new(address, address) {
                let packet = messages::probe(probe, ends);
                batch.push(address, packet.len()).copy_from_slice(&packet);
                sent.push((ends, packet));
            }
        }
        let mut taken = offer(sender, &batch)?.into_iter();
        sent.retain(|_| taken.next() == Some(true));
        Ok(LoopbackTest {
            probe: *probe,
            sent,
        })
    }

    /// Sends the answers and listens for them. What is missing is waited for up to `patience`, all of it together. Other packets
    /// that arrive meanwhile are dropped: nothing of the run is under way yet.
    ///
    /// # Errors
    /// A socket that is broken.
    pub fn finish(
        self,
        sender: &mut dyn PacketSender,
        receiver: &mut dyn PacketReceiver,
        patience: Duration,
    ) -> io::Result<Vec<Heard>> {
        let mut batch = PacketBatch::default();
        let mut answers = Vec::new();
        for (ends, probe) in &self.sent {
            for kind in Kind::awaited(self.probe.protocol) {
                let packet = messages::answer(kind, &self.probe, *ends, probe);
                batch
                    .push(address(*ends), packet.len())
                    .copy_from_slice(&packet);
                let heard = Heard {
                    ipv6: address(*ends).is_ipv6(),
                    kind,
                    heard: false,
                };
                answers.push((packet, heard));
            }
        }
        let mut taken = offer(sender, &batch)?.into_iter();
        answers.retain(|_| taken.next() == Some(true));
        if !answers.is_empty() {
            listen_until(receiver, patience, &mut |arrived| {
                for (packet, heard) in &mut answers {
                    heard.heard |= behind_header(arrived) == behind_header(packet);
                }
                answers.iter().all(|(_, heard)| heard.heard)
            })?;
        }
        Ok(answers.into_iter().map(|(_, heard)| heard).collect())
    }
}

/// The address that is both ends.
fn address(ends: Ends) -> IpAddr {
    match ends {
        Ends::V4(address, _) => address.into(),
        Ends::V6(address, _) => address.into(),
    }
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
