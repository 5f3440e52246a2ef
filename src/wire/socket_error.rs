//! Decodes replies that the kernel delivered to ordinary sockets.
//!
//! The kernel does not deliver these, so they are absent:
//!
//! - the reply's size and IP ID,
//! - all fields of the quoted IP header except the destination,
//! - the UDP length and checksum of a quoted datagram.
//!
//! The marks in the quoted payload identify the probe, if the router quoted that far. An echo request is also identified by its
//! identifier, checksum and sequence number, which every quote contains.

use super::{echo, extensions, ip, udp};
use crate::model::{
    Datagram, DiscardReason, EchoMessage, Reply, ReplyKind, SentBySocket, SocketError, Time,
};

/// Decodes an ICMP error as a reply to a probe.
pub fn decode_error(error: &SocketError, received_at: Time) -> Result<Reply, DiscardReason> {
    let kind = match error.offender.is_ipv6() {
        false => ReplyKind::of_icmpv4(error.icmp_type, error.icmp_code),
        true => ReplyKind::of_icmpv6(error.icmp_type, error.icmp_code),
    }
    .ok_or(DiscardReason::OtherType)?;
    if error.offender.is_ipv6() != error.destination.is_ipv6() {
        return Err(DiscardReason::Malformed);
    }
    let stripped = ip::header_size(error.destination)
        + match error.about {
            SentBySocket::Datagram { .. } => udp::HEADER,
            SentBySocket::Echo => 0,
        };
    let (returned, structure) = match kind {
        // As in whole packets, these kinds have no extension structure.
        ReplyKind::ReassemblyTimeExceeded | ReplyKind::PacketTooBig => (error.returned, None),
        _ => extensions::split_stripped(error.returned, error.extensions_at, stripped),
    };
    let tells_mtu = matches!(
        kind,
        ReplyKind::FragmentationNeeded | ReplyKind::PacketTooBig
    );
    Ok(Reply {
        icmp_type: Some(error.icmp_type),
        icmp_code: Some(error.icmp_code),
        ttl: error.ttl,
        tos: error.tos,
        quoted: Some(match error.about {
            SentBySocket::Datagram { src_port, dst_port } => {
                udp::quoted_to_socket(error.destination, src_port, dst_port, returned)
            }
            SentBySocket::Echo => echo::quoted_to_socket(error.destination, returned),
        }),
        next_hop_mtu: (tells_mtu && error.info != 0).then_some(error.info),
        mpls: structure.map(extensions::mpls_stack).unwrap_or_default(),
        interface_info: structure
            .map(extensions::interface_info)
            .unwrap_or_default(),
        icmp_extensions: structure.map(<[u8]>::to_vec),
        ..Reply::bare(error.offender, received_at, kind)
    })
}

/// Decodes a datagram that a target sent as an answer.
pub fn decode_datagram(datagram: &Datagram, received_at: Time) -> Reply {
    Reply {
        ttl: datagram.ttl,
        tos: datagram.tos,
        echoed: Some(udp::echoed(
            datagram.src_port,
            datagram.dst_port,
            datagram.payload,
        )),
        ..Reply::bare(datagram.source, received_at, ReplyKind::Udp)
    }
}

/// Decodes a message that a ping socket received.
pub fn decode_echo(echo: &EchoMessage, received_at: Time) -> Result<Reply, DiscardReason> {
    let ([icmp_type, code, _, _, rest @ ..], body) = echo
        .message
        .split_first_chunk::<{ echo::HEADER }>()
        .ok_or(DiscardReason::Truncated)?;
    let reply = match echo.source.is_ipv6() {
        false => echo::REPLY_V4,
        true => echo::REPLY_V6,
    };
    if (*icmp_type, *code) != (reply, 0) {
        return Err(DiscardReason::OtherType);
    }
    Ok(Reply {
        icmp_type: Some(*icmp_type),
        icmp_code: Some(*code),
        ttl: echo.ttl,
        tos: echo.tos,
        echoed: Some(echo::echoed(*rest, body)),
        ..Reply::bare(echo.source, received_at, ReplyKind::EchoReply)
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::{Echoed, QuotedEcho, QuotedTransport};

    fn error<'a>(icmp: (u8, u8), addresses: [&str; 2], returned: &'a [u8]) -> SocketError<'a> {
        let [offender, destination] =
            addresses.map(|text| text.parse::<IpAddr>().expect("an address"));
        SocketError {
            offender,
            icmp_type: icmp.0,
            icmp_code: icmp.1,
            destination,
            about: SentBySocket::Datagram {
                src_port: 24_000,
                dst_port: 33_434,
            },
            returned,
            extensions_at: None,
            info: 0,
            ttl: Some(61),
            tos: Some(0xc0),
        }
    }

    const V4: [&str; 2] = ["203.0.113.9", "198.51.100.1"];
    const V6: [&str; 2] = ["2001:db8::9", "2001:db8:5::1"];

    /// A compensation word, a tag, a serial.
    const MARKS: [u8; 12] = [0xaa, 0xbb, 1, 2, 3, 4, 5, 6, 7, 8, 0xfe, 0xed];

    /// An extension structure with one label and a checksum of 0 or the right one (RFC 4884, RFC 4950).
    fn structure(with_checksum: bool) -> Vec<u8> {
        let mut bytes = vec![0x20, 0, 0, 0, 0, 8, 1, 1, 0x05, 0xdc, 0x11, 0x3f];
        if with_checksum {
            let sum = crate::wire::checksum::Sum::default().bytes(&bytes);
            bytes[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
        }
        bytes
    }

    #[test]
    fn a_returned_payload_names_the_probe_and_the_rest_is_absent() {
        for (icmp, addresses) in [((11, 0), V4), ((3, 0), V6)] {
            let reply = decode_error(&error(icmp, addresses, &MARKS), Time::from_nanos(7)).unwrap();
            assert_eq!(reply.kind, ReplyKind::TimeExceeded);
            assert_eq!(reply.responder.to_string(), addresses[0]);
            assert_eq!((reply.ttl, reply.tos), (Some(61), Some(0xc0)));
            assert_eq!(
                (reply.size, reply.ip_id, reply.destination),
                (None, None, None)
            );
            let quoted = reply.quoted.unwrap();
            assert_eq!(quoted.tag(), Some(0x0102_0304_0506_0708));
            assert_eq!(quoted.serial(), Some(0xfeed));
            assert_eq!(quoted.destination.to_string(), addresses[1]);
            assert_eq!(
                (quoted.ttl, quoted.ip_id, quoted.source, quoted.checksum()),
                (None, None, None, None)
            );
        }
    }

    #[test]
    fn a_short_quote_holds_no_marks_padded_or_not() {
        for size in [0, 4, 100] {
            let padding = vec![0; size];
            let reply = decode_error(&error((11, 0), V4, &padding), Time::default()).unwrap();
            let quoted = reply.quoted.unwrap();
            assert_eq!(
                (quoted.tag(), quoted.serial()),
                (None, None),
                "{size} bytes"
            );
            assert_eq!(quoted.src_port(), Some(24_000));
        }
    }

    #[test]
    fn label_stacks_are_found_at_the_stated_and_at_the_usual_place() {
        let padded = |size: usize, with_checksum| {
            let mut bytes = MARKS.to_vec();
            bytes.resize(size, 0);
            bytes.extend(structure(with_checksum));
            bytes
        };
        let cases = [
            // Stated in the message: at any place, and without a checksum.
            (V4, (11, 0), 160, Some(160), false, 1),
            // Not stated, or stated beyond the end, or stated at a place without a structure: after 128 bytes of quote.
            (V4, (11, 0), 100, None, true, 1),
            (V6, (3, 0), 80, None, true, 1),
            (V4, (11, 0), 100, None, false, 1),
            (V6, (3, 0), 80, None, false, 1),
            (V4, (11, 0), 100, Some(4_000), false, 1),
            (V4, (11, 0), 100, Some(36), false, 1),
            // At other places only with a checksum.
            (V4, (11, 0), 80, None, true, 1),
            (V4, (11, 0), 80, None, false, 0),
            // A message that cannot hold a structure.
            (V4, (11, 1), 100, None, true, 0),
        ];
        for (addresses, icmp, size, extensions_at, with_checksum, labels) in cases {
            let returned = padded(size, with_checksum);
            let told = SocketError {
                extensions_at,
                ..error(icmp, addresses, &returned)
            };
            let reply = decode_error(&told, Time::default()).unwrap();
            assert_eq!(
                reply.mpls.len(),
                labels,
                "{icmp:?} {size} {extensions_at:?}"
            );
            assert_eq!(reply.icmp_extensions.is_some(), labels == 1);
            assert!(reply.mpls.iter().all(|entry| entry.label == 24_001));
            assert_eq!(reply.quoted.unwrap().serial(), Some(0xfeed));
        }
    }

    #[test]
    fn the_mtu_is_read_from_the_messages_that_state_it() {
        for (icmp, addresses, mtu) in [
            ((3, 4), V4, Some(1_400)),
            ((2, 0), V6, Some(1_400)),
            ((12, 0), V4, None),
            ((3, 3), V4, None),
        ] {
            let told = SocketError {
                info: 1_400,
                ..error(icmp, addresses, &MARKS)
            };
            let reply = decode_error(&told, Time::default()).unwrap();
            assert_eq!(reply.next_hop_mtu, mtu, "{icmp:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let refused = |icmp, addresses| {
            decode_error(&error(icmp, addresses, &MARKS), Time::default()).unwrap_err()
        };
        assert_eq!(refused((4, 0), V4), DiscardReason::OtherType);
        assert_eq!(refused((129, 0), V6), DiscardReason::OtherType);
        assert_eq!(
            refused((11, 0), ["203.0.113.9", "2001:db8::1"]),
            DiscardReason::Malformed
        );
    }

    #[test]
    fn a_datagram_that_repeats_the_payload_brings_the_marks_back() {
        let datagram = Datagram {
            source: "198.51.100.1".parse().unwrap(),
            src_port: 33_434,
            dst_port: 24_001,
            payload: &MARKS,
            ttl: Some(60),
            tos: None,
        };
        let reply = decode_datagram(&datagram, Time::default());
        assert_eq!(
            reply.echoed,
            Some(Echoed::Udp {
                src_port: 33_434,
                dst_port: 24_001,
                tag: Some(0x0102_0304_0506_0708),
                serial: Some(0xfeed),
            })
        );
        assert_eq!(
            (reply.kind, reply.ttl, reply.tos, reply.size),
            (ReplyKind::Udp, Some(60), None, None)
        );
    }

    /// The header of an echo request, or of a reply with type 0, and the marks.
    fn echo(icmp_type: u8) -> Vec<u8> {
        let mut bytes = vec![icmp_type, 0, 0x12, 0x34, 0x5d, 0xc0, 7, 8];
        bytes.extend(MARKS);
        bytes
    }

    #[test]
    fn a_quoted_echo_request_shows_its_header_and_then_its_marks() {
        for (request, icmp, addresses) in [(8, (11, 0), V4), (128, (3, 0), V6)] {
            for (size, marks) in [(8, false), (18, false), (20, true), (80, true)] {
                let mut returned = echo(request);
                returned.resize(size, 0);
                let told = SocketError {
                    about: SentBySocket::Echo,
                    ..error(icmp, addresses, &returned)
                };
                let reply = decode_error(&told, Time::default()).unwrap();
                let quoted = reply.quoted.unwrap();
                let expected = QuotedEcho {
                    identifier: Some(24_000),
                    sequence: Some(0x0708),
                    checksum: Some(0x1234),
                    tag: quoted.tag().filter(|_| size > 8),
                    serial: marks.then_some(0xfeed),
                };
                assert_eq!(quoted.transport, QuotedTransport::Echo(expected));
                assert_eq!(quoted.tag().is_some(), size > 8, "{size} bytes");
            }
        }
    }

    #[test]
    fn padding_after_an_echo_header_is_not_read_as_marks() {
        let mut returned = echo(8)[..8].to_vec();
        // The kernel has removed 20 of the quote's 128 bytes.
        returned.resize(108, 0);
        returned.extend(structure(true));
        let told = SocketError {
            about: SentBySocket::Echo,
            ..error((11, 0), V4, &returned)
        };
        let reply = decode_error(&told, Time::default()).unwrap();
        assert_eq!(reply.mpls.len(), 1);
        let quoted = reply.quoted.unwrap();
        assert_eq!((quoted.tag(), quoted.serial()), (None, None));
    }

    #[test]
    fn echo_replies_are_read_and_nothing_else_that_comes_to_a_ping_socket() {
        let read = |address: &str, bytes: &[u8]| {
            let message = EchoMessage {
                source: address.parse().unwrap(),
                message: bytes,
                ttl: Some(60),
                tos: None,
            };
            decode_echo(&message, Time::default())
        };
        for (icmp_type, address) in [(0, V4[1]), (129, V6[1])] {
            let reply = read(address, &echo(icmp_type)).unwrap();
            assert_eq!((reply.kind, reply.ttl), (ReplyKind::EchoReply, Some(60)));
            assert_eq!(
                reply.echoed,
                Some(Echoed::Echo {
                    identifier: 24_000,
                    sequence: 0x0708,
                    tag: Some(0x0102_0304_0506_0708),
                    serial: Some(0xfeed),
                })
            );
            assert_eq!((reply.size, reply.ip_id), (None, None));
        }
        let refused = |address, bytes: &[u8]| read(address, bytes).unwrap_err();
        // The type of an ICMPv6 reply from an IPv4 address, an extended echo reply (RFC 8335), a truncated reply.
        assert_eq!(refused(V4[1], &echo(129)), DiscardReason::OtherType);
        assert_eq!(refused(V4[1], &echo(43)), DiscardReason::OtherType);
        assert_eq!(refused(V4[1], &echo(0)[..7]), DiscardReason::Truncated);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            returned in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
            at in proptest::option::of(0..400_usize),
            icmp in (0..13_u8, 0..14_u8),
        ) {
            for addresses in [V4, V6] {
                let told = SocketError { extensions_at: at, ..error(icmp, addresses, &returned) };
                let _ = decode_error(&told, Time::default());
                let told = SocketError { about: SentBySocket::Echo, ..told };
                let _ = decode_error(&told, Time::default());
                let message = EchoMessage {
                    source: told.offender,
                    message: &returned,
                    ttl: None,
                    tos: None,
                };
                let _ = decode_echo(&message, Time::default());
            }
        }
    }
}
