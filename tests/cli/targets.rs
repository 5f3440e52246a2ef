//! Targets, and the inputs that they come from.

use super::*;

use pathsurvey::dataset::read::{Dataset, Rows};

/// Surveys into JSON lines. Returns the distinct destinations and the messages.
fn destinations(arguments: &[&str], input: &[u8]) -> (Vec<String>, String) {
    let output = fed(
        &survey_arguments(&[arguments, &["-o", "-", "--format", "jsonl"]].concat()),
        input,
    );
    check(&output, 0, &[]);
    let rows = text(&output.stdout);
    let destination = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        row["destination"].as_str().expect("an address").to_owned()
    };
    let mut found: Vec<String> = rows.lines().map(destination).collect();
    found.sort();
    found.dedup();
    (found, errors(&output))
}

const LIST: &str = "# ours\n198.18.0.1\n\n198.18.0.2 # behind\n198.18.0.1\n";

#[test]
fn lists_come_from_files_standard_input_and_compressed_files_alike() {
    let place = Place::new();
    let plain = place.file("list.txt", LIST);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(LIST.as_bytes()).expect("memory");
    let gz = place.file("list.gz", gzip.finish().expect("memory"));
    let zst = place.file(
        "list.zst",
        zstd::encode_all(LIST.as_bytes(), 3).expect("memory"),
    );
    for (arguments, input) in [
        (["-i", plain.as_str()], ""),
        (["-i", &gz], ""),
        (["-i", &zst], ""),
        (["-i", "-"], LIST),
    ] {
        let (found, _) = destinations(&arguments, input.as_bytes());
        assert_eq!(found, ["198.18.0.1", "198.18.0.2"], "{arguments:?}");
    }
}

#[test]
fn bad_lines_are_named_by_file_and_line_and_counted() {
    let place = Place::new();
    let list = place.file(
        "list.txt",
        "198.18.0.1\n300.1.2.3\n198.18.0.2\n198.18.0.0/40\nhalf a line\n",
    );
    let out = place.text("out");
    let output = survey(&["-i", &list, "-o", &out]);
    check(
        &output,
        0,
        &["list.txt:2: ", "list.txt:4: ", "list.txt:5: ", "300.1.2.3"],
    );
    let manifest = json_file(&place.path("out/manifest.json"));
    assert_eq!(manifest["targets"]["bad_lines"], 3);
    assert_eq!(manifest["targets"]["targets"], 2);
    let strict = survey(&["--strict", "-i", &list, "-o", &place.text("strict")]);
    check(&strict, 1, &["list.txt:2: ", "--strict"]);
    assert!(
        !place.path("strict").exists(),
        "nothing was probed, nothing is written"
    );
}

/// What is understood, but may not be what was meant, is told once and is in the manifest.
#[test]
fn prefixes_with_host_bits_and_lost_labels_are_told() {
    let place = Place::new();
    let list =
        "target,site\n198.18.0.9/30,fra\n198.18.0.8,ams\n198.18.1.1/31,fra\n198.18.0.9,ams\n";
    let list = place.file("list.csv", list);
    let blocklist = place.file("blocked", "198.18.1.1/32\n198.18.0.11/31\n");
    let out = place.text("out");
    let output = survey(&["-i", &list, "-b", &blocklist, "-o", &out]);
    let told = [
        "3 prefixes have bits set behind the length",
        "blocked:2: 198.18.0.11/31 stands for 198.18.0.10/31",
        "2 rows give other labels to an address of an earlier row",
        "list.csv:3, ",
        "list.csv:5\n",
    ];
    check(&output, 0, &told);
    let warnings = errors(&output).matches("warning: ").count();
    assert_eq!(warnings, 2, "{}", errors(&output));
    let manifest = json_file(&place.path("out/manifest.json"));
    assert_eq!(manifest["targets"]["targets"], 3);
    assert_eq!(manifest["targets"]["host_bits"], 3);
    assert_eq!(manifest["targets"]["unused_labels"], 2);
    let kept = manifest["warnings"].as_array().expect("warnings");
    assert_eq!(kept.len(), 2, "{kept:?}");
}

#[test]
fn a_list_in_utf_16_is_named_as_that() {
    let place = Place::new();
    let text = "198.18.0.1\r\n198.18.0.2\r\n".encode_utf16();
    let list: Vec<u8> = text.flat_map(u16::to_le_bytes).collect();
    let list = place.file("list.txt", list);
    for arguments in [["-i", &list, "-4"], ["198.18.0.1", "-b", &list]] {
        let output = survey(&[&arguments[..], &["-o", &place.text("out")]].concat());
        let why =
            "list.txt: it is UTF-16 (little-endian, without a byte order mark): save it as UTF-8";
        check(&output, 1, &[why]);
    }
    assert!(!place.path("out").exists());
}

#[test]
fn names_in_the_lab_are_never_sent_to_a_dns_server() {
    let place = Place::new();
    let list = place.file("list.txt", "198.18.0.1\nlocalhost\nhost.example\n");
    let out = place.text("out");
    let output = survey(&["-i", &list, "-o", &out]);
    let hint = "the lab has no DNS server";
    check(&output, 0, &["list.txt:2: ", "list.txt:3: ", hint]);
    let manifest = json_file(&place.path("out/manifest.json"));
    assert_eq!(manifest["targets"]["targets"], 1);
    assert_eq!(manifest["targets"]["unresolved"], 2);
    assert_eq!(manifest["config"]["targets"]["resolve_targets"], "ipv4");
    let strict = survey(&["--strict", "-i", &list, "-o", &place.text("strict")]);
    check(&strict, 1, &["list.txt:2: ", hint, "--strict"]);
    let argument = survey(&["host.example", "-o", &place.text("argument")]);
    check(&argument, 1, &["argument `host.example`", hint]);
    let list = place.file("names.txt", "host.example\n");
    let none = survey(&["-i", &list, "-o", &place.text("none")]);
    check(&none, 1, &["1 host names that cannot be resolved"]);
}

#[test]
fn syntax_of_other_tools_gets_a_hint() {
    let place = Place::new();
    let list = "region;target\n\"198.18.0.1\"\nregion\ttarget\n198.18.0.4:80\n198.18.0.1-198.18.0.5\n198.18.0.9\n";
    let list = place.file("list", list);
    let output = survey(&["-i", &list, "-o", &place.text("out")]);
    let columns = "columns are separated by commas only, and the header needs a column `target`";
    for (line, why) in [
        (1, columns),
        (2, "quotes"),
        (3, columns),
        (4, "--dest-port"),
        (5, "give a prefix"),
    ] {
        let start = format!("list:{line}: ");
        let told = errors(&output);
        let told = told.lines().find(|told| told.contains(&start));
        assert!(
            told.is_some_and(|told| told.contains(why)),
            "{line}: {told:?}"
        );
    }
    check(&output, 0, &[]);
}

/// `--lab FILE` and `FILE` alone name targets, not lists.
#[test]
fn a_file_given_as_a_target_gets_a_hint() {
    let place = Place::new();
    place.file("k4.csv", "198.18.0.1\n");
    let told = |target: &str| {
        let mut command = program(&["survey", "--virtual-time", "--lab", target, "-o", "out"]);
        let output = command.current_dir(&place.0).output().expect("an end");
        check(&output, 1, &[&format!("argument `{target}`")]);
        errors(&output)
    };
    assert!(told("k4.csv").contains("; to read targets from this file, give -i k4.csv\n"));
    assert!(told("./k4.csv").contains(" -i ./k4.csv\n"));
    assert!(!told("k5.csv").contains("-i "));
    assert!(
        !told("k4.csv").contains("--resolver"),
        "no help in virtual time"
    );
}

#[test]
fn an_ipv6_line_breaks_nothing() {
    let (found, errors) = destinations(
        &["-4", "-i", "-"],
        b"198.18.0.1\n2001:db8::1\n2001:db8::/32\n198.18.0.2\n",
    );
    assert_eq!(found, ["198.18.0.1", "198.18.0.2"]);
    assert!(!errors.contains("error"), "{errors}");
    let place = Place::new();
    let none = survey(&["-4", "2001:db8::1", "-o", &place.text("out")]);
    check(&none, 1, &["IPv6"]);
    let none = survey(&["-6", "198.18.0.1", "-o", &place.text("out")]);
    check(&none, 1, &["not probed (IPv4)"]);
    let blocklist = place.file("block", "2001:db8::/32\n198.18.0.2\n");
    let (found, _) = destinations(&["198.18.0.1", "198.18.0.2", "-b", &blocklist], b"");
    assert_eq!(found, ["198.18.0.1"]);
}

#[test]
fn labels_arrive_with_their_traces() {
    let place = Place::new();
    let list = place.file(
        "list.csv",
        "name,target,site\nalpha,198.18.0.1,fra\nbeta,198.18.0.2,\n",
    );
    let out = place.text("out");
    check(&survey(&["-i", &list, "-o", &out]), 0, &[]);
    let mut seen = BTreeMap::new();
    let dataset = Dataset::open(out).expect("a dataset");
    let batches = dataset.scan("traces").columns(&["destination", "labels"]);
    for batch in batches.batches().expect("a table") {
        for row in Rows::new(batch.expect("a whole part")).iter() {
            let destination = row.text("destination").unwrap().expect("a destination");
            let labels = row.map("labels").unwrap().expect("labels");
            seen.insert(destination.to_owned(), labels);
        }
    }
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        (
            "198.18.0.1".to_owned(),
            vec![label("name", "alpha"), label("site", "fra")],
        ),
        ("198.18.0.2".to_owned(), vec![label("name", "beta")]),
    ];
    assert_eq!(seen, BTreeMap::from(expected));
}
