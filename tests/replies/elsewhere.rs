//! Answers that quote nothing and come from another address than the one probed: believed with all of the secrets, and with
//! nothing less.

use std::net::IpAddr;

use pathsurvey::engine::ledger::State;
use pathsurvey::model::{DiscardReason, Evidence, Protocol, Vary};

use crate::packets;
use crate::world::{KINDS, Kind, TARGETS, World};

/// Answers for each protocol and family.
const ANSWERS: u32 = 200_000;

/// What hosts answer: the flags of TCP segments, as far as the probe can draw them.
fn flags(kind: Kind) -> &'static [u8] {
    match kind.tcp_flags {
        pathsurvey::model::TcpFlags::Syn => &[0x12, 0x14],
        _ => &[0x04, 0x14],
    }
}

/// The answer of the host that `probe` was sent to, from `source`.
fn answer(kind: Kind, probe: &[u8], flags: u8, source: IpAddr) -> Vec<u8> {
    let mut packet = match kind.protocol {
        Protocol::Icmp => packets::echo_reply(kind, probe),
        Protocol::Udp => packets::datagram(kind, probe, true),
        Protocol::Tcp => packets::segment(kind, probe, flags),
    };
    match source {
        IpAddr::V4(source) => packet[12..16].copy_from_slice(&source.octets()),
        IpAddr::V6(source) => packet[8..24].copy_from_slice(&source.octets()),
    }
    packets::repair(kind, &mut packet);
    packet
}

/// Where the secrets stand that an answer repeats.
fn secrets(kind: Kind, flags: u8) -> std::ops::Range<usize> {
    let transport = kind.header();
    match kind.protocol {
        // Tag and serial, behind the compensation word.
        Protocol::Udp | Protocol::Icmp => transport + 10..transport + 20,
        Protocol::Tcp if flags & 0x10 == 0 => transport + 4..transport + 8,
        Protocol::Tcp => transport + 8..transport + 12,
    }
}

fn elsewhere(kind: Kind, number: u32) -> IpAddr {
    // Addresses that are not probed, and such that are.
    kind.target(number % (TARGETS * 3))
}

#[test]
fn all_of_the_secrets_are_believed_from_whatever_address() {
    for kind in KINDS {
        let world = World::new(kind);
        for (number, probe) in world.packets.iter().enumerate().step_by(7) {
            for flags in flags(kind) {
                let from = elsewhere(kind, number as u32 / 7);
                let packet = answer(kind, probe, *flags, from);
                let (_, finding) = world.receive(&packet).expect("an answer");
                let found = finding.result.expect("a match");
                assert_eq!(found.probe.0, number as u64, "{}", kind.name);
                let here = world.trace(found.probe).0 == from;
                let evidence = if here {
                    Evidence::Full
                } else {
                    Evidence::Rewritten
                };
                assert_eq!(found.evidence, evidence, "{}", kind.name);
                assert!(found.hop_known);
            }
        }
    }
}

#[test]
fn one_wrong_bit_is_too_many() {
    for kind in KINDS {
        let world = World::new(kind);
        for (number, probe) in world.packets.iter().enumerate().step_by(501) {
            for flags in flags(kind) {
                for bit in 0..secrets(kind, *flags).len() * 8 {
                    let mut packet = answer(kind, probe, *flags, kind.target(222));
                    packet[secrets(kind, *flags).start + bit / 8] ^= 0x80 >> (bit % 8);
                    packets::repair(kind, &mut packet);
                    let result = world.receive(&packet).expect("an answer").1.result;
                    assert!(result.is_err(), "{} {number} {bit}: {result:?}", kind.name);
                }
            }
        }
    }
}

/// A segment must be one that hosts answer with, between the right ports, while the probe waits.
#[test]
fn a_segment_from_elsewhere_must_fit_in_all_else() {
    for kind in KINDS {
        if kind.protocol != Protocol::Tcp {
            continue;
        }
        let mut world = World::new(kind);
        let result = |world: &World, packet: &[u8]| {
            let finding = world.receive(packet).expect("an answer").1;
            finding.result.map(|found| found.probe.0)
        };
        let probe = world.packets[9].clone();
        let header = kind.header();
        let right = answer(kind, &probe, flags(kind)[0], kind.target(222));
        assert_eq!(result(&world, &right), Ok(9));
        // From another port; to another flow's port, or from it; to a port that is nobody's.
        let unknown_or_foreign = match kind.vary {
            Vary::SourcePort => [DiscardReason::Unknown; 2],
            Vary::DestPort => [DiscardReason::Unknown, DiscardReason::Foreign],
            Vary::IcmpChecksum | Vary::FlowLabel => {
                [DiscardReason::Ambiguous, DiscardReason::Foreign]
            }
        };
        for (at, reason) in [
            (header + 1, unknown_or_foreign[0]),
            (header + 3, unknown_or_foreign[1]),
            (header + 2, DiscardReason::Foreign),
        ] {
            let mut packet = right.clone();
            packet[at] ^= 1;
            assert_eq!(result(&world, &packet), Err(reason), "{} {at}", kind.name);
        }
        // A bare ACK is what a half-open connection says: the host itself, not another.
        let ack = answer(kind, &probe, 0x10, kind.target(222));
        assert!(result(&world, &ack).is_err());
        for state in [State::Answered, State::TimedOut, State::Refused] {
            world.set_state(9, state);
            assert!(result(&world, &right).is_err(), "{} {state:?}", kind.name);
        }
        world.set_state(9, State::Waiting);
        assert_eq!(result(&world, &right), Ok(9));
    }
}

/// Made up, or spliced of two probes: never matched to one that it was not made of.
#[test]
fn what_was_made_up_is_nobody_s() {
    for kind in KINDS {
        let world = World::new(kind);
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut matched = 0;
        for round in 0..ANSWERS {
            let [one, other] = [0; 2].map(|_| (random() % world.packets.len() as u64) as usize);
            let flags = flags(kind)[random() as usize % 2];
            let from = elsewhere(kind, random() as u32 >> 8);
            let mut packet = answer(kind, &world.packets[one], flags, from);
            let spliced = answer(kind, &world.packets[other], flags, from);
            let secrets = secrets(kind, flags);
            if round % 2 == 0 {
                // Begins as one and ends as the other.
                let at = secrets.start + random() as usize % secrets.len();
                packet.truncate(at);
                packet.extend(&spliced[at.min(spliced.len())..]);
            } else {
                let drawn = random().to_be_bytes();
                packet[secrets]
                    .iter_mut()
                    .zip(drawn)
                    .for_each(|(byte, drawn)| *byte = drawn);
            }
            packets::repair(kind, &mut packet);
            let Ok((_, finding)) = world.receive(&packet) else {
                continue;
            };
            if let Ok(found) = finding.result {
                // What is weak proves nothing: a datagram from the address probed.
                if found.evidence == Evidence::Weak {
                    assert_eq!(world.trace(found.probe).0, from, "{}", kind.name);
                    continue;
                }
                let of = [one as u64, other as u64];
                assert!(of.contains(&found.probe.0), "{}: {found:?}", kind.name);
                matched += 1;
            }
        }
        println!(
            "{}: {matched} of {ANSWERS} matched, none wrongly",
            kind.name
        );
    }
}
