//! Each example network against paths written by hand: its replies, and its truth.

use std::time::Duration;

use super::super::{TruthEnd, TruthFlow, TruthOutcome};
use super::*;
use crate::model::{ReplyKind, Ttl};

/// What a probe shows, in short form: responder, type of reply, quoted TTL.
fn brief(responder: IpAddr, icmp: (u8, u8), quoted_ttl: u8) -> String {
    let kind = ReplyKind::of_icmpv4(icmp.0, icmp.1).unwrap().as_str();
    format!("{responder} {kind} {quoted_ttl}")
}

/// Checks TTLs from 1 on: `expected` holds what each shows, `*` for silence.
pub(super) fn check(name: &str, destination: &str, port: u16, expected: &[&str]) {
    let mut network = lab(name);
    let flow = TruthFlow::udp(v4(destination), port, PORT);
    let truth = network.truth_of_every_ttl(flow, Ttl(expected.len() as u8));
    for (hop, expected) in truth.hops.iter().zip(expected) {
        let ttl = hop.ttl.0;
        let told = hop.answer().map_or("*".to_owned(), |a| {
            brief(
                a.responder,
                (a.icmp_type().unwrap(), a.icmp_code().unwrap()),
                a.quoted_ttl.unwrap(),
            )
        });
        assert_eq!(told, *expected, "truth of {name}, {destination}, TTL {ttl}");
        let answer = ask(&mut network, destination, port, ttl);
        let answered = answer.as_ref().map_or("*".to_owned(), |(_, seen)| {
            brief(seen.responder.into(), seen.icmp, seen.quoted().get_ttl())
        });
        assert_eq!(
            answered, *expected,
            "answer of {name}, {destination}, TTL {ttl}"
        );
        if let (Some((at, seen)), Some(told)) = (answer, hop.answer()) {
            assert_eq!(at, START + told.rtt);
            assert_eq!(seen.reply_ttl, told.reply_ttl);
            let quoted = seen.quoted();
            assert_eq!(Some(quoted.get_source().into()), told.quoted_source);
            let destination = Some(quoted.get_destination().into());
            assert_eq!(destination, told.quoted_destination);
        }
    }
}

#[test]
fn every_example_loads_and_says_what_it_shows() {
    let mut count = 0;
    for entry in std::fs::read_dir(labs()).unwrap() {
        let path = entry.unwrap().path();
        let network = LabNetwork::from_file(&path).unwrap();
        assert!(!network.description().is_empty(), "{}", path.display());
        assert_eq!(path.file_stem().unwrap().to_str(), Some(network.name()));
        count += 1;
    }
    assert!(count >= 13, "only {count} examples");
}

#[test]
fn clean() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 1",
        "10.0.3.1 time_exceeded 1",
        "198.18.0.77 port_unreachable 1",
        "198.18.0.77 port_unreachable 2",
    ];
    check("clean", "198.18.0.77", 24000, &path);
    let truth = lab("clean").truth(
        TruthFlow::udp(Ipv4Addr::new(198, 18, 0, 77), 24000, PORT),
        Ttl(32),
    );
    assert_eq!(truth.end, TruthEnd::Reached(Ttl(5)));
    let rtts: Vec<_> = truth
        .hops
        .iter()
        .map(|hop| hop.answer().unwrap().rtt)
        .collect();
    assert_eq!(rtts, [2, 10, 30, 35, 36].map(Duration::from_millis));
    let ttls: Vec<_> = truth
        .hops
        .iter()
        .map(|hop| hop.answer().unwrap().reply_ttl)
        .collect();
    assert_eq!(ttls, [255, 254, 253, 252, 60]);
}

#[test]
fn addresses_outside_the_targets_are_unreachable() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 1",
        "10.0.3.1 time_exceeded 1",
        "10.0.3.1 network_unreachable 2",
    ];
    check("clean", "203.0.113.1", 24000, &path);
}

#[test]
fn loss() {
    let truth = lab("loss").truth(
        TruthFlow::udp(Ipv4Addr::new(198, 18, 0, 1), 24000, PORT),
        Ttl(32),
    );
    assert_eq!(truth.end, TruthEnd::Reached(Ttl(4)));
    let rtts: Vec<_> = truth
        .hops
        .iter()
        .map(|hop| hop.answer().unwrap().rtt)
        .collect();
    assert_eq!(rtts, [2, 12, 14, 16].map(Duration::from_millis));
}

#[test]
fn nat() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 1",
        "198.18.0.1 port_unreachable 1",
    ];
    check("nat", "198.18.0.1", 24000, &path);
}

#[test]
fn rewriting() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 1",
        "10.0.3.1 time_exceeded 1",
        "198.18.0.9 port_unreachable 1",
    ];
    check("rewriting", "198.18.0.9", 24000, &path);
    let truth = lab("rewriting").truth(
        TruthFlow::udp(Ipv4Addr::new(198, 18, 0, 9), 24000, PORT),
        Ttl(32),
    );
    let quoted: Vec<_> = truth
        .hops
        .iter()
        .map(|hop| {
            hop.answer()
                .unwrap()
                .quoted_destination
                .unwrap()
                .to_string()
        })
        .collect();
    let expected = [
        "198.18.0.9",
        "198.18.0.9",
        "198.19.0.9",
        "198.19.0.9",
        "198.19.0.9",
    ];
    assert_eq!(quoted, expected);
}

#[test]
fn rate_limit() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 1",
        "198.18.0.1 port_unreachable 1",
    ];
    check("rate-limit", "198.18.0.1", 24000, &path);
}

#[test]
fn silence() {
    let reached = [
        "10.0.0.1 time_exceeded 1",
        "*",
        "10.0.2.1 time_exceeded 1",
        "198.18.0.1 port_unreachable 1",
    ];
    check("silence", "198.18.0.1", 24000, &reached);
    let quiet = [
        "10.0.0.1 time_exceeded 1",
        "*",
        "10.0.2.1 time_exceeded 1",
        "*",
        "*",
    ];
    check("silence", "198.18.1.1", 24000, &quiet);
    check("silence", "198.18.2.1", 24000, &quiet);
    let end = |last| {
        let destination = Ipv4Addr::new(198, 18, last, 1);
        lab("silence")
            .truth(TruthFlow::udp(destination, 24000, PORT), Ttl(32))
            .end
    };
    assert_eq!(end(1), TruthEnd::SilentTarget(Ttl(4)));
    assert_eq!(end(2), TruthEnd::Nowhere);
}

#[test]
fn a_loop() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
    ];
    check("loop", "198.18.1.1", 24000, &path);
    let flow = TruthFlow::udp(Ipv4Addr::new(198, 18, 1, 1), 24000, PORT);
    let truth = lab("loop").truth(flow, Ttl(32));
    assert_eq!((truth.hops.len(), truth.end), (32, TruthEnd::Nowhere));
    // Out over five lines, and back over the two that lead to the router.
    assert_eq!(
        truth.hops[5].answer().unwrap().rtt,
        Duration::from_millis(8)
    );
}

#[test]
fn unreachable() {
    let ends = ["network_unreachable", "host_unreachable"];
    let ends = [ends, ["administratively_prohibited"; 2]].concat();
    for (prefix, end) in (1..).zip(ends) {
        let end = format!("10.0.2.1 {end} 2");
        let path = [
            "10.0.0.1 time_exceeded 1",
            "10.0.1.1 time_exceeded 1",
            "10.0.2.1 time_exceeded 1",
            &end,
        ];
        check("unreachable", &format!("198.18.{prefix}.1"), 24000, &path);
    }
    let at_once = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 host_unreachable 1",
        "10.0.2.1 host_unreachable 2",
    ];
    check("unreachable", "198.18.5.1", 24000, &at_once);
}

#[test]
fn zero_ttl() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 0",
        "10.0.2.1 time_exceeded 1",
        "10.0.3.1 time_exceeded 1",
        "198.18.0.1 port_unreachable 1",
    ];
    check("zero-ttl", "198.18.0.1", 24000, &path);
}

#[test]
fn mpls() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 time_exceeded 1",
        "10.0.2.1 time_exceeded 1",
        "10.0.2.2 time_exceeded 2",
        "10.0.2.3 time_exceeded 3",
        "10.0.3.1 time_exceeded 1",
        "198.18.0.1 port_unreachable 1",
    ];
    check("mpls", "198.18.0.1", 24000, &path);
}

#[test]
fn diamond() {
    let truth = |port| {
        let flow = TruthFlow::udp(Ipv4Addr::new(198, 18, 0, 1), port, PORT);
        lab("diamond").truth(flow, Ttl(32))
    };
    let through = |port, ttl| {
        truth(port)
            .hop(Ttl(ttl))
            .unwrap()
            .responder()
            .unwrap()
            .to_string()
    };
    let left = (24000..24100)
        .find(|port| through(*port, 3) == "10.0.2.1")
        .unwrap();
    let right = (24000..24100)
        .find(|port| through(*port, 3) == "10.0.3.1")
        .unwrap();
    for (port, middle, join) in [
        (left, &["10.0.2.1", "10.0.2.2"][..], 5),
        (right, &["10.0.3.1"][..], 4),
    ] {
        let last = through(port, join + 1);
        assert!(["10.0.5.1", "10.0.5.2", "10.0.5.3"].contains(&last.as_str()));
        let hops = [
            &["10.0.0.1", "10.0.1.1"],
            middle,
            &["10.0.4.1", &last, "10.0.6.1"],
        ]
        .concat();
        let hops = hops.iter().map(|hop| format!("{hop} time_exceeded 1"));
        let mut path: Vec<_> = hops.collect();
        path.push("198.18.0.1 port_unreachable 1".to_owned());
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        check("diamond", "198.18.0.1", port, &path);
        assert_eq!(truth(port).path_length(), Some(Ttl(join + 3)));
    }
}

#[test]
fn per_packet() {
    let mut network = lab("per-packet");
    let flow = TruthFlow::udp(Ipv4Addr::new(198, 18, 0, 1), 24000, PORT);
    let truth = network.truth(flow, Ttl(32));
    let second: Vec<_> = truth.hops[1]
        .candidates()
        .map(|a| a.responder.to_string())
        .collect();
    assert_eq!(second, ["10.0.1.1", "10.0.1.2"]);
    assert_eq!(truth.hops[1].responder(), None);
    let rtts: Vec<_> = truth.hops[2]
        .candidates()
        .map(|a| a.rtt.as_millis())
        .collect();
    assert_eq!(rtts, [6, 10]);
    assert_eq!(truth.end, TruthEnd::Reached(Ttl(4)));
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..400 {
        let (_, seen) = ask(&mut network, "198.18.0.1", 24000, 2).unwrap();
        *counts.entry(seen.responder.to_string()).or_insert(0) += 1;
    }
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["10.0.1.1", "10.0.1.2"]);
    assert!(counts.values().all(|count| *count > 150), "{counts:?}");
}

#[test]
fn the_table_names_silence_labels_and_the_end() {
    let flow = TruthFlow::udp(Ipv4Addr::new(198, 18, 0, 1), 24000, PORT);
    let table = lab("mpls").truth(flow, Ttl(32)).to_string();
    let expected = "\
true path from 192.0.2.1 to 198.18.0.1, udp 24000 to 33434
ttl  responder              rtt  answer
  1  10.0.0.1            2.000 ms  time_exceeded
  2  10.0.1.1            4.000 ms  time_exceeded
  3  10.0.2.1            6.000 ms  time_exceeded, MPLS 24001
  4  10.0.2.2            8.000 ms  time_exceeded, quoted TTL 2, MPLS 24002 / 300
  5  10.0.2.3           10.000 ms  time_exceeded, quoted TTL 3
  6  10.0.3.1           12.000 ms  time_exceeded
  7  198.18.0.1         14.000 ms  port_unreachable
the target answers at distance 7
";
    assert_eq!(table, expected);
    let silence = lab("silence").truth(flow, Ttl(32));
    assert!(
        silence
            .to_string()
            .contains("  2  *                             10.0.1.1 is silent\n"),
        "{silence}"
    );
    assert!(matches!(
        silence.hops[1].outcomes[..],
        [TruthOutcome::Silence {
            is_target: false,
            ..
        }]
    ));
}
