//! Errors while a dataset is written, with the file and a remedy.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use super::arrow_ipc;
use super::read::ReadError;
use super::remedy::{self, Written};

/// Why a dataset could not be written. Parts sealed before the error stay.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file system refused an operation.
    #[error("cannot {operation} {}: {source}{}", path.display(), remedy::of(source, path, Written::Directory))]
    File {
        /// The operation, as in "cannot write".
        operation: &'static str,
        /// The file or directory, by its final name if it has one.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A dataset, or a file or stream of packets, could not be written to its end.
    #[error("cannot {operation} {}: {source}{}", path.display(), left.remedy(source, path))]
    BrokenOff {
        /// The operation, as in "cannot write".
        operation: &'static str,
        /// The file's final name, or the name of the stream.
        path: PathBuf,
        /// The reason.
        source: io::Error,
        /// What remains of the file or stream.
        left: Remains,
    },
    /// A row was added to a single file or stream that an earlier error had ended.
    #[error("an earlier error ended {}: no more rows can be added", .0.display())]
    Over(PathBuf),
    /// Another process writes there.
    #[error(
        "{} is being written by another run: wait for it to end, or give this one another place",
        .0.display()
    )]
    InUse(PathBuf),
    /// Another command works on the runs of the night.
    #[error(
        "`{command}` is at work in {}: wait for it to end, or give this run another --date, --vantage or -o",
        night.display()
    )]
    InUseBy {
        /// The folder of the night.
        night: PathBuf,
        /// The command.
        command: String,
    },
    /// The file system has no locks, and the lock file there names a process that may still run.
    #[error(
        "{} may be in use: its lock file {} names {owner}, of which it cannot be known from here whether it still runs: if no other \
         run writes there, remove that lock file, or give this run another place",
        subject.display(),
        lock.display()
    )]
    OwnerUnknown {
        /// The directory or file asked for.
        subject: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// The process that it names, in words.
        owner: String,
    },
    /// The directory holds a manifest of another program.
    #[error(
        "{} was not written by this program, so {} is not touched: give another directory with -o, or move that file away",
        manifest.display(),
        directory.display()
    )]
    ForeignManifest {
        /// The directory asked for.
        directory: PathBuf,
        /// The file found there.
        manifest: PathBuf,
    },
    /// The directory already holds a run with this id.
    #[error("{} already holds run {run_id}: give another directory with -o", directory.display())]
    RunExists {
        /// The directory asked for.
        directory: PathBuf,
        /// The id of both runs.
        run_id: String,
    },
    /// The night has a run already, and the run may not be added to it.
    #[error(
        "{} already holds run {run_id} of the night {night} ({state}): {remedy}",
        directory.display()
    )]
    NightExists {
        /// The directory asked for.
        directory: PathBuf,
        /// The night.
        night: String,
        /// The newest run of it.
        run_id: String,
        /// The state of that run.
        state: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The night has a finished run, and the new run was to be skipped then. This is no failure.
    #[error("the night {night} is done: run {run_id} is there, so nothing was probed")]
    NightDone {
        /// The night.
        night: String,
        /// The run.
        run_id: String,
    },
    /// A manifest of the night cannot be read, and the run may not just be added.
    #[error(
        "{source}; or give --if-exists append, or another --date or --vantage (the night is {night})"
    )]
    NightUnreadable {
        /// The night.
        night: String,
        /// The reason, with the file.
        source: Box<ReadError>,
    },
    /// The run to resume was finished, and lacked only its closing, which was done now. This is no failure.
    #[error(
        "run {run_id} was {state} already, and is closed now: its process had ended before that; nothing was probed"
    )]
    Closed {
        /// The run.
        run_id: String,
        /// Its state.
        state: String,
    },
    /// No run of the directory can be resumed.
    #[error("cannot resume in {}: {why}", directory.display())]
    NotResumable {
        /// The directory.
        directory: PathBuf,
        /// The reason, with a remedy.
        why: String,
    },
    /// The checkpoint of an unfinished run cannot be read.
    #[error("cannot read the checkpoint {}: {why}: restore it from a copy, or start a new run", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// An earlier run in the directory cannot be read.
    #[error("cannot read what earlier runs left: {0}")]
    Earlier(#[source] Box<ReadError>),
    /// The path of the file is a directory.
    #[error(
        "{} is a directory, and a single file was asked for: name a file, or leave out --format",
        .0.display()
    )]
    IsDirectory(PathBuf),
    /// The path of the file is neither a file nor a stream.
    #[error(
        "{} is {kind}, and nothing is written to it: name a file, a FIFO or a character device instead",
        path.display()
    )]
    Unfit {
        /// The path.
        path: PathBuf,
        /// What is there, as in "a socket".
        kind: &'static str,
    },
    /// Parquet was asked for at a place that accepts only a stream.
    #[error(
        "{} is no regular file, and parquet cannot be read from a stream: name a regular file, or choose --format csv, jsonl or arrow",
        .0.display()
    )]
    ParquetStream(PathBuf),
    /// The reader closed the stream. This is a clean end.
    #[error("the reader of {} has closed it", .0.display())]
    BrokenPipe(PathBuf),
    /// A row belongs to no table of the run.
    #[error("the dataset {} has no table for rows of {rows}: add the table to the tables of the run", output.display())]
    NoTable {
        /// The output.
        output: PathBuf,
        /// The table of the row, or the type of the row.
        rows: &'static str,
    },
    /// Two tables of the run have the same name, or rows of the same type.
    #[error("the dataset {} has two tables like {table}: give each table a name and a type of rows of its own", output.display())]
    TableTwice {
        /// The output.
        output: PathBuf,
        /// The name of the second one.
        table: &'static str,
    },
    /// The hook for sealed parts panicked. The part is whole.
    #[error("the hook for sealed parts panicked at {}: the part is whole, and the hook is not called again", .0.display())]
    HookPanicked(PathBuf),
    /// The thread that writes the dataset ended because of a fault of this program.
    #[error("the thread that writes {} ended unexpectedly, and rows may be missing there: please report this", .0.display())]
    WriterGone(PathBuf),
    /// Rows could not be encoded.
    #[error("cannot encode rows for {}: {message}", path.display())]
    Encode {
        /// The file under its final name.
        path: PathBuf,
        /// The encoder's error.
        message: String,
    },
}

impl From<ReadError> for DatasetError {
    fn from(error: ReadError) -> Self {
        DatasetError::Earlier(Box::new(error))
    }
}

impl DatasetError {
    /// Adds the operation and the file to an I/O error.
    pub(super) fn file(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> DatasetError {
        let path = path.to_owned();
        move |source| DatasetError::File {
            operation,
            path,
            source,
        }
    }

    /// Adds to an I/O error what remains of the output.
    pub(super) fn leaving(self, left: Remains) -> Self {
        match self {
            DatasetError::File {
                operation,
                path,
                source,
            } => DatasetError::BrokenOff {
                operation,
                path,
                source,
                left,
            },
            error => error,
        }
    }

    /// An encoder's error: the I/O error inside it if there is one, else its own text.
    pub(super) fn encode(path: &Path, error: &(dyn Error + 'static)) -> DatasetError {
        match io_cause(error) {
            Some(source) => DatasetError::file("write", path)(source),
            None => DatasetError::Encode {
                path: path.to_owned(),
                message: error.to_string(),
            },
        }
    }

    /// Whether the reason is a missing permission.
    pub fn is_refusal(&self) -> bool {
        match self {
            DatasetError::File { source, .. } | DatasetError::BrokenOff { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            _ => false,
        }
    }

    /// Whether the reader closed the stream.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, DatasetError::BrokenPipe(_))
    }
}

/// What remains of an output that could not be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Nothing: no row was written.
    Nothing,
    /// Nothing: the rows cannot be read without the end of the file, such as Parquet's footer.
    Unreadable,
    /// Whole parts in a directory, which its manifest lists.
    Parts,
    /// Whole rows in this file, in the requested format.
    Rows(PathBuf),
    /// Whole batches in this file, which lacks the footer of an Arrow file.
    Batches(PathBuf),
    /// All rows in this file, which could not get its final name.
    Everything(PathBuf),
    /// The rows in this file, as far as the disk took them: it could not be synced.
    Unsynced(PathBuf),
    /// All rows under the final name. Only the manifest is missing.
    NoManifest,
    /// The rows that the stream has received.
    PassedOn,
    /// No packet, in a capture file or stream. The dataset is not affected.
    NoPackets,
    /// The packets before the error, in a capture file or stream. The dataset is not affected.
    Packets,
    /// All packets in this file, which could not be synced or could not get its final name.
    AllPackets(PathBuf),
    /// The packets in this file, as far as the disk took them: it could not be synced.
    UnsyncedPackets(PathBuf),
}

impl Remains {
    fn remedy(&self, error: &io::Error, at: &Path) -> String {
        let keep = "the next run to the same name keeps it as .old";
        let rest = match self {
            Remains::PassedOn => return remedy::of_stream(error),
            Remains::NoPackets => return remedy::of(error, at, Written::Packets),
            Remains::Packets => {
                let remedy = remedy::of(error, at, Written::Packets);
                return format!("{remedy} (the packets before are kept, and so is the dataset)");
            }
            Remains::AllPackets(path) => {
                let remedy = remedy::of(error, at, Written::Packets);
                return format!("{remedy} (the packets are in {}: {keep})", path.display());
            }
            Remains::UnsyncedPackets(path) => {
                let remedy = remedy::of(error, at, Written::Packets);
                let path = path.display();
                return format!(
                    "{remedy} (the disk may lack some of the packets in {path}: check that file before you use it; {keep})"
                );
            }
            Remains::Nothing => String::new(),
            Remains::Parts => " (parts already sealed are whole and stay)".to_owned(),
            Remains::Unreadable => {
                " (nothing is kept, because a Parquet file without its end cannot be read; a directory keeps its parts)"
                    .to_owned()
            }
            Remains::Rows(path) => format!(
                " (the rows written until then are in {}: {keep})",
                path.display()
            ),
            Remains::Batches(path) => format!(
                " (the rows written until then are in {}, which without its first {} bytes is an Arrow stream: {keep})",
                path.display(),
                arrow_ipc::STREAM_AT
            ),
            Remains::Everything(path) => {
                format!(" (all rows are in {}: {keep})", path.display())
            }
            Remains::Unsynced(path) => format!(
                " (the disk may lack some of the rows in {}: check that file before you use it; {keep})",
                path.display()
            ),
            Remains::NoManifest => " (the file itself is whole and stays; it lacks its manifest)".to_owned(),
        };
        let written = match self {
            Remains::Parts => Written::Directory,
            _ => Written::File,
        };
        format!("{}{rest}", remedy::of(error, at, written))
    }
}

/// The I/O error from which `error` was made, at any depth.
fn io_cause(error: &(dyn Error + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            // An io::Error that only wraps another one: the inner one is more precise.
            match found.get_ref() {
                Some(inner) if inner.downcast_ref::<io::Error>().is_some() => {
                    next = Some(inner);
                    continue;
                }
                _ => return Some(copy_of(found)),
            }
        }
        next = error.source();
    }
    None
}

/// A copy of the error. I/O errors cannot be cloned.
pub(super) fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_found_behind_an_encoder() {
        let full = || io::Error::from_raw_os_error(28);
        let wrapped = ::parquet::errors::ParquetError::External(Box::new(full()));
        let error = DatasetError::encode(Path::new("out/a.parquet"), &wrapped);
        let text = error.to_string();
        assert!(text.starts_with("cannot write out/a.parquet: "), "{text}");
        assert!(text.contains("free space there"), "{text}");

        let wrapped = arrow::error::ArrowError::IoError("x".to_owned(), full());
        let error = DatasetError::encode(Path::new("b.arrow"), &wrapped);
        assert!(error.to_string().contains("free space there"), "{error}");
    }

    #[test]
    fn each_kind_of_output_says_what_it_has_left() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        let broke_off = |left| {
            let error = DatasetError::file("write", Path::new("a.csv"))(full());
            error.leaving(left).to_string()
        };
        let sealed = "parts already sealed";
        let told = DatasetError::file("write", Path::new("d/a.parquet"))(full()).to_string();
        assert!(!told.contains(sealed), "{told}");
        assert!(broke_off(Remains::Parts).contains(sealed));
        let kept = || PathBuf::from(".a.csv.partial");
        for (left, words) in [
            (Remains::Nothing, "with -o"),
            (Remains::Unreadable, "nothing is kept"),
            (Remains::Rows(kept()), "are in .a.csv.partial"),
            (Remains::Batches(kept()), "without its first"),
            (
                Remains::Everything(kept()),
                "all rows are in .a.csv.partial",
            ),
            (Remains::NoManifest, "is whole"),
            (Remains::PassedOn, "send the stream elsewhere"),
            (Remains::Packets, "with --pcap"),
        ] {
            let on_a_disk_of_ours = !matches!(left, Remains::PassedOn | Remains::Packets);
            let told = broke_off(left);
            assert!(
                told.contains(words) && told.contains("free space there"),
                "{told}"
            );
            assert_eq!(told.contains("with -o"), on_a_disk_of_ours, "{told}");
            assert!(!told.contains(sealed), "{told}");
        }
    }

    #[test]
    fn an_encoder_without_a_cause_speaks_for_itself() {
        let error = ::parquet::errors::ParquetError::General("odd".to_owned());
        let error = DatasetError::encode(Path::new("a.parquet"), &error);
        assert!(matches!(error, DatasetError::Encode { .. }), "{error}");
    }
}
