//! Tables for terminals.

use indicatif::HumanCount;
use unicode_width::UnicodeWidthStr;

/// How the cells of a column are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Align {
    Left,
    Right,
}

/// Rows of text under headings. Columns are as wide as their widest cell on a terminal.
pub(in crate::cli) struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(in crate::cli) fn new(columns: &[(&str, Align)]) -> Self {
        Table {
            aligns: columns.iter().map(|(_, align)| *align).collect(),
            rows: vec![columns.iter().map(|(name, _)| (*name).to_owned()).collect()],
        }
    }

    /// Adds a row with a cell for each column.
    pub(in crate::cli) fn row(&mut self, cells: Vec<String>) {
        self.rows
            .push(cells.iter().map(|cell| shown(cell)).collect());
    }

    /// The table. Two blanks separate the columns.
    pub(in crate::cli) fn text(&self) -> String {
        let mut widths = vec![0; self.aligns.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), align) in row.iter().zip(&widths).zip(&self.aligns) {
                let blanks = " ".repeat(width - cell.width());
                line += &match align {
                    Align::Left => format!("{cell}{blanks}  "),
                    Align::Right => format!("{blanks}{cell}  "),
                };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// A number of things, such as `1 run` or `2,000 runs`.
pub(in crate::cli) fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", HumanCount(number))
}

/// A text without characters that control a terminal or change the direction of the text. They are escaped.
pub(in crate::cli) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let is_direction = matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        let is_break = matches!(c, '\u{2028}' | '\u{2029}');
        match c.is_control() || is_direction || is_break {
            true => safe.extend(c.escape_default()),
            false => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_names_of_any_script() {
        let mut table = Table::new(&[("name", Align::Left), ("size", Align::Right)]);
        table.row(vec!["東京".to_owned(), "5".to_owned()]);
        table.row(vec!["Zürich".to_owned(), "1000".to_owned()]);
        // An accent as a character of its own takes no column.
        table.row(vec!["e\u{301}".to_owned(), "7".to_owned()]);
        let expected = "name    size\n東京       5\nZürich  1000\ne\u{301}          7\n";
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let hostile = "a\x1b[2J\r\n\t\u{9b}31m\u{202e}txt\u{2028}\0é";
        let safe = shown(hostile);
        assert!(!safe.chars().any(char::is_control), "{safe:?}");
        assert_eq!(
            safe,
            "a\\u{1b}[2J\\r\\n\\t\\u{9b}31m\\u{202e}txt\\u{2028}\\u{0}é"
        );
    }
}
