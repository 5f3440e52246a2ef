//! Packets from us to us before the first probe: nothing of it leaves the machine.
//!
//! What is sent and what it tells is for others to decide; here are the sockets and the clock.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Arrival, PacketBatch, PacketReceiver, PacketSender};
use super::{PortBlock, sys};

/// The interface that packets to ourselves take; where it has another name, it is taken to be up.
const LOOPBACK: &str = "lo";

/// How long what is shown to connection tracking is waited for, which is there at once unless it was dropped.
const TRACKING_PATIENCE: Duration = Duration::from_millis(100);

/// Echo requests (RFC 792, RFC 4443), whose other fields the kernel fills in.
const ECHO_REQUEST: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0];
const ECHO_REQUEST_V6: [u8; 8] = [128, 0, 0, 0, 0, 0, 0, 0];

/// Whether packets to `address` come back to us, whatever the routes say: it is one of ours and not of another routing domain (a
/// VRF), and the interface that they take is up. Of one that is down the kernel takes packets all the same, and loses them.
pub fn leads_back(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(socket) => sys::interface_is_up(socket.as_fd(), LOOPBACK).unwrap_or(true),
        Err(_) => false,
    }
}

/// Offers every packet of `batch` once, and says of each whether the kernel took it.
pub fn offer(sender: &mut dyn PacketSender, batch: &PacketBatch) -> io::Result<Vec<bool>> {
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

/// Passes what arrives to `is_enough` until that says so, for `patience` at most.
pub fn receive_until(
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

/// Sends a datagram from the first of `ports` to another port of `address`, which is ours: rules that want connections
/// tracked have one to track from then on. For runs by ordinary UDP sockets, which hold those ports.
pub fn show_to_tracking(ports: &PortBlock, address: IpAddr) -> io::Result<()> {
    let end = UdpSocket::bind((address, 0))?;
    end.set_read_timeout(Some(TRACKING_PATIENCE))?;
    let Some(socket) = ports.socket(ports.base(), address.is_ipv6()) else {
        return Ok(());
    };
    let to: SocketAddr = end.local_addr()?;
    socket.send_to(&[], &to.into())?;
    // Until it is there: a port that is closed before would be answered with an error, and the run would hear that.
    end.recv(&mut []).map(drop)
}

/// As [`show_to_tracking`], an echo request, for runs by ping sockets; from a socket of its own, so that the run does not hear the
/// reply.
pub fn show_echo_to_tracking(address: IpAddr) -> io::Result<()> {
    let (protocol, request) = match address.is_ipv6() {
        false => (Protocol::ICMPV4, ECHO_REQUEST),
        true => (Protocol::ICMPV6, ECHO_REQUEST_V6),
    };
    let to = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(protocol))?;
    socket.set_read_timeout(Some(TRACKING_PATIENCE))?;
    // What is bound to an address sends from it.
    socket.bind(&to.into())?;
    socket.send_to(&request, &to.into())?;
    UdpSocket::from(socket).recv(&mut [0; 64]).map(drop)
}
