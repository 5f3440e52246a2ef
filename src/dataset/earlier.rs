//! Earlier runs in a directory of parts, when the next run starts.
//!
//! The next run holds the lock, so no earlier run still writes. A manifest in the state `running` is that of a run that died.
//!
//! | what a dead run leaves | what the next run does |
//! |---|---|
//! | a manifest in the state `running` | sets the state `killed`; nothing else changes in it |
//! | parts that its manifest lists | they stay |
//! | whole parts that its manifest does not list: it died between the two | moves them to `.unlisted/`, under the same path |
//! | its unfinished files in `.partial/` | removes them |
//!
//! Unlisted parts are moved, because a reader of `hops/**` would count rows that are in no manifest, and would count them twice if the run is
//! repeated. They are whole Parquet files, and are never removed.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::DatasetError;
use super::files::{self, Disk};
use super::manifest::{self, Manifest, RunState, TOOL};

const MANIFEST: &str = "manifest.json";
const PARTIAL: &str = ".partial";
/// Holds parts of dead runs that no manifest lists.
const UNLISTED: &str = ".unlisted";

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
    /// Parts that its manifest does not list, by their new paths.
    moved: Vec<PathBuf>,
    /// The same, if they could not be moved.
    left: Vec<PathBuf>,
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

/// The previous run: that of `manifest.json`.
pub(super) struct Previous {
    run_id: String,
    /// Its manifest.
    text: Vec<u8>,
}

/// Returns the previous run, if there is one. Changes nothing.
///
/// It is an error if the directory holds a run with the id `run_id`, or a manifest of another program.
pub(super) fn previous(root: &Path, run_id: &str) -> Result<Option<Previous>, DatasetError> {
    let exists = || DatasetError::RunExists {
        directory: root.to_owned(),
        run_id: run_id.to_owned(),
    };
    if renamed(root, run_id).exists() {
        return Err(exists());
    }
    let current = root.join(MANIFEST);
    let text = match files::read_regular(&current) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DatasetError::file("read", &current)(error)),
    };
    match manifest::run_id_of(&text) {
        Some(earlier) if earlier == run_id => Err(exists()),
        Some(earlier) => Ok(Some(Previous {
            run_id: earlier,
            text,
        })),
        None => Err(DatasetError::ForeignManifest {
            directory: root.to_owned(),
            manifest: current,
        }),
    }
}

/// The name of a manifest when a later run has started.
fn renamed(root: &Path, run_id: &str) -> PathBuf {
    root.join(format!("manifest-{}.json", manifest::path_safe(run_id)))
}

/// Renames the manifest of the previous run to `manifest-RUN.json`, and marks runs that died. Returns those.
pub(super) fn keep(
    root: &Path,
    previous: Option<Previous>,
    disk: &Disk,
) -> Result<Vec<DeadRun>, DatasetError> {
    let mut dead = Vec::new();
    // Earlier versions of this program did not mark them.
    for path in renamed_manifests(root)? {
        // One that cannot be read is no reason to refuse a run.
        if let Ok(text) = files::read_regular(&path) {
            dead.extend(mark_if_dead(root, &path, &text, disk)?);
        }
    }
    if let Some(previous) = previous {
        let current = root.join(MANIFEST);
        // First marked, then renamed: both are one step, and a run that dies between them loses nothing.
        dead.extend(mark_if_dead(root, &current, &previous.text, disk)?);
        let kept = renamed(root, &previous.run_id);
        disk.rename(&current, &kept)
            .map_err(DatasetError::file("rename to", &kept))?;
        files::sync_parent(&kept, disk)?;
    }
    Ok(dead)
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

/// The members that say whether a manifest is that of a dead run. Reading only these is fast.
#[derive(Deserialize)]
struct Head {
    tool: manifest::Tool,
    #[serde(default)]
    state: RunState,
}

/// If the manifest at `path` says `running`, moves its unlisted parts away, and sets its state to `killed`.
fn mark_if_dead(
    root: &Path,
    path: &Path,
    text: &[u8],
    disk: &Disk,
) -> Result<Option<DeadRun>, DatasetError> {
    // A file of this name that is no manifest of ours is left alone, as is one of a newer format.
    let head = serde_json::from_slice::<Head>(text);
    if !head.is_ok_and(|head| head.tool.name == TOOL && head.state == RunState::Running) {
        return Ok(None);
    }
    let Ok(run) = Manifest::parse(text) else {
        return Ok(None);
    };
    let mut dead = DeadRun {
        run_id: run.run_id.clone(),
        rows: run.tables.get("hops").map_or(0, |table| table.rows),
        parts: run.tables.iter().map(|(_, table)| table.parts.len()).sum(),
        moved: Vec::new(),
        left: Vec::new(),
    };
    // Before the state: if this run dies as well, the next one does the rest.
    for relative in unlisted(root, &run)? {
        let new = root.join(UNLISTED).join(&relative);
        match move_to(&root.join(&relative), &new, disk) {
            Ok(()) => dead.moved.push(new),
            Err(_) => dead.left.push(root.join(relative)),
        }
    }
    let temporary = root.join(PARTIAL).join(MANIFEST);
    files::replace(temporary, path.to_owned(), &killed(text, run), disk)?;
    Ok(Some(dead))
}

fn move_to(from: &Path, to: &Path, disk: &Disk) -> Result<(), DatasetError> {
    if let Some(parent) = to.parent() {
        files::create_directories(parent, disk)?;
    }
    disk.rename(from, to)
        .map_err(DatasetError::file("rename to", to))?;
    files::sync_parent(to, disk)
}

/// The manifest's text with the state `killed`.
fn killed(text: &[u8], mut run: Manifest) -> Vec<u8> {
    let is_ours = run.to_text() == text;
    run.state = RunState::Killed;
    run.exit_reason = Some(DIED.to_owned());
    if is_ours {
        return run.to_text();
    }
    // Another version wrote it, perhaps with members that this one does not know. They stay, in another order.
    let mut value: Value = serde_json::from_slice(text).unwrap_or_default();
    value["state"] = RunState::Killed.as_str().into();
    value["exit_reason"] = DIED.into();
    format!("{value:#}\n").into_bytes()
}

/// The parts of a run that its manifest does not list, relative to the directory, by name. Their names hold the run's id.
fn unlisted(root: &Path, run: &Manifest) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    let Some(started) = run.started_at else {
        return Ok(found);
    };
    let day = super::directory::day(started);
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
fn is_part_of(name: &OsStr, run_id: &str) -> bool {
    let prefix = format!("part-{}-", manifest::path_safe(run_id));
    let number = name
        .to_str()
        .and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".parquet"));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The names in a directory. Empty if it is not there.
fn entries(directory: &Path) -> Result<Vec<std::ffi::OsString>, DatasetError> {
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

    #[test]
    fn members_of_another_version_stay_in_the_manifest_of_a_killed_run() {
        let text =
            br#"{"tool": {"name": "pathsurvey"}, "run_id": "x", "state": "running", "later": [1]}"#;
        let marked = killed(text, Manifest::parse(text).unwrap());
        let value: Value = serde_json::from_slice(&marked).unwrap();
        assert_eq!(
            (&value["state"], &value["later"]),
            (&"killed".into(), &serde_json::json!([1]))
        );
        assert_eq!(value["exit_reason"], DIED);
    }
}
