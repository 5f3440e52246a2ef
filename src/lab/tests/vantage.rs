//! The packets that the virtual vantage point sends by itself: RFC 9293, state CLOSED, in both families.

use std::time::Duration;

use super::super::hosts::vantage;
use super::super::{Recording, VirtualNetwork};
use super::tcp::{ACK, Answer, FIN, PSH, RST, SYN, Sent, WEB, read_answer, syn};
use super::*;

/// What the vantage point sends when a segment arrives. Here the segment goes to a host's address, so that the helpers for hosts can
/// read the reset. The rules do not depend on the address.
fn on_arrival(segment: Sent) -> Option<Answer> {
    let reset = vantage::answer(&segment.packet(50))?;
    let ttl = if reset[0] >> 4 == 4 { 8 } else { 7 };
    assert_eq!(reset[ttl], 64);
    Some(read_answer(&reset, segment))
}

/// The packet with the byte at `offset` behind the IP header changed.
fn damaged(segment: Sent, offset: usize) -> Vec<u8> {
    let mut packet = segment.packet(50);
    let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
    packet[header + offset] ^= 1;
    packet
}

#[test]
fn a_segment_with_ack_is_reset_with_the_number_it_acknowledges() {
    for to in WEB {
        for flags in [SYN | ACK, ACK, PSH | ACK, FIN | ACK] {
            for acknowledgement in [0, 1001, u32::MAX] {
                let segment = Sent {
                    flags,
                    acknowledgement,
                    ..syn(to, 443, 7)
                };
                let expected = Answer::Segment(RST, acknowledgement, 0);
                assert_eq!(on_arrival(segment), Some(expected), "{to} {flags}");
            }
        }
    }
}

#[test]
fn any_other_is_reset_with_the_number_behind_it() {
    for to in WEB {
        for (flags, data, length) in [
            (SYN, &b""[..], 1),
            (SYN, b"hello", 6),
            (SYN | FIN, b"", 2),
            (FIN, b"hi", 3),
            (PSH, b"hi", 2),
            (0, b"", 0),
        ] {
            for sequence in [7_u32, u32::MAX] {
                let segment = Sent {
                    flags,
                    data,
                    acknowledgement: 99,
                    ..syn(to, 443, sequence)
                };
                let next = sequence.wrapping_add(length);
                let expected = Answer::Segment(RST | ACK, 0, next);
                assert_eq!(on_arrival(segment), Some(expected), "{to} {flags}");
            }
        }
    }
}

#[test]
fn a_reset_is_never_reset() {
    for to in WEB {
        for flags in [RST, RST | ACK, RST | SYN, RST | SYN | ACK] {
            let segment = Sent {
                flags,
                ..syn(to, 443, 7)
            };
            assert_eq!(on_arrival(segment), None, "{to} {flags}");
        }
    }
}

#[test]
fn damaged_segments_and_other_protocols_get_no_answer() {
    for to in WEB {
        let segment = syn(to, 443, 7);
        assert!(vantage::answer(&segment.packet(50)).is_some());
        for offset in 0..20 {
            assert_eq!(vantage::answer(&damaged(segment, offset)), None);
        }
        let whole = segment.packet(50);
        for length in 0..whole.len() {
            assert_eq!(vantage::answer(&whole[..length]), None, "{length}");
        }
    }
    let mut network = lab("hosts");
    for (destination, ttl) in [("198.18.0.9", 2), ("198.18.0.9", 64)] {
        let to = destination.parse().unwrap();
        let mut deliveries = Vec::new();
        let probe = probe(network.vantage(), to, 24_000, ttl, 12);
        assert_eq!(vantage::answer(&probe), None, "UDP");
        network.respond(&probe, START, &mut deliveries);
        assert_eq!(deliveries.len(), 1);
        assert_eq!(vantage::answer(&deliveries[0].packet), None, "ICMP");
    }
}

/// The next arrival, and its time.
fn arrival(network: &mut VirtualNetwork<LabNetwork>) -> (Time, Vec<u8>) {
    let at = network.next_arrival().unwrap();
    network.receive(at).unwrap()
}

#[test]
fn a_connection_is_half_open_until_its_syn_ack_arrives() {
    for to in WEB {
        let mut network = VirtualNetwork::new(lab("hosts"));
        // A SYN-ACK each time. A half-open connection would bring a bare ACK.
        for (second, sequence) in [(0, 1_000), (1, 50_000_000), (2, 3_000_000_000)] {
            let first = syn(to, 443, sequence);
            network.send(&first.packet(64), START + Duration::from_secs(second));
            assert_eq!(network.network().statistics().half_open, 1);
            let (_, packet) = arrival(&mut network);
            let Answer::Segment(flags, _, acknowledged) = read_answer(&packet, first) else {
                panic!("443 is open");
            };
            assert_eq!((flags, acknowledged), (SYN | ACK, sequence + 1));
            assert_eq!(network.network().statistics().half_open, 0);
            assert_eq!(network.next_arrival(), None, "a reset brings nothing");
        }
        let statistics = network.network().statistics();
        assert_eq!((statistics.received, statistics.absorbed), (6, 3));
    }
}

#[test]
fn a_reset_enters_the_network_when_its_segment_arrives() {
    let (recording, log) = Recording::new(lab("hosts"));
    let mut network = VirtualNetwork::new(recording);
    network.send(&syn(WEB[0], 443, 7).packet(64), START);
    let at = network.next_arrival().unwrap();
    let late = at + Duration::from_secs(1);
    assert_eq!(network.receive(late).map(|(at, _)| at), Some(at));
    // Packets were sent meanwhile, and the network's time does not go back.
    network.send(&syn(WEB[0], 443, 8).packet(64), late);
    let second = network.next_arrival().unwrap();
    let later = second + Duration::from_secs(1);
    network.send(&syn(WEB[0], 80, 9).packet(64), later);
    assert_eq!(network.receive(later).map(|(at, _)| at), Some(second));
    let times: Vec<Time> = log.take().iter().map(|packet| packet.sent_at).collect();
    assert_eq!(times, [START, at, late, later, later]);
}

#[test]
fn a_reset_may_be_lost_as_any_packet() {
    let text = std::fs::read_to_string(labs().join("hosts.toml")).unwrap();
    let lossy = text.replace("delay_ms = 5", "delay_ms = 5, loss = 0.5");
    assert_ne!(lossy, text);
    let mut network = VirtualNetwork::new(LabNetwork::from_toml(&lossy, "lossy").unwrap());
    let hosts: Vec<String> = (0..200).map(|n| format!("198.18.0.{n}")).collect();
    for host in &hosts {
        network.send(&syn(host, 443, 7).packet(64), START);
    }
    let syn_acks = std::iter::from_fn(|| network.next_arrival().and_then(|at| network.receive(at)));
    let resets = syn_acks.count() as u64;
    let statistics = network.network().statistics();
    assert_eq!(statistics.received, 200 + resets);
    assert!(statistics.absorbed > resets / 4 && statistics.absorbed < resets * 3 / 4);
    // Hosts that did not receive the reset still wait for the end of the handshake.
    assert_eq!(statistics.half_open, resets - statistics.absorbed);
}
