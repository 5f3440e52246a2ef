//! The same seed gives the same dataset, byte for byte; another seed another order of the same facts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use pathsurvey::dataset::Output;

use super::experiment::{config, lab_file, over_file, survey};
use super::parquet_rows::{Table, files};

/// Every file of a dataset, by its name within.
fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |path: &Path| {
        let name = path.strip_prefix(root).expect("below the root");
        (
            name.to_string_lossy().into_owned(),
            fs::read(path).expect("a file"),
        )
    };
    files(root).iter().map(|path| read(path)).collect()
}

fn assert_same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(other));
    for (name, bytes) in one {
        assert!(*bytes == other[name], "{name} differs");
    }
}

/// Runs the command in a process of its own.
fn run_command(root: &Path, network: Option<&str>, options: &[&str], seed: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathsurvey"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "survey",
        "--quiet",
        "--virtual-time",
        "--lab",
    ]);
    command.args(network).args(options);
    command.args([
        "198.18.0.0/24",
        "198.18.1.0/24",
        "--flows",
        "2",
        "--seal-interval",
        "1",
        "--rate",
        "500",
        "-e",
        seed,
        "-o",
    ]);
    let status = command.arg(root).status().expect("the command");
    assert!(status.success());
}

#[test]
fn two_processes_with_one_seed_write_the_same_bytes() {
    // The virtual vantage point's resets are sent and lost the same way, too.
    let tcp: &[&str] = &["--protocol", "tcp", "--dest-port", "443"];
    for (network, options) in [
        (None, &[][..]),
        (Some("labs/loss.toml"), &[]),
        (None, tcp),
        (Some("labs/hosts.toml"), tcp),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let roots = [directory.path().join("a"), directory.path().join("b")];
        for root in &roots {
            run_command(root, network, options, "11");
        }
        let [one, other] = roots.map(|root| contents(&root));
        let parts = one.keys().filter(|name| name.ends_with(".parquet")).count();
        assert!(parts > 10, "{parts} parts");
        assert_same(&one, &other);
    }
}

#[test]
fn the_library_twice_writes_the_same_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    let [one, other] = ["a", "b"].map(|name| {
        let root = directory.path().join(name);
        let config = over_file(
            config(&["198.18.0.0/24", "198.18.1.0/24"], 12),
            lab_file("diamond"),
        );
        survey(config, &Output::Directory(root.clone()));
        contents(&root)
    });
    assert_same(&one, &other);
}

#[test]
fn another_seed_is_another_order_of_the_same_facts() {
    let directory = tempfile::tempdir().expect("a directory");
    let [one, other] = [3, 4].map(|seed| {
        let root = directory.path().join(seed.to_string());
        let mut config = config(&[], seed);
        config.targets.files = vec!["sample-targets/lab.csv".into()];
        let end = survey(
            over_file(config, lab_file("generated-clean")),
            &Output::Directory(root.clone()),
        );
        (end.dataset.hops, Table::read(&root, "hops"))
    });
    assert_eq!(one.0, other.0);
    let facts = |table: &Table| -> BTreeSet<(String, Option<i64>, Option<String>)> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        (0..table.rows())
            .map(|row| {
                let destination = owned(table.text("destination", row)).expect("a destination");
                (
                    destination,
                    table.number("ttl", row),
                    owned(table.text("responder", row)),
                )
            })
            .collect()
    };
    assert!(facts(&one.1) == facts(&other.1));
    let order = |table: &Table| -> Vec<i64> {
        let mut probes: Vec<_> = (0..table.rows())
            .map(|row| (table.number("probe_id", row), table.number("trace_id", row)))
            .collect();
        probes.sort_unstable();
        probes.into_iter().filter_map(|(_, trace)| trace).collect()
    };
    assert!(order(&one.1) != order(&other.1), "the order of probing");
    assert_ne!(one.1.text("run_id", 0), other.1.text("run_id", 0));
}
