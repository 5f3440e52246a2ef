//! A test of the receive side over loopback: whether the replies that the run waits for reach it.
//!
//! From each source address we send ourselves a packet like a probe, and then the replies to such a probe: the ICMP errors that
//! quote it, and what its target would answer. All of them pass the firewall's rules for output and input. Connection tracking
//! takes the replies for replies, because it has seen the probe.
//!
//! - The probe has a wrong checksum, so that no host and no service of ours answers it. Only our own replies come back.
//! - All packets have TTL 1. If a strange routing table leads them away, they die at the first router.
//!
//! | situation | what the test shows |
//! |---|---|
//! | the receive side receives nothing | all replies are missing |
//! | input rules drop replies, whichever interface they come by | these replies are missing |
//! | rules for one interface, host or network drop replies | nothing |
//! | a rule lets all of loopback pass first | nothing |
//! | rules limit the rate of replies | nothing |
//! | the kernel refuses to send the packets (output rules, interface `lo` down) | nothing, and no warning is given |
//! | a packet ring is in use, which sees packets before the input rules do | nothing about input rules |

mod messages;
mod warning;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::{Protocol, TcpFlags};
use crate::transport::loopback::{leads_back, offer, receive_until};
use crate::transport::{PacketBatch, PacketReceiver, PacketSender};
use crate::wire::ip::Ends;

pub(super) use warning::warning;

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
    /// Tells this test from the test of another run on this machine; not 0.
    pub mark: u16,
}

/// The kind of a reply that the test sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestReplyKind {
    /// ICMP destination unreachable (port).
    Unreachable,
    /// ICMP time exceeded.
    TimeExceeded,
    /// An ICMP echo reply.
    EchoReply,
    /// A TCP reset.
    Reset,
    /// A UDP datagram.
    Datagram,
}

impl TestReplyKind {
    /// The replies that a run of `protocol` waits for. The target's own reply comes last.
    const fn expected(protocol: Protocol) -> [Self; 3] {
        let own = match protocol {
            Protocol::Udp => TestReplyKind::Datagram,
            Protocol::Icmp => TestReplyKind::EchoReply,
            Protocol::Tcp => TestReplyKind::Reset,
        };
        [TestReplyKind::Unreachable, TestReplyKind::TimeExceeded, own]
    }
}

/// A reply that the test sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestReply {
    /// Whether it was IPv6.
    pub ipv6: bool,
    /// Its kind.
    pub kind: TestReplyKind,
    /// Whether the receive side received it.
    pub received: bool,
}

/// A test that has begun: connection tracking has seen its probes, and no replies yet.
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

    /// Sends the replies, and waits until all have arrived, at most for `patience`. Drops other packets that arrive meanwhile: no
    /// probe of the run has left yet.
    ///
    /// # Errors
    /// A socket that is broken.
    pub fn finish(
        self,
        sender: &mut dyn PacketSender,
        receiver: &mut dyn PacketReceiver,
        patience: Duration,
    ) -> io::Result<Vec<TestReply>> {
        let mut batch = PacketBatch::default();
        let mut replies = Vec::new();
        for (ends, probe) in &self.sent {
            for kind in TestReplyKind::expected(self.probe.protocol) {
                let packet = messages::reply(kind, &self.probe, *ends, probe);
                batch
                    .push(address(*ends), packet.len())
                    .copy_from_slice(&packet);
                let reply = TestReply {
                    ipv6: address(*ends).is_ipv6(),
                    kind,
                    received: false,
                };
                replies.push((packet, reply));
            }
        }
        let mut taken = offer(sender, &batch)?.into_iter();
        replies.retain(|_| taken.next() == Some(true));
        if !replies.is_empty() {
            receive_until(receiver, patience, &mut |arrived| {
                for (packet, reply) in &mut replies {
                    reply.received |= behind_header(arrived) == behind_header(packet);
                }
                replies.iter().all(|(_, reply)| reply.received)
            })?;
        }
        Ok(replies.into_iter().map(|(_, reply)| reply).collect())
    }
}

/// The address that is both ends.
fn address(ends: Ends) -> IpAddr {
    match ends {
        Ends::V4(address, _) => address.into(),
        Ends::V6(address, _) => address.into(),
    }
}

/// Whether a packet is IPv6, and the bytes after its IP header. The header itself is not compared: firewall rules may set fields
/// of it.
fn behind_header(packet: &[u8]) -> Option<(bool, &[u8])> {
    let first = *packet.first()?;
    let (ipv6, header) = match first >> 4 {
        4 => (false, usize::from(first & 0x0f) * 4),
        _ => (true, 40),
    };
    Some((ipv6, packet.get(header..)?))
}
