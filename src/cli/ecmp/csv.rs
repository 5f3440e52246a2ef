//! The CSV tables of `ecmp`. Absent values are empty cells. Lists are JSON in one cell, as in CSV datasets.

use std::io::{self, BufWriter, Write};

use ::csv::{ErrorKind, Writer};
use clap::ValueEnum;

use pathsurvey::analyze::ecmp::{GraphFacts, Graphs, Progress, SharedDiamond};

/// A CSV table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CsvTable {
    /// One row per distinct diamond with both ends, those with the most targets first.
    Diamonds,
    /// One row per graph: a target in a run.
    Targets,
}

const DIAMONDS: [&str; 10] = [
    "divergence",
    "convergence",
    "targets",
    "rows",
    "least_width",
    "most_width",
    "most_length",
    "most_asymmetry",
    "meshed",
    "balancers",
];

const TARGETS: [&str; 15] = [
    "run_id",
    "trace_id",
    "vantage",
    "target_input",
    "destination",
    "stop_reason",
    "algorithm",
    "flows",
    "probes",
    "nodes",
    "links",
    "diamonds",
    "max_width",
    "branchings",
    "failure_bound",
];

/// Prints a row for each distinct diamond.
pub(super) fn diamonds(diamonds: &[SharedDiamond]) -> anyhow::Result<()> {
    let mut out = writer(&DIAMONDS)?;
    for diamond in diamonds {
        let row = [
            diamond.divergence.to_string(),
            diamond.convergence.to_string(),
            diamond.targets.to_string(),
            diamond.rows.to_string(),
            diamond.least_width.to_string(),
            diamond.most_width.to_string(),
            diamond.most_length.to_string(),
            cell(diamond.most_asymmetry),
            cell(diamond.meshed),
            serde_json::to_string(&diamond.balancers)?,
        ];
        out.write_record(row).map_err(of_pipe)?;
    }
    Ok(out.flush()?)
}

/// Prints a row for each graph, while the graphs are read.
pub(super) fn targets(graphs: &Graphs, progress: impl Fn(Progress) + Sync) -> anyhow::Result<()> {
    let mut out = writer(&TARGETS)?;
    graphs.each(progress, |graph: &GraphFacts| -> anyhow::Result<()> {
        let row = [
            graph.run_id.clone(),
            graph.trace_id.to_string(),
            graph.vantage.clone(),
            graph.target_input.clone(),
            graph.destination.to_string(),
            cell(graph.stop_reason.as_ref()),
            cell(graph.algorithm.as_ref()),
            graph.flows.to_string(),
            cell(graph.probes),
            graph.nodes.to_string(),
            graph.links.to_string(),
            graph.diamonds.to_string(),
            graph.max_width.to_string(),
            graph.branchings.to_string(),
            cell(graph.failure_bound),
        ];
        Ok(out.write_record(row).map_err(of_pipe)?)
    })?;
    Ok(out.flush()?)
}

fn writer(columns: &[&str]) -> io::Result<Writer<impl Write>> {
    let mut out = Writer::from_writer(BufWriter::new(io::stdout().lock()));
    out.write_record(columns).map_err(of_pipe)?;
    Ok(out)
}

fn cell(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The error of the stream, so that a closed pipe is recognised.
fn of_pipe(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
