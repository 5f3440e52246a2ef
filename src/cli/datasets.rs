//! `pathsurvey datasets`: lists, verifies, compacts and prunes datasets.

mod prune;
mod table;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use pathsurvey::care::{self, Entry, Listed};

pub(super) use self::table::{Align, Table, counted, shown};
use super::log::LogOptions;
use super::{OK, fail};

/// Looks after datasets.
#[derive(Debug, Subcommand)]
pub(super) enum DatasetsCommand {
    /// List the runs of a dataset by night and vantage point.
    List(ListArgs),
    /// Compare the files of a dataset with its manifests. Ends with exit code 1 if there are faults.
    Verify(verify::VerifyArgs),
    /// Merge the small parts of runs into large ones. A sweep gains its traces. Ends with exit code 4 if runs stay as they are because another
    /// process is at work in their nights.
    Compact(super::compact::CompactArgs),
    /// Remove old nights. Without --yes, only says what it would remove.
    Prune(prune::PruneArgs),
}

impl DatasetsCommand {
    /// Runs the command. Returns the exit code.
    pub(super) fn run(self, log: &LogOptions) -> u8 {
        let end = match self {
            DatasetsCommand::List(args) => args.run(),
            DatasetsCommand::Verify(args) => args.run(log),
            DatasetsCommand::Compact(args) => args.run(log),
            DatasetsCommand::Prune(args) => args.run(),
        };
        match end {
            Ok(code) => code,
            // The reader of standard output closed the pipe.
            Err(error) if is_broken_pipe(&error) => OK,
            Err(error) => fail(&error),
        }
    }
}

pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a value as one line of JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value)?;
    Ok(print(&format!("{text}\n"))?)
}

/// Options of `datasets list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The directory or the single Parquet file that runs wrote.
    root: PathBuf,

    /// Print one JSON object per run.
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    fn run(&self) -> anyhow::Result<u8> {
        let entries = care::list(&self.root)?;
        if self.json {
            for entry in &entries {
                match entry {
                    Entry::Run(run) => print_json(run)?,
                    Entry::Damaged(error) => {
                        print_json(&serde_json::json!({"error": error.to_string()}))?;
                    }
                }
            }
        } else {
            print(&table_of(&entries))?;
        }
        Ok(OK)
    }
}

/// The table for a terminal. Damaged manifests are lines below it.
fn table_of(entries: &[Entry]) -> String {
    let mut table = Table::new(&[
        ("date", Align::Left),
        ("vantage", Align::Left),
        ("run", Align::Left),
        ("state", Align::Left),
        ("method", Align::Left),
        ("targets", Align::Right),
        ("traces", Align::Right),
        ("hops", Align::Right),
        ("parts", Align::Right),
        ("size", Align::Right),
        ("warnings", Align::Right),
    ]);
    let mut damaged = String::new();
    for entry in entries {
        match entry {
            Entry::Run(run) => table.row(row_of(run)),
            Entry::Damaged(error) => {
                let error = table::shown(&error.to_string());
                damaged.push_str(&format!("damaged  {error}\n"));
            }
        }
    }
    format!("{}{damaged}", table.text())
}

fn row_of(run: &Listed) -> Vec<String> {
    let count = |count: u64| indicatif::HumanCount(count).to_string();
    let optional = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), count);
    let state = match (run.state.as_str(), run.is_written) {
        ("running", false) => "killed",
        (state, _) => state,
    };
    let date = run.date.map(|date| date.to_string());
    vec![
        date.unwrap_or_else(|| "-".to_owned()),
        run.vantage.clone(),
        run.run_id.clone(),
        state.to_owned(),
        format!("{}/{}", run.method, run.protocol),
        optional(run.targets),
        optional(run.traces),
        count(run.hops),
        count(run.parts),
        indicatif::HumanBytes(run.bytes).to_string(),
        count(run.warnings),
    ]
}
