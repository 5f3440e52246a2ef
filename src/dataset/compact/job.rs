//! The compaction of one run: merges its tables, and puts the new parts in the place of the old ones.

use std::path::{Path, PathBuf};

use arrow::error::ArrowError;

use super::cuts::Cuts;
use super::merge::Merge;
use super::parts::{NewPart, PartWriter, RowFile};
use super::sweep::{self, SweepFacts};
use super::{CompactError, Options};
use crate::dataset::directory::RunFolder;
use crate::dataset::files::Disk;
use crate::dataset::manifest::{self, path_safe};
use crate::dataset::parquet::Footer;
use crate::dataset::read::{Part, Run};
use crate::dataset::table::TableSchema;
use crate::dataset::{Counted, RunMeta};

/// What the compaction of a run needs.
pub(super) struct Job<'a> {
    pub run: &'a Run,
    /// The folder of the run in the directory that gets the new parts.
    pub folder: &'a RunFolder,
    pub disk: &'a Disk,
    pub options: &'a Options,
    pub footer: Footer,
    /// The number of the first new part. It is above those of the old parts, so no name is used twice.
    pub first_sealing: u64,
    /// Is called with the number of rows after they were merged.
    pub on_rows: &'a dyn Fn(u64),
}

/// The new parts of all tables.
pub(super) struct Merged {
    pub tables: Vec<NewTable>,
    /// The counts of the traces of a sweep that had none.
    pub gained: Option<Counted>,
}

/// The new parts of a table.
pub(super) struct NewTable {
    pub name: &'static str,
    pub parts: Vec<NewPart>,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        run: &'a Run,
        folder: &'a RunFolder,
        disk: &'a Disk,
        options: &'a Options,
        on_rows: &'a dyn Fn(u64),
    ) -> Self {
        let manifest = run.manifest();
        let parts = run.tables().flat_map(|table| run.parts(table));
        let numbers = parts.filter_map(|part| part.listed().sealing);
        Job {
            run,
            folder,
            disk,
            options,
            footer: Footer {
                run_id: manifest.run_id.clone(),
                config_sha256: manifest.config_sha256.clone(),
            },
            first_sealing: numbers.max().map_or(0, |last| last + 1),
            on_rows,
        }
    }

    /// Rows were merged.
    pub(super) fn merged(&self, rows: usize) {
        (self.on_rows)(rows as u64);
    }

    /// The rows that [`merge`](Self::merge) merges. A table with many parts counts once for each pass.
    pub(super) fn all_rows(&self, tables: &[&'static TableSchema]) -> u64 {
        let at_once = self.options.open_parts.max(2);
        let of_table = |table: &&TableSchema| {
            let parts = self.run.parts(table.name);
            let rows: u64 = parts.iter().map(|part| part.listed().rows).sum();
            let (mut left, mut passes) = (parts.len(), 1);
            while left > at_once {
                left = left.div_ceil(left.div_ceil(at_once).min(at_once));
                passes += 1;
            }
            rows.saturating_mul(passes)
        };
        tables.iter().map(of_table).sum()
    }

    /// Merges all tables. The new parts wait under temporary names. `tables` starts with `hops`. With `sweep`, the run is a sweep and gains
    /// its traces.
    pub(super) fn merge(
        &self,
        tables: &[&'static TableSchema],
        sweep: Option<&(SweepFacts, RunMeta)>,
    ) -> Result<Merged, CompactError> {
        let mut starts: Vec<i64> = Vec::new();
        let mut merged = Vec::with_capacity(tables.len());
        let mut gained = None;
        for table in tables {
            match (table.name, sweep) {
                ("hops", Some(sweep)) => {
                    let swept = self.merge_sweep(table, sweep)?;
                    gained = Some(swept.counted);
                    merged.extend([swept.hops, swept.traces]);
                    continue;
                }
                ("traces", Some(_)) => continue,
                _ => {}
            }
            let cuts = match (table.name, table.sort_order.first()) {
                ("hops", _) => Cuts::Traces {
                    rows: self.options.part_rows,
                    starts: Vec::new(),
                },
                (_, Some(&"trace_id")) => Cuts::Before(starts.iter().copied().collect()),
                _ => Cuts::Rows(self.options.part_rows),
            };
            let (parts, cuts) = self.merge_table(table, cuts)?;
            if let Cuts::Traces { starts: found, .. } = cuts {
                starts = found;
            }
            merged.push(NewTable {
                name: table.name,
                parts,
            });
        }
        Ok(Merged {
            tables: merged,
            gained,
        })
    }

    fn merge_sweep(
        &self,
        table: &'static TableSchema,
        sweep: &(SweepFacts, RunMeta),
    ) -> Result<sweep::SweptTables, CompactError> {
        let parts = self.few_parts(table, self.run.parts(table.name).to_vec())?;
        let swept = sweep::merge(self, sweep, &parts, self.options.part_rows)?;
        for part in &parts {
            self.drop_intermediate(part)?;
        }
        self.check_rows(table, &swept.hops.parts)?;
        Ok(swept)
    }

    fn merge_table(
        &self,
        table: &'static TableSchema,
        cuts: Cuts,
    ) -> Result<(Vec<NewPart>, Cuts), CompactError> {
        let parts = self.few_parts(table, self.run.parts(table.name).to_vec())?;
        let mut writer = PartWriter::new(self, table, cuts);
        let mut merge = Merge::open(self, table, &parts)?;
        while let Some(batch) = merge.next_batch()? {
            self.merged(batch.num_rows());
            writer.write(&batch)?;
        }
        drop(merge);
        let (written, cuts) = writer.finish()?;
        for part in &parts {
            self.drop_intermediate(part)?;
        }
        self.check_rows(table, &written)?;
        Ok((written, cuts))
    }

    /// Compares the rows of the new parts with those of the run.
    fn check_rows(&self, table: &TableSchema, written: &[NewPart]) -> Result<(), CompactError> {
        let expected = self.run.parts(table.name).iter();
        let expected = expected.map(|part| part.listed().rows).sum();
        let found = written.iter().map(|part| part.listed.rows).sum();
        if found == expected {
            return Ok(());
        }
        Err(CompactError::Rows {
            run_id: self.run.id().to_owned(),
            table: table.name,
            expected,
            found,
        })
    }

    /// Merges neighbouring parts until at most [`Options::open_parts`] are left.
    fn few_parts(
        &self,
        table: &'static TableSchema,
        mut parts: Vec<Part>,
    ) -> Result<Vec<Part>, CompactError> {
        let at_once = self.options.open_parts.max(2);
        let mut number = 0;
        while parts.len() > at_once {
            // No more parts together than this pass needs, so that all passes have about the same number.
            let together = parts.len().div_ceil(at_once).min(at_once);
            let mut fewer = Vec::with_capacity(parts.len().div_ceil(together));
            for some in parts.chunks(together) {
                if let [alone] = some {
                    fewer.push(alone.clone());
                    continue;
                }
                fewer.push(self.merge_into_one(table, some, number)?);
                number += 1;
                for part in some {
                    self.drop_intermediate(part)?;
                }
            }
            parts = fewer;
        }
        Ok(parts)
    }

    fn merge_into_one(
        &self,
        table: &'static TableSchema,
        parts: &[Part],
        number: u64,
    ) -> Result<Part, CompactError> {
        let path = self.temporary(table.name, "merged-", number);
        let mut file = RowFile::create(self, table, path.clone())?;
        let mut merge = Merge::open(self, table, parts)?;
        while let Some(batch) = merge.next_batch()? {
            self.merged(batch.num_rows());
            file.write(&batch)?;
        }
        let rows = file.rows();
        let sealed = file.seal()?;
        Ok(Part::unlisted(path, rows, sealed.bytes))
    }

    /// Removes a merged file that is no longer needed. Parts of the run stay.
    fn drop_intermediate(&self, part: &Part) -> Result<(), CompactError> {
        if part.path().starts_with(self.folder.partial()) {
            let removed = self.disk.remove(part.path());
            removed.map_err(crate::dataset::DatasetError::file("remove", part.path()))?;
        }
        Ok(())
    }

    pub(super) fn cannot_merge(&self, table: &TableSchema, source: ArrowError) -> CompactError {
        CompactError::Merge {
            run_id: self.run.id().to_owned(),
            table: table.name,
            source,
        }
    }

    /// The temporary name of a file of a table.
    pub(super) fn temporary(&self, table: &str, kind: &str, number: u64) -> PathBuf {
        let run = path_safe(self.run.id());
        let name = format!("{table}-part-{run}-{kind}{number:05}.parquet.tmp");
        self.folder.temporary(&name)
    }

    /// The path of a new part for the manifest. It is in the folder of the table's first part, or else in that of the night.
    pub(super) fn listed_path(&self, table: &str, sealing: u64) -> String {
        let run = path_safe(self.run.id());
        let name = format!("part-{run}-{sealing:05}.parquet");
        let old = self.run.parts(table).first();
        let folder = old.and_then(|part| Path::new(&part.listed().path).parent());
        let of_night = || Path::new(table).join(self.folder.night().partition());
        let folder = folder.map_or_else(of_night, Path::to_owned);
        manifest::path_text(&folder.join(name))
    }
}
