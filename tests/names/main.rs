//! Host names in target lists, resolved by a DNS server on loopback that says what the test wants.

#![allow(
    clippy::disallowed_methods,
    reason = "tests may read clocks and open sockets"
)]

#[path = "../support/dns.rs"]
mod dns;
mod failures;
mod long_answers;
mod servers;

use std::path::Path;
use std::time::Duration;

use dns::{DnsServer, Reply};
use pathsurvey::model::Targets;
use pathsurvey::targets::{
    BadLine, DnsResolver, Families, LoadReport, Loader, TargetError, TargetSet, TargetSpec,
};

/// Longer than any answer takes on a machine that does much else beside.
const PATIENT: Duration = Duration::from_secs(60);

/// What a list came to: targets, report, and the messages about its bad lines.
type Loaded = Result<(TargetSet, LoadReport, Vec<String>), TargetError>;

fn load_with(spec: &TargetSpec, resolver: &DnsResolver, list: &str) -> Loaded {
    let mut told = Vec::new();
    let mut on_bad = |bad: &BadLine| told.push(bad.to_string());
    let mut loader = Loader::new(spec, resolver, &mut on_bad)?;
    loader.input(Path::new("list"), list.as_bytes())?;
    let (set, report) = loader.finish()?;
    assert_eq!(
        report.inputs,
        report.accepted + report.bad_lines + report.other_family,
        "{report:?}"
    );
    Ok((set, report, told))
}

fn asking(server: &DnsServer) -> DnsResolver {
    DnsResolver::new(&[server.address]).with_patience(PATIENT)
}

fn load(server: &DnsServer, list: &str) -> Loaded {
    load_with(&TargetSpec::default(), &asking(server), list)
}

/// A run that probes `probed`, and for which names stand for what `wanted` says.
fn families(wanted: Families, probed: Families) -> TargetSpec {
    TargetSpec {
        families: probed,
        resolve_targets: wanted,
        ..TargetSpec::default()
    }
}

/// Addresses with the text they were asked for by.
fn targets(set: &TargetSet) -> Vec<(String, String)> {
    set.iter()
        .map(|(id, address)| (address.to_string(), set.info(id).input.into_owned()))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(address, input): &(&str, &str)| ((*address).to_owned(), (*input).to_owned());
    expected.iter().map(owned).collect()
}

/// `n17.example` is 9.0.0.17.
fn numbered(name: &str) -> Reply {
    let number: u32 = name[1..].strip_suffix(".example").unwrap().parse().unwrap();
    Reply::Addresses(vec![
        std::net::Ipv4Addr::from_bits((9 << 24) + number).into(),
    ])
}

fn numbered_list(count: u32) -> String {
    (0..count).map(|n| format!("n{n}.example\n")).collect()
}

#[test]
fn sixty_four_names_are_asked_for_at_once() {
    // It answers nothing until it has been asked that often: asked fewer at a time, it would stay silent.
    let server = DnsServer::holding(64, numbered);
    let (set, report, told) = load(&server, &numbered_list(500)).unwrap();
    assert_eq!((set.len(), report.names, told.len()), (500, 500, 0));
    for (n, (address, input)) in targets(&set).into_iter().enumerate() {
        assert_eq!(input, format!("n{n}.example"));
        assert_eq!(address, format!("9.0.{}.{}", n / 256, n % 256));
    }
}

#[test]
fn the_order_of_lines_counts_and_not_that_of_answers() {
    // All answers come in the reverse order of the questions. Neighbours share an address: the line above owns it.
    let server = DnsServer::holding(64, |name| {
        let number: u32 = name[1..].strip_suffix(".example").unwrap().parse().unwrap();
        match number % 8 {
            7 => Reply::Code(hickory_resolver::proto::op::ResponseCode::NXDomain),
            _ => numbered(&format!("n{}.example", number / 2)),
        }
    });
    let (set, report, told) = load(&server, &numbered_list(64)).unwrap();
    let expected: Vec<(String, String)> = (0..32)
        .map(|n| (format!("9.0.0.{n}"), format!("n{}.example", 2 * n)))
        .collect();
    assert_eq!(targets(&set), expected);
    assert_eq!((report.names, report.duplicates), (56, 24));
    let lines: Vec<String> = (0..8).map(|n| format!("list:{}: ", 8 * n + 8)).collect();
    assert_eq!(told.len(), lines.len());
    for (message, line) in told.iter().zip(lines) {
        assert!(message.starts_with(&line), "{message}");
    }
    // A line in between that needs no answer keeps its place among them.
    let server = DnsServer::start(|_| Reply::of(&["9.0.0.1"]));
    let list = "9.0.0.2\na.example\n9.0.0.1\n";
    let (set, ..) = load(&server, list).unwrap();
    assert_eq!(
        targets(&set),
        pairs(&[("9.0.0.1", "a.example"), ("9.0.0.2", "9.0.0.2")])
    );
}

#[test]
fn a_name_is_asked_for_once_however_often_and_however_it_is_written() {
    let server = DnsServer::start(|_| Reply::of(&["9.0.0.1"]));
    let list = "www.example\nWWW.Example\nwww.example.\nother.example\nwww.example\n";
    let (set, report, _) = load(&server, list).unwrap();
    assert_eq!(targets(&set), pairs(&[("9.0.0.1", "www.example")]));
    assert_eq!((report.names, report.duplicates), (5, 4));
    let asked: Vec<String> = server.asked().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(asked, ["other.example", "www.example"]);
}

#[test]
fn names_stand_for_what_the_option_says() {
    let server = DnsServer::start(|name| match name {
        "two.example" => Reply::of(&["9.0.0.9", "2a00::9", "9.0.0.2", "2a00::2"]),
        "four.example" => Reply::of(&["9.0.0.4"]),
        other => panic!("{other}"),
    });
    let list = "two.example\nfour.example\n";
    let kinds = || {
        let asked = server.asked().into_iter();
        let mut kinds: Vec<String> = asked.map(|(_, kind, _)| kind.to_string()).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    };
    let load = |spec: TargetSpec| load_with(&spec, &asking(&server), list).unwrap();
    let four = pairs(&[("9.0.0.2", "two.example"), ("9.0.0.4", "four.example")]);
    for probed in [Families::Ipv4, Families::Both] {
        let (set, report, _) = load(families(Families::Ipv4, probed));
        assert_eq!(targets(&set), four);
        assert_eq!((report.accepted, report.expanded), (2, 2));
    }
    assert_eq!(kinds(), ["A"], "nobody wants to know more");
    let (set, report, told) = load(families(Families::Ipv6, Families::Both));
    assert_eq!(targets(&set), pairs(&[("2a00::2", "two.example")]));
    assert_eq!((report.accepted, report.unresolved), (1, 1));
    assert!(told[0].starts_with("list:2: `four.example`"), "{told:?}");
    assert!(told[0].contains("no IPv6 address"), "{told:?}");
    let all = [
        ("9.0.0.2", "two.example"),
        ("9.0.0.4", "four.example"),
        ("9.0.0.9", "two.example"),
        ("2a00::2", "two.example"),
        ("2a00::9", "two.example"),
    ];
    let (set, report, told) = load(families(Families::Both, Families::Both));
    assert_eq!(targets(&set), pairs(&all));
    assert_eq!((report.names, report.expanded, told.len()), (2, 5, 0));
    assert_eq!(report.half_resolved, 0, "no address is an answer too");
    let (set, ..) = load(families(Families::Both, Families::Ipv4));
    assert_eq!(targets(&set), pairs(&all[..3]));
    assert_eq!(kinds(), ["A", "AAAA"]);
}

#[test]
fn sixty_four_questions_are_under_way_at_once_for_both_families_too() {
    let server = DnsServer::holding(64, |_| Reply::of(&["9.0.0.1", "2a00::1"]));
    let both = families(Families::Both, Families::Both);
    let (set, report, _) = load_with(&both, &asking(&server), &numbered_list(32)).unwrap();
    assert_eq!((set.len(), report.names, report.expanded), (2, 32, 64));
}

#[test]
fn aliases_are_followed() {
    let server = DnsServer::start(|name| match name {
        "whole.example" => Reply::alias("host.example", &["9.0.0.1"]),
        "half.example" => Reply::alias("elsewhere.example", &[]),
        "elsewhere.example" => Reply::alias("end.example", &[]),
        "end.example" => Reply::of(&["9.0.0.2"]),
        "nowhere.example" => Reply::alias("gone.example", &[]),
        "gone.example" => Reply::Code(hickory_resolver::proto::op::ResponseCode::NXDomain),
        "round.example" => Reply::alias("round.example", &[]),
        other => panic!("{other}"),
    });
    let list = "whole.example\nhalf.example\nnowhere.example\nround.example\n";
    let (set, report, told) = load(&server, list).unwrap();
    let expected = [("9.0.0.1", "whole.example"), ("9.0.0.2", "half.example")];
    assert_eq!(targets(&set), pairs(&expected));
    assert_eq!(report.unresolved, 2);
    assert!(told[0].starts_with("list:3: `nowhere.example`"), "{told:?}");
    assert!(told[0].contains("NXDOMAIN"), "{told:?}");
    assert!(told[1].starts_with("list:4: `round.example`"), "{told:?}");
}

#[test]
fn whoever_watches_sees_every_name_done() {
    use std::sync::{Arc, Mutex};
    let server = DnsServer::start(|_| Reply::of(&["9.0.0.1", "2a00::1"]));
    for wanted in [Families::Ipv4, Families::Both] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let resolver =
            asking(&server).watched(move |done, all| log.lock().unwrap().push((done, all)));
        let spec = families(wanted, Families::Both);
        load_with(&spec, &resolver, &numbered_list(100)).unwrap();
        let expected: Vec<(usize, usize)> = (1..=100).map(|n| (n, 100)).collect();
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
