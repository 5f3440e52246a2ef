//! Recognises lists that are not lines of UTF-8: UTF-16, with and without a byte order mark, and entries that end with NUL bytes.

use std::fmt;

/// The bytes at the start of a list that are looked at.
const LOOKED_AT: usize = 1 << 12;

/// A list that is UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Utf16 {
    little_endian: bool,
    marked: bool,
}

impl fmt::Display for Utf16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.little_endian {
            true => "little-endian",
            false => "big-endian",
        };
        let mark = match self.marked {
            true => "",
            false => ", without a byte order mark",
        };
        write!(f, "it is UTF-16 ({order}{mark}): save it as UTF-8")
    }
}

impl std::error::Error for Utf16 {}

/// A list whose entries end with NUL bytes, as `find -print0` writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its entries are separated by NUL bytes: give one target per line")]
pub(super) struct NulSeparated;

/// Recognises entries of printable ASCII between NUL bytes, without any line end.
pub(super) fn recognise_nul(bytes: &[u8]) -> Option<NulSeparated> {
    let bytes = &bytes[..bytes.len().min(LOOKED_AT)];
    let nuls = bytes.iter().filter(|byte| **byte == 0).count();
    let is_text = |byte: &u8| *byte == 0 || is_printable(*byte);
    // Without an entry for most NUL bytes, these are no separators.
    let entries = bytes.split(|byte| *byte == 0).filter(|e| !e.is_empty());
    (nuls > 0 && bytes.iter().all(is_text) && entries.count() * 2 > nuls).then_some(NulSeparated)
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Recognises UTF-16 by the first bytes of a list.
///
/// Without a mark, addresses, names and separators tell: one byte of each such character is 0. A text in UTF-8 has no byte that is 0.
/// Other characters, such as those of a comment in Chinese, have two other bytes. So it is enough that one in eight characters has its 0 on
/// the same side, if almost none has it on the other side.
///
/// Entries that are separated by NUL bytes can have them all on one side as well. Most of their other pairs are two printable characters of
/// ASCII, and there are as many of these pairs as of those with a NUL byte.
pub(super) fn recognise(bytes: &[u8]) -> Option<Utf16> {
    let marked = match bytes {
        [0xFF, 0xFE, ..] => Some(true),
        [0xFE, 0xFF, ..] => Some(false),
        _ => None,
    };
    if let Some(little_endian) = marked {
        return Some(Utf16 {
            little_endian,
            marked: true,
        });
    }
    let (pairs, _) = bytes[..bytes.len().min(LOOKED_AT)].as_chunks::<2>();
    let zeros = |side: usize| {
        pairs
            .iter()
            .filter(|pair| pair[side] == 0 && pair[1 - side] != 0)
            .count()
    };
    let (high_first, low_first) = (zeros(0), zeros(1));
    let (most, least) = (high_first.max(low_first), high_first.min(low_first));
    let others = pairs.iter().filter(|pair| !pair.contains(&0)).count();
    let ascii = |pair: &&[u8; 2]| pair.iter().all(|byte| is_printable(*byte));
    let printable = pairs.iter().filter(ascii).count();
    let is_ascii = printable * 2 > others && printable >= most;
    (!is_ascii && most * 8 >= pairs.len() && most > 0 && least * 16 <= most).then_some(Utf16 {
        little_endian: low_first > high_first,
        marked: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, little_endian: bool) -> Vec<u8> {
        let bytes = |unit: u16| match little_endian {
            true => unit.to_le_bytes(),
            false => unit.to_be_bytes(),
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn lists_in_utf_16_are_recognised_in_both_orders() {
        let chinese = format!("# {}\n9.0.0.1\n9.0.0.2\n", "目标列表".repeat(10));
        for text in [
            "9",
            "9.0.0.1\n",
            "target,name\r\n9.0.0.1,Zürich\r\n",
            &chinese,
        ] {
            for little_endian in [true, false] {
                let bytes = encoded(text, little_endian);
                let expected = Utf16 {
                    little_endian,
                    marked: false,
                };
                assert_eq!(recognise(&bytes), Some(expected), "{text}");
                let odd = &bytes[..bytes.len() - 1];
                assert_eq!(recognise(odd).is_some(), bytes.len() > 2, "{text}");
                let marked = encoded(&format!("\u{FEFF}{text}"), little_endian);
                let expected = Utf16 {
                    little_endian,
                    marked: true,
                };
                assert_eq!(recognise(&marked), Some(expected), "{text}");
            }
        }
    }

    #[test]
    fn other_lists_are_not_utf_16() {
        let mut other = b"9.0.0.1\n".repeat(100);
        for bytes in ["", "9.0.0.1\n", "\u{FEFF}9.0.0.1", "目标列表\n"] {
            assert_eq!(recognise(bytes.as_bytes()), None, "{bytes}");
        }
        // One byte that is 0 in a list of UTF-8 is an error of its line.
        other[50] = 0;
        assert_eq!(recognise(&other), None);
        assert_eq!(recognise(&[0; 64]), None);
    }

    #[test]
    fn entries_between_nul_bytes_are_not_utf_16() {
        for list in [
            "198.18.0.10\x00198.18.0.11\x00198.18.0.12\0",
            "198.18.0.10\x00198.18.0.11\x00198.18.0.12",
            "9.0.0.1\x009.0.0.22\x009.0.0.3\0",
            "::1\0::2\0::3\0",
            "198.18.0.10\0",
        ] {
            for list in [list.to_owned(), list.repeat(1000)] {
                assert_eq!(recognise(list.as_bytes()), None, "{list:?}");
                let found = recognise_nul(list.as_bytes());
                assert_eq!(found, Some(NulSeparated), "{list:?}");
            }
        }
        for list in [
            "",
            "9.0.0.1\n",
            "9.0.0.1\x009.0.0.2\n",
            "\0\0\0\0",
            "9\0\0\0",
        ] {
            assert_eq!(recognise_nul(list.as_bytes()), None, "{list:?}");
        }
        // Both bytes of this character are printable.
        let text = "# \u{5730}\n9.0.0.1\n";
        assert!(recognise(&encoded(text, true)).is_some());
    }
}
