//! `pathsurvey ecmp`: the figures are those of the tables, and the graphs have exactly their nodes and links. tests/readers/ecmp.py asks
//! DuckDB for all figures.

use std::collections::{BTreeMap, BTreeSet};

use pathsurvey::dataset::read::{Dataset, Rows};

use super::*;

mod target;

const MULTIPATH: [&str; 2] = ["--strategy", "multipath"];
const FLOWS: [&str; 2] = ["--flows", "12"];
/// Eight targets behind shared balancers.
const TARGETS: &str = "198.18.0.0/21";

/// A survey in virtual time of targets behind balancers. Nothing is lost, so the seed decides the paths.
fn surveyed(root: &str, options: &[&str]) {
    let lab = [
        "--lab=labs/generated-clean.toml",
        "-r",
        "400",
        "-c",
        "0",
        TARGETS,
        "-o",
        root,
    ];
    check(
        &run(&[&["survey", "--virtual-time", "--quiet"][..], &lab, options].concat()),
        0,
        &[],
    );
}

fn dataset(options: &[&str]) -> (Place, String) {
    let place = Place::new();
    let root = place.text("out");
    surveyed(&root, &[&["-e", "7"][..], options].concat());
    (place, root)
}

/// Standard output of `ecmp`, which succeeds and says nothing else.
fn ecmp(arguments: &[&str]) -> String {
    let output = run(&[&["ecmp"][..], arguments].concat());
    check(&output, 0, &[]);
    assert_eq!(errors(&output), "");
    text(&output.stdout)
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&ecmp(&[arguments, &["--json"]].concat())).expect("JSON")
}

fn csv_rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows = reader.deserialize().map(|row| row.expect("a row"));
    rows.collect()
}

/// All rows of a table.
fn rows(root: &str, table: &str) -> Vec<Value> {
    let dataset = Dataset::open(root).expect("a dataset");
    let batches = dataset.scan(table).batches().expect("a table");
    let rows = batches.flat_map(|batch| {
        let rows = Rows::new(batch.expect("rows"));
        rows.iter().map(|row| row.to_json()).collect::<Vec<_>>()
    });
    rows.collect()
}

fn number(row: &Value, column: &str) -> u64 {
    row[column]
        .as_u64()
        .unwrap_or_else(|| panic!("{column} of {row}"))
}

fn sum(rows: &[Value], column: &str) -> u64 {
    rows.iter().map(|row| number(row, column)).sum()
}

/// Median, 90% and maximum by the nearest rank.
fn spread(mut numbers: Vec<u64>) -> Value {
    numbers.sort_unstable();
    let at = |tenths: usize| numbers[(numbers.len() * tenths).div_ceil(10) - 1];
    let (median, p90, max) = (at(5), at(9), at(10));
    serde_json::json!({
        "median": median, "p90": p90, "max": max, "total": numbers.iter().sum::<u64>()
    })
}

fn total(bins: &Value) -> u64 {
    let bins = bins.as_array().expect("bins");
    bins.iter().map(|bin| number(bin, "count")).sum()
}

/// What stands between `start` and `end` in each line that has both.
fn between(text: &str, start: &str, end: &str) -> BTreeSet<String> {
    let lines = text.lines();
    let found = lines.filter_map(|line| Some(line.split_once(start)?.1.split_once(end)?.0));
    found.map(str::to_owned).collect()
}

#[test]
fn the_figures_are_those_of_the_tables() {
    let (_place, root) = dataset(&MULTIPATH);
    let found = json(&[&root, "--top", "1000"]);
    let (graphs, diamonds) = (rows(&root, "graphs"), rows(&root, "diamonds"));
    assert_eq!(graphs.len(), 8, "a target in each /24");
    assert_eq!(found["source"], "multipath");
    assert_eq!(
        (number(&found, "graphs"), number(&found, "targets")),
        (8, 8)
    );
    for column in ["nodes", "links"] {
        assert_eq!(number(&found, column), sum(&graphs, column));
    }
    assert_eq!(found["runs"][0]["vary"], "source_port");
    let of = |rows: &[Value], column| rows.iter().map(|row| number(row, column)).collect();
    assert_eq!(found["flows"], spread(of(&graphs, "flows")));
    assert_eq!(
        found["probes"],
        spread(of(&rows(&root, "traces"), "probes_sent"))
    );
    assert_eq!(found["stop_reasons"], serde_json::json!({"completed": 8}));
    assert_eq!(found["algorithms"], serde_json::json!({"full": 8}));
    assert_eq!(found["failure_bound"]["asked"], 0.05);
    assert_eq!(total(&found["max_width"]), 8);
    assert_eq!(number(&found["diamonds"], "total"), diamonds.len() as u64);
    assert_eq!(
        total(&found["diamonds"]["max_length"]),
        diamonds.len() as u64
    );
    let behind: BTreeSet<&str> = diamonds
        .iter()
        .filter_map(|row| row["destination"].as_str())
        .collect();
    assert!(!behind.is_empty());
    assert_eq!(
        number(&found, "targets_behind_diamond"),
        behind.len() as u64
    );

    let mut shared: BTreeMap<[&str; 2], BTreeSet<&str>> = BTreeMap::new();
    for row in &diamonds {
        let ends = ["divergence", "convergence"].map(|end| row[end].as_str());
        if let [Some(divergence), Some(convergence)] = ends {
            let targets = shared.entry([divergence, convergence]).or_default();
            targets.insert(row["destination"].as_str().expect("an address"));
        }
    }
    let listed = found["shared_diamonds"].as_array().expect("a list");
    assert!(listed[0]["targets"].as_u64() > Some(1), "{}", listed[0]);
    let listed: BTreeMap<[&str; 2], u64> = { listed.iter() }
        .map(|row| {
            let end = |end: &str| row[end].as_str().expect("an address");
            (
                [end("divergence"), end("convergence")],
                number(row, "targets"),
            )
        })
        .collect();
    let shared: BTreeMap<_, _> = { shared.into_iter() }
        .map(|(ends, targets)| (ends, targets.len() as u64))
        .collect();
    assert_eq!(listed, shared);
    assert_eq!(number(&found["diamonds"], "distinct"), shared.len() as u64);
}

#[test]
fn the_csv_tables_have_a_row_for_each_diamond_or_graph() {
    let (_place, root) = dataset(&MULTIPATH);
    let found = json(&[&root, "--top", "1000"]);
    let diamonds = csv_rows(&ecmp(&[&root, "--csv"]));
    let listed = found["shared_diamonds"].as_array().expect("a list");
    assert_eq!(diamonds.len(), listed.len());
    for (row, listed) in diamonds.iter().zip(listed) {
        for (column, cell) in row {
            let expected = match &listed[column] {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            assert_eq!(*cell, expected, "{column}");
        }
    }
    assert_eq!(ecmp(&[&root, "--csv=diamonds"]), ecmp(&[&root, "--csv"]));

    let targets = csv_rows(&ecmp(&[&root, "--csv=targets"]));
    let graphs = rows(&root, "graphs");
    assert_eq!(targets.len(), graphs.len());
    for (row, graph) in targets.iter().zip(&graphs) {
        for (column, cell) in row.iter().filter(|(column, _)| *column != "probes") {
            let expected = match &graph[column] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(*cell, expected, "{column}");
        }
    }
}

#[test]
fn traces_of_several_flows_make_graphs_without_a_claim() {
    let (_place, root) = dataset(&FLOWS);
    let found = json(&[&root]);
    assert_eq!(found["source"], "flows");
    assert_eq!(found["failure_bound"], Value::Null);
    assert_eq!(number(&found, "graphs"), 8);
    assert_eq!(
        found["flows"],
        serde_json::json!({"median": 12, "p90": 12, "max": 12, "total": 96})
    );
    let traces = rows(&root, "traces");
    assert_eq!(
        number(&found["probes"], "total"),
        sum(&traces, "probes_sent")
    );
    let mut nodes: BTreeSet<(String, u64, String)> = BTreeSet::new();
    let mut links: BTreeSet<(String, u64, String, String)> = BTreeSet::new();
    for trace in &traces {
        let target = trace["destination"].as_str().expect("an address");
        let path: Vec<Option<&str>> = { trace["path"].as_array().expect("a path").iter() }
            .map(Value::as_str)
            .collect();
        let first = number(trace, "first_ttl");
        for (ttl, hop) in (first..).zip(&path) {
            nodes.extend(hop.map(|hop| (target.to_owned(), ttl, hop.to_owned())));
        }
        for (ttl, pair) in (first..).zip(path.windows(2)) {
            if let [Some(near), Some(far)] = pair {
                links.insert((
                    target.to_owned(),
                    ttl,
                    (*near).to_owned(),
                    (*far).to_owned(),
                ));
            }
        }
    }
    assert_eq!(number(&found, "nodes"), nodes.len() as u64);
    assert_eq!(number(&found, "links"), links.len() as u64);
    assert!(number(&found["diamonds"], "total") > 0);
    let unknown = &found["diamonds"]["balancers"][3];
    assert_eq!(unknown["balancer"], Value::Null);
    assert_eq!(
        number(unknown, "diamonds"),
        number(&found["diamonds"], "total")
    );

    let targets = csv_rows(&ecmp(&[&root, "--csv=targets"]));
    assert_eq!(targets.len(), 8);
    assert!(
        targets
            .iter()
            .all(|row| row["failure_bound"].is_empty() && row["flows"] == "12")
    );
    let target = &targets[2]["destination"];
    let graphml = ecmp(&[&root, "--graphml", target]);
    let of_target = nodes
        .iter()
        .filter(|(destination, _, _)| destination == target);
    let expected = of_target.map(|(_, ttl, address)| format!("{ttl}-{address}"));
    assert_eq!(between(&graphml, "<node id=\"", "\""), expected.collect());
    assert!(ecmp(&[&root, "--svg", target]).contains("other flows may take other paths"));
}

#[test]
fn graphs_do_not_depend_on_the_parts_of_a_dataset() {
    let (_place, whole) = dataset(&FLOWS);
    let (_place, pieces) = dataset(&[&FLOWS[..], &["--seal-rows", "100"]].concat());
    let dataset = Dataset::open(&pieces).expect("a dataset");
    assert!(dataset.runs()[0].parts("traces").len() > 2);
    let sorted = |root: &str| {
        let mut rows = csv_rows(&ecmp(&[root, "--csv=targets"]));
        rows.sort();
        rows
    };
    assert_eq!(sorted(&pieces), sorted(&whole));
    assert_eq!(json(&[&pieces]), json(&[&whole]));
}

#[test]
fn wrong_input_is_refused_with_the_remedy() {
    let (place, multipath) = dataset(&MULTIPATH);
    let (_place, one) = dataset(&["--flows", "1"]);
    let (_place, sweep) = dataset(&["--strategy", "sweep"]);
    let file = place.text("hops.parquet");
    surveyed(&file, &["-e", "7"]);
    let csv = place.text("hops.csv");
    surveyed(&csv, &["-e", "7"]);
    let missing = place.text("nothing");
    for (arguments, texts) in [
        (&[missing.as_str()][..], &["nothing does not exist"][..]),
        (&[&csv], &["hops.csv is a CSV file"]),
        (&[&file], &["hops.parquet is a single file", "-o DIRECTORY"]),
        (
            &[&one],
            &["trace with one flow", "--strategy multipath", "--flows 16"],
        ),
        (
            &["tests/fixtures/v1/icmp"],
            &["trace of an old version, without paths"],
        ),
        (&[&sweep], &["a sweep", "--strategy multipath"]),
        (
            &[&multipath, "--svg", "192.0.2.1"],
            &["no graph of the target \"192.0.2.1\"", "--csv=targets"],
        ),
        (
            &[&multipath, "--dot", "nobody.example"],
            &["nobody.example"],
        ),
        (
            &[&multipath, "--graphml", TARGETS],
            &["stands for 8 addresses", "such as 198.18.0."],
        ),
        (
            &[&multipath, "--run", "42"],
            &["has no run 42", "datasets list"],
        ),
        (
            &[&multipath, "--date", "2020-02-02"],
            &["no run that fits", "datasets list"],
        ),
    ] {
        let output = run(&[&["ecmp"][..], arguments].concat());
        check(&output, 1, texts);
        assert_eq!(text(&output.stdout), "");
    }
    for arguments in [
        &["--json", "--csv"][..],
        &["--svg", "a", "--dot", "b"],
        &["--csv=hops"],
    ] {
        check(
            &run(&[&["ecmp", &multipath][..], arguments].concat()),
            2,
            &[],
        );
    }
}

#[test]
fn the_table_has_the_figures_in_words() {
    let (_place, root) = dataset(&MULTIPATH);
    let table = ecmp(&[&root, "--top", "1"]);
    for part in [
        "8 graphs of 8 targets in 1 run (from multipath tracing)",
        "completed 8",
        "asked 0.05",
        "per_flow",
        "most shared diamonds",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let found = json(&[&root, "--top", "1"]);
    let shared = &found["shared_diamonds"][0];
    assert!(table.contains(shared["divergence"].as_str().expect("an address")));
    assert_eq!(found["shared_diamonds"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let (_place, root) = dataset(&MULTIPATH);
    for options in [
        &["--json"][..],
        &["--csv"],
        &["--csv=targets"],
        &["--svg", "198.18.0.137"],
        &[],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = program(&[&["ecmp", &root][..], options].concat());
        let output = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("an end");
        check(&output, 0, &[]);
        assert_eq!(errors(&output), "");
    }
}
