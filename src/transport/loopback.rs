//! Packets from us to us before the first probe: nothing of it leaves the machine.
//!
//! What is sent and what it tells is for others to decide; here are the sockets and the clock.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::raw::{PortBlock, sys};
use super::{PacketBatch, PacketReceiver, PacketSender};

/// The interface that packets to ourselves take; where it has another name, it is taken to be up.
const LOOPBACK: &str = "lo";

/// How long the datagram of [`show_to_tracking`] is waited for, which is there at once unless it was dropped.
const DATAGRAM_PATIENCE: Duration = Duration::from_millis(100);

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
pub fn listen_until(
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
        receiver.receive(left, &mut |packet, _| enough |= is_enough(packet))?;
    }
    Ok(())
}

/// Sends a datagram from the first of `ports` to another port of `address`, which is ours: rules that want connections
/// tracked have one to track from then on. For runs by ordinary UDP sockets, which hold those ports.
pub fn show_to_tracking(ports: &PortBlock, address: IpAddr) -> io::Result<()> {
    let end = UdpSocket::bind((address, 0))?;
    end.set_read_timeout(Some(DATAGRAM_PATIENCE))?;
    let Some(socket) = ports.socket(ports.base(), address.is_ipv6()) else {
        return Ok(());
    };
    let to: SocketAddr = end.local_addr()?;
    socket.send_to(&[], &to.into())?;
    // Until it is there: a port that is closed before would be answered with an error, and the run would hear that.
    end.recv(&mut []).map(drop)
}
