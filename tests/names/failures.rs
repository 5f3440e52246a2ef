//! Names that cannot be resolved: told by line, with the reason and a remedy, and counted.

use hickory_resolver::proto::op::ResponseCode;

use super::*;

fn failing(name: &str) -> Reply {
    match name {
        "good.example" => Reply::of(&["9.0.0.1"]),
        "six.example" => Reply::of(&["2a00::6"]),
        "none.example" => Reply::of(&[]),
        "absent.example" => Reply::Code(ResponseCode::NXDomain),
        "broken.example" => Reply::Code(ResponseCode::ServFail),
        "refused.example" => Reply::Code(ResponseCode::Refused),
        "odd.example" => Reply::Code(ResponseCode::NotImp),
        other => panic!("{other}"),
    }
}

const LIST: &str = "\
good.example
absent.example
six.example
none.example # with a remark
broken.example

refused.example
odd.example
absent.example
";

#[test]
fn each_failure_is_told_by_its_line_with_a_remedy() {
    let server = DnsServer::start(failing);
    let (set, report, told) = load(&server, LIST).unwrap();
    assert_eq!(targets(&set), pairs(&[("9.0.0.1", "good.example")]));
    let expected = [
        ("list:2: `absent.example`, ", "NXDOMAIN", "spelling"),
        ("list:3: `six.example`, ", "no IPv4 address", "leave it out"),
        (
            "list:4: `none.example`, ",
            "no IPv4 address",
            "leave it out",
        ),
        ("list:5: `broken.example`, ", "SERVFAIL", "--resolver"),
        ("list:7: `refused.example`, ", "REFUSED", "--resolver"),
        ("list:8: `odd.example`, ", "Not Implemented", "--resolver"),
        ("list:9: `absent.example`, ", "NXDOMAIN", "spelling"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (message, (start, reason, remedy)) in told.iter().zip(expected) {
        assert!(message.starts_with(start), "{message}");
        assert!(message.contains(reason), "{message}");
        assert!(message.contains(remedy), "{message}");
    }
    assert_eq!(told, report.messages);
    assert_eq!(
        (report.inputs, report.names, report.bad_lines),
        (8, 1, 7),
        "{report:?}"
    );
    assert_eq!(report.unresolved, 7);
    let list = "300.1.1.1\nabsent.example\n300.1.1.2\nrefused.example\n";
    let (_, report, told) = load(&server, list).unwrap();
    assert_eq!((report.bad_lines, report.unresolved), (4, 2));
    for (n, message) in (1..).zip(&told) {
        assert!(message.starts_with(&format!("list:{n}: ")), "{told:#?}");
    }
}

/// Another family helps only where the run probes it and has not asked for it.
#[test]
fn the_other_family_is_advised_only_where_it_can_help() {
    let server = DnsServer::start(failing);
    for (families, resolve_targets, advised) in [
        (Families::Both, Families::Ipv4, true),
        (Families::Both, Families::Ipv6, true),
        (Families::Both, Families::Both, false),
        (Families::Ipv4, Families::Ipv4, false),
        (Families::Ipv6, Families::Both, false),
    ] {
        let spec = TargetSpec {
            families,
            resolve_targets,
            ..TargetSpec::default()
        };
        let (_, _, told) = load_with(&spec, &asking(&server), "none.example\n").unwrap();
        assert!(told[0].contains("leave it out"), "{told:?}");
        let option = told[0].contains("--resolve-targets both");
        assert_eq!(
            option, advised,
            "{families:?} {resolve_targets:?}: {told:?}"
        );
    }
}

#[test]
fn strictly_the_first_failure_ends_the_run() {
    let server = DnsServer::start(failing);
    let spec = TargetSpec {
        strict: true,
        ..TargetSpec::default()
    };
    let error = load_with(&spec, &asking(&server), LIST).unwrap_err();
    assert!(
        matches!(&error, TargetError::Strict(line) if line.text == "absent.example"),
        "{error}"
    );
    assert!(error.to_string().contains("list:2: "), "{error}");
    let (set, ..) = load_with(&spec, &asking(&server), "good.example\n").unwrap();
    assert_eq!(set.len(), 1);
}

#[test]
fn an_argument_that_cannot_be_resolved_ends_the_run() {
    let server = DnsServer::start(failing);
    let spec = TargetSpec {
        arguments: vec!["good.example".to_owned(), "absent.example".to_owned()],
        ..TargetSpec::default()
    };
    let error = pathsurvey::targets::load(&spec, &asking(&server), &mut |_| ()).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("argument `absent.example`, "), "{error}");
}

#[test]
fn a_name_of_which_one_family_fails_keeps_the_other() {
    // The name's servers know IPv4 and break at questions for IPv6: they are told apart by who asks for what.
    let four = DnsServer::start(|_| Reply::of(&["9.0.0.1"]));
    let both = families(Families::Both, Families::Both);
    let (set, report, _) = load_with(&both, &asking(&four), "a.example\n").unwrap();
    assert_eq!((set.len(), report.half_resolved), (1, 0));
    let server = DnsServer::start_by_type(|_, kind| match kind {
        dns::Kind::A => Reply::of(&["9.0.0.1"]),
        dns::Kind::AAAA => Reply::Code(ResponseCode::ServFail),
        other => panic!("{other}"),
    });
    let (set, report, told) = load_with(&both, &asking(&server), "a.example\n").unwrap();
    assert_eq!(targets(&set), pairs(&[("9.0.0.1", "a.example")]));
    assert_eq!((report.half_resolved, report.unresolved), (1, 0));
    assert!(told.is_empty(), "{told:?}");
    let strict = TargetSpec {
        strict: true,
        ..both
    };
    let error = load_with(&strict, &asking(&server), "a.example\n").unwrap_err();
    assert!(error.to_string().contains("SERVFAIL"), "{error}");
}
