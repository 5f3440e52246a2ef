//! Datasets that the program wrote with schema version 1, alone and beside a new run.

use pathsurvey::dataset::read::Checks;

use super::*;

/// Runs, hops and traces of the datasets in `tests/fixtures/v1`.
const DATASETS: [(&str, usize, usize, usize); 7] = [
    ("labels", 1, 36, 6),
    ("loss", 1, 217, 32),
    ("extensions", 1, 102, 6),
    ("icmp", 1, 126, 14),
    ("mtu", 1, 16, 2),
    ("sweep", 1, 30, 0),
    ("nights", 2, 127, 13),
];

/// The columns that version 1 did not have.
const NEW_IN_HOPS: [&str; 1] = ["on_path"];
const NEW_IN_TRACES: [&str; 4] = ["path", "last_responder", "last_ttl", "target_rtt_us"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &place),
            false => fs::copy(entry.path(), place).map(|_| ()).unwrap(),
        }
    }
}

/// A copy of a dataset of version 1.
fn version_1(name: &str) -> tempfile::TempDir {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let directory = tempfile::tempdir().unwrap();
    copy(&fixtures.join(name), directory.path());
    directory
}

fn is_new(row: &Value) -> bool {
    row["run_id"] == "new"
}

/// Compares the rows of a table with the number that is expected, and the new columns with nulls in old rows.
fn check_table(dataset: &Dataset, table: &str, rows: usize, new_columns: &[&str]) {
    let found = all(dataset.scan(table));
    assert_eq!(found.len(), rows, "{table}");
    assert_eq!(dataset.scan(table).rows(), rows as u64);
    for row in &found {
        for column in new_columns {
            assert_eq!(row[*column].is_null(), !is_new(row), "{column} in {row}");
        }
    }
}

/// Reads all traces, and each again by its destination. Every hop of a run with traces belongs to one of them.
fn check_traces(dataset: &Dataset, traces: usize) {
    let mut found = 0;
    for trace in dataset.traces().iter().unwrap() {
        let trace = trace.unwrap();
        found += 1;
        let hops = trace.hops().iter();
        let sent = hops.filter(|hop| hop.int("reply_index").unwrap() == Some(0));
        let probes = trace.row().int("probes_sent").unwrap();
        assert_eq!(Some(sent.count() as i64), probes, "{:?}", trace.row());
        let destination = trace.destination().unwrap().unwrap();
        let again = dataset.traces_to(destination).unwrap();
        let mut same = again
            .iter()
            .filter(|other| (other.run().id(), other.id()) == (trace.run().id(), trace.id()));
        let same = same.next().unwrap();
        assert_eq!(same.row().to_json(), trace.row().to_json());
        let rows = |rows: &Rows| rows.iter().map(|row| row.to_json()).collect::<Vec<_>>();
        assert_eq!(rows(same.hops()), rows(trace.hops()));
    }
    assert_eq!(found, traces);
}

#[test]
fn datasets_of_version_1_are_read_alone() {
    for (name, runs, hops, traces) in DATASETS {
        let directory = version_1(name);
        let dataset = Dataset::open(directory.path()).unwrap();
        assert_eq!(dataset.runs().len(), runs, "{name}");
        check_table(&dataset, "hops", hops, &NEW_IN_HOPS);
        check_table(&dataset, "traces", traces, &NEW_IN_TRACES);
        check_traces(&dataset, traces);
        assert!(dataset.verify(Checks::ALL, |_| ()).unwrap().is_empty());
        assert!(!dataset.is_written().unwrap());
    }
}

#[test]
fn datasets_of_version_1_are_read_beside_a_new_run() {
    for (name, runs, hops, traces) in DATASETS {
        let directory = version_1(name);
        run(directory.path(), "new", "local", 0..4);
        let dataset = Dataset::open(directory.path()).unwrap();
        assert_eq!(dataset.runs().len(), runs + 1, "{name}");
        check_table(&dataset, "hops", hops + 64, &NEW_IN_HOPS);
        check_table(&dataset, "traces", traces + 4, &NEW_IN_TRACES);
        check_traces(&dataset, traces + 4);
        assert!(dataset.verify(Checks::ALL, |_| ()).unwrap().is_empty());
        let section = |run: &pathsurvey::dataset::read::Run| {
            let hops = run.manifest().tables.get("hops").unwrap();
            hops.schema_version
        };
        let versions: Vec<u32> = dataset.runs().iter().map(section).collect();
        assert_eq!(versions.last(), Some(&2), "{name}");
        assert_eq!(versions[0], 1, "{name}");
    }
}
