//! Answers that are rare and right: behind IPv6 extension headers, in fragments, with structures in odd places. Every row is what the
//! network showed, and every packet is accounted for.

use std::net::IpAddr;

use pathsurvey::model::{
    DiscardReason, Evidence, HopRecord, Protocol, ReplyKind, Status, StopReason, TcpFlags, Ttl,
};
use pathsurvey::targets::Families;

use super::experiment::{Observed, config, inline, lab, observe};

const DISTANCE: u8 = 7;
const TARGETS: [&str; 4] = [
    "198.18.0.0/29",
    "2001:db8:1000::1",
    "2001:db8:1000::2",
    "2001:db8:1000::3",
];

fn survey(protocol: Protocol, tcp_flags: TcpFlags, port: u16) -> Observed {
    let mut survey = config(&TARGETS, 1);
    survey.targets.families = Families::Both;
    survey.protocol = protocol;
    survey.tcp_flags = tcp_flags;
    survey.destination_port = port;
    observe(survey, lab("odd-packets", 1))
}

/// The address that must answer at a TTL, and the labels that it shows.
fn expected(destination: IpAddr, ttl: u8) -> (IpAddr, Vec<u32>) {
    if ttl >= DISTANCE {
        return (destination, vec![]);
    }
    let router = match destination {
        IpAddr::V4(_) => IpAddr::from([10, 0, ttl - 1, 1]),
        IpAddr::V6(_) => format!("2001:db8:f00{}::1", ttl - 1).parse().unwrap(),
    };
    let labels = match ttl {
        2 => vec![24_001, 300],
        6 => vec![24_002],
        _ => vec![],
    };
    (router, labels)
}

fn check(row: &HopRecord, ttl: Ttl) {
    let reply = row.reply.as_ref().expect("an answer");
    let (responder, labels) = expected(row.destination, ttl.0);
    let what = format!("{} at {}", row.destination, ttl.0);
    assert_eq!(reply.responder, responder, "{what}");
    let shown: Vec<u32> = reply.mpls.iter().map(|entry| entry.label).collect();
    assert_eq!(shown, labels, "{what}");
    assert_eq!(
        reply.kind == ReplyKind::TimeExceeded,
        ttl.0 < DISTANCE,
        "{what}"
    );
}

#[test]
fn rare_answers_are_read_as_plain_ones_are() {
    let syn = TcpFlags::Syn;
    for (protocol, flags, port) in [
        (Protocol::Udp, syn, 33_434),
        (Protocol::Icmp, syn, 33_434),
        (Protocol::Tcp, syn, 443),
        (Protocol::Tcp, syn, 80),
        (Protocol::Tcp, TcpFlags::Ack, 80),
        (Protocol::Tcp, TcpFlags::Psh, 80),
    ] {
        let run = survey(protocol, flags, port);
        assert_eq!(run.traces.len(), 11);
        for trace in &run.traces {
            assert_eq!(trace.stop_reason, StopReason::Completed, "{protocol:?}");
            assert_eq!(trace.path_length, Some(Ttl(DISTANCE)));
            assert!(trace.reached);
        }
        for row in &run.hops {
            assert_eq!(row.status, Status::Replied, "{protocol:?} {row:?}");
            assert_eq!(row.evidence, Some(Evidence::Full));
            check(row, row.ttl.expect("a TTL"));
        }
        let statistics = &run.tally.statistics;
        for reason in DiscardReason::ALL {
            assert_eq!(statistics.discarded(reason), 0, "{protocol:?} {reason:?}");
        }
        assert_eq!(statistics.packets_received, run.hops.len() as u64);
    }
}

/// Half of the answers come twice, so do their fragments; a third are lost after the first router, whole.
#[test]
fn every_fragment_is_part_of_an_answer_or_counted() {
    let network = r#"
        [[router]]
        name = "one"
        address = "10.0.0.1"
        next = ["two"]
        answer_fragments = 16
        [[router]]
        name = "two"
        address = "10.0.1.1"
        line = { duplicate = 0.5, reply_loss = 0.3 }
        answer_fragments = 24
        [[target]]
        prefix = "198.18.0.0/24"
        at = "two"
        answer_fragments = 40
        unlimited = true
        "#;
    let run = observe(config(&["198.18.0.0/24"], 3), inline(network));
    let replied = run.hops.iter().filter(|row| row.reply.is_some()).count();
    let duplicates = run
        .hops
        .iter()
        .filter(|row| row.status == Status::Duplicate);
    assert!(duplicates.count() > 50);
    let statistics = &run.tally.statistics;
    let discarded = DiscardReason::ALL.map(|reason| statistics.discarded(reason));
    assert_eq!(discarded.iter().sum::<u64>(), 0, "{discarded:?}");
    assert_eq!(statistics.packets_received, replied as u64);
}
