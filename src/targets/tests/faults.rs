//! Errors in the input are reported and counted, and the number of messages is limited.

use std::io::Write;
use std::net::Ipv4Addr;

use super::*;

#[test]
fn bad_lines_are_reported_counted_and_left_out() {
    let list = b"9.0.0.1\n300.1.1.1\n\xFF\xFE\n10.0.0.0/33\nnowhere.example\nempty.example\n\x1b[31m\n9.0.0.2\n";
    let (set, report, bad) = load_lists(&both(), &[("a.txt", list)]).unwrap();
    assert_eq!((set.len(), report.bad_lines, report.inputs), (2, 6, 8));
    assert_eq!(bad, report.messages);
    let starts = [
        "a.txt:2: `300.1.1.1`, not an IPv4",
        "a.txt:3: `\u{FFFD}\u{FFFD}`, not UTF-8",
        "a.txt:4: `10.0.0.0/33`, not a prefix: the length is a number from 0 to 32",
        "a.txt:5: `nowhere.example`, cannot be resolved: no such name",
        "a.txt:6: `empty.example`, cannot be resolved: it has no IPv4 or IPv6 address",
        "a.txt:7: `\\u{1b}[31m`, not a host name",
    ];
    for (message, start) in bad.iter().zip(starts) {
        assert!(message.starts_with(start), "{message}");
    }
    let strict = TargetSpec {
        strict: true,
        ..both()
    };
    let error = load_lists(&strict, &[("a.txt", list)]).unwrap_err();
    assert!(error.to_string().starts_with(starts[0]), "{error}");
}

#[test]
fn messages_are_limited_but_every_bad_line_is_counted() {
    let text = "1.2.3\n".repeat(1000);
    let (_, report, bad) = load_text(&text);
    assert_eq!(
        (report.bad_lines, report.messages.len(), bad.len()),
        (1000, report::MOST_MESSAGES, 1000)
    );
    assert!(bad[999].starts_with("list:1000: "));
}

#[test]
fn bad_arguments_end_the_run() {
    for bad in ["1.2.3.4.5", "10.0.0.0/33", "nowhere.example", "", "a b"] {
        let spec = TargetSpec {
            arguments: vec!["9.0.0.1".to_owned(), bad.to_owned()],
            ..both()
        };
        let error = load_lists(&spec, &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("argument `{bad}`, ")),
            "{error}"
        );
    }
    let spec = TargetSpec {
        arguments: vec!["two.example".to_owned(), "9.0.1.0/31".to_owned()],
        ..TargetSpec::default()
    };
    let (set, ..) = load_lists(&spec, &[]).unwrap();
    assert_eq!(addresses(&set), ["9.0.0.2", "9.0.1.0", "9.0.1.1"]);
}

#[test]
fn compressed_lists_are_read_and_damaged_ones_refused() {
    let text = (0..5000u32)
        .map(|n| format!("{}\n", Ipv4Addr::from_bits(0x0900_0000 + n)))
        .collect::<String>();
    let gzip = |part: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    // Two members in one file, as `cat a.gz b.gz` makes them.
    let (first, second) = text.split_at(20_000);
    let gz = [gzip(first), gzip(second)].concat();
    let zst = [
        zstd::encode_all(first.as_bytes(), 1).unwrap(),
        zstd::encode_all(second.as_bytes(), 1).unwrap(),
    ]
    .concat();
    for (name, bytes) in [("a.gz", &gz), ("-", &gz), ("a.zst", &zst), ("a.txt", &zst)] {
        let (set, report, _) = load_lists(&both(), &[(name, bytes)]).unwrap();
        assert_eq!((set.len(), report.lines), (5000, 5000), "{name}");
    }
    let not_gzip = b"9.0.0.1\n".to_vec();
    for (name, bytes) in [
        ("cut.gz", &gz[..gz.len() - 9]),
        ("cut.zst", &zst[..zst.len() - 9]),
        ("plain.gz", &not_gzip[..]),
        ("plain.zst", &not_gzip[..]),
    ] {
        let error = load_lists(&both(), &[(name, bytes)]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot read {name}: ")),
            "{error}"
        );
    }
    let mut damaged = gz.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    assert!(matches!(
        load_lists(&both(), &[("a.gz", &damaged)]),
        Err(TargetError::Read { .. })
    ));
    assert_eq!(
        load_lists(&both(), &[("empty.gz", b"")]).unwrap().0.len(),
        0
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let spec = TargetSpec {
        files: vec![directory.path().to_owned()],
        ..both()
    };
    let error = load(&spec, &no_dns, &mut |_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot read {}: ", directory.path().display())),
        "{error}"
    );
}

/// Its lines are text, also one that looks like a row.
#[test]
fn a_row_that_is_too_long_is_one_bad_row() {
    let buffer = 1 << 20;
    let half = "x".repeat(40_000);
    let row = format!("9.0.0.1,\"{half}\n9.0.0.9,y\n{half}\"\n");
    // The row lies at the start of a buffer, within one, and across the end of one.
    for before in [0, 1000, buffer - 90_000, buffer - 60_000, buffer - 1000] {
        let pad = "#\n".repeat(before / 2);
        let list = format!("{pad}target,n\n{row}9.0.0.2,\"ok\"\n");
        let (set, report, bad) = load_text(&list);
        assert_eq!(addresses(&set), ["9.0.0.2"], "{before}");
        assert_eq!(report.lines as usize, before / 2 + 5, "{before}");
        assert_eq!((report.bad_lines, bad.len()), (1, 1), "{before}: {bad:?}");
        let start = format!("list:{}: `9.0.0.1,\"xxx", before / 2 + 2);
        assert!(bad[0].starts_with(&start), "{before}: {bad:?}");
        assert!(bad[0].ends_with("longer than 65536 bytes"), "{bad:?}");
    }
    // The end of the row is in no buffer that has its start.
    let list = format!("target,n\n{}", row.replace(&half, &half.repeat(20)));
    let (_, _, bad) = load_text(&list);
    assert!(bad[0].starts_with("list:2: "), "{bad:?}");
    assert!(bad[0].ends_with("longer than 65536 bytes"), "{bad:?}");
    // A quote that is not closed makes only its line bad, however much follows.
    let list = format!("target,n\n9.0.0.1,\"x\n9.0.0.2,{half}\n9.0.0.3,{half}\n");
    let (set, _, bad) = load_text(&list);
    assert_eq!(addresses(&set), ["9.0.0.2", "9.0.0.3"]);
    assert!(bad.len() == 1 && bad[0].contains("not closed"), "{bad:?}");
}

#[test]
fn a_line_that_is_too_long_is_one_bad_line() {
    for header in ["", "target,x\n"] {
        let mut list = header.as_bytes().to_vec();
        list.extend(std::iter::repeat_n(b'x', 5 << 20));
        list.extend(b"\n9.0.0.1");
        list.extend(if header.is_empty() {
            &b"\n"[..]
        } else {
            b",y\n"
        });
        list.extend(std::iter::repeat_n(b'x', reader::LONGEST + 1));
        let (set, report, bad) = load_lists(&both(), &[("list", &list)]).unwrap();
        assert_eq!((set.len(), report.bad_lines), (1, 2), "{bad:?}");
        assert!(
            bad.iter()
                .all(|message| message.ends_with("longer than 65536 bytes")),
            "{bad:?}"
        );
        assert!(bad[0].len() < 200);
    }
}
