//! Stores the loaded targets of a run. A resumed run reads no list and asks no DNS server.
//!
//! | bytes | content |
//! |---|---|
//! | 21 | `pathsurvey targets 1` and a newline; the number is the version of the format |
//! | any | a Zstandard frame with the report, the segments, the texts and the labels |
//! | 32 | the SHA-256 of all bytes before |
//!
//! - A prefix is stored as a prefix. Ten million drawn hosts of one prefix need a few bytes.
//! - A loaded set equals the stored one: numbers, addresses, texts, labels.
//! - The drawn hosts are computed again from the target seed. A change of the draw therefore needs a new version of the format.
//! - Nothing is decoded before the checksum is compared. A file with a right checksum and wrong content is an error as well. It causes no
//!   panic, and no memory beyond the content of its frame.
//! - While a set is loaded, the compressed file is in memory.

mod numbers;

use std::io::{self, BufReader, Read, Write};

use sha2::{Digest, Sha256};

pub(super) use self::numbers::{NumberReader, NumberWriter};
use super::labels::Labels;
use super::prefixes::Draw;
use super::report::LoadReport;
use super::segments::Segments;
use super::set::TargetSet;

/// The version of the format.
const VERSION: u32 = 1;
/// The first bytes of every version.
const MAGIC: &[u8] = b"pathsurvey targets ";
const CHECKSUM: usize = 32;
const LEVEL: i32 = 3;

/// Why a stored target set cannot be loaded. The caller knows the file, and adds its name.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system, or the decompressor, gave an error.
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The file does not begin as a stored target set does.
    #[error("it is not a stored target set: restore the file from a copy, or start a new run")]
    Foreign,
    /// The format is one that this program does not know.
    #[error(
        "its format has version {found}, and this program knows version {VERSION}: resume with the version of the program that started the run"
    )]
    Version {
        /// The version found.
        found: u32,
    },
    /// The bytes are not those that were written.
    #[error(
        "it was changed or cut off (its SHA-256 is wrong): restore the file from a copy, or start a new run"
    )]
    Checksum,
    /// The checksum is right, but the content is not that of a target set.
    #[error("its content is wrong ({0}): restore the file from a copy, or start a new run")]
    Content(&'static str),
}

impl TargetSet {
    /// Writes the set, and the report of its loading, to `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn store(&self, report: &LoadReport, out: &mut impl Write) -> io::Result<()> {
        let mut out = Hashing {
            out,
            digest: Sha256::new(),
        };
        out.write_all(MAGIC)?;
        writeln!(out, "{VERSION}")?;
        let frame = zstd::stream::write::Encoder::new(&mut out, LEVEL)?;
        let mut writer = NumberWriter::new(frame);
        let (v4, v6, labels) = self.parts();
        writer.text(&serde_json::to_string(report)?)?;
        let (seed, per_block) = v4.draw().parts();
        writer.number(seed)?;
        writer.number(per_block)?;
        labels.store(&mut writer)?;
        v4.store(&mut writer)?;
        v6.store(&mut writer)?;
        writer.finish()?.finish()?;
        let checksum = out.digest.finalize();
        out.out.write_all(&checksum)
    }

    /// Reads a set that [`store`](Self::store) wrote, with its report.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(mut input: impl Read) -> Result<(TargetSet, LoadReport), StoreError> {
        let mut bytes = Vec::new();
        // A large file of another kind is not read whole.
        let head = input.by_ref().take(MAGIC.len() as u64);
        read_all(head, &mut bytes)?;
        if bytes != MAGIC {
            return Err(StoreError::Foreign);
        }
        read_all(input, &mut bytes)?;
        let (content, checksum) = bytes
            .split_last_chunk::<CHECKSUM>()
            .ok_or(StoreError::Checksum)?;
        if Sha256::digest(content)[..] != checksum[..] {
            return Err(StoreError::Checksum);
        }
        let rest = &content[MAGIC.len()..];
        let (version, frame) = line(rest).ok_or(StoreError::Foreign)?;
        if version != VERSION {
            return Err(StoreError::Version { found: version });
        }
        let frame = zstd::stream::read::Decoder::with_buffer(frame).map_err(StoreError::Read)?;
        decode(NumberReader::new(BufReader::with_capacity(1 << 16, frame)))
    }
}

fn read_all(mut input: impl Read, into: &mut Vec<u8>) -> Result<(), StoreError> {
    input.read_to_end(into).map(drop).map_err(StoreError::Read)
}

/// The number on the first line, and what follows the line.
fn line(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let number = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    Some((number, &bytes[end + 1..]))
}

fn decode(
    mut reader: NumberReader<impl io::BufRead>,
) -> Result<(TargetSet, LoadReport), StoreError> {
    let report = serde_json::from_str(&reader.text()?);
    let report: LoadReport = report.map_err(|_| StoreError::Content("its report"))?;
    let draw = Draw::new(reader.small()?, reader.small()?);
    let draw = draw.ok_or(StoreError::Content("its hosts per prefix"))?;
    let labels = Labels::load(&mut reader)?;
    let v4 = Segments::load(&mut reader, draw, labels.entries())?;
    let v6 = Segments::load(&mut reader, draw, labels.entries())?;
    reader.finish()?;
    let counted = v4.len() + v6.len();
    let set = TargetSet::new(v4, v6, labels);
    match set.filter(|_| counted == u128::from(report.targets)) {
        Some(set) => Ok((set, report)),
        None => Err(StoreError::Content("its number of targets")),
    }
}

/// Passes bytes on, and hashes them.
struct Hashing<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
