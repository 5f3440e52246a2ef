//! A run that goes on, and what must be there at its end.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, Int64Array};

use super::*;
use crate::dataset::Resumable;

/// A new run that can be resumed.
pub(super) fn resumable(run_id: &str) -> NewRun {
    NewRun {
        stored_targets: Some(Box::new(|out| out.write_all(b"the targets"))),
        ..new_run(run_id)
    }
}

/// Begins a run that can be resumed.
pub(super) fn begin(root: &Path, disk: Disk, run_id: &str) -> Result<DatasetWriter, DatasetError> {
    let output = Output::Directory(root.to_owned());
    let figures = RunFigures::default();
    DatasetWriter::create_on(disk, &output, resumable(run_id), rows::START, &figures)
}

/// Goes on with the newest unfinished run, as a survey does. Returns the writer, and the targets whose rows are there.
pub(super) fn go_on(
    root: &Path,
    disk: Disk,
) -> Result<(DatasetWriter, BTreeSet<u32>), DatasetError> {
    let found = Resumable::find(root, &Chosen::default())?;
    let run_id = found.manifest().run_id.clone();
    let unfinished = found.lock_on(disk)?;
    let kept = unfinished.kept_rows().map_err(DatasetError::from)?;
    let there = count(&kept, "traces").into_keys().collect();
    let figures = RunFigures::default();
    let writer = DatasetWriter::resume(unfinished, new_run(&run_id), rows::START, &figures)?;
    Ok((writer, there))
}

/// Ends a run as a survey does. Returns the first error.
pub(super) fn end(
    mut writer: DatasetWriter,
    targets: impl IntoIterator<Item = u32>,
) -> Result<Finished, DatasetError> {
    let fed = feed_each(&mut writer, targets);
    let ending = match &fed {
        Ok(()) => Ending::Complete,
        Err(error) => Ending::Failed(error.to_string()),
    };
    let finished = writer.finish(&ending, rows::START, &RunFigures::default());
    fed?;
    finished
}

/// Stops a run after it has written these targets. The traces of the target behind them are interrupted.
pub(super) fn interrupt(
    mut writer: DatasetWriter,
    targets: std::ops::Range<u32>,
) -> Result<Finished, DatasetError> {
    let interrupted = targets.end;
    feed_each(&mut writer, targets)?;
    let (hops, trace) = rows::trace(interrupted);
    for row in hops.into_iter().take(5) {
        writer.push_interrupted::<Hops>(row, rows::START)?;
    }
    writer.push_interrupted::<Traces>(trace, rows::START)?;
    let ending = Ending::Interrupted("SIGINT".to_owned());
    writer.finish(&ending, rows::START, &RunFigures::default())
}

/// Goes on with the newest unfinished run until all of `traces` targets are there.
pub(super) fn complete(root: &Path, disk: Disk, traces: u32) -> Result<Finished, DatasetError> {
    let (writer, there) = go_on(root, disk)?;
    end(writer, (0..traces).filter(|target| !there.contains(target)))
}

/// How many rows of a table each target has.
pub(super) fn count(dataset: &Dataset, table: &str) -> BTreeMap<u32, usize> {
    let mut found = BTreeMap::new();
    for batch in dataset
        .scan(table)
        .columns(&["trace_id"])
        .batches()
        .unwrap()
    {
        let batch = batch.unwrap();
        let ids = batch.column_by_name("trace_id").unwrap();
        let ids: &Int64Array = ids.as_any().downcast_ref().unwrap();
        assert_eq!(ids.null_count(), 0);
        for id in ids.values() {
            *found.entry(*id as u32).or_default() += 1;
        }
    }
    found
}

/// Checks that a run is complete and has each of `traces` traces once, and that no file is in a table without a manifest.
#[track_caller]
pub(super) fn check_complete(root: &Path, run_id: &str, traces: u32, at: &str) {
    let dataset = Dataset::open(root).unwrap();
    let run = dataset.run(run_id);
    let run = run.unwrap_or_else(|| panic!("{at}: {run_id} is gone"));
    assert_eq!(run.manifest().state.as_str(), "complete", "{at}: {run_id}");
    let only = dataset.clone().only(|run| run.id() == run_id);
    for (table, rows) in [("hops", usize::from(rows::HOPS)), ("traces", 1)] {
        let expected: BTreeMap<u32, usize> = (0..traces).map(|target| (target, rows)).collect();
        assert_eq!(count(&only, table), expected, "{at}: {table} of {run_id}");
    }
    let differences = dataset.verify(Checks::ALL, |_| ()).unwrap();
    assert!(differences.is_empty(), "{at}: {differences:?}");
    let listed: usize = { dataset.runs().iter() }
        .map(|run| run.manifest().parts().count())
        .sum();
    assert_eq!(parts(root).len(), listed, "{at}: {:?}", files(root));
}

/// The Parquet files that a reader of the tables finds.
pub(super) fn parts(root: &Path) -> Vec<PathBuf> {
    let tables = ["hops", "traces"].map(|table| files(&root.join(table)));
    let mut found = tables.concat();
    found.retain(|path| path.extension().is_some_and(|it| it == "parquet"));
    found
}

/// Checks that everything that a manifest lists is there, and that every other part is in a checkpoint.
#[track_caller]
pub(super) fn check_sound(root: &Path, dataset: &Dataset, at: &str) {
    for difference in dataset.verify(Checks::ALL, |_| ()).unwrap() {
        let is_known = match &difference {
            Difference::Unlisted { path, .. } => is_in_a_checkpoint(root, path),
            _ => false,
        };
        assert!(is_known, "{at}: {difference}");
    }
}

/// Whether the checkpoint of a run names a part. So the next process knows what to do with it.
pub(super) fn is_in_a_checkpoint(root: &Path, part: &Path) -> bool {
    let name = part.file_name().unwrap().to_str().unwrap();
    let runs = root.join("runs");
    let mut checkpoints = files(&runs)
        .into_iter()
        .filter(|path| path.ends_with("checkpoint.json"));
    checkpoints.any(|path| {
        std::fs::read_to_string(runs.join(path))
            .unwrap()
            .contains(name)
    })
}
