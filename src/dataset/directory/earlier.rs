//! Runs of versions before the folder `runs`, when the next run starts.
//!
//! These versions had one lock, one `.partial/` and one manifest for the whole directory. The manifest of an earlier run was renamed to
//! `manifest-RUN.json`. A dead run's manifest gets the state `killed` here as well. Such a run has no checkpoint, so it cannot be resumed:
//! its parts that no manifest lists move to `.unlisted/`, under the same path. A reader of `hops/**` would count their rows, which are in no
//! manifest.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::layout::{LOCK, MANIFEST, OWNER, PARTIAL, date_folder, day_of};
use super::lock::ManifestLock;
use super::newest::{self, Head};
use super::remove_if_there;
use super::settle::{DeadRun, killed};
use crate::dataset::DatasetError;
use crate::dataset::files::{self, Disk};
use crate::dataset::manifest::{self, Manifest, RunState};

/// Holds parts of dead runs that no manifest lists.
const UNLISTED: &str = ".unlisted";

/// Marks the dead runs. Returns what the user should know.
///
/// Runs of several vantage points may start at once here, and each of them renames or replaces the manifest of the directory. So a manifest is
/// only changed under the lock, and as it is then.
pub(super) fn mark_all(root: &Path, disk: &Disk) -> Result<Vec<String>, DatasetError> {
    mark_after(root, disk, || ())
}

/// The same. Tests change the directory in `between`, before the lock is taken.
fn mark_after(
    root: &Path,
    disk: &Disk,
    between: impl FnOnce(),
) -> Result<Vec<String>, DatasetError> {
    let mut told = Vec::new();
    if !dead(root)?.is_empty() || root.join(PARTIAL).exists() {
        between();
        let _lock = ManifestLock::take(root, disk)?;
        for (path, text) in dead(root)? {
            told.extend(mark_if_dead(root, &path, &text, disk)?.map(|dead| dead.to_string()));
        }
        clear_partial(root, disk)?;
    }
    for lock in [LOCK, OWNER] {
        // It is free: `refuse` has looked. If it stays, nobody minds.
        let _ = fs::remove_file(root.join(lock));
    }
    Ok(told)
}

/// The manifests of dead runs, with their texts. One that cannot be read is no reason to refuse a run, and is left out.
fn dead(root: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, DatasetError> {
    let mut paths = renamed_manifests(root)?;
    paths.push(root.join(MANIFEST));
    let texts = paths.into_iter().filter_map(|path| {
        let text = files::read_regular(&path).ok()?;
        let head = Head::of(&text)?;
        let is_dead = head.state == RunState::Running && !newest::has_folder(root, &head.run_id);
        is_dead.then_some((path, text))
    });
    Ok(texts.collect())
}

/// The regular files `manifest-*.json`, by name.
fn renamed_manifests(root: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(DatasetError::file("list", root))? {
        let name = entry.map_err(DatasetError::file("list", root))?.file_name();
        let text = name.to_string_lossy();
        let path = root.join(&name);
        let is_named = text.starts_with("manifest-") && text.ends_with(".json");
        // Reading a FIFO would wait for a writer.
        if is_named && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Moves the unlisted parts of a dead run away, and sets the state in its manifest at `path` to `killed`.
fn mark_if_dead(
    root: &Path,
    path: &Path,
    text: &[u8],
    disk: &Disk,
) -> Result<Option<DeadRun>, DatasetError> {
    // One of a newer format is left alone.
    let Ok(run) = Manifest::parse(text) else {
        return Ok(None);
    };
    let mut dead = DeadRun::of(&run);
    // Before the state: if this run dies as well, the next one does the rest.
    for relative in unlisted(root, &run)? {
        let new = root.join(UNLISTED).join(&relative);
        match move_to(&root.join(&relative), &new, disk) {
            Ok(()) => dead.moved.push(new),
            Err(_) => dead.left.push(root.join(relative)),
        }
    }
    let temporary = root.join(PARTIAL).join(MANIFEST);
    files::create_directories(&root.join(PARTIAL), disk)?;
    files::replace(
        temporary,
        path.to_owned(),
        &killed(text, &run, run.clone()),
        disk,
    )?;
    Ok(Some(dead))
}

/// Removes the temporary files of earlier versions, which had one folder for all runs.
fn clear_partial(root: &Path, disk: &Disk) -> Result<(), DatasetError> {
    let partial = root.join(PARTIAL);
    let Ok(entries) = fs::read_dir(&partial) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(DatasetError::file("read", &partial))?;
        if is_unfinished(&entry.file_name()) {
            remove_if_there(&entry.path(), disk)?;
        }
    }
    let _ = fs::remove_dir(&partial);
    Ok(())
}

/// Whether a name in `.partial/` is one that earlier versions gave: `manifest.json` or `TABLE-part-RUN-SEALING.parquet.tmp`.
fn is_unfinished(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let part = name.strip_suffix(".parquet.tmp");
    let sealing = part.and_then(|part| {
        let (named, sealing) = part.rsplit_once('-')?;
        named.contains("-part-").then_some(sealing)
    });
    name == MANIFEST
        || sealing.is_some_and(|number| {
            number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

fn move_to(from: &Path, to: &Path, disk: &Disk) -> Result<(), DatasetError> {
    if let Some(parent) = to.parent() {
        files::create_directories(parent, disk)?;
    }
    disk.rename(from, to)
        .map_err(DatasetError::file("rename to", to))?;
    files::sync_parent(to, disk)
}

/// The parts of a run that its manifest does not list, relative to the directory, by name. Their names hold the run's id.
fn unlisted(root: &Path, run: &Manifest) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    let Some(started) = run.started_at else {
        return Ok(found);
    };
    let day = date_folder(day_of(started));
    for (table, section) in run.tables.iter() {
        let mut names = Path::new(table).components();
        if !matches!(
            (names.next(), names.next()),
            (Some(Component::Normal(_)), None)
        ) {
            continue;
        }
        let day = Path::new(table).join(&day);
        for vantage in entries(&root.join(&day))? {
            for name in entries(&root.join(&day).join(&vantage))? {
                let path = day.join(&vantage).join(&name);
                let text = manifest::path_text(&path);
                let is_listed = section.parts.iter().any(|part| part.path == text);
                if is_part_of(&name, &run.run_id) && !is_listed {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file has the name of a part of this run.
pub(super) fn is_part_of(name: &OsStr, run_id: &str) -> bool {
    let prefix = format!("part-{}-", manifest::path_safe(run_id));
    let number = name
        .to_str()
        .and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".parquet"));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The names in a directory. Empty if it is not there.
pub(super) fn entries(directory: &Path) -> Result<Vec<std::ffi::OsString>, DatasetError> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(DatasetError::file("list", directory)(error)),
    };
    listed
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<_>>()
        .map_err(DatasetError::file("list", directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::directory::MANIFEST_LOCK;
    use crate::dataset::directory::lock::tests::is_waited_for;

    #[test]
    fn a_part_is_known_by_the_id_of_its_run() {
        for (name, belongs) in [
            ("part-a-00001.parquet", true),
            ("part-a-100000.parquet", true),
            ("part-a-00001-00000.parquet", false),
            ("part-ab-00001.parquet", false),
            ("part-a-x.parquet", false),
            ("part-a-00001.parquet.tmp", false),
        ] {
            assert_eq!(is_part_of(name.as_ref(), "a"), belongs, "{name}");
        }
        assert!(is_part_of("part-a%2Fb-00000.parquet".as_ref(), "a/b"));
    }
    fn manifest(run_id: &str, state: RunState) -> Vec<u8> {
        let mut manifest = Manifest {
            run_id: run_id.to_owned(),
            state,
            ..Manifest::default()
        };
        manifest.tool.name = manifest::TOOL.to_owned();
        manifest.to_text()
    }

    /// Two vantage points start at once in the directory of a dead run of an earlier version. The other one is faster.
    #[test]
    fn the_manifest_of_a_run_that_starts_at_the_same_time_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let of_directory = root.join(MANIFEST);
        fs::write(&of_directory, manifest("OLD", RunState::Running)).unwrap();
        let new = manifest("NEW", RunState::Running);
        let other_starts = || {
            fs::rename(&of_directory, newest::renamed(root, "OLD")).unwrap();
            let folder = root.join("runs/date=2026-03-01/vp=id-fra/NEW");
            fs::create_dir_all(&folder).unwrap();
            for place in [folder.join(MANIFEST), of_directory.clone()] {
                fs::write(place, &new).unwrap();
            }
        };
        let told = mark_after(root, &Disk::default(), other_starts).unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(fs::read(&of_directory).unwrap(), new);
        let old = fs::read(newest::renamed(root, "OLD")).unwrap();
        assert_eq!(Manifest::parse(&old).unwrap().state, RunState::Killed);
    }

    /// The other one has the lock of the manifest, and replaces it.
    #[test]
    fn a_manifest_is_not_marked_while_another_run_replaces_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::write(root.join(MANIFEST), manifest("OLD", RunState::Running)).unwrap();
        let held = ManifestLock::take(root, &Disk::default()).unwrap();
        std::thread::scope(|scope| {
            let marked = scope.spawn(|| mark_all(root, &Disk::default()));
            while !marked.is_finished() && !is_waited_for(&root.join(MANIFEST_LOCK)) {
                std::thread::yield_now();
            }
            let there = fs::read(root.join(MANIFEST)).unwrap();
            assert_eq!(Manifest::parse(&there).unwrap().state, RunState::Running);
            drop(held);
            assert_eq!(marked.join().unwrap().unwrap().len(), 1);
        });
    }
}
