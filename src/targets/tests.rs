//! Loads lists, and checks the targets and counts.

mod encodings;
mod faults;
mod notes;
mod properties;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::*;
use crate::model::{TargetId, Targets};

/// Answers from a table. Unknown names fail, so that no test asks a real resolver.
fn no_dns(name: &str) -> io::Result<Vec<IpAddr>> {
    match name {
        "two.example" => Ok(vec!["2a00::2".parse().unwrap(), "9.0.0.2".parse().unwrap()]),
        "six.example" => Ok(vec!["2a00::6".parse().unwrap()]),
        "empty.example" => Ok(vec![]),
        _ => Err(io::Error::other("no such name")),
    }
}

type Loaded = Result<(TargetSet, LoadReport, Vec<String>), TargetError>;

/// Loads lists given as (name, bytes).
fn load_lists(spec: &TargetSpec, lists: &[(&str, &[u8])]) -> Loaded {
    let mut bad = Vec::new();
    let mut on_bad = |line: &BadLine| bad.push(line.to_string());
    let mut loader = Loader::new(spec, &no_dns, &mut on_bad)?;
    loader.arguments(&spec.arguments)?;
    for (name, bytes) in lists {
        loader.input(Path::new(name), *bytes)?;
    }
    let (set, report) = loader.finish()?;
    check_sums(&report);
    assert_eq!(report.targets, u64::from(set.len()));
    Ok((set, report, bad))
}

fn load_text(text: &str) -> (TargetSet, LoadReport, Vec<String>) {
    load_lists(&TargetSpec::default(), &[("list", text.as_bytes())]).expect("the list loads")
}

fn both() -> TargetSpec {
    TargetSpec {
        families: Families::Both,
        resolve_targets: Families::Both,
        ..TargetSpec::default()
    }
}

/// Checks that every input and every address is counted exactly once.
fn check_sums(report: &LoadReport) {
    assert_eq!(
        report.inputs,
        report.accepted + report.bad_lines + report.other_family,
        "{report:?}"
    );
    let counted = report.targets + report.duplicates + report.special + report.blocked;
    assert_eq!(report.expanded, counted, "{report:?}");
}

fn addresses(set: &TargetSet) -> Vec<String> {
    set.iter().map(|(_, address)| address.to_string()).collect()
}

/// The text and labels of the target with this address.
fn info(set: &TargetSet, address: &str) -> (String, Vec<Option<String>>) {
    let found = set.iter().find(|(_, a)| a.to_string() == address);
    let info = set.info(found.unwrap_or_else(|| panic!("{address} is no target")).0);
    let labels = info
        .labels
        .iter()
        .map(|label| label.map(str::to_owned))
        .collect();
    (info.input.into_owned(), labels)
}

#[test]
fn plain_lists_may_have_comments_blanks_and_a_byte_order_mark() {
    let text =
        "\u{FEFF}# a comment\r\n\r\n  9.0.0.1 \r\n9.0.0.2# with a reason\n\t9.0.0.3\t\n\n9.0.0.4";
    let (set, report, bad) = load_text(text);
    assert_eq!(
        addresses(&set),
        ["9.0.0.1", "9.0.0.2", "9.0.0.3", "9.0.0.4"]
    );
    assert_eq!((report.lines, report.inputs, bad.len()), (7, 4, 0));
}

#[test]
fn a_prefix_of_24_or_longer_gives_every_address() {
    let (set, report, _) = load_text("9.0.0.5/30\n9.0.1.0/31\n9.0.2.9/32\n9.1.0.77/24\n");
    assert_eq!(set.len(), 4 + 2 + 1 + 256);
    assert_eq!(
        addresses(&set)[..7],
        [
            "9.0.0.4", "9.0.0.5", "9.0.0.6", "9.0.0.7", "9.0.1.0", "9.0.1.1", "9.0.2.9"
        ]
    );
    assert_eq!(info(&set, "9.1.0.255").0, "9.1.0.77/24");
    assert_eq!(report.expanded, 263);
}

#[test]
fn shorter_prefixes_give_the_same_hosts_in_every_run() {
    let spec = TargetSpec {
        per_prefix: 3,
        ..TargetSpec::default()
    };
    let (set, ..) = load_lists(&spec, &[("list", b"9.4.0.0/14\n")]).unwrap();
    assert_eq!(set.len(), 1024 * 3);
    let hosts: Vec<u32> = set
        .iter()
        .map(|(_, address)| match address {
            IpAddr::V4(address) => address.to_bits(),
            IpAddr::V6(_) => panic!("an IPv6 target"),
        })
        .collect();
    for (block, drawn) in hosts.chunks(3).enumerate() {
        assert!(
            drawn
                .iter()
                .all(|host| host >> 8 == (9 << 16 | 4 << 8) + block as u32)
        );
        assert!(drawn.iter().all(|host| (1..=254).contains(&(host & 255))));
    }
    // A part of the prefix and another number of hosts give the same hosts.
    let (part, ..) = load_lists(&TargetSpec::default(), &[("list", b"9.5.0.0/16\n")]).unwrap();
    let first_of_each: Vec<String> = addresses(&set)[256 * 3..512 * 3]
        .iter()
        .step_by(3)
        .cloned()
        .collect();
    assert_eq!(addresses(&part), first_of_each);
    let other = TargetSpec {
        target_seed: 1,
        ..TargetSpec::default()
    };
    let (other, ..) = load_lists(&other, &[("list", b"9.5.0.0/16\n")]).unwrap();
    assert_ne!(addresses(&other), addresses(&part));
    assert!(
        set.heap_bytes() < 200,
        "{} bytes for one prefix",
        set.heap_bytes()
    );
}

#[test]
fn ipv6_prefixes_give_one_address_per_48() {
    let list = b"2a00:1::/46\n2a00:2::/64\n2a00:3::3\n2a00:4::4/128\n2a00:1:2::/48\n";
    let (set, report, _) = load_lists(&both(), &[("list", list)]).unwrap();
    assert_eq!((set.len(), report.duplicates), (7, 1));
    let found = addresses(&set);
    for (at, start) in [
        "2a00:1:0:",
        "2a00:1:1:",
        "2a00:1:2:",
        "2a00:1:3:",
        "2a00:2::",
    ]
    .iter()
    .enumerate()
    {
        let start = start.trim_end_matches("0:");
        assert!(
            found[at].starts_with(start),
            "{} is not of {start}",
            found[at]
        );
    }
    assert_eq!(found[5..], ["2a00:3::3", "2a00:4::4"]);
}

#[test]
fn a_duplicate_has_the_text_and_labels_of_the_first_line() {
    let csv = b"target,asn\n9.0.0.0/30,1\n9.0.0.1,2\n9.0.0.0/24,3\n9.0.0.200,4\n";
    let (set, report, _) = load_lists(
        &TargetSpec::default(),
        &[("plain", b"9.0.0.2\n9.0.0.2\n"), ("csv", csv)],
    )
    .unwrap();
    assert_eq!(set.len(), 256);
    assert_eq!(report.duplicates, 1 + 1 + 1 + 4 + 1);
    let label = |asn: &str| vec![Some(asn.to_owned())];
    assert_eq!(info(&set, "9.0.0.2"), ("9.0.0.2".to_owned(), vec![]));
    assert_eq!(info(&set, "9.0.0.1"), ("9.0.0.0/30".to_owned(), label("1")));
    assert_eq!(
        info(&set, "9.0.0.200"),
        ("9.0.0.0/24".to_owned(), label("3"))
    );
}

#[test]
fn csv_cells_become_labels() {
    let text = "\u{FEFF}asn, Target ,city\r\n64500,9.0.0.1,\"Zürich, \"\"ZH\"\"\"\r\n# comment, with \"quotes\r\n\r\n,9.0.0.2,\r\n\
        64501,two.example,\"two\nlines\"\r\n,,\r\n64502,9.0.0.3\r\n64503,,x\r\nx,1.2.3,y\r\n";
    let (set, report, bad) = load_text(text);
    assert_eq!(set.label_names(), ["asn", "city"]);
    assert_eq!(
        info(&set, "9.0.0.1").1,
        [Some("64500".to_owned()), Some("Zürich, \"ZH\"".to_owned())]
    );
    assert_eq!(info(&set, "9.0.0.2"), ("9.0.0.2".to_owned(), vec![]));
    assert_eq!(
        (
            report.lines,
            report.bad_lines,
            report.duplicates,
            report.names
        ),
        (11, 3, 1, 1)
    );
    assert_eq!(
        bad,
        [
            "list:9: `64502,9.0.0.3`, 2 cells, but the header has 3",
            "list:10: `64503,,x`, the target is missing",
            "list:11: `1.2.3`, not an IPv4 address: four numbers from 0 to 255, without leading zeros",
        ]
    );
}

#[test]
fn an_unclosed_quote_makes_only_its_line_bad() {
    let mut text = String::from("target,note\n9.0.0.1,\"open\n");
    for host in 2..=200 {
        text += &format!("9.0.0.{host},fine\n");
    }
    let (set, report, bad) = load_text(&text);
    assert_eq!((set.len(), report.bad_lines), (199, 1));
    assert_eq!(
        bad,
        ["list:2: `9.0.0.1,\"open`, a quote is opened here and not closed within 64 lines"]
    );
    // Near the end of a list, too few lines follow to reach the limit of lines per row.
    let (set, _, bad) = load_text("target,note\n9.0.0.1,\"open\n9.0.0.2,fine");
    assert_eq!(addresses(&set), ["9.0.0.2"]);
    assert_eq!(bad.len(), 1);
}

#[test]
fn ambiguous_headers_are_refused() {
    for header in ["target,a,a", "target,Target"] {
        let loaded = load_lists(&both(), &[("list", format!("{header}\n").as_bytes())]);
        assert!(
            matches!(loaded, Err(TargetError::Header { line: 1, .. })),
            "{header}"
        );
    }
    let (set, ..) = load_text("target,\n9.0.0.1,x\n");
    assert_eq!(set.label_names(), ["column_2"]);
}

#[test]
fn the_other_family_is_counted_and_left_out() {
    let list = b"9.0.0.1\n2a00::1\n2a00::/8\ntwo.example\n";
    for (families, expected, other) in [
        (Families::Ipv4, vec!["9.0.0.1", "9.0.0.2"], 2),
        (Families::Ipv6, vec!["2a00::1", "2a00::2", "2a00::6"], 1),
    ] {
        let spec = TargetSpec {
            families,
            resolve_targets: families,
            ..TargetSpec::default()
        };
        let list: &[u8] = if families == Families::Ipv4 {
            list
        } else {
            b"9.0.0.1\n2a00::1\ntwo.example\nsix.example\n"
        };
        let (set, report, _) = load_lists(&spec, &[("list", list)]).unwrap();
        assert_eq!(addresses(&set), expected);
        assert_eq!((report.other_family, report.bad_lines), (other, 0));
    }
    let (set, report, _) = load_lists(&both(), &[("list", b"two.example\n")]).unwrap();
    for address in ["9.0.0.2", "2a00::2"] {
        assert_eq!(info(&set, address).0, "two.example");
    }
    assert_eq!((report.accepted, report.expanded), (1, 2));
    let (_, report, bad) =
        load_lists(&TargetSpec::default(), &[("list", b"six.example\n")]).unwrap();
    assert_eq!((report.bad_lines, report.unresolved), (1, 1));
    assert!(bad[0].contains("no IPv4 address"), "{bad:?}");
    let unwanted = TargetSpec {
        resolve_targets: Families::Ipv6,
        ..TargetSpec::default()
    };
    let (_, report, _) = load_lists(&unwanted, &[("list", b"nowhere.example\n")]).unwrap();
    assert_eq!(report.other_family, 1, "no name is resolved");
}

#[test]
fn numbers_are_never_resolved_as_names() {
    let refuse = |name: &str| -> io::Result<Vec<IpAddr>> { panic!("{name} was looked up") };
    let mut bad = 0;
    let mut on_bad = |_: &BadLine| bad += 1;
    let mut loader = Loader::new(&both(), &refuse, &mut on_bad).unwrap();
    loader
        .input(
            Path::new("list"),
            &b"1.2.3.4.5\n300.1.1.1\n10.0.0.0/33\n1.2.3\n0x7f.1\n::g\n"[..],
        )
        .unwrap();
    loader.finish().unwrap();
    assert_eq!(bad, 6);
}

#[test]
fn special_addresses_are_left_out_unless_allowed() {
    let list =
        b"10.0.0.1\n127.0.0.1\n9.0.0.1\n224.0.0.1\n0.0.0.0\n255.255.255.255\n192.168.0.0/30\n";
    let (set, report, _) = load_lists(&TargetSpec::default(), &[("list", list)]).unwrap();
    assert_eq!(addresses(&set), ["9.0.0.1"]);
    assert_eq!(report.special, 9);
    let spec = TargetSpec {
        allow_special: true,
        ..TargetSpec::default()
    };
    let (set, report, _) = load_lists(&spec, &[("list", list)]).unwrap();
    assert_eq!((set.len(), report.special), (7, 3));
}

#[test]
fn blocklists_are_parsed_and_applied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("blocked.txt");
    std::fs::write(
        &path,
        "# opt-outs\n9.0.0.1 # asked us\r\n2a00::/16\n\n9.0.1.77/25\n",
    )
    .unwrap();
    let mut spec = TargetSpec {
        arguments: vec!["9.0.0.0/30".to_owned(), "9.0.1.0/24".to_owned()],
        blocklists: vec![path.clone()],
        ..TargetSpec::default()
    };
    let (set, report) = load(&spec, &no_dns, &mut |_| ()).unwrap();
    assert_eq!(
        (set.len(), report.blocked, report.blocklist_entries),
        (3 + 128, 129, 3)
    );
    let probed: Vec<IpAddr> = set.iter().map(|(_, address)| address).collect();
    let low_half = |address: &IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[3] < 128);
    assert_eq!(
        probed.iter().filter(|a| low_half(a)).count(),
        3,
        "{probed:?}"
    );
    assert!(!probed.contains(&"9.0.0.1".parse().unwrap()));
    for bad in ["9.0.0.0/33", "name.example", "target,reason"] {
        std::fs::write(&path, format!("9.0.0.1\n{bad}\n")).unwrap();
        let error = load(&spec, &no_dns, &mut |_| ()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("blocked.txt:2: `{bad}`, ")),
            "{error}"
        );
    }
    spec.blocklists = vec![directory.path().join("absent")];
    let error = load(&spec, &no_dns, &mut |_| ()).unwrap_err();
    assert!(
        matches!(&error, TargetError::Open { file, .. } if file.ends_with("absent")),
        "{error}"
    );
}

#[test]
fn many_targets_need_a_confirmation() {
    let spec = |length: u8, allow_large| TargetSpec {
        arguments: vec![format!("0.0.0.0/{length}")],
        per_prefix: 2,
        allow_special: true,
        allow_large,
        ..TargetSpec::default()
    };
    let error = load_lists(&spec(0, false), &[]).unwrap_err();
    assert!(error.to_string().contains("--yes-large"), "{error}");
    let (set, ..) = load_lists(&spec(0, true), &[]).unwrap();
    // All but multicast. At most one host is missing in each of the first and last blocks.
    assert!(set.len() >= 2 * 15 * (1 << 20) - 2, "{}", set.len());
    let last = TargetId(set.len() - 1);
    assert!(set.address(last).to_string().starts_with("255.255.255."));
    let spec = TargetSpec {
        arguments: vec!["2a00::/8".to_owned()],
        allow_large: true,
        ..both()
    };
    assert!(matches!(load_lists(&spec, &[]), Err(TargetError::TooMany(count)) if count == 1 << 40));
    for per_prefix in [0, 255] {
        let spec = TargetSpec {
            per_prefix,
            ..TargetSpec::default()
        };
        assert!(
            matches!(load_lists(&spec, &[]), Err(TargetError::PerPrefix(n)) if n == per_prefix)
        );
    }
}

#[test]
fn a_million_targets_take_less_than_50_bytes_each() {
    let text: String = (0..1_000_000u32)
        .map(|n| {
            format!(
                "{}\n",
                Ipv4Addr::from_bits(0x1000_0000 + n.wrapping_mul(2_654_435_761) % 0x4000_0000)
            )
        })
        .collect();
    let (set, report, _) = load_text(&text);
    assert_eq!(u64::from(set.len()) + report.duplicates, 1_000_000);
    let each = set.heap_bytes() as f64 / f64::from(set.len());
    assert!(each < 50.0, "{each} bytes a plain address");
    let (set, ..) = load_text("16.0.0.0/4\n");
    assert_eq!(set.len(), 1 << 20);
    assert!(
        set.heap_bytes() < 1000,
        "{} bytes for a /4",
        set.heap_bytes()
    );
}

#[test]
fn repeated_lines_need_little_memory_and_the_first_one_counts() {
    let mut text = String::from("target,n\n");
    for n in 0..1_200_000u32 {
        text += &format!(
            "{},{}\n",
            Ipv4Addr::from_bits(0x0900_0000 + n % 1000),
            n / 1000
        );
    }
    let mut on_bad = |bad: &BadLine| panic!("{bad}");
    let spec = TargetSpec::default();
    let mut loader = Loader::new(&spec, &no_dns, &mut on_bad).unwrap();
    loader.input(Path::new("list"), text.as_bytes()).unwrap();
    assert!(
        loader.pending() < 600_000,
        "{} kept of 1,000 addresses",
        loader.pending()
    );
    let (set, report) = loader.finish().unwrap();
    check_sums(&report);
    assert_eq!((set.len(), report.duplicates), (1000, 1_199_000));
    assert!(set.iter().all(|(id, _)| set.info(id).labels == [Some("0")]));
}
