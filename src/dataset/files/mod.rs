//! Files that appear whole, or not at all.
//!
//! | file | holds |
//! |---|---|
//! | `temporary` | files that are written under a temporary name |
//! | `pending` | the same with a checksum, as a manifest lists them |
//! | `lock` | files that only one process writes |
//! | `sync` | names that survive a power cut |
//! | `disk` | the size of the disk, which tests limit |

mod disk;
mod lock;
mod pending;
mod sync;
mod temporary;

use std::path::{Path, PathBuf};

pub(super) use disk::Disk;
use lock::is_at;
pub(super) use lock::lock;
pub(super) use pending::{PendingFile, Sealed, replace};
pub(super) use sync::{create_directories, sync_parent};
pub(super) use temporary::{KeptLength, TemporaryFile};

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
