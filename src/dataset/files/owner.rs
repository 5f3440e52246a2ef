//! Lock files, for file systems without locks.
//!
//! The file is created exclusively (O_EXCL), names the process that holds it, and is removed at the end. If its process is dead, the file is
//! taken over. If that cannot be known, the file is respected, and the error says what to do.
//!
//! Taking over is not a race: only the holder of a second file, the claim, removes the file of a dead process. It compares the file once
//! more after it has the claim. While it has the claim, nobody else removes the file: its process is dead, and the claim is exclusive. Then
//! all runs compete for a new file. A claim whose own process died is taken over in the same way.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::disk::Call;
use super::process::{Life, ProcessName, see};
use super::regular::open_ours;
use super::{Disk, beside};
use crate::dataset::DatasetError;

/// How often a file is tried that is there when it is created, and gone when it is read, or names no process yet. With [`PAUSE`], two seconds.
const ROUNDS: usize = 200;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// A lock file that this process holds. It is removed when this value is dropped.
#[derive(Debug)]
pub(in crate::dataset) struct OwnerFile {
    path: PathBuf,
    text: Vec<u8>,
}

/// The content of a lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Owner {
    #[serde(flatten)]
    process: ProcessName,
    /// The number of the lock among those of its process.
    lock: u64,
}

impl OwnerFile {
    /// Creates the lock file at `path`. If another process has it, the error names `subject`.
    pub(super) fn create(path: PathBuf, subject: &Path, disk: &Disk) -> Result<Self, DatasetError> {
        let text = our_text();
        for round in 1..=ROUNDS {
            match disk.create_new(&path, &path) {
                Ok(mut file) => {
                    let written = disk.call(Call::Write, &path, || file.write_all(&text));
                    if let Err(error) = written {
                        // Only this process has the file: nobody takes over a file without a name.
                        let _ = fs::remove_file(&path);
                        return Err(DatasetError::file("write", &path)(error));
                    }
                    // After a power cut, the file must still name its process. An error will show again where it matters.
                    let _ = file.sync_all();
                    return Ok(OwnerFile { path, text });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(DatasetError::file("create", &path)(error)),
            }
            let Some(found) = read(&path).map_err(DatasetError::file("read", &path))? else {
                thread::sleep(PAUSE);
                continue;
            };
            // Its process creates it first, and names itself then. If it still names no process at the end, that process died between the two.
            if round < ROUNDS && parse(&found).is_none() {
                thread::sleep(PAUSE);
                continue;
            }
            if is_held(&found) {
                return Err(refusal(&path, &found, subject));
            }
            let claim = Self::create(beside(&path, "", ".claim"), subject, disk)?;
            let now = read(&path).map_err(DatasetError::file("read", &path))?;
            if now.as_ref() == Some(&found) {
                disk.remove(&path)
                    .map_err(DatasetError::file("remove", &path))?;
            }
            drop(claim);
        }
        // Other runs create and remove it all the time.
        Err(DatasetError::InUse(subject.to_owned()))
    }
}

impl Drop for OwnerFile {
    fn drop(&mut self) {
        // Somebody may have removed the file by hand, and another run may have created its own.
        if read(&self.path).is_ok_and(|text| text.as_ref() == Some(&self.text)) {
            // If this fails, the file names a dead process once this one has ended.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the lock file at `path` is there, and its process may live.
pub(in crate::dataset) fn is_owned(path: &Path) -> io::Result<bool> {
    Ok(read(path)?.is_some_and(|text| is_held(&text)))
}

/// A text that no other lock has.
fn our_text() -> Vec<u8> {
    static LOCKS: AtomicU64 = AtomicU64::new(0);
    let owner = Owner {
        process: ProcessName::here(),
        lock: LOCKS.fetch_add(1, Ordering::Relaxed),
    };
    let mut text = serde_json::to_vec(&owner).expect("texts and numbers");
    text.push(b'\n');
    text
}

/// The content of a lock file. `None` if it is not there.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match open_ours(path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Whether the process of a lock file may live.
fn is_held(text: &[u8]) -> bool {
    match parse(text) {
        Some(owner) => owner.process.life(&ProcessName::here(), see) != Life::Dead,
        // It is being created, or its process died meanwhile.
        None => true,
    }
}

/// The content of a lock file. `None` if it names no process.
fn parse(text: &[u8]) -> Option<Owner> {
    serde_json::from_slice(text).ok()
}

/// Why the lock file at `path` is not taken over.
fn refusal(path: &Path, text: &[u8], subject: &Path) -> DatasetError {
    let here = ProcessName::here();
    let owner = match parse(text) {
        Some(owner) if owner.process.life(&here, see) == Life::Alive => {
            return DatasetError::InUse(subject.to_owned());
        }
        Some(Owner { process, .. }) => {
            let host = process.host.as_deref().unwrap_or("unknown");
            let where_from = match () {
                () if process.host != here.host || process.machine_id != here.machine_id => {
                    "another host"
                }
                () if process.boot_id != here.boot_id => "an earlier boot",
                () if process.pid_namespace != here.pid_namespace => "another container",
                () => "this host",
            };
            format!("process {} on host {host} ({where_from})", process.pid)
        }
        None => "no process".to_owned(),
    };
    DatasetError::OwnerUnknown {
        subject: subject.to_owned(),
        lock: path.to_owned(),
        owner,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// A lock file of a process that has ended. No process has its number: it is above the kernel's limit (`PID_MAX_LIMIT`).
    fn left_behind(path: &Path) {
        let mut process = ProcessName::here();
        process.pid = (4 << 20) + 1;
        let owner = Owner { process, lock: 0 };
        fs::write(path, serde_json::to_vec(&owner).unwrap()).unwrap();
    }

    fn create(path: &Path) -> Result<OwnerFile, DatasetError> {
        OwnerFile::create(path.to_owned(), Path::new("data"), &Disk::default())
    }

    #[test]
    fn a_lock_file_is_exclusive_and_removed_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = create(&path).unwrap();
        assert!(matches!(create(&path), Err(DatasetError::InUse(_))));
        assert!(is_owned(&path).unwrap());
        drop(first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(!is_owned(&path).unwrap());
    }

    #[test]
    fn the_lock_file_of_a_dead_process_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        left_behind(&path);
        // The last run that took it over died, too.
        left_behind(&beside(&path, "", ".claim"));
        assert!(!is_owned(&path).unwrap());
        let lock = create(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), lock.text);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_file_of_an_unknown_process_is_respected_with_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut process = ProcessName::here();
        process.host = Some("elsewhere".to_owned());
        let owner = serde_json::to_vec(&Owner { process, lock: 0 }).unwrap();
        for (text, words) in [
            (owner, "host elsewhere (another host)"),
            (Vec::new(), "no process"),
        ] {
            fs::write(&path, &text).unwrap();
            let told = create(&path).unwrap_err().to_string();
            assert!(told.contains(words) && told.contains("remove "), "{told}");
            assert!(told.contains(&*path.to_string_lossy()), "{told}");
            assert!(is_owned(&path).unwrap());
            assert_eq!(fs::read(&path).unwrap(), text, "it is not touched");
        }
    }

    #[test]
    fn a_lock_file_that_is_being_created_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, "").unwrap();
        let disk = Disk::failing(Vec::new());
        let created = thread::scope(|scope| {
            let second = scope.spawn(|| OwnerFile::create(path.clone(), Path::new("data"), &disk));
            // Its first try has read the empty file when its second one begins.
            while disk.calls(Call::Open) < 2 && !second.is_finished() {
                thread::yield_now();
            }
            let named = dir.path().join("named");
            fs::write(&named, our_text()).unwrap();
            fs::rename(&named, &path).unwrap();
            second.join().unwrap()
        });
        assert!(
            matches!(created, Err(DatasetError::InUse(_))),
            "{created:?}"
        );
    }

    #[test]
    fn a_lock_file_that_comes_and_goes_is_that_of_other_runs() {
        let dir = tempfile::tempdir().unwrap();
        let fault = crate::dataset::files::Fault::always(Call::Open, "lock", libc::EEXIST);
        let disk = Disk::failing(vec![fault]);
        let created = OwnerFile::create(dir.path().join("lock"), Path::new("data"), &disk);
        let Err(DatasetError::InUse(subject)) = created else {
            panic!("{created:?}");
        };
        assert_eq!(subject, Path::new("data"));
    }

    #[test]
    fn a_lock_file_that_was_replaced_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = create(&path).unwrap();
        fs::write(&path, "of somebody else").unwrap();
        drop(lock);
        assert_eq!(fs::read(&path).unwrap(), b"of somebody else");
    }

    /// All see the dead process at the same time. If one of them removed the new file of another one, two would have the lock.
    #[test]
    fn of_many_that_take_over_at_once_exactly_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let threads = 8;
        for _ in 0..300 {
            left_behind(&path);
            let barrier = Barrier::new(threads);
            let attempt = || {
                barrier.wait();
                let lock = create(&path);
                // Nobody releases the lock before all have tried.
                barrier.wait();
                lock.is_ok()
            };
            let winners = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(attempt)).collect();
                threads
                    .into_iter()
                    .filter_map(|it| it.join().ok())
                    .filter(|won| *won)
                    .count()
            });
            assert_eq!(winners, 1, "have the lock");
            let _ = fs::remove_file(&path);
        }
    }
}
