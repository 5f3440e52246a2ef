//! Real raw sockets against a network that answers every probe after a fixed delay.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pathsurvey::lab::driver::{
    DeviceKind, LabCounts, LabHost, Namespace, enter_namespace, enter_user_namespace,
};
use pathsurvey::lab::{Delivery, Respond};
use pathsurvey::model::Time;
use pathsurvey::transport::raw::{BufferKind, RawReceiver, RawSender};
use pathsurvey::transport::{PacketBatch, PacketReceiver, PacketSender, Stopped};

use super::namespaces::{VANTAGE, allowed};
use crate::support::{Ignored, Outcome};

/// The router that answers.
const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// How long it takes.
const DELAY: Duration = Duration::from_millis(20);
/// Bytes of a probe: header, UDP header, its number.
const PROBE: usize = 32;
/// Receive buffer asked for.
const BUFFER: usize = 256 << 20;

/// Probes that may be out unanswered: half of what the lab's device queue holds, so that a busy machine makes a test slower
/// and never makes it lose packets.
const WINDOW: u32 = 50_000;

/// Answers each probe with a time exceeded, and notes when it got it.
struct Echo {
    seen: Arc<Mutex<Vec<Time>>>,
}

impl Respond for Echo {
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
        self.seen.lock().unwrap()[number_at(packet, 28)] = now;
        deliveries.push(Delivery {
            at: now + DELAY,
            packet: time_exceeded(packet),
        });
    }
}

/// The probe `number`: to a destination of its own in 10.0.0.0/8.
pub fn write_probe(packet: &mut [u8], number: u32) -> Ipv4Addr {
    let destination = Ipv4Addr::from(0x0A00_0000 + number);
    packet[0] = 0x45;
    packet[8] = 5;
    packet[9] = 17;
    packet[12..16].copy_from_slice(&VANTAGE.octets());
    packet[16..20].copy_from_slice(&destination.octets());
    packet[20..22].copy_from_slice(&24000_u16.to_be_bytes());
    packet[22..24].copy_from_slice(&33434_u16.to_be_bytes());
    packet[24..26].copy_from_slice(&((PROBE - 20) as u16).to_be_bytes());
    packet[28..32].copy_from_slice(&number.to_be_bytes());
    destination
}

pub fn push_probe(batch: &mut PacketBatch, number: u32) {
    let mut packet = [0; PROBE];
    let destination = write_probe(&mut packet, number);
    batch
        .push(IpAddr::V4(destination), PROBE)
        .copy_from_slice(&packet);
}

fn number_at(packet: &[u8], at: usize) -> usize {
    u32::from_be_bytes(packet[at..at + 4].try_into().unwrap()) as usize
}

/// IPv4 header, ICMP header, and the whole probe as the quote.
pub fn time_exceeded(probe: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 28];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&((28 + probe.len()) as u16).to_be_bytes());
    packet[8] = 64;
    packet[9] = 1;
    packet[12..16].copy_from_slice(&ROUTER.octets());
    packet[16..20].copy_from_slice(&VANTAGE.octets());
    packet[20] = 11;
    packet.extend_from_slice(probe);
    let header = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    let icmp = checksum(&packet[20..]);
    packet[22..24].copy_from_slice(&icmp.to_be_bytes());
    packet
}

/// RFC 1071.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn wall() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
}

/// What a survey of `probes` packets saw.
struct Seen {
    /// Before the call that sent probe n, by the wall clock.
    sent: Vec<u64>,
    /// When the reply to probe n came, by the kernel's stamp; 0 for none.
    received: Vec<u64>,
    /// When the network got probe n.
    at_network: Vec<Time>,
    dropped: Option<u64>,
    buffer: BufferKind,
    counts: LabCounts,
    took: Duration,
}

/// Sends `probes` packets at `rate` a second and receives until all replies are there or none has come for 5 s.
fn survey(
    namespace: &Namespace,
    kind: Option<DeviceKind>,
    probes: u32,
    rate: f64,
) -> Result<Seen, Ignored> {
    let network_saw = Arc::new(Mutex::new(vec![Time::default(); probes as usize]));
    let echo = Echo {
        seen: Arc::clone(&network_saw),
    };
    let host = allowed(LabHost::start_on(namespace, Box::new(echo), VANTAGE, kind))?;
    let mut receiver = RawReceiver::open(BUFFER).unwrap();
    let buffer = receiver.buffer().kind;
    let sender = RawSender::open().unwrap();
    let (ready, go) = mpsc::channel();
    let answered = Arc::new(AtomicU32::new(0));
    let progress = Arc::clone(&answered);
    let receiving = std::thread::spawn(move || {
        ready.send(()).unwrap();
        let mut received = vec![0; probes as usize];
        let mut missing = probes;
        while missing > 0 {
            let count = receiver.receive(Duration::from_secs(5), &mut |arrival, stamp| {
                let packet = arrival.bytes();
                assert_eq!((packet[9], packet[20]), (1, 11));
                let number = number_at(packet, 28 + 28);
                assert_eq!(received[number], 0, "reply {number} came twice");
                received[number] = stamp.expect("the kernel stamps every packet");
                missing -= 1;
            });
            if count.unwrap().count == 0 {
                break;
            }
            progress.store(probes - missing, Ordering::Relaxed);
        }
        // Nothing holds the sender up any more.
        progress.store(probes, Ordering::Relaxed);
        (received, receiver.dropped())
    });
    go.recv().unwrap();
    let began = Instant::now();
    let sent = send_paced(sender, probes, rate, &answered);
    let took = began.elapsed();
    let (received, dropped) = receiving.join().unwrap();
    let counts = host.stop().unwrap();
    let at_network = network_saw.lock().unwrap().clone();
    Ok(Seen {
        sent,
        received,
        at_network,
        dropped,
        buffer,
        counts,
        took,
    })
}

/// On an absolute schedule, in batches of at most 1 ms.
fn send_paced(mut sender: RawSender, probes: u32, rate: f64, answered: &AtomicU32) -> Vec<u64> {
    let began = Instant::now();
    let mut batch = PacketBatch::default();
    let mut sent = Vec::new();
    while sent.len() < probes as usize {
        let due = (began.elapsed().as_secs_f64() * rate) as usize + 1;
        let most = sent.len() + (rate / 1000.0).ceil() as usize;
        let allowed = answered.load(Ordering::Relaxed).saturating_add(WINDOW);
        let until = due.min(most).min(allowed.min(probes) as usize);
        if until <= sent.len() {
            // Until the next is due, or a little while for answers to come.
            let next = Duration::from_secs_f64(sent.len() as f64 / rate);
            let wait = next.saturating_sub(began.elapsed());
            std::thread::sleep(wait.max(Duration::from_micros(20)));
            continue;
        }
        batch.clear();
        (sent.len()..until).for_each(|number| push_probe(&mut batch, number as u32));
        let mut first = 0;
        while first < batch.len() {
            let now = wall();
            let progress = sender.send(&batch, first).unwrap();
            assert!(
                matches!(progress.stopped, None | Some(Stopped::Full)),
                "{progress:?}"
            );
            first += progress.taken;
            sent.extend(std::iter::repeat_n(now, progress.taken));
        }
    }
    sent
}

fn median(mut values: Vec<i64>) -> Duration {
    values.sort_unstable();
    Duration::from_nanos(values[values.len() / 2].max(0) as u64)
}

/// Every probe was answered, nothing was lost anywhere, and the round trips are the network's.
fn check(seen: &Seen, probes: u32) {
    println!("{:?} in {:?}, {:?}", seen.counts, seen.took, seen.buffer);
    let missing = seen.received.iter().filter(|stamp| **stamp == 0).count();
    assert_eq!(
        missing, 0,
        "replies missing; {:?}, receiver dropped {:?}",
        seen.counts, seen.dropped
    );
    assert_eq!(seen.dropped, Some(0));
    let counts = &seen.counts;
    assert_eq!(counts.device_dropped, Some(0));
    assert_eq!(
        (counts.read, counts.delivered),
        (probes.into(), probes.into())
    );
    assert_eq!(
        (counts.refused, counts.overflowed, counts.waiting),
        (0, 0, 0)
    );
    assert_eq!(counts.lateness.count(), u64::from(probes));
}

fn check_times(seen: &Seen) {
    let delay = DELAY.as_nanos() as i64;
    let round_trips = || {
        seen.sent
            .iter()
            .zip(&seen.received)
            .map(|(sent, received)| *received as i64 - *sent as i64)
    };
    assert!(
        round_trips().all(|rtt| rtt >= delay),
        "a reply came before its time"
    );
    // From the network's hands and back: the delay, how late the driver wrote it, and the kernel's part.
    let answering = seen.at_network.iter().zip(&seen.received);
    let beyond = median(
        answering
            .map(|(at, received)| *received as i64 - at.as_nanos() as i64 - delay)
            .collect(),
    );
    let late = seen.counts.lateness.percentile(50.0);
    let pickup = median(
        seen.sent
            .iter()
            .zip(&seen.at_network)
            .map(|(sent, at)| at.as_nanos() as i64 - *sent as i64)
            .collect(),
    );
    let rtt = median(round_trips().collect());
    println!(
        "median RTT {rtt:?}, picked up after {pickup:?}, delivered {beyond:?} late of which the driver reports {late:?}"
    );
    assert!(beyond <= late + Duration::from_micros(50));
}

const PROBES: u32 = 20_000;
const RATE: f64 = 20_000.0;

pub fn over_tun() -> Outcome {
    let namespace = allowed(enter_namespace())?;
    let seen = survey(&namespace, Some(DeviceKind::Tun), PROBES, RATE)?;
    check(&seen, PROBES);
    check_times(&seen);
    assert_eq!(seen.buffer, BufferKind::Socket);
    Ok(())
}

pub fn over_tun_in_user_namespace() -> Outcome {
    let namespace = allowed(enter_user_namespace())?;
    let seen = survey(&namespace, Some(DeviceKind::Tun), PROBES, RATE)?;
    check(&seen, PROBES);
    check_times(&seen);
    assert_eq!(seen.buffer, BufferKind::Ring);
    Ok(())
}

pub fn over_veth() -> Outcome {
    let namespace = allowed(enter_namespace())?;
    let seen = survey(&namespace, Some(DeviceKind::Veth), PROBES, RATE)?;
    check(&seen, PROBES);
    check_times(&seen);
    Ok(())
}

pub fn as_ordinary_user() -> Outcome {
    let namespace = allowed(enter_namespace())?;
    let seen = survey(&namespace, None, PROBES, RATE)?;
    check(&seen, PROBES);
    check_times(&seen);
    Ok(())
}

pub fn at_speed() -> Outcome {
    let namespace = allowed(enter_namespace())?;
    let probes = 600_000;
    let seen = survey(&namespace, None, probes, 300_000.0)?;
    check(&seen, probes);
    Ok(())
}
