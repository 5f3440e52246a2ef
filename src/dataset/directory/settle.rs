//! Earlier runs in a directory, when the next run starts.
//!
//! A run that died left its night unlocked. The next process takes that lock, and finishes what the run began:
//!
//! | what a dead run leaves | what happens |
//! |---|---|
//! | a manifest in the state `running` | the state becomes `killed`; the run can be resumed |
//! | parts that its manifest lists | they stay |
//! | parts that its checkpoint lists, and its manifest does not | they get their final names, and the manifest lists them |
//! | other temporary files | they are removed |
//! | a finished run that died after its last manifest | the runs that it replaces are removed; `_SUCCESS` is written |
//! | a folder without a manifest: it died before its first manifest | the folder is removed |
//!
//! For runs of versions before the folder `runs`, see [`super::earlier`].

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::checkpoint::{Checkpoint, Sealing};
use super::layout::{MANIFEST, Night, RunFolder, SUCCESS};
use super::lock::{NightLock, SettlingLock};
use super::newest::{self, Head};
use super::sealing::{is_whole, place_part};
use super::{earlier, night, remove_if_there, remove_parts};
use crate::dataset::DatasetError;
use crate::dataset::files::{self, Disk};
use crate::dataset::manifest::{self, Manifest, Part, RunState};
use crate::dataset::read;

/// The reason in the manifest of a dead run.
const DIED: &str = "the process ended without its last manifest";

/// A run that died, as its manifest and its files tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeadRun {
    run_id: String,
    /// Rows of `hops` in its sealed parts.
    rows: u64,
    /// Its sealed parts, of all tables.
    parts: usize,
    /// Whether it can be resumed.
    is_resumable: bool,
    /// Parts that its manifest does not list, by their new paths.
    pub moved: Vec<PathBuf>,
    /// The same, if they could not be moved.
    pub left: Vec<PathBuf>,
}

impl DeadRun {
    pub fn of(run: &Manifest) -> Self {
        DeadRun {
            run_id: run.run_id.clone(),
            rows: run.tables.get("hops").map_or(0, |table| table.rows),
            parts: run.tables.iter().map(|(_, table)| table.parts.len()).sum(),
            is_resumable: false,
            moved: Vec::new(),
            left: Vec::new(),
        }
    }
}

impl fmt::Display for DeadRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeadRun {
            run_id,
            rows,
            parts,
            ..
        } = self;
        write!(
            f,
            "run {run_id} was killed, and its manifest now says so: {rows} rows of hops are kept (sealed parts: {parts})"
        )?;
        if self.is_resumable {
            f.write_str("; `survey --resume` goes on with it")?;
        }
        let unlisted = [
            (
                &self.moved,
                "were moved out of the tables, because their rows are in no manifest",
            ),
            (
                &self.left,
                "were left in place, because they could not be moved: a reader of all files counts their rows",
            ),
        ];
        for (paths, fate) in unlisted {
            if let Some(first) = paths.first() {
                let count = paths.len();
                write!(
                    f,
                    "; {count} more, which no manifest lists, {fate} (the first is {})",
                    first.display()
                )?;
            }
        }
        Ok(())
    }
}

/// Refuses a directory that another program, or an earlier version of this one, writes into, and one that has a run with the id `run_id`.
/// Changes nothing.
pub(super) fn refuse(root: &Path, run_id: &str) -> Result<(), DatasetError> {
    // Versions before the folder `runs` locked the whole directory.
    let locked = read::is_locked(root).map_err(|error| DatasetError::Earlier(Box::new(error)))?;
    if locked {
        return Err(DatasetError::InUse(root.to_owned()));
    }
    let there = newest::read(root)?;
    let is_there = there.is_some_and(|(head, _)| head.run_id == run_id)
        || newest::renamed(root, run_id).exists()
        || newest::has_folder(root, run_id);
    match is_there {
        true => Err(DatasetError::RunExists {
            directory: root.to_owned(),
            run_id: run_id.to_owned(),
        }),
        false => Ok(()),
    }
}

/// Finishes what dead runs left, in all nights that no process writes. `ours` is the night that this process has locked. Returns what the
/// user should know.
pub(super) fn settle_all(
    root: &Path,
    ours: &Night,
    disk: &Disk,
) -> Result<Vec<String>, DatasetError> {
    let mut told = earlier::mark_all(root, disk)?;
    for night in night::nights(root)? {
        let unfinished = unfinished(root, &night)?;
        if unfinished.is_empty() {
            continue;
        }
        // A night that another run writes is its own matter.
        let locks = match night == *ours {
            true => None,
            false => {
                let settling = SettlingLock::take(root, disk)?;
                match NightLock::take_at_once(root, &night, disk) {
                    Ok(lock) => Some((lock, settling)),
                    Err(_) => continue,
                }
            }
        };
        night::remove_left(root, &night, disk)?;
        for folder in unfinished {
            told.extend(settle(&folder, disk)?.map(|dead| dead.to_string()));
        }
        drop(locks);
    }
    Ok(told)
}

/// The folders of a night's runs that are not complete.
fn unfinished(root: &Path, night: &Night) -> Result<Vec<RunFolder>, DatasetError> {
    let names = night::folders(&night.folder(root))?;
    let folders = names.iter().map(|name| {
        let run_id = manifest::path_plain(name);
        RunFolder::new(root, night.clone(), &run_id)
    });
    let unfinished = folders.filter(|folder| !folder.success().exists());
    Ok(unfinished.collect())
}

/// Finishes what the last process of a run began, if that process died. This process has locked the night.
pub(in crate::dataset) fn settle_run(folder: &RunFolder, disk: &Disk) -> Result<(), DatasetError> {
    settle(folder, disk).map(drop)
}

/// Finishes what one run left, whose night this process has locked. Returns the run if it was marked as killed.
pub(super) fn settle(folder: &RunFolder, disk: &Disk) -> Result<Option<DeadRun>, DatasetError> {
    let path = folder.manifest();
    let text = match files::read_regular(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            night::remove_folder(folder, disk)?;
            return Ok(None);
        }
        Err(error) => return Err(DatasetError::file("read", &path)(error)),
    };
    // A manifest that cannot be read is no reason to refuse another run. `datasets verify` names it.
    let (Some(head), Ok(run)) = (Head::of(&text), Manifest::parse(&text)) else {
        return Ok(None);
    };
    let was_running = head.state == RunState::Running;
    let checkpoint = match Checkpoint::read(&folder.checkpoint()) {
        Ok(checkpoint) => checkpoint,
        Err(_) => return Ok(None),
    };
    let changed = match &checkpoint {
        Some(checkpoint) => roll_forward(folder, &run, checkpoint, disk)?,
        None => None,
    };
    if changed.is_none() && !was_running {
        remove_dropped(folder, checkpoint.as_ref(), disk)?;
        return close(folder, &run, &text, disk).map(|()| None);
    }
    let settled = changed.unwrap_or_else(|| run.clone());
    let text = match was_running {
        true => killed(&text, &run, settled.clone()),
        false => settled.to_text(),
    };
    let temporary = folder.temporary(MANIFEST);
    files::create_directories(&folder.partial(), disk)?;
    files::replace(temporary, path, &text, disk)?;
    if let Some(started_at) = settled.started_at {
        newest::publish(folder, &text, (&settled.run_id, started_at), disk)?;
    }
    remove_dropped(folder, checkpoint.as_ref(), disk)?;
    clear_partial(folder, disk)?;
    let dead = DeadRun {
        is_resumable: folder.targets().exists(),
        ..DeadRun::of(&settled)
    };
    Ok(was_running.then_some(dead))
}

/// Does what a finished run does after its last manifest, if it died before the end of that.
fn close(folder: &RunFolder, run: &Manifest, text: &[u8], disk: &Disk) -> Result<(), DatasetError> {
    if !matches!(run.state, RunState::Complete | RunState::Incomplete) {
        return Ok(());
    }
    if folder.checkpoint().exists() {
        if let Some(started_at) = run.started_at {
            files::create_directories(&folder.partial(), disk)?;
            newest::publish(folder, text, (&run.run_id, started_at), disk)?;
        }
        remove_if_there(&folder.checkpoint(), disk)?;
    }
    if run.state == RunState::Complete {
        // Before the mark: a night without an unmarked run is not looked at again.
        if !run.replaces.is_empty() {
            night::remove_left(folder.root(), folder.night(), disk)?;
        }
        files::create_directories(&folder.partial(), disk)?;
        files::replace(folder.temporary(SUCCESS), folder.success(), b"", disk)?;
    }
    clear_partial(folder, disk)?;
    // If it stays, nobody minds.
    let _ = fs::remove_dir(folder.partial());
    Ok(())
}

/// Does the steps that a sealing lacks. Returns the changed manifest, or `None` if nothing was lacking.
fn roll_forward(
    folder: &RunFolder,
    run: &Manifest,
    checkpoint: &Checkpoint,
    disk: &Disk,
) -> Result<Option<Manifest>, DatasetError> {
    let mut changed: Option<Manifest> = None;
    let is_dropped = |part: &Part| checkpoint.dropped.contains(&part.path);
    if run.parts().any(is_dropped) {
        let manifest = changed.get_or_insert_with(|| run.clone());
        manifest.retain_parts(|part| !is_dropped(part));
    }
    for sealing in &checkpoint.sealings {
        if sealing.parts.iter().all(|(_, part)| run.lists(part)) {
            continue;
        }
        if !is_there(folder, sealing) {
            // Somebody removed a part. The others of the sealing must not stay in the tables without it.
            let parts = sealing.parts.iter();
            let paths: Vec<PathBuf> = parts
                .map(|(_, part)| folder.root().join(&part.path))
                .collect();
            remove_parts(&paths, disk)?;
            continue;
        }
        let manifest = changed.get_or_insert_with(|| run.clone());
        for (table, part) in sealing.parts.iter() {
            place_part(folder, part, disk)?;
            manifest.add_part(table, part.clone());
        }
    }
    if let Some(manifest) = &mut changed {
        manifest.set_counted(&checkpoint.counted);
    }
    Ok(changed)
}

/// Removes the parts that no manifest lists any more because a resumed run dropped their rows.
fn remove_dropped(
    folder: &RunFolder,
    checkpoint: Option<&Checkpoint>,
    disk: &Disk,
) -> Result<(), DatasetError> {
    let dropped = checkpoint.iter().flat_map(|checkpoint| &checkpoint.dropped);
    let paths: Vec<PathBuf> = dropped.map(|path| folder.root().join(path)).collect();
    remove_parts(&paths, disk)
}

/// Whether all parts of a sealing are there, under their final or their temporary names.
fn is_there(folder: &RunFolder, sealing: &Sealing) -> bool {
    sealing.parts.iter().all(|(_, part): (_, &Part)| {
        let relative = Path::new(&part.path);
        is_whole(&folder.root().join(relative), part)
            || is_whole(&folder.temporary_of(relative), part)
    })
}

/// Removes the temporary files of a run.
pub(super) fn clear_partial(folder: &RunFolder, disk: &Disk) -> Result<(), DatasetError> {
    let partial = folder.partial();
    let entries = match fs::read_dir(&partial) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DatasetError::file("read", &partial)(error)),
    };
    for entry in entries {
        let path = entry.map_err(DatasetError::file("read", &partial))?.path();
        if path.is_file() {
            remove_if_there(&path, disk)?;
        }
    }
    Ok(())
}

/// The manifest `settled` with the state `killed`. `read` is what this version read from `text`.
pub(super) fn killed(text: &[u8], read: &Manifest, mut settled: Manifest) -> Vec<u8> {
    let is_ours = read.to_text() == text;
    let is_unchanged = *read == settled;
    settled.state = RunState::Killed;
    settled.exit_reason = Some(DIED.to_owned());
    if let Some(last) = settled.sessions.last_mut() {
        last.state = RunState::Killed;
        last.exit_reason = Some(DIED.to_owned());
    }
    if is_ours || !is_unchanged {
        return settled.to_text();
    }
    // Another version wrote it, perhaps with members that this one does not know. They stay, in another order.
    let mut value: Value = serde_json::from_slice(text).unwrap_or_default();
    value["state"] = RunState::Killed.as_str().into();
    value["exit_reason"] = DIED.into();
    format!("{value:#}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_another_version_stay_in_the_manifest_of_a_killed_run() {
        let text =
            br#"{"tool": {"name": "pathsurvey"}, "run_id": "x", "state": "running", "later": [1]}"#;
        let run = Manifest::parse(text).unwrap();
        let marked = killed(text, &run, run.clone());
        let value: Value = serde_json::from_slice(&marked).unwrap();
        assert_eq!(
            (&value["state"], &value["later"]),
            (&"killed".into(), &serde_json::json!([1]))
        );
        assert_eq!(value["exit_reason"], DIED);
    }
}
