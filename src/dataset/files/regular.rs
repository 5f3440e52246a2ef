//! Opens regular files only. Opening a FIFO may wait for good, and writing through a symbolic link changes another file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens a regular file, also behind a symbolic link, and returns its length. Does not wait for the writer of a FIFO.
pub(in crate::dataset) fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let about = file.metadata()?;
    if about.is_file() {
        Ok((file, about.len()))
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Reads a regular file, also behind a symbolic link.
pub(in crate::dataset) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, _) = open_regular(path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Opens a file that runs create. If something else has its name, a symbolic link included, the error names that path.
pub(super) fn open_ours(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
    let opened = options.custom_flags(flags).open(path);
    let file = opened.map_err(|error| match fs::symlink_metadata(path) {
        Ok(about) if !about.is_file() => in_the_way(path, &about),
        _ => error,
    })?;
    let about = file.metadata()?;
    match about.is_file() {
        true => Ok(file),
        false => Err(in_the_way(path, &about)),
    }
}

fn in_the_way(path: &Path, about: &Metadata) -> io::Error {
    let kind = match about.file_type() {
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    let path = path.display();
    io::Error::other(format!(
        "{path} is {kind}, and runs need that name for a regular file: move it away"
    ))
}
