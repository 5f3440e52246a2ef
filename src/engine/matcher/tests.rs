//! Quoted packets as networks change them, against a ledger of live probes.

use std::net::Ipv4Addr;

use super::*;
use crate::engine::format::Marked;
use crate::model::{FlowId, Probe, ProbeId, Purpose, ReplyKind, TargetId, Time, Ttl};
use crate::transport::PacketBatch;
use crate::wire::checksum::{self, Sum};
use crate::wire::quote;
use crate::wire::token::{MarkedFields, RunKey};

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

const FORMAT: ProbeFormat = ProbeFormat::udp(2);

pub(super) fn tokens() -> TokenMaker {
    TokenMaker::new(RunKey::new([7; 16]))
}

/// A ledger with probes to 40 targets with two flows and TTLs 1 to 16, and their packets by number.
struct Live {
    tokens: TokenMaker,
    ledger: Ledger,
    nat: NatLearner,
    packets: Vec<Vec<u8>>,
}

impl Live {
    fn new() -> Self {
        let tokens = tokens();
        let mut live = Live {
            tokens: tokens.clone(),
            ledger: Ledger::new(64, true, ProbeId(0)),
            nat: NatLearner::default(),
            packets: Vec::new(),
        };
        for number in 0..40u32 * 2 * 16 {
            let probe = Probe {
                target: TargetId(number / 32),
                destination: Ipv4Addr::from_bits(0xc633_6400 + number / 32).into(),
                flow: FlowId((number / 16 % 2) as u16),
                ttl: Ttl((number % 16) as u8 + 1),
                attempt: 1,
                purpose: Purpose::Trace,
                size: None,
                round: 0,
            };
            let serial = tokens.serial(u64::from(number));
            let marks = tokens.marks(&MarkedFields {
                destination: probe.destination,
                src_port: FORMAT.src_port(probe.flow),
                dst_port: FORMAT.dst_port(probe.flow, probe.ttl),
                ttl: probe.ttl,
                serial,
                probe_id: live.ledger.next_id(),
            });
            let marked = Marked {
                source: SOURCE.into(),
                destination: probe.destination,
                flow: probe.flow,
                ttl: probe.ttl,
                size: None,
                serial,
                marks,
                flow_label: 0,
            };
            live.ledger.add(probe, &marked, Time::default());
            let mut batch = PacketBatch::default();
            FORMAT.encode(&marked, &mut batch);
            live.packets
                .push(batch.get(0).expect("a packet").1.to_vec());
        }
        live
    }

    /// Returns the match for the packet of probe `number`, changed by `change` and cut to `size` bytes.
    fn find(
        &self,
        number: usize,
        size: usize,
        change: impl Fn(&mut Vec<u8>),
    ) -> Result<(u64, Evidence), DiscardReason> {
        let mut packet = self.packets[number].clone();
        change(&mut packet);
        let quoted = quote::parse_ipv4(&packet[..size.min(packet.len())])?;
        let router = Ipv4Addr::new(203, 0, 113, 9).into();
        let reply = Reply {
            quoted: Some(quoted),
            ..Reply::bare(router, Time::default(), ReplyKind::TimeExceeded)
        };
        find(&self.ledger, &FORMAT, &self.tokens, &self.nat, &reply)
            .result
            .map(|found| (found.probe.0, found.evidence))
    }
}

/// Overwrites the bytes at `at` and adjusts the UDP checksum, as an address translator does.
fn rewrite(packet: &mut [u8], at: usize, bytes: &[u8]) {
    let old = Sum::default().bytes(&packet[at..at + bytes.len()]);
    let new = Sum::default().bytes(bytes);
    let checksum = u16::from_be_bytes([packet[26], packet[27]]);
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet[26..28].copy_from_slice(&checksum::adjusted(checksum, old, new).to_be_bytes());
}

const SHORT: usize = 28;
const WHOLE: usize = 576;

#[test]
fn every_probe_is_found_from_a_short_and_a_whole_quote() {
    let live = Live::new();
    for number in 0..live.packets.len() {
        for size in [SHORT, WHOLE] {
            assert_eq!(
                live.find(number, size, |_| ()),
                Ok((number as u64, Evidence::Full))
            );
        }
    }
}

#[test]
fn a_rewritten_destination_is_found_by_its_secrets() {
    let live = Live::new();
    for number in [0, 77, 1_279] {
        for size in [SHORT, WHOLE] {
            let found = live.find(number, size, |packet| {
                rewrite(packet, 16, &[203, 0, 113, 5])
            });
            assert_eq!(
                found,
                Ok((number as u64, Evidence::Rewritten)),
                "{size} bytes"
            );
            let port = live.find(number, size, |packet| rewrite(packet, 22, &[0, 53]));
            assert_eq!(
                port,
                Ok((number as u64, Evidence::Rewritten)),
                "{size} bytes"
            );
        }
    }
}

#[test]
fn a_quote_that_ends_within_the_tag_is_matched_like_a_short_one() {
    let live = Live::new();
    // The compensation word and the tag follow the 28 bytes of headers.
    for kept in 28..40 {
        let cut = |packet: &mut Vec<u8>| {
            rewrite(packet, 16, &[203, 0, 113, 5]);
            packet[kept..].fill(0);
        };
        let found = live.find(77, usize::MAX, cut);
        assert_eq!(found, Ok((77, Evidence::Rewritten)), "{kept} bytes");
        // There is no match if the quote holds a part of another tag.
        let other = |packet: &mut Vec<u8>| {
            packet[30] ^= 1;
            cut(packet);
        };
        let found = live.find(77, usize::MAX, other);
        assert_eq!(found.is_ok(), kept <= 30, "{kept} bytes");
    }
}

#[test]
fn a_probe_is_found_although_the_quote_shows_a_translated_source() {
    let live = Live::new();
    let address_only = live.find(5, SHORT, |packet| rewrite(packet, 12, &[203, 0, 113, 77]));
    assert_eq!(address_only, Ok((5, Evidence::Rewritten)));
    let with_port = live.find(5, SHORT, |packet| {
        rewrite(packet, 12, &[203, 0, 113, 77]);
        rewrite(packet, 20, &[0x80, 0x01]);
    });
    assert_eq!(with_port, Ok((5, Evidence::Rewritten)));
}

#[test]
fn one_secret_is_weak_evidence_and_a_quote_without_a_secret_is_forged() {
    let live = Live::new();
    let other_id = |packet: &mut Vec<u8>| packet[4] ^= 0x80;
    let other_check = |packet: &mut Vec<u8>| packet[26] ^= 0x55;
    assert_eq!(live.find(9, SHORT, other_id), Ok((9, Evidence::Weak)));
    assert_eq!(live.find(9, SHORT, other_check), Ok((9, Evidence::Weak)));
    let neither = live.find(9, SHORT, |packet| {
        other_id(packet);
        other_check(packet);
    });
    assert_eq!(neither, Err(DiscardReason::Forged));
    let tag_decides = live.find(9, WHOLE, |packet| {
        other_id(packet);
        other_check(packet);
    });
    assert_eq!(tag_decides, Ok((9, Evidence::Full)));
}

#[test]
fn a_learned_nat_constant_makes_the_checksum_right_again() {
    let mut live = Live::new();
    // The NAT restored the quoted address but not the checksum.
    let shifted = |packet: &mut Vec<u8>| {
        rewrite(packet, 12, &[203, 0, 113, 77]);
        packet[12..16].copy_from_slice(&SOURCE.octets());
    };
    assert_eq!(live.find(3, SHORT, shifted), Ok((3, Evidence::Weak)));
    for number in 0..64 {
        let mut packet = live.packets[number].clone();
        let sent = u16::from_be_bytes([packet[26], packet[27]]);
        shifted(&mut packet);
        let quoted = u16::from_be_bytes([packet[26], packet[27]]);
        let responder = Ipv4Addr::from_bits(number as u32 % 16).into();
        live.nat.observe(sent, quoted, responder);
    }
    assert_eq!(live.find(3, SHORT, shifted), Ok((3, Evidence::Rewritten)));
}

#[test]
fn a_destination_changed_to_another_live_target_is_matched_only_by_the_tag() {
    let live = Live::new();
    let other_target = |packet: &mut Vec<u8>| rewrite(packet, 16, &[0xc6, 0x33, 0x64, 9]);
    assert_eq!(
        live.find(2, SHORT, other_target),
        Err(DiscardReason::Forged)
    );
    assert_eq!(
        live.find(2, WHOLE, other_target),
        Ok((2, Evidence::Rewritten))
    );
}

#[test]
fn other_traffic_is_foreign_and_a_probe_that_was_never_sent_is_unknown() {
    let live = Live::new();
    let other_ports = live.find(1, SHORT, |packet| {
        packet[20..24].copy_from_slice(&[0xd4, 0x31, 0, 53]);
        packet[4] ^= 1;
    });
    assert_eq!(other_ports, Err(DiscardReason::Foreign));
    assert_eq!(
        live.find(1, SHORT, |packet| packet[9] = 6),
        Err(DiscardReason::Foreign)
    );
    let never_sent = live.find(1, SHORT, |packet| {
        packet[16] = 9;
        packet[4] ^= 1;
    });
    assert_eq!(never_sent, Err(DiscardReason::Unknown));
    let cut = live.find(1, 24, |_| ());
    assert_eq!(cut, Err(DiscardReason::Truncated));
}

/// Mutated quotes, against a ledger of live probes. A match with full or rewritten evidence is never wrong.
#[test]
fn mutated_quotes_are_never_matched_wrongly_with_strong_evidence() {
    let live = Live::new();
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut matched, mut weak_wrong) = (0u32, 0u32);
    for round in 0..300_000u32 {
        let number = (random() % live.packets.len() as u64) as usize;
        let size = if round % 3 == 0 { WHOLE } else { SHORT };
        let edits: Vec<(usize, u8)> = (0..1 + random() % 4)
            .map(|_| (4 + (random() % 24) as usize, random() as u8))
            .collect();
        let found = live.find(number, size, |packet| {
            for (at, byte) in &edits {
                packet[*at] = *byte;
            }
        });
        match found {
            Ok((probe, Evidence::Weak)) if probe != number as u64 => weak_wrong += 1,
            Ok((probe, evidence)) => {
                matched += 1;
                assert_eq!(probe, number as u64, "{evidence:?} after {edits:?}");
            }
            Err(_) => {}
        }
    }
    assert!(
        matched > 30_000,
        "only {matched} matched: the test shows nothing"
    );
    // A wrong weak match needs the open facts of another live probe and 16 right bits: at most 300,000 × 2^-15 are expected.
    assert!(weak_wrong <= 20, "{weak_wrong} wrong weak matches");
}
