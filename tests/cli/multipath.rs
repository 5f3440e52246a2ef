//! Multipath surveys as a user starts them.

use std::collections::BTreeMap;

use pathsurvey::dataset::read::{Checks, Dataset, Rows};

use super::*;

/// A survey in virtual time of targets behind balancers. Nothing is lost, so the seed decides the graphs.
const SURVEY: [&str; 12] = [
    "survey",
    "--lab=labs/generated-clean.toml",
    "--virtual-time",
    "--strategy",
    "multipath",
    "-e",
    "7",
    "-r",
    "400",
    "-c",
    "0",
    "198.18.0.0/21",
];
const TABLES: [(&str, &[&str]); 5] = [
    (
        "traces",
        &[
            "trace_id",
            "destination",
            "flow",
            "path",
            "stop_reason",
            "reached",
        ],
    ),
    (
        "graphs",
        &[
            "trace_id",
            "target_input",
            "flows",
            "nodes",
            "links",
            "branchings",
        ],
    ),
    (
        "nodes",
        &[
            "trace_id",
            "ttl",
            "address",
            "flows",
            "next_hops",
            "stopped_by",
        ],
    ),
    ("links", &["trace_id", "ttl", "near", "far", "flows"]),
    (
        "diamonds",
        &[
            "trace_id",
            "divergence",
            "convergence",
            "max_width",
            "meshed",
        ],
    ),
];

/// How often each row is in each table.
fn tables(root: &str) -> BTreeMap<&'static str, BTreeMap<String, usize>> {
    let dataset = Dataset::open(root).expect("a dataset");
    let faults = dataset.verify(Checks::ALL, |_| ()).expect("a directory");
    assert!(faults.is_empty(), "{faults:?}");
    let of = |(table, columns): (&'static str, &'static [&'static str])| {
        let mut counts = BTreeMap::new();
        for batch in dataset
            .scan(table)
            .columns(columns)
            .batches()
            .expect("a table")
        {
            for row in Rows::new(batch.expect("rows")).iter() {
                *counts.entry(row.to_json().to_string()).or_default() += 1;
            }
        }
        (table, counts)
    };
    TABLES.into_iter().map(of).collect()
}

#[test]
fn a_survey_in_pieces_has_every_graph_once() {
    let place = Place::new();
    let (undisturbed, out) = (place.text("undisturbed"), place.text("out"));
    check(
        &run(&[&SURVEY[..], &["-o", &undisturbed]].concat()),
        0,
        &["per_flow_balancing"],
    );
    let pieces = [
        "--seal-rows",
        "100",
        "--window",
        "2",
        "--max-duration",
        "9s",
        "-o",
        &out,
    ];
    check(
        &run(&[&SURVEY[..], &pieces].concat()),
        5,
        &["survey --resume -o"],
    );
    let mut sessions = 1;
    loop {
        sessions += 1;
        let next = run(&["survey", "--resume", "-o", &out]);
        match next.status.code() {
            Some(0) => break,
            Some(5) if sessions < 100 => {}
            code => panic!("{code:?}: {}", errors(&next)),
        }
    }
    assert!(sessions > 2, "{sessions} sessions");
    let expected = tables(&undisturbed);
    assert_eq!(expected["graphs"].len(), 8, "a target in each /24");
    for (table, rows) in &expected {
        assert!(
            rows.len() >= 8 && rows.values().all(|count| *count == 1),
            "{table}"
        );
    }
    assert_eq!(tables(&out), expected);
}

#[test]
fn options_that_do_not_fit_are_refused_with_the_remedy() {
    let place = Place::new();
    let out = place.text("out");
    for (options, texts) in [
        (&["--mtu"][..], &["--mtu", "leave --mtu out"][..]),
        (&["--flows", "3"], &["--flows", "--strategy trace"]),
        (&["--second-pass"], &["--second-pass"]),
        (
            &["--graph-confidence", "100"],
            &["100", "such as 95 or 99.9"],
        ),
        (&["--confidence", "0.2"], &["0.2", "such as 95 or 99.9"]),
        (&["--max-flows", "0"], &["--max-flows"]),
        (
            &["--max-flows", "60000"],
            &["--source-port 24000", "60000 ports"],
        ),
        (
            &["--vary", "dest-port", "--max-flows", "50000"],
            &["--dest-port 33434", "50000 ports"],
        ),
        (
            &["--vary", "dest-port", "--protocol", "icmp"],
            &["--vary dest-port", "icmp-checksum"],
        ),
        (
            &["--vary", "icmp-checksum"],
            &["--vary icmp-checksum", "--protocol icmp"],
        ),
        (&["--vary", "flow-label"], &["--vary flow-label", "add -6"]),
    ] {
        let refused = run(&[&SURVEY[..], options, &["-o", &out]].concat());
        check(&refused, 2, texts);
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_confidence_may_be_percent_or_a_share() {
    let place = Place::new();
    let mut found = Vec::new();
    for (number, confidence) in ["99", "99%", "0.99"].into_iter().enumerate() {
        let out = place.text(&number.to_string());
        let options = ["--graph-confidence", confidence, "-o", &out];
        check(&run(&[&SURVEY[..], &options].concat()), 0, &[]);
        found.push(tables(&out));
    }
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
}
