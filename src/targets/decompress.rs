//! Opens inputs, compressed or not.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::errors::TargetError;

/// The largest window that zstd writes (`--long=31`), as a power of two.
const LONGEST_WINDOW: u32 = 31;

/// Opens a file, or standard input for `-`. Recognises gzip and Zstandard by the file name or by the first bytes.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, TargetError> {
    let file = path.display().to_string();
    let opened: io::Result<Box<dyn Read>> = if path.as_os_str() == "-" {
        Ok(Box::new(io::stdin().lock()))
    } else {
        File::open(path).map(|file| Box::new(file) as _)
    };
    let input = opened.map_err(|source| TargetError::Open {
        file: file.clone(),
        source,
    })?;
    decompress(input, path).map_err(|source| TargetError::Read { file, source })
}

/// Decompresses `input` if it is compressed. `path` only gives the file name.
pub(super) fn decompress<'a>(
    mut input: Box<dyn Read + 'a>,
    path: &Path,
) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = Vec::new();
    input.by_ref().take(4).read_to_end(&mut head)?;
    let (gzip, zstd) = (is_gzip(&head, path), is_zstd(&head, path));
    // An empty `.gz` is an empty list. Without this check it would look like a truncated file.
    let empty = head.is_empty();
    let input = BufReader::with_capacity(1 << 16, Cursor::new(head).chain(input));
    if gzip && !empty {
        Ok(Box::new(MultiGzDecoder::new(input)))
    } else if zstd && !empty {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
        decoder.window_log_max(LONGEST_WINDOW)?;
        Ok(Box::new(decoder))
    } else {
        Ok(Box::new(input))
    }
}

/// Whether a file with this name and these first bytes is compressed.
pub(super) fn is_compressed(bytes: &[u8], path: &Path) -> bool {
    let head = &bytes[..bytes.len().min(4)];
    is_gzip(head, path) || is_zstd(head, path)
}

/// RFC 1952.
fn is_gzip(head: &[u8], path: &Path) -> bool {
    head.starts_with(&[0x1F, 0x8B]) || has_ending(path, "gz")
}

/// RFC 8878. Some files start with a skippable frame.
fn is_zstd(head: &[u8], path: &Path) -> bool {
    head == [0x28, 0xB5, 0x2F, 0xFD]
        || matches!(head, [0x50..=0x5F, 0x2A, 0x4D, 0x18])
        || has_ending(path, "zst")
}

fn has_ending(path: &Path, ending: &str) -> bool {
    let found = path.extension().and_then(|found| found.to_str());
    found.is_some_and(|found| found.eq_ignore_ascii_case(ending))
}
