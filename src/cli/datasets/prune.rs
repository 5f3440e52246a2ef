//! `pathsurvey datasets prune`.

use std::path::PathBuf;

use anyhow::Context;
use chrono::{DateTime, NaiveDate};
use clap::{ArgGroup, Args};
use indicatif::HumanBytes;

use pathsurvey::care::Age;
use pathsurvey::care::prune::{Doomed, Kept, Rule, plan};
use pathsurvey::engine::clock::Clock;

use super::print;
use super::table::{counted, shown};
use crate::cli::OK;

/// Options of `datasets prune`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("nights").required(true).args(["older_than", "before"]))]
pub(in crate::cli) struct PruneArgs {
    /// The directory of runs.
    root: PathBuf,

    /// Remove the nights that are older than this: days (90d) or weeks (12w). A night is a UTC date.
    #[arg(long, value_name = "AGE")]
    older_than: Option<Age>,

    /// Remove the nights before this UTC date. The night of DATE itself stays.
    #[arg(long, value_name = "DATE", value_parser = date)]
    before: Option<NaiveDate>,

    /// Remove only nights of the vantage point NAME.
    #[arg(long, value_name = "NAME")]
    vantage: Option<String>,

    /// Only say what would be removed. This is the default without --yes.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,

    /// Remove the nights.
    #[arg(long)]
    yes: bool,
}

/// A date as ISO 8601 writes it.
fn date(text: &str) -> Result<NaiveDate, String> {
    let date = text.parse::<NaiveDate>();
    { date.ok() }
        .filter(|date| date.to_string() == text)
        .ok_or_else(|| format!("`{text}` is no date: give it as 2026-03-01"))
}

impl PruneArgs {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let rule = Rule {
            before: self.first_to_stay()?,
            vantage: self.vantage.clone(),
        };
        let plan = plan(&self.root, &rule)?;
        for kept in &plan.kept {
            print(&kept_line(kept))?;
        }
        let removes = self.yes && !self.dry_run;
        for run in &plan.unfinished {
            let word = if removes { "finish" } else { "would finish" };
            print(&format!("{word}  the removal of {}\n", shown(run)))?;
        }
        if !removes {
            let runs = plan.doomed.len();
            for doomed in &plan.doomed {
                print(&doomed_line("would remove", doomed))?;
            }
            if runs > 0 || !plan.unfinished.is_empty() {
                print(&format!(
                    "nothing was removed; to remove {}, give --yes\n",
                    counted(runs as u64, "run")
                ))?;
            } else {
                print(&format!("no run before {} is to be removed\n", rule.before))?;
            }
            return Ok(OK);
        }
        let mut shown_all = Ok(());
        let removed = plan.carry_out(|doomed| {
            // A closed pipe must not stop the removal half-way.
            let printed = print(&doomed_line("removed", doomed));
            if shown_all.is_ok() {
                shown_all = printed;
            }
        })?;
        shown_all?;
        for kept in &removed.kept {
            print(&kept_line(kept))?;
        }
        for path in &removed.foreign {
            let path = shown(&path.display().to_string());
            print(&format!("left  {path}: no run has this file\n"))?;
        }
        let bytes = HumanBytes(removed.bytes);
        print(&format!(
            "{} removed, {bytes}\n",
            counted(removed.runs, "run")
        ))?;
        Ok(OK)
    }

    /// The date of the first night that stays.
    fn first_to_stay(&self) -> anyhow::Result<NaiveDate> {
        if let Some(before) = self.before {
            return Ok(before);
        }
        let age = self.older_than.context("no age")?;
        let now = DateTime::from_timestamp_micros(Clock::start().started_at().as_micros());
        let today = now
            .context("the clock of this machine is wrong")?
            .date_naive();
        age.before(today)
            .context("--older-than reaches back before the first date: give fewer days")
    }
}

fn doomed_line(word: &str, run: &Doomed) -> String {
    format!(
        "{word}  {}  {}  {}  {}  {} parts  {}\n",
        run.night,
        shown(&run.vantage),
        shown(&run.run_id),
        shown(&run.state),
        run.parts,
        HumanBytes(run.bytes)
    )
}

fn kept_line(run: &Kept) -> String {
    let night = run.night.map(|night| night.to_string());
    format!(
        "keep  {}  {}  {}: {}\n",
        night.unwrap_or_else(|| "-".to_owned()),
        shown(&run.vantage),
        shown(&run.run_id),
        run.why
    )
}
