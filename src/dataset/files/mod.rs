//! Files that appear whole, or not at all.
//!
//! | file | holds |
//! |---|---|
//! | `temporary` | files that are written under a temporary name |
//! | `pending` | the same with a checksum, as a manifest lists them |
//! | `lock` | files that only one process writes |
//! | `owner` | lock files, for file systems without locks |
//! | `regular` | regular files, and nothing else at their names |
//! | `process` | the names of processes in lock files |
//! | `stream` | streams that are written in place |
//! | `sync` | names that survive a power cut |
//! | `disk` | the calls of the file system |
//! | `notices` | what a run noticed about its file system |
//! | `simulated` | a disk that fails or logs its changes, for tests |

mod disk;
mod lock;
mod notices;
mod owner;
mod pending;
mod process;
mod regular;
mod simulated;
mod stream;
mod sync;
mod temporary;

use std::path::{Path, PathBuf};

pub(super) use disk::Disk;
use lock::is_unsupported;
pub(super) use lock::{has_no_locks, is_at, is_conflict, lock};
pub(super) use owner::{OwnerFile, is_owned};
pub(super) use pending::{PendingFile, Sealed, replace};
pub(super) use regular::{open_regular, read_regular};
pub(super) use stream::Stream;
pub(super) use sync::{create_directories, discard, sync_parent};
pub(super) use temporary::{KeptLength, TemporaryFile};

#[cfg(test)]
pub(super) use disk::Call;
#[cfg(test)]
pub(super) use notices::mount_point;
#[cfg(test)]
pub(super) use simulated::{Change, Fault};

/// The file's name with a prefix and a suffix, in the same directory.
pub(super) fn beside(path: &Path, before: &str, behind: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(before);
    name.push(path.file_name().unwrap_or_default());
    name.push(behind);
    path.with_file_name(name)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
