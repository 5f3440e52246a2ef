//! `pathsurvey datasets verify`.

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;

use pathsurvey::care::{self, Finding};
use pathsurvey::dataset::read::{Checks, Progress};

use super::table::shown;
use super::{print, print_json};
use crate::cli::log::LogOptions;
use crate::cli::terminal::new_bar;
use crate::cli::{FAILED, OK};

/// Options of `datasets verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// The directory or the single Parquet file that runs wrote.
    root: PathBuf,

    /// Also read every part whole, and compare its SHA-256 with its manifest.
    #[arg(long)]
    checksums: bool,

    /// Print one JSON object per finding.
    #[arg(long)]
    json: bool,
}

impl VerifyArgs {
    pub(super) fn run(&self, log: &LogOptions) -> anyhow::Result<u8> {
        let checks = Checks {
            checksums: self.checksums,
            rows: true,
        };
        let style = "{bar:32} {percent:>3}%  {msg}  {elapsed_precise} (eta {eta})";
        let bar = log.shows_progress().then(|| new_bar(0, style));
        let show = |progress: Progress| {
            if let Some(bar) = &bar {
                bar.set_length(progress.all_bytes);
                bar.set_position(progress.bytes);
                bar.set_message(format!(
                    "{} of {} parts, {}",
                    progress.parts,
                    progress.all_parts,
                    HumanBytes(progress.bytes)
                ));
            }
        };
        let found = care::verify(&self.root, checks, show);
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        let found = found?;
        for finding in &found {
            match self.json {
                true => print_json(finding)?,
                false => print(&line_of(finding))?,
            }
        }
        let faults = found.iter().filter(|finding| finding.is_fault()).count();
        if log.shows_summary() && !self.json {
            tracing::info!("{faults} faults, {} other findings", found.len() - faults);
        }
        Ok(if faults == 0 { OK } else { FAILED })
    }
}

fn line_of(finding: &Finding) -> String {
    let kind = match finding.is_fault() {
        true => "fault",
        false => "note ",
    };
    format!(
        "{kind}  {}\n       {}\n",
        shown(&finding.message),
        shown(&finding.remedy)
    )
}
