//! A test of the receive side over loopback: whether it receives the replies that the run waits for.
//!
//! From each source address, the test sends a packet like a probe to the same address. Then it sends the replies to such a
//! probe: the ICMP errors that quote it, and the answer of a target. All packets pass the firewall's output and input rules.
//! Connection tracking recognises the replies, because it has seen the probe.
//!
//! - The probe has a wrong checksum, so no host or service on this machine answers it. Only the test's own replies are
//!   received.
//! - All packets have TTL 1. If an unusual routing table leads them away, the first router drops them.
//!
//! | situation | result of the test |
//! |---|---|
//! | the receive side receives nothing | all replies are missing |
//! | input rules drop replies on all interfaces | these replies are missing |
//! | rules for one interface, host or network drop replies | nothing is detected |
//! | an earlier rule accepts everything on loopback | nothing is detected |
//! | rules limit the rate of replies | nothing is detected |
//! | the kernel refuses to send the packets (output rules, interface `lo` down) | nothing is detected, and no warning is given |
//! | a packet ring is in use, which sees packets before the input rules do | input rules are not tested |

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

/// The properties of the run's probes that a firewall can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackProbe {
    /// The protocol.
    pub protocol: Protocol,
    /// The TCP segment.
    pub tcp_flags: TcpFlags,
    /// Type of service or traffic class.
    pub tos: u8,
    /// One of the run's ports (ICMP: identifiers).
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Distinguishes this test from the test of another run on this machine. Not 0.
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
    /// The replies that a run of `protocol` waits for. The target's own reply is last.
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

/// A test in progress: connection tracking has seen the probes, but no replies yet.
pub struct LoopbackTest {
    probe: LoopbackProbe,
    /// The probes that were sent.
    sent: Vec<(Ends, Vec<u8>)>,
}

impl LoopbackTest {
    /// Sends a probe from each of the `addresses` that leads back to this machine.
    ///
    /// # Errors
    /// A broken socket.
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

    /// Sends the replies and waits until all have been received, at most for `patience`. Drops other packets that are received
    /// meanwhile: no probe of the run has been sent yet.
    ///
    /// # Errors
    /// A broken socket.
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

/// The address that is both source and destination.
fn address(ends: Ends) -> IpAddr {
    match ends {
        Ends::V4(address, _) => address.into(),
        Ends::V6(address, _) => address.into(),
    }
}

/// Whether a packet is IPv6, and the bytes after its IP header. The header is not compared, because firewall rules may change
/// its fields.
fn behind_header(packet: &[u8]) -> Option<(bool, &[u8])> {
    let first = *packet.first()?;
    let (ipv6, header) = match first >> 4 {
        4 => (false, usize::from(first & 0x0f) * 4),
        _ => (true, 40),
    };
    Some((ipv6, packet.get(header..)?))
}
