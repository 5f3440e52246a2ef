//! A run to be written: its facts, tables and limits.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::dataset::table::{AnyTable, Rows, Run};
use crate::dataset::{DatasetError, Output, RunMeta, SealedPart, parquet, tables};
use crate::model::{IfExists, Targets};

/// Limits of a part. The part is sealed when the first of them is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLimits {
    /// Rows of a table. A trace is not cut: the part is sealed before the next trace.
    pub rows: usize,
    /// Memory in bytes of the buffered rows and of the rows that are being sealed. A part is sealed when its rows take half of it.
    pub bytes: usize,
    /// Age of the oldest buffered row. A killed run loses only rows that are younger than this, and those of a part being sealed.
    pub age: Duration,
}

impl Default for PartLimits {
    fn default() -> Self {
        PartLimits {
            rows: parquet::ROW_GROUP_ROWS,
            bytes: 440 << 20,
            age: Duration::from_secs(10),
        }
    }
}

/// Called for every part, on the writer's thread, as soon as the part and a manifest that lists it are on disk. It must not wait for the
/// thread that adds rows, which may wait for the writer. If it panics, it is not called again, and the writer returns an error.
pub type SealedHook = Box<dyn FnMut(&SealedPart) + Send>;

/// Writes the targets of a run, so that a later process can load them.
pub type StoreTargets = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// A run to be written, with its tables and limits.
pub struct NewRun {
    /// The facts of the run.
    pub meta: RunMeta,
    /// The run's targets.
    pub targets: Arc<dyn Targets>,
    /// The tables. Only rows of these are accepted.
    pub tables: Vec<AnyTable>,
    /// When parts are sealed.
    pub limits: PartLimits,
    /// Called for every sealed part of a directory.
    pub on_sealed: Option<SealedHook>,
    /// What to do if the night has data already. Only for a directory.
    pub if_exists: IfExists,
    /// Writes the targets of the run into its folder, so that the run can be resumed. Only for a directory.
    pub stored_targets: Option<StoreTargets>,
}

impl NewRun {
    /// A run with the tables of every dataset, the default limits, and no hook.
    pub fn new(meta: RunMeta, targets: Arc<dyn Targets>) -> Self {
        NewRun {
            meta,
            targets,
            tables: tables::all().to_vec(),
            limits: PartLimits::default(),
            on_sealed: None,
            if_exists: IfExists::default(),
            stored_targets: None,
        }
    }

    /// Refuses two tables with the same name or the same type of rows. Every row must belong to exactly one table.
    pub(super) fn check_tables(&self, output: &Output) -> Result<(), DatasetError> {
        for (at, table) in self.tables.iter().enumerate() {
            if self.tables[..at].iter().any(|other| other.is_like(table)) {
                return Err(DatasetError::TableTwice {
                    output: output.path().to_owned(),
                    table: table.schema().name,
                });
            }
        }
        Ok(())
    }

    /// Returns the facts that getters of columns need, then the buffers and the limits. A single file or stream has no parts, so the hook is
    /// dropped.
    pub(super) fn split(self) -> (Run, (Vec<Box<dyn Rows>>, PartLimits)) {
        let buffers = self.tables.iter().map(AnyTable::buffer).collect();
        let run = Run {
            meta: self.meta,
            targets: self.targets,
        };
        (run, (buffers, self.limits))
    }
}
