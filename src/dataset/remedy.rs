//! What a user can do about an error of the file system.
//!
//! A remedy is named only if its cause is known: if the error has one cause, or if a look at the system shows which of its causes it is. An
//! error with several causes, such as EIO or EINVAL, has no remedy here.

use std::io;
use std::path::Path;

use super::sys;

/// What is written. Its option names the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// A directory of parts.
    Directory,
    /// A single file.
    File,
    /// A capture file.
    Packets,
}

/// The remedy for an error at `path`, with its punctuation. Empty if no remedy is known.
pub(super) fn of(error: &io::Error, path: &Path, written: Written) -> String {
    let Some(code) = error.raw_os_error() else {
        return String::new();
    };
    let option = match written {
        Written::Directory | Written::File => "-o",
        Written::Packets => "--pcap",
    };
    let other_disk = || format!("name a place on another disk with {option}");
    let smaller = || match written {
        Written::Directory => other_disk(),
        Written::File => "name a directory with -o, whose parts stay small".to_owned(),
        Written::Packets => "leave out --pcap".to_owned(),
    };
    let remedy = match code {
        libc::ENOSPC if sys::lacks_inodes(path) => format!(
            "there is space, but no inode for another file: remove files there, or {}",
            other_disk()
        ),
        libc::ENOSPC => format!("free space there, or {}", other_disk()),
        libc::EDQUOT => format!(
            "the quota there is used up: free space there, or {}",
            other_disk()
        ),
        libc::EFBIG if sys::limits_file_size() => {
            format!("raise the file size limit (ulimit -f), or {}", smaller())
        }
        libc::EFBIG => format!("the file system there takes no larger file: {}", smaller()),
        libc::EACCES => format!("name a place that you may write to with {option}"),
        libc::EROFS => {
            format!("that file system cannot be written to: name another place with {option}")
        }
        libc::ENOTDIR | libc::EEXIST => {
            format!("a file stands in the way; name another place with {option}")
        }
        libc::ENOENT if written == Written::Packets => {
            format!("name a file in a directory that is there with {option}")
        }
        libc::ENAMETOOLONG => format!("name a shorter path with {option}"),
        libc::EMFILE => "raise the limit on open files (ulimit -n)".to_owned(),
        libc::ENFILE => "raise the system's limit on open files (sysctl fs.file-max)".to_owned(),
        _ => return String::new(),
    };
    format!(": {remedy}")
}

/// The remedy for a stream, which is written in place.
pub(super) fn of_stream(error: &io::Error) -> String {
    let remedy = match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            ": the disk or device behind it is full: free space there, or send the stream elsewhere"
        }
        Some(libc::EFBIG) if sys::limits_file_size() => {
            ": raise the file size limit (ulimit -f), or send the stream elsewhere"
        }
        _ => "",
    };
    format!("{remedy} (the rows before are in it; the last may be cut off)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: i32) -> String {
        of(
            &io::Error::from_raw_os_error(code),
            Path::new("."),
            Written::Directory,
        )
    }

    #[test]
    fn an_error_with_several_causes_has_no_remedy() {
        for code in [
            libc::EIO,
            libc::EINVAL,
            libc::EPERM,
            libc::EBUSY,
            libc::ESTALE,
            libc::ENOMEM,
        ] {
            assert_eq!(told(code), "", "{code}");
        }
        assert_eq!(
            of(
                &io::ErrorKind::PermissionDenied.into(),
                Path::new("."),
                Written::Directory
            ),
            ""
        );
    }

    #[test]
    fn a_file_size_limit_is_named_only_if_there_is_one() {
        // The limits of a process cannot be changed for one test alone, so this looks at the one that holds.
        let limited = sys::limits_file_size();
        assert_eq!(told(libc::EFBIG).contains("ulimit"), limited);
        assert_eq!(told(libc::EFBIG).contains("file system"), !limited);
    }
}
