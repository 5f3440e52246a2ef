//! What the fuzzer has found so far, and what the lab answers, through the functions that the fuzzer calls.

mod captures;
#[path = "../../fuzz/src/lib.rs"]
mod fuzzed;

use std::fs;
use std::path::{Path, PathBuf};

/// The inputs of a fuzz target.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut inputs: Vec<_> = fs::read_dir(&directory)
        .expect("a corpus")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).expect("an input");
            (path, bytes)
        })
        .collect();
    inputs.sort();
    inputs
}

/// Whether it came from the lab.
fn is_capture(path: &Path) -> bool {
    let name = path.file_name().expect("a name").to_string_lossy();
    name.starts_with("lab-")
}

#[test]
fn received_packets_are_read_or_refused() {
    let mut captures = 0;
    for (path, bytes) in inputs("reply") {
        let read = fuzzed::reply(&bytes);
        if is_capture(&path) {
            assert!(read.is_ok(), "{}: {read:?}", path.display());
            captures += 1;
        }
    }
    assert!(captures > 30, "only {captures} captures");
}

#[test]
fn fragments_are_put_together_or_dropped() {
    let mut captures = 0;
    for (path, bytes) in inputs("fragments") {
        let whole = fuzzed::fragments(&bytes);
        if is_capture(&path) {
            assert_eq!(whole, 1, "{}", path.display());
            captures += 1;
        }
    }
    assert!(captures > 4, "only {captures} captures");
}

#[test]
fn quotes_are_read_or_refused() {
    let mut captures = 0;
    for (path, bytes) in inputs("quote") {
        let read = fuzzed::quote(&bytes);
        if is_capture(&path) {
            let quoted = read.unwrap_or_else(|reason| panic!("{}: {reason:?}", path.display()));
            let shows_number = quoted.src_port().or(quoted.icmp_id()).is_some();
            assert!(shows_number, "{}: {quoted:?}", path.display());
            captures += 1;
        }
    }
    assert!(captures > 20, "only {captures} captures");
}

#[test]
fn what_sockets_are_told_is_read_or_refused() {
    let mut captures = 0;
    for (path, bytes) in inputs("socket") {
        let read = fuzzed::socket(&bytes);
        if is_capture(&path) {
            assert!(read.is_ok(), "{}: {read:?}", path.display());
            captures += 1;
        }
    }
    assert!(captures > 20, "only {captures} captures");
}

#[test]
fn extension_structures_are_read_or_skipped() {
    let mut captures = 0;
    for (path, bytes) in inputs("extensions") {
        let found = fuzzed::extensions(&bytes);
        if is_capture(&path) {
            assert!(found, "{}", path.display());
            captures += 1;
        }
    }
    assert!(captures > 4, "only {captures} captures");
}

#[test]
fn target_lists_are_read_or_refused() {
    let mut targets = 0;
    for (_, bytes) in inputs("targets") {
        targets += fuzzed::targets(&bytes).map_or(0, |report| report.targets);
    }
    assert!(targets > 20, "only {targets} targets");
}

/// With `PATHSURVEY_CAPTURES` the answers are saved as seeds below the directory that it names.
#[test]
fn all_that_the_lab_answers_is_read() {
    let captures = captures::captures();
    for packet in captures.packets.values() {
        fuzzed::reply(packet).expect("the lab's answers can be read");
    }
    for pieces in captures.fragments.values() {
        assert_eq!(fuzzed::fragments(pieces), 1);
    }
    let looks = captures.packets.len();
    assert!(looks > 30, "only {looks} looks");
    assert!(
        captures.fragments.len() > 4,
        "only {}",
        captures.fragments.len()
    );
    if let Some(corpus) = std::env::var_os("PATHSURVEY_CAPTURES") {
        captures::save(&captures, Path::new(&corpus));
    }
}
