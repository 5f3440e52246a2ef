//! One sealing: from rows to parts under their final names. See [`super::checkpoint`] for the steps.
//!
//! After an error, the same steps are tried again from the one that failed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::checkpoint::Sealing;
use super::layout::{RunFolder, TARGETS};
use crate::dataset::files::{self, Disk, PendingFile, Sealed};
use crate::dataset::manifest::{self, Part};
use crate::dataset::parquet::{Footer, ParquetFile};
use crate::dataset::table::{AnyTable, Order, Rows, Run};
use crate::dataset::writer::StoreTargets;
use crate::dataset::{Counted, DatasetError};

/// What every part of a run needs.
pub(super) struct PartWriter {
    pub folder: RunFolder,
    pub disk: Disk,
    pub run: Run,
    pub footer: Footer,
}

/// A part that is whole. It may still have its temporary name.
#[derive(Debug)]
struct Whole {
    /// The place of its table in the list of the run.
    table: usize,
    name: &'static str,
    part: Part,
    is_placed: bool,
}

/// A sealing under way.
#[derive(Debug, Default)]
pub(super) struct SealingUnderWay {
    parts: Vec<Whole>,
    /// Counts of the rows in the parts.
    pub counted: Counted,
    is_in_checkpoint: bool,
}

impl PartWriter {
    /// Writes the part of a table under a temporary name.
    pub fn write(
        &self,
        (at, table): (usize, &AnyTable),
        rows: &dyn Rows,
        (sealing, interrupted): (u64, bool),
        under_way: &mut SealingUnderWay,
    ) -> Result<(), DatasetError> {
        let name = table.schema().name;
        let run = manifest::path_safe(&self.run.meta.run_id);
        let file = format!("part-{run}-{sealing:05}.parquet");
        let relative = Path::new(name)
            .join(self.folder.night().partition())
            .join(file);
        let sealed = self.encode(table, rows, &relative)?;
        under_way.counted.add(rows.counts());
        under_way.parts.push(Whole {
            table: at,
            name,
            part: Part {
                path: manifest::path_text(&relative),
                sealing: Some(sealing),
                interrupted,
                rows: rows.len() as u64,
                bytes: sealed.bytes,
                sha256: sealed.sha256,
            },
            is_placed: false,
        });
        Ok(())
    }

    fn encode(
        &self,
        table: &AnyTable,
        rows: &dyn Rows,
        relative: &Path,
    ) -> Result<Sealed, DatasetError> {
        let destination = self.folder.root().join(relative);
        let temporary = self.folder.temporary_of(relative);
        let encode =
            |error: &(dyn std::error::Error + 'static)| DatasetError::encode(&destination, error);
        let file = PendingFile::create(temporary, destination.clone(), &self.disk)?;
        let mut writer =
            ParquetFile::new(file, table.schema(), &self.footer).map_err(|e| encode(&e))?;
        for batch in rows.batches(&self.run, Order::Sorted) {
            let batch = batch.map_err(|e| encode(&e))?;
            writer.write(&batch).map_err(|e| encode(&e))?;
        }
        writer.finish().map_err(|e| encode(&e))?.finish()
    }
}

impl SealingUnderWay {
    /// Whether the part of a table is whole.
    pub fn has(&self, table: usize) -> bool {
        self.parts.iter().any(|whole| whole.table == table)
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The parts, as the checkpoint lists them.
    pub fn listed(&self) -> Sealing {
        let parts = self.parts.iter();
        Sealing {
            parts: parts
                .map(|whole| (whole.name, whole.part.clone()))
                .collect(),
        }
    }

    /// Whether the checkpoint on disk lists the parts.
    pub fn is_in_checkpoint(&self) -> bool {
        self.is_in_checkpoint
    }

    /// Notes that the checkpoint on disk lists the parts.
    pub fn set_in_checkpoint(&mut self) {
        self.is_in_checkpoint = true;
    }

    /// Gives all parts their final names.
    pub fn place(&mut self, folder: &RunFolder, disk: &Disk) -> Result<(), DatasetError> {
        for whole in &mut self.parts {
            if !whole.is_placed {
                place_part(folder, &whole.part, disk)?;
                whole.is_placed = true;
            }
        }
        Ok(())
    }

    /// Gives up the sealing at the end of a failed run, as far as that succeeds.
    ///
    /// Parts that the checkpoint lists get their temporary names back, so that no reader sees rows that the last manifest does not list. The
    /// next process looks at both names. Other parts are removed: nobody would find them, and the last manifest needs room.
    pub fn give_up(&self, folder: &RunFolder, disk: &Disk) {
        for whole in &self.parts {
            let relative = Path::new(&whole.part.path);
            let (destination, temporary) =
                (folder.root().join(relative), folder.temporary_of(relative));
            if !self.is_in_checkpoint {
                files::discard(&temporary, whole.part.bytes, disk);
            } else if destination.exists() {
                let _ = disk.rename(&destination, &temporary);
            }
        }
    }

    /// The parts with the places of their tables.
    pub fn into_parts(self) -> impl Iterator<Item = (usize, Part)> {
        self.parts
            .into_iter()
            .map(|whole| (whole.table, whole.part))
    }
}

/// Gives a part its final name. A part that has it already stays.
pub(super) fn place_part(folder: &RunFolder, part: &Part, disk: &Disk) -> Result<(), DatasetError> {
    let relative = PathBuf::from(&part.path);
    let destination = folder.root().join(&relative);
    if let Some(parent) = destination.parent() {
        files::create_directories(parent, disk)?;
    }
    match disk.rename(&folder.temporary_of(&relative), &destination) {
        // An earlier try renamed it, and then failed.
        Err(error) if error.kind() == ErrorKind::NotFound && is_whole(&destination, part) => {}
        renamed => renamed.map_err(DatasetError::file("rename to", &destination))?,
    }
    files::sync_parent(&destination, disk)
}

/// Whether a file has the size of a part.
pub(super) fn is_whole(path: &Path, part: &Part) -> bool {
    files::open_regular(path).is_ok_and(|(_, length)| length == part.bytes)
}

/// Syncs the temporary names. They must survive a power cut, because the checkpoint lists them.
pub(super) fn sync_temporary_names(folder: &RunFolder, disk: &Disk) -> Result<(), DatasetError> {
    files::sync_parent(&folder.temporary(super::layout::CHECKPOINT), disk)
}

/// Writes the targets of a run into its folder.
pub(super) fn store_targets(
    folder: &RunFolder,
    store: StoreTargets,
    disk: &Disk,
) -> Result<(), DatasetError> {
    let destination = folder.targets();
    let mut file = PendingFile::create(folder.temporary(TARGETS), destination.clone(), disk)?;
    store(&mut file).map_err(DatasetError::file("write", &destination))?;
    file.seal()?;
    Ok(())
}
