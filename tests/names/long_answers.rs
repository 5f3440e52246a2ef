//! Answers too long for a datagram: marked as cut off over UDP (RFC 2181, section 9), and asked for again over TCP.

use super::*;

/// `long.example` is cut off behind the highest of its addresses; the others are short.
fn long(name: &str) -> Reply {
    match name {
        "long.example" => Reply::cut_off(&["9.0.0.200"], &["9.0.0.200", "9.0.0.7", "9.0.0.100"]),
        "empty.example" => Reply::cut_off(&[], &["9.0.0.8"]),
        _ => numbered(name),
    }
}

#[test]
fn they_are_asked_for_again_over_tcp_and_then_whole() {
    let server = DnsServer::start_with_tcp(long);
    let list = "n1.example\nlong.example\nempty.example\n";
    let (set, report, told) = load(&server, list).unwrap();
    let expected = [
        ("9.0.0.1", "n1.example"),
        // The lowest of all, not what was left of them.
        ("9.0.0.7", "long.example"),
        ("9.0.0.8", "empty.example"),
    ];
    assert_eq!(targets(&set), pairs(&expected), "{told:?}");
    assert_eq!((report.names, report.unresolved, told.len()), (3, 0, 0));
    let over_tcp: Vec<String> = server.asked_over_tcp().into_iter().collect();
    assert_eq!(over_tcp, ["empty.example", "long.example"]);
}

#[test]
fn many_are_had_over_tcp_at_once() {
    let server = DnsServer::start_with_tcp(|name| match numbered(name) {
        Reply::Addresses(all) => Reply::CutOff(Vec::new(), all),
        _ => unreachable!(),
    });
    let (set, report, told) = load(&server, &numbered_list(300)).unwrap();
    assert_eq!((set.len(), report.unresolved), (300, 0), "{told:#?}");
    assert_eq!(server.asked_over_tcp().len(), 300);
}

#[test]
fn where_tcp_is_refused_the_line_and_the_reason_are_told() {
    let server = DnsServer::start(long);
    let list = "n1.example\n\nlong.example\nn2.example\n";
    let (set, report, told) = load(&server, list).unwrap();
    let expected = [("9.0.0.1", "n1.example"), ("9.0.0.2", "n2.example")];
    assert_eq!(targets(&set), pairs(&expected));
    assert_eq!((report.names, report.unresolved), (2, 1));
    let [told] = &told[..] else {
        panic!("{told:#?}")
    };
    assert!(told.starts_with("list:3: `long.example`, "), "{told}");
    for part in ["too long for UDP", "over TCP", "TCP port", "--resolver"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_server_without_tcp_is_not_silent_and_others_are_asked() {
    let cut_off = |_: &str| Reply::cut_off(&[], &[]);
    let alone = DnsServer::start(cut_off);
    let (_, report, told) = load(&alone, &numbered_list(300)).unwrap();
    assert_eq!(report.unresolved, 300);
    // Had it been taken for silent, the last of them would have been spared.
    assert!(
        told.iter().all(|told| told.contains("too long for UDP")),
        "{told:#?}"
    );
    let first = DnsServer::start(cut_off);
    let second = DnsServer::start(numbered);
    let resolver = DnsResolver::new(&[first.address, second.address]).with_patience(PATIENT);
    let list = numbered_list(100);
    let (set, report, _) = load_with(&TargetSpec::default(), &resolver, &list).unwrap();
    assert_eq!((set.len(), report.unresolved), (100, 0));
}
