//! Random and mutated replies, millions of them: none is matched at full or rewritten to a probe that it was not made from.
//!
//! Ten million in all, in half a minute; `PATHSURVEY_REPLIES` says how many replies for each protocol and family.

use std::collections::BTreeMap;
use std::fmt::Write;

use pathsurvey::model::{Echoed, Evidence, Protocol, Reply, Vary};
use pathsurvey::wire::ip::{ICMP, ICMPV6};

use crate::packets::{self, Extension, Quote};
use crate::rewriting::ALL;
use crate::world::{FLOWS, KINDS, Kind, TARGETS, TTLS, World};

/// Replies for each protocol and family where nothing else is asked for.
const REPLIES: u64 = 1_000_000;

/// A pseudo-random sequence (xorshift64*), the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A received packet, and the probes it was made from: none for one that was made up.
struct Made {
    what: &'static str,
    packet: Vec<u8>,
    of: Vec<usize>,
}

fn make(world: &World, random: &mut Random) -> Made {
    let number = random.below(world.packets.len());
    let (what, packet, of) = match random.below(16) {
        0 => {
            let size = random.below(160);
            ("noise", random.bytes(size), vec![])
        }
        1 => ("noise as ICMP", noise(world.kind, random), vec![]),
        2 | 3 => ("forged", forged(world, random), vec![]),
        4..=8 => {
            let mut packet = answer(world.kind, &world.packets[number], random);
            edit(world.kind, &mut packet, random);
            ("edited", packet, vec![number])
        }
        9 | 10 => ("rewritten", rewritten(world, number, random), vec![number]),
        kind => {
            let other = relative(world, number, random);
            let mut packet = splice(world, [number, other], random);
            if kind == 15 {
                edit(world.kind, &mut packet, random);
            }
            ("spliced", packet, vec![number, other])
        }
    };
    Made { what, packet, of }
}

/// Random bytes in an ICMP error with its checksum right.
fn noise(kind: Kind, random: &mut Random) -> Vec<u8> {
    let errors: [u8; 3] = if kind.v6 { [1, 3, 129] } else { [3, 11, 0] };
    let size = random.below(200);
    let mut message = vec![errors[random.below(3)], 0, 0, 0, 0, 0, 0, 0];
    message.extend(random.bytes(size));
    let responder = kind.target(random.below(250) as u32);
    let protocol = if kind.v6 { ICMPV6 } else { ICMP };
    let mut packet = packets::wrap(kind, protocol, responder, &message);
    packets::repair(kind, &mut packet);
    packet
}

/// An answer to a probe of which everything open is known, and nothing secret.
fn forged(world: &World, random: &mut Random) -> Vec<u8> {
    let kind = world.kind;
    let number = random.below(world.packets.len());
    let mut probe = world.packets[number].clone();
    let mut overwrite = |at: usize, size: usize| {
        let bytes = random.bytes(size);
        probe[at..at + size].copy_from_slice(&bytes);
    };
    let header = kind.header();
    if !kind.v6 {
        overwrite(4, 2);
    }
    match kind.protocol {
        Protocol::Udp => {
            overwrite(header + 6, 2);
            overwrite(header + 8, 12);
        }
        Protocol::Icmp => {
            overwrite(header + 2, 2);
            overwrite(header + 7, 1);
            overwrite(header + 8, 12);
        }
        Protocol::Tcp => {
            overwrite(header + 4, 8);
        }
    }
    answer(kind, &probe, random)
}

/// One of the answers that hosts and routers give.
fn answer(kind: Kind, probe: &[u8], random: &mut Random) -> Vec<u8> {
    if random.below(4) == 0 {
        return match kind.protocol {
            Protocol::Icmp => packets::echo_reply(kind, probe),
            Protocol::Udp => packets::datagram(kind, probe, random.below(4) > 0),
            Protocol::Tcp => {
                packets::segment(kind, probe, [0x12, 0x04, 0x14, 0x10][random.below(4)])
            }
        };
    }
    let quote = match random.below(8) {
        0..=3 => Quote::Head(8),
        4 => Quote::Head(random.below(probe.len() - kind.header() + 1)),
        5 => Quote::Padded(Extension::Announced),
        6 => Quote::Padded(Extension::Legacy),
        _ => Quote::Whole,
    };
    let responder = kind.target(200 + random.below(40) as u32);
    packets::error(kind, probe, quote, random.below(3) == 0, responder)
}

/// Overwrites up to four bytes, most of them where the quote begins, and puts the checksum right.
fn edit(kind: Kind, packet: &mut [u8], random: &mut Random) {
    let quote = kind.header() + 8;
    for _ in 0..1 + random.below(4) {
        let at = match random.below(8) {
            0 => random.below(packet.len()),
            _ => quote + random.below(kind.header() + 12),
        };
        if let Some(byte) = packet.get_mut(at) {
            *byte = random.next() as u8;
        }
    }
    packets::repair(kind, packet);
}

/// The answer to a probe that one or two boxes changed on its way.
fn rewritten(world: &World, number: usize, random: &mut Random) -> Vec<u8> {
    let mut probe = world.packets[number].clone();
    for _ in 0..1 + random.below(2) {
        ALL[random.below(ALL.len())].apply(world.kind, &mut probe, random.next() as u16);
    }
    answer(world.kind, &probe, random)
}

/// Another probe, mostly one that has much in common with `number`.
fn relative(world: &World, number: usize, random: &mut Random) -> usize {
    let (ttls, flows) = (TTLS as usize, FLOWS as usize);
    match random.below(4) {
        0 => world.other_attempt(number),
        // Of the same flow, and of the same target.
        1 => number / ttls * ttls + random.below(ttls),
        2 => number / ttls / flows * (ttls * flows) + random.below(ttls * flows),
        _ => random.below(world.packets.len()),
    }
}

/// The answer to a packet of which the head is one probe's and the rest another's.
fn splice(world: &World, of: [usize; 2], random: &mut Random) -> Vec<u8> {
    let [head, tail] = of.map(|number| &world.packets[number]);
    let at = random.below(head.len().min(tail.len()));
    let probe = [&head[..at], &tail[at..]].concat();
    answer(world.kind, &probe, random)
}

/// What became of the replies.
#[derive(Default)]
struct Figures {
    /// By what was made and what was found.
    outcomes: BTreeMap<(&'static str, &'static str), u64>,
    strong_wrong: Vec<String>,
    weak_wrong: u64,
    /// How many wrong weak matches are to be expected at most.
    weak_expected: f64,
}

impl Figures {
    fn take(&mut self, world: &World, made: &Made) {
        let outcome = match world.receive(&made.packet) {
            Err(reason) => reason.as_str(),
            Ok((reply, finding)) => {
                let candidates = f64::from(finding.weak_candidates);
                self.weak_expected += candidates * chance(world.kind, made);
                match finding.result {
                    Err(reason) => reason.as_str(),
                    Ok(found) => {
                        let is_right = made.of.contains(&(found.probe.0 as usize));
                        if found.evidence > Evidence::Weak && !is_right {
                            self.strong_wrong.push(format!(
                                "{} {found:?} of {:?}: {:02x?}",
                                made.what, made.of, made.packet
                            ));
                        }
                        if found.evidence == Evidence::Weak {
                            match &reply {
                                // A datagram that repeats nothing names a trace and proves nothing.
                                Reply {
                                    echoed:
                                        Some(Echoed::Udp {
                                            src_port, dst_port, ..
                                        }),
                                    responder,
                                    ..
                                } => {
                                    let ends = (*responder, *dst_port, *src_port);
                                    assert_eq!(world.trace(found.probe), ends);
                                }
                                _ => self.weak_wrong += u64::from(!is_right),
                            }
                        }
                        found.evidence.as_str()
                    }
                }
            }
        };
        *self.outcomes.entry((made.what, outcome)).or_default() += 1;
    }

    /// What was made of what, a line each.
    fn table(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for ((what, outcome), count) in &self.outcomes {
            if *what != last {
                let _ = write!(text, "\n  {what:14}");
                last = what;
            }
            let _ = write!(text, " {outcome} {count}");
        }
        text
    }
}

/// The chance that a candidate with the open facts of a packet is taken weakly for the probe that it quotes: two secrets of 16
/// bits. Of an echo request one of the two, the flow's checksum, is right in every packet of the flow; 8 bits of the
/// sequence number remain.
fn chance(kind: Kind, made: &Made) -> f64 {
    match (kind.protocol, made.of.is_empty()) {
        (Protocol::Icmp, false) => 1.0 / f64::from(1 << 8),
        _ => 1.0 / f64::from(1 << 15),
    }
}

fn run(kind: Kind) {
    let replies = match std::env::var("PATHSURVEY_REPLIES") {
        Ok(number) => number.parse().expect("PATHSURVEY_REPLIES: a number"),
        Err(_) => REPLIES,
    };
    let world = World::new(kind);
    assert_eq!(world.packets.len() as u32, TARGETS * FLOWS * TTLS * 2);
    let place = KINDS.iter().position(|other| other.name == kind.name);
    let mut random = Random(0x9e37_79b9_7f4a_7c15 + place.expect("one of them") as u64);
    let mut figures = Figures::default();
    for _ in 0..replies {
        figures.take(&world, &make(&world, &mut random));
    }
    println!(
        "{}: {replies} replies, wrong at full or rewritten {}, wrong at weak {} of {:.1} expected at most{}",
        kind.name,
        figures.strong_wrong.len(),
        figures.weak_wrong,
        figures.weak_expected,
        figures.table()
    );
    assert!(
        figures.strong_wrong.is_empty(),
        "{}",
        figures.strong_wrong[0]
    );
    // Five standard deviations above the mean of so many rare events.
    let most = figures.weak_expected + 5.0 * figures.weak_expected.sqrt() + 5.0;
    assert!(
        (figures.weak_wrong as f64) < most,
        "{} wrong weak matches",
        figures.weak_wrong
    );
    let seen = |outcome| figures.outcomes.get(&outcome).copied().unwrap_or_default();
    for outcome in [
        ("edited", "full"),
        ("edited", "rewritten"),
        ("rewritten", "rewritten"),
        ("spliced", "full"),
        // Few made-up checksums are those of a flow.
        match kind.vary {
            Vary::IcmpChecksum => ("forged", "foreign"),
            _ => ("forged", "forged"),
        },
    ] {
        let (seen, least) = (seen(outcome), replies / 1_000);
        assert!(seen > least, "only {seen} {outcome:?}: nothing is shown");
    }
    // Of a TCP probe over IPv6 both secrets come back or none. A checksum that says which flow it is is no secret.
    let has_two = kind.vary != Vary::IcmpChecksum;
    let is_ever_weak = has_two && (kind.protocol != Protocol::Tcp || !kind.v6);
    assert_eq!(seen(("edited", "weak")) > 0, is_ever_weak);
}

macro_rules! runs {
    ($($name:ident: $place:expr;)*) => {
        $(#[test]
        fn $name() {
            run(KINDS[$place]);
        })*
    };
}

runs! {
    no_udp4_reply_is_matched_wrongly: 0;
    no_udp6_reply_is_matched_wrongly: 1;
    no_echo4_reply_is_matched_wrongly: 2;
    no_echo6_reply_is_matched_wrongly: 3;
    no_syn4_reply_is_matched_wrongly: 4;
    no_syn6_reply_is_matched_wrongly: 5;
    no_ack4_reply_is_matched_wrongly: 6;
    no_ack6_reply_is_matched_wrongly: 7;
    no_psh4_reply_is_matched_wrongly: 8;
    no_psh6_reply_is_matched_wrongly: 9;
    no_udp4_reply_is_matched_wrongly_if_the_destination_port_varies: 10;
    no_udp6_reply_is_matched_wrongly_if_the_destination_port_varies: 11;
    no_syn4_reply_is_matched_wrongly_if_the_destination_port_varies: 12;
    no_syn6_reply_is_matched_wrongly_if_the_destination_port_varies: 13;
    no_echo4_reply_is_matched_wrongly_if_the_checksum_varies: 14;
    no_echo6_reply_is_matched_wrongly_if_the_checksum_varies: 15;
    no_udp6_reply_is_matched_wrongly_if_the_label_varies: 16;
    no_syn6_reply_is_matched_wrongly_if_the_label_varies: 17;
    no_echo6_reply_is_matched_wrongly_if_the_label_varies: 18;
}
