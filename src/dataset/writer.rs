//! The writer: receives rows and times, and decides when to seal.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::directory::Directory;
use super::files::Disk;
use super::manifest::Progress;
use super::single::Single;
use super::{DatasetError, Ending, Format, Output, RunFigures, RunMeta};
use crate::model::{HopRecord, Reply, Targets, Time, TraceRecord};

/// When a part is sealed: at the first of these limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLimits {
    /// Rows of `hops`. If a trace's rows come together, the trace is not cut: the part is sealed before the next trace.
    pub rows: usize,
    /// Memory of the buffered rows in bytes.
    pub bytes: usize,
    /// Age of the oldest buffered row. A killed run loses no older rows.
    pub age: Duration,
}

impl Default for PartLimits {
    fn default() -> Self {
        PartLimits {
            rows: super::parquet::ROW_GROUP_ROWS,
            bytes: 512 << 20,
            age: Duration::from_secs(10),
        }
    }
}

/// A stream without row groups passes rows on at this number…
const STREAM_ROWS: usize = 8192;
/// …or at this age, so that the reader of a pipe sees rows during the run.
const STREAM_AGE: Duration = Duration::from_secs(1);

/// The result of a finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The manifest. `None` for a stream.
    pub manifest: Option<PathBuf>,
    /// Files of rows.
    pub parts: usize,
    /// Rows of `hops`.
    pub hops: u64,
    /// Rows of `traces`; 0 in a single stream, which holds hops only.
    pub traces: u64,
    /// Bytes in those files; 0 for a stream.
    pub bytes: u64,
}

/// Writes a run's rows. It reads no clock: every call passes the time.
///
/// Memory: the buffered rows (at most [`PartLimits::bytes`] and the rows of one trace), and about a quarter of that while a part is
/// encoded. Calls block while a part is written. No row is ever dropped.
///
/// If the writer is dropped without [`finish`](DatasetWriter::finish), sealed parts stay and the manifest says `running`. The rows of a
/// single file stay under a temporary name and can be read there.
pub struct DatasetWriter {
    mode: Mode,
    facts: RunFigures,
    limits: PartLimits,
    hops: Vec<HopRecord>,
    hops_bytes: usize,
    traces: Vec<TraceRecord>,
    /// The time of the oldest buffered row.
    opened_at: Option<Time>,
}

enum Mode {
    Directory(Box<Directory>),
    Single(Box<Single>),
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
    /// [`DatasetError::IsDirectory`], [`DatasetError::Unfit`], [`DatasetError::ParquetStream`], and [`DatasetError::File`] if the
    /// destination cannot be written to.
    pub fn create(
        output: &Output,
        meta: RunMeta,
        targets: Arc<dyn Targets>,
        limits: PartLimits,
        now: Time,
        facts: &RunFigures,
    ) -> Result<Self, DatasetError> {
        Self::create_on(Disk::default(), output, meta, targets, limits, now, facts)
    }

    pub(super) fn create_on(
        disk: Disk,
        output: &Output,
        meta: RunMeta,
        targets: Arc<dyn Targets>,
        limits: PartLimits,
        now: Time,
        facts: &RunFigures,
    ) -> Result<Self, DatasetError> {
        let mode = match output {
            Output::Directory(root) => Mode::Directory(Box::new(Directory::open(
                root.clone(),
                meta,
                targets,
                disk,
                now,
                facts,
            )?)),
            Output::File { path, format } => {
                Mode::Single(Box::new(Single::file(path.clone(), *format, meta, disk)?))
            }
            Output::Stdout { format } => return Self::to_stdout(*format, meta, limits, facts),
        };
        Ok(Self::over(mode, limits, facts))
    }

    fn to_stdout(
        format: Format,
        meta: RunMeta,
        limits: PartLimits,
        facts: &RunFigures,
    ) -> Result<Self, DatasetError> {
        // A descriptor of our own: the standard handle buffers by lines, and its lock cannot move to the writer's thread.
        let descriptor = std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(DatasetError::file("open", "standard output".as_ref()))?;
        Self::to_stream(
            Box::new(File::from(descriptor)),
            format,
            meta,
            limits,
            facts,
        )
    }

    /// Like standard output, for any stream. Batches are not buffered.
    ///
    /// # Errors
    /// [`DatasetError::BrokenPipe`] and [`DatasetError::File`]. The header of a format may already fail.
    pub fn to_stream(
        stream: Box<dyn Write + Send>,
        format: Format,
        meta: RunMeta,
        limits: PartLimits,
        facts: &RunFigures,
    ) -> Result<Self, DatasetError> {
        let single = Single::stream("standard output".into(), stream, format, meta)?;
        Ok(Self::over(Mode::Single(Box::new(single)), limits, facts))
    }

    fn over(mode: Mode, limits: PartLimits, facts: &RunFigures) -> Self {
        let limits = match &mode {
            Mode::Directory(_) => limits,
            // Row groups of a file without its final name: age is no reason to end one early.
            Mode::Single(single) if single.groups_rows() => PartLimits {
                age: Duration::MAX,
                ..limits
            },
            Mode::Single(_) => PartLimits {
                rows: limits.rows.min(STREAM_ROWS),
                bytes: limits.bytes,
                age: limits.age.min(STREAM_AGE),
            },
        };
        DatasetWriter {
            mode,
            facts: facts.clone(),
            limits,
            hops: Vec::new(),
            hops_bytes: 0,
            traces: Vec::new(),
            opened_at: None,
        }
    }

    /// Adds a row of `hops`. Rows of a trace should come together, because parts are cut between traces.
    ///
    /// # Errors
    /// Errors of sealing. Parts sealed before stay, and the other rows stay buffered. A single file or stream ends with the error
    /// ([`DatasetError::BrokenOff`]) and accepts no more rows ([`DatasetError::Over`]).
    pub fn hop(&mut self, row: HopRecord, now: Time) -> Result<(), DatasetError> {
        if self.is_due(now)
            && self
                .hops
                .last()
                .is_none_or(|last| last.trace_id != row.trace_id)
        {
            self.seal(now)?;
        }
        self.opened_at.get_or_insert(now);
        self.hops_bytes += memory_of(&row);
        self.hops.push(row);
        Ok(())
    }

    /// Adds a row of `traces`, after the trace's hops. A single stream ignores it.
    ///
    /// # Errors
    /// None here. Errors of sealing come with the next row or tick.
    pub fn trace(&mut self, row: TraceRecord, now: Time) -> Result<(), DatasetError> {
        if let Mode::Directory(_) = self.mode {
            self.opened_at.get_or_insert(now);
            self.traces.push(row);
        }
        Ok(())
    }

    /// Stores the latest figures, and seals what is due. Call it between traces, about once per second.
    ///
    /// # Errors
    /// Errors of sealing, as in [`hop`](DatasetWriter::hop).
    pub fn tick(&mut self, now: Time, facts: &RunFigures) -> Result<(), DatasetError> {
        self.facts = facts.clone();
        if self.is_due(now) {
            self.seal(now)?;
        }
        Ok(())
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
        facts: &RunFigures,
    ) -> Result<Finished, DatasetError> {
        match self.mode {
            Mode::Directory(directory) => {
                directory.finish(self.hops, self.traces, facts, ending, now)
            }
            Mode::Single(mut single) => {
                single.write(&mut self.hops)?;
                single.finish(facts, Progress::ended(ending, now))
            }
        }
    }

    fn is_due(&self, now: Time) -> bool {
        let Some(opened_at) = self.opened_at else {
            return false;
        };
        self.hops.len() >= self.limits.rows
            || self.traces.len() >= self.limits.rows
            || self.hops_bytes >= self.limits.bytes
            || now.since(opened_at) >= self.limits.age
    }

    fn seal(&mut self, now: Time) -> Result<(), DatasetError> {
        match &mut self.mode {
            Mode::Directory(directory) => {
                directory.seal(&mut self.hops, &mut self.traces)?;
                directory.write_manifest(&self.facts, Progress::running(now))?;
            }
            Mode::Single(single) => single.write(&mut self.hops)?,
        }
        self.hops_bytes = 0;
        self.opened_at = None;
        Ok(())
    }
}

/// Memory of a buffered row, with everything it points to.
fn memory_of(row: &HopRecord) -> usize {
    let reply = row.reply.as_ref().map_or(0, |reply| {
        size_of::<Reply>()
            + size_of_val(reply.mpls.as_slice())
            + size_of_val(reply.interface_info.as_slice())
            + reply.icmp_extensions.as_ref().map_or(0, Vec::len)
    });
    size_of::<HopRecord>() + reply
}
