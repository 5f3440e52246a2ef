//! IPv6: the replies, and the truth.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use super::super::{GeneratedOptions, TruthEnd, TruthFlow, TruthKind, TruthOutcome};
use super::packets6::{self, VANTAGE, ask, datagram, echo, packet, probe, v6, who};
use super::*;
use crate::model::Ttl;

const TARGET: &str = "2001:db8:1000::7";

fn network(text: &str) -> LabNetwork {
    LabNetwork::from_toml(text, "test.toml").unwrap()
}

/// Two routers, and targets in 2001:db8:1000::/48. `first` and `second` are additional keys of the routers.
fn chain(first: &str, second: &str) -> LabNetwork {
    network(&format!(
        r#"
        [[router]]
        name = "first"
        address6 = "2001:db8:f000::1"
        next = ["second"]
        {first}
        [[router]]
        name = "second"
        address6 = "2001:db8:f000::2"
        {second}
        [[target]]
        prefix = "2001:db8:1000::/48"
        at = "second"
        "#
    ))
}

/// What every TTL of a flow shows, both in the truth and in the network.
fn agrees(network: &mut LabNetwork, flow: TruthFlow, packet: impl Fn(u8) -> Vec<u8>, ttls: u8) {
    let truth = network.truth_of_every_ttl(flow, Ttl(ttls));
    assert_eq!(truth.vantage, IpAddr::from(VANTAGE));
    for hop in &truth.hops {
        let answer = ask(network, &packet(hop.ttl.0));
        let (Some(told), Some((at, seen))) = (hop.answer(), &answer) else {
            assert!(hop.is_silent() && answer.is_none(), "{truth}{answer:?}");
            continue;
        };
        assert_eq!(told.responder, IpAddr::from(seen.responder));
        assert_eq!(told.icmp_type(), Some(seen.icmp.0));
        assert_eq!(told.icmp_code(), Some(seen.icmp.1));
        assert_eq!(told.reply_ttl, seen.hop_limit);
        assert_eq!(*at, START + told.rtt);
        if told.answer == TruthKind::EchoReply {
            assert_eq!(told.quoted_ttl, None);
            continue;
        }
        let quoted = seen.quoted();
        assert_eq!(told.quoted_ttl, Some(quoted.get_hop_limit()));
        assert_eq!(told.quoted_source, Some(quoted.get_source().into()));
        let destination = Some(quoted.get_destination().into());
        assert_eq!(told.quoted_destination, destination);
        assert_eq!(
            told.mpls.is_empty(),
            seen.extension.is_none(),
            "{truth}{seen:?}"
        );
    }
}

#[test]
fn a_dual_stack_path_shows_the_addresses_of_the_family() {
    let mut network = lab("dual-stack");
    assert_eq!(network.vantage_v4(), Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(network.vantage_v6(), Some(VANTAGE));
    let flow = TruthFlow::udp(v6(TARGET), 24000, PORT);
    let truth = network.truth(flow, Ttl(32));
    let told: Vec<_> = truth.hops.iter().map(|hop| hop.responder()).collect();
    let shown: Vec<_> = told
        .iter()
        .map(|address| address.map_or("*".to_owned(), |a| a.to_string()))
        .collect();
    assert_eq!(shown[..2], ["2001:db8:f000::1", "2001:db8:f001::1"]);
    assert!(shown[2].starts_with("2001:db8:f002::"), "{truth}");
    let end = ["*", "2001:db8:f004::1", "2001:db8:f005::1", TARGET];
    assert_eq!(shown[3..], end);
    assert_eq!(truth.end, TruthEnd::Reached(Ttl(7)));
    // The router without an IPv6 address is named by its IPv4 address.
    let silent = TruthOutcome::Silence {
        at: Ipv4Addr::new(10, 0, 3, 1).into(),
        is_target: false,
    };
    assert_eq!(truth.hops[3].outcomes, [silent]);
    agrees(&mut network, flow, |ttl| probe(TARGET, 24000, ttl, 0), 9);
    // The same file in IPv4: now the other router is silent.
    let flow = TruthFlow::udp(Ipv4Addr::new(198, 18, 0, 7), 24000, PORT);
    let truth = network.truth(flow, Ttl(32));
    let silent: Vec<_> = truth.hops.iter().filter(|hop| hop.is_silent()).collect();
    assert_eq!((silent.len(), silent[0].ttl), (1, Ttl(5)));
    assert_eq!(truth.vantage, IpAddr::from(network.vantage()));
}

#[test]
fn flow_labels_and_ports_choose_the_way_and_nothing_else_does() {
    let mut network = lab("dual-stack");
    let mut ways = BTreeSet::new();
    for label in 0..64 {
        let flow = TruthFlow::udp(v6(TARGET), 24000, PORT).with_flow_label(label);
        agrees(
            &mut network,
            flow,
            |ttl| probe(TARGET, 24000, ttl, label),
            7,
        );
        ways.insert(network.truth(flow, Ttl(3)).hops[2].responder());
    }
    assert_eq!(ways.len(), 2);
    let third = |flow| network.truth(flow, Ttl(3)).hops[2].responder();
    let ports: BTreeSet<_> = (0..64)
        .map(|port| third(TruthFlow::udp(v6(TARGET), port, PORT)))
        .collect();
    let identifiers: BTreeSet<_> = (0..64)
        .map(|identifier| third(TruthFlow::echo(v6(TARGET), identifier, 7)))
        .collect();
    let checksums: BTreeSet<_> = (0..64)
        .map(|checksum| third(TruthFlow::echo(v6(TARGET), 7, checksum)))
        .collect();
    assert_eq!((ports.len(), identifiers.len(), checksums.len()), (2, 2, 2));
    let unlabelled = TruthFlow::udp(v6(TARGET), 24000, PORT);
    assert_eq!(third(unlabelled), third(unlabelled.with_flow_label(0)));
}

#[test]
fn an_echo_request_finds_the_way_that_truth_says() {
    let mut network = lab("dual-stack");
    for identifier in 0..32 {
        let request = |ttl| echo(TARGET, identifier, ttl, b"all of this comes back");
        let sum = u16::from_be_bytes([request(1)[42], request(1)[43]]);
        let flow = TruthFlow::echo(v6(TARGET), identifier, sum);
        agrees(&mut network, flow, request, 9);
    }
    let request = echo(TARGET, 5, 64, b"all of this comes back");
    let (_, seen) = ask(&mut network, &request).unwrap();
    assert_eq!((seen.icmp, seen.responder), ((129, 0), v6(TARGET)));
    assert_eq!(seen.quote, request[44..]);
    let mut corrupt = request;
    corrupt[50] ^= 1;
    assert_eq!(ask(&mut network, &corrupt), None);
    assert_eq!(network.statistics().corrupt, 1);
}

#[test]
fn a_quote_is_all_that_fits_into_1280_bytes() {
    let mut network = chain("", "");
    let to = v6(TARGET);
    let long = |payload| {
        let message = datagram(VANTAGE, to, (24000, PORT), payload);
        packet(to, 17, 1, 0x12345, &message)
    };
    let (_, seen) = ask(&mut network, &long(100)).unwrap();
    assert_eq!(seen.quote, long(100));
    let (_, seen) = ask(&mut network, &long(1400)).unwrap();
    assert_eq!(seen.quote, long(1400)[..1280 - 48]);
    let mut short = chain("quote_bytes = 8", "");
    let (_, seen) = ask(&mut short, &long(100)).unwrap();
    assert_eq!(seen.quote, long(100)[..48]);
}

#[test]
fn codes_of_destination_unreachable_are_those_of_icmpv6() {
    for (name, icmp) in [
        ("network", (1, 0)),
        ("host", (1, 3)),
        ("protocol", (4, 1)),
        ("port", (1, 4)),
        ("admin_prohibited", (1, 1)),
        ("host_precedence", (1, 6)),
    ] {
        let route =
            format!("routes = [{{ to = \"2001:db8:1009::/48\", unreachable = \"{name}\" }}]");
        let mut network = chain("", &route);
        let target = "2001:db8:1009::1";
        let (_, seen) = ask(&mut network, &probe(target, 24000, 9, 0)).unwrap();
        assert_eq!((seen.icmp, seen.responder), (icmp, v6("2001:db8:f000::2")));
        assert_eq!(seen.rest, if name == "protocol" { 6 } else { 0 });
        let truth = network.truth(TruthFlow::udp(v6(target), 24000, PORT), Ttl(9));
        assert_eq!(truth.end, TruthEnd::Unreachable(Ttl(3)), "{name}");
    }
    let mut network = chain("", "");
    assert_eq!(
        who(&mut network, "2001:db8:7777::1", 9),
        Some(("2001:db8:f000::2".to_owned(), (1, 0)))
    );
}

#[test]
fn a_packet_larger_than_the_mtu_is_too_big() {
    let mut network = chain("", "line = { mtu = 1300 }");
    let to = v6(TARGET);
    let sized = |size: usize| {
        let message = datagram(VANTAGE, to, (24000, PORT), size - 48);
        packet(to, 17, 9, 0, &message)
    };
    let (_, seen) = ask(&mut network, &sized(1301)).unwrap();
    assert_eq!((seen.icmp, seen.rest), ((2, 0), 1300));
    assert_eq!(seen.responder, v6("2001:db8:f000::1"));
    let (_, seen) = ask(&mut network, &sized(1300)).unwrap();
    assert_eq!((seen.icmp, seen.responder), ((1, 4), to));
}

#[test]
fn in_ipv4_only_what_must_not_be_cut_is_too_big() {
    let mut network = network(
        r#"
        line = { mtu = 1280 }
        [[router]]
        name = "a"
        address = "10.0.0.1"
        [[target]]
        prefix = "198.18.0.0/24"
        at = "a"
        "#,
    );
    let mut large = super::probe(network.vantage(), v4("198.18.0.1"), 24000, 9, 1300);
    assert_eq!(send(&mut network, &large, START)[0].1.icmp, (3, 3));
    large[6] = 0x40;
    let sum = util::checksum(&large[..20], 5);
    large[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut deliveries = Vec::new();
    network.respond(&large, START, &mut deliveries);
    let told = &deliveries[0].packet[20..];
    assert_eq!((told[0], told[1]), (3, 4));
    assert_eq!(told[4..8], [0, 0, 5, 0]);
}

#[test]
fn labels_stand_behind_a_quote_counted_in_words_of_64_bits() {
    let mut network = chain("", "mpls = { labels = [24001, 300] }");
    let mut deliveries = Vec::new();
    network.respond(&probe(TARGET, 24000, 2, 0), START, &mut deliveries);
    assert_eq!(deliveries[0].packet[44], 16);
    let seen = packets6::read(&deliveries[0].packet);
    assert_eq!(seen.icmp, (3, 0));
    let mut expected = probe(TARGET, 24000, 1, 0);
    expected.resize(128, 0);
    assert_eq!(seen.quote, expected);
    let stack = &seen.extension.unwrap()[8..];
    let labels: Vec<_> = stack
        .chunks_exact(4)
        .map(|e| u32::from_be_bytes(e.try_into().unwrap()) >> 12)
        .collect();
    assert_eq!(labels, [24001, 300]);
}

#[test]
fn a_box_rewrites_ipv6_destinations_and_their_checksums() {
    let rewrite = |restore| {
        let rewrite = format!(
            r#"rewrite = {{ from = "2001:db8:7::/48", to = "2001:db8:1000::/48", restore = "{restore}" }}"#
        );
        chain(&rewrite, "")
    };
    let mut network = rewrite("none");
    let (_, seen) = ask(&mut network, &probe("2001:db8:7::9", 24000, 9, 0)).unwrap();
    assert_eq!((seen.icmp, seen.responder), ((1, 4), v6("2001:db8:7::9")));
    let inside = probe("2001:db8:1000::9", 24000, 7, 0);
    assert_eq!(seen.quote, inside);
    let (_, seen) = ask(&mut rewrite("full"), &probe("2001:db8:7::9", 24000, 9, 0)).unwrap();
    assert_eq!(seen.quote, probe("2001:db8:7::9", 24000, 7, 0));
    // The checksum of ICMPv6 covers the addresses as well.
    let (_, seen) = ask(&mut network, &echo("2001:db8:7::9", 3, 9, b"")).unwrap();
    assert_eq!((seen.icmp, seen.responder), ((129, 0), v6("2001:db8:7::9")));
}

#[test]
fn the_first_router_drops_what_is_no_ipv6_probe() {
    let mut network = chain("", "");
    let sound = probe(TARGET, 24000, 1, 0);
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        bytes
    };
    let refused = [
        changed(|b| b.truncate(39)),
        changed(|b| b.truncate(59)),
        // A fragment header.
        changed(|b| b[6] = 44),
        // Another source; a multicast destination; a link-local destination; our own address.
        changed(|b| b[23] = 2),
        changed(|b| b[24] = 0xff),
        changed(|b| b[24..26].copy_from_slice(&[0xfe, 0x80])),
        changed(|b| b.copy_within(8..24, 24)),
    ];
    for (count, packet) in refused.iter().enumerate() {
        assert_eq!(ask(&mut network, packet), None, "{packet:?}");
        assert_eq!(network.statistics().refused, count as u64 + 1);
    }
    assert!(ask(&mut network, &sound).is_some());
    // A target accepts no UDP without a checksum in IPv6 (RFC 8200, section 8.1).
    let mut unchecked = probe(TARGET, 24000, 9, 0);
    unchecked[46..48].fill(0);
    assert_eq!(ask(&mut network, &unchecked), None);
    assert_eq!(network.statistics().corrupt, 1);
    // A network without IPv6 drops all of these.
    let mut clean = lab("clean");
    assert_eq!(clean.vantage_v6(), None);
    assert_eq!(ask(&mut clean, &sound), None);
    let truth = clean.truth(TruthFlow::udp(v6(TARGET), 24000, PORT), Ttl(3));
    assert_eq!(truth.end, TruthEnd::Nowhere);
}

#[test]
fn a_generated_network_answers_ipv6_as_its_truth_says() {
    let mut network = LabNetwork::generated_with(3, GeneratedOptions::clean());
    let mut distances = BTreeSet::new();
    for n in 0..200_u16 {
        let target = Ipv6Addr::new(0x2001, 0xdb8, 0x1000 + n * 20, n, 0, 0, 0, n + 1);
        let text = target.to_string();
        let (port, label) = (24000 + n % 16, u32::from(n % 5) * 70_001);
        let flow = TruthFlow::udp(target, port, PORT).with_flow_label(label);
        agrees(&mut network, flow, |ttl| probe(&text, port, ttl, label), 18);
        let truth = network.truth(flow, Ttl(32));
        let TruthEnd::Reached(Ttl(distance)) = truth.end else {
            panic!("{truth}");
        };
        assert!((6..=16).contains(&distance), "{truth}");
        distances.insert(distance);
        let last = truth.hops[usize::from(distance) - 2].responder();
        let named = Ipv6Addr::new(0x2001, 0xdb8, 0x2000 + n * 20, 0, 0, 0, 0, 1);
        assert_eq!(last, Some(named.into()));
        let longest = Duration::from_millis(150);
        assert!(truth.hops.iter().all(|h| h.answer().unwrap().rtt < longest));
    }
    assert!(distances.len() >= 7, "{distances:?}");
    let prefixes = network.target_prefixes().to_vec();
    let covered = |text: &str| prefixes.iter().any(|p| p.contains(&IpAddr::from(v6(text))));
    assert!(covered("2001:db8:1000::") && covered("2001:db8:1fff:ffff::1"));
    for text in ["2001:db8::2", "2001:db8:2000::1", "2606:4700::1111"] {
        assert!(!covered(text));
        let told = who(&mut network, text, 30);
        assert_eq!(
            told,
            Some(("2001:db8:ff00::9".to_owned(), (1, 0))),
            "{text}"
        );
    }
}

#[test]
fn a_generated_network_is_as_varied_in_ipv6() {
    let network = LabNetwork::generated(1);
    let (mut silent_hops, mut labelled, mut several, mut silent_targets) = (0, 0, 0, 0);
    for n in 0..1000_u16 {
        let target = Ipv6Addr::new(0x2001, 0xdb8, 0x1000 + n * 4, 0, 0, 0, 0, 1);
        let flow = TruthFlow::udp(target, 24000, PORT);
        let truth = network.truth(flow, Ttl(32));
        let (_, before) = truth.hops.split_last().unwrap();
        silent_hops += before.iter().filter(|hop| hop.is_silent()).count();
        let mpls = |hop: &super::super::TruthHop| hop.candidates().any(|a| !a.mpls.is_empty());
        labelled += u32::from(before.iter().any(mpls));
        several += u32::from(network.truth(flow.with_flow_label(5), Ttl(32)).hops != truth.hops);
        silent_targets += u32::from(!truth.reached());
    }
    assert!((30..1000).contains(&silent_hops), "{silent_hops}");
    assert!(labelled > 50, "{labelled} paths with labels");
    assert!(several > 500, "{several} targets with several paths");
    assert!((25..80).contains(&silent_targets), "{silent_targets}");
}
