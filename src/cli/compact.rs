//! `pathsurvey datasets compact`: merges the small parts of runs into large ones.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use pathsurvey::dataset::compact::{Compacted, Options, Outcome, PART_ROWS, compact};

use super::OK;

/// Options of `datasets compact`.
#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    /// The directory that runs wrote.
    root: PathBuf,

    /// Write a compacted copy here, and leave the dataset as it is. Use this if programs read the dataset at the same time.
    #[arg(long, value_name = "ROOT2")]
    to: Option<PathBuf>,

    /// Also compact runs that were interrupted, killed or failed. They cannot be resumed afterwards.
    #[arg(long)]
    unfinished: bool,

    /// Rows of a part of hops.
    #[arg(long, value_name = "ROWS", default_value_t = PART_ROWS, value_parser = clap::value_parser!(u64).range(1..))]
    part_rows: u64,
}

impl CompactArgs {
    /// Prints one line for each run. Returns the exit code.
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let options = Options {
            to: self.to,
            unfinished: self.unfinished,
            part_rows: self.part_rows,
            ..Options::default()
        };
        let mut printed = Ok(());
        compact(&self.root, &options, |run| {
            // The runs are compacted to the end, also if the reader of standard output has gone.
            if printed.is_ok() {
                printed = writeln!(std::io::stdout(), "{}", line(run));
            }
        })?;
        printed?;
        Ok(OK)
    }
}

/// The line of a run.
fn line(run: &Compacted) -> String {
    match &run.outcome {
        Outcome::Merged { before, after } => format!(
            "{}  {} parts, {}  →  {} parts, {}",
            run.run_id,
            before.parts,
            indicatif::HumanBytes(before.bytes),
            after.parts,
            indicatif::HumanBytes(after.bytes)
        ),
        Outcome::Kept(reason) => format!("{}  stays as it is: {reason}", run.run_id),
    }
}
