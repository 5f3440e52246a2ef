//! Writes merged rows as new parts, under temporary names.

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use super::CompactError;
use super::cuts::Cuts;
use super::job::Job;
use crate::dataset::files::{PendingFile, Sealed};
use crate::dataset::parquet::{ParquetFile, ROW_GROUP_ROWS};
use crate::dataset::read::{ReadError, trace_ids};
use crate::dataset::table::TableSchema;
use crate::dataset::{DatasetError, manifest};

/// A new part. It is whole and durable under its temporary name.
pub(super) struct NewPart {
    /// Where it waits.
    pub temporary: PathBuf,
    /// As the new manifest lists it.
    pub listed: manifest::Part,
}

/// The new parts of a table.
pub(super) struct PartWriter<'j> {
    job: &'j Job<'j>,
    table: &'static TableSchema,
    cuts: Cuts,
    /// The number of the sealing of the current part.
    sealing: u64,
    file: Option<RowFile>,
    /// The trace of the last row.
    last_trace: Option<i64>,
    parts: Vec<NewPart>,
}

impl<'j> PartWriter<'j> {
    pub(super) fn new(job: &'j Job<'j>, table: &'static TableSchema, cuts: Cuts) -> Self {
        PartWriter {
            job,
            table,
            cuts,
            sealing: job.first_sealing,
            file: None,
            last_trace: None,
            parts: Vec::new(),
        }
    }

    /// Adds rows, in the table's order.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), CompactError> {
        let ids = match self.cuts {
            Cuts::Rows(_) => &[][..],
            _ => trace_ids(batch).map_err(ReadError::from)?.values(),
        };
        let mut start = 0;
        loop {
            let written = self.file.as_ref().map_or(0, |file| file.rows);
            let rows = batch.num_rows();
            let last = self.last_trace;
            let Some(end) = self.cuts.next(ids, rows, start, last, written) else {
                break;
            };
            self.write_rows(&batch.slice(start, end - start))?;
            self.end_part()?;
            self.last_trace = end
                .checked_sub(1)
                .and_then(|at| ids.get(at))
                .copied()
                .or(last);
            start = end;
        }
        self.write_rows(&batch.slice(start, batch.num_rows() - start))?;
        self.last_trace = ids.last().copied().or(self.last_trace);
        Ok(())
    }

    /// The traces at which parts of `hops` were cut so far. Empty for any other table.
    pub(super) fn starts(&self) -> &[i64] {
        match &self.cuts {
            Cuts::Traces { starts, .. } => starts,
            Cuts::Before(_) | Cuts::Rows(_) => &[],
        }
    }

    /// Adds traces at which a part of another table than `hops` ends. The rows of these traces are not written yet.
    pub(super) fn cut_before(&mut self, starts: &[i64]) {
        if let Cuts::Before(known) = &mut self.cuts {
            known.extend(starts);
        }
    }

    /// Ends the last part. A table without rows gets an empty part. Returns the parts and the rule by which they were cut.
    pub(super) fn finish(mut self) -> Result<(Vec<NewPart>, Cuts), CompactError> {
        if self.parts.is_empty() && self.file.is_none() {
            self.file = Some(self.open()?);
        }
        self.end_part()?;
        Ok((self.parts, self.cuts))
    }

    fn write_rows(&mut self, batch: &RecordBatch) -> Result<(), CompactError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(self.open()?);
        }
        match &mut self.file {
            Some(file) => file.write(batch),
            None => Ok(()),
        }
    }

    fn open(&self) -> Result<RowFile, CompactError> {
        let path = self.job.temporary(self.table.name, "", self.sealing);
        RowFile::create(self.job, self.table, path)
    }

    /// Ends the current part, if it has rows. The next part has the next number.
    fn end_part(&mut self) -> Result<(), CompactError> {
        let sealing = self.sealing;
        self.sealing += 1;
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let (rows, temporary) = (file.rows, file.path.clone());
        let sealed = file.seal()?;
        self.parts.push(NewPart {
            temporary,
            listed: manifest::Part {
                path: self.job.listed_path(self.table.name, sealing),
                sealing: Some(sealing),
                rows,
                bytes: sealed.bytes,
                sha256: sealed.sha256,
                interrupted: false,
            },
        });
        Ok(())
    }
}

/// A Parquet file with row groups like those of a run's parts.
pub(super) struct RowFile {
    path: PathBuf,
    rows: u64,
    group_rows: usize,
    writer: ParquetFile<PendingFile>,
}

impl RowFile {
    /// Starts the file `path`, which appears when it is sealed.
    pub(super) fn create(
        job: &Job,
        table: &TableSchema,
        path: PathBuf,
    ) -> Result<Self, CompactError> {
        let unfinished = unfinished(&path);
        let file = PendingFile::create(unfinished, path.clone(), job.disk)?;
        let writer = ParquetFile::new(file, table, &job.footer);
        Ok(RowFile {
            writer: writer.map_err(|error| DatasetError::encode(&path, &error))?,
            path,
            rows: 0,
            group_rows: 0,
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), CompactError> {
        let encode = |error| DatasetError::encode(&self.path, &error);
        self.writer.write(batch).map_err(encode)?;
        self.rows += batch.num_rows() as u64;
        self.group_rows += batch.num_rows();
        if self.group_rows >= ROW_GROUP_ROWS {
            self.group_rows = 0;
            self.writer.end_group().map_err(encode)?;
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes the file durable.
    pub(super) fn seal(self) -> Result<Sealed, CompactError> {
        let path = self.path;
        let file = self.writer.finish();
        let file = file.map_err(|error| DatasetError::encode(&path, &error))?;
        Ok(file.seal()?)
    }
}

/// The name of a file that is not whole yet.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(name.replacen("-part-", "-part-unfinished-", 1))
}
