//! The run's decoders read the test's replies and find the sent probe in them.

use super::*;
use crate::model::{Echoed, Protocol, QuotedTransport, Reply, ReplyKind, Time};
use crate::wire::decode;

const MARK: u16 = 0x4321;

fn families() -> [Ends; 2] {
    let (four, six) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    [Ends::V4(four, four), Ends::V6(six, six)]
}

fn of(protocol: Protocol, tcp_flags: TcpFlags) -> LoopbackProbe {
    LoopbackProbe {
        protocol,
        tcp_flags,
        tos: 0,
        source_port: 24_000,
        destination_port: 33_434,
        mark: MARK,
    }
}

fn read(kind: TestReplyKind, test: &LoopbackProbe, ends: Ends) -> Reply {
    let sent = probe(test, ends);
    decode(&reply(kind, test, ends, &sent), Time::default()).unwrap()
}

/// The sum over a transport part and everything else that its checksum covers.
fn sum(ends: Ends, protocol: u8, packet: &[u8]) -> u16 {
    let transport = &packet[ends.header_size()..];
    let covered = match protocol {
        ICMP => Sum::default(),
        _ => ends.pseudo_header(protocol, transport.len()),
    };
    covered.bytes(transport).folded()
}

#[test]
fn every_host_drops_the_probe_and_accepts_the_reply() {
    for ends in families() {
        let icmp = match ends {
            Ends::V4(..) => ICMP,
            Ends::V6(..) => ICMPV6,
        };
        for (protocol, number, kind) in [
            (Protocol::Udp, UDP, TestReplyKind::Datagram),
            (Protocol::Icmp, icmp, TestReplyKind::EchoReply),
            (Protocol::Tcp, TCP, TestReplyKind::Reset),
        ] {
            for flags in [TcpFlags::Syn, TcpFlags::Ack, TcpFlags::Psh] {
                // For every value that the probe's checksum could have.
                for mark in 1..=u16::MAX {
                    let test = LoopbackProbe {
                        mark,
                        ..of(protocol, flags)
                    };
                    let sent = probe(&test, ends);
                    assert_ne!(sum(ends, number, &sent), 0xffff, "{test:?}");
                    let reply = reply(kind, &test, ends, &sent);
                    assert_eq!(sum(ends, number, &reply), 0xffff, "{test:?}");
                }
                if protocol != Protocol::Tcp {
                    break;
                }
            }
        }
    }
}

#[test]
fn errors_quote_the_probe() {
    for ends in families() {
        for protocol in [Protocol::Udp, Protocol::Icmp, Protocol::Tcp] {
            let test = of(protocol, TcpFlags::Syn);
            for (kind, expected) in [
                (TestReplyKind::Unreachable, ReplyKind::PortUnreachable),
                (TestReplyKind::TimeExceeded, ReplyKind::TimeExceeded),
            ] {
                let reply = read(kind, &test, ends);
                assert_eq!(reply.kind, expected);
                let quoted = reply.quoted.unwrap();
                let (port, other) = (quoted.src_port(), quoted.icmp_id());
                assert_eq!(port.or(other), Some(24_000));
                let serial = match &quoted.transport {
                    QuotedTransport::Tcp(tcp) => tcp.sequence.map(tcp::serial_of),
                    _ => quoted.serial(),
                };
                assert_eq!(serial, Some(MARK));
            }
        }
    }
}

#[test]
fn targets_answer_the_probe() {
    for ends in families() {
        let echoed = |kind, protocol, flags| read(kind, &of(protocol, flags), ends).echoed.unwrap();
        match echoed(TestReplyKind::EchoReply, Protocol::Icmp, TcpFlags::Syn) {
            Echoed::Echo {
                identifier, serial, ..
            } => assert_eq!((identifier, serial), (24_000, Some(MARK))),
            other => panic!("{other:?}"),
        }
        match echoed(TestReplyKind::Datagram, Protocol::Udp, TcpFlags::Syn) {
            Echoed::Udp {
                src_port,
                dst_port,
                serial,
                ..
            } => assert_eq!((src_port, dst_port, serial), (33_434, 24_000, Some(MARK))),
            other => panic!("{other:?}"),
        }
        for probed in [TcpFlags::Syn, TcpFlags::Ack, TcpFlags::Psh] {
            match echoed(TestReplyKind::Reset, Protocol::Tcp, probed) {
                Echoed::Tcp {
                    src_port,
                    dst_port,
                    flags,
                    sequence,
                    acknowledgement,
                } => {
                    assert_eq!((src_port, dst_port), (33_434, 24_000));
                    let mut answered =
                        tcp::answered_sequences(probed, flags, sequence, acknowledgement);
                    assert!(answered.any(|number| tcp::serial_of(number) == MARK));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
