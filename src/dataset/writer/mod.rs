//! The writer: receives rows and times, decides when to seal, and hands the rows over to its thread.

mod group;
mod run;
mod worker;

use std::any::Any;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use super::directory::Directory;
use super::files::{Disk, Stream};
use super::single::Single;
use super::sink::Target;
use super::table::{AnyTable, Buffer, Rows, Table};
use super::tables::{Hops, Traces};
use super::{Counted, DatasetError, Ending, Format, Output, RunFigures, Unfinished};
use crate::model::{HopRecord, TableRow, Time, TraceId, TraceRecord};

pub(super) use group::Group;
pub use run::{NewRun, PartLimits, SealedHook, StoreTargets};
use worker::{Idle, Place, Worker};

/// A stream without row groups passes rows on at this number…
const STREAM_ROWS: usize = 8192;
/// …or at this age, so that the reader of a pipe sees rows during the run.
const STREAM_AGE: Duration = Duration::from_secs(1);

/// The result of a finished run.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The manifest. `None` for a stream.
    pub manifest: Option<PathBuf>,
    /// The number of files of rows.
    pub parts: usize,
    /// Rows of `hops`.
    pub hops: u64,
    /// Rows of `traces`; 0 in a single file or stream, which holds hops only.
    pub traces: u64,
    /// Bytes in those files; 0 for a stream.
    pub bytes: u64,
    /// The counts of the written rows.
    pub counted: Counted,
}

/// Writes a run's rows. It reads no clock: every call passes the time.
///
/// A thread of its own encodes and seals the rows. A call waits only if a part is due while an earlier one is still being sealed. No
/// row is ever dropped.
///
/// Memory: the buffered rows and the rows that are being sealed take at most [`PartLimits::bytes`]. The rows that came between two checks of
/// the limit are added to that. Encoding takes about a quarter of the memory of the rows that are being sealed.
///
/// Errors of sealing are returned by a later call. The rows of a part that could not be sealed are kept, and tried again with the
/// next part. A caller that goes on adding rows after an error needs memory for all of them.
///
/// If the writer is dropped without [`finish`](DatasetWriter::finish), sealed parts stay and the manifest says `running`. The rows of a
/// single file stay under a temporary name and can be read there.
pub struct DatasetWriter {
    worker: Worker,
    limits: PartLimits,
    /// The rows since the last cut, by table.
    buffers: Vec<Box<dyn Rows>>,
    /// Rows of targets whose traces were interrupted, by table. `None` if they are not kept apart.
    interrupted: Option<Vec<Box<dyn Rows>>>,
    figures: RunFigures,
    /// The time of the oldest buffered row.
    opened_at: Option<Time>,
    /// The trace of the last row of `hops`.
    last_trace: Option<TraceId>,
    /// The output, for errors.
    subject: PathBuf,
    notices: Vec<String>,
}

impl DatasetWriter {
    /// Opens the output.
    ///
    /// - A directory is created, locked, cleared of unfinished files, and gets a manifest that says `running`.
    /// - A file appears only when it is finished.
    /// - A stream is written in place. Opening a FIFO waits for its reader.
    ///
    /// # Errors
    /// [`DatasetError::InUse`], [`DatasetError::ForeignManifest`], [`DatasetError::RunExists`],
    /// [`DatasetError::IsDirectory`], [`DatasetError::Unfit`], [`DatasetError::ParquetStream`], [`DatasetError::TableTwice`], and
    /// [`DatasetError::File`] if the destination cannot be written to.
    pub fn create(
        output: &Output,
        run: NewRun,
        now: Time,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        Self::create_on(Disk::default(), output, run, now, figures)
    }

    pub(super) fn create_on(
        disk: Disk,
        output: &Output,
        run: NewRun,
        now: Time,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        run.check_tables(output)?;
        let thread = Idle::start(output.path())?;
        match output {
            Output::Directory(root) => {
                let (tables, limits) = (run.tables.clone(), run.limits);
                let directory = Directory::open(root, run, disk, now, figures)?;
                Self::over_directory(thread, directory, &tables, limits, figures)
            }
            Output::File { path, format } => {
                let (run, rest) = run.split();
                let single = Single::file(path.clone(), *format, run, disk)?;
                Self::over_single(thread, single, rest, figures)
            }
            Output::Stdout { format } => {
                // A descriptor of our own: the standard handle buffers by lines, and its lock cannot move to the writer's thread.
                let descriptor = std::io::stdout()
                    .as_fd()
                    .try_clone_to_owned()
                    .map_err(DatasetError::file("open", STDOUT.as_ref()))?;
                let stream = Stream::new(File::from(descriptor), STDOUT.as_ref(), &disk);
                Self::over_stream(thread, Target::Descriptor(stream), *format, run, figures)
            }
        }
    }

    /// Goes on with a run in its directory. Rows of the run that were interrupted are removed. The run's id in `run` must be that of the
    /// unfinished run.
    ///
    /// # Errors
    /// [`DatasetError::NotResumable`], and the errors of [`create`](DatasetWriter::create).
    pub fn resume(
        unfinished: Unfinished,
        run: NewRun,
        now: Time,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        let (tables, limits) = (run.tables.clone(), run.limits);
        let thread = Idle::start(unfinished.root())?;
        let directory = unfinished.begin(run, now, figures)?;
        Self::over_directory(thread, directory, &tables, limits, figures)
    }

    fn over_directory(
        thread: Idle,
        directory: Directory,
        tables: &[AnyTable],
        limits: PartLimits,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        let buffers = || tables.iter().map(AnyTable::buffer).collect();
        let place = Place::Directory(Box::new(directory));
        let mut writer = Self::over(thread, place, buffers(), limits, figures)?;
        writer.interrupted = Some(buffers());
        Ok(writer)
    }

    /// Like standard output, for any stream. Batches are not buffered.
    ///
    /// # Errors
    /// [`DatasetError::BrokenPipe`] and [`DatasetError::File`]. The header of a format may already fail.
    pub fn to_stream(
        stream: Box<dyn Write + Send>,
        format: Format,
        run: NewRun,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        let thread = Idle::start(STDOUT.as_ref())?;
        Self::over_stream(thread, Target::Stream(stream), format, run, figures)
    }

    fn over_stream(
        thread: Idle,
        stream: Target,
        format: Format,
        run: NewRun,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        let (run, rest) = run.split();
        let single = Single::stream(STDOUT.into(), stream, format, run)?;
        Self::over_single(thread, single, rest, figures)
    }

    fn over_single(
        thread: Idle,
        single: Single,
        (buffers, limits): (Vec<Box<dyn Rows>>, PartLimits),
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        let limits = match single.groups_rows() {
            // Row groups of a file without its final name: age is no reason to end one early.
            true => PartLimits {
                age: Duration::MAX,
                ..limits
            },
            false => PartLimits {
                rows: limits.rows.min(STREAM_ROWS),
                bytes: limits.bytes,
                age: limits.age.min(STREAM_AGE),
            },
        };
        let place = Place::Single(Box::new(single));
        Self::over(thread, place, buffers, limits, figures)
    }

    fn over(
        thread: Idle,
        place: Place,
        buffers: Vec<Box<dyn Rows>>,
        limits: PartLimits,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        Ok(DatasetWriter {
            notices: place.notices(),
            subject: thread.subject().to_owned(),
            worker: thread.write_to(place),
            limits,
            buffers,
            interrupted: None,
            figures: figures.clone(),
            opened_at: None,
            last_trace: None,
        })
    }

    /// What the user should know, one sentence each: limits of the file system, and earlier runs that were killed.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Adds a row of `hops`. The rows of a trace must come together. If a part is due, it is sealed before the first row of a trace.
    ///
    /// # Errors
    /// Errors of sealing. Parts sealed before stay. All other rows stay buffered, including this one. A single file or stream ends with the
    /// error ([`DatasetError::BrokenOff`]) and accepts no more rows ([`DatasetError::Over`]).
    pub fn hop(&mut self, row: HopRecord, now: Time) -> Result<(), DatasetError> {
        let first_of_trace = self.last_trace.replace(row.trace_id) != Some(row.trace_id);
        let sealed = match first_of_trace && self.is_due(now) {
            true => self.seal(now),
            false => Ok(()),
        };
        self.push::<Hops>(row, now)?;
        sealed
    }

    /// Adds a row of `traces`, after the trace's hops. A single file or stream only counts it.
    ///
    /// # Errors
    /// No errors of sealing: the next row of `hops` or the next tick returns them.
    pub fn trace(&mut self, row: TraceRecord, now: Time) -> Result<(), DatasetError> {
        self.push::<Traces>(row, now)
    }

    /// Adds a row of the table `T`. Never seals. A single file or stream holds hops only, and does not write rows of other tables.
    ///
    /// # Errors
    /// [`DatasetError::NoTable`] if `T` is not among the run's tables.
    #[inline]
    pub fn push<T: Table>(&mut self, row: T::Row, now: Time) -> Result<(), DatasetError> {
        let Some(buffer) = buffer_of::<T>(&mut self.buffers) else {
            return Err(self.no_table(T::NAME));
        };
        buffer.push(row);
        self.opened_at.get_or_insert(now);
        Ok(())
    }

    /// Adds a row of a target whose traces were interrupted. A resumed run probes the target again, and drops the row. Call it for all rows of
    /// the target, at the end of the run. Never seals.
    ///
    /// # Errors
    /// [`DatasetError::NoTable`] if `T` is not among the run's tables.
    pub fn push_interrupted<T: Table>(
        &mut self,
        row: T::Row,
        now: Time,
    ) -> Result<(), DatasetError> {
        let Some(buffers) = &mut self.interrupted else {
            return self.push::<T>(row, now);
        };
        match buffer_of::<T>(buffers) {
            Some(buffer) => {
                buffer.push(row);
                Ok(())
            }
            None => Err(self.no_table(T::NAME)),
        }
    }

    /// Adds a row of a strategy's own table. Never seals.
    ///
    /// # Errors
    /// [`DatasetError::NoTable`] if no table of the run has rows of this type.
    pub fn row(&mut self, row: TableRow, now: Time) -> Result<(), DatasetError> {
        let kind = row.type_name();
        if push_any(&mut self.buffers, row) {
            self.opened_at.get_or_insert(now);
            return Ok(());
        }
        Err(self.no_table(kind))
    }

    /// Adds a row of a strategy's own table, as [`push_interrupted`](DatasetWriter::push_interrupted).
    ///
    /// # Errors
    /// [`DatasetError::NoTable`] if no table of the run has rows of this type.
    pub fn interrupted_row(&mut self, row: TableRow, now: Time) -> Result<(), DatasetError> {
        let kind = row.type_name();
        let Some(buffers) = &mut self.interrupted else {
            return self.row(row, now);
        };
        match push_any(buffers, row) {
            true => Ok(()),
            false => Err(self.no_table(kind)),
        }
    }

    fn no_table(&self, rows: &'static str) -> DatasetError {
        DatasetError::NoTable {
            output: self.subject.clone(),
            rows,
        }
    }

    /// Seals a part if one is due. Rows added between two calls are never separated.
    ///
    /// # Errors
    /// Errors of sealing, as in [`hop`](DatasetWriter::hop).
    pub fn seal_if_due(&mut self, now: Time) -> Result<(), DatasetError> {
        self.worker.check()?;
        match self.is_due(now) {
            true => self.seal(now),
            false => Ok(()),
        }
    }

    /// Stores the latest figures, and seals a part if one is due. Call it between traces, about once per second.
    ///
    /// # Errors
    /// Errors of sealing, as in [`hop`](DatasetWriter::hop).
    pub fn tick(&mut self, now: Time, figures: &RunFigures) -> Result<(), DatasetError> {
        self.figures = figures.clone();
        self.seal_if_due(now)
    }

    /// Waits until everything handed over to the writer's thread is sealed. Rows that are not due stay buffered.
    ///
    /// # Errors
    /// Errors of sealing, as in [`hop`](DatasetWriter::hop).
    pub fn wait(&mut self) -> Result<(), DatasetError> {
        self.worker.wait()
    }

    /// Seals the rest and writes the last manifest.
    ///
    /// # Errors
    /// Errors of sealing. A directory's manifest then says `failed` with the error, if it can still be written. The rows of a single file stay
    /// under a temporary name and can be read there.
    pub fn finish(
        mut self,
        ending: &Ending,
        now: Time,
        figures: &RunFigures,
    ) -> Result<Finished, DatasetError> {
        self.figures = figures.clone();
        let mut last = vec![self.cut(now)];
        let interrupted = self.interrupted.take().unwrap_or_default();
        if interrupted.iter().any(|rows| rows.len() > 0) {
            last.push(Group {
                rows: interrupted,
                interrupted: true,
                figures: self.figures.clone(),
                now,
            });
        }
        self.worker.finish(last, ending.clone())
    }

    fn is_due(&self, now: Time) -> bool {
        let Some(opened_at) = self.opened_at else {
            return false;
        };
        let mut bytes = 0;
        let full = self.buffers.iter().any(|rows| {
            bytes += rows.bytes();
            rows.len() >= self.limits.rows
        });
        full || bytes >= self.limits.bytes / 2 || now.since(opened_at) >= self.limits.age
    }

    fn seal(&mut self, now: Time) -> Result<(), DatasetError> {
        let group = self.cut(now);
        self.worker.seal(group)?;
        self.worker.check()
    }

    /// Takes the rows since the last cut.
    fn cut(&mut self, now: Time) -> Group {
        self.opened_at = None;
        Group {
            rows: self.buffers.iter_mut().map(|rows| rows.take()).collect(),
            interrupted: false,
            figures: self.figures.clone(),
            now,
        }
    }
}

/// The buffer of the table `T`.
fn buffer_of<T: Table>(buffers: &mut [Box<dyn Rows>]) -> Option<&mut Buffer<T>> {
    buffers.iter_mut().find_map(|rows| {
        let any: &mut dyn Any = rows.as_mut();
        any.downcast_mut::<Buffer<T>>()
    })
}

/// Adds a row to the buffer of its table. Returns whether there is one.
fn push_any(buffers: &mut [Box<dyn Rows>], row: TableRow) -> bool {
    let mut row = row.into_any();
    for buffer in buffers {
        match buffer.push_any(row) {
            Ok(()) => return true,
            Err(returned) => row = returned,
        }
    }
    false
}

/// The name of standard output in messages.
const STDOUT: &str = "standard output";

#[cfg(test)]
mod tests;
