//! Names in paths of parts.

use std::path::Path;

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
}
