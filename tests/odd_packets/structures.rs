//! Extension structures behind quotes (RFC 4884): where they stand, what the message says of it, and whether they have a checksum.

use pathsurvey::model::{MplsLabel, Reply, SentBySocket, SocketError, Time};
use pathsurvey::wire::{decode, decode_error};

use crate::make::{
    Carried, HERE4, HERE6, OUR_PORT, PROTOCOLS, ROUTER4, ROUTER6, TAG, TARGET4, TARGET6,
    THEIR_PORT, checksum, error, ipv4, ipv6, number, probe,
};

const LABELS: [MplsLabel; 2] = [
    MplsLabel {
        label: 0x1_4830,
        traffic_class: 5,
        bottom: false,
        ttl: 1,
    },
    MplsLabel {
        label: 16_001,
        traffic_class: 0,
        bottom: true,
        ttl: 254,
    },
];

/// A label stack and an object of a class that nobody knows.
fn structure(with_checksum: bool) -> Vec<u8> {
    let mut bytes = vec![0x20, 0, 0, 0, 0, 12, 1, 1];
    bytes.extend([0x14, 0x83, 0x0a, 0x01, 0x03, 0xe8, 0x11, 0xfe]);
    bytes.extend([0, 8, 0xf7, 3, 1, 2, 3, 4]);
    if with_checksum {
        let sum = checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

fn quote(carried: Carried, v6: bool, shown: usize) -> Vec<u8> {
    let carries = probe(carried, v6, 52);
    let (mut quote, header) = match v6 {
        true => (
            ipv6(HERE6, TARGET6, 1, &[], number(carried, true), &carries),
            40,
        ),
        false => (
            ipv4(HERE4, TARGET4, 1, &[], number(carried, false), &carries),
            20,
        ),
    };
    quote.truncate(header + shown);
    quote
}

fn received(v6: bool, rest: [u8; 4], body: &[u8]) -> Reply {
    let packet = match v6 {
        true => ipv6(
            ROUTER6,
            HERE6,
            61,
            &[],
            58,
            &error(true, [3, 0], rest, body),
        ),
        false => ipv4(
            ROUTER4,
            HERE4,
            61,
            &[],
            1,
            &error(false, [11, 0], rest, body),
        ),
    };
    decode(&packet, Time::default()).expect("an answer")
}

/// What Linux makes of the same message (`ip_icmp_error_rfc4884`): it passes the announced place on if it is at least 128 bytes
/// behind the ICMP header and inside the message.
fn told(v6: bool, carried: Carried, announced: usize, body: &[u8]) -> Option<Reply> {
    let header = if v6 { 40 } else { 20 };
    let (stripped, about) = match carried {
        Carried::Udp => (
            header + 8,
            SentBySocket::Datagram {
                src_port: OUR_PORT,
                dst_port: THEIR_PORT,
            },
        ),
        Carried::Echo => (header, SentBySocket::Echo),
        Carried::Tcp => return None,
    };
    let place = announced.checked_sub(stripped);
    let place = place.filter(|_| announced >= 128 && announced + 4 <= body.len());
    let told = SocketError {
        offender: if v6 { ROUTER6.into() } else { ROUTER4.into() },
        icmp_type: if v6 { 3 } else { 11 },
        icmp_code: 0,
        destination: if v6 { TARGET6.into() } else { TARGET4.into() },
        about,
        returned: &body[stripped..],
        extensions_at: place,
        info: 0,
        ttl: Some(61),
        tos: None,
    };
    Some(decode_error(&told, Time::default()).expect("an answer"))
}

/// Lengths that routers are known to give, or may give, where the structure stands behind 128 bytes: right; none; in bytes; in the
/// other family's words; that of the quote without its padding; anything.
const LENGTHS: [u8; 12] = [32, 16, 0, 128, 64, 8, 15, 17, 5, 1, 200, 255];

#[test]
fn structures_behind_128_bytes_are_found_whatever_the_length_says() {
    let mut count = 0;
    for v6 in [false, true] {
        for carried in PROTOCOLS {
            for shown in [8, 20, 60] {
                for with_checksum in [false, true] {
                    let structure = structure(with_checksum);
                    let mut body = quote(carried, v6, shown);
                    body.resize(128, 0);
                    body.extend(&structure);
                    for length in LENGTHS {
                        // The byte of this family, and that of the other one.
                        for place in [4, 5] {
                            let mut rest = [0; 4];
                            rest[place - 4] = length;
                            let case = format!("{v6} {carried:?} {shown} {with_checksum} {rest:?}");
                            let announced = match v6 {
                                true => usize::from(rest[0]) * 8,
                                false => usize::from(rest[1]) * 4,
                            };
                            let replies = [
                                Some(received(v6, rest, &body)),
                                told(v6, carried, announced, &body),
                            ];
                            for reply in replies.into_iter().flatten() {
                                assert_eq!(reply.mpls, LABELS, "{case}");
                                assert_eq!(
                                    reply.icmp_extensions.as_deref(),
                                    Some(&structure[..]),
                                    "{case}"
                                );
                                let quoted = reply.quoted.expect(&case);
                                let marked = carried != Carried::Tcp && shown >= 20;
                                assert_eq!(quoted.tag(), marked.then_some(TAG), "{case}");
                                count += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    println!("{count} messages with a structure behind 128 bytes");
    assert!(count > 1_000, "only {count}");
}

/// Behind a quote that nobody padded the checksum tells, in whole packets and in what sockets are told alike.
#[test]
fn structures_behind_an_unpadded_quote_are_found_by_their_checksum() {
    let mut count = 0;
    for v6 in [false, true] {
        for carried in PROTOCOLS {
            for shown in [8, 20, 60] {
                let structure = structure(true);
                let mut body = quote(carried, v6, shown);
                let size = body.len();
                body.extend(&structure);
                for length in [0, 1, 255] {
                    let reply = [
                        Some(received(v6, [length, length, 0, 0], &body)),
                        told(v6, carried, usize::from(length) * 8, &body),
                    ];
                    for reply in reply.into_iter().flatten() {
                        assert_eq!(reply.mpls, LABELS, "{v6} {carried:?} {size} {length}");
                        count += 1;
                    }
                }
            }
        }
    }
    println!("{count} messages with a structure behind an unpadded quote");
}

/// What a probe itself carries is never taken for a structure.
#[test]
fn quotes_alone_hold_no_structure() {
    let mut count = 0;
    for v6 in [false, true] {
        for carried in PROTOCOLS {
            for payload in [12, 52, 400, 1_000] {
                let carries = probe(carried, v6, payload);
                let body = match v6 {
                    true => ipv6(HERE6, TARGET6, 1, &[], number(carried, true), &carries),
                    false => ipv4(HERE4, TARGET4, 1, &[], number(carried, false), &carries),
                };
                for length in 0..=255 {
                    let reply = received(v6, [length, length, 0, 0], &body);
                    assert_eq!(reply.icmp_extensions, None, "{v6} {carried:?} {length}");
                    count += 1;
                }
            }
        }
    }
    println!("{count} messages without a structure");
}
