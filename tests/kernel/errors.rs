//! What the kernel refuses, drops and keeps apart.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use pathsurvey::lab::driver::{LabHost, RouteKind, enter_drop_namespace, enter_namespace};
use pathsurvey::lab::{Delivery, Respond};
use pathsurvey::model::{Protocol, Time, UnsentReason};
use pathsurvey::transport::raw::{BufferKind, RawReceiver, RawSender};
use pathsurvey::transport::{
    Origin, PacketBatch, PacketReceiver, PacketSender, PortBlock, SendProgress, Stopped,
    TransportError,
};

use socket2::{Domain, Socket, Type};

use super::echo::{push_probe, write_probe};
use super::namespaces::{VANTAGE, allowed, open_dgram};
use crate::support::{Ignored, Outcome};

/// Destinations under 10.0.0.0/24, by the last byte.
const MISSING: u32 = 1;
const UNREACHABLE: u32 = 2;
const PROHIBITED: u32 = 3;
const BLACKHOLE: u32 = 4;

const REFUSING: [(u32, RouteKind, UnsentReason); 4] = [
    (MISSING, RouteKind::Missing, UnsentReason::NoRoute),
    (
        UNREACHABLE,
        RouteKind::Unreachable,
        UnsentReason::HostUnreachable,
    ),
    (PROHIBITED, RouteKind::Prohibit, UnsentReason::Prohibited),
    (BLACKHOLE, RouteKind::Blackhole, UnsentReason::Invalid),
];

fn refuse(namespace: &pathsurvey::lab::driver::Namespace) {
    for (host, kind, _) in REFUSING {
        let address = Ipv4Addr::from(0x0A00_0000 + host);
        namespace.add_refusing_route(address, 32, kind).unwrap();
    }
}

/// Sends the whole batch, stepping over what is refused; returns what was refused, by index.
fn send_all(sender: &mut RawSender, batch: &PacketBatch) -> Vec<(usize, UnsentReason)> {
    let mut refused = Vec::new();
    let mut first = 0;
    while first < batch.len() {
        let SendProgress { taken, stopped } = sender.send(batch, first).unwrap();
        first += taken;
        match stopped {
            None => assert_eq!(first, batch.len()),
            Some(Stopped::Full) => assert!(taken > 0, "a queue that nothing fills is full"),
            Some(Stopped::Refused(reason) | Stopped::Crowded(reason)) => {
                refused.push((first, reason));
                first += 1;
            }
        }
    }
    refused
}

pub fn send_errors() -> Outcome {
    let namespace = allowed(enter_drop_namespace())?;
    refuse(&namespace);
    let mut sender = RawSender::open().unwrap();
    let mut batch = PacketBatch::default();
    let mut expected = Vec::new();
    for round in 0..50 {
        for (host, _, reason) in REFUSING {
            push_probe(&mut batch, 256 + round);
            expected.push((batch.len(), reason));
            push_probe(&mut batch, host);
        }
        // 0.0.0.0 and :: would reach ourselves; a packet larger than the interface takes.
        for (destination, size, reason) in [
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 32, UnsentReason::Invalid),
            (
                IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)),
                1600,
                UnsentReason::TooLarge,
            ),
            (
                IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
                60,
                UnsentReason::Invalid,
            ),
        ] {
            expected.push((batch.len(), reason));
            write_probe(batch.push(destination, size), 1);
        }
        push_probe(&mut batch, 512 + round);
    }
    // Twice: what the first pass left behind in the socket must not fail the second.
    for _ in 0..2 {
        let before = transmit_column("drop0", 9);
        assert_eq!(send_all(&mut sender, &batch), expected);
        let taken = (batch.len() - expected.len()) as u64;
        assert_eq!(transmit_column("drop0", 9) - before, taken);
    }
    assert_eq!(
        sender.send(&PacketBatch::default(), 0).unwrap(),
        SendProgress {
            taken: 0,
            stopped: None
        }
    );
    Ok(())
}

/// A column of what the interface `name` says of its own, counted from 0: 9 is packets sent, 11 packets dropped in sending.
pub fn transmit_column(name: &str, column: usize) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let columns = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
        .unwrap();
    columns
        .split_whitespace()
        .nth(column)
        .unwrap()
        .parse()
        .unwrap()
}

pub fn sources() -> Outcome {
    let namespace = allowed(enter_drop_namespace())?;
    refuse(&namespace);
    let mut sender = RawSender::open().unwrap();
    for (host, _, reason) in REFUSING {
        let destination = IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + host));
        assert_eq!(sender.source_for(destination), Err(reason));
    }
    let ours = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    // In turns, so that a socket that kept its first answer would be found out.
    for number in 0..1000 {
        let far = IpAddr::V4(Ipv4Addr::from(0x0A01_0000 + number * 256));
        assert_eq!(sender.source_for(far), Ok(ours));
        let near = IpAddr::V4(Ipv4Addr::from(0x7F00_0001 + number * 256));
        assert_eq!(sender.source_for(near), Ok(loopback));
    }
    assert_eq!(
        sender.source_for(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Err(UnsentReason::Invalid)
    );
    Ok(())
}

/// Answers every packet at once with `copies` ICMP errors.
struct Burst {
    copies: usize,
}

impl Respond for Burst {
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
        for _ in 0..self.copies {
            deliveries.push(Delivery {
                at: now,
                packet: super::echo::time_exceeded(packet),
            });
        }
    }
}

/// Lets `copies` replies come to a receiver that reads only once all are delivered: those that fit come, the rest is counted.
fn overflow(open: fn() -> RawReceiver, copies: usize) -> Outcome {
    let namespace = allowed(enter_namespace())?;
    let host = LabHost::start(&namespace, Box::new(Burst { copies }), VANTAGE).unwrap();
    let mut receiver = open();
    // The last reply goes to a second receiver, too: when it has all of them, the first was offered all of them.
    let mut witness = RawReceiver::open(256 << 20).unwrap();
    let mut sender = RawSender::open().unwrap();
    let mut batch = PacketBatch::default();
    push_probe(&mut batch, 7);
    assert_eq!(send_all(&mut sender, &batch), []);
    let mut seen = 0;
    while seen < copies {
        let count = witness
            .receive(Duration::from_secs(5), &mut |_, _| {})
            .unwrap()
            .count;
        assert_ne!(count, 0, "only {seen} of {copies} replies were delivered");
        seen += count;
    }
    assert_eq!(host.stop().unwrap().delivered, copies as u64);
    let mut kept = 0;
    loop {
        let received = receiver.receive(Duration::ZERO, &mut |_, _| {}).unwrap();
        let count = received.count;
        if count == 0 {
            break;
        }
        kept += count;
    }
    let dropped = receiver.dropped().unwrap();
    println!("{:?}: {kept} kept, {dropped} dropped", receiver.buffer());
    assert!(kept > 0 && dropped > 0);
    assert_eq!(kept as u64 + dropped, copies as u64);
    // Asking again does not lose or double the count.
    assert_eq!(receiver.dropped(), Some(dropped));
    assert!(
        receiver.buffer().replies() <= kept,
        "room for fewer than it says"
    );
    Ok(())
}

pub fn socket_drops() -> Outcome {
    overflow(|| RawReceiver::open(64 << 10).unwrap(), 5_000)
}

pub fn ring_drops() -> Outcome {
    let open = || {
        let receiver = RawReceiver::open_ring(1 << 20).unwrap();
        assert_eq!(receiver.buffer().kind, BufferKind::Ring);
        receiver
    };
    overflow(open, 5_000)
}

pub fn interface_down() -> Outcome {
    let _namespace = allowed(enter_drop_namespace())?;
    let from = |name: &str| {
        RawSender::open_from(&Origin {
            interface: Some(name.to_owned()),
            ..Origin::default()
        })
    };
    assert!(from("drop0").is_ok());
    let status = std::process::Command::new("ip")
        .args(["link", "set", "drop0", "down"])
        .status();
    match status {
        Ok(status) => assert!(status.success()),
        Err(error) => return Err(Ignored(format!("ip cannot be run: {error}"))),
    }
    let down = from("drop0").err().map(|error| error.to_string());
    let told = down.unwrap_or_default();
    assert!(told.contains("--interface drop0: it is down"), "{told}");
    Ok(())
}

pub fn dropping() -> Outcome {
    let _namespace = allowed(enter_drop_namespace())?;
    let mut receiver = RawReceiver::open(1 << 20).unwrap();
    let mut sender = RawSender::open().unwrap();
    let mut batch = PacketBatch::default();
    (0..100_000).for_each(|number| push_probe(&mut batch, number));
    let began = std::time::Instant::now();
    let progress = sender.send(&batch, 0).unwrap();
    println!("{} packets in {:?}", batch.len(), began.elapsed());
    assert_eq!(
        progress,
        SendProgress {
            taken: batch.len(),
            stopped: None
        }
    );
    assert_eq!(
        receiver
            .receive(Duration::ZERO, &mut |_, _| {})
            .unwrap()
            .count,
        0
    );
    Ok(())
}

pub fn port_blocks() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    let first = PortBlock::bind(Protocol::Udp, 24000, 64).unwrap();
    assert_eq!((first.base(), first.moved()), (24000, false));
    let second = PortBlock::bind(Protocol::Udp, 24000, 64).unwrap();
    assert_eq!((second.base(), second.moved()), (24064, true));
    // One taken port moves the whole block.
    let third = PortBlock::bind(Protocol::Udp, 24127, 2).unwrap();
    assert_eq!(third.base(), 24129);
    let mut ports: Vec<u16> = first
        .ports()
        .chain(second.ports())
        .chain(third.ports())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 64 + 64 + 2);
    for port in ports {
        assert!(std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_err());
    }
    drop(first);
    assert_eq!(
        PortBlock::bind(Protocol::Udp, 24000, 64).unwrap().base(),
        24000
    );
    let error = PortBlock::bind(Protocol::Udp, 65000, 1000).unwrap_err();
    assert!(matches!(error, TransportError::PortsOutOfRange { .. }));
    Ok(())
}

/// Both families' sockets share one table of identifiers, and a run's stay its own.
pub fn ping_blocks() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    let open = |base| open_dgram(Protocol::Icmp, base, 16);
    let (first, second) = (open(24000), open(24000));
    assert_eq!(first.ports.ports(), 24000..=24015);
    assert_eq!(second.ports.ports(), 24016..=24031);
    // Not even with one who asks to share, as the kernel lets ping sockets do unless told otherwise.
    let other = Socket::new(Domain::IPV4, Type::DGRAM, Some(socket2::Protocol::ICMPV4)).unwrap();
    assert!(other.reuse_address().unwrap());
    let taken = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 24_000));
    let refused = other.bind(&taken.into()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
    // One taken identifier moves the whole block.
    let third = open(24031);
    assert_eq!((third.ports.base(), third.ports.moved()), (24047, true));
    drop((first, second));
    assert_eq!(open(24000).ports.base(), 24000);
    Ok(())
}

pub fn privilege() -> Outcome {
    // In the namespace in which we were started, where we have no rights; nothing is sent.
    for error in [RawSender::open().err(), RawReceiver::open(1 << 20).err()] {
        let error = error.expect("an ordinary user opened a raw socket");
        assert!(matches!(error, TransportError::Privilege { .. }));
        let text = error.to_string();
        assert!(text.contains("sudo setcap cap_net_raw+p /"), "{text}");
        assert!(!text.contains('\n') && text.contains("--lab"), "{text}");
    }
    Ok(())
}
