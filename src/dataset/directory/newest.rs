//! The manifest of the directory: a copy of the manifest of the run that started last.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::layout::{MANIFEST, Night, RUNS, RunFolder};
use super::lock::ManifestLock;
use crate::dataset::DatasetError;
use crate::dataset::files::{self, Disk};
use crate::dataset::manifest::{self, RunState, TOOL, Tool, time_text};
use crate::dataset::read::{self, Run};
use crate::model::Time;

/// The members of a manifest that say whose it is. Reading only these is fast.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub tool: Tool,
    pub run_id: String,
    #[serde(default)]
    pub state: RunState,
    #[serde(default, with = "time_text")]
    pub started_at: Option<Time>,
    /// Versions before the folder `runs` did not write it.
    #[serde(default)]
    date: Option<IgnoredAny>,
}

impl Head {
    /// `None` if the text is not a manifest of this program.
    pub fn of(text: &[u8]) -> Option<Self> {
        let head: Head = serde_json::from_slice(text).ok()?;
        (head.tool.name == TOOL).then_some(head)
    }

    /// Whether the run had a folder, and somebody removed it. Its manifest in the directory is then that of a run that is gone.
    fn is_gone(&self, root: &Path) -> bool {
        self.date.is_some() && !has_folder(root, &self.run_id)
    }
}

/// Reads the manifest of the directory. It is an error if another program wrote it.
pub(super) fn read(root: &Path) -> Result<Option<(Head, Vec<u8>)>, DatasetError> {
    let path = root.join(MANIFEST);
    let text = match files::read_regular(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DatasetError::file("read", &path)(error)),
    };
    match Head::of(&text) {
        Some(head) => Ok(Some((head, text))),
        None => Err(DatasetError::ForeignManifest {
            directory: root.to_owned(),
            manifest: path,
        }),
    }
}

/// Puts the manifest of a run into the directory, unless a run that started later has its own there. The manifest of a run that is gone does
/// not count.
pub(in crate::dataset) fn publish(
    folder: &RunFolder,
    text: &[u8],
    (run_id, started_at): (&str, Time),
    disk: &Disk,
) -> Result<(), DatasetError> {
    let root = folder.root();
    let _lock = ManifestLock::take(root, disk)?;
    if let Some((there, _)) = read(root)?
        && there.run_id != run_id
    {
        if there.started_at > Some(started_at) && !there.is_gone(root) {
            return Ok(());
        }
        keep_of_earlier_version(root, &there, disk)?;
    }
    let temporary = folder.temporary("manifest-of-directory.json");
    files::replace(temporary, root.join(MANIFEST), text, disk)?;
    Ok(())
}

/// If the manifest of the directory is that of one of `runs`, which are about to be removed, replaces it by that of the run that started last
/// among the others. If there is no other run, it stays.
pub(super) fn leave(root: &Path, runs: &[Run], disk: &Disk) -> Result<(), DatasetError> {
    let is_left = |id: &str| runs.iter().any(|run| run.id() == id);
    if runs.is_empty() {
        return Ok(());
    }
    let _lock = ManifestLock::take(root, disk)?;
    let there = read(root)?.map(|(there, _)| there.run_id);
    let Some(left) = runs.iter().find(|run| Some(run.id()) == there.as_deref()) else {
        return Ok(());
    };
    let paths =
        read::manifest_paths(root).map_err(|error| DatasetError::Earlier(Box::new(error)))?;
    let others = paths.iter().filter_map(|path| {
        let text = files::read_regular(path).ok()?;
        let head = Head::of(&text).filter(|head| !is_left(&head.run_id))?;
        Some((head.started_at, head.run_id, text))
    });
    let (Some((.., text)), Some(night)) = (others.max(), Night::of_manifest(left.manifest()))
    else {
        return Ok(());
    };
    // In the folder that is removed next.
    let folder = RunFolder::new(root, night, left.id());
    files::create_directories(&folder.partial(), disk)?;
    let temporary = folder.temporary("manifest-of-directory.json");
    files::replace(temporary, root.join(MANIFEST), &text, disk).map(drop)
}

/// Versions before the folder `runs` had the only manifest of a run here. It is kept under the name that these versions gave.
fn keep_of_earlier_version(root: &Path, there: &Head, disk: &Disk) -> Result<(), DatasetError> {
    // That of a run that is gone would list parts that are gone.
    if has_folder(root, &there.run_id) || there.is_gone(root) {
        return Ok(());
    }
    let kept = renamed(root, &there.run_id);
    disk.rename(&root.join(MANIFEST), &kept)
        .map_err(DatasetError::file("rename to", &kept))?;
    files::sync_parent(&kept, disk)
}

/// The manifest of a run of an earlier version, after a later run has started.
pub(super) fn renamed(root: &Path, run_id: &str) -> PathBuf {
    root.join(format!("manifest-{}.json", manifest::path_safe(run_id)))
}

/// Whether a run has a folder with a manifest.
pub(super) fn has_folder(root: &Path, run_id: &str) -> bool {
    let name = manifest::path_safe(run_id);
    let nights = super::nights(root).unwrap_or_default();
    nights
        .iter()
        .any(|night| night.folder(root).join(&name).join(MANIFEST).exists())
        && root.join(RUNS).is_dir()
}
