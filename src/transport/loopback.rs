//! Packets from this host to itself, before the first probe. None of them leaves the machine.
//!
//! This module has the sockets and the clock. Its callers decide what to send and what the result means.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Arrival, PacketBatch, PacketReceiver, PacketSender};
use super::{PortBlock, sys};

/// The interface that packets to ourselves take. If there is no interface of this name, it is assumed to be up.
const LOOPBACK: &str = "lo";

/// How long to wait for a packet that is sent for connection tracking to see. It arrives at once, unless it was dropped.
const TRACKING_PATIENCE: Duration = Duration::from_millis(100);

/// Echo requests (RFC 792, RFC 4443). The kernel fills in the other fields.
const ECHO_REQUEST: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0];
const ECHO_REQUEST_V6: [u8; 8] = [128, 0, 0, 0, 0, 0, 0, 0];

/// Whether packets to `address` come back to us, whatever the routes say. That is so if the address is ours, is not of another
/// routing domain (VRF), and the loopback interface is up. If it is down, the kernel takes packets and loses them.
pub(crate) fn leads_back(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(socket) => sys::interface_is_up(socket.as_fd(), LOOPBACK).unwrap_or(true),
        Err(_) => false,
    }
}

/// Offers every packet of `batch` once. Returns for each packet whether the kernel took it.
pub(crate) fn offer(sender: &mut dyn PacketSender, batch: &PacketBatch) -> io::Result<Vec<bool>> {
    let mut taken = Vec::with_capacity(batch.len());
    while taken.len() < batch.len() {
        let progress = sender.send(batch, taken.len())?;
        taken.resize(taken.len() + progress.taken, true);
        if progress.stopped.is_some() || progress.taken == 0 {
            taken.push(false);
        }
    }
    Ok(taken)
}

/// Passes the packets that arrive to `is_enough` until it returns `true`, at most for `patience`.
pub(crate) fn receive_until(
    receiver: &mut dyn PacketReceiver,
    patience: Duration,
    is_enough: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    let mut enough = false;
    while !enough {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        receiver.receive(left, &mut |arrival, _| {
            if let Arrival::Packet(packet) = arrival {
                enough |= is_enough(packet);
            }
        })?;
    }
    Ok(())
}

/// Sends a datagram from the first of `ports` to another port of `address`, which is ours. If a firewall rule uses connection
/// tracking, the table then holds at least one entry. For runs over ordinary UDP sockets, which hold those ports.
pub(crate) fn show_to_tracking(ports: &PortBlock, address: IpAddr) -> io::Result<()> {
    let end = UdpSocket::bind((address, 0))?;
    end.set_read_timeout(Some(TRACKING_PATIENCE))?;
    let Some(socket) = ports.socket(ports.base(), address.is_ipv6()) else {
        return Ok(());
    };
    let to: SocketAddr = end.local_addr()?;
    socket.send_to(&[], &to.into())?;
    // Wait until the datagram is there. If the port were closed before, the run would receive an error about it.
    end.recv(&mut []).map(drop)
}

/// As [`show_to_tracking`], with an echo request, for runs over ping sockets. The request leaves from a socket of its own, so
/// that the run does not receive the reply.
pub(crate) fn show_echo_to_tracking(address: IpAddr) -> io::Result<()> {
    let (protocol, request) = match address.is_ipv6() {
        false => (Protocol::ICMPV4, ECHO_REQUEST),
        true => (Protocol::ICMPV6, ECHO_REQUEST_V6),
    };
    let to = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(protocol))?;
    socket.set_read_timeout(Some(TRACKING_PATIENCE))?;
    // A socket that is bound to an address sends from it.
    socket.bind(&to.into())?;
    socket.send_to(&request, &to.into())?;
    UdpSocket::from(socket).recv(&mut [0; 64]).map(drop)
}
