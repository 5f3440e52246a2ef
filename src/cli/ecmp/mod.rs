//! `pathsurvey ecmp`: figures about load balancing, and drawings of the graph of one target.
//!
//! Standard output is data: a table for people, JSON, CSV, or one drawing. Progress and notes go to standard error.

mod csv;
mod table;

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::bail;
use chrono::NaiveDate;
use clap::{ArgGroup, Args};
use indicatif::ProgressBar;

use pathsurvey::analyze::ecmp::draw::{dot, graphml, svg};
use pathsurvey::analyze::ecmp::{Graphs, Progress, TargetGraph};
use pathsurvey::care::night_of;
use pathsurvey::dataset::read::{Dataset, Run};

use self::csv::CsvTable;
use super::datasets::{counted, is_broken_pipe, print, print_json};
use super::log::LogOptions;
use super::terminal::new_bar;
use super::values::day;
use super::{OK, fail};

/// Options of `ecmp`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("output").args(["json", "csv", "dot", "graphml", "svg"]))]
pub(super) struct EcmpArgs {
    /// The directory that runs wrote: of multipath tracing, or of `--flows`.
    dataset: PathBuf,

    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,

    /// Print a table as CSV.
    #[arg(
        long,
        value_name = "TABLE",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "diamonds"
    )]
    csv: Option<CsvTable>,

    /// Print the graph of TARGET (its address, or its text in the list of targets) for Graphviz.
    #[arg(long, value_name = "TARGET")]
    dot: Option<String>,

    /// Print the graph of TARGET as GraphML, for Gephi, yEd and networkx.
    #[arg(long, value_name = "TARGET")]
    graphml: Option<String>,

    /// Print a drawing of the graph of TARGET as SVG.
    #[arg(long, value_name = "TARGET")]
    svg: Option<String>,

    /// Read only the run ID. May be given several times.
    #[arg(long, value_name = "ID")]
    run: Vec<String>,

    /// Read only runs of the night DATE.
    #[arg(long, value_name = "DATE", value_parser = day)]
    date: Option<NaiveDate>,

    /// Read only runs of the vantage point NAME.
    #[arg(long, value_name = "NAME")]
    vantage: Option<String>,

    /// The number of shared diamonds in the table and in JSON. `--csv` prints all.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    top: usize,
}

impl EcmpArgs {
    /// Runs the command. Returns the exit code.
    pub(super) fn run(&self, log: &LogOptions) -> u8 {
        match self.print(log) {
            Ok(()) => OK,
            // The reader of standard output closed the pipe.
            Err(error) if is_broken_pipe(&error) => OK,
            Err(error) => fail(&error),
        }
    }

    fn print(&self, log: &LogOptions) -> anyhow::Result<()> {
        let graphs = Graphs::of(self.chosen()?)?;
        if let [run, ..] = graphs.left_out() {
            tracing::warn!(
                "{} of trace with several flows left out, because there are runs of multipath tracing: choose with `--run {run}`",
                counted(graphs.left_out().len() as u64, "run")
            );
        }
        if let Some(target) = &self.dot {
            return Ok(print(&dot(&drawn(&graphs, target)?))?);
        }
        if let Some(target) = &self.graphml {
            return Ok(print(&graphml(&drawn(&graphs, target)?))?);
        }
        if let Some(target) = &self.svg {
            return Ok(print(&svg(&drawn(&graphs, target)?))?);
        }
        if self.csv == Some(CsvTable::Targets) {
            // Rows and a bar on one terminal would overwrite each other.
            let bar = Bar::new(log.shows_progress() && !io::stdout().is_terminal());
            return csv::targets(&graphs, |progress| bar.show(progress));
        }
        let bar = Bar::new(log.shows_progress());
        let mut summary = graphs.summary(|progress| bar.show(progress))?;
        drop(bar);
        if self.csv.is_some() {
            return csv::diamonds(&summary.shared_diamonds);
        }
        summary.shared_diamonds.truncate(self.top);
        match self.json {
            true => print_json(&summary),
            false => Ok(print(&table::text(&summary))?),
        }
    }

    /// The runs that the options choose.
    fn chosen(&self) -> anyhow::Result<Dataset> {
        let dataset = Dataset::open(&self.dataset)?;
        let path = self.dataset.display();
        if let Some(unknown) = self.run.iter().find(|id| dataset.run(id).is_none()) {
            bail!("{path} has no run {unknown}: `pathsurvey datasets list {path}` shows its runs");
        }
        let fits = |run: &Run| {
            (self.run.is_empty() || self.run.iter().any(|id| id == run.id()))
                && self.date.is_none_or(|date| night_of(run) == Some(date))
                && { self.vantage.as_ref() }.is_none_or(|name| *name == run.manifest().vantage.id)
        };
        let dataset = dataset.only(fits);
        if dataset.runs().is_empty() {
            bail!(
                "{path} has no run that fits --run, --date and --vantage together: `pathsurvey datasets list {path}` shows its runs"
            );
        }
        Ok(dataset)
    }
}

/// The newest graph of a target. A note says which one it is, if there are others.
fn drawn(graphs: &Graphs, target: &str) -> anyhow::Result<TargetGraph> {
    let found = graphs.target(target)?;
    if let [other, ..] = &found.others[..] {
        tracing::warn!(
            "the graph is that of the newest run, {}; {} a graph of {target}, too: choose with `--run {other}`",
            found.graph.run.run_id,
            match found.others.len() {
                1 => "another run has".to_owned(),
                others => format!("{others} other runs have"),
            },
        );
    }
    Ok(found.graph)
}

/// A progress bar that disappears when it is dropped.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(shows: bool) -> Self {
        let style = "{bar:32} {percent:>3}%  {human_pos} rows read  {elapsed_precise} (eta {eta})";
        Bar(shows.then(|| new_bar(0, style)))
    }

    fn show(&self, progress: Progress) {
        if let Some(bar) = &self.0 {
            bar.set_length(progress.all_rows);
            bar.set_position(progress.rows);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
