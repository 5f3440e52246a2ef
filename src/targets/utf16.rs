//! Recognises UTF-16, with and without a byte order mark. A list is UTF-8.

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

/// Recognises UTF-16 by the first bytes of a list.
///
/// Without a mark, addresses, names and separators tell: one byte of each such character is 0. A text in UTF-8 has no byte that is 0.
/// Other characters, such as those of a comment in Chinese, have two other bytes. So it is enough that one in eight characters has its 0 on
/// the same side, if almost none has it on the other side.
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
    (most * 8 >= pairs.len() && most > 0 && least * 16 <= most).then_some(Utf16 {
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
}
