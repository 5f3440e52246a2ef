//! Target lists in CSV (RFC 4180). The header has a column `target`; every other column is a label.
//!
//! - A row ends as a line does: with `\n`, `\r\n` or a lone `\r`, also if one list mixes them. Within quotes, all of them are text.
//! - A row that starts with `#` is a comment.
//! - A row that is too long is one bad row, with all its lines, if its end is in the same buffer. Otherwise only its first line is skipped.

use std::borrow::Cow;

use super::line::Fault;
use super::reader::{Batch, Cut, LONGEST, Piece, endless};
use super::text_lines::{first_line, is_whole, lines, without_end};

/// The highest number of lines in one row. Without this limit, an unclosed quote would include the rest of the list.
pub(super) const MOST_LINES: usize = 64;
/// The size of the piece that one thread parses, in bytes.
const PIECE: usize = 1 << 15;

/// A CSV's header.
#[derive(Debug)]
pub(super) struct Header {
    target: usize,
    columns: usize,
    labels: Vec<String>,
}

impl Header {
    /// Parses a line as a header. Returns `None` if it has no column `target`. The list is then not a CSV.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let cells = cells(line);
        let cells: Result<Vec<&str>, _> =
            cells.iter().map(|cell| std::str::from_utf8(cell)).collect();
        let cells: Vec<&str> = cells.ok()?.into_iter().map(str::trim).collect();
        let target = cells
            .iter()
            .position(|cell| cell.eq_ignore_ascii_case("target"))?;
        let named = |(at, cell): (usize, &&str)| match *cell {
            "" => format!("column_{}", at + 1),
            name => name.to_owned(),
        };
        let labels = cells
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != target)
            .map(named)
            .collect();
        Some(Header {
            target,
            columns: cells.len(),
            labels,
        })
    }

    /// Returns a name that two columns share.
    pub(super) fn duplicate(&self) -> Option<String> {
        let again = |(at, name): &(usize, &String)| {
            name.eq_ignore_ascii_case("target") || self.labels[..*at].contains(name)
        };
        self.labels
            .iter()
            .enumerate()
            .find(again)
            .map(|(_, name)| name.clone())
    }

    /// The names of the columns other than `target`.
    pub(super) fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Parses whole rows.
    pub(super) fn rows(&self, bytes: &[u8]) -> Batch {
        let mut batch = Batch::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let line = first_line(rest);
            let row = match extent(rest, line) {
                Extent::Row(length) => &rest[..length],
                Extent::Unfinished | Extent::Open => line,
            };
            self.row(&mut batch, line, row);
            batch.lines += lines(row).count() as u64;
            rest = &rest[row.len()..];
        }
        batch
    }

    /// Adds a row that starts with `line`.
    fn row(&self, batch: &mut Batch, line: &[u8], row: &[u8]) {
        if row.first() == Some(&b'#') {
            return;
        }
        let cells = cells(row);
        if cells.iter().all(|cell| cell.trim_ascii().is_empty()) {
            return;
        }
        let number = batch.lines;
        let cells: Result<Vec<&str>, _> = cells
            .iter()
            .map(|cell| std::str::from_utf8(cell).map(str::trim))
            .collect();
        let Ok(cells) = cells else {
            return batch.add_bad(number, line, Fault::Encoding);
        };
        if cells.first().is_some_and(|cell| cell.starts_with('#')) {
            return;
        }
        if cells.len() != self.columns {
            let fault = Fault::Cells {
                found: cells.len(),
                expected: self.columns,
            };
            return batch.add_bad(number, line, fault);
        }
        let target = cells[self.target];
        if target.is_empty() {
            return batch.add_bad(number, line, Fault::Missing);
        }
        let labels = cells
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != self.target);
        batch.add(number, target, labels.map(|(_, cell)| *cell));
    }
}

/// The cells of a row, without their quotes. A quote opens a cell only at its start. Text after the closing quote belongs to the cell, as in
/// the csv crate.
fn cells(row: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let row = without_end(row);
    if !row.contains(&b'"') {
        return row.split(|byte| *byte == b',').map(Cow::Borrowed).collect();
    }
    let mut cells = Vec::new();
    let mut cell = Vec::new();
    let mut state = Cell::Start;
    for byte in row {
        let next = state.after(*byte);
        match (state, next) {
            (_, Cell::Start) => cells.push(Cow::Owned(std::mem::take(&mut cell))),
            // The quotes around the cell, and the first of two within it.
            (Cell::Start, Cell::Quoted) | (Cell::Quoted, Cell::Closed) => {}
            _ => cell.push(*byte),
        }
        state = next;
    }
    cells.push(Cow::Owned(cell));
    cells
}

/// Cuts a buffer at ends of rows.
pub(super) fn cut(bytes: &[u8], at_end: bool) -> Cut<'_> {
    let mut cut = Cut::default();
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let line = first_line(rest);
        let open = match line.len() > LONGEST {
            true => Fault::Long,
            false => Fault::OpenQuote,
        };
        let (row, fault) = match extent(rest, line) {
            Extent::Row(length) if at_end || is_whole(rest, length) => {
                let fault = (length > LONGEST).then_some(Fault::Long);
                (&rest[..length], fault)
            }
            Extent::Open => (line, Some(open)),
            Extent::Unfinished if at_end => (line, Some(open)),
            // The rest of the row may not have been read yet.
            _ if at > 0 => break,
            _ if !is_whole(rest, line.len()) => return endless(bytes),
            // It is longer than a buffer.
            _ => (line, Some(Fault::Long)),
        };
        if let Some(fault) = fault {
            if start < at {
                cut.pieces.push(Piece::Lines(&bytes[start..at]));
            }
            cut.pieces.push(Piece::Bad(row, fault));
            start = at + row.len();
        }
        at += row.len();
        if at - start >= PIECE {
            cut.pieces.push(Piece::Lines(&bytes[start..at]));
            start = at;
        }
    }
    if start < at {
        cut.pieces.push(Piece::Lines(&bytes[start..at]));
    }
    cut.consumed = at;
    cut
}

/// The extent of a row.
#[derive(Debug, PartialEq, Eq)]
enum Extent {
    /// The row has this length, in bytes. It may be too long.
    Row(usize),
    /// A quote is open at the end of the bytes.
    Unfinished,
    /// A quote is open after [`MOST_LINES`].
    Open,
}

/// Finds the end of the row at the start of `bytes`, whose first line is `line`.
fn extent(bytes: &[u8], line: &[u8]) -> Extent {
    if line.first() == Some(&b'#') || !line.contains(&b'"') {
        return Extent::Row(line.len());
    }
    let mut state = Cell::Start;
    let mut length = 0;
    let mut count = 0;
    for line in lines(bytes).take(MOST_LINES) {
        state = without_end(line)
            .iter()
            .fold(state, |state, byte| state.after(*byte));
        length += line.len();
        count += 1;
        if !matches!(state, Cell::Quoted) {
            return Extent::Row(length);
        }
    }
    // The last of the lines may go on behind the bytes.
    match count == MOST_LINES && length < bytes.len() {
        true => Extent::Open,
        false => Extent::Unfinished,
    }
}

/// The place within a row.
#[derive(Clone, Copy)]
enum Cell {
    Start,
    Plain,
    Quoted,
    /// After a quote that ends the cell. If another quote follows, the cell goes on.
    Closed,
}

impl Cell {
    /// The place after a byte that does not end the row.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Cell::Start | Cell::Closed, b'"') => Cell::Quoted,
            (Cell::Quoted, b'"') => Cell::Closed,
            (Cell::Quoted, _) => Cell::Quoted,
            (_, b',') => Cell::Start,
            _ => Cell::Plain,
        }
    }
}

#[cfg(test)]
mod tests;
