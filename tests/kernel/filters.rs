//! What the receivers let through, seen over loopback, and what is counted when the lab's queue is full.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pathsurvey::lab::driver::{DeviceKind, LabHost, enter_namespace};
use pathsurvey::lab::{Delivery, Respond};
use pathsurvey::model::Time;
use pathsurvey::transport::raw::{BufferKind, RawReceiver, RawSender};
use pathsurvey::transport::{PacketBatch, PacketReceiver, PacketSender};

use super::echo::{checksum, push_probe};
use super::errors::transmit_column;
use super::namespaces::{VANTAGE, allowed};
use crate::support::Outcome;

const BUFFER: usize = 64 << 20;

/// Marks the last packet that is sent.
const LAST: u8 = 0xEE;

/// The only ICMP types that answer probes.
const ANSWERS: [u8; 3] = [3, 11, 12];

/// A packet from ourselves to ourselves, `size` bytes in all, its ICMP code being `mark`.
fn push_local(batch: &mut PacketBatch, protocol: u8, kind: u8, mark: u8, size: usize) {
    let here = Ipv4Addr::LOCALHOST;
    let packet = batch.push(IpAddr::V4(here), size);
    packet[0] = 0x45;
    packet[6] = 0x40; // don't fragment
    packet[8] = 64;
    packet[9] = protocol;
    packet[12..16].copy_from_slice(&here.octets());
    packet[16..20].copy_from_slice(&here.octets());
    packet[20..22].copy_from_slice(&[kind, mark]);
    let sum = checksum(&packet[20..]);
    packet[22..24].copy_from_slice(&sum.to_be_bytes());
}

/// Sends the batch and then a last packet, and returns what `receiver` got before that one.
fn received(receiver: &mut RawReceiver, mut batch: PacketBatch) -> Vec<Vec<u8>> {
    push_local(&mut batch, 1, 11, LAST, 64);
    let mut sender = RawSender::open().unwrap();
    let progress = sender.send(&batch, 0).unwrap();
    assert_eq!((progress.taken, progress.stopped), (batch.len(), None));
    let mut packets = Vec::new();
    loop {
        let count = receiver.receive(Duration::from_secs(5), &mut |arrival, stamp| {
            assert!(stamp.is_some());
            packets.push(arrival.bytes().to_vec());
        });
        assert_ne!(count.unwrap().count, 0, "the last packet never came");
        if let Some(last) = packets.pop_if(|packet| packet[21] == LAST) {
            assert_eq!(last[20], 11);
            return packets;
        }
    }
}

fn only_answers_pass(open: fn() -> RawReceiver) -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    let mut receiver = open();
    let mut batch = PacketBatch::default();
    for kind in 0..=255 {
        push_local(&mut batch, 1, kind, 0, 64);
    }
    for kind in 0..16 {
        // The same bytes under other protocols: UDP, and one that nobody knows.
        push_local(&mut batch, 17, kind, 0, 64);
        push_local(&mut batch, 253, kind, 0, 64);
    }
    let kinds: Vec<u8> = received(&mut receiver, batch)
        .iter()
        .map(|packet| packet[20])
        .collect();
    // What is filtered away is no loss.
    assert_eq!(receiver.dropped(), Some(0));
    // Our own kernel answers the protocols and the port it does not know: code 2 and 3 of type 3. Those pass as well.
    let mut seen = kinds.clone();
    seen.dedup();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ANSWERS, "of {kinds:?}");
    for kind in [11, 12] {
        assert_eq!(kinds.iter().filter(|seen| **seen == kind).count(), 1);
    }
    Ok(())
}

fn socket() -> RawReceiver {
    let receiver = RawReceiver::open(256 << 10).unwrap();
    assert_ne!(receiver.buffer().kind, BufferKind::Ring);
    receiver
}

fn ring() -> RawReceiver {
    RawReceiver::open_ring(BUFFER).unwrap()
}

pub fn of_the_socket() -> Outcome {
    only_answers_pass(socket)
}

pub fn of_the_ring() -> Outcome {
    only_answers_pass(ring)
}

pub fn long_packets() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    for open in [socket, ring] {
        let mut receiver = open();
        let mut batch = PacketBatch::default();
        push_local(&mut batch, 1, 11, 7, 9000);
        push_local(&mut batch, 1, 11, 8, 1500);
        let packets = received(&mut receiver, batch);
        assert_eq!(packets.len(), 2);
        let (long, usual) = (&packets[0], &packets[1]);
        assert_eq!((long[21], usual[21], usual.len()), (7, 8, 1500));
        assert!((1900..=2048).contains(&long.len()), "{} bytes", long.len());
        // The header still says how long it was.
        assert_eq!(u16::from_be_bytes([long[2], long[3]]), 9000);
    }
    Ok(())
}

/// Answers nothing, and stops at the first packet until it is let go (or for 20 s).
struct Stuck {
    go: mpsc::Receiver<()>,
}

impl Respond for Stuck {
    fn respond(&mut self, _: &[u8], _: Time, _: &mut Vec<Delivery>) {
        // An error once let go: from then on it does not wait.
        let _ = self.go.recv_timeout(Duration::from_secs(20));
    }
}

pub fn full_device() -> Outcome {
    let namespace = allowed(enter_namespace())?;
    let (let_go, go) = mpsc::channel();
    let network = Box::new(Stuck { go });
    let host = allowed(LabHost::start_on(
        &namespace,
        network,
        VANTAGE,
        Some(DeviceKind::Tun),
    ))?;
    let mut sender = RawSender::open().unwrap();
    let mut batch = PacketBatch::default();
    (0..1000).for_each(|number| push_probe(&mut batch, number));
    for _ in 0..150 {
        let progress = sender.send(&batch, 0).unwrap();
        assert_eq!((progress.taken, progress.stopped), (1000, None));
    }
    let dropped = transmit_column("lab0", 11);
    assert!(
        dropped > 0,
        "a queue that nobody empties took 150,000 packets"
    );
    drop(let_go);
    let deadline = Instant::now() + Duration::from_secs(30);
    while host.packets_read() < 150_000 - dropped && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let counts = host.stop().unwrap();
    assert_eq!((counts.device_dropped, counts.ignored), (Some(dropped), 0));
    assert_eq!(counts.read, 150_000 - dropped);
    assert!(
        counts.read >= 100_000,
        "the queue is shorter than asked for: {counts:?}"
    );
    Ok(())
}
