//! A test of the receiver before the first probe: our own kernel answers a datagram on loopback with a port unreachable.
//!
//! Nothing leaves the machine. What it finds: a receiver that hears nothing, most often behind a firewall rule on input.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use super::PacketReceiver;

/// Sends one datagram from a port to a closed port of 127.0.0.1 and waits up to `patience` for the ICMP message about it.
/// Other packets that arrive meanwhile are dropped: nothing of ours is under way yet.
pub fn loopback_test(receiver: &mut dyn PacketReceiver, patience: Duration) -> io::Result<bool> {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let closed = {
        let once_bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        once_bound.local_addr()?
    };
    sender.send_to(b"pathsurvey", closed)?;
    let ports = [
        sender.local_addr()?.port().to_be_bytes(),
        closed.port().to_be_bytes(),
    ]
    .concat();
    let deadline = Instant::now() + patience;
    let mut heard = false;
    while !heard && Instant::now() < deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        receiver.receive(left, &mut |bytes, _| {
            // Outer header and ICMP header, then the quote: its header without options, then the ports.
            heard |= bytes.get(20 + 8 + 20..20 + 8 + 24) == Some(&ports[..]);
        })?;
    }
    Ok(heard)
}
