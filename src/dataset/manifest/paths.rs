//! Names in paths of parts.

use std::path::Path;

/// Returns the name of the folder for the parts of a vantage point.
///
/// Readers of `key=value` folders guess the type of the values: `007` is a number for them, `2026-01-01` a date, and `null` or
/// `__HIVE_DEFAULT_PARTITION__` nothing. A value that starts with `id-` is a text for all of them.
pub(in crate::dataset) fn vantage_folder(id: &str) -> String {
    format!("vp=id-{}", path_safe(id))
}

/// Encodes a text for file names that every file system and every reader of `key=value` directories accepts. Letters, digits, `.`, `_` and
/// `-` stay; every other byte becomes `%` and two digits.
pub(in crate::dataset) fn path_safe(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Decodes what [`path_safe`] encoded. A `%` without two digits stays, because other programs write such names.
pub(in crate::dataset) fn path_plain(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.first_chunk::<2>().and_then(|digits| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some(digit(digits[0])? * 16 + digit(digits[1])?)
        });
        match digits.filter(|_| byte == b'%') {
            Some(value) => {
                plain.push(value as u8);
                rest = &behind[2..];
            }
            None => {
                plain.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The text of a relative path, as the manifest has it.
pub(in crate::dataset) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths() {
        assert_eq!(path_safe("fra-1.example_x"), "fra-1.example_x");
        assert_eq!(path_safe("a/b=c d"), "a%2Fb%3Dc%20d");
        assert_eq!(path_safe("é%"), "%C3%A9%25");
    }

    #[test]
    fn safe_names_read_back() {
        for name in ["fra-1", "a/b=c d", "é%", "%41", "", "100%", "東京"] {
            assert_eq!(path_plain(&path_safe(name)), name);
        }
        for (foreign, plain) in [
            ("100%", "100%"),
            ("a%2", "a%2"),
            ("%zz", "%zz"),
            ("%FF", "\u{fffd}"),
        ] {
            assert_eq!(path_plain(foreign), plain);
        }
    }
}
