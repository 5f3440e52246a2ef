//! What hosts answer to UDP and ping, and the shares of hosts in the generated network.

use std::net::Ipv6Addr;

use pnet_packet::Packet;
use pnet_packet::ipv6::Ipv6Packet;

use super::super::{TruthEnd, TruthFlow, TruthKind};
use super::packets6::{self, VANTAGE, v6};
use super::*;
use crate::model::{ReplyKind, Ttl};

#[test]
fn a_udp_service_answers_from_its_port_as_a_name_server_does() {
    let mut network = lab("hosts");
    let target = Ipv4Addr::new(198, 18, 0, 9);
    let mut query = probe(network.vantage(), target, 24000, 64, 12);
    // To port 53, with the checksum adjusted.
    let mut datagram = MutableUdpPacket::new(&mut query[20..]).unwrap();
    datagram.set_destination(53);
    let sum = udp::ipv4_checksum(&datagram.to_immutable(), &network.vantage(), &target);
    datagram.set_checksum(sum);
    let mut deliveries = Vec::new();
    network.respond(&query, START, &mut deliveries);
    let packet = deliveries.pop().unwrap().packet;
    let header = Ipv4Packet::new(&packet).unwrap();
    assert_eq!(header.get_checksum(), ipv4::checksum(&header));
    assert_eq!(header.get_source(), target);
    let answer = UdpPacket::new(&packet[20..]).unwrap();
    let sum = udp::ipv4_checksum(&answer, &target, &network.vantage());
    assert_eq!(answer.get_checksum(), sum);
    check_service(&answer, &query[28..30]);

    let to = v6("2001:db8:1000::9");
    let query = packets6::datagram(VANTAGE, to, (24000, 53), 12);
    network.respond(
        &packets6::packet(to, 17, 64, 0, &query),
        START,
        &mut deliveries,
    );
    let packet = deliveries.pop().unwrap().packet;
    let (protocol, message) = packets6::message(&packet);
    assert_eq!(
        (protocol, Ipv6Packet::new(&packet).unwrap().get_source()),
        (17, to)
    );
    let answer = UdpPacket::new(message).unwrap();
    assert_eq!(
        answer.get_checksum(),
        udp::ipv6_checksum(&answer, &to, &VANTAGE)
    );
    check_service(&answer, &query[8..10]);

    for to in [IpAddr::from(target), to.into()] {
        let truth = network.truth(TruthFlow::udp(to, 24000, 53), Ttl(32));
        let answer = truth.hops[3].answer().unwrap();
        assert_eq!((answer.answer, answer.quoted_ttl), (TruthKind::Udp, None));
        assert_eq!(
            (answer.icmp_type(), answer.kind()),
            (None, Some(ReplyKind::Udp))
        );
    }
}

/// The identifier of the request, and a response with "format error" (RFC 1035, section 4.1.1).
fn check_service(answer: &UdpPacket, name: &[u8]) {
    assert_eq!((answer.get_source(), answer.get_destination()), (53, 24000));
    assert_eq!(usize::from(answer.get_length()), answer.packet().len());
    assert_eq!(&answer.packet()[8..10], name);
    assert_eq!(answer.packet()[10..], [0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_service_answers_without_limit_and_an_empty_datagram_too() {
    let text = std::fs::read_to_string(labs().join("hosts.toml")).unwrap();
    let text = text.replace("unlimited = true", "");
    let mut network = LabNetwork::from_toml(&text, "limited").unwrap();
    let to = v6("2001:db8:1000::9");
    let mut answers = |port, payload| {
        let query = packets6::datagram(VANTAGE, to, (24000, port), payload);
        let packet = packets6::packet(to, 17, 64, 0, &query);
        let mut deliveries = Vec::new();
        for _ in 0..20 {
            network.respond(&packet, START, &mut deliveries);
        }
        deliveries
    };
    let (empty, full) = (answers(53, 0), answers(53, 1));
    assert_eq!((empty.len(), full.len()), (20, 20));
    assert_eq!(empty[0].packet[48..50], [0, 0]);
    assert_eq!(full[0].packet[48..50], [0x5a, 0]);
    assert_eq!(answers(54, 12).len(), 6);
}

#[test]
fn a_host_may_leave_pings_unanswered() {
    let mut network = lab("hosts");
    for (target, answers) in [("2001:db8:1000::9", true), ("2001:db8:1001::9", false)] {
        let request = packets6::echo(target, 7, 64, b"payload");
        assert_eq!(packets6::ask(&mut network, &request).is_some(), answers);
        let truth = network.truth(TruthFlow::echo(v6(target), 7, 0), Ttl(32));
        assert_eq!(truth.reached(), answers);
        assert_eq!(truth.path_length(), Some(Ttl(4)));
    }
    let answer = |to: IpAddr| {
        let truth = network.truth(TruthFlow::echo(to, 7, 0), Ttl(32));
        let answer = truth.hops[3].answer().unwrap();
        (answer.answer, answer.icmp_type(), answer.icmp_code())
    };
    let reply = TruthKind::EchoReply;
    assert_eq!(answer(v4("198.18.0.9").into()), (reply, Some(0), Some(0)));
    let target = v6("2001:db8:1000::9").into();
    assert_eq!(answer(target), (reply, Some(129), Some(0)));
}

#[test]
fn packets_other_than_probes_are_absorbed_and_not_refused() {
    let mut network = lab("hosts");
    // Our kernel tells the host that the port of its answer is closed.
    let mut told = vec![1, 4, 0, 0, 0, 0, 0, 0];
    told.extend([0x60; 48]);
    let packet = packets6::packet(v6("2001:db8:1000::9"), 58, 64, 0, &told);
    let in_v4 = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &[0x45; 28]].concat();
    let in_v4 = packet4(Ipv4Addr::new(198, 18, 0, 9), 1, 64, &in_v4);
    for packet in [packet, in_v4] {
        let mut deliveries = Vec::new();
        network.respond(&packet, START, &mut deliveries);
        assert_eq!(deliveries, []);
    }
    let statistics = network.statistics();
    assert_eq!((statistics.absorbed, statistics.refused), (2, 0));
}

#[test]
fn generated_hosts_come_in_the_shares_that_are_documented() {
    let network = LabNetwork::generated(1);
    let mut targets: Vec<IpAddr> = Vec::new();
    for n in 0..2000_u16 {
        targets.push(Ipv4Addr::new(198, 18, (n / 250) as u8, (n % 250) as u8 + 1).into());
        targets.push(Ipv6Addr::new(0x2001, 0xdb8, 0x1000 + n, 0, 0, 0, 0, 7).into());
    }
    let end = |flow| {
        let truth = network.truth(flow, Ttl(32));
        let kind = truth
            .hops
            .last()
            .and_then(|hop| hop.answer())
            .map(|a| a.answer);
        match truth.end {
            TruthEnd::Reached(_) => kind,
            _ => None,
        }
    };
    // Of 4,000 targets 5% are silent.
    let share = |flow: &dyn Fn(IpAddr) -> TruthFlow, wanted: &dyn Fn(Option<TruthKind>) -> bool| {
        let count = targets.iter().filter(|to| wanted(end(flow(**to)))).count();
        count as f64 / targets.len() as f64 / 0.95
    };
    let tcp = |port| move |to| TruthFlow::tcp(to, 24000, port);
    let open = |kind| kind == Some(TruthKind::SynAck);
    let close =
        |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.03, "{found}, not {wanted}");
    close(share(&tcp(80), &open), 0.4 * 6.0 / 8.0);
    close(share(&tcp(443), &open), 0.4 * 7.0 / 8.0);
    close(share(&tcp(8080), &|kind| kind == Some(TruthKind::Rst)), 0.6);
    let prohibited = |kind| {
        matches!(
            kind,
            Some(
                TruthKind::Icmp {
                    icmp_type: 3,
                    code: 13
                } | TruthKind::Icmp {
                    icmp_type: 1,
                    code: 1
                }
            )
        )
    };
    close(share(&tcp(8080), &prohibited), 0.05);
    let echo = |to| TruthFlow::echo(to, 1, 2);
    close(
        share(&echo, &|kind| kind == Some(TruthKind::EchoReply)),
        0.9,
    );
    let dns = |to| TruthFlow::udp(to, 24000, 53);
    close(share(&dns, &|kind| kind == Some(TruthKind::Udp)), 0.1);
}
