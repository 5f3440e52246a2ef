//! Multipath surveys by the program at a fabric's vantage point, and their graphs beside the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pathsurvey::dataset::read::{Dataset, Row, Rows};

use super::fabric::{Fabric, Truth};
use super::most_misses;
use crate::routers::chain::Family;
use crate::support::note;

/// The highest confidence that a survey takes: one graph in a million is incomplete.
pub const SURELY: [&str; 4] = ["--graph-confidence", "99.9999", "--max-flows", "4096"];
pub const SURELY_BOUND: f64 = 1e-6;

/// The graph that a survey found to one target.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub found: Truth,
    /// The nodes inside of per-packet balancers.
    pub varying: BTreeSet<(u8, IpAddr)>,
    pub stop_reason: String,
    pub failure_bound: f64,
}

/// The graphs of a survey, by target.
pub type Graphs = BTreeMap<IpAddr, Graph>;

/// Traces all targets of a fabric. Fails if the survey fails, warns, or has no graph for a target.
pub fn survey(fabric: &Fabric, family: Family, options: &[&str]) -> Graphs {
    let (graphs, told) = survey_that_tells(fabric, family, options);
    assert_eq!(told, "", "{options:?}");
    graphs
}

/// As [`survey`]. Returns what the survey wrote to standard error, too.
pub fn survey_that_tells(fabric: &Fabric, family: Family, options: &[&str]) -> (Graphs, String) {
    let directory = tempfile::tempdir().unwrap();
    let targets = directory.path().join("targets.txt");
    let addresses = fabric.addresses(family);
    let lines: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    std::fs::write(&targets, lines.join("\n")).unwrap();
    let dataset = directory.path().join("dataset");
    let mut command = fabric.at_vantage(env!("CARGO_BIN_EXE_pathsurvey"));
    command
        .args(["survey", "--quiet", "--allow-special", "--seed", "1"])
        .args(["--strategy", "multipath", "--rate", "10k", "-i"])
        .arg(&targets)
        .arg("-o")
        .arg(&dataset)
        .args(options);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{options:?}: {told}");
    let graphs = read(&Dataset::open(&dataset).unwrap());
    let found: Vec<IpAddr> = graphs.keys().copied().collect();
    let expected: BTreeSet<IpAddr> = addresses.into_iter().collect();
    assert_eq!(found, Vec::from_iter(expected), "{options:?}");
    (graphs, told)
}

fn read(dataset: &Dataset) -> Graphs {
    let mut graphs = Graphs::new();
    each(dataset, "graphs", |row| {
        let graph = graphs.entry(address(&row, "destination")).or_default();
        graph.stop_reason = row.text("stop_reason").unwrap().unwrap().to_owned();
        graph.failure_bound = row.float("failure_bound").unwrap().unwrap();
    });
    each(dataset, "nodes", |row| {
        let graph = graphs.get_mut(&address(&row, "destination")).unwrap();
        let node = (ttl(&row), address(&row, "address"));
        assert!(graph.found.nodes.insert(node), "twice: {node:?}");
        if row.bool("varies").unwrap().unwrap() {
            graph.varying.insert(node);
        }
    });
    each(dataset, "links", |row| {
        let graph = graphs.get_mut(&address(&row, "destination")).unwrap();
        let link = (ttl(&row), address(&row, "near"), address(&row, "far"));
        assert!(graph.found.links.insert(link), "twice: {link:?}");
    });
    graphs
}

fn each(dataset: &Dataset, table: &str, mut take: impl FnMut(Row<'_>)) {
    for batch in dataset.scan(table).batches().unwrap() {
        Rows::new(batch.unwrap()).iter().for_each(&mut take);
    }
}

fn address(row: &Row<'_>, column: &str) -> IpAddr {
    row.address(column).unwrap().expect("an address")
}

fn ttl(row: &Row<'_>) -> u8 {
    let ttl = row.int("ttl").unwrap().expect("a TTL");
    ttl.try_into().unwrap()
}

/// Fails if a graph has a node or link that `truth` does not have.
pub fn check_nothing_is_false(graphs: &Graphs, truth: impl Fn(IpAddr) -> Truth) {
    for (target, graph) in graphs {
        let truth = truth(*target);
        let nodes: Vec<_> = graph.found.nodes.difference(&truth.nodes).collect();
        let links: Vec<_> = graph.found.links.difference(&truth.links).collect();
        let nothing = nodes.is_empty() && links.is_empty();
        assert!(nothing, "false to {target}: {nodes:?}, {links:?}");
    }
}

/// Returns how many graphs lack a node or link of `truth`. Fails if one has a false node or link, or was not searched to its end.
pub fn count_misses(graphs: &Graphs, truth: impl Fn(IpAddr) -> Truth) -> u32 {
    check_nothing_is_false(graphs, &truth);
    let ended = graphs
        .values()
        .find(|graph| graph.stop_reason != "completed");
    assert!(ended.is_none(), "not completed: {ended:?}");
    let whole = |(target, graph): &(&IpAddr, &Graph)| graph.found == truth(**target);
    let misses = graphs.len() - graphs.iter().filter(whole).count();
    misses.try_into().unwrap()
}

/// Fails if more graphs are incomplete than the bound of each allows.
pub fn check_all(graphs: &Graphs, bound: f64, truth: impl Fn(IpAddr) -> Truth) {
    let misses = count_misses(graphs, truth);
    let stated = graphs.values().find(|graph| graph.failure_bound > bound);
    assert!(stated.is_none(), "another bound: {stated:?}");
    let targets = graphs.len().try_into().unwrap();
    let most = most_misses(targets, bound);
    assert!(
        misses <= most,
        "{misses} of {targets} graphs are incomplete, more than {most}"
    );
    note(&format!("{misses} of {targets} graphs incomplete"));
}

/// All that the graphs show together, without the targets and the links to them.
pub fn together(graphs: &Graphs) -> Truth {
    let mut all = Truth::default();
    for (target, graph) in graphs {
        let routers = graph.found.clone().without(*target);
        all.nodes.extend(routers.nodes);
        all.links.extend(routers.links);
    }
    all
}
