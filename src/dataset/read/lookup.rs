//! Whether a row group holds a text, seen from its dictionary. For files without a Bloom filter.
//!
//! A column of many different texts, such as the destinations of a survey in permuted order, has statistics that rule out nothing. Its
//! dictionary page holds every text once. Comparing the bytes there takes a fraction of the time that decoding the rows takes.

use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::serialized_reader::SerializedPageReader;

use super::ReadError;
use super::file::{PartFile, guarded};

/// Whether `column` may hold `text` in a row group. True if the pages do not say.
pub(super) fn may_hold(
    file: &PartFile,
    group: usize,
    column: &str,
    text: &str,
) -> Result<bool, ReadError> {
    let metadata = file.metadata().row_group(group);
    let named = |chunk: &&parquet::file::metadata::ColumnChunkMetaData| {
        chunk.column_path().parts() == [column]
    };
    let Some(chunk) = metadata.columns().iter().find(named) else {
        return Ok(true);
    };
    // The pages of a column with nulls start with the places of the nulls.
    if chunk.column_descr().max_def_level() > 0 {
        return Ok(true);
    }
    let mask = chunk.page_encoding_stats_mask();
    let in_dictionary = mask
        .is_some_and(|mask| mask.encodings().all(is_index) && mask.encodings().next().is_some());
    let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
    guarded(file.path(), || {
        let bytes = Arc::new(file.bytes().clone());
        let mut pages = SerializedPageReader::new(bytes, chunk, rows, None)?;
        while let Some(page) = pages.get_next_page()? {
            let texts = match &page {
                Page::DataPage { encoding, .. } | Page::DataPageV2 { encoding, .. }
                    if is_index(*encoding) =>
                {
                    continue;
                }
                Page::DictionaryPage { buf, encoding, .. }
                | Page::DataPage { buf, encoding, .. }
                | Page::DataPageV2 { buf, encoding, .. }
                    if matches!(encoding, Encoding::PLAIN) || is_index(*encoding) =>
                {
                    buf
                }
                _ => return Ok(true),
            };
            if holds(texts, text.as_bytes()) {
                return Ok(true);
            }
            if in_dictionary {
                return Ok(false);
            }
        }
        Ok(false)
    })
}

/// Whether an encoding refers to the dictionary. A dictionary page with such an encoding is a plain one of an old version of the format.
fn is_index(encoding: Encoding) -> bool {
    matches!(
        encoding,
        Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY
    )
}

/// Whether texts in the encoding PLAIN, each with its length in four bytes before it, include one. True if the lengths are wrong.
fn holds(mut texts: &[u8], wanted: &[u8]) -> bool {
    while let Some((length, rest)) = texts.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((text, rest)) = rest.split_at_checked(length) else {
            return true;
        };
        if text == wanted {
            return true;
        }
        texts = rest;
    }
    !texts.is_empty()
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_text_is_found_among_plain_texts() {
        let mut bytes = Vec::new();
        for text in ["192.0.2.1", "", "192.0.2.17"] {
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        for text in ["192.0.2.1", "", "192.0.2.17"] {
            assert!(holds(&bytes, text.as_bytes()), "{text}");
        }
        assert!(!holds(&bytes, b"192.0.2.7"));
        assert!(!holds(&bytes, b"192.0.2"));
        assert!(
            holds(&bytes[..bytes.len() - 1], b"192.0.2.7"),
            "cut off: not known"
        );
    }
}
