//! Decides which runs are removed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::record::{Record, records};
use super::{PruneError, Rule};
use crate::care::night_of;
use crate::dataset::manifest::{Manifest, RunState};
use crate::dataset::read::{Dataset, ReadError, Run};

/// The files of a run's folder that are removed with it. Other files stay.
const OF_RUN: [&str; 5] = [
    "_SUCCESS",
    "checkpoint.json",
    "compact.json",
    "targets.bin",
    "manifest.json",
];
/// Folders of temporary files in a run's folder.
const PARTIAL: &str = ".partial";
/// Holds parts of killed runs that no manifest lists.
const UNLISTED: &str = ".unlisted";
/// The locks of a night.
const LOCKS: [&str; 2] = [".lock.owner", ".lock"];

/// A run that is removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Doomed {
    /// Its night.
    pub night: NaiveDate,
    /// Its vantage point.
    pub vantage: String,
    /// Its id.
    pub run_id: String,
    /// Its state in the manifest.
    pub state: String,
    /// Its parts, by the manifest.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The run's name in paths.
    pub(super) name: String,
    pub(super) record: Record,
    run: Run,
}

impl Doomed {
    /// The run and its files as they are now. Its night is locked by this process. Until then, a compaction may have replaced its parts.
    ///
    /// `None` if another process has removed it.
    pub(super) fn now(&self, root: &Path) -> Result<Option<Doomed>, PruneError> {
        let run = self.run.read_again()?;
        run.map(|run| doom(root, self.night, &run)).transpose()
    }

    /// Why the run stays after all.
    pub(super) fn why_kept(&self, root: &Path) -> Option<Why> {
        let is_link = paths_of(&self.run).any(|path| is_behind_link(root, path));
        is_link.then_some(Why::Link)
    }

    /// The run, if it stays after all.
    pub(super) fn kept(&self, why: Why) -> Kept {
        Kept {
            night: Some(self.night),
            vantage: self.vantage.clone(),
            run_id: self.run_id.clone(),
            why,
        }
    }
}

/// Why a run stays although the rule covers its night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A process writes it, or another run of its night.
    #[error("a process writes into its night")]
    Written,
    /// It belongs to the newest night of its vantage point.
    #[error("it is of the newest night of its vantage point")]
    Newest,
    /// It started last of all runs.
    #[error("it started last, and manifest.json of the directory is its own")]
    Last,
    /// Another run lists one of its parts.
    #[error("another run lists one of its parts: verify the dataset")]
    Shared,
    /// A part lies behind a link.
    #[error("a part, or a folder with parts, is a link to another place: remove the run by hand")]
    Link,
    /// Its manifest does not tell the night.
    #[error("its night is not known")]
    NoNight,
    /// Another run of its night stays.
    #[error("another run of its night stays")]
    Night,
}

/// A run that stays although the rule covers its night.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its night.
    pub night: Option<NaiveDate>,
    /// Its vantage point.
    pub vantage: String,
    /// Its id.
    pub run_id: String,
    /// The reason.
    pub why: Why,
}

/// What a prune removes.
#[derive(Debug)]
pub struct Plan {
    pub(super) root: PathBuf,
    /// The runs to remove, the oldest first.
    pub doomed: Vec<Doomed>,
    /// Runs that stay although the rule covers their nights.
    pub kept: Vec<Kept>,
    /// The ids of runs whose removal was cut short. It is finished.
    pub unfinished: Vec<String>,
    /// Parts that stay. They belong to the other runs.
    pub(super) staying: HashSet<PathBuf>,
}

/// Decides what to remove from the dataset at `root`. Changes nothing.
///
/// # Errors
/// [`PruneError`]. If one manifest cannot be read, nothing is removed.
pub fn plan(root: &Path, rule: &Rule) -> Result<Plan, PruneError> {
    let unfinished = records(root)?;
    let (dataset, damaged) = match Dataset::open_readable(root) {
        Ok((dataset, _)) if !dataset.path().is_dir() => {
            return Err(PruneError::NoDirectory(root.to_owned()));
        }
        Ok(opened) => opened,
        Err(error) => return Err(error.into()),
    };
    if let Some(error) = damaged.into_iter().next() {
        return Err(PruneError::Damaged(error));
    }
    let choice = Choice::new(&dataset);
    let is_unfinished = |run: &Run| {
        unfinished
            .iter()
            .any(|(_, record)| record.run_id == run.id())
    };
    let mut nights: BTreeMap<(Option<NaiveDate>, &str), Vec<&Run>> = BTreeMap::new();
    for run in dataset.runs() {
        // It is removed in any case.
        if is_unfinished(run) {
            continue;
        }
        let vantage = run.manifest().vantage.id.as_str();
        let is_covered = rule
            .vantage
            .as_deref()
            .is_none_or(|chosen| chosen == vantage)
            && night_of(run).is_none_or(|night| night < rule.before);
        if is_covered {
            nights
                .entry((night_of(run), vantage))
                .or_default()
                .push(run);
        }
    }
    let (mut doomed, mut kept) = (Vec::new(), Vec::new());
    for ((night, vantage), runs) in nights {
        let reasons = runs.iter().map(|run| choice.why_kept(run));
        let reasons = reasons.collect::<Result<Vec<_>, ReadError>>()?;
        match night.filter(|_| reasons.iter().all(Option::is_none)) {
            Some(night) => doomed.extend(runs.iter().map(|run| (night, *run))),
            None => kept.extend(runs.iter().zip(reasons).map(|(run, why)| Kept {
                night,
                vantage: vantage.to_owned(),
                run_id: run.id().to_owned(),
                why: why.unwrap_or(Why::Night),
            })),
        }
    }
    let ids: HashSet<&str> = doomed.iter().map(|(_, run)| run.id()).collect();
    let staying = { dataset.runs().iter() }
        .filter(|run| !ids.contains(run.id()) && !is_unfinished(run))
        .flat_map(|run| paths_of(run).map(Path::to_owned))
        .collect();
    let doomed = { doomed.into_iter() }.map(|(night, run)| doom(root, night, run));
    Ok(Plan {
        root: root.to_owned(),
        doomed: doomed.collect::<Result<_, _>>()?,
        kept,
        unfinished: unfinished
            .into_iter()
            .map(|(_, record)| record.run_id)
            .collect(),
        staying,
    })
}

fn paths_of(run: &Run) -> impl Iterator<Item = &Path> {
    let parts = run.tables().flat_map(|table| run.parts(table));
    parts.map(|part| part.path())
}

/// What every decision needs to know of all runs.
struct Choice<'d> {
    root: &'d Path,
    /// By vantage point.
    newest: BTreeMap<&'d str, Option<NaiveDate>>,
    /// The run of `manifest.json`.
    last: Option<String>,
    /// Parts that are listed more than once.
    shared: HashSet<&'d Path>,
}

impl<'d> Choice<'d> {
    fn new(dataset: &'d Dataset) -> Self {
        let mut newest = BTreeMap::new();
        let (mut seen, mut shared) = (HashSet::new(), HashSet::new());
        for run in dataset.runs() {
            let vantage = run.manifest().vantage.id.as_str();
            let night = newest.entry(vantage).or_default();
            *night = night_of(run).max(*night);
            shared.extend(paths_of(run).filter(|path| !seen.insert(*path)));
        }
        Choice {
            root: dataset.path(),
            newest,
            last: run_of(&dataset.path().join("manifest.json")),
            shared,
        }
    }

    fn why_kept(&self, run: &Run) -> Result<Option<Why>, ReadError> {
        let manifest = run.manifest();
        let night = night_of(run);
        let may_live = manifest.state == RunState::Running || run.folder().is_some();
        Ok(if night.is_none() {
            Some(Why::NoNight)
        } else if may_live && run.is_written()? {
            Some(Why::Written)
        } else if self.newest.get(manifest.vantage.id.as_str()) == Some(&night) {
            Some(Why::Newest)
        } else if self.last.as_deref() == Some(run.id()) {
            Some(Why::Last)
        } else if paths_of(run).any(|path| self.shared.contains(path)) {
            Some(Why::Shared)
        } else if paths_of(run).any(|path| is_behind_link(self.root, path)) {
            Some(Why::Link)
        } else {
            None
        })
    }
}

/// The id of the run that a manifest is of.
fn run_of(manifest: &Path) -> Option<String> {
    let text = fs::read(manifest).ok()?;
    Some(Manifest::parse(&text).ok()?.run_id)
}

/// Whether a path below `root`, or a folder on the way, is a link.
fn is_behind_link(root: &Path, path: &Path) -> bool {
    let inside = path.ancestors().take_while(|above| *above != root);
    { inside }.any(|above| fs::symlink_metadata(above).is_ok_and(|about| about.is_symlink()))
}

/// Lists the files of a run.
fn doom(root: &Path, night: NaiveDate, run: &Run) -> Result<Doomed, PruneError> {
    let manifest = run.manifest();
    let name = name_of(run);
    let mut files: BTreeSet<PathBuf> = paths_of(run).map(Path::to_owned).collect();
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    for part in files.iter().filter_map(|part| part.parent()) {
        folders.insert(part.to_owned());
    }
    // Parts that the run sealed before it was killed, but that no manifest lists.
    for folder in folders.clone() {
        let relative = folder.strip_prefix(root).unwrap_or(&folder);
        let unlisted = root.join(UNLISTED).join(relative);
        for folder in [folder, unlisted] {
            let names = names_in(&folder)?;
            let own = names.into_iter().filter(|found| is_part_of(found, &name));
            files.extend(own.map(|found| folder.join(found)));
            folders.insert(folder);
        }
    }
    let mut manifests = Vec::new();
    if let Some(folder) = run.folder() {
        let own = OF_RUN.iter().map(|name| folder.join(name));
        files.extend(own.filter(|path| path != run.manifest_path() && path.exists()));
        let partial = folder.join(PARTIAL);
        files.extend(names_in(&partial)?.iter().map(|name| partial.join(name)));
        folders.extend([partial, folder.to_owned()]);
    }
    // A run of an earlier version has its manifest in the directory.
    let renamed = root.join(format!("manifest-{name}.json"));
    for path in [run.manifest_path().to_owned(), renamed] {
        if path.exists() && !manifests.contains(&path) {
            manifests.push(path);
        }
    }
    let relative = |path: &PathBuf| path.strip_prefix(root).map(Path::to_owned).ok();
    let locked = run.folder().and_then(Path::parent).map(Path::to_owned);
    let sections = || manifest.tables.iter().map(|(_, section)| section);
    Ok(Doomed {
        night,
        vantage: manifest.vantage.id.clone(),
        run_id: run.id().to_owned(),
        state: manifest.state.as_str().to_owned(),
        parts: sections().map(|section| section.parts.len() as u64).sum(),
        bytes: { sections() }.fold(0, |sum, section| sum.saturating_add(section.bytes)),
        record: Record {
            run_id: run.id().to_owned(),
            night: night.to_string(),
            locked: locked.as_ref().and_then(relative),
            manifests: manifests.iter().filter_map(relative).collect(),
            files: files.iter().filter_map(relative).collect(),
            folders: with_parents(folders.iter().filter_map(relative)),
        },
        name,
        run: run.clone(),
    })
}

/// The run's name in paths: that of its folder, or that in the name of its manifest.
fn name_of(run: &Run) -> String {
    let text = |name: Option<&OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
    match run.folder() {
        Some(folder) => text(folder.file_name()),
        None => {
            let file = text(run.manifest_path().file_name());
            let name = file.strip_prefix("manifest-").unwrap_or(&file);
            name.strip_suffix(".json").unwrap_or(name).to_owned()
        }
    }
}

/// Whether a file has the name of a part of this run.
fn is_part_of(file: &OsStr, run: &str) -> bool {
    let number = file.to_str().and_then(|file| {
        let behind = file.strip_prefix("part-")?.strip_prefix(run)?;
        behind.strip_prefix('-')?.strip_suffix(".parquet")
    });
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The names in a folder. Empty if it is not there, or is a link.
fn names_in(folder: &Path) -> Result<Vec<std::ffi::OsString>, PruneError> {
    if !fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir()) {
        return Ok(Vec::new());
    }
    let failed = |error| PruneError::file("list", folder)(error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let names = entries.map(|entry| Ok(entry.map_err(failed)?.file_name()));
    names.collect()
}

/// The folders and those around them, the innermost first. The folders of tables stay: readers look for them.
fn with_parents(folders: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut all: BTreeSet<PathBuf> = BTreeSet::new();
    for folder in folders {
        let inside = folder
            .ancestors()
            .filter(|above| above.components().count() > 1);
        all.extend(inside.map(Path::to_owned));
    }
    let mut all: Vec<PathBuf> = all.into_iter().collect();
    all.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
    all
}

/// Whether a file of a night's folder is its lock.
pub(super) fn is_lock(name: &OsStr) -> bool {
    LOCKS.iter().any(|lock| name == *lock)
}
