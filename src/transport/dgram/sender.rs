//! Sending the payload of packets through ordinary sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::{may_be_left_behind, sys};
use crate::model::UnsentReason;
use crate::transport::raw::PortBlock;
use crate::transport::raw::source::SourceTable;
use crate::transport::raw::unsent_reason;
use crate::transport::{PacketBatch, PacketSender, Progress, Stopped};

/// Attempts at a packet before the kernel is asked whether there is a way to its destination at all.
const ATTEMPTS: u32 = 8;
/// Attempts at a packet to which there is a way: errors come faster than this only if every packet draws some.
const MOST_ATTEMPTS: u32 = 256;

/// Sizes of headers: IPv4 without options, IPv6, UDP.
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;

/// Sends UDP packets over the sockets of their source ports.
pub struct DgramSender {
    ports: Arc<PortBlock>,
    sources: SourceTable,
    arena: sys::SendArena,
}

/// What a packet says that an ordinary socket can be told, and the port of that socket.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    ttl: u8,
    src_port: u16,
    dst_port: u16,
    payload: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes a UDP packet of ours apart; `None` for anything else.
    fn of(packet: &'a [u8]) -> Option<Self> {
        let (ttl, protocol, transport) = match packet.first()? >> 4 {
            4 => (packet.get(8)?, packet.get(9)?, packet.get(IPV4_HEADER..)?),
            6 => (packet.get(7)?, packet.get(6)?, packet.get(IPV6_HEADER..)?),
            _ => return None,
        };
        let (header, payload) = transport.split_first_chunk::<UDP_HEADER>()?;
        (i32::from(*protocol) == libc::IPPROTO_UDP).then_some(Parts {
            ttl: *ttl,
            src_port: u16::from_be_bytes([header[0], header[1]]),
            dst_port: u16::from_be_bytes([header[2], header[3]]),
            payload,
        })
    }
}

impl DgramSender {
    pub(super) fn new(ports: Arc<PortBlock>, sources: SourceTable) -> Self {
        DgramSender {
            ports,
            sources,
            arena: sys::SendArena::new(),
        }
    }

    /// Offers the packets from `first` on that leave by the same socket; how many were taken, or why the first was not.
    fn offer(&mut self, batch: &PacketBatch, first: usize) -> io::Result<Result<usize, Stopped>> {
        let invalid = Ok(Err(Stopped::Refused(UnsentReason::Invalid)));
        let Some((destination, head)) = batch
            .get(first)
            .and_then(|(to, packet)| Some((to, Parts::of(packet)?)))
        else {
            return invalid;
        };
        // 0.0.0.0 and :: would succeed and go to ourselves.
        if destination.is_unspecified() {
            return invalid;
        }
        let Some(socket) = self.ports.socket(head.src_port, destination.is_ipv6()) else {
            // No port of ours, or no IPv6.
            return Ok(Err(Stopped::Refused(UnsentReason::NoRoute)));
        };
        let mut attempt = 0;
        loop {
            let datagrams = batch
                .iter_from(first)
                .map_while(|(to, packet)| outgoing(to, packet, destination, head.src_port));
            let error = match self.arena.send(socket.as_fd(), datagrams) {
                Ok(0) => return invalid,
                Ok(taken) => return Ok(Ok(taken)),
                Err(error) => error,
            };
            attempt += 1;
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) => return Ok(Err(Stopped::Full)),
                Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) | None => return Err(error),
                Some(errno) if may_be_left_behind(errno) && attempt < MOST_ATTEMPTS => {
                    // It is gone with this failure. If the packet itself is to blame, the route may say so.
                    if attempt == ATTEMPTS
                        && let Some(reason) = self.sources.refusal(destination)
                    {
                        return Ok(Err(Stopped::Refused(reason)));
                    }
                    if attempt >= ATTEMPTS {
                        std::thread::yield_now();
                    }
                }
                Some(errno) => return Ok(Err(Stopped::Refused(unsent_reason(errno)))),
            }
        }
    }
}

/// What to send of a packet, if it leaves by the same socket as one from `src_port` to `like`.
fn outgoing(to: IpAddr, packet: &[u8], like: IpAddr, src_port: u16) -> Option<sys::Outgoing<'_>> {
    let parts = Parts::of(packet)?;
    let same_socket = to.is_ipv6() == like.is_ipv6() && parts.src_port == src_port;
    (same_socket && !to.is_unspecified()).then_some(sys::Outgoing {
        to: SocketAddr::new(to, parts.dst_port),
        ttl: parts.ttl,
        payload: parts.payload,
    })
}

impl PacketSender for DgramSender {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<Progress> {
        let mut taken = 0;
        while first + taken < batch.len() {
            match self.offer(batch, first + taken)? {
                Ok(count) => taken += count,
                Err(stopped) => {
                    return Ok(Progress {
                        taken,
                        stopped: Some(stopped),
                    });
                }
            }
        }
        Ok(Progress {
            taken,
            stopped: None,
        })
    }

    fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        self.sources.source_for(destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: [u8; 8] = [0x5d, 0xc0, 0x82, 0x9a, 0, 11, 1, 2];

    #[test]
    fn both_families_are_taken_apart() {
        let mut v4 = vec![0x45; 20];
        (v4[8], v4[9]) = (7, 17);
        let mut v6 = vec![0x60; 40];
        (v6[7], v6[6]) = (7, 17);
        for mut packet in [v4, v6] {
            packet.extend(UDP);
            packet.extend([9, 8, 7]);
            let parts = Parts {
                ttl: 7,
                src_port: 24_000,
                dst_port: 33_434,
                payload: &[9, 8, 7],
            };
            assert_eq!(Parts::of(&packet), Some(parts));
            // Cut short, or of another protocol.
            assert_eq!(Parts::of(&packet[..packet.len() - 4]), None);
            let protocol = if packet.len() < 40 { 9 } else { 6 };
            packet[protocol] = 6;
            assert_eq!(Parts::of(&packet), None);
        }
        assert_eq!(Parts::of(&[]), None);
    }
}
