//! A single stream of hops: a file that appears when it is whole, or a stream: standard output, a FIFO, a device.
//!
//! Where the file's name is a link, the file that it leads to is written, and the manifest stands beside that one: it names
//! the file, and the two stay together.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::directory::BATCH_ROWS;
use super::files::{self, Disk, PendingFile};
use super::hops_batch::{HopConstants, hops_batch};
use super::manifest::{self, Part, Progress, TableParts};
use super::parquet::Footer;
use super::place::{self, Place};
use super::schema::Table;
use super::sink::{self, Sink, SinkError, Target};
use super::sort::sorted_hops;
use super::{DatasetError, Finished, Format, RunFacts, RunMeta};
use crate::model::HopRecord;

/// The stream, while rows go into it.
pub(super) struct Single {
    /// The file's final name, or what stands for it in messages.
    subject: PathBuf,
    is_stream: bool,
    meta: RunMeta,
    constants: HopConstants,
    disk: Disk,
    format: Format,
    sink: Box<dyn Sink>,
    rows: u64,
}

impl Single {
    /// A file at `path`; one that is there already is replaced when the new one is whole. What is no file and takes a stream
    /// is written in place.
    pub(super) fn file(
        path: PathBuf,
        format: Format,
        meta: RunMeta,
        disk: Disk,
    ) -> Result<Self, DatasetError> {
        let path = match place::look(&path).map_err(DatasetError::file("create", &path))? {
            Place::File(real) => real,
            Place::Stream(_) if format == Format::Parquet => {
                return Err(DatasetError::ParquetStream(path));
            }
            Place::Stream(stream) => {
                let stream = stream.open().map_err(DatasetError::file("open", &path))?;
                return Self::stream(path, Box::new(stream), format, meta);
            }
            Place::Unfit(_) if path.is_dir() => return Err(DatasetError::IsDirectory(path)),
            Place::Unfit(kind) => return Err(DatasetError::Unfit { path, kind }),
        };
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            files::create_directories(parent)?;
        }
        let temporary = files::beside(&path, ".", ".partial");
        let file = PendingFile::create_locked(temporary, path.clone(), &disk)?;
        Self::over(path, format, Target::File(file), meta, disk)
    }

    /// What is written in place; messages name it `subject`.
    pub(super) fn stream(
        subject: PathBuf,
        stream: Box<dyn std::io::Write + Send>,
        format: Format,
        meta: RunMeta,
    ) -> Result<Self, DatasetError> {
        Self::over(
            subject,
            format,
            Target::Stream(stream),
            meta,
            Disk::default(),
        )
    }

    fn over(
        subject: PathBuf,
        format: Format,
        target: Target,
        meta: RunMeta,
        disk: Disk,
    ) -> Result<Self, DatasetError> {
        let footer = Footer {
            run_id: meta.run_id.clone(),
            config_sha256: manifest::config_sha256(&meta.config),
        };
        let is_stream = matches!(target, Target::Stream(_));
        let sink = sink::open(format, target, &footer)
            .map_err(|error| name_error(&subject, is_stream, &error))?;
        Ok(Single {
            subject,
            is_stream,
            constants: HopConstants {
                run_id: meta.run_id.clone(),
                vantage: meta.vantage.id.clone(),
            },
            meta,
            disk,
            format,
            sink,
            rows: 0,
        })
    }

    /// Whether rows are gathered into large sorted groups rather than passed on as they come.
    pub(super) fn groups_rows(&self) -> bool {
        self.format == Format::Parquet
    }

    /// Encodes the rows and empties the buffer.
    pub(super) fn write(&mut self, rows: &mut Vec<HopRecord>) -> Result<(), DatasetError> {
        if rows.is_empty() {
            return Ok(());
        }
        let ordered = match self.groups_rows() {
            true => sorted_hops(rows),
            false => rows.iter().collect(),
        };
        let written = ordered
            .chunks(BATCH_ROWS)
            .try_for_each(|chunk| self.sink.write(&hops_batch(chunk, &self.constants)?))
            .and_then(|()| self.sink.end_group());
        written.map_err(|error| name_error(&self.subject, self.is_stream, &error))?;
        self.rows += rows.len() as u64;
        rows.clear();
        Ok(())
    }

    /// Ends the stream. A file gets its name, and then its manifest beside it.
    pub(super) fn finish(
        self,
        facts: &RunFacts,
        progress: Progress,
    ) -> Result<Finished, DatasetError> {
        let target = self
            .sink
            .finish()
            .map_err(|error| name_error(&self.subject, self.is_stream, &error))?;
        let mut table = TableParts::new(Table::Hops);
        let Target::File(file) = target else {
            return Ok(finished(self.rows, &table, None));
        };
        let sealed = file.seal()?;
        let name = self.subject.file_name().unwrap_or_default();
        table.parts.push(Part {
            path: manifest::path_text(Path::new(name)),
            rows: self.rows,
            bytes: sealed.bytes,
            sha256: sealed.sha256,
        });
        let text = manifest::render(&self.meta, facts, progress, std::slice::from_ref(&table));
        let path = files::beside(&self.subject, "", ".manifest.json");
        let temporary = files::beside(&self.subject, ".", ".manifest.json.partial");
        files::replace(temporary, path.clone(), &text, &self.disk)?;
        Ok(finished(self.rows, &table, Some(path)))
    }
}

fn finished(hops: u64, table: &TableParts, manifest: Option<PathBuf>) -> Finished {
    Finished {
        manifest,
        parts: table.parts.len(),
        hops,
        traces: 0,
        bytes: table.bytes(),
    }
}

/// A closed pipe ends a stream cleanly; everything else is an error with its subject.
fn name_error(subject: &Path, is_stream: bool, error: &SinkError) -> DatasetError {
    match DatasetError::encode(subject, error.as_ref()) {
        DatasetError::File { source, .. }
            if is_stream && source.kind() == ErrorKind::BrokenPipe =>
        {
            DatasetError::BrokenPipe(subject.to_owned())
        }
        error => error,
    }
}
