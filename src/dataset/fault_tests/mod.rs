//! Calls of the file system that fail: what a run says, and what it leaves.
//!
//! | file | holds |
//! |---|---|
//! | `errors` | the errors of each call, from its manual page |
//! | `places` | the calls of a run that fail |
//! | `outcome` | a run with a failing call, and what it leaves |
//! | `table` | the table of docs/reliability.md, made from these |
//! | `every_call` | runs in which one call after the other fails |
//! | `once` | calls that fail once, and file systems that lack a call |
//! | `in_the_way` | files of other programs at the names of a run |
//! | `killed` | the next run after one that was killed |
//! | `resuming` | a run that goes on, and what must be there at its end |
//! | `resumed` | runs that die wherever they can, and are resumed |
//! | `refused` | runs that cannot be resumed |
//! | `leftovers` | runs that were not closed, replaced runs, and damaged manifests |
//! | `power_cut` | power cuts: what was not synced is lost |
//! | `wrong_clock` | runs whose wall clock was stepped between sessions |

mod errors;
mod every_call;
mod in_the_way;
mod killed;
mod leftovers;
mod once;
mod outcome;
mod places;
mod power_cut;
mod refused;
mod resumed;
mod resuming;
mod table;
mod wrong_clock;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::files::{Call, Change, Disk, Fault};
use super::model::{Protocol, Vary};
use super::read::{Checks, Dataset, Fault as Difference, ReadError};
use super::*;

/// Traces of a run, of 16 hops each. With [`LIMITS`], the parts of sealing 2 are written in the middle of it.
const TRACES: u32 = 12;

const LIMITS: PartLimits = PartLimits {
    rows: 3 * rows::HOPS as usize,
    bytes: usize::MAX,
    age: Duration::from_secs(3600),
};

fn create(output: &Output, disk: Disk, run_id: &str) -> Result<DatasetWriter, DatasetError> {
    let run = new_run(run_id);
    DatasetWriter::create_on(disk, output, run, rows::START, &RunFigures::default())
}

fn new_run(run_id: &str) -> NewRun {
    let meta = RunMeta {
        run_id: run_id.to_owned(),
        survey_id: "night-1".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage {
            id: "fra".to_owned(),
            ..Vantage::default()
        },
        seed: 7,
        started_at: rows::START,
        date: None,
        method: "trace".to_owned(),
        protocol: Protocol::Udp,
        base_src_port: None,
        vary: Vary::SourcePort,
        dst_port: None,
        attempts: 2,
        gap_limit: None,
        probe_sizes: [None; 2],
        config: Value::Null,
    };
    NewRun {
        limits: LIMITS,
        ..NewRun::new(meta, Arc::new(rows::SampleTargets::new()))
    }
}

/// Writes traces. Stops at the first error, as a survey does.
fn feed(writer: &mut DatasetWriter, traces: u32) -> Result<(), DatasetError> {
    feed_each(writer, 0..traces)
}

/// Writes the traces of these targets.
fn feed_each(
    writer: &mut DatasetWriter,
    targets: impl IntoIterator<Item = u32>,
) -> Result<(), DatasetError> {
    for target in targets {
        let (hops, trace) = rows::trace(target);
        for row in hops {
            writer.push::<Hops>(row, rows::START)?;
        }
        writer.push::<Traces>(trace, rows::START)?;
        writer.seal_if_due(rows::START)?;
        // Without the wait, the error would come with a later row.
        writer.wait()?;
    }
    Ok(())
}

/// Writes a run to its end, as a survey does. Returns the first error.
fn run(output: &Output, disk: Disk, run_id: &str) -> Result<(Finished, Vec<String>), DatasetError> {
    run_of(TRACES, output, disk, run_id)
}

/// The same with a number of traces.
fn run_of(
    traces: u32,
    output: &Output,
    disk: Disk,
    run_id: &str,
) -> Result<(Finished, Vec<String>), DatasetError> {
    let mut writer = create(output, disk, run_id)?;
    let notices = writer.notices().to_vec();
    let fed = feed(&mut writer, traces);
    let ending = match &fed {
        Ok(()) => Ending::Complete,
        Err(error) => Ending::Failed(error.to_string()),
    };
    let finished = writer.finish(&ending, rows::START, &RunFigures::default());
    fed?;
    Ok((finished?, notices))
}

/// A directory for a test, in memory if there is a file system in memory.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

fn manifest_of(path: &Path) -> Option<Value> {
    let text = std::fs::read(path).ok()?;
    Some(serde_json::from_slice(&text).expect("a whole manifest"))
}

/// Every file below `root`, relative to it, sorted.
fn files(root: &Path) -> Vec<PathBuf> {
    fn collect(directory: &Path, root: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(directory) else {
            return;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => collect(&path, root, found),
                false => found.push(path.strip_prefix(root).unwrap().to_owned()),
            }
        }
    }
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort();
    found
}
