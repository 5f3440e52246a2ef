//! Extension headers and options in front of answers, and answers in fragments.

use pathsurvey::model::{DiscardReason, Echoed, Reply, ReplyKind, Time};
use pathsurvey::wire::{Reassembler, Taken, decode};

use crate::make::{
    ACKNOWLEDGEMENT, Carried, HERE4, HERE6, Header, IDENTIFIER, OUR_PORT, PROTOCOLS, ROUTER4,
    ROUTER6, SEQUENCE, SERIAL, TAG, TARGET4, TARGET6, THEIR_PORT, answer, chains, cut_ipv4,
    cut_ipv6, error, ipv4, ipv6, number, options, probe,
};

/// What an answer is: a target's own, or an error of a router about a probe.
#[derive(Clone, Copy, Debug)]
enum Says {
    Own(Carried),
    Error(Carried),
}

fn all() -> impl Iterator<Item = Says> {
    let own = PROTOCOLS.into_iter().map(Says::Own);
    own.chain(PROTOCOLS.into_iter().map(Says::Error))
}

/// A packet behind `chain` or `options`, with at least `payload` bytes of payload.
fn packet6(says: Says, chain: &[Header], payload: usize) -> Vec<u8> {
    match says {
        Says::Own(carried) => {
            let carries = answer(carried, true, payload);
            ipv6(TARGET6, HERE6, 60, chain, number(carried, true), &carries)
        }
        Says::Error(carried) => {
            let carries = probe(carried, true, payload);
            let quote = ipv6(HERE6, TARGET6, 1, &[], number(carried, true), &carries);
            let message = error(true, [3, 0], [0; 4], &quote);
            ipv6(ROUTER6, HERE6, 60, chain, 58, &message)
        }
    }
}

fn packet4(says: Says, options: &[u8], payload: usize) -> Vec<u8> {
    match says {
        Says::Own(carried) => {
            let carries = answer(carried, false, payload);
            ipv4(
                TARGET4,
                HERE4,
                60,
                options,
                number(carried, false),
                &carries,
            )
        }
        Says::Error(carried) => {
            let carries = probe(carried, false, payload);
            let quote = ipv4(HERE4, TARGET4, 1, &[], number(carried, false), &carries);
            let message = error(false, [11, 0], [0; 4], &quote);
            ipv4(ROUTER4, HERE4, 60, options, 1, &message)
        }
    }
}

fn check(reply: &Reply, says: Says, v6: bool, size: usize, case: &str) {
    assert_eq!((reply.ttl, reply.tos), (Some(60), Some(0xb8)), "{case}");
    assert_eq!(reply.size, Some(size as u32), "{case}");
    let here = if v6 { HERE6.into() } else { HERE4.into() };
    assert_eq!(reply.destination, Some(here), "{case}");
    let (target, router): (std::net::IpAddr, std::net::IpAddr) = match v6 {
        true => (TARGET6.into(), ROUTER6.into()),
        false => (TARGET4.into(), ROUTER4.into()),
    };
    let (tag, serial) = (Some(TAG), Some(SERIAL));
    match says {
        Says::Error(carried) => {
            assert_eq!(
                (reply.kind, reply.responder),
                (ReplyKind::TimeExceeded, router)
            );
            let quoted = reply.quoted.as_ref().expect(case);
            assert_eq!(quoted.protocol, number(carried, v6), "{case}");
            let marked = carried != Carried::Tcp;
            assert_eq!(quoted.tag().is_some(), marked, "{case}");
            assert_eq!(quoted.tag(), tag.filter(|_| marked), "{case}");
        }
        Says::Own(carried) => {
            assert_eq!(reply.responder, target, "{case}");
            let (kind, echoed) = match carried {
                Carried::Udp => (
                    ReplyKind::Udp,
                    Echoed::Udp {
                        src_port: THEIR_PORT,
                        dst_port: OUR_PORT,
                        tag,
                        serial,
                    },
                ),
                Carried::Echo => (
                    ReplyKind::EchoReply,
                    Echoed::Echo {
                        identifier: IDENTIFIER,
                        sequence: SEQUENCE,
                        tag,
                        serial,
                    },
                ),
                Carried::Tcp => (
                    ReplyKind::Rst,
                    Echoed::Tcp {
                        src_port: THEIR_PORT,
                        dst_port: OUR_PORT,
                        flags: 0x14,
                        sequence: 0,
                        acknowledgement: ACKNOWLEDGEMENT,
                    },
                ),
            };
            assert_eq!((reply.kind, reply.echoed), (kind, Some(echoed)), "{case}");
        }
    }
}

#[test]
fn ipv6_extension_headers_in_front_of_answers_are_stepped_over() {
    let mut count = 0;
    for chain in chains() {
        for says in all() {
            let case = format!("{chain:?} {says:?}");
            let packet = packet6(says, &chain, 20);
            let reply = decode(&packet, Time::default()).expect(&case);
            check(&reply, says, true, packet.len(), &case);
            count += 1;
        }
    }
    println!("{count} answers behind IPv6 extension headers");
    assert!(count > 500, "only {count}");
}

#[test]
fn ipv4_options_in_front_of_answers_are_stepped_over() {
    let mut count = 0;
    for options in options() {
        for says in all() {
            let case = format!("{options:?} {says:?}");
            let packet = packet4(says, &options, 20);
            let reply = decode(&packet, Time::default()).expect(&case);
            check(&reply, says, false, packet.len(), &case);
            count += 1;
        }
    }
    println!("{count} answers behind IPv4 options");
}

/// Orders in which fragments may come.
fn orders(pieces: &[Vec<u8>]) -> Vec<Vec<&[u8]>> {
    let straight: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let reversed = straight.iter().rev().copied().collect();
    let (even, odd): (Vec<_>, Vec<_>) =
        straight.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let mixed = odd.into_iter().chain(even).map(|(_, piece)| *piece);
    vec![straight.clone(), reversed, mixed.collect()]
}

/// What comes out with the last of `pieces`.
fn put_together(pieces: &[&[u8]]) -> Result<Reply, DiscardReason> {
    let mut fragments = Reassembler::default();
    let (last, others) = pieces.split_last().unwrap();
    for piece in others {
        assert_eq!(fragments.take(piece, Time::default()), Taken::Kept);
        // By itself no piece is an answer.
        assert_eq!(decode(piece, Time::default()), Err(DiscardReason::Fragment));
    }
    let reply = match fragments.take(last, Time::default()) {
        Taken::Whole(whole) => decode(whole, Time::default()),
        Taken::Kept => Err(DiscardReason::Fragment),
    };
    fragments.give_up();
    assert_eq!(fragments.take_dropped().len(), 0);
    reply
}

#[test]
fn answers_in_fragments_are_put_together() {
    let mut count = 0;
    for says in all() {
        for payload in [52, 1_352] {
            for size in [8, 24, 512, 1_232] {
                for chain in chains() {
                    // Every header in front of the fragment header that is cut in, then every one behind it.
                    for kept in 0..=chain.len() {
                        let others = chain[..kept].iter().all(|header| header.number != 44);
                        let behind = chain[kept..].iter().all(|header| header.number != 44);
                        if chain.len() > 2 || !others || !behind {
                            continue;
                        }
                        let packet = packet6(says, &chain, payload);
                        let pieces = cut_ipv6(&packet, &chain[..kept], size);
                        // No more than are kept of a packet.
                        if !(2..=64).contains(&pieces.len()) {
                            continue;
                        }
                        for order in orders(&pieces) {
                            let case = format!("{says:?} {payload} {size} {chain:?} {kept}");
                            let reply = put_together(&order).expect(&case);
                            check(&reply, says, true, packet.len(), &case);
                            count += 1;
                        }
                    }
                }
                for options in options() {
                    let packet = packet4(says, &options, payload);
                    let pieces = cut_ipv4(&packet, size);
                    if !(2..=64).contains(&pieces.len()) {
                        continue;
                    }
                    for order in orders(&pieces) {
                        let case = format!("{says:?} {payload} {size} {options:?}");
                        let reply = put_together(&order).expect(&case);
                        check(&reply, says, false, packet.len(), &case);
                        count += 1;
                    }
                }
            }
        }
    }
    println!("{count} answers in fragments");
    assert!(count > 1_000, "only {count}");
}
