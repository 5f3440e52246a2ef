//! Lines of text. A line ends with `\n`, `\r\n`, or a `\r` without `\n`, as old programs for the Mac write it.

/// The lines of `bytes` with their ends. An empty remainder after the last line end does not count as a line.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let line = first_line(rest);
        rest = &rest[line.len()..];
        (!line.is_empty()).then_some(line)
    })
}

/// The first line with its end. Empty only if `bytes` is.
pub(super) fn first_line(bytes: &[u8]) -> &[u8] {
    match bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(at) if bytes[at..].starts_with(b"\r\n") => &bytes[..at + 2],
        Some(at) => &bytes[..=at],
        None => bytes,
    }
}

/// The line without its end.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether a line end stands before `at`, and cannot go on behind it. A `\r` at the end of `bytes` may be the first half of a line end.
pub(super) fn is_whole(bytes: &[u8], at: usize) -> bool {
    match bytes[..at].last() {
        Some(b'\n') => true,
        Some(b'\r') => at < bytes.len(),
        _ => false,
    }
}

/// The length of the whole lines at the start of `bytes`, which may go on.
pub(super) fn last_end(bytes: &[u8]) -> usize {
    let known = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let end = known.iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
    end.map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_three_ends_ends_one_line() {
        let found: Vec<&[u8]> = lines(b"a\nb\r\nc\rd\r\r\n\n\re").collect();
        let expected: [&[u8]; 8] = [
            b"a\n", b"b\r\n", b"c\r", b"d\r", b"\r\n", b"\n", b"\r", b"e",
        ];
        assert_eq!(found, expected);
        let texts: Vec<&[u8]> = found.into_iter().map(without_end).collect();
        let expected: [&[u8]; 8] = [b"a", b"b", b"c", b"d", b"", b"", b"", b"e"];
        assert_eq!(texts, expected);
        assert_eq!(lines(b"").count(), 0);
    }

    #[test]
    fn a_half_end_is_not_whole() {
        for (bytes, whole) in [
            ("a", 0),
            ("a\n", 2),
            ("a\r", 0),
            ("a\r\n", 3),
            ("a\rb", 2),
            ("a\n\r", 2),
            ("\r\r", 1),
        ] {
            let bytes = bytes.as_bytes();
            assert_eq!(last_end(bytes), whole, "{bytes:?}");
            assert_eq!(
                is_whole(bytes, first_line(bytes).len()),
                whole > 0,
                "{bytes:?}"
            );
        }
    }
}
