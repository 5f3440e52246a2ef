//! Reads the blocklists again while a run goes on.
//!
//! | event | effect |
//! |---|---|
//! | a list has changed | its new entries are in force within a second; entries that are gone stay in force until the list has settled |
//! | the user asks (SIGUSR1) | all lists are read at once, as they are; the result is always reported |
//! | a list has settled: it has not changed for [`SETTLED`] | exactly its entries are in force |
//! | a list is bad, missing, unreadable or empty | its earlier entries stay in force; one error says so |
//!
//! - A change is a change of the file behind the path: another file (a rename, or a link that leads elsewhere), another size, or another
//!   time of its content or of its inode. Each look opens the file, because NFS asks its server then.
//! - A list may be read while another program writes it. So entries that are gone stay in force for a while, and the last line counts only
//!   if it ends. A compressed list that is cut off is an error.
//! - A settled list is read a second time. So a second change within the resolution of the file system's times is noticed, too.
//! - An error is reported once the list has settled, because many programs truncate or remove a file before they write it again. A list
//!   that changes all the time is reported once.
//! - A list of 0 bytes is taken for a truncated one. A list that is empty on purpose has a comment line.
//! - Standard input, a FIFO and the like are read once, when the targets are loaded.
//! - The entries of the loading are in force in any case: the target set does not hold these addresses.
//!
//! Left out: the effect on open targets.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use super::blocklist::Blocklist;
use super::decompress::{decompress, is_compressed};
use super::errors::{BadLine, TargetError};
use super::exclusions::{ExclusionRules, Exclusions};
use super::reader::read_list;
use super::report::LoadReport;
use super::text_lines::last_end;
use crate::model::Time;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A list that has not changed for this time has settled. The coarsest time of a file system in use is that of FAT, two seconds.
const SETTLED: Duration = Duration::from_secs(5);

/// Why a blocklist was not read again. Its earlier entries stay in force.
#[derive(Debug, thiserror::Error)]
pub enum RereadError {
    /// It is standard input, a FIFO or another stream.
    #[error(
        "the blocklist {} is not a regular file and is read only once: its entries stay in force; to change a blocklist during a run, give a file",
        .0.display()
    )]
    Stream(PathBuf),
    /// It has 0 bytes, and had more before.
    #[error(
        "the blocklist {} is empty: its earlier entries stay in force; if it is empty on purpose, write a comment line (#) into it",
        .0.display()
    )]
    Empty(PathBuf),
    /// It cannot be opened.
    #[error("the blocklist {} cannot be opened ({source}): its earlier entries stay in force; {}", path.display(), remedy(source))]
    Open {
        /// The list.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A line cannot be parsed.
    #[error("{0}: correct the line; the earlier entries of this blocklist stay in force")]
    Line(BadLine),
    /// It cannot be read to its end.
    #[error("{source}: its earlier entries stay in force until the file changes and can be read")]
    Read {
        /// The error, which names the file.
        source: TargetError,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "give the user that the run continues as the right to read it"
        }
        io::ErrorKind::NotFound => "put the file back",
        _ => "the list is read again when it changes",
    }
}

/// Watches the blocklists of a run.
#[derive(Debug, Default)]
pub struct BlocklistWatch {
    lists: Vec<List>,
    allow_special: bool,
    asked: Arc<AtomicBool>,
    looked: Option<Time>,
    results: VecDeque<Result<Arc<Exclusions>, RereadError>>,
}

impl BlocklistWatch {
    /// Starts to watch the files at `paths`. Create it before the lists are loaded: then no change is missed.
    ///
    /// `allow_special` is that of the loading. If `asked` is set, the next [`poll`](Self::poll) reads all lists; a handler of SIGUSR1 sets it.
    pub fn new(paths: &[PathBuf], allow_special: bool, asked: Arc<AtomicBool>) -> Self {
        BlocklistWatch {
            lists: paths.iter().map(|path| List::new(path)).collect(),
            allow_special,
            asked,
            looked: None,
            results: VecDeque::new(),
        }
    }

    /// Expects content in every list, because a run was loaded with these lists before. A list of 0 bytes is then taken for a truncated one.
    pub fn expect_content(&mut self) {
        for list in &mut self.lists {
            list.had_content = true;
        }
    }

    /// Says which lists cannot be read again: streams, and files that this user may not read. Call it once, after privileges were given up.
    pub fn obstacles(&self) -> Vec<RereadError> {
        let obstacle = |list: &List| match open(&list.path) {
            _ if list.is_stream => Some(RereadError::Stream(list.path.clone())),
            Ok(_) => None,
            Err(source) => Some(RereadError::Open {
                path: list.path.clone(),
                source,
            }),
        };
        self.lists.iter().filter_map(obstacle).collect()
    }

    /// Returns what is in force from now on if a list has changed, or why a list was not read. Call it often: it looks at the files at most
    /// once a second, unless the user asks.
    ///
    /// A resumed run sets `asked` before the first call. Then this call reads all lists and returns what is in force, or the first error.
    pub fn poll(&mut self, now: Time) -> Option<Result<Arc<Exclusions>, RereadError>> {
        if let Some(result) = self.results.pop_front() {
            return Some(result);
        }
        let asked = self.asked.swap(false, Ordering::Relaxed) && !self.lists.is_empty();
        let is_due = self.looked.is_none_or(|last| now.since(last) >= EVERY);
        if !asked && !is_due {
            return None;
        }
        self.looked = Some(now);
        let mut news = false;
        for list in &mut self.lists {
            match list.look(now, asked) {
                Ok(changed) => news |= changed || asked,
                Err(error) => self.results.push_back(Err(error)),
            }
        }
        if news {
            let mut rules = ExclusionRules::new(self.allow_special);
            for prefix in self.lists.iter().flat_map(|list| &list.entries) {
                rules.block(*prefix);
            }
            self.results.push_back(Ok(Arc::new(rules.finish())));
        }
        self.results.pop_front()
    }
}

/// One blocklist.
#[derive(Debug)]
struct List {
    path: PathBuf,
    /// It is read only once.
    is_stream: bool,
    seen: Seen,
    /// The time of the last change. `None` if the list has settled.
    changed: Option<Time>,
    /// The time since which the list cannot be read.
    failing: Option<Time>,
    /// Whether an error was reported since the list could be read.
    told: bool,
    /// Whether the list had content when it was read the last time.
    had_content: bool,
    /// What is in force, besides the entries of the loading.
    entries: BTreeSet<IpNet>,
}

/// The file behind a path, or the number of the system's error.
type Seen = Result<FileId, Option<i32>>;

/// Tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    content: (i64, i64),
    change: (i64, i64),
}

impl FileId {
    fn of(about: &Metadata) -> Self {
        FileId {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            content: (about.mtime(), about.mtime_nsec()),
            change: (about.ctime(), about.ctime_nsec()),
        }
    }
}

impl List {
    fn new(path: &Path) -> Self {
        let about = fs::metadata(path);
        let is_stream =
            path.as_os_str() == "-" || about.is_ok_and(|about| !about.is_file() && !about.is_dir());
        let seen = if is_stream { Err(None) } else { see(path) };
        List {
            path: path.to_owned(),
            is_stream,
            had_content: seen.is_ok_and(|file| file.size > 0),
            seen,
            changed: None,
            failing: None,
            told: false,
            entries: BTreeSet::new(),
        }
    }

    /// Reads the list if that is due. Returns whether other entries are in force now, or an error that is to be reported.
    fn look(&mut self, now: Time, asked: bool) -> Result<bool, RereadError> {
        if self.is_stream {
            return match asked {
                true => Err(RereadError::Stream(self.path.clone())),
                false => Ok(false),
            };
        }
        let seen = see(&self.path);
        let changes = seen != self.seen;
        if changes {
            self.seen = seen;
            self.changed = Some(now);
        }
        let settles = asked || self.changed.is_some_and(|last| now.since(last) >= SETTLED);
        if !changes && !settles {
            return Ok(false);
        }
        if settles {
            self.changed = None;
        }
        match self.read(settles) {
            Ok(found) => {
                (self.failing, self.told) = (None, false);
                Ok(self.put_in_force(found, settles))
            }
            Err(error) => {
                let since = *self.failing.get_or_insert(now);
                let is_long = now.since(since) >= SETTLED && !self.told;
                if settles || is_long {
                    self.told = true;
                    return Err(error);
                }
                Ok(false)
            }
        }
    }

    /// Takes over the entries of the list. If it has not settled, the earlier ones stay.
    fn put_in_force(&mut self, mut found: BTreeSet<IpNet>, is_settled: bool) -> bool {
        if !is_settled {
            found.extend(&self.entries);
        }
        let changes = found != self.entries;
        self.entries = found;
        changes
    }

    fn read(&mut self, is_settled: bool) -> Result<BTreeSet<IpNet>, RereadError> {
        let path = &self.path;
        let file = open(path).map_err(|source| RereadError::Open {
            path: path.clone(),
            source,
        })?;
        let broken = |source| RereadError::Read {
            source: TargetError::Read {
                file: path.display().to_string(),
                source,
            },
        };
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(broken)?;
        if bytes.is_empty() && self.had_content {
            return Err(RereadError::Empty(path.clone()));
        }
        let has_content = !bytes.is_empty();
        if !is_settled && !is_compressed(&bytes, path) {
            // A part of a line can be a valid entry: 192.0.2.0/2 of 192.0.2.0/24.
            bytes.truncate(last_end(&bytes));
        }
        let mut input = decompress(Box::new(&bytes[..]), path).map_err(broken)?;
        let mut entries = BTreeSet::new();
        let mut sink = Blocklist {
            block: &mut |prefix| {
                entries.insert(prefix.trunc());
            },
            report: &mut LoadReport::default(),
        };
        let name = path.display().to_string().into();
        read_list(&name, &mut input, false, &mut sink).map_err(|error| match error {
            TargetError::Blocklist(line) => RereadError::Line(line),
            source => RereadError::Read { source },
        })?;
        self.had_content = has_content;
        Ok(entries)
    }
}

/// Opens a regular file. Does not wait for the writer of a FIFO.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// The state of the file at `path`. If it may not be read, the state that can be seen without reading it.
fn see(path: &Path) -> Seen {
    let opened = open(path).and_then(|file| file.metadata());
    let about = opened.or_else(|_| fs::metadata(path));
    match about {
        Ok(about) => Ok(FileId::of(&about)),
        Err(error) => Err(error.raw_os_error()),
    }
}

#[cfg(test)]
mod tests;
