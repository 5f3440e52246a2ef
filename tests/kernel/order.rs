//! The order of what comes through several sockets: that of the kernel's stamps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pathsurvey::lab::driver::enter_namespace;
use pathsurvey::model::Protocol;
use pathsurvey::transport::raw::{Answers, RawReceiver, RawSender};
use pathsurvey::transport::{Arrival, PacketBatch, PacketReceiver, PacketSender};

use super::echo::checksum;
use super::namespaces::{allowed, open_dgram};
use crate::support::Outcome;

const BUFFER: usize = 8 << 20;
/// Of each kind.
const ROUNDS: u16 = 100;
const PORT: u16 = 24_000;

/// A packet from ourselves to ourselves that carries `number` behind 8 bytes of `head`.
fn push(batch: &mut PacketBatch, v6: bool, protocol: u8, head: [u8; 8], number: u16) {
    let carried = [&head[..], &number.to_be_bytes(), &[0; 30]].concat();
    if v6 {
        let here = Ipv6Addr::LOCALHOST;
        let packet = batch.push(here.into(), 40 + carried.len());
        packet[0] = 0x60;
        packet[5] = carried.len() as u8;
        packet[6..8].copy_from_slice(&[protocol, 64]);
        packet[8..24].copy_from_slice(&here.octets());
        packet[24..40].copy_from_slice(&here.octets());
        packet[40..].copy_from_slice(&carried);
    } else {
        let here = Ipv4Addr::LOCALHOST;
        let packet = batch.push(IpAddr::V4(here), 20 + carried.len());
        packet[0] = 0x45;
        packet[6] = 0x40;
        packet[8..10].copy_from_slice(&[64, protocol]);
        packet[12..16].copy_from_slice(&here.octets());
        packet[16..20].copy_from_slice(&here.octets());
        packet[20..].copy_from_slice(&carried);
        if protocol == 1 {
            let sum = checksum(&packet[20..]);
            packet[22..24].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// ICMP errors, datagrams and ICMPv6 errors in turns reach three sockets, and come out in turns.
pub fn of_packets() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    let answers = Answers {
        ipv4: true,
        ipv6: true,
        protocol: Some(Protocol::Udp),
        ports: PORT..=PORT,
    };
    let mut receiver = RawReceiver::open_for(&answers, BUFFER).unwrap();
    let [high, low] = PORT.to_be_bytes();
    let mut sender = RawSender::open().unwrap();
    // One at a time, so that the order of sending is that of the stamps.
    for number in 0..ROUNDS {
        let kinds = [
            (false, 17, [0, 80, high, low, 0, 40, 0, 0]),
            (true, 58, [3, 0, 0, 0, 0, 0, 0, 0]),
            (false, 1, [11, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (v6, protocol, head) in kinds {
            let mut batch = PacketBatch::default();
            push(&mut batch, v6, protocol, head, number);
            assert_eq!(sender.send(&batch, 0).unwrap().taken, 1);
        }
    }
    let mut seen = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while seen.len() < usize::from(ROUNDS) * 3 && Instant::now() < deadline {
        let received = receiver.receive(Duration::from_millis(100), &mut |arrival, stamp| {
            let packet = arrival.bytes();
            let (header, protocol) = match packet[0] >> 4 {
                6 => (40, packet[6]),
                _ => (20, packet[9]),
            };
            // Our own kernel complains of datagrams to a port where nobody listens; its errors quote them.
            if !matches!(&packet[header..header + 2], [3, 3] | [1, 4]) {
                let number = u16::from_be_bytes([packet[header + 8], packet[header + 9]]);
                seen.push((number, protocol, stamp.unwrap()));
            }
        });
        received.unwrap();
    }
    let sent = (0..ROUNDS).flat_map(|number| [(number, 17), (number, 58), (number, 1)]);
    let came: Vec<(u16, u8)> = seen.iter().map(|it| (it.0, it.1)).collect();
    assert_eq!(came, sent.collect::<Vec<_>>());
    assert!(seen.is_sorted_by_key(|it| it.2));
    Ok(())
}

/// Datagrams to the ports of several ordinary sockets in turns come out in turns.
pub fn of_datagrams() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    let mut transport = open_dgram(Protocol::Udp, PORT, 4);
    let base = transport.ports.base();
    let receiver = &mut transport.receiver;
    let target = UdpSocket::bind("127.0.0.1:0").unwrap();
    // The kernel stamps packets on arrival soon after somebody asks for it; before that when they are read.
    let mut on_arrival = false;
    while !on_arrival {
        target.send_to(&[0, 0], ("127.0.0.1", base)).unwrap();
        let sent = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let received = receiver.receive(Duration::from_secs(1), &mut |_, stamp| {
            on_arrival = stamp.is_some_and(|stamp| u128::from(stamp) < sent.as_nanos());
        });
        received.unwrap();
    }
    let sent: Vec<(u16, u16)> = (0..ROUNDS)
        .flat_map(|number| [3, 1, 2, 0].map(|flow| (number, base + flow)))
        .collect();
    for (number, port) in &sent {
        let number = number.to_be_bytes();
        target.send_to(&number, ("127.0.0.1", *port)).unwrap();
    }
    let mut came = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while came.len() < sent.len() && Instant::now() < deadline {
        let received = receiver.receive(Duration::from_millis(100), &mut |arrival, _| {
            if let Arrival::Datagram(datagram) = arrival {
                let number = [datagram.payload[0], datagram.payload[1]];
                came.push((u16::from_be_bytes(number), datagram.dst_port));
            }
        });
        received.unwrap();
    }
    assert_eq!(came, sent);
    Ok(())
}
