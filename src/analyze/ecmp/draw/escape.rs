//! Texts within DOT and XML.

use std::fmt::Write;

/// A text within XML, also within a quoted attribute. Characters that XML forbids become U+FFFD.
pub(super) fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            // A reader of XML would change them within an attribute.
            '\t' | '\n' | '\r' => {
                let _ = write!(safe, "&#{};", u32::from(c));
            }
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                safe.push(char::REPLACEMENT_CHARACTER);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// A quoted text of DOT. Control characters become blanks.
pub(super) fn dot(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 2);
    safe.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                safe.push('\\');
                safe.push(c);
            }
            // Graphviz reads `&lt;` in a label as `<`.
            '&' => safe.push_str("&amp;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe.push('"');
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_for_markup() {
        assert_eq!(
            xml("<a b='\"&\u{1b}\u{ffff}\n"),
            "&lt;a b=&apos;&quot;&amp;\u{fffd}\u{fffd}&#10;"
        );
        assert_eq!(dot("a\"b\\n&lt;\n"), r#""a\"b\\n&amp;lt; ""#);
        assert_eq!(dot("2001:db8::1"), "\"2001:db8::1\"");
    }
}
