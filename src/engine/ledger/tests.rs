//! Look-ups in small and widened ledgers, and with numbers beyond 32 bits.

use super::*;
use crate::model::{Purpose, TargetId};
use std::net::Ipv4Addr;

const MARKS: Marks = Marks { check: 1, tag: 2 };

fn probe(destination: u32, ttl: u8, attempt: u8) -> Probe {
    Probe {
        target: TargetId(0),
        destination: Ipv4Addr::from_bits(destination).into(),
        flow: FlowId(0),
        ttl: Ttl(ttl),
        attempt,
        purpose: Purpose::Trace,
        size: None,
        round: 0,
    }
}

fn add(ledger: &mut Ledger, probe: Probe, serial: u16) -> ProbeId {
    let sent = Marked {
        source: Ipv4Addr::LOCALHOST.into(),
        destination: probe.destination,
        flow: probe.flow,
        ttl: probe.ttl,
        size: None,
        serial,
        marks: MARKS,
        flow_label: 0,
    };
    ledger.add(probe, &sent, Time::default())
}

fn found<'a>(entries: impl Iterator<Item = (ProbeId, &'a Entry)>) -> Vec<u64> {
    entries.map(|(id, _)| id.0).collect()
}

#[test]
fn both_indices_find_exactly_the_live_probes_in_a_small_and_a_widened_ledger() {
    // The first numbers of a new run, of one that passes 2^32, and of a resumed one.
    for first in [0, (1 << 32) - 12_500, 3 << 40] {
        finds_exactly_the_live_probes(first);
    }
}

fn finds_exactly_the_live_probes(first: u64) {
    // Few buckets and many probes make long chains and several widenings.
    let mut ledger = Ledger::new(0, true, ProbeId(first));
    let of = |n: u64| {
        (
            probe((n % 97) as u32, (n % 7) as u8 + 1, 1),
            (n % 251) as u16,
        )
    };
    let numbers = |from: u64, to: u64| first + from..first + to;
    for n in numbers(0, 20_000) {
        let (probe, ip_id) = of(n);
        assert_eq!(add(&mut ledger, probe, ip_id), ProbeId(n));
        if n >= first + 8_000 {
            ledger.retire();
        }
    }
    assert_eq!(
        (ledger.len(), ledger.front().map(|(id, _)| id.0)),
        (8_000, Some(first + 12_000))
    );
    let live = || numbers(12_000, 20_000).rev();
    for n in numbers(19_000, 19_700) {
        let (wanted, ip_id) = of(n);
        let by_facts = found(ledger.with_facts(wanted.destination, wanted.flow, Some(wanted.ttl)));
        assert_eq!(
            by_facts,
            live().filter(|m| of(*m).0 == wanted).collect::<Vec<_>>()
        );
        let by_serial = found(ledger.with_serial(ip_id));
        assert_eq!(
            by_serial,
            live().filter(|m| of(*m).1 == ip_id).collect::<Vec<_>>()
        );
    }
    assert_eq!(ledger.with_serial(251).count(), 0, "an empty bucket");
    assert!(first == 0 || ledger.get(ProbeId(19_000)).is_none());
}

#[test]
fn without_the_ttl_as_a_fact_every_ttl_of_the_flow_is_found() {
    let mut ledger = Ledger::new(16, false, ProbeId(0));
    for n in 0..40u64 {
        add(&mut ledger, probe((n % 4) as u32, n as u8 + 1, 1), 7);
    }
    let destination = Ipv4Addr::from_bits(3).into();
    let all = found(ledger.with_facts(destination, FlowId(0), None));
    assert_eq!(
        all,
        (0..40).rev().filter(|n| n % 4 == 3).collect::<Vec<_>>()
    );
    let one = found(ledger.with_facts(destination, FlowId(0), Some(Ttl(8))));
    assert_eq!(one, [7]);
}

#[test]
fn a_removed_probe_is_not_found() {
    let mut ledger = Ledger::new(16, true, ProbeId(0));
    let gone = add(&mut ledger, probe(1, 1, 1), 7);
    assert!(ledger.retire().is_some());
    assert!(ledger.get(gone).is_none());
    let destination = Ipv4Addr::from_bits(1).into();
    assert_eq!(
        ledger
            .with_facts(destination, FlowId(0), Some(Ttl(1)))
            .count(),
        0
    );
    assert_eq!(ledger.with_serial(7).count(), 0);
    assert!(ledger.retire().is_none());
    assert_eq!(ledger.next_id(), ProbeId(1));
}

#[test]
fn probe_numbers_beyond_32_bits_are_found() {
    let mut ledger = Ledger::new(16, true, ProbeId(0));
    ledger.oldest = (1 << 32) - 3;
    let ids: Vec<u64> = (0..6)
        .map(|n| add(&mut ledger, probe(9, 1, n), 5).0)
        .collect();
    let mut seen = found(ledger.with_serial(5));
    seen.reverse();
    assert_eq!(ids.last(), Some(&((1 << 32) + 2)));
    assert_eq!(seen, ids);
    assert_eq!(
        ledger.with_serial(6).count(),
        0,
        "an empty bucket stays empty"
    );
}

#[test]
fn a_live_probe_costs_what_the_documentation_says() {
    assert_eq!(Ledger::BYTES_PER_PROBE, 120);
}
