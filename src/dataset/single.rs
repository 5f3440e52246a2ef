//! A single output of hops: a file that appears when it is whole, or a stream (standard output, a FIFO, a device).
//!
//! If the path is a link, the file behind it is replaced. The manifest is beside that file and has its name with a suffix. A stream has no
//! manifest.
//!
//! After an error, no more rows are accepted. Rows of other tables are only counted.

use std::any::Any;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::directory::Sessions;
use super::files::{self, Disk, KeptLength, PendingFile, Sealed, Stream};
use super::manifest::{self, Part, Progress, TableParts};
use super::parquet::Footer;
use super::place::{self, Place};
use super::sink::{self, Sink, SinkError, Target};
use super::table::{Buffer, Order, Rows, Run};
use super::tables::{self, Hops};
use super::writer::Group;
use super::{Counted, DatasetError, Ending, Finished, Format, Remains, Totals};

/// An open file or stream.
pub(super) struct Single {
    /// The final name of the file, or the name of the stream in messages.
    subject: PathBuf,
    /// The file before it has its final name. `None` for a stream.
    unfinished: Option<Unfinished>,
    run: Run,
    disk: Disk,
    format: Format,
    /// `None` after an error. Part of the last batch may have been written, so the batch is not written again.
    sink: Option<Box<dyn Sink>>,
    rows: u64,
    /// Counts of the written rows, and of the rows of other tables in the same groups.
    counted: Counted,
}

/// A file without its final name.
struct Unfinished {
    temporary: PathBuf,
    /// The length to which the file is cut if it is never finished.
    kept_length: KeptLength,
}

impl Single {
    /// Opens the file or stream at `path`. An existing file is replaced when the new one is whole. A stream is written in place.
    pub(super) fn file(
        path: PathBuf,
        format: Format,
        run: Run,
        disk: Disk,
    ) -> Result<Self, DatasetError> {
        let path = match place::look(&path).map_err(DatasetError::file("create", &path))? {
            Place::File(real) => real,
            Place::Stream(_) if format == Format::Parquet => {
                return Err(DatasetError::ParquetStream(path));
            }
            Place::Stream(stream) => {
                let stream = stream.open().map_err(DatasetError::file("open", &path))?;
                let stream = Target::Descriptor(Stream::new(stream, &path, &disk));
                return Self::stream_on(disk, path, stream, format, run);
            }
            Place::Unfit(_) if path.is_dir() => return Err(DatasetError::IsDirectory(path)),
            Place::Unfit(kind) => return Err(DatasetError::Unfit { path, kind }),
        };
        // The longest name beside it. Otherwise the run would find only at its end that it is too long.
        let longest = files::beside(&manifest_of(&path), ".", ".partial");
        if let Err(error) = std::fs::symlink_metadata(&longest)
            && error.raw_os_error() == Some(libc::ENAMETOOLONG)
        {
            return Err(DatasetError::file("create", &longest)(error).leaving(Remains::Nothing));
        }
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            files::create_directories(parent, &disk)
                .map_err(|error| error.leaving(Remains::Nothing))?;
        }
        let temporary = files::beside(&path, ".", ".partial");
        let mut file = PendingFile::create_locked(temporary.clone(), path.clone(), &disk)
            .map_err(|error| error.leaving(Remains::Nothing))?;
        file.describe_by(manifest_of(&path));
        let unfinished = Unfinished {
            temporary,
            kept_length: file.kept_length(),
        };
        Self::over(
            path,
            format,
            Target::File(Box::new(file)),
            Some(unfinished),
            run,
            disk,
        )
    }

    /// Opens a stream, which is written in place. Messages name it `subject`.
    pub(super) fn stream(
        subject: PathBuf,
        stream: Target,
        format: Format,
        run: Run,
    ) -> Result<Self, DatasetError> {
        Self::stream_on(Disk::default(), subject, stream, format, run)
    }

    fn stream_on(
        disk: Disk,
        subject: PathBuf,
        stream: Target,
        format: Format,
        run: Run,
    ) -> Result<Self, DatasetError> {
        Self::over(subject, format, stream, None, run, disk)
    }

    fn over(
        subject: PathBuf,
        format: Format,
        target: Target,
        unfinished: Option<Unfinished>,
        run: Run,
        disk: Disk,
    ) -> Result<Self, DatasetError> {
        let footer = Footer {
            run_id: run.meta.run_id.clone(),
            config_sha256: manifest::config_sha256(&run.meta.config),
        };
        let remains = match unfinished {
            Some(_) => Remains::Nothing,
            None => Remains::PassedOn,
        };
        let sink = sink::open(format, target, tables::hops().schema(), &footer)
            .map_err(|error| broken_off(&subject, &error, remains))?;
        Ok(Single {
            subject,
            unfinished,
            run,
            disk,
            format,
            sink: Some(sink),
            rows: 0,
            counted: Counted::default(),
        })
    }

    /// Whether rows are collected into large sorted groups. If not, they are passed on in the order of arrival.
    pub(super) fn groups_rows(&self) -> bool {
        self.format == Format::Parquet
    }

    /// Encodes the hops of a group and empties its buffers. After an error, no more rows are accepted.
    pub(super) fn write(&mut self, group: &mut Group) -> Result<(), DatasetError> {
        // Without this, a second attempt with the emptied buffers would look like a success.
        if self.sink.is_none() {
            return Err(DatasetError::Over(self.subject.clone()));
        }
        for rows in &mut group.rows {
            let rows = rows.take();
            let any: &dyn Any = rows.as_ref();
            if any.is::<Buffer<Hops>>() {
                self.write_hops(rows.as_ref())?;
            }
            self.counted.add(rows.counts());
        }
        Ok(())
    }

    fn write_hops(&mut self, rows: &dyn Rows) -> Result<(), DatasetError> {
        if rows.len() == 0 {
            return Ok(());
        }
        let mut sink = self.take_sink()?;
        if let Err(error) = self.encode(&mut *sink, rows) {
            // Dropping the sink cuts the file to its whole rows, or removes it.
            drop(sink);
            return Err(broken_off(&self.subject, &error, self.remains()));
        }
        self.sink = Some(sink);
        Ok(())
    }

    fn take_sink(&mut self) -> Result<Box<dyn Sink>, DatasetError> {
        let sink = self.sink.take();
        sink.ok_or_else(|| DatasetError::Over(self.subject.clone()))
    }

    fn encode(&mut self, sink: &mut dyn Sink, rows: &dyn Rows) -> Result<(), SinkError> {
        let order = match self.groups_rows() {
            true => Order::Sorted,
            false => Order::Arrival,
        };
        for batch in rows.batches(&self.run, order) {
            let batch = batch?;
            sink.write(&batch)?;
            self.rows += batch.num_rows() as u64;
            if let Some(unfinished) = self.unfinished.as_ref().filter(|_| !self.groups_rows()) {
                unfinished.kept_length.mark();
            }
        }
        sink.end_group()
    }

    /// Returns what remains of the output after an error now.
    fn remains(&self) -> Remains {
        match (&self.unfinished, self.format) {
            (None, _) => Remains::PassedOn,
            (Some(_), Format::Parquet) => Remains::Unreadable,
            (Some(_), _) if self.rows == 0 => Remains::Nothing,
            (Some(file), Format::Arrow) => Remains::Batches(file.temporary.clone()),
            (Some(file), Format::Csv | Format::JsonLines) => Remains::Rows(file.temporary.clone()),
        }
    }

    /// Writes the last groups and ends the stream. A file gets its final name, and then its manifest.
    pub(super) fn finish(
        mut self,
        mut groups: Vec<Group>,
        ending: &Ending,
    ) -> Result<Finished, DatasetError> {
        for group in &mut groups {
            self.write(group)?;
        }
        let target = self
            .take_sink()?
            .finish()
            .map_err(|error| broken_off(&self.subject, &error, self.remains()))?;
        let mut table = TableParts::new(tables::hops());
        let manifest = match (target, groups.last()) {
            (Target::File(file), Some(last)) => {
                let sealed = self.seal(*file)?;
                let name = self.subject.file_name().unwrap_or_default();
                table.parts.push(Part {
                    path: manifest::path_text(Path::new(name)),
                    sealing: None,
                    interrupted: false,
                    rows: self.rows,
                    bytes: sealed.bytes,
                    sha256: sealed.sha256,
                });
                Some(self.write_manifest(last, ending, &table)?)
            }
            (Target::Descriptor(stream), _) => {
                stream
                    .close()
                    .map_err(|error| broken_off(&self.subject, &error.into(), Remains::PassedOn))?;
                None
            }
            (Target::Stream(_), _) => None,
            // The file would be dropped without its rows.
            (Target::File(_), None) => return Err(DatasetError::WriterGone(self.subject)),
        };
        Ok(Finished {
            manifest,
            parts: table.parts.len(),
            hops: self.rows,
            traces: 0,
            bytes: table.bytes(),
            counted: self.counted,
        })
    }

    /// Writes the manifest beside the file. Returns its path.
    fn write_manifest(
        &self,
        last: &Group,
        ending: &Ending,
        table: &TableParts,
    ) -> Result<PathBuf, DatasetError> {
        let text = manifest::render(&manifest::Facts {
            meta: &self.run.meta,
            figures: &last.figures.with_warnings(&self.disk.warnings()),
            counted: &Totals::from(&self.counted),
            progress: &Progress::ended(ending, last.now),
            tables: std::slice::from_ref(table),
            sessions: &Sessions::first(self.run.meta.started_at),
            night: None,
            replaces: Vec::new(),
        });
        let path = manifest_of(&self.subject);
        let temporary = files::beside(&self.subject, ".", ".manifest.json.partial");
        files::replace(temporary, path.clone(), &text, &self.disk)
            .map_err(|error| error.leaving(Remains::NoManifest))?;
        Ok(path)
    }

    /// Gives the file its final name. If it cannot be renamed, all rows stay in the file under its temporary name.
    fn seal(&self, file: PendingFile) -> Result<Sealed, DatasetError> {
        let Some(unfinished) = &self.unfinished else {
            return file.seal();
        };
        unfinished.kept_length.mark();
        file.seal().map_err(|error| {
            let temporary = unfinished.temporary.clone();
            let left = match &error {
                // The kernel may have dropped what it could not write.
                DatasetError::File {
                    operation: "sync",
                    path,
                    ..
                } if *path == self.subject => Remains::Unsynced(temporary),
                _ if temporary.exists() => Remains::Everything(temporary),
                _ => Remains::NoManifest,
            };
            error.leaving(left)
        })
    }

    /// What the user should know about the file system.
    pub(super) fn notices(&self) -> Vec<String> {
        self.disk.notices()
    }
}

/// The manifest of a single file.
fn manifest_of(file: &Path) -> PathBuf {
    files::beside(file, "", ".manifest.json")
}

/// Adds the subject and what remains of it to the error of an encoder. If the reader closed the stream, returns
/// [`DatasetError::BrokenPipe`].
fn broken_off(subject: &Path, error: &SinkError, remains: Remains) -> DatasetError {
    match DatasetError::encode(subject, error.as_ref()) {
        DatasetError::File { source, .. }
            if remains == Remains::PassedOn && source.kind() == ErrorKind::BrokenPipe =>
        {
            DatasetError::BrokenPipe(subject.to_owned())
        }
        error => error.leaving(remains),
    }
}
