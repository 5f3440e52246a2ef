//! Sending through ordinary sockets, with the parts of a packet that these can set.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::may_be_left_behind;
use crate::model::UnsentReason;
use crate::transport::neighbours::Neighbours;
use crate::transport::outgoing::{Outgoing, SendArena, SendFailure};
use crate::transport::ports::DgramProtocol;
use crate::transport::source::SourceTable;
use crate::transport::sys::set_option;
use crate::transport::{PacketBatch, PacketSender, PortBlock, SendProgress, Stopped, header};

/// Attempts to send a packet before the kernel is asked whether there is a route to its destination.
const ATTEMPTS: u32 = 8;
/// Attempts to send a packet if there is a route. Only if every packet draws errors do errors come faster than the attempts.
const MOST_ATTEMPTS: u32 = 256;

/// The size of a UDP header, and of the header of an echo request.
const UDP_HEADER: usize = 8;

/// Sends UDP packets through the sockets of their source ports, or echo requests through the sockets of their identifiers.
pub struct DgramSender {
    protocol: DgramProtocol,
    ports: Arc<PortBlock>,
    sources: SourceTable,
    arena: SendArena,
    neighbours: Neighbours,
}

/// The parts of a packet that an ordinary socket can set, and the number that the socket is bound to.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    source: IpAddr,
    ttl: u8,
    /// Source port or identifier.
    number: u16,
    /// 0 if there are no ports.
    dst_port: u16,
    /// The bytes given to the kernel: the payload of a datagram, or an echo request from its ICMP header on.
    content: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Splits a packet of ours into its parts; `None` if it is of another protocol.
    fn of(packet: &'a [u8], wanted: DgramProtocol) -> Option<Self> {
        let source = header::source(packet)?;
        let (ttl, protocol, transport) = match source {
            IpAddr::V4(_) => (packet.get(8)?, packet.get(9)?, packet.get(header::IPV4..)?),
            IpAddr::V6(_) => (packet.get(7)?, packet.get(6)?, packet.get(header::IPV6..)?),
        };
        // Both kinds of header have 8 bytes.
        let (head, payload) = transport.split_first_chunk::<UDP_HEADER>()?;
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        match (wanted, i32::from(*protocol)) {
            (DgramProtocol::Udp, libc::IPPROTO_UDP) => Some(Parts {
                source,
                ttl: *ttl,
                number: word(0),
                dst_port: word(2),
                content: payload,
            }),
            (DgramProtocol::Icmp, libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6) => Some(Parts {
                source,
                ttl: *ttl,
                number: word(4),
                dst_port: 0,
                content: transport,
            }),
            _ => None,
        }
    }
}

impl DgramSender {
    pub(super) fn new(
        protocol: DgramProtocol,
        ports: Arc<PortBlock>,
        sources: SourceTable,
        neighbours: Neighbours,
    ) -> Self {
        DgramSender {
            protocol,
            ports,
            sources,
            arena: SendArena::new(),
            neighbours,
        }
    }

    /// Offers the packets from `first` on that leave by the same socket. Returns how many were taken, or why the first was not.
    fn offer(&mut self, batch: &PacketBatch, first: usize) -> io::Result<Result<usize, Stopped>> {
        let refused = |reason| Ok(Err(Stopped::Refused(reason)));
        let Some((destination, packet)) = batch.get(first) else {
            return refused(UnsentReason::Invalid);
        };
        let head = match Parts::of(packet, self.protocol) {
            // The kernel would send to 0.0.0.0 and :: on this host.
            Some(head) if !destination.is_unspecified() => head,
            _ => return refused(UnsentReason::Invalid),
        };
        let Some(socket) = self.ports.socket(head.number, destination.is_ipv6()) else {
            // The port is not ours, or this machine has no IPv6.
            return refused(UnsentReason::NoRoute);
        };
        if self.sets_ttl(destination) {
            let hops = i32::from(head.ttl);
            set_option(
                socket.as_fd(),
                libc::SOL_IPV6,
                libc::IPV6_UNICAST_HOPS,
                &hops,
            )?;
        }
        let few = (batch.len() - first).min(SendArena::CHUNK);
        let admitted = self
            .neighbours
            .admit(socket, Some(head.source), destination, few);
        let most = match admitted {
            Ok(most) => most,
            Err(stopped) => return Ok(Err(stopped)),
        };
        let mut attempt = 1;
        loop {
            let error = match self.send_together(batch, first, &head, most) {
                Ok(0) => return refused(UnsentReason::Invalid),
                Ok(taken) => return Ok(Ok(taken)),
                Err(error) => error,
            };
            let stopped = self.after_failure(error, attempt, head.source, destination)?;
            if let Some(stopped) = stopped {
                return Ok(Err(stopped));
            }
            attempt += 1;
        }
    }

    /// Whether the TTL of packets of the family of `address` must be set on the socket: before Linux 5.18, an IPv6 ping socket
    /// ignores the TTL of a control message.
    fn sets_ttl(&self, address: IpAddr) -> bool {
        self.protocol == DgramProtocol::Icmp && address.is_ipv6()
    }

    /// Offers up to `most` packets from `first` on that leave by the socket of `head`, the first packet. Returns how many the
    /// kernel took.
    fn send_together(
        &mut self,
        batch: &PacketBatch,
        first: usize,
        head: &Parts<'_>,
        most: usize,
    ) -> io::Result<usize> {
        let ipv6 = head.source.is_ipv6();
        let Some(socket) = self.ports.socket(head.number, ipv6) else {
            return Ok(0);
        };
        let one_ttl = self.sets_ttl(head.source);
        let datagrams = batch.iter_from(first).map_while(|(to, packet)| {
            let parts = Parts::of(packet, self.protocol)?;
            let together = to.is_ipv6() == ipv6
                && parts.number == head.number
                && (!one_ttl || parts.ttl == head.ttl);
            (together && !to.is_unspecified()).then_some(Outgoing {
                to: SocketAddr::new(to, parts.dst_port),
                ttl: Some(parts.ttl),
                way: Some((parts.source, self.sources.pinned_interface(parts.source))),
                bytes: parts.content,
            })
        });
        self.arena.send(socket.as_fd(), datagrams.take(most))
    }

    /// Decides what follows from the failed `attempt` to send a packet; `None`: try again.
    ///
    /// # Errors
    /// The socket is broken.
    fn after_failure(
        &mut self,
        error: io::Error,
        attempt: u32,
        source: IpAddr,
        destination: IpAddr,
    ) -> io::Result<Option<Stopped>> {
        Ok(match SendFailure::of(&error) {
            SendFailure::Interrupted => None,
            SendFailure::Broken => return Err(error),
            _ if self.neighbours.lack_room(&error, Some(source), destination) => {
                Some(Stopped::Crowded(UnsentReason::NeighbourTableFull))
            }
            SendFailure::Full => Some(Stopped::Full),
            SendFailure::Packet(_)
                if error.raw_os_error().is_some_and(may_be_left_behind)
                    && attempt < MOST_ATTEMPTS =>
            {
                if attempt >= ATTEMPTS {
                    std::thread::yield_now();
                }
                // This failure has cleared the errno. If the packet itself is to blame, the route may say so.
                let refusal = (attempt == ATTEMPTS).then(|| self.sources.refusal(destination));
                refusal.flatten().map(Stopped::Refused)
            }
            SendFailure::Packet(reason) => Some(Stopped::Refused(reason)),
        })
    }
}

impl PacketSender for DgramSender {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<SendProgress> {
        let mut taken = 0;
        self.sources.batch_sent();
        while first + taken < batch.len() {
            match self.offer(batch, first + taken)? {
                Ok(count) => taken += count,
                Err(stopped) => {
                    return Ok(SendProgress {
                        taken,
                        stopped: Some(stopped),
                    });
                }
            }
        }
        Ok(SendProgress {
            taken,
            stopped: None,
        })
    }

    fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        self.sources.source_for(destination)
    }

    fn refusal(&mut self, destination: IpAddr) -> Option<UnsentReason> {
        self.sources.refusal_at_start(destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: [u8; 8] = [0x5d, 0xc0, 0x82, 0x9a, 0, 11, 1, 2];
    const ECHO: [u8; 8] = [8, 0, 1, 2, 0x5d, 0xc0, 7, 8];

    /// IP headers of both families, each with the offset of its protocol field.
    fn headers(protocols: [u8; 2]) -> [(Vec<u8>, usize); 2] {
        let mut v4 = vec![0x45; 20];
        (v4[8], v4[9]) = (7, protocols[0]);
        let mut v6 = vec![0x60; 40];
        (v6[7], v6[6]) = (7, protocols[1]);
        [(v4, 9), (v6, 6)]
    }

    #[test]
    fn packets_of_both_protocols_and_families_are_split_into_their_parts() {
        for (wanted, other, protocols, transport) in [
            (DgramProtocol::Udp, DgramProtocol::Icmp, [17, 17], UDP),
            (DgramProtocol::Icmp, DgramProtocol::Udp, [1, 58], ECHO),
        ] {
            for (mut packet, protocol) in headers(protocols) {
                packet.extend(transport);
                packet.extend([9, 8, 7]);
                let (dst_port, content) = match wanted {
                    DgramProtocol::Udp => (33_434, &[9, 8, 7][..]),
                    DgramProtocol::Icmp => (0, &packet[packet.len() - 11..]),
                };
                let parts = Parts {
                    source: match packet.len() < 40 {
                        true => IpAddr::from([0x45; 4]),
                        false => IpAddr::from([0x60; 16]),
                    },
                    ttl: 7,
                    number: 24_000,
                    dst_port,
                    content,
                };
                assert_eq!(Parts::of(&packet, wanted), Some(parts));
                // Truncated, or of another protocol.
                assert_eq!(Parts::of(&packet[..packet.len() - 4], wanted), None);
                assert_eq!(Parts::of(&packet, other), None);
                packet[protocol] = 6;
                assert_eq!(Parts::of(&packet, wanted), None);
            }
            assert_eq!(Parts::of(&[], wanted), None);
        }
    }
}
