//! Sets that are stored and loaded again, and damaged files.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::*;
use crate::model::{TargetId, Targets};
use crate::targets::{Families, Loader, TargetSpec};

fn dns(name: &str) -> io::Result<Vec<IpAddr>> {
    match name {
        "two.example" => Ok(vec!["2a00::2".parse().unwrap(), "9.0.0.2".parse().unwrap()]),
        _ => Err(io::Error::other("no such name")),
    }
}

fn loaded(spec: &TargetSpec, lists: &[&str]) -> (TargetSet, LoadReport) {
    let mut on_bad = |_: &_| {};
    let mut loader = Loader::new(spec, &dns, &mut on_bad).unwrap();
    for (at, list) in lists.iter().enumerate() {
        let name = format!("list-{at}");
        loader.input(Path::new(&name), list.as_bytes()).unwrap();
    }
    loader.finish().unwrap()
}

fn stored(set: &TargetSet, report: &LoadReport) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.store(report, &mut bytes).unwrap();
    bytes
}

/// Everything of every target.
fn everything(set: &TargetSet) -> Vec<(IpAddr, String, Vec<Option<String>>)> {
    let all = set.iter().map(|(id, address)| {
        let info = set.info(id);
        let labels = info
            .labels
            .into_iter()
            .map(|label| label.map(str::to_owned));
        (address, info.input.into_owned(), labels.collect())
    });
    all.collect()
}

const LABELLED: &str = "target,asn,city\n9.0.0.1,64500,Zürich\n2a00::1,64500,\n9.1.0.0/16,64501,東京\n9.0.0.9,,\ntwo.example,64502,x\nno.example,1,\n";
const MORE: &str =
    "city,target,country\nBern,9.1.7.0/25,CH\n,9.2.0.0/22,\n,2a00:1:2::/46,LI\n,10.0.0.1,XX\n";

fn spec() -> TargetSpec {
    TargetSpec {
        families: Families::Both,
        resolve_targets: Families::Both,
        per_prefix: 3,
        target_seed: 77,
        ..TargetSpec::default()
    }
}

fn mixed() -> (TargetSet, LoadReport) {
    let plain = "9.3.0.0/24\n9.0.0.3\n9.0.0.0\n255.255.0.0/16\n8.0.0.0/8\n2000::/30\n0x1\n";
    loaded(&spec(), &[LABELLED, MORE, plain])
}

#[test]
fn a_loaded_set_equals_the_stored_one() {
    let nothing = loaded(&spec(), &[]);
    let ends = TargetSpec {
        families: Families::Both,
        allow_special: true,
        ..TargetSpec::default()
    };
    let ends = loaded(
        &ends,
        &[
            "255.255.255.254\n223.255.255.0/24\nfeff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n1.0.0.0/16\n",
        ],
    );
    for (set, report) in [mixed(), nothing, ends] {
        let bytes = stored(&set, &report);
        let (again, report_again) = TargetSet::load(&bytes[..]).unwrap();
        assert_eq!(report_again, report);
        assert_eq!(everything(&again), everything(&set));
        assert_eq!(again.label_names(), set.label_names());
        assert_eq!(again.ipv4_len(), set.ipv4_len());
        assert_eq!(again.heap_bytes(), set.heap_bytes());
        assert_eq!(
            stored(&again, &report),
            bytes,
            "equal sets give equal bytes"
        );
    }
}

#[test]
fn the_report_of_the_loading_is_kept() {
    let (set, report) = mixed();
    assert!(report.special > 0 && report.bad_lines > 0 && report.names > 0);
    assert!(
        !report.messages.is_empty() && report.unused_labels > 0,
        "{report:?}"
    );
    let (_, again) = TargetSet::load(&stored(&set, &report)[..]).unwrap();
    assert_eq!(again, report);
}

#[test]
fn ten_million_drawn_hosts_need_a_few_bytes() {
    let spec = TargetSpec {
        per_prefix: 160,
        ..TargetSpec::default()
    };
    let (set, report) = loaded(&spec, &["8.0.0.0/8\n"]);
    assert_eq!(set.len(), 65_536 * 160);
    let bytes = stored(&set, &report);
    assert!(bytes.len() < 512, "{} bytes", bytes.len());
    let (again, _) = TargetSet::load(&bytes[..]).unwrap();
    for id in [0, 1, 7_654_321, set.len() - 1].map(TargetId) {
        assert_eq!(again.address(id), set.address(id));
    }
}

/// Runs of this program with version 1 of the format stay resumable. If this test fails, the format or the draw has changed: raise its version.
#[test]
fn a_file_of_an_earlier_build_gives_the_same_targets() {
    const EARLIER: &[u8] = include_bytes!("tests/version-1.bin");
    let (set, report) = mixed();
    let (again, report_again) = TargetSet::load(EARLIER).unwrap();
    assert_eq!(report_again, report);
    assert_eq!(everything(&again), everything(&set));
}

#[test]
fn every_cut_and_every_changed_bit_is_an_error() {
    let (set, report) = loaded(&spec(), &[LABELLED]);
    let bytes = stored(&set, &report);
    for length in 0..bytes.len() {
        assert!(
            TargetSet::load(&bytes[..length]).is_err(),
            "cut to {length}"
        );
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(TargetSet::load(&changed[..]).is_err(), "byte {at}");
        }
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(
        TargetSet::load(&longer[..]),
        Err(StoreError::Checksum)
    ));
}

/// The file of a content, with a right checksum.
fn file_of(version: &str, content: &[u8]) -> Vec<u8> {
    let mut file = [MAGIC, version.as_bytes(), b"\n"].concat();
    file.extend(zstd::encode_all(content, LEVEL).unwrap());
    let checksum = Sha256::digest(&file);
    file.extend(&checksum[..]);
    file
}

fn content_of(file: &[u8]) -> Vec<u8> {
    let frame = &file[MAGIC.len() + 2..file.len() - CHECKSUM];
    zstd::decode_all(frame).unwrap()
}

#[test]
fn forged_content_never_panics_and_every_target_of_it_can_be_read() {
    let (set, report) = loaded(&spec(), &[LABELLED, "9.7.0.0/24\n"]);
    let content = content_of(&stored(&set, &report));
    assert!(TargetSet::load(&file_of("1", &content)[..]).is_ok());
    let (mut refused, mut read) = (0, 0);
    let mut check = |content: &[u8]| match TargetSet::load(&file_of("1", content)[..]) {
        Ok((set, _)) => {
            read += everything(&set).len();
        }
        Err(_) => refused += 1,
    };
    for length in 0..content.len() {
        check(&content[..length]);
    }
    for at in 0..content.len() {
        for change in [1, 2, 0x7F, 0x80, 0xFF] {
            let mut changed = content.clone();
            changed[at] ^= change;
            check(&changed);
        }
    }
    check(&[content.as_slice(), &[0]].concat());
    assert!(refused > content.len() && read > 0, "{refused} refused");
}

#[test]
fn other_files_and_other_versions_are_refused_with_a_remedy() {
    let error = |bytes: &[u8]| TargetSet::load(bytes).unwrap_err().to_string();
    assert!(error(b"").contains("not a stored target set"));
    assert!(error(b"192.0.2.1\n192.0.2.2\n192.0.2.3\n").contains("not a stored target set"));
    let newer = error(&file_of("2", b""));
    assert!(
        newer.contains("version 2") && newer.contains("version 1"),
        "{newer}"
    );
    // An endless file of another kind is not read to its end.
    assert!(matches!(
        TargetSet::load(io::repeat(7)),
        Err(StoreError::Foreign)
    ));
}

#[test]
fn an_error_of_the_input_or_the_output_is_passed_on() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    let (set, report) = mixed();
    let bytes = stored(&set, &report);
    let read = TargetSet::load((&bytes[..100]).chain(Broken));
    assert!(matches!(read, Err(StoreError::Read(_))));
    let mut full = [0; 100];
    assert!(set.store(&report, &mut &mut full[..]).is_err());
}

/// `cargo test --release --lib the_size_of_a_million -- --ignored --nocapture` prints it.
#[test]
#[ignore = "prints a size, takes seconds"]
fn the_size_of_a_million_labelled_targets() {
    let labelled: String = (0..1_000_000_u32)
        .map(|at| {
            let address = std::net::Ipv4Addr::from_bits(0x1000_0000 + at.wrapping_mul(193));
            format!(
                "{address},{},region-{},site {at}\n",
                64_500 + at % 5_000,
                at % 40
            )
        })
        .collect();
    let labelled = format!("target,asn,region,site\n{labelled}");
    let (set, report) = loaded(&TargetSpec::default(), &[&labelled]);
    let bytes = stored(&set, &report);
    println!(
        "{} targets, {} bytes in memory, {} bytes stored",
        set.len(),
        set.heap_bytes(),
        bytes.len()
    );
    assert_eq!(TargetSet::load(&bytes[..]).unwrap().0.len(), set.len());
}
