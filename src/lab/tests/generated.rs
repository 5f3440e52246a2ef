//! The generated network.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{GeneratedOptions, TruthEnd, TruthFlow};
use super::*;
use crate::model::Ttl;

/// Addresses spread over the benchmark range, 198.18.0.0/15.
fn targets(count: u32) -> impl Iterator<Item = Ipv4Addr> {
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    (0..count).map(move |n| Ipv4Addr::from(first + n.wrapping_mul(40_503) % (1 << 17)))
}

#[test]
fn a_clean_network_answers_as_its_truth_says() {
    let mut network = LabNetwork::generated_with(3, GeneratedOptions::clean());
    for (index, destination) in targets(300).enumerate() {
        let port = 24000 + index as u16 % 16;
        let truth = network.truth_of_every_ttl(TruthFlow::udp(destination, port, PORT), Ttl(20));
        let TruthEnd::Reached(Ttl(distance)) = truth.end else {
            panic!("{truth}");
        };
        assert!((6..=16).contains(&distance), "{truth}");
        let mut last = None;
        for hop in &truth.hops {
            let told = hop.answer().unwrap();
            let (at, seen) = ask(&mut network, &destination.to_string(), port, hop.ttl.0).unwrap();
            assert_eq!(IpAddr::from(seen.responder), told.responder, "{truth}");
            let (icmp_type, code) = (told.icmp_type(), told.icmp_code());
            assert_eq!((Some(seen.icmp.0), Some(seen.icmp.1)), (icmp_type, code));
            assert_eq!(at, START + told.rtt);
            assert_eq!(seen.reply_ttl, told.reply_ttl);
            let labels: Vec<_> = told
                .mpls
                .iter()
                .map(|l| (l.label, l.bottom, l.ttl))
                .collect();
            assert_eq!(seen.labels(), labels);
            assert_eq!(seen.responder.octets()[0] == 10, hop.ttl.0 < distance);
            if hop.ttl.0 < distance {
                assert_ne!(last, Some(seen.responder), "{truth}");
                last = Some(seen.responder);
            }
            assert!((200..=150_000).contains(&told.rtt.as_micros()), "{truth}");
        }
    }
}

#[test]
fn the_network_is_as_varied_as_it_should_be() {
    let network = LabNetwork::generated(1);
    let (mut distances, mut silent_hops, mut hops) = (BTreeMap::new(), 0, 0);
    let (mut silent_targets, mut labelled, mut several_paths) = (0, 0, 0);
    let mut routers = BTreeSet::new();
    for destination in targets(2000) {
        let truth = network.truth(TruthFlow::udp(destination, 24000, PORT), Ttl(32));
        *distances.entry(truth.path_length().unwrap().0).or_insert(0) += 1;
        silent_targets += u32::from(!truth.reached());
        let (_, before) = truth.hops.split_last().unwrap();
        hops += before.len();
        silent_hops += before.iter().filter(|hop| hop.is_silent()).count();
        routers.extend(before.iter().filter_map(|hop| hop.responder()));
        labelled += u32::from(
            before
                .iter()
                .any(|hop| hop.candidates().any(|a| !a.mpls.is_empty())),
        );
        let other = network.truth(TruthFlow::udp(destination, 24001, PORT), Ttl(32));
        several_paths += u32::from(other.hops != truth.hops);
    }
    assert!(
        distances.len() >= 9 && distances.keys().all(|d| (6..=16).contains(d)),
        "{distances:?}"
    );
    assert!(
        (60..140).contains(&silent_targets),
        "{silent_targets} silent targets of 2000"
    );
    let silent = silent_hops as f64 / hops as f64;
    assert!((0.005..0.08).contains(&silent), "{silent} of hops silent");
    assert!(labelled > 100, "{labelled} paths with labels");
    assert!(
        several_paths > 1000,
        "{several_paths} targets with several paths"
    );
    assert!(routers.len() > 1000, "{} routers", routers.len());
}

#[test]
fn the_last_hop_of_a_24_is_named_after_it() {
    let network = LabNetwork::generated_with(9, GeneratedOptions::clean());
    for destination in targets(300) {
        let truth = network.truth(TruthFlow::udp(destination, 24000, PORT), Ttl(32));
        let [.., last, _] = &truth.hops[..] else {
            panic!("{truth}");
        };
        let IpAddr::V4(last) = last.responder().unwrap() else {
            panic!("{truth}");
        };
        let [_, b, c, d] = last.octets();
        let [b1, b2, b3, _] = destination.octets();
        assert_eq!([b, c, d], [b1, b2, b3]);
    }
}

#[test]
fn any_unicast_address_is_a_target_but_those_of_routers_and_ours() {
    let network = LabNetwork::generated_with(1, GeneratedOptions::clean());
    let end = |text: &str| {
        let destination: Ipv4Addr = text.parse().unwrap();
        network
            .truth(TruthFlow::udp(destination, 24000, PORT), Ttl(32))
            .end
    };
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "100.64.0.1",
        "203.0.113.9",
        "223.255.255.255",
        "192.0.3.1",
    ] {
        assert!(matches!(end(text), TruthEnd::Reached(_)), "{text}");
    }
    for text in ["10.1.2.3", "192.0.2.9", "240.0.0.1"] {
        assert_eq!(end(text), TruthEnd::Unreachable(Ttl(4)), "{text}");
    }
    let prefixes = network.target_prefixes();
    let covered = |text: &str| {
        let address: IpAddr = text.parse().unwrap();
        prefixes.iter().any(|prefix| prefix.contains(&address))
    };
    assert!(covered("1.0.0.0") && covered("223.255.255.255") && covered("192.0.3.0"));
    assert!(!covered("0.255.255.255") && !covered("10.0.0.0") && !covered("192.0.2.255"));
    assert!(!covered("224.0.0.0") && !covered("127.0.0.1") && covered("128.0.0.0"));
    assert!(prefixes.len() < 60, "{}", prefixes.len());
}

#[test]
fn seeds_give_different_networks_and_the_same_seed_the_same() {
    let deliveries = |seed| {
        let mut network = LabNetwork::generated(seed);
        let mut deliveries = Vec::new();
        for (index, destination) in targets(500).enumerate() {
            let packet = probe(
                network.vantage(),
                destination,
                24000,
                1 + index as u8 % 16,
                20,
            );
            let now = START + std::time::Duration::from_micros(index as u64 * 50);
            network.respond(&packet, now, &mut deliveries);
        }
        deliveries
    };
    assert!(deliveries(5) == deliveries(5));
    assert!(deliveries(5) != deliveries(6));
}

#[test]
fn the_file_with_everything_off_is_the_clean_network() {
    let from_file = lab("generated-clean");
    let clean = LabNetwork::generated_with(1, GeneratedOptions::clean());
    for destination in targets(50) {
        let flow = TruthFlow::udp(destination, 24003, PORT);
        assert_eq!(from_file.truth(flow, Ttl(32)), clean.truth(flow, Ttl(32)));
    }
}

#[test]
fn the_sample_targets_are_targets() {
    for (file, least, in_ipv6) in [("lab.csv", 5000, false), ("lab6.csv", 1000, true)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("sample-targets")
            .join(file);
        let mut rows = csv::Reader::from_path(path).unwrap();
        assert_eq!(rows.headers().unwrap().get(0), Some("target"));
        let network = LabNetwork::generated(1);
        let mut seen = BTreeSet::new();
        for row in rows.records() {
            let address: IpAddr = row.unwrap()[0].parse().unwrap();
            assert_eq!(address.is_ipv6(), in_ipv6);
            assert!(
                network
                    .target_prefixes()
                    .iter()
                    .any(|prefix| prefix.contains(&address))
            );
            assert!(seen.insert(address), "{address} twice");
        }
        assert!(seen.len() >= least);
    }
}
