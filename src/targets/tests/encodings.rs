//! Line ends and encodings of lists.

use super::*;

fn utf16(text: &str, little_endian: bool) -> Vec<u8> {
    let bytes = |unit: u16| match little_endian {
        true => unit.to_le_bytes(),
        false => unit.to_be_bytes(),
    };
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn utf_16_is_named_in_lists_and_blocklists() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("list.txt");
    for (little_endian, name) in [(true, "little-endian"), (false, "big-endian")] {
        for text in [
            "9.0.0.1\r\n9.0.0.2\r\n",
            "target,n\n9.0.0.1,1\n",
            "\u{FEFF}9.0.0.1\n",
        ] {
            std::fs::write(&path, utf16(text, little_endian)).unwrap();
            let list = TargetSpec {
                files: vec![path.clone()],
                ..both()
            };
            let blocklist = TargetSpec {
                arguments: vec!["9.0.0.1".to_owned()],
                blocklists: vec![path.clone()],
                ..both()
            };
            for spec in [list, blocklist] {
                let error = load(&spec, &no_dns, &mut |_| ()).unwrap_err().to_string();
                assert!(
                    error.contains("list.txt: it is UTF-16 (") && error.contains(name),
                    "{error}"
                );
                assert!(error.ends_with("): save it as UTF-8"), "{error}");
            }
        }
    }
}

#[test]
fn nul_bytes_between_entries_are_named() {
    let list = "198.18.0.10\x00198.18.0.11\x00198.18.0.12\0";
    for list in [list.to_owned(), list.repeat(100_000)] {
        let error = load_lists(&both(), &[("list", list.as_bytes())]).unwrap_err();
        let why = error.to_string();
        assert!(
            why.contains("list: its entries are separated by NUL bytes"),
            "{why}"
        );
    }
    let (set, _, bad) = load_text("9.0.0.1\n9.0.0.2\x009.0.0.3\n");
    assert_eq!(set.len(), 1);
    assert!(bad[0].starts_with("list:2: ") && bad[0].contains("NUL bytes"));
}

/// Some shells append UTF-16 to a list in UTF-8.
#[test]
fn a_part_in_utf_16_is_named_by_its_line() {
    let mut list = b"9.0.0.1\n".repeat(100);
    list.extend(utf16("9.0.0.2\n", true));
    let (set, report, bad) = load_lists(&both(), &[("list", &list)]).unwrap();
    assert_eq!((set.len(), report.bad_lines), (1, 2));
    assert!(
        bad[0].starts_with("list:101: ") && bad[0].contains("UTF-16"),
        "{bad:?}"
    );
}

#[test]
fn every_kind_of_line_end_ends_a_line() {
    for end in ["\n", "\r\n", "\r"] {
        let plain = [
            "# ours",
            "9.0.0.1",
            "",
            "9.0.0.2 # behind",
            "1.2.3",
            "9.0.0.3",
        ]
        .join(end);
        let csv = [
            "target,note",
            "9.0.0.1,a",
            "# \"a\", b",
            "9.0.0.2,\"two\"",
            "",
            "1.2.3,x",
            "9.0.0.3,\"of",
            "two \"\"lines\"\"\"",
        ]
        .join(end);
        for (list, lines, bad_line) in [(plain, 6, 5), (csv, 8, 6)] {
            for list in [list.clone(), list + end] {
                let (set, report, bad) = load_text(&list);
                assert_eq!(
                    addresses(&set),
                    ["9.0.0.1", "9.0.0.2", "9.0.0.3"],
                    "{list:?}"
                );
                assert_eq!(report.lines, lines, "{list:?}");
                assert!(
                    bad[0].starts_with(&format!("list:{bad_line}: `1.2.3`")),
                    "{bad:?}"
                );
                if let [Some(note)] = &info(&set, "9.0.0.3").1[..] {
                    assert_eq!(note, &format!("of{end}two \"lines\""));
                }
            }
        }
    }
    let (set, report, _) =
        load_text("target,n\r9.0.0.1,a\n9.0.0.2,\"b\r\"\r\n9.0.0.3,\"c\"\r9.0.0.4,d");
    assert_eq!((set.len(), report.lines, report.bad_lines), (4, 6, 0));
}

/// The end of a buffer falls on every byte of a row, and between the halves of a line end.
#[test]
fn lists_longer_than_a_buffer_are_read_whole() {
    for end in ["\n", "\r\n", "\r"] {
        for (head, row) in [
            ("", format!("9.0.0.1{end}")),
            ("target,n", format!("9.0.0.1,\"a{end}b\"{end}")),
        ] {
            let rows = (1 << 20) / row.len() + 3;
            let lines = row.matches(end).count() * rows;
            for pad in 0..row.len() {
                // A comment of any length moves all rows behind it.
                let pad = "x".repeat(pad);
                let list = format!("#{pad}{end}{head}{end}{}", row.repeat(rows));
                let (set, report, bad) = load_text(&list);
                assert_eq!(
                    (set.len(), bad.len()),
                    (1, 0),
                    "{end:?} {}: {bad:?}",
                    pad.len()
                );
                assert_eq!(report.lines as usize, lines + 2, "{end:?} {}", pad.len());
                assert_eq!(report.inputs as usize, rows, "{end:?} {}", pad.len());
            }
        }
    }
}

#[test]
fn the_line_after_a_line_longer_than_a_buffer_is_read() {
    for end in ["\n", "\r\n", "\r"] {
        for length in (1 << 20) - 3..(1 << 20) + 3 {
            for head in ["", "target,n\n"] {
                let list = format!(
                    "{head}{}{end}9.0.0.1{}{end}",
                    "x".repeat(length - head.len()),
                    if head.is_empty() { "" } else { ",y" }
                );
                let (set, report, bad) = load_text(&list);
                assert_eq!(
                    (addresses(&set), bad.len()),
                    (vec!["9.0.0.1".to_owned()], 1),
                    "{end:?} {length}"
                );
                assert_eq!(
                    report.lines,
                    2 + u64::from(!head.is_empty()),
                    "{end:?} {length}"
                );
            }
        }
    }
}
