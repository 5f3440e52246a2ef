//! What the report says about lists that were accepted.

use super::*;

fn blocking(directory: &Path, text: &str) -> TargetSpec {
    let path = directory.join("blocked.txt");
    std::fs::write(&path, text).unwrap();
    TargetSpec {
        blocklists: vec![path],
        ..both()
    }
}

#[test]
fn bits_behind_the_length_of_a_prefix_are_told_once() {
    let list = b"9.0.0.0/24\n9.0.1.5/24\n9.0.2.1/32\n9.0.3.3/31\n2a00::1/64\n0.0.0.0/0\n2a00::/48\n300.0.0.1/8\n";
    let spec = TargetSpec {
        allow_large: true,
        ..both()
    };
    let (set, report, _) = load_lists(&spec, &[("list", list)]).unwrap();
    assert!(
        addresses(&set).contains(&"9.0.1.200".to_owned()),
        "the prefix is probed"
    );
    assert_eq!(report.host_bits, 3);
    assert_eq!(
        report.warnings(),
        [
            "3 prefixes have bits set behind the length: the whole prefix is meant; for one address, leave the length out \
          (list:2: 9.0.1.5/24 stands for 9.0.1.0/24)"
        ]
    );
    let (_, report, _) = load_text("9.0.0.0/24\n9.0.0.1\n9.0.0.1/32\n2a00::1/64\n");
    assert_eq!(
        (report.host_bits, report.warnings().len()),
        (0, 0),
        "IPv6 is not probed"
    );
}

#[test]
fn bits_behind_the_length_are_told_of_arguments_and_blocklists_too() {
    let spec = TargetSpec {
        arguments: vec!["9.0.0.5/24".to_owned()],
        ..both()
    };
    let (_, report) = load(&spec, &no_dns, &mut |_| ()).unwrap();
    let [warning] = &report.warnings()[..] else {
        panic!("one warning")
    };
    assert!(warning.starts_with("1 prefix has"), "{warning}");
    assert!(
        warning.ends_with("(9.0.0.5/24 stands for 9.0.0.0/24)"),
        "{warning}"
    );

    let directory = tempfile::tempdir().unwrap();
    let spec = TargetSpec {
        arguments: vec!["9.0.0.4/30".to_owned(), "9.0.1.7/31".to_owned()],
        ..blocking(directory.path(), "# asked us\n9.0.0.5/31\n2a00::1/32\n")
    };
    let (set, report) = load(&spec, &no_dns, &mut |_| ()).unwrap();
    assert_eq!(
        addresses(&set),
        ["9.0.0.6", "9.0.0.7", "9.0.1.6", "9.0.1.7"]
    );
    assert_eq!((report.host_bits, report.blocked), (3, 2));
    let told = report.first_host_bits.unwrap();
    assert!(
        told.ends_with("blocked.txt:2: 9.0.0.5/31 stands for 9.0.0.4/31"),
        "{told}"
    );
}

/// The rows with unused labels, by file and line.
fn unused(lists: &[(&str, &str)]) -> (u64, Vec<String>) {
    let lists: Vec<(&str, &[u8])> = lists
        .iter()
        .map(|(name, text)| (*name, text.as_bytes()))
        .collect();
    let (_, report, _) = load_lists(&both(), &lists).unwrap();
    let named = report.unused_labels.min(5) as usize;
    assert_eq!(report.first_unused_labels.len(), named, "{report:?}");
    (report.unused_labels, report.first_unused_labels)
}

#[test]
fn rows_whose_labels_lose_to_an_earlier_row_are_named() {
    let csv = "target,asn,city\n9.0.0.1,1,\n# a comment\n\n9.0.0.1,2,\n9.0.0.1,1,\n9.0.0.1,1,Bern\n9.0.0.2,,\n9.0.0.2,,Bonn\n9.0.0.3,,\n9.0.0.1,,\n";
    // Line 5 has another label, line 7 one more, and line 9 one where the first row has none.
    let expected = ["a.csv:5", "a.csv:7", "a.csv:9"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(unused(&[("a.csv", csv)]), (3, expected.clone()));
    // The same list once more: only the same rows lose.
    let again = ["b.csv:5", "b.csv:7"].map(str::to_owned);
    let (count, named) = unused(&[("a.csv", csv), ("b.csv", csv)]);
    assert_eq!(count, 6);
    assert_eq!(named, [&expected[..], &again].concat());
    let (_, report, _) = load_lists(&both(), &[("a.csv", csv.as_bytes())]).unwrap();
    assert_eq!(
        report.warnings(),
        [
            "3 rows give other labels to an address of an earlier row, and the labels of the first row of an address are used: \
          a.csv:5, a.csv:7, a.csv:9"
        ]
    );
}

#[test]
fn columns_of_several_lists_are_compared_by_their_names() {
    let first = "asn,target,city\n1,9.0.0.1,Bern\n1,9.0.0.2,Bern\n1,9.0.0.3,Bern\n";
    let second = "city,target\nBern,9.0.0.1\nBonn,9.0.0.2\n,9.0.0.3\n";
    assert_eq!(
        unused(&[("a", first), ("b", second)]),
        (1, vec!["b:3".to_owned()])
    );
    assert_eq!(
        unused(&[("plain", "9.0.0.1\n"), ("b", second)]),
        (1, vec!["b:2".to_owned()])
    );
    assert_eq!(
        unused(&[("b", second), ("plain", "9.0.0.1\n9.0.0.2\n")]).0,
        0
    );
}

#[test]
fn labels_of_prefixes_and_names_lose_as_well() {
    for (rows, losers) in [
        // A single address after, and before, the prefix that contains it.
        ("9.0.0.0/30,1\n9.0.0.1,2\n", &[3][..]),
        ("9.0.0.1,2\n9.0.0.0/30,1\n", &[3]),
        ("9.0.0.0/30,1\n9.0.0.4/30,2\n", &[]),
        // Prefixes of drawn hosts.
        ("9.0.0.0/16,1\n9.0.0.0/20,2\n9.1.0.0/20,3\n", &[3]),
        ("9.0.0.0/20,2\n9.0.0.0/16,1\n9.0.0.0/16,2\n", &[3, 4]),
        ("9.0.0.0/20,1\n9.0.0.0/16,1\n", &[]),
        // The drawn host of 9.0.0.0/24, and all others.
        ("9.0.0.0/16,1\n9.0.0.0/24,2\n", &[3]),
        ("two.example,1\n9.0.0.2,2\n2a00::2,1\n", &[3]),
        ("9.0.0.2,2\ntwo.example,1\nTWO.example.,1\n", &[3, 4]),
        ("2a00:1::/48,1\n2a00:1::/32,2\n", &[3]),
        // Every prefix around an address loses there, not only the narrowest one.
        ("9.0.0.1,1\n9.0.0.0/28,2\n9.0.0.0/24,2\n", &[3, 4]),
        ("9.0.0.0/24,1\n9.0.0.0/20,2\n9.0.0.0/16,2\n", &[3, 4]),
        ("2a00:1::/48,1\n2a00:1::/40,2\n2a00:1::/32,2\n", &[3, 4]),
        // A prefix without an address of its own takes nothing.
        (
            "9.0.0.0/31,2\n9.0.0.2/31,2\n9.0.0.0/30,1\n9.0.0.0/29,2\n",
            &[4],
        ),
        // Five are named.
        (
            "9.0.0.1,1\n9.0.0.1,2\n9.0.0.1,3\n9.0.0.1,4\n9.0.0.1,5\n9.0.0.1,6\n9.0.0.1,7\n",
            &[3, 4, 5, 6, 7, 8],
        ),
    ] {
        let (count, named) = unused(&[("list", &format!("target,n\n{rows}"))]);
        let expected: Vec<String> = losers
            .iter()
            .take(5)
            .map(|line| format!("list:{line}"))
            .collect();
        assert_eq!((count, named), (losers.len() as u64, expected), "{rows}");
    }
}

/// Duplicates are removed before the end of a long list.
#[test]
fn rows_that_a_long_list_repeats_are_counted() {
    let mut text = String::from("target,n\n");
    for n in 0..600_000u32 {
        let address = Ipv4Addr::from_bits(0x0900_0000 + n % 1000);
        text += &format!("{address},{}\n", u32::from(n == 900 || n >= 300_000));
    }
    // Rows 300,000 and later have the label 1, but the first rows had 0. Row 900 had 1, so that its address loses the 0 of later rows.
    let (count, named) = unused(&[("list", &text)]);
    assert_eq!(count, 300_000 - 300 + 299);
    assert_eq!(named[0], format!("list:{}", 1900 + 2));
}
