//! The table of docs/reliability.md is made here, from runs in which one call fails.

use std::fmt::Write as _;

use super::errors;
use super::outcome::{self, Outcome};
use super::places::{Kind, PLACES, Place};
use crate::dataset::files::Call;
use crate::dataset::remedy::{self, Written};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");
const BEGIN: &str = "<!-- The tables up to the end mark are made by a test: UPDATE_DOCS=1 cargo test --lib every_error -->\n";
const END: &str = "<!-- end of the tables -->\n";

#[test]
fn every_error_of_every_call_is_told_and_leaves_what_the_document_says() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("a begin mark");
    let (written, after) = rest.split_once(END).expect("an end mark");
    let made = tables();
    if written != made && std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCUMENT, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert!(
        written == made,
        "docs/reliability.md is not what runs do; UPDATE_DOCS=1 writes this there:\n{made}"
    );
}

fn tables() -> String {
    let mut text = remedies();
    for (kind, title) in [
        (Kind::Directory, "A directory (`-o OUT`)"),
        (Kind::File, "A single file (`-o OUT.csv`)"),
        (Kind::Stream, "A stream (`-o -`, a FIFO)"),
        (Kind::Pcap, "Packets (`--pcap OUT.pcap`)"),
    ] {
        writeln!(
            text,
            "\n### {title}\n\n| call | errors | exit | message | manifest | what stays |\n|---|---|---|---|---|---|"
        )
        .unwrap();
        for place in PLACES.iter().filter(|place| place.kind == kind) {
            text.push_str(&rows(place));
        }
    }
    text.push('\n');
    text
}

/// The remedies, by error.
fn remedies() -> String {
    let mut text = "\n### Remedies\n\n| error | remedy in the message |\n|---|---|\n".to_owned();
    let mut named: Vec<errors::Errno> = [Call::Open, Call::Write, Call::Rename]
        .into_iter()
        .flat_map(errors::of)
        .collect();
    named.sort_unstable();
    named.dedup();
    for (name, errno) in named {
        let error = std::io::Error::from_raw_os_error(errno);
        let remedy = |written| remedy::of(&error, "/".as_ref(), written);
        let mut lines = vec![("", remedy(Written::Directory))];
        for (of, written) in [
            (" (file)", Written::File),
            (" (`--pcap`)", Written::Packets),
        ] {
            let other = remedy(written);
            if other != lines[0].1.replace("-o", "--pcap") && other != lines[0].1 {
                lines.push((of, other));
            }
        }
        for (of, remedy) in lines.iter().filter(|(_, remedy)| !remedy.is_empty()) {
            writeln!(text, "| {name}{of} | {} |", remedy.trim_start_matches(": ")).unwrap();
        }
    }
    text
}

/// The rows of a call: one for each outcome, with the errors that lead to it.
fn rows(place: &Place) -> String {
    let mut rows: Vec<(Outcome, Vec<&str>)> = Vec::new();
    for (name, errno) in errors::of(place.call) {
        let outcome = outcome::of(place, errno);
        match rows.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, names)) => names.push(name),
            None => rows.push((outcome, vec![name])),
        }
    }
    let lines = rows.iter().map(|(outcome, names)| {
        format!(
            "| {} | {} | {} |\n",
            place.name,
            names.join(" "),
            outcome.cells()
        )
    });
    lines.collect()
}
