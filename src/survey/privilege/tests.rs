//! Tests of the parsing of texts and paths. The live tests show the effect on the kernel.

use super::*;
use crate::dataset::Format;

#[test]
fn a_capability_in_any_set_counts() {
    let status = |inheritable, bounding| {
        format!(
            "Name:\tlab\nCapInh:\t{inheritable}\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
             CapBnd:\t{bounding}\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n"
        )
    };
    let (none, some) = ("0000000000000000", "0000000000002000");
    assert!(!has_capabilities(&status(none, none), true));
    assert!(has_capabilities(&status(some, none), false));
    assert!(has_capabilities(&status(none, some), true));
    assert!(!has_capabilities(&status(none, some), false));
}

#[test]
fn only_mapped_users_can_continue_the_run() {
    let everybody = "         0          0 4294967295\n";
    assert!(is_mapped(everybody, 0) && is_mapped(everybody, 1000));
    let alone = "         0       1000          1\n";
    assert!(is_mapped(alone, 0) && !is_mapped(alone, 1000) && !is_mapped(alone, 65534));
    let two = "0 1000 1\n1 100000 65536\n";
    assert!(is_mapped(two, 65536) && !is_mapped(two, 65537));
    assert!(!is_mapped("", 0) && !is_mapped("0 0\nx y z\n", 0));
}

#[test]
fn the_owner_is_taken_from_the_nearest_directory_that_exists() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let of =
        |path: &str| place_of(&Output::parse(here.join(path).to_str().unwrap(), None).unwrap());
    assert_eq!(of(""), Some(here.to_owned()));
    assert_eq!(of("a/b/nightly"), Some(here.to_owned()));
    assert_eq!(of("hops.csv"), Some(here.to_owned()));
    assert_eq!(
        place_of(&Output::Directory("no-such-place".into())),
        Some(".".into())
    );
    let fifo = here.join("fifo.csv");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    fs::create_dir(here.join("links")).unwrap();
    for (link, target) in [("hops.csv", "../hops.csv"), ("fifo.csv", "../fifo.csv")] {
        std::os::unix::fs::symlink(target, here.join("links").join(link)).unwrap();
    }
    assert_eq!(of("fifo.csv"), Some(fifo));
    // The directory of the linked file, not of the link.
    let real = here.canonicalize().unwrap();
    assert_eq!(of("links/hops.csv"), Some(real));
    assert_eq!(of("links/fifo.csv"), Some(here.join("links/fifo.csv")));
    let format = Format::Csv;
    assert_eq!(
        place_of(&Output::File {
            path: "hops.csv".into(),
            format
        }),
        Some(".".into())
    );
    assert_eq!(place_of(&Output::Stdout { format }), None);
}
