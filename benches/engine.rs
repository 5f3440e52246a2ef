//! What a probe costs on its way out, and a reply on its way in; and what the order of a sweep costs.
//!
//! The ledger holds 100,000 live probes, as at 10,000 probes a second with the default patience.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use pathsurvey::engine::format::ProbeFormat;
use pathsurvey::engine::tracker::{Settled, Timeouts, Tracker};
use pathsurvey::model::{FlowId, Probe, ProbeId, Purpose, TargetId, Time, Ttl};
use pathsurvey::strategy::Permutation;
use pathsurvey::transport::PacketBatch;
use pathsurvey::wire;
use pathsurvey::wire::checksum::Sum;
use pathsurvey::wire::token::{RunKey, TokenMaker};

const LIVE: u32 = 100_000;
const BATCH: usize = 64;
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const START: Time = Time::from_nanos(1_700_000_000_000_000_000);

const FORMAT: ProbeFormat = ProbeFormat::udp(1);

fn probe(number: u32) -> Probe {
    let target = number / 16;
    Probe {
        target: TargetId(target),
        destination: Ipv4Addr::from_bits(0xc612_0000 + target).into(),
        flow: FlowId(0),
        ttl: Ttl((number % 16) as u8 + 1),
        attempt: 1,
        purpose: Purpose::Trace,
        size: None,
        round: 0,
    }
}

fn tracker() -> Tracker {
    let timeouts = Timeouts {
        timeout: Duration::from_secs(3),
        late_window: Duration::from_secs(10),
    };
    Tracker::new(
        FORMAT,
        timeouts,
        TokenMaker::new(RunKey::new([9; 16])),
        2 * LIVE as usize,
        ProbeId(0),
    )
}

/// Enters the probes, stamps them, and gives their packets.
fn enter_all(tracker: &mut Tracker, count: u32) -> Vec<Vec<u8>> {
    let mut batch = PacketBatch::default();
    (0..count)
        .map(|number| {
            batch.clear();
            let (id, marked) = tracker.enter(probe(number), SOURCE, START);
            tracker.stamp(id, START, &mut Settled::default());
            FORMAT.encode(&marked, &mut batch);
            batch
                .get(0)
                .map_or_else(Vec::new, |(_, packet)| packet.to_vec())
        })
        .collect()
}

/// A Time Exceeded that quotes the first `quoted` bytes of a probe.
fn time_exceeded(probe: &[u8], quoted: usize) -> Vec<u8> {
    let mut message = vec![11, 0, 0, 0, 0, 0, 0, 0];
    message.extend(&probe[..quoted.min(probe.len())]);
    let checksum = Sum::default().bytes(&message).checksum();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let size = (20 + message.len()) as u16;
    let mut packet = vec![0x45, 0xc0, 0, 0, 0, 1, 0, 0, 60, 1, 0, 0];
    packet[2..4].copy_from_slice(&size.to_be_bytes());
    packet.extend([10, 0, 0, 1, 192, 0, 2, 1]);
    packet.extend(message);
    packet
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("probe");
    group.throughput(Throughput::Elements(1));
    group.bench_function("enter_and_encode", |bencher| {
        let mut tracker = tracker();
        let mut batch = PacketBatch::default();
        let mut settled = Settled::default();
        let (mut number, mut now) = (0u32, START);
        bencher.iter(|| {
            if batch.len() == BATCH {
                batch.clear();
                // Live probes stay at about 100,000: 13 s of patience at 7,700 probes a second.
                now = now + Duration::from_micros(8_300);
                tracker.advance(now, usize::MAX, &mut settled);
                settled.events.clear();
                settled.outcomes.clear();
            }
            number = (number + 1) % (16 * 1_000_000);
            let (id, marked) = tracker.enter(probe(number), SOURCE, now);
            FORMAT.encode(&marked, &mut batch);
            tracker.stamp(id, now, &mut settled);
        });
    });
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply");
    group.throughput(Throughput::Elements(u64::from(LIVE)));
    group.sample_size(20);
    for (name, quoted) in [
        ("decode_and_match_8_byte_quote", 28),
        ("decode_and_match_whole_quote", 576),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let mut tracker = tracker();
                    let packets = enter_all(&mut tracker, LIVE);
                    let replies: Vec<_> = packets
                        .iter()
                        .map(|packet| time_exceeded(packet, quoted))
                        .collect();
                    (tracker, replies, Settled::default())
                },
                |(mut tracker, replies, mut settled)| {
                    let at = START + Duration::from_millis(20);
                    for packet in &replies {
                        if let Ok(reply) = wire::decode(packet, at) {
                            black_box(tracker.reply(Box::new(reply), false, &mut settled));
                        }
                        if settled.events.len() >= 256 {
                            settled.events.clear();
                            settled.outcomes.clear();
                        }
                    }
                    (tracker, replies, settled)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn permutation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("permutation");
    group.throughput(Throughput::Elements(1));
    for items in [1_000_003u64, (1 << 32) + 1] {
        let order = Permutation::new(items, 1);
        let mut place = 0;
        group.bench_function(format!("{items}_items"), |bencher| {
            bencher.iter(|| {
                place = (place + 1) % items;
                order.get(black_box(place))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode, decode, permutation);
criterion_main!(benches);
