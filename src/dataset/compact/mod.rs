//! Merges the small parts of a run into large ones in the order of traces.
//!
//! A run seals a part every few seconds, so a long night leaves thousands of them. A late reply may be in a later part than its trace.
//! [`compact`] merges the parts of each run, table by table:
//!
//! - Every row stays, with every value. The rows of a table are in the table's order over all parts, so late replies are with their trace.
//! - A part of `hops` ends before the next trace when it has [`Options::part_rows`] rows. Other tables with traces are cut at the same
//!   traces, and parts with the same traces have the same number of the sealing. Row groups, Bloom filters, statistics and compression are as
//!   a run writes them.
//! - The run's manifest lists the new parts. Nothing else changes in it, but for the counts of the traces that a sweep gains.
//! - A sweep without traces gains them if [`Options::sweeps`] is given: see `sweep`. `on_path` of its hops is then true or false; it was null.
//!   A sweep that has few parts already is compacted for that.
//! - Memory does not grow with the run: at most [`Options::open_parts`] parts are open, with a batch and one page of each column. A run with
//!   more parts is merged in several passes. The files between them are in `.partial/` and need about the space of one table.
//!
//! In place, a crash at any step loses nothing, and the next [`compact`] ends what is left: see `replace`. A reader that opened the old
//! manifest finds the old parts gone. If a dataset has readers at the same time, give [`Options::to`]: the compacted copy goes there, and
//! the dataset stays as it is.
//!
//! | left as it is | why |
//! |---|---|
//! | a run that has not finished | it may be resumed; [`Options::unfinished`] compacts it |
//! | a run with few parts for its rows | nothing would be gained |
//! | a run with a table of another schema version | the meaning of its columns would change |
//! | a run without a folder of its own, or with an unknown table | an earlier or later version wrote it |

mod cuts;
mod decode;
mod error;
mod job;
mod merge;
mod outcome;
mod parts;
mod replace;
mod sweep;

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::directory::{MANIFEST, Night, NightLock, RunFolder, remove_left, settle_run};
use super::files::{self, Disk, PendingFile};
use super::manifest::{self, Manifest, RunState, TableSection};
#[cfg(test)]
use super::read::Part;
use super::read::{Dataset, ReadError, Run, read_manifest};
use super::table::TableSchema;
use super::{DatasetError, RunMeta, tables};

pub use error::CompactError;
use job::{Job, Merged};
pub use outcome::{Compacted, Event, Outcome, Progress, Reason, Size, SweepTraces};
pub use sweep::{SweepFacts, SweepReader};

/// The default of [`Options::part_rows`]: four row groups, about 80 MB of `hops`.
pub const PART_ROWS: u64 = 4_000_000;
/// Names this command to a run that it keeps out of a night.
const COMMAND: &str = "pathsurvey datasets compact";
/// The default of [`Options::open_parts`].
pub const OPEN_PARTS: usize = 64;

/// How to compact.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory for a compacted copy. `None`: in place.
    pub to: Option<PathBuf>,
    /// Also compacts runs that were interrupted, killed or failed. Such a run cannot be resumed afterwards.
    pub unfinished: bool,
    /// The rows from which on a part of `hops` ends.
    pub part_rows: u64,
    /// The most parts that are read at the same time, at least 2.
    pub open_parts: usize,
    /// Reads what the traces of a sweep need besides its rows. `None`: sweeps gain no traces.
    pub sweeps: Option<SweepReader>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            to: None,
            unfinished: false,
            part_rows: PART_ROWS,
            open_parts: OPEN_PARTS,
            sweeps: None,
        }
    }
}

/// Compacts the runs of the dataset at `root`, one after the other. `report` is called after each run, and while rows are merged.
///
/// A run whose night another process has locked stays as it is: see [`Reason::is_for_now`]. An error of one run, such as a damaged part, does
/// not end the others.
///
/// # Errors
/// [`CompactError`]. A run with an error is as before, and so are those behind an error of writing. All others are compacted.
pub fn compact(
    root: &Path,
    options: &Options,
    report: impl FnMut(Event<'_>),
) -> Result<Vec<Compacted>, CompactError> {
    compact_on(&Disk::default(), root, options, report)
}

fn compact_on(
    disk: &Disk,
    root: &Path,
    options: &Options,
    report: impl FnMut(Event<'_>),
) -> Result<Vec<Compacted>, CompactError> {
    let (source, damaged) = Dataset::open_readable(root)?;
    if !root.is_dir() {
        return Err(CompactError::SingleFile(root.to_owned()));
    }
    if let Some(to) = &options.to {
        files::create_directories(to, disk)?;
        if is_same(root, to) {
            return Err(CompactError::SamePlace(to.clone()));
        }
    }
    // Each compaction replaces this one if it is of its run.
    let manifest = root.join(MANIFEST);
    let (of_directory, damaged): (Vec<_>, Vec<_>) =
        { damaged.into_iter() }.partition(|error| error.manifest() == Some(manifest.as_path()));
    if let Some(error) = of_directory.into_iter().next() {
        return Err(error.into());
    }
    let report = RefCell::new(report);
    let on_progress = |progress| (report.borrow_mut())(Event::Progress(progress));
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for run in source.runs() {
        let outcome = match compact_run(run, disk, options, &on_progress) {
            Ok(outcome) => outcome,
            Err(error) if error.is_of_one_run() => {
                (report.borrow_mut())(Event::Failed(&error));
                failed.push(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let compacted = Compacted {
            run_id: run.id().to_owned(),
            outcome,
        };
        (report.borrow_mut())(Event::Done(&compacted));
        done.push(compacted);
    }
    for error in damaged.into_iter().map(CompactError::from) {
        (report.borrow_mut())(Event::Failed(&error));
        failed.push(error);
    }
    match CompactError::of_all(failed) {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn compact_run(
    run: &Run,
    disk: &Disk,
    options: &Options,
    on_progress: &dyn Fn(Progress),
) -> Result<Outcome, CompactError> {
    let (Some(night), Some(_)) = (Night::of_manifest(run.manifest()), run.folder()) else {
        return Ok(Outcome::Kept(Reason::Earlier));
    };
    let to = options.to.as_deref();
    let folder = RunFolder::new(to.unwrap_or(run.directory()), night, run.id());
    if to.is_some() && run.is_written()? {
        return Ok(Outcome::Kept(while_written(run)));
    }
    let _lock = match NightLock::take_for(COMMAND, folder.root(), folder.night(), disk) {
        Ok(lock) => lock,
        Err(error) => return locked_out(run, error).map(Outcome::Kept),
    };
    if to.is_none() && !replace::is_under_way(&folder) {
        // The checkpoint of a dead run may list parts that are among the temporary files still.
        settle_run(&folder, disk)?;
    }
    replace::recover(&folder, disk)?;
    // Again, under the lock: the run may have changed in between.
    let Some(run) = &read_manifest(run.directory(), run.manifest_path())? else {
        return Ok(Outcome::Kept(Reason::Gone));
    };
    let outcome = match planned(run, &folder, options)? {
        Ok(plan) => merge(run, &folder, &plan, (disk, options), on_progress)?,
        Err(reason) => Outcome::Kept(reason),
    };
    if to.is_some() {
        // A copy from before may have the runs that this one has replaced.
        remove_left(folder.root(), folder.night(), disk)?;
    }
    Ok(outcome)
}

/// Why a run stays in whose night a process writes.
fn while_written(run: &Run) -> Reason {
    match &run.manifest().state {
        // It would stay in any case.
        state @ RunState::Running => Reason::Unfinished(state.as_str().to_owned()),
        _ => Reason::Written,
    }
}

/// Why a run stays whose night could not be locked.
fn locked_out(run: &Run, error: DatasetError) -> Result<Reason, CompactError> {
    match error {
        DatasetError::InUse(_) => Ok(while_written(run)),
        DatasetError::InUseBy { command, .. } => Ok(Reason::Busy(command)),
        owned @ DatasetError::OwnerUnknown { .. } => Ok(Reason::Owned(owned.to_string())),
        error => Err(error.into()),
    }
}

/// What to do with a run.
struct Plan {
    /// The tables to merge, `hops` first.
    tables: Vec<&'static TableSchema>,
    /// For a sweep without traces: the facts to compute them, or why they cannot be read.
    sweep: Option<Result<(SweepFacts, RunMeta), String>>,
}

/// The tables to merge, or why the run stays as it is.
fn planned(
    run: &Run,
    folder: &RunFolder,
    options: &Options,
) -> Result<Result<Plan, Reason>, CompactError> {
    let state = &run.manifest().state;
    let asked = options.unfinished && *state != RunState::Running;
    if !asked && !matches!(state, RunState::Complete | RunState::Incomplete) {
        return Ok(Err(Reason::Unfinished(state.as_str().to_owned())));
    }
    let source = RunFolder::new(run.directory(), folder.night().clone(), run.id());
    let sweep = sweep::without_traces(run, &source, options);
    match &options.to {
        None if is_compact(run, options) => match sweep {
            None => return Ok(Err(Reason::Compact)),
            Some(Err(why)) => return Ok(Err(Reason::NoTraces(why))),
            Some(Ok(_)) => {}
        },
        Some(_) if is_copied(run, &folder.manifest())? => return Ok(Err(Reason::Copied)),
        _ => {}
    }
    Ok(tables_of(run).map(|tables| Plan { tables, sweep }))
}

fn merge(
    run: &Run,
    folder: &RunFolder,
    plan: &Plan,
    (disk, options): (&Disk, &Options),
    on_progress: &dyn Fn(Progress),
) -> Result<Outcome, CompactError> {
    files::create_directories(&folder.partial(), disk)?;
    let progress = Cell::new(Progress::default());
    let on_rows = |rows| {
        let before = progress.get();
        progress.set(Progress {
            rows: before.rows + rows,
            ..before
        });
        on_progress(progress.get());
    };
    let job = Job::new(run, folder, disk, options, &on_rows);
    progress.set(Progress {
        rows: 0,
        all_rows: job.all_rows(&plan.tables),
    });
    let sweep = plan.sweep.as_ref();
    let merged = job.merge(&plan.tables, sweep.and_then(|facts| facts.as_ref().ok()));
    let replaced = merged.and_then(|new| {
        let text = new_manifest(run, &new)?;
        let old = match &options.to {
            None => run
                .manifest()
                .parts()
                .map(|part| part.path.clone())
                .collect(),
            Some(_) => {
                copy(run, folder, disk)?;
                Vec::new()
            }
        };
        replace::replace(folder, &new.tables, old, &text, disk)?;
        Ok(new)
    });
    match replaced {
        Ok(new) => Ok(Outcome::Merged {
            before: size(run.manifest().parts()),
            after: size(
                { new.tables.iter() }
                    .flat_map(|table| &table.parts)
                    .map(|part| &part.listed),
            ),
            traces: match (new.gained, sweep) {
                (Some(gained), _) => Some(SweepTraces::Written(gained.traces_ended)),
                (None, Some(Err(why))) => Some(SweepTraces::Missing(why.clone())),
                (None, _) => None,
            },
        }),
        Err(error) => {
            // If this fails as well, the next compaction does it.
            let _ = replace::recover(folder, disk);
            Err(error)
        }
    }
}

/// Copies the other files of a run: its stored targets, and the mark of a complete run.
fn copy(run: &Run, folder: &RunFolder, disk: &Disk) -> Result<(), CompactError> {
    let from = run.folder().unwrap_or(run.directory());
    for place in [folder.targets(), folder.success()] {
        let Some(name) = place.file_name() else {
            continue;
        };
        let source = from.join(name);
        let mut opened = match files::open_regular(&source) {
            Ok((opened, _)) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(DatasetError::file("open", &source)(error).into()),
        };
        let temporary = folder.temporary(&name.to_string_lossy());
        let mut copied = PendingFile::create(temporary, place.clone(), disk)?;
        io::copy(&mut opened, &mut copied).map_err(DatasetError::file("write", &place))?;
        copied.seal()?;
    }
    Ok(())
}

/// The tables of a run, `hops` first, or why they cannot be compacted.
fn tables_of(run: &Run) -> Result<Vec<&'static TableSchema>, Reason> {
    let mut found = Vec::new();
    for (name, section) in run.manifest().tables.iter() {
        let known = tables::named(name).ok_or_else(|| Reason::UnknownTable(name.to_owned()))?;
        let schema = known.schema();
        if section.schema_version != schema.version {
            return Err(Reason::Version {
                table: name.to_owned(),
                found: section.schema_version,
                known: schema.version,
            });
        }
        if section.parts.iter().any(|part| part.sealing.is_none()) {
            return Err(Reason::Earlier);
        }
        found.push(schema);
    }
    found.sort_by_key(|schema| schema.name != "hops");
    Ok(found)
}

/// Whether no table has more parts than its rows need.
fn is_compact(run: &Run, options: &Options) -> bool {
    let rows_of = |table: &str| -> u64 {
        let parts = run.parts(table).iter();
        parts.map(|part| part.listed().rows).sum()
    };
    let most = run.tables().map(rows_of).max().unwrap_or(0);
    let needed = most.div_ceil(options.part_rows.max(1)).max(1);
    run.tables()
        .all(|table| run.parts(table).len() as u64 <= needed)
}

/// Whether the manifest in the copy is that of this run in this state.
fn is_copied(run: &Run, copy: &Path) -> Result<bool, CompactError> {
    let Ok(text) = files::read_regular(copy) else {
        return Ok(false);
    };
    let there = Manifest::parse(&text).map_err(|source| ReadError::Manifest {
        path: copy.to_owned(),
        source,
    })?;
    let ours = run.manifest();
    match there.run_id == ours.run_id && there.updated_at == ours.updated_at {
        true => Ok(true),
        false => Err(CompactError::OtherCopy {
            manifest: copy.to_owned(),
            run_id: ours.run_id.clone(),
        }),
    }
}

fn size<'p>(parts: impl Iterator<Item = &'p manifest::Part>) -> Size {
    parts.fold(Size::default(), |size, part| Size {
        parts: size.parts + 1,
        bytes: size.bytes.saturating_add(part.bytes),
    })
}

/// The run's manifest with the new parts. Members that this version does not know stay.
fn new_manifest(run: &Run, new: &Merged) -> Result<Vec<u8>, CompactError> {
    let path = run.manifest_path();
    let text = files::read_regular(path).map_err(DatasetError::file("read", path))?;
    let mut ours = run.manifest().clone();
    let is_ours = ours.to_text() == text;
    let sections = new.tables.iter().map(|table| {
        let parts: Vec<manifest::Part> =
            table.parts.iter().map(|part| part.listed.clone()).collect();
        let known = run.manifest().tables.get(table.name);
        let section = TableSection {
            schema_version: known.map_or(0, |known| known.schema_version),
            rows: parts.iter().map(|part| part.rows).sum(),
            bytes: parts.iter().map(|part| part.bytes).sum(),
            parts,
        };
        (table.name, section)
    });
    ours.tables = sections.collect();
    if let Some(gained) = &new.gained {
        ours.set_traces(gained);
    }
    if is_ours {
        return Ok(ours.to_text());
    }
    let mut value: Value = serde_json::from_slice(&text).unwrap_or_default();
    value["tables"] = serde_json::to_value(&ours.tables).unwrap_or_default();
    if new.gained.is_some() {
        value["run"] = ours.run;
        value["anomalies"] = serde_json::to_value(&ours.anomalies).unwrap_or_default();
    }
    Ok(format!("{value:#}\n").into_bytes())
}

#[cfg(test)]
mod tests;
