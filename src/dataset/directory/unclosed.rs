//! A finished run whose process died before it closed the run.
//!
//! The last manifest of a finished run is durable before the rest is done: the copy of the manifest in the directory, the removal of the
//! checkpoint and of the runs that it replaces, and `_SUCCESS`. [`settle`](super::settle) does the same for the next run that starts.

use std::path::Path;

use super::choice::{Choice, Chosen, choose};
use super::layout::{Night, RunFolder};
use super::lock::NightLock;
use super::settle::settle_run;
use crate::dataset::DatasetError;
use crate::dataset::files::Disk;
use crate::dataset::manifest::{Manifest, RunState};

/// If the run that is meant is finished, and its process died before it closed the run, closes it. Returns its manifest then, and `None` if
/// nothing was left to do. Call it after [`Resumable::find`](super::Resumable::find) has refused the run.
///
/// # Errors
/// [`DatasetError::InUse`] if a process writes into the night. Errors of the file system. Otherwise as `find`.
pub fn close_finished(root: &Path, chosen: &Chosen) -> Result<Option<Manifest>, DatasetError> {
    let Choice::Finished { run, .. } = choose(root, chosen)? else {
        return Ok(None);
    };
    let Some(night) = Night::of_manifest(run.manifest()) else {
        return Ok(None);
    };
    let folder = RunFolder::new(root, night, run.id());
    if run.manifest_path() != folder.manifest() || !is_unclosed(&folder, &run.manifest().state) {
        return Ok(None);
    }
    let disk = Disk::default();
    let _lock = NightLock::take(root, folder.night(), &disk)?;
    // Another process may have closed it in the meantime. Then this changes nothing.
    settle_run(&folder, &disk)?;
    Ok(Some(run.manifest().clone()))
}

/// Whether a finished run has what only an unfinished one needs, or lacks its mark.
fn is_unclosed(folder: &RunFolder, state: &RunState) -> bool {
    match state {
        RunState::Complete => folder.checkpoint().exists() || !folder.success().exists(),
        RunState::Incomplete => folder.checkpoint().exists(),
        _ => false,
    }
}
