//! What hosts answer to TCP segments: RFC 9293, segment by segment, in both families.

use std::time::Duration;

use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::tcp::{self, MutableTcpPacket, TcpPacket};

use super::super::{TruthFlow, TruthKind};
use super::packets6::{self, VANTAGE};
use super::*;
use crate::model::Ttl;

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

const VANTAGE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The same hosts in both families.
pub(super) const WEB: [&str; 2] = ["198.18.0.9", "2001:db8:1000::9"];
const FILTERED: [&str; 2] = ["198.18.1.9", "2001:db8:1001::9"];
const PROHIBITED: [&str; 2] = ["198.18.2.9", "2001:db8:1002::9"];

/// A segment that we send.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) to: &'a str,
    pub(super) port: u16,
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) data: &'a [u8],
}

pub(super) fn syn(to: &str, port: u16, sequence: u32) -> Sent<'_> {
    Sent {
        to,
        port,
        flags: SYN,
        sequence,
        acknowledgement: 0,
        data: b"",
    }
}

impl Sent<'_> {
    pub(super) fn packet(&self, ttl: u8) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes.extend(self.data);
        let mut segment = MutableTcpPacket::new(&mut bytes).unwrap();
        segment.set_source(24000);
        segment.set_destination(self.port);
        segment.set_sequence(self.sequence);
        segment.set_acknowledgement(self.acknowledgement);
        segment.set_data_offset(5);
        segment.set_flags(self.flags);
        segment.set_window(1024);
        let now = segment.to_immutable();
        match self.to.parse().unwrap() {
            IpAddr::V4(to) => {
                let sum = tcp::ipv4_checksum(&now, &VANTAGE_V4, &to);
                segment.set_checksum(sum);
                packet4(to, 6, ttl, &bytes)
            }
            IpAddr::V6(to) => {
                let sum = tcp::ipv6_checksum(&now, &VANTAGE, &to);
                segment.set_checksum(sum);
                packets6::packet(to, 6, ttl, 0, &bytes)
            }
        }
    }
}

/// A host's reply: flags, sequence number, acknowledgement number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Segment(u8, u32, u32),
    Icmp(u8, u8),
}

/// Sends a segment. Returns the only reply, if there is one.
fn exchange(network: &mut LabNetwork, sent: Sent, at: Time) -> Option<Answer> {
    let mut deliveries = Vec::new();
    network.respond(&sent.packet(64), at, &mut deliveries);
    assert!(deliveries.len() <= 1);
    deliveries
        .pop()
        .map(|delivery| read_answer(&delivery.packet, sent))
}

pub(super) fn read_answer(packet: &[u8], sent: Sent) -> Answer {
    let (protocol, source, bytes) = match packet[0] >> 4 {
        4 => {
            let header = Ipv4Packet::new(packet).unwrap();
            assert_eq!(header.get_checksum(), ipv4::checksum(&header));
            assert_eq!(usize::from(header.get_total_length()), packet.len());
            assert_eq!(header.get_destination(), VANTAGE_V4);
            let source = IpAddr::from(header.get_source());
            (header.get_next_level_protocol().0, source, &packet[20..])
        }
        _ => {
            let (protocol, bytes) = packets6::message(packet);
            let source = Ipv6Packet::new(packet).unwrap().get_source();
            (protocol, source.into(), bytes)
        }
    };
    assert_eq!(source.to_string(), sent.to);
    if protocol != 6 {
        let seen = match source {
            IpAddr::V4(_) => read(packet, VANTAGE_V4).icmp,
            IpAddr::V6(_) => packets6::read(packet).icmp,
        };
        return Answer::Icmp(seen.0, seen.1);
    }
    let segment = TcpPacket::new(bytes).unwrap();
    let sum = match source {
        IpAddr::V4(source) => {
            assert_eq!(packet[4..8], [0, 0, 0x40, 0], "as Linux: no ID, DF");
            tcp::ipv4_checksum(&segment, &source, &VANTAGE_V4)
        }
        IpAddr::V6(source) => tcp::ipv6_checksum(&segment, &source, &VANTAGE),
    };
    assert_eq!(segment.get_checksum(), sum);
    assert_eq!(usize::from(segment.get_data_offset()) * 4, bytes.len());
    assert_eq!(segment.get_source(), sent.port);
    assert_eq!(segment.get_destination(), 24000);
    let (flags, mss) = (segment.get_flags(), bytes.get(20..24));
    let expected: &[u8] = match source {
        IpAddr::V4(_) => &[2, 4, 0x05, 0xb4],
        IpAddr::V6(_) => &[2, 4, 0x05, 0xa0],
    };
    assert_eq!(mss, (flags & SYN != 0).then_some(expected));
    assert_eq!(segment.get_window() == 0, flags & RST != 0);
    Answer::Segment(flags, segment.get_sequence(), segment.get_acknowledgement())
}

/// Sends a SYN. Returns the host's sequence number.
fn half_open(network: &mut LabNetwork, to: &str, sequence: u32) -> u32 {
    let answer = exchange(network, syn(to, 80, sequence), START);
    let Some(Answer::Segment(flags, isn, acknowledged)) = answer else {
        panic!("{answer:?}");
    };
    let expected = (SYN | ACK, sequence.wrapping_add(1));
    assert_eq!((flags, acknowledged), expected);
    isn
}

#[test]
fn an_open_port_answers_a_syn_and_remembers_it() {
    for to in WEB {
        let mut network = lab("hosts");
        let isn = half_open(&mut network, to, u32::MAX);
        assert_eq!(network.statistics().half_open, 1);
        // The same SYN again gets the same answer: it is the same connection.
        assert_eq!(half_open(&mut network, to, u32::MAX), isn);
        assert_eq!(network.statistics().half_open, 1);
        // Another port, another host and another SYN each get another number.
        let Some(Answer::Segment(_, other, _)) =
            exchange(&mut network, syn(to, 443, u32::MAX), START)
        else {
            panic!("443 is open");
        };
        assert_ne!(other, isn);
        assert_eq!(network.statistics().half_open, 2);
        assert_ne!(half_open(&mut lab("hosts"), to, 7), isn);
    }
}

#[test]
fn another_syn_to_a_half_open_connection_draws_a_bare_ack() {
    for to in WEB {
        let mut network = lab("hosts");
        let isn = half_open(&mut network, to, 1000);
        let answer = exchange(&mut network, syn(to, 80, 5_000_000), START);
        let expected = Answer::Segment(ACK, isn.wrapping_add(1), 1001);
        assert_eq!(answer, Some(expected));
        assert_eq!(network.statistics().half_open, 1);
    }
}

#[test]
fn only_a_reset_with_the_right_number_ends_a_half_open_connection() {
    for to in WEB {
        let mut network = lab("hosts");
        let isn = half_open(&mut network, to, 1000);
        let reset = |sequence| Sent {
            flags: RST,
            ..syn(to, 80, sequence)
        };
        for wrong in [1000, 1002, 0, isn] {
            assert_eq!(exchange(&mut network, reset(wrong), START), None);
            assert_eq!(network.statistics().half_open, 1, "{wrong}");
        }
        assert_eq!(exchange(&mut network, reset(1001), START), None);
        let statistics = network.statistics();
        assert_eq!((statistics.half_open, statistics.absorbed), (0, 5));
        assert_eq!(statistics.refused + statistics.silent, 0);
        // After that, a SYN with any number starts a new connection.
        half_open(&mut network, to, 77);
    }
}

#[test]
fn a_half_open_connection_is_forgotten_after_63_seconds() {
    let mut network = lab("hosts");
    half_open(&mut network, WEB[0], 1000);
    let mut after = |seconds| {
        let now = START + Duration::from_secs(seconds);
        exchange(&mut network, syn(WEB[1], 99, 1), now);
        network.statistics().half_open
    };
    assert_eq!((after(62), after(64)), (1, 0));
}

#[test]
fn the_end_of_a_handshake_is_reset() {
    for to in WEB {
        let mut network = lab("hosts");
        let isn = half_open(&mut network, to, 1000);
        let third = |sequence, acknowledgement| Sent {
            flags: ACK,
            acknowledgement,
            ..syn(to, 80, sequence)
        };
        let foreign = exchange(&mut network, third(1001, 55), START);
        assert_eq!(foreign, Some(Answer::Segment(RST, 55, 0)));
        assert_eq!(network.statistics().half_open, 1);
        let right = isn.wrapping_add(1);
        let answer = exchange(&mut network, third(1001, right), START);
        assert_eq!(answer, Some(Answer::Segment(RST, right, 0)));
        assert_eq!(network.statistics().half_open, 0);
    }
}

#[test]
fn a_closed_port_resets_and_counts_what_it_resets() {
    for to in WEB {
        let mut network = lab("hosts");
        let mut ask = |flags, data| {
            let sent = Sent {
                flags,
                data,
                ..syn(to, 81, 1000)
            };
            exchange(&mut network, sent, START)
        };
        let reset = |acknowledged| Some(Answer::Segment(RST | ACK, 0, acknowledged));
        assert_eq!(ask(SYN, b""), reset(1001));
        assert_eq!(ask(SYN, b"data"), reset(1005));
        assert_eq!(ask(FIN, b""), reset(1001));
        assert_eq!(ask(PSH, b"data"), reset(1004));
        assert_eq!(ask(0, b""), reset(1000));
        assert_eq!(ask(RST, b""), None);
        assert_eq!(ask(RST | ACK, b""), None);
        assert_eq!(network.statistics().half_open, 0);
        assert_eq!(network.statistics().absorbed, 2);
    }
}

#[test]
fn an_ack_without_a_connection_is_reset_by_open_and_closed_ports_alike() {
    for to in WEB {
        let mut network = lab("hosts");
        for (port, flags) in [(80, ACK), (81, ACK), (80, SYN | ACK), (80, FIN | ACK)] {
            let sent = Sent {
                flags,
                acknowledgement: 0xdead_beef,
                data: b"xyz",
                ..syn(to, port, 1000)
            };
            let answer = exchange(&mut network, sent, START);
            assert_eq!(answer, Some(Answer::Segment(RST, 0xdead_beef, 0)));
        }
        assert_eq!(network.statistics().half_open, 0);
    }
}

#[test]
fn an_open_port_ignores_segments_of_no_connection() {
    for to in WEB {
        let mut network = lab("hosts");
        for flags in [0, FIN, PSH, RST] {
            let sent = Sent {
                flags,
                ..syn(to, 80, 1000)
            };
            assert_eq!(exchange(&mut network, sent, START), None);
        }
        assert_eq!(network.statistics().absorbed, 4);
        // The same holds while a connection is half open.
        half_open(&mut network, to, 1000);
        let fin = Sent {
            flags: FIN,
            ..syn(to, 80, 1001)
        };
        assert_eq!(exchange(&mut network, fin, START), None);
        assert_eq!(network.statistics().half_open, 1);
    }
}

#[test]
fn firewalls_drop_or_answer_prohibited() {
    let mut network = lab("hosts");
    for to in FILTERED {
        for flags in [SYN, ACK] {
            let sent = Sent {
                flags,
                ..syn(to, 80, 1)
            };
            assert_eq!(exchange(&mut network, sent, START), None);
        }
        let open = exchange(&mut network, syn(to, 443, 1), START);
        assert!(matches!(open, Some(Answer::Segment(_, _, 2))), "{open:?}");
    }
    assert_eq!(network.statistics().silent, 4);
    let said = PROHIBITED.map(|to| exchange(&mut network, syn(to, 80, 1), START));
    assert_eq!(said, [Some(Answer::Icmp(3, 13)), Some(Answer::Icmp(1, 1))]);
}

#[test]
fn a_host_drops_an_invalid_segment() {
    for to in WEB {
        let mut network = lab("hosts");
        let header = if to.contains(':') { 40 } else { 20 };
        for (at, bits) in [(header + 4, 1), (header + 12, 0x40), (header + 12, 0xa0)] {
            let mut packet = syn(to, 80, 1).packet(64);
            packet[at] ^= bits;
            let mut deliveries = Vec::new();
            network.respond(&packet, START, &mut deliveries);
            assert_eq!(deliveries, []);
        }
        assert_eq!(network.statistics().corrupt, 3);
    }
}

#[test]
fn resets_are_never_limited_but_icmp_is() {
    let text = std::fs::read_to_string(labs().join("hosts.toml")).unwrap();
    let text = text.replace("unlimited = true", "");
    let mut network = LabNetwork::from_toml(&text, "limited").unwrap();
    for (to, answered) in [
        (WEB[0], 20),
        (WEB[1], 20),
        (PROHIBITED[0], 6),
        (PROHIBITED[1], 6),
    ] {
        let answers = (0..20).filter_map(|n| exchange(&mut network, syn(to, 99, n), START));
        assert_eq!(answers.count(), answered, "{to}");
    }
}

#[test]
fn truth_says_what_a_syn_brings() {
    let network = lab("hosts");
    for family in 0..2 {
        let told = |to: &str, port| {
            let to: IpAddr = to.parse().unwrap();
            let truth = network.truth(TruthFlow::tcp(to, 24000, port), Ttl(32));
            assert_eq!(truth.path_length(), Some(Ttl(4)));
            truth.hops[3].answer().map(|answer| {
                assert_eq!(answer.quoted_ttl.is_some(), answer.icmp_type().is_some());
                answer.answer
            })
        };
        assert_eq!(told(WEB[family], 80), Some(TruthKind::SynAck));
        assert_eq!(told(WEB[family], 81), Some(TruthKind::Rst));
        assert_eq!(told(FILTERED[family], 80), None);
        assert_eq!(told(FILTERED[family], 443), Some(TruthKind::SynAck));
        let (icmp_type, code) = [(3, 13), (1, 1)][family];
        let prohibited = TruthKind::Icmp { icmp_type, code };
        assert_eq!(told(PROHIBITED[family], 443), Some(prohibited));
    }
}

#[test]
fn the_table_names_what_hosts_answer() {
    let network = lab("hosts");
    let to: IpAddr = WEB[1].parse().unwrap();
    let flow = TruthFlow::tcp(to, 24000, 80).with_flow_label(5);
    let expected = "\
true path from 2001:db8::1 to 2001:db8:1000::9, tcp 24000 to 80, flow label 0x5
ttl  responder                        rtt  answer
  1  2001:db8:f000::1              2.000 ms  time_exceeded
  2  2001:db8:f001::1             12.000 ms  time_exceeded
  3  2001:db8:f002::1             14.000 ms  time_exceeded
  4  2001:db8:1000::9             16.000 ms  syn_ack
the target answers at distance 4
";
    assert_eq!(network.truth(flow, Ttl(32)).to_string(), expected);
    let last = |flow| {
        let table = network.truth(flow, Ttl(32)).to_string();
        let line = table.lines().nth(5).unwrap();
        line.rsplit("ms  ").next().unwrap().to_owned()
    };
    let v4: IpAddr = WEB[0].parse().unwrap();
    let shown = [
        last(TruthFlow::tcp(v4, 24000, 81)),
        last(TruthFlow::udp(v4, 24000, 53)),
        last(TruthFlow::udp(to, 24000, PORT)),
        last(TruthFlow::echo(to, 1, 2)),
        last(TruthFlow::tcp(
            PROHIBITED[1].parse::<IpAddr>().unwrap(),
            1,
            80,
        )),
    ];
    let expected = [
        "rst",
        "udp",
        "port_unreachable",
        "echo_reply",
        "administratively_prohibited",
    ];
    assert_eq!(shown, expected);
    let echo = network.truth(TruthFlow::echo(to, 1, 0xabcd), Ttl(4));
    assert!(
        echo.to_string()
            .contains("icmp echo, identifier 1, checksum 0xabcd\n")
    );
}

#[test]
fn routers_answer_about_segments_and_boxes_adjust_them() {
    let mut network = lab("rewriting");
    // The host behind the box resets. Its reply comes from the address that was probed.
    let to = "198.18.0.9";
    let answer = exchange(&mut network, syn(to, 80, 1), START);
    assert_eq!(answer, Some(Answer::Segment(RST | ACK, 0, 2)));
    let mut deliveries = Vec::new();
    network.respond(&syn(to, 80, 1).packet(1), START, &mut deliveries);
    let seen = read(&deliveries[0].packet, VANTAGE_V4);
    assert_eq!(
        (seen.icmp, &seen.quote[..]),
        ((11, 0), &syn(to, 80, 1).packet(1)[..])
    );
}
