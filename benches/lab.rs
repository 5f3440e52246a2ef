//! How fast the simulated internet answers: `cargo bench --bench lab`.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pathsurvey::lab::{LabNetwork, Respond};
use pathsurvey::model::Time;

/// A UDP probe with 40 bytes of payload and no UDP checksum.
fn probe(destination: Ipv4Addr, ttl: u8) -> Vec<u8> {
    let mut packet = vec![0; 68];
    packet[..10].copy_from_slice(&[0x45, 0, 0, 68, 0, 7, 0, 0, ttl, 17]);
    packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
    packet[16..20].copy_from_slice(&destination.octets());
    packet[20..26].copy_from_slice(&[0x5d, 0xc0, 0x82, 0x9a, 0, 48]);
    let mut sum: u32 = packet[..20]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet
}

/// 1,000 targets, TTLs 1 to 16, at 300,000 probes a second of the network's time.
fn respond(criterion: &mut Criterion) {
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    let packets: Vec<_> = (0..1000)
        .flat_map(|n| (1..=16).map(move |ttl| probe(Ipv4Addr::from(first + n), ttl)))
        .collect();
    let clean = Path::new(env!("CARGO_MANIFEST_DIR")).join("labs/clean.toml");
    let networks = [
        ("generated", LabNetwork::generated(1)),
        (
            "clean",
            LabNetwork::from_file(&clean).expect("an example network"),
        ),
    ];
    let mut group = criterion.benchmark_group("lab");
    group.throughput(Throughput::Elements(packets.len() as u64));
    for (name, mut network) in networks {
        let mut now = Time::from_nanos(1_800_000_000_000_000_000);
        let mut deliveries = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for packet in &packets {
                    now = now + Duration::from_nanos(3_333);
                    network.respond(packet, now, &mut deliveries);
                    black_box(&deliveries);
                    deliveries.clear();
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, respond);
criterion_main!(benches);
