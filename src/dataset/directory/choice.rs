//! Which run of a directory is to go on.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;

use super::layout::{MANIFEST, Night, day_of};
use crate::dataset::DatasetError;
use crate::dataset::manifest::RunState;
use crate::dataset::read::{Dataset, ReadError, Run as ReadRun};

/// Which run of a directory is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Its night. `None`: the newest.
    pub date: Option<NaiveDate>,
    /// The id of its vantage point. `None`: the only one whose newest run is unfinished.
    pub vantage: Option<String>,
}

/// The run that is meant.
pub(super) enum Choice {
    /// It can go on.
    Unfinished(ReadRun),
    /// It is the newest one, and it is finished.
    Finished {
        /// The run.
        run: ReadRun,
        /// Why it cannot go on.
        why: String,
    },
}

/// Chooses the run that is meant.
///
/// | given | the run |
/// |---|---|
/// | date and vantage point | the newest unfinished run of that night |
/// | one of them, or neither | the newest run, if it is unfinished |
///
/// Without a vantage point, the newest run must be the only unfinished one among the newest runs of all vantage points: hosts that share a
/// directory must not go on with each other's runs. A manifest that cannot be read is an error if its run may be the newest.
pub(super) fn choose(root: &Path, chosen: &Chosen) -> Result<Choice, DatasetError> {
    let refuse = |why: String| refusal(root, why);
    let (dataset, damaged) = match Dataset::open_readable(root) {
        Ok(opened) => opened,
        Err(ReadError::NoManifest { .. } | ReadError::NotFound(_)) => {
            return Err(refuse("there is no run".to_owned()));
        }
        Err(error) => return Err(DatasetError::Earlier(Box::new(error))),
    };
    let dataset = dataset.only(|run| is_chosen(run, chosen));
    // By start, so the last one of a vantage point stays.
    let newest: BTreeMap<&str, &ReadRun> = { dataset.runs().iter() }
        .filter(|run| chosen.date.is_none() || chosen.vantage.is_none() || is_open(run))
        .map(|run| (run.manifest().vantage.id.as_str(), run))
        .collect();
    let unfinished: Vec<&ReadRun> = newest
        .values()
        .copied()
        .filter(|run| is_open(run))
        .collect();
    let last = newest.values().max_by_key(|run| run.manifest().started_at);
    check_damaged(root, chosen, last.copied(), damaged)?;
    let finished = |run: &ReadRun, why| {
        let run = run.clone();
        Ok(Choice::Finished { run, why })
    };
    match (unfinished.as_slice(), last, dataset.runs().last()) {
        ([run], Some(last), _) if run.id() == last.id() => Ok(Choice::Unfinished((*run).clone())),
        ([], None, None) => Err(refuse(format!(
            "no run has {}: `pathsurvey datasets list` shows the runs",
            in_words(chosen)
        ))),
        ([], None, Some(run)) => finished(
            run,
            format!(
                "all runs with {} are finished, so nothing is left to do",
                in_words(chosen)
            ),
        ),
        ([], Some(last), _) => finished(
            last,
            format!(
                "the newest run, {}, is {}, so nothing is left to do; an older unfinished run is chosen by --date and --vantage together",
                last.id(),
                last.manifest().state.as_str()
            ),
        ),
        (several, ..) => Err(refuse(format!(
            "runs of other vantage points are here as well: name one with --vantage (unfinished: {})",
            several
                .iter()
                .map(|run| run.manifest().vantage.id.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

/// Refuses to choose if a manifest that cannot be read may be that of a newer run than `last`, or the copy in the directory.
fn check_damaged(
    root: &Path,
    chosen: &Chosen,
    last: Option<&ReadRun>,
    damaged: Vec<ReadError>,
) -> Result<(), DatasetError> {
    let newest = last.and_then(|run| Night::of_manifest(run.manifest())?.date());
    let may_be_newer = |error: &ReadError| {
        let Some(path) = error.manifest() else {
            return true;
        };
        match Night::of_file(root, path) {
            Some(night) => {
                let date = night.date();
                chosen.date.is_none_or(|wanted| date == Some(wanted))
                    && chosen.vantage.as_ref().is_none_or(|id| night.is_of(id))
                    && date >= newest
            }
            // A run of an earlier version cannot go on.
            None => path == root.join(MANIFEST),
        }
    };
    match damaged.into_iter().find(may_be_newer) {
        Some(error) => Err(refusal(
            root,
            format!("{error}; or name the run of another night with --date and --vantage"),
        )),
        None => Ok(()),
    }
}

fn is_open(run: &ReadRun) -> bool {
    is_unfinished(&run.manifest().state)
}

fn is_chosen(run: &ReadRun, chosen: &Chosen) -> bool {
    let manifest = run.manifest();
    let date = manifest.date.or_else(|| manifest.started_at.map(day_of));
    let vantage = &manifest.vantage.id;
    chosen.date.is_none_or(|wanted| date == Some(wanted))
        && chosen
            .vantage
            .as_ref()
            .is_none_or(|wanted| vantage == wanted)
}

/// The date and the vantage point that were asked for.
fn in_words(chosen: &Chosen) -> String {
    let date = chosen.date.map(|date| format!("the date {date}"));
    let vantage = chosen.vantage.as_ref();
    let vantage = vantage.map(|id| format!("the vantage point {id}"));
    let given: Vec<String> = date.into_iter().chain(vantage).collect();
    given.join(" and ")
}

pub(super) fn is_unfinished(state: &RunState) -> bool {
    matches!(
        state,
        RunState::Running | RunState::Interrupted | RunState::Failed | RunState::Killed
    )
}

pub(super) fn refusal(root: &Path, why: String) -> DatasetError {
    DatasetError::NotResumable {
        directory: root.to_owned(),
        why,
    }
}
