//! A single stream of hops: a file that appears when it is whole, or a stream (standard output, a FIFO, a device).
//!
//! If the path is a link, the file behind it is replaced. The manifest is written beside that file and uses its name, so the two stay
//! together.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::directory::BATCH_ROWS;
use super::files::{self, Disk, KeptLength, PendingFile, Sealed};
use super::hops_batch::{HopConstants, hops_batch};
use super::manifest::{self, Part, Progress, TableParts};
use super::parquet::Footer;
use super::place::{self, Place};
use super::schema::Table;
use super::sink::{self, Sink, SinkError, Target};
use super::sort::sorted_hops;
use super::{DatasetError, Finished, Format, Remains, RunFigures, RunMeta};
use crate::model::HopRecord;

/// The stream, as long as rows are written.
pub(super) struct Single {
    /// The file's final name, or the name of the stream in messages.
    subject: PathBuf,
    /// For a file: its state until it has its final name.
    unfinished: Option<Unfinished>,
    meta: RunMeta,
    constants: HopConstants,
    disk: Disk,
    format: Format,
    /// `None` after an error. It is not known how much of the batch was written, so it is not written again.
    sink: Option<Box<dyn Sink>>,
    rows: u64,
}

/// A file without its final name.
struct Unfinished {
    temporary: PathBuf,
    worth: KeptLength,
}

impl Single {
    /// A file at `path`. An existing file is replaced when the new one is whole. A stream is written in place.
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
            files::create_directories(parent).map_err(|error| error.leaving(Remains::Nothing))?;
        }
        let temporary = files::beside(&path, ".", ".partial");
        let file = PendingFile::create_locked(temporary.clone(), path.clone(), &disk)
            .map_err(|error| error.leaving(Remains::Nothing))?;
        let unfinished = Unfinished {
            temporary,
            worth: file.worth(),
        };
        Self::over(
            path,
            format,
            Target::File(file),
            Some(unfinished),
            meta,
            disk,
        )
    }

    /// A stream, which is written in place. Messages call it `subject`.
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
            None,
            meta,
            Disk::default(),
        )
    }

    fn over(
        subject: PathBuf,
        format: Format,
        target: Target,
        unfinished: Option<Unfinished>,
        meta: RunMeta,
        disk: Disk,
    ) -> Result<Self, DatasetError> {
        let footer = Footer {
            run_id: meta.run_id.clone(),
            config_sha256: manifest::config_sha256(&meta.config),
        };
        let left = match unfinished {
            Some(_) => Remains::Nothing,
            None => Remains::PassedOn,
        };
        let sink = sink::open(format, target, &footer)
            .map_err(|error| broken_off(&subject, &error, left))?;
        Ok(Single {
            subject,
            unfinished,
            constants: HopConstants {
                run_id: meta.run_id.clone(),
                vantage: meta.vantage.id.clone(),
            },
            meta,
            disk,
            format,
            sink: Some(sink),
            rows: 0,
        })
    }

    /// Whether rows are collected into large sorted groups. Otherwise they are passed on as they come.
    pub(super) fn groups_rows(&self) -> bool {
        self.format == Format::Parquet
    }

    /// Encodes the rows and empties the buffer. After an error, no more rows are accepted.
    pub(super) fn write(&mut self, rows: &mut Vec<HopRecord>) -> Result<(), DatasetError> {
        if rows.is_empty() {
            return Ok(());
        }
        let ordered = match self.groups_rows() {
            true => sorted_hops(rows),
            false => rows.iter().collect(),
        };
        let mut sink = self.take_sink()?;
        if let Err(error) = self.encode(&mut *sink, &ordered) {
            // This cuts the file to the rest that is kept, or removes it.
            drop(sink);
            return Err(broken_off(&self.subject, &error, self.left()));
        }
        self.sink = Some(sink);
        rows.clear();
        Ok(())
    }

    fn take_sink(&mut self) -> Result<Box<dyn Sink>, DatasetError> {
        let sink = self.sink.take();
        sink.ok_or_else(|| DatasetError::Over(self.subject.clone()))
    }

    fn encode(&mut self, sink: &mut dyn Sink, rows: &[&HopRecord]) -> Result<(), SinkError> {
        for chunk in rows.chunks(BATCH_ROWS) {
            sink.write(&hops_batch(chunk, &self.constants)?)?;
            self.rows += chunk.len() as u64;
            if let Some(unfinished) = self.unfinished.as_ref().filter(|_| !self.groups_rows()) {
                unfinished.worth.mark();
            }
        }
        sink.end_group()
    }

    /// What remains if it ends now.
    fn left(&self) -> Remains {
        match (&self.unfinished, self.format) {
            (None, _) => Remains::PassedOn,
            (Some(_), Format::Parquet) => Remains::Unreadable,
            (Some(_), _) if self.rows == 0 => Remains::Nothing,
            (Some(file), Format::Arrow) => Remains::Batches(file.temporary.clone()),
            (Some(file), Format::Csv | Format::JsonLines) => Remains::Rows(file.temporary.clone()),
        }
    }

    /// Ends the stream. A file gets its final name, and then its manifest.
    pub(super) fn finish(
        mut self,
        facts: &RunFigures,
        progress: Progress,
    ) -> Result<Finished, DatasetError> {
        let target = self
            .take_sink()?
            .finish()
            .map_err(|error| broken_off(&self.subject, &error, self.left()))?;
        let mut table = TableParts::new(Table::Hops);
        let Target::File(file) = target else {
            return Ok(finished(self.rows, &table, None));
        };
        let sealed = self.seal(file)?;
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
        files::replace(temporary, path.clone(), &text, &self.disk)
            .map_err(|error| error.leaving(Remains::NoManifest))?;
        Ok(finished(self.rows, &table, Some(path)))
    }

    /// Gives the file its final name. If this fails, the file keeps its temporary name.
    fn seal(&self, file: PendingFile) -> Result<Sealed, DatasetError> {
        let Some(unfinished) = &self.unfinished else {
            return file.seal();
        };
        unfinished.worth.mark();
        let kept = || Remains::Everything(unfinished.temporary.clone());
        file.seal()
            .map_err(|error| match unfinished.temporary.exists() {
                true => error.leaving(kept()),
                false => error,
            })
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

/// Adds the subject, and what remains of it, to an encoder's error. A closed stream is no error.
fn broken_off(subject: &Path, error: &SinkError, left: Remains) -> DatasetError {
    match DatasetError::encode(subject, error.as_ref()) {
        DatasetError::File { source, .. }
            if left == Remains::PassedOn && source.kind() == ErrorKind::BrokenPipe =>
        {
            DatasetError::BrokenPipe(subject.to_owned())
        }
        error => error.leaving(left),
    }
}
