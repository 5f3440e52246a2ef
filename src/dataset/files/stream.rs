//! Streams that are written in place: standard output, FIFOs and devices.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::disk::Call;
use super::{Disk, is_unsupported};
use crate::dataset::sys;

/// An open stream. Nothing is buffered here.
#[derive(Debug)]
pub(in crate::dataset) struct Stream {
    file: File,
    path: PathBuf,
    disk: Disk,
}

impl Stream {
    /// Messages name the stream `path`.
    pub(in crate::dataset) fn new(file: File, path: &Path, disk: &Disk) -> Self {
        Stream {
            file,
            path: path.to_owned(),
            disk: disk.clone(),
        }
    }

    /// Ends the stream: syncs it if it is a file, and closes it. Standard output may be a file on a network file system, which reports only
    /// now that it could not store what it took before.
    pub(in crate::dataset) fn close(self) -> io::Result<()> {
        match self.disk.sync(&self.file, &self.path) {
            Err(error) if !is_no_file(&error) => return Err(error),
            _ => {}
        }
        let mut descriptor = Some(OwnedFd::from(self.file));
        self.disk.call(Call::Close, &self.path, || {
            descriptor.take().map_or(Ok(()), sys::close)
        })
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.disk.write(&self.file, &self.path, bytes) {
                // Another process that shares the pipe made it non-blocking, and its reader is slow.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sys::wait_until_writable(self.file.as_fd())?;
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a stream is nothing that can be synced: a pipe, a terminal, a device (EINVAL, EROFS: fsync(2)).
fn is_no_file(error: &io::Error) -> bool {
    is_unsupported(error) || matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EROFS))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_stream_that_does_not_block_gets_every_byte() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        // More than its buffer holds, so that the writer has to wait.
        let bytes = vec![7; 1 << 20];
        let all = bytes.len();
        let file = File::from(OwnedFd::from(writer));
        let mut stream = Stream::new(file, Path::new("stream"), &Disk::default());
        let thread = std::thread::spawn(move || {
            stream.write_all(&bytes).unwrap();
            stream.close().unwrap();
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), all);
        thread.join().unwrap();
    }
}
