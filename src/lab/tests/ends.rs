//! Routers that complain, targets that answer from another address, and an address that appears at two hops.

use super::super::{TruthEnd, TruthFlow};
use super::examples::check;
use super::*;
use crate::model::Ttl;

#[test]
fn a_cycle() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.0.2 time_exceeded 1",
        "10.0.0.1 time_exceeded 1",
        "10.0.0.4 time_exceeded 1",
        "10.0.0.5 time_exceeded 1",
        "10.0.0.6 time_exceeded 1",
        "198.18.0.1 port_unreachable 1",
    ];
    check("cycle", "198.18.0.1", 24000, &path);
}

#[test]
fn complaints_keep_nothing_from_passing() {
    let path = [
        "10.0.0.1 time_exceeded 1",
        "10.0.1.1 fragmentation_needed 1",
        "10.0.2.1 administratively_prohibited 1",
        "10.0.3.1 time_exceeded 1",
        "198.18.0.1 port_unreachable 1",
        "198.18.0.1 port_unreachable 2",
    ];
    check("complaints", "198.18.0.1", 24000, &path);
    let flow = TruthFlow::udp(Ipv4Addr::new(198, 18, 0, 1), 24000, PORT);
    let truth = lab("complaints").truth(flow, Ttl(32));
    assert_eq!(truth.end, TruthEnd::Reached(Ttl(5)));
}

#[test]
fn targets_with_another_address() {
    for (target, answers) in [("198.18.0.1", "203.0.113.9"), ("198.18.1.1", "10.0.1.1")] {
        let last = format!("{answers} port_unreachable 1");
        let path = [
            "10.0.0.1 time_exceeded 1",
            "10.0.1.1 time_exceeded 1",
            &last,
        ];
        check("other-address", target, 24000, &path);
        let flow = TruthFlow::udp(v4(target), 24000, PORT);
        let truth = lab("other-address").truth(flow, Ttl(32));
        assert_eq!(truth.end, TruthEnd::Reached(Ttl(3)));
    }
}

/// A router that complains about packets which it forwards: a probe brings two replies, the complaint first.
#[test]
fn a_complaint_about_a_forwarded_packet_is_a_further_answer() {
    let mut network = LabNetwork::from_toml(
        r#"
        [[router]]
        name = "one"
        address = "10.0.0.1"
        complaint = { code = "host_prohibited", about = "forwarded" }
        next = ["two"]
        [[router]]
        name = "two"
        address = "10.0.0.2"
        [[target]]
        prefix = "198.18.0.0/24"
        at = "two"
        "#,
        "inline",
    )
    .unwrap();
    let expired = (11, 0);
    let cases = [
        (1, vec![([10, 0, 0, 1], expired)]),
        (2, vec![([10, 0, 0, 1], (3, 10)), ([10, 0, 0, 2], expired)]),
        (3, vec![([10, 0, 0, 1], (3, 10)), ([198, 18, 0, 1], (3, 3))]),
    ];
    for (ttl, expected) in cases {
        let probe = probe(network.vantage(), v4("198.18.0.1"), 24_000, ttl, 12);
        let mut answers = send(&mut network, &probe, START);
        answers.sort_by_key(|(at, _)| *at);
        let seen: Vec<_> = answers
            .iter()
            .map(|(_, seen)| (seen.responder.octets(), seen.icmp))
            .collect();
        assert_eq!(seen, expected, "TTL {ttl}");
    }
}
