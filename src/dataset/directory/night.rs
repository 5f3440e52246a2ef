//! What a run does if its night has data already.
//!
//! | `--if-exists` | runs of the night | effect |
//! |---|---|---|
//! | `append` | any | the new run is added |
//! | `fail` | one or more | refused |
//! | `skip` | one that is complete or incomplete | no run: the night is done |
//! | `skip` | only unfinished ones | refused, with the advice to resume |
//! | `replace` | any | the new run is added. When its last manifest is durable, the files of the others are removed |
//!
//! Runs of other dates and other vantage points are never touched. Each rule can be applied again and again with the same result.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::layout::{COMPACTION, MANIFEST, Night, RUNS, RunFolder};
use super::{newest, remove_if_there, remove_parts};
use crate::dataset::DatasetError;
use crate::dataset::files::{self, Disk};
use crate::dataset::manifest::RunState;
use crate::dataset::read::{self, Run};
use crate::model::IfExists;

/// The nights in a directory, sorted.
pub(in crate::dataset) fn nights(root: &Path) -> Result<Vec<Night>, DatasetError> {
    let runs = root.join(RUNS);
    let mut nights = Vec::new();
    for date in folders(&runs)? {
        for vantage in folders(&runs.join(&date))? {
            nights.extend(Night::named(&date, &vantage));
        }
    }
    nights.sort();
    Ok(nights)
}

/// The names of the folders in a folder that are texts. Empty if the folder is not there.
pub(in crate::dataset) fn folders(folder: &Path) -> Result<Vec<String>, DatasetError> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(DatasetError::file("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in listed {
        let entry = entry.map_err(DatasetError::file("list", folder))?;
        if entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Applies the rule for a new run, whose night this process has locked. Returns the runs to replace, and what the user should know.
pub(super) fn enter(
    root: &Path,
    night: &Night,
    rule: IfExists,
    disk: &Disk,
) -> Result<(Vec<Run>, Vec<String>), DatasetError> {
    let mut runs = runs_of(root, night, rule)?;
    finish_replacing(root, &mut runs, disk)?;
    let exists = |run: &Run, remedy: &'static str| DatasetError::NightExists {
        directory: root.to_owned(),
        night: night.to_string(),
        run_id: run.id().to_owned(),
        state: run.manifest().state.as_str().to_owned(),
        remedy,
    };
    match (rule, runs.last()) {
        (IfExists::Append, _) | (_, None) => Ok((Vec::new(), Vec::new())),
        (IfExists::Fail, Some(last)) => Err(exists(
            last,
            "give --if-exists append, skip or replace, or another --date or --vantage",
        )),
        (IfExists::Skip, Some(last)) => match runs.iter().rev().find(|run| is_done(run)) {
            Some(done) => Err(DatasetError::NightDone {
                night: night.to_string(),
                run_id: done.id().to_owned(),
            }),
            None => Err(exists(
                last,
                "finish it with `survey --resume`, or start anew with --if-exists append or replace",
            )),
        },
        (IfExists::Replace, Some(_)) => Ok((runs, Vec::new())),
    }
}

fn is_done(run: &Run) -> bool {
    matches!(
        run.manifest().state,
        RunState::Complete | RunState::Incomplete
    )
}

/// The runs of a night, by their start, with those that are replaced.
///
/// With `append`, a manifest that cannot be read is no reason to refuse a run: it is left out. With the other rules, one of this night is: it
/// may be that of a finished run. So is one of an earlier version, whose night is not known. Those of other nights are not read.
fn runs_of(root: &Path, night: &Night, rule: IfExists) -> Result<Vec<Run>, DatasetError> {
    let earlier = |error| DatasetError::Earlier(Box::new(error));
    let unreadable = |error| DatasetError::NightUnreadable {
        night: night.to_string(),
        source: Box::new(error),
    };
    let mut paths = read::of_night(root, night).map_err(earlier)?;
    // Those of earlier versions. They may be of other nights.
    paths.extend(read::earlier_manifests(root).map_err(earlier)?);
    let of_directory = root.join(MANIFEST);
    paths.push(of_directory.clone());
    let mut runs: Vec<Run> = Vec::new();
    for path in paths {
        let run = match read::read_manifest(root, &path) {
            Ok(run) => run,
            Err(_) if rule == IfExists::Append => continue,
            Err(error) => return Err(unreadable(error)),
        };
        let is_new = |run: &Run| runs.iter().all(|known| known.id() != run.id());
        let of_night = |run: &Run| Night::of_manifest(run.manifest()).as_ref() == Some(night);
        // A run with a folder was found there, or somebody has removed it.
        let is_copy = |run: &Run| path == of_directory && run.manifest().date.is_some();
        runs.extend(run.filter(|run| is_new(run) && of_night(run) && !is_copy(run)));
    }
    runs.sort_by_key(|run| run.manifest().started_at);
    Ok(runs)
}

/// The runs of a night with these ids.
pub(super) fn runs_with_ids(
    root: &Path,
    night: &Night,
    ids: &[String],
) -> Result<Vec<Run>, DatasetError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut runs = runs_of(root, night, IfExists::Replace)?;
    runs.retain(|run| ids.iter().any(|id| id == run.id()));
    Ok(runs)
}

/// Removes what the complete runs of a night replace, if they died before they did so. This process has locked the night.
pub(in crate::dataset) fn remove_left(
    root: &Path,
    night: &Night,
    disk: &Disk,
) -> Result<(), DatasetError> {
    let mut runs = runs_of(root, night, IfExists::Append)?;
    finish_replacing(root, &mut runs, disk)
}

/// Removes what a complete run replaces, if that run died before it did so.
fn finish_replacing(root: &Path, runs: &mut Vec<Run>, disk: &Disk) -> Result<(), DatasetError> {
    let replaced = replaced_ids(runs);
    let replaced: Vec<String> = replaced.into_iter().map(str::to_owned).collect();
    let is_replaced = |run: &mut Run| replaced.iter().any(|id| id == run.id());
    let left: Vec<Run> = runs.extract_if(.., is_replaced).collect();
    remove_replaced(root, &left, disk)
}

/// The ids for the manifest of a run that replaces others. Those that the others replaced are among them: a copy of the directory may hold them
/// still.
pub(super) fn ids_of(replaced: &[Run]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for run in replaced {
        let before = run.manifest().replaces.iter().map(String::as_str);
        for id in before.chain([run.id()]) {
            if ids.iter().all(|known| known != id) {
                ids.push(id.to_owned());
            }
        }
    }
    ids
}

/// The ids of the runs that complete runs replace.
pub(in crate::dataset) fn replaced_ids(runs: &[Run]) -> Vec<&str> {
    // An incomplete run replaces nothing: the run before it may have been whole.
    let is_complete = |run: &&Run| run.manifest().state == RunState::Complete;
    let complete = runs.iter().filter(is_complete);
    let replaced = complete.flat_map(|run| &run.manifest().replaces);
    replaced.map(String::as_str).collect()
}

/// Removes the files of runs that a complete run replaces. Its manifest is durable and names them, so readers leave them out already. If this
/// process dies before the end, the next run of the night goes on.
///
/// The copy of a manifest in the directory goes first. A manifest is removed last, so that its parts are known until then.
pub(super) fn remove_replaced(root: &Path, runs: &[Run], disk: &Disk) -> Result<(), DatasetError> {
    newest::leave(root, runs, disk)?;
    for run in runs {
        let parts = run.tables().flat_map(|table| run.parts(table));
        let mut parts: Vec<PathBuf> = parts.map(|part| part.path().to_owned()).collect();
        let night = Night::of_manifest(run.manifest());
        if let Some(night) = &night {
            // A compaction that was killed may have left parts that no manifest lists.
            for table in run.tables() {
                let folder = root.join(table).join(night.partition());
                let names = super::earlier::entries(&folder)?;
                let names = names
                    .iter()
                    .filter(|name| super::earlier::is_part_of(name, run.id()));
                parts.extend(names.map(|name| folder.join(name)));
            }
        }
        parts.sort();
        parts.dedup();
        remove_parts(&parts, disk)?;
        let Some(night) = night else {
            continue;
        };
        let folder = RunFolder::new(root, night, run.id());
        remove_folder(&folder, disk)?;
        // That of an earlier version. The directory's own manifest is of another run by now.
        remove_if_there(&newest::renamed(root, run.id()), disk)?;
    }
    Ok(())
}

/// Removes the files of a run's folder, the manifest last, and the folder. Files of others stay, and then the folder stays as well.
pub(super) fn remove_folder(folder: &RunFolder, disk: &Disk) -> Result<(), DatasetError> {
    super::settle::clear_partial(folder, disk)?;
    for path in [
        folder.targets(),
        folder.success(),
        folder.checkpoint(),
        folder.path().join(COMPACTION),
        folder.manifest(),
    ] {
        remove_if_there(&path, disk)?;
    }
    let _ = disk.remove_directory(&folder.partial());
    let _ = disk.remove_directory(folder.path());
    match folder.path().parent() {
        Some(_) => files::sync_parent(folder.path(), disk),
        None => Ok(()),
    }
}
