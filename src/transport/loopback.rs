//! A test of the receiver before the first probe, over loopback: nothing leaves the machine.
//!
//! A datagram to a closed port of our own address draws a port unreachable from our own kernel; then we send ourselves a time
//! exceeded about that datagram. Both pass the firewall's rules for output and input, and both belong to a connection that
//! connection tracking knows, as answers to probes do. What is found: a receiver that hears nothing, and rules that drop these
//! messages whichever way they come. What is not: rules for the interface, the hosts or the networks from which
//! answers will come, rules that let everything on loopback pass first, and limits that a single packet does not meet.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use pnet_packet::util::checksum;

use super::{PacketBatch, PacketReceiver, PacketSender};

/// ICMP types (RFC 792).
const UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;

const IP_HEADER: usize = 20;
const ICMP_HEADER: usize = 8;
/// What is quoted of the datagram: its IP and its UDP header.
const QUOTE: usize = IP_HEADER + 8;

/// Which messages reached the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Our kernel's port unreachable.
    pub unreachable: bool,
    /// The time exceeded that we sent ourselves; `None` where it could not be sent.
    pub time_exceeded: Option<bool>,
}

/// Makes the test with `address`, which must be one of ours, waiting up to `patience` for each message. Other packets
/// that arrive meanwhile are dropped: nothing of ours is under way yet.
pub fn loopback_test(
    receiver: &mut dyn PacketReceiver,
    sender: &mut dyn PacketSender,
    address: Ipv4Addr,
    patience: Duration,
) -> io::Result<Heard> {
    let socket = UdpSocket::bind((address, 0))?;
    let closed = {
        let once_bound = UdpSocket::bind((address, 0))?;
        once_bound.local_addr()?.port()
    };
    let ports = [
        socket.local_addr()?.port().to_be_bytes(),
        closed.to_be_bytes(),
    ]
    .concat();
    socket.send_to(b"pathsurvey", (address, closed))?;
    let unreachable = hears(receiver, UNREACHABLE, &ports, patience)?;
    let mut batch = PacketBatch::default();
    let size = IP_HEADER + ICMP_HEADER + QUOTE;
    write_time_exceeded(batch.push(address.into(), size), address, &ports);
    let time_exceeded = match sender.send(&batch, 0)?.taken {
        0 => None,
        _ => Some(hears(receiver, TIME_EXCEEDED, &ports, patience)?),
    };
    Ok(Heard {
        unreachable,
        time_exceeded,
    })
}

/// Whether an ICMP message of type `kind` about the datagram between `ports` comes within `patience`.
fn hears(
    receiver: &mut dyn PacketReceiver,
    kind: u8,
    ports: &[u8],
    patience: Duration,
) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    let mut heard = false;
    while !heard && Instant::now() < deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        receiver.receive(left, &mut |bytes, _| {
            // Outer header and ICMP header, then the quote: its header without options, then the ports.
            let quoted = IP_HEADER + ICMP_HEADER + IP_HEADER;
            heard |=
                bytes.get(IP_HEADER) == Some(&kind) && bytes.get(quoted..quoted + 4) == Some(ports);
        })?;
    }
    Ok(heard)
}

/// Fills `packet` (all zero) with a time exceeded from `address` to itself about a datagram between `ports` there.
fn write_time_exceeded(packet: &mut [u8], address: Ipv4Addr, ports: &[u8]) {
    let total = packet.len() as u16;
    let (outer, message) = packet.split_at_mut(IP_HEADER);
    write_ip_header(outer, total, libc::IPPROTO_ICMP as u8, address);
    message[0] = TIME_EXCEEDED;
    let (inner, udp) = message[ICMP_HEADER..].split_at_mut(IP_HEADER);
    // As it was sent: "pathsurvey" behind a UDP header.
    write_ip_header(inner, QUOTE as u16 + 10, libc::IPPROTO_UDP as u8, address);
    udp[..4].copy_from_slice(ports);
    udp[4..6].copy_from_slice(&18_u16.to_be_bytes());
    let sum = checksum(message, 1);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

fn write_ip_header(header: &mut [u8], total: u16, protocol: u8, address: Ipv4Addr) {
    header[0] = 0x45;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[8] = 64;
    header[9] = protocol;
    header[12..16].copy_from_slice(&address.octets());
    header[16..20].copy_from_slice(&address.octets());
    let sum = checksum(header, 5);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_whole() {
        let mut packet = [0; IP_HEADER + ICMP_HEADER + QUOTE];
        let ports = [0x5d, 0xc0, 0x82, 0x9a];
        write_time_exceeded(&mut packet, Ipv4Addr::new(192, 0, 2, 1), &ports);
        // The ones' complement sum over a header with its checksum is all ones (RFC 1071).
        let sum = |bytes: &[u8]| {
            let words = bytes
                .chunks(2)
                .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
            let sum: u32 = words.sum();
            (sum & 0xffff) + (sum >> 16)
        };
        assert_eq!(sum(&packet[..20]), 0xffff);
        assert_eq!(sum(&packet[20..]), 0xffff);
        assert_eq!(sum(&packet[28..48]), 0xffff);
        assert_eq!(packet[2..4], 56_u16.to_be_bytes());
        assert_eq!((packet[9], packet[20], packet[37]), (1, 11, 17));
        assert_eq!(packet[48..52], ports);
    }
}
