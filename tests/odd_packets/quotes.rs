//! Extension headers and options inside quotes.

use std::net::IpAddr;

use pathsurvey::model::{QuotedProbe, QuotedTransport, ReplyKind, SentBySocket, SocketError, Time};
use pathsurvey::wire::{decode, decode_error};

use crate::make::{
    Carried, HERE4, HERE6, Header, IDENTIFIER, OUR_PORT, PROBE_CHECKSUM, PROTOCOLS, ROUTER4,
    ROUTER6, SEQUENCE, SERIAL, TAG, TARGET4, TARGET6, TCP_SEQUENCE, THEIR_PORT, chains, error,
    ipv4, ipv6, number, options, probe,
};

/// What messages quote: type, code, and what they say.
const ERRORS4: [([u8; 2], ReplyKind); 3] = [
    ([11, 0], ReplyKind::TimeExceeded),
    ([3, 3], ReplyKind::PortUnreachable),
    ([12, 0], ReplyKind::ParameterProblem),
];
const ERRORS6: [([u8; 2], ReplyKind); 5] = [
    ([3, 0], ReplyKind::TimeExceeded),
    ([1, 4], ReplyKind::PortUnreachable),
    ([1, 1], ReplyKind::AdministrativelyProhibited),
    ([2, 0], ReplyKind::PacketTooBig),
    ([4, 1], ReplyKind::ParameterProblem),
];

/// How much of a probe is quoted behind its headers.
const QUOTED: [usize; 4] = [8, 18, 20, 60];

/// What of a probe must be read in a quote of `shown` bytes behind its headers, its IP header aside.
fn check(quoted: &QuotedProbe, carried: Carried, shown: usize, case: &str) {
    let is = |wanted| carried == wanted;
    let ports = (is(Carried::Udp) || is(Carried::Tcp)).then_some((OUR_PORT, THEIR_PORT));
    assert_eq!(quoted.src_port().zip(quoted.dst_port()), ports, "{case}");
    let echo = is(Carried::Echo).then_some((IDENTIFIER, SEQUENCE));
    let (read_echo, read_tcp) = match &quoted.transport {
        QuotedTransport::Echo(echo) => (echo.identifier.zip(echo.sequence), None),
        QuotedTransport::Tcp(tcp) => (None, tcp.sequence),
        QuotedTransport::Udp(_) | QuotedTransport::Other(_) => (None, None),
    };
    assert_eq!(read_echo, echo, "{case}");
    assert_eq!(read_tcp, is(Carried::Tcp).then_some(TCP_SEQUENCE), "{case}");
    let checksum = (!is(Carried::Tcp) || shown >= 18).then_some(PROBE_CHECKSUM);
    assert_eq!(quoted.checksum(), checksum, "{case}");
    let marked = !is(Carried::Tcp);
    assert_eq!(
        quoted.tag(),
        (marked && shown >= 18).then_some(TAG),
        "{case}"
    );
    assert_eq!(
        quoted.serial(),
        (marked && shown >= 20).then_some(SERIAL),
        "{case}"
    );
}

fn shown(carried: Carried, v6: bool, quoted: usize) -> Vec<u8> {
    let mut bytes = probe(carried, v6, 52);
    bytes.truncate(quoted);
    bytes
}

#[test]
fn ipv6_extension_headers_in_quotes_are_stepped_over() {
    let mut count = 0;
    for chain in chains() {
        let headers: usize = chain.iter().map(|header| header.size()).sum();
        for carried in PROTOCOLS {
            for quoted in QUOTED {
                let transport = shown(carried, true, quoted);
                let whole = ipv6(
                    HERE6,
                    TARGET6,
                    1,
                    &chain,
                    number(carried, true),
                    &probe(carried, true, 52),
                );
                let quote = &whole[..40 + headers + transport.len()];
                for (code, kind) in ERRORS6 {
                    let case = format!("{chain:?} {carried:?} {quoted} {code:?}");
                    let message = error(true, code, [0; 4], quote);
                    let packet = ipv6(ROUTER6, HERE6, 61, &[], 58, &message);
                    let reply = decode(&packet, Time::default()).expect(&case);
                    assert_eq!((reply.kind, reply.responder), (kind, ROUTER6.into()));
                    let read = reply.quoted.expect(&case);
                    check(&read, carried, transport.len(), &case);
                    assert_eq!(read.destination, IpAddr::from(TARGET6), "{case}");
                    assert_eq!(read.source, Some(HERE6.into()), "{case}");
                    assert_eq!((read.ttl, read.tos), (Some(1), Some(0xb8)), "{case}");
                    assert_eq!(read.flow_label, Some(0x12345), "{case}");
                    assert_eq!(read.length, Some(whole.len() as u32), "{case}");
                    assert_eq!(read.protocol, number(carried, true), "{case}");
                    assert_eq!(read.quote_size, Some(quote.len() as u16), "{case}");
                    count += 1;
                }
            }
        }
    }
    println!("{count} ICMPv6 errors that quote extension headers");
    assert!(count > 5_000, "only {count}");
}

/// What the kernel leaves of the same messages: it steps over the headers itself.
#[test]
fn sockets_are_told_what_stands_behind_the_headers() {
    let mut count = 0;
    for carried in [Carried::Udp, Carried::Echo] {
        for v6 in [false, true] {
            for quoted in QUOTED {
                let transport = shown(carried, v6, quoted);
                let (about, returned) = match carried {
                    Carried::Udp => (
                        SentBySocket::Datagram {
                            src_port: OUR_PORT,
                            dst_port: THEIR_PORT,
                        },
                        &transport[8..],
                    ),
                    _ => (SentBySocket::Echo, &transport[..]),
                };
                let (offender, destination): (IpAddr, IpAddr) = match v6 {
                    true => (ROUTER6.into(), TARGET6.into()),
                    false => (ROUTER4.into(), TARGET4.into()),
                };
                let told = SocketError {
                    offender,
                    icmp_type: if v6 { 3 } else { 11 },
                    icmp_code: 0,
                    destination,
                    about,
                    returned,
                    extensions_at: None,
                    info: 0,
                    ttl: Some(61),
                    tos: None,
                };
                let read = decode_error(&told, Time::default())
                    .unwrap()
                    .quoted
                    .unwrap();
                assert_eq!(read.destination, destination);
                assert_eq!(read.tag(), (quoted >= 18).then_some(TAG));
                assert_eq!(read.serial(), (quoted >= 20).then_some(SERIAL));
                count += 1;
            }
        }
    }
    println!("{count} errors as sockets are told of them");
}

#[test]
fn a_later_fragment_in_a_quote_shows_no_transport_header() {
    let mut count = 0;
    for chain in chains() {
        let Some(at) = chain.iter().position(|header| header.number == 44) else {
            continue;
        };
        let before: usize = chain[..at].iter().map(|header| header.size()).sum();
        for carried in PROTOCOLS {
            for place in [8_u16, 9, 0xfff9] {
                let transport = probe(carried, true, 52);
                let mut quote = ipv6(HERE6, TARGET6, 1, &chain, number(carried, true), &transport);
                quote[40 + before + 2..][..2].copy_from_slice(&place.to_be_bytes());
                let message = error(true, [3, 0], [0; 4], &quote);
                let packet = ipv6(ROUTER6, HERE6, 61, &[], 58, &message);
                let read = decode(&packet, Time::default()).unwrap().quoted.unwrap();
                assert_eq!(read.transport, QuotedTransport::Other(Box::default()));
                count += 1;
            }
        }
    }
    println!("{count} quotes of later fragments");
}

#[test]
fn ipv4_options_in_quotes_are_stepped_over() {
    let mut count = 0;
    for option in options() {
        for carried in PROTOCOLS {
            for quoted in QUOTED {
                let transport = shown(carried, false, quoted);
                let whole = ipv4(
                    HERE4,
                    TARGET4,
                    1,
                    &option,
                    number(carried, false),
                    &probe(carried, false, 52),
                );
                let header = whole.len() - probe(carried, false, 52).len();
                let quote = &whole[..header + transport.len()];
                for (code, kind) in ERRORS4 {
                    let case = format!("{option:?} {carried:?} {quoted} {code:?}");
                    let message = error(false, code, [0; 4], quote);
                    let packet = ipv4(ROUTER4, HERE4, 61, &[], 1, &message);
                    let reply = decode(&packet, Time::default()).expect(&case);
                    assert_eq!((reply.kind, reply.responder), (kind, ROUTER4.into()));
                    let read = reply.quoted.expect(&case);
                    check(&read, carried, transport.len(), &case);
                    assert_eq!(read.destination, IpAddr::from(TARGET4), "{case}");
                    assert_eq!((read.ttl, read.ip_id), (Some(1), Some(0xabcd)), "{case}");
                    assert_eq!(read.quote_size, Some(quote.len() as u16), "{case}");
                    count += 1;
                }
            }
        }
    }
    println!("{count} ICMPv4 errors that quote options");
}

/// A chain longer than is walked, and one that ends in the middle, are no answers, and say why.
#[test]
fn chains_without_an_end_are_refused() {
    use pathsurvey::model::DiscardReason::{Malformed, Truncated};
    let header = Header {
        number: 60,
        longer: 0,
    };
    let quote = ipv6(
        HERE6,
        TARGET6,
        1,
        &[header; 9],
        17,
        &probe(Carried::Udp, true, 52),
    );
    let read = |quote: &[u8]| {
        let message = error(true, [3, 0], [0; 4], quote);
        decode(
            &ipv6(ROUTER6, HERE6, 61, &[], 58, &message),
            Time::default(),
        )
        .map(|_| ())
    };
    assert_eq!(read(&quote), Err(Malformed));
    assert_eq!(read(&quote[..68]), Err(Truncated));
}
