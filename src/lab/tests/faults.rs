//! Each fault, one at a time.

use std::time::Duration;

use super::super::{TruthFlow, TruthOutcome};
use super::*;
use crate::model::Ttl;

fn network(text: &str) -> LabNetwork {
    LabNetwork::from_toml(text, "test.toml").unwrap()
}

/// Two routers and a target. `first` and `second` are additional keys of the routers, `target` of the target.
fn chain(first: &str, second: &str, target: &str) -> LabNetwork {
    network(&format!(
        r#"
        [[router]]
        name = "first"
        address = "10.0.0.1"
        next = ["second"]
        {first}
        [[router]]
        name = "second"
        address = "10.0.0.2"
        {second}
        [[target]]
        prefix = "198.18.0.0/24"
        at = "second"
        {target}
        "#
    ))
}

const TARGET: &str = "198.18.0.1";

fn sent(network: &LabNetwork, ttl: u8) -> Vec<u8> {
    probe(network.vantage(), TARGET.parse().unwrap(), 24000, ttl, 12)
}

#[test]
fn a_quote_is_the_probe_as_it_arrived() {
    let mut network = chain("", "", "");
    let mut expected = sent(&network, 1);
    expected[8] = 1;
    let (_, seen) = ask(&mut network, TARGET, 24000, 2).unwrap();
    assert_eq!(seen.quote, expected);
    assert_eq!(seen.icmp, (11, 0));
}

#[test]
fn quotes_are_as_long_as_the_router_makes_them() {
    let mut short = chain("quote_bytes = 8", "", "");
    assert_eq!(ask(&mut short, TARGET, 24000, 1).unwrap().1.quote.len(), 28);
    let mut full = chain("", "", "");
    let long = probe(full.vantage(), TARGET.parse().unwrap(), 24000, 1, 1000);
    let seen = send(&mut full, &long, START);
    assert_eq!(seen[0].1.quote.len(), 548);
    assert_eq!(seen[0].1.quoted().get_total_length(), 1028);
}

#[test]
fn a_nat_adjusts_the_checksum_and_restores_as_configured() {
    let public = Ipv4Addr::new(203, 0, 113, 7);
    for (restore, address_back, checksum_back) in [
        ("full", true, true),
        ("address_only", true, false),
        ("none", false, false),
    ] {
        let nat = format!(r#"nat = {{ public = "{public}", restore = "{restore}" }}"#);
        let mut network = chain(&nat, "", "");
        let inside = sent(&network, 2);
        let outside = probe(public, TARGET.parse().unwrap(), 24000, 2, 12);
        for ttl in [2, 3] {
            let (_, seen) = ask(&mut network, TARGET, 24000, ttl).unwrap();
            let source = if address_back {
                network.vantage()
            } else {
                public
            };
            assert_eq!(seen.quoted().get_source(), source, "{restore}");
            let sum = if checksum_back {
                &inside[26..28]
            } else {
                &outside[26..28]
            };
            assert_eq!(&seen.quote[26..28], sum, "{restore}");
        }
        // The box itself answers, and quotes the packet as it arrived.
        let (_, own) = ask(&mut network, TARGET, 24000, 1).unwrap();
        assert_eq!(own.quote, sent(&network, 1), "{restore}");
    }
}

#[test]
fn a_rewritten_destination_is_quoted_with_its_checksum() {
    let rewrite = |restore| {
        let rewrite = format!(
            r#"rewrite = {{ from = "198.18.7.0/24", to = "198.18.0.0/24", restore = "{restore}" }}"#
        );
        chain(&rewrite, "", "")
    };
    let mut network = rewrite("none");
    let (_, seen) = ask(&mut network, "198.18.7.1", 24000, 3).unwrap();
    assert_eq!(seen.icmp, (3, 3));
    assert_eq!(seen.responder.to_string(), "198.18.7.1");
    assert_eq!(seen.quoted().get_destination().to_string(), TARGET);
    assert_eq!(&seen.quote[26..28], &sent(&network, 3)[26..28]);
    let (_, seen) = ask(&mut rewrite("full"), "198.18.7.1", 24000, 3).unwrap();
    let original = probe(
        network.vantage(),
        "198.18.7.1".parse().unwrap(),
        24000,
        1,
        12,
    );
    assert_eq!(seen.quote, original);
}

#[test]
fn a_probe_without_checksum_stays_without() {
    let mut network = chain(
        r#"nat = { public = "203.0.113.7", restore = "none" }"#,
        "",
        "",
    );
    let mut packet = sent(&network, 3);
    packet[26..28].fill(0);
    let seen = send(&mut network, &packet, START);
    assert_eq!(
        (seen[0].1.icmp, seen[0].1.quoted_udp_checksum()),
        ((3, 3), 0)
    );
}

#[test]
fn a_target_drops_corrupt_packets_and_routers_ignore_the_damage() {
    let mut network = chain("", "", "");
    for (ttl, answers) in [(2, 1), (3, 0)] {
        let mut packet = sent(&network, ttl);
        packet[27] ^= 1;
        assert_eq!(send(&mut network, &packet, START).len(), answers);
    }
    assert_eq!(network.statistics().corrupt, 1);
    let mut packet = sent(&network, 2);
    packet[11] ^= 1;
    assert_eq!(send(&mut network, &packet, START).len(), 0);
    let stranger = probe(
        Ipv4Addr::new(192, 0, 2, 99),
        TARGET.parse().unwrap(),
        24000,
        1,
        0,
    );
    assert_eq!(send(&mut network, &stranger, START).len(), 0);
    assert_eq!(network.statistics().refused, 2);
}

#[test]
fn a_target_answers_six_times_and_then_once_a_second() {
    let mut network = chain("", "", "");
    let packet = sent(&network, 9);
    let mut answered = |millis| {
        let now = START + Duration::from_millis(millis);
        send(&mut network, &packet, now).len()
    };
    let burst: Vec<_> = (0..8).map(|_| answered(0)).collect();
    assert_eq!(burst, [1, 1, 1, 1, 1, 1, 0, 0]);
    assert_eq!(
        [
            answered(900),
            answered(1000),
            answered(1500),
            answered(2100)
        ],
        [0, 1, 0, 1]
    );
    assert_eq!(network.statistics().rate_limited, 4);
    // Another target has a bucket of its own.
    assert!(ask(&mut network, "198.18.0.2", 24000, 9).is_some());
}

#[test]
fn a_router_limits_all_its_answers_together() {
    let mut network = chain("rate_limit = { per_second = 100, burst = 2 }", "", "");
    let mut answered = |last: u8, millis| {
        let destination = Ipv4Addr::new(198, 18, 0, last);
        let packet = probe(network.vantage(), destination, 24000, 1, 0);
        send(&mut network, &packet, START + Duration::from_millis(millis)).len()
    };
    assert_eq!([answered(1, 0), answered(2, 0), answered(3, 0)], [1, 1, 0]);
    assert_eq!(
        [answered(4, 10), answered(5, 15), answered(6, 20)],
        [1, 0, 1]
    );
}

#[test]
fn probes_and_replies_are_lost_apart() {
    let count = |line: &str, statistic: fn(&LabNetwork) -> u64| {
        let mut network = chain("", line, "unlimited = true");
        for port in 0..2000 {
            ask(&mut network, TARGET, port, 9);
        }
        let statistics = network.statistics();
        let there = statistics.answered + statistics.lost + statistics.replies_lost;
        assert_eq!(there, 2000);
        statistic(&network)
    };
    let lost = count("line = { loss = 0.25 }", |n| n.statistics().lost);
    assert!((400..600).contains(&lost), "{lost}");
    let lost = count("line = { reply_loss = 0.25 }", |n| {
        n.statistics().replies_lost
    });
    assert!((400..600).contains(&lost), "{lost}");
    assert_eq!(count("", |n| n.statistics().answered), 2000);
    // The line in front of the lossy one loses nothing.
    let mut network = chain("", "line = { loss = 1.0 }", "");
    assert!(ask(&mut network, TARGET, 24000, 1).is_some());
    assert!(ask(&mut network, TARGET, 24000, 2).is_none());
    let flow = TruthFlow::udp(v4(TARGET), 24000, PORT);
    let truth = network.truth(flow, Ttl(3));
    let last = TruthOutcome::Silence {
        at: Ipv4Addr::new(10, 0, 0, 1).into(),
        is_target: false,
    };
    assert_eq!(truth.hops[2].outcomes, [last]);
}

#[test]
fn a_link_overrides_the_line_of_its_router() {
    let mut network = network(
        r#"
        line = { delay_ms = 2 }
        [[router]]
        name = "a"
        address = "10.0.0.1"
        next = ["b"]
        [[router]]
        name = "b"
        address = "10.0.0.2"
        line = { delay_ms = 7, loss = 1.0 }
        [[link]]
        from = "a"
        to = "b"
        line = { loss = 0.0 }
        [[link]]
        from = "vantage"
        to = "a"
        line = { delay_ms = 11 }
        [[target]]
        prefix = "198.18.0.1"
        at = "b"
        "#,
    );
    for (ttl, millis) in [(1, 22), (2, 36), (3, 40)] {
        let (at, _) = ask(&mut network, TARGET, 24000, ttl).unwrap();
        assert_eq!(at, START + Duration::from_millis(millis));
    }
}

#[test]
fn a_duplicate_is_the_same_packet_a_little_later() {
    let mut network = chain("", "line = { duplicate = 1.0 }", "");
    let mut deliveries = Vec::new();
    network.respond(&sent(&network, 3), START, &mut deliveries);
    deliveries.sort_by_key(|d| d.at);
    let [first, second] = &deliveries[..] else {
        panic!("{deliveries:?}");
    };
    assert_eq!(first.packet, second.packet);
    assert_eq!(first.at, START + Duration::from_millis(6));
    assert_eq!(second.at, START + Duration::from_micros(6500));
}

#[test]
fn jitter_and_reordering_only_ever_add() {
    let line = "line = { jitter_ms = 2, reorder = 0.5, reorder_ms = 40 }";
    let mut network = chain("", line, "unlimited = true");
    let mut held_back = 0;
    let mut distinct = std::collections::BTreeSet::new();
    for port in 0..400 {
        let (at, _) = ask(&mut network, TARGET, port, 3).unwrap();
        let micros = at.since(START).as_micros();
        distinct.insert(micros);
        match micros {
            6_000..=10_000 => {}
            46_000..=50_000 => held_back += 1,
            _ => panic!("{micros} us"),
        }
    }
    assert!((150..250).contains(&held_back), "{held_back}");
    assert!(distinct.len() > 300);
}

#[test]
fn an_answer_takes_as_long_as_the_router_takes() {
    let mut network = chain("answer_delay_ms = 30", "", "");
    assert_eq!(
        ask(&mut network, TARGET, 24000, 1).unwrap().0,
        START + Duration::from_millis(32)
    );
    assert_eq!(
        ask(&mut network, TARGET, 24000, 2).unwrap().0,
        START + Duration::from_millis(4)
    );
}

#[test]
fn a_label_stack_stands_behind_a_padded_quote() {
    let mut network = lab("mpls");
    let (_, seen) = ask(&mut network, TARGET, 24000, 4).unwrap();
    assert_eq!(seen.labels(), [(24002, false, 1), (300, true, 2)]);
    let mut expected = sent(&network, 2);
    expected.resize(128, 0);
    assert_eq!(seen.quote, expected);
    let (_, hidden) = ask(&mut network, TARGET, 24000, 5).unwrap();
    assert_eq!(hidden.extension, None);
    assert_eq!(hidden.quoted().get_ttl(), 3);
}

#[test]
fn a_tunnel_that_does_not_copy_the_ttl_is_invisible() {
    let mut network = chain(
        "",
        r#"next = ["third"]
        mpls = { labels = [100], propagate_ttl = false }
        [[router]]
        name = "third"
        address = "10.0.0.3"
        routes = [{ to = "198.18.9.0/24", unreachable = "host" }]"#,
        "",
    );
    let shown: Vec<_> = (1..=3)
        .map(|ttl| ask(&mut network, "198.18.9.1", 24000, ttl).unwrap().1)
        .map(|seen| (seen.responder.to_string(), seen.icmp))
        .collect();
    let third = "10.0.0.3".to_owned();
    assert_eq!(
        shown,
        [
            ("10.0.0.1".to_owned(), (11, 0)),
            (third.clone(), (11, 0)),
            (third, (3, 1))
        ]
    );
}

#[test]
fn polarised_routers_choose_alike() {
    let tiers = |polarised: bool| {
        let mut text = format!("polarised = {polarised}\n");
        for (name, next) in [
            ("a", r#""b", "c""#),
            ("b", r#""d", "e""#),
            ("c", r#""f", "g""#),
        ] {
            text += &format!(
                "[[router]]\nname = \"{name}\"\naddress = \"10.0.0.{}\"\nnext = [{next}]\n",
                name.as_bytes()[0]
            );
        }
        for name in ["d", "e", "f", "g"] {
            text += &format!(
                "[[router]]\nname = \"{name}\"\naddress = \"10.0.0.{}\"\n",
                name.as_bytes()[0]
            );
        }
        let mut network = network(&text);
        (0..200)
            .map(|port| ask(&mut network, TARGET, port, 3).unwrap().1.responder)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert_eq!((tiers(true), tiers(false)), (2, 4));
}

#[test]
fn a_target_answers_ping() {
    let mut network = chain("", "", "");
    let mut packet = sent(&network, 64);
    packet[9] = 1;
    packet[20..28].copy_from_slice(&[8, 0, 0, 0, 0x12, 0x34, 0, 1]);
    let sum = util::checksum(&packet[20..], 1);
    packet[22..24].copy_from_slice(&sum.to_be_bytes());
    let sum = util::checksum(&packet[..20], 5);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let (_, seen) = send(&mut network, &packet, START).pop().unwrap();
    assert_eq!(
        (seen.icmp, seen.responder.to_string().as_str()),
        ((0, 0), TARGET)
    );
    assert_eq!(seen.quote, &packet[28..]);
    // If the checksum is wrong, the target is silent.
    packet[30] ^= 1;
    assert_eq!(send(&mut network, &packet, START), []);
}
