//! The system's files. No server is asked: the hosts file answers, or there is no server.

use std::path::Path;

use super::*;

/// The resolver of a system with these files.
fn of_system(place: &Path, resolv_conf: Option<&str>, hosts: &str) -> DnsResolver {
    let files = SystemFiles {
        resolv_conf: place.join("resolv.conf"),
        hosts: place.join("hosts"),
    };
    if let Some(text) = resolv_conf {
        std::fs::write(&files.resolv_conf, text).unwrap();
    }
    std::fs::write(&files.hosts, hosts).unwrap();
    DnsResolver {
        files,
        ..DnsResolver::new(&[])
    }
}

fn addresses(answer: &Answer) -> Vec<String> {
    answer.addresses.iter().map(ToString::to_string).collect()
}

const HOSTS: &str =
    "9.0.0.1 printer Printer.example # upstairs\n2a00::1 printer\n9.0.0.2 printer\n";

#[test]
fn the_hosts_file_comes_before_servers_and_search_lists() {
    let place = tempfile::tempdir().unwrap();
    // A query to the server would wait: the test would take long and fail.
    let conf = "nameserver 127.0.0.1\nsearch corp.example\noptions ndots:3\n";
    let resolver = of_system(place.path(), Some(conf), HOSTS);
    let names = ["printer", "printer.example"];
    let answers = resolver.resolve(&names, Families::Ipv4);
    assert_eq!(addresses(&answers[0]), ["9.0.0.1", "9.0.0.2"]);
    assert_eq!(addresses(&answers[1]), ["9.0.0.1"]);
    let answers = resolver.resolve(&["printer"], Families::Both);
    assert_eq!(addresses(&answers[0]), ["9.0.0.1", "9.0.0.2", "2a00::1"]);
    assert_eq!(answers[0].failure, None);
}

#[test]
fn without_a_server_only_the_hosts_file_answers() {
    for conf in [None, Some("search corp.example\n")] {
        let place = tempfile::tempdir().unwrap();
        let resolver = of_system(place.path(), conf, HOSTS);
        let answers = resolver.resolve(&["other.example", "printer"], Families::Ipv4);
        assert_eq!(addresses(&answers[1]), ["9.0.0.1", "9.0.0.2"]);
        let why = answers[0].failure.as_ref().unwrap().to_string();
        let file = format!("no DNS server to ask ({}", place.path().display());
        assert!(why.contains(&file), "{why}");
        assert!(why.contains("--resolver"), "{why}");
    }
}

#[test]
fn answers_for_both_families_are_joined() {
    let v4: Found = Ok(vec!["9.0.0.1".parse().unwrap()]);
    let none: Found = Err(Unresolved::NoAddress(Families::Ipv6));
    let absent: Found = Err(Unresolved::NoSuchName);
    let broken: Found = Err(Unresolved::Failed);
    let both = |one: &Found, other: &Found| {
        let answer = join(&[one.clone(), other.clone()], Families::Both);
        (answer.addresses.len(), answer.failure)
    };
    assert_eq!(both(&v4, &none), (1, None));
    assert_eq!(both(&v4, &broken), (1, Some(Unresolved::Failed)));
    assert_eq!(both(&none, &broken), (0, Some(Unresolved::Failed)));
    assert_eq!(both(&absent, &absent), (0, Some(Unresolved::NoSuchName)));
    assert_eq!(
        both(&none, &none),
        (0, Some(Unresolved::NoAddress(Families::Both)))
    );
}
