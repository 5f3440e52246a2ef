//! `pathsurvey datasets compact`: merges the small parts of runs into large ones.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use indicatif::{HumanBytes, HumanCount};
use pathsurvey::dataset::compact::{
    Compacted, Event, Options, Outcome, PART_ROWS, SweepReader, SweepTraces, compact,
};
use pathsurvey::survey::sweep_facts;

use super::datasets::shown;
use super::log::LogOptions;
use super::terminal::new_bar;
use super::{INCOMPLETE, OK};

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
    /// Prints one line for each run. Returns the exit code: it is that of an incomplete survey if runs stay because another process is at work.
    pub(super) fn run(self, log: &LogOptions) -> anyhow::Result<u8> {
        let options = Options {
            to: self.to,
            unfinished: self.unfinished,
            part_rows: self.part_rows,
            sweeps: Some(SweepReader::new(sweep_facts)),
            ..Options::default()
        };
        let style =
            "{bar:32} {percent:>3}%  {human_pos} rows merged  {elapsed_precise} (eta {eta})";
        let mut bar = None;
        let mut printed = Ok(());
        let done = compact(&self.root, &options, |event| {
            let line = match event {
                Event::Progress(progress) if log.shows_progress() => {
                    bar.get_or_insert_with(|| new_bar(progress.all_rows, style))
                        .set_position(progress.rows);
                    return;
                }
                Event::Progress(_) => return,
                Event::Done(run) => line(run),
                Event::Failed(error) => format!("failed  {error}"),
            };
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            // The runs are compacted to the end, also if the reader of standard output has gone.
            if printed.is_ok() {
                printed = writeln!(std::io::stdout(), "{}", shown(&line));
            }
        });
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let done = done?;
        printed?;
        let waiting = done.iter().filter(|run| is_for_now(run)).count();
        if waiting == 0 {
            return Ok(OK);
        }
        let runs = if waiting == 1 { "run was" } else { "runs were" };
        tracing::warn!(
            "{waiting} {runs} left out because another process is at work: compact again when it has ended"
        );
        Ok(INCOMPLETE)
    }
}

fn is_for_now(run: &Compacted) -> bool {
    matches!(&run.outcome, Outcome::Kept(reason) if reason.is_for_now())
}

/// The line of a run.
fn line(run: &Compacted) -> String {
    match &run.outcome {
        Outcome::Merged {
            before,
            after,
            traces,
        } => format!(
            "{}  {} parts, {}  →  {} parts, {}{}",
            run.run_id,
            before.parts,
            HumanBytes(before.bytes),
            after.parts,
            HumanBytes(after.bytes),
            match traces {
                None => String::new(),
                Some(SweepTraces::Written(traces)) =>
                    format!("; {} traces added", HumanCount(*traces)),
                Some(SweepTraces::Missing(why)) =>
                    format!("; its traces cannot be computed: {why}"),
            }
        ),
        Outcome::Kept(reason) => format!("{}  stays as it is: {reason}", run.run_id),
    }
}
