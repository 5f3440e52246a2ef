//! Temporary files with a checksum, as a manifest lists them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Disk, KeptLength, TemporaryFile, hex};
use crate::dataset::DatasetError;

/// A sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dataset) struct Sealed {
    /// The file's size.
    pub bytes: u64,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

/// A [`TemporaryFile`] whose checksum is computed while it is written.
#[derive(Debug)]
pub(in crate::dataset) struct PendingFile {
    file: TemporaryFile,
    digest: Sha256,
}

impl PendingFile {
    /// See [`TemporaryFile::create`].
    pub(in crate::dataset) fn create(
        temporary: PathBuf,
        destination: PathBuf,
        disk: &Disk,
    ) -> Result<Self, DatasetError> {
        TemporaryFile::create(temporary, destination, disk).map(Self::over)
    }

    /// See [`TemporaryFile::create_locked`].
    pub(in crate::dataset) fn create_locked(
        temporary: PathBuf,
        destination: PathBuf,
        disk: &Disk,
    ) -> Result<Self, DatasetError> {
        TemporaryFile::create_locked(temporary, destination, disk).map(Self::over)
    }

    fn over(file: TemporaryFile) -> Self {
        let digest = Sha256::new();
        PendingFile { file, digest }
    }

    /// See [`TemporaryFile::kept_length`].
    pub(in crate::dataset) fn kept_length(&self) -> KeptLength {
        self.file.kept_length()
    }

    /// The final name.
    pub(in crate::dataset) fn destination(&self) -> &Path {
        self.file.destination()
    }

    /// See [`TemporaryFile::describe_by`].
    pub(in crate::dataset) fn describe_by(&mut self, path: PathBuf) {
        self.file.describe_by(path);
    }

    /// See [`TemporaryFile::finish`].
    pub(in crate::dataset) fn finish(self) -> Result<Sealed, DatasetError> {
        Ok(Sealed {
            bytes: self.file.finish()?,
            sha256: hex(&self.digest.finalize()),
        })
    }

    /// See [`TemporaryFile::seal`].
    pub(in crate::dataset) fn seal(self) -> Result<Sealed, DatasetError> {
        Ok(Sealed {
            bytes: self.file.seal()?,
            sha256: hex(&self.digest.finalize()),
        })
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes `content` to `destination` in one step, by way of `temporary`.
pub(in crate::dataset) fn replace(
    temporary: PathBuf,
    destination: PathBuf,
    content: &[u8],
    disk: &Disk,
) -> Result<Sealed, DatasetError> {
    let mut file = PendingFile::create(temporary, destination, disk)?;
    file.write_all(content)
        .map_err(DatasetError::file("write", file.destination()))?;
    file.seal()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_sealed_file_has_its_name_and_its_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, destination) = (dir.path().join(".t"), dir.path().join("d"));
        let sealed = replace(temporary, destination.clone(), b"abc", &Disk::default()).unwrap();
        assert_eq!(sealed.bytes, 3);
        // The digest of "abc": FIPS 180-2, appendix B.1.
        assert_eq!(
            sealed.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(fs::read(&destination).unwrap(), b"abc");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
