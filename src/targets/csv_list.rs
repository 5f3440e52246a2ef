//! Target lists in CSV (RFC 4180). The header has a column `target`; every other column is a label.

use super::line::Fault;
use super::reader::{Batch, Cut, LONGEST, Piece, endless, lines};

/// The highest number of lines in one row. Without this limit, an unclosed quote would include the rest of the list.
const MOST_LINES: usize = 64;
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
        let record = reader(line).into_records().next()?.ok()?;
        let cells: Vec<&str> = record.iter().map(str::trim).collect();
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
        let mut batch = Batch::of_lines(lines(bytes).count() as u64);
        let mut reader = reader(bytes);
        let mut record = csv::ByteRecord::new();
        // Reading from memory cannot fail, and rows of different lengths are allowed.
        while let Ok(true) = reader.read_byte_record(&mut record) {
            let (line, at) = start(bytes, record.position());
            self.row(&mut batch, line, &bytes[at..], &record);
        }
        batch
    }

    fn row(&self, batch: &mut Batch, line: u64, bytes: &[u8], record: &csv::ByteRecord) {
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            return;
        }
        let raw = lines(bytes).next().unwrap_or(bytes);
        let cells: Result<Vec<&str>, _> = record
            .iter()
            .map(|cell| std::str::from_utf8(cell).map(str::trim))
            .collect();
        let Ok(cells) = cells else {
            return batch.add_bad(line, raw, Fault::Encoding);
        };
        if cells.first().is_some_and(|cell| cell.starts_with('#')) {
            return;
        }
        if cells.len() != self.columns {
            let fault = Fault::Cells {
                found: cells.len(),
                expected: self.columns,
            };
            return batch.add_bad(line, raw, fault);
        }
        let target = cells[self.target];
        if target.is_empty() {
            return batch.add_bad(line, raw, Fault::Missing);
        }
        let labels = cells
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != self.target);
        batch.add(line, target, labels.map(|(_, cell)| *cell));
    }
}

fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .buffer_capacity(bytes.len().clamp(64, 1 << 13))
        .from_reader(bytes)
}

/// Returns the line (from 0) and the byte at which a row starts. The reader skips blank lines and comments, but its position is before them.
fn start(bytes: &[u8], position: Option<&csv::Position>) -> (u64, usize) {
    let Some(position) = position else {
        return (0, 0);
    };
    let (mut line, mut at) = (position.line() - 1, position.byte() as usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\r' => at += 1,
            b'\n' | b'#' => {
                at += lines(&bytes[at..]).next().map_or(1, <[u8]>::len);
                line += 1;
            }
            _ => break,
        }
    }
    (line, at.min(bytes.len()))
}

/// Cuts a buffer at ends of rows.
pub(super) fn cut(bytes: &[u8], at_end: bool) -> Cut<'_> {
    let mut cut = Cut::default();
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let line = lines(rest).next().unwrap_or(rest);
        let found = row_length(rest, line);
        match found {
            Some(length) if length <= LONGEST && (at_end || rest[..length].ends_with(b"\n")) => {
                at += length
            }
            // The end of the row may not have been read yet.
            _ if !at_end && at > 0 && rest.len() <= LONGEST => break,
            _ if !at_end && !line.ends_with(b"\n") => {
                if at > 0 {
                    break;
                }
                return endless(bytes);
            }
            _ => {
                if start < at {
                    cut.pieces.push(Piece::Lines(&bytes[start..at]));
                }
                let fault = if line.len() > LONGEST {
                    Fault::Long
                } else {
                    Fault::OpenQuote
                };
                cut.pieces.push(Piece::Bad(line, fault));
                at += line.len();
                start = at;
            }
        }
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

/// Returns the length of the row at the start of `bytes`, whose first line is `line`. Returns `None` if a quote is still open where the
/// row should end. As in the csv crate, a quote opens a cell only at its start, and a carriage return also ends a row.
fn row_length(bytes: &[u8], line: &[u8]) -> Option<usize> {
    if line.first() == Some(&b'#') || !line.contains(&b'"') {
        return Some(line.len());
    }
    let mut state = Cell::Start;
    let mut left = MOST_LINES;
    for (at, byte) in bytes.iter().enumerate().take(LONGEST) {
        state = match (state, byte) {
            (Cell::Start, b'"') | (Cell::Closed, b'"') => Cell::Quoted,
            (Cell::Quoted, b'"') => Cell::Closed,
            (Cell::Quoted, b'\n') if left == 1 => return None,
            (Cell::Quoted, b'\n') => {
                left -= 1;
                Cell::Quoted
            }
            (Cell::Quoted, _) => Cell::Quoted,
            (_, b'\n') => return Some(at + 1),
            (_, b',' | b'\r') => Cell::Start,
            (_, _) => Cell::Plain,
        };
    }
    (bytes.len() <= LONGEST && !matches!(state, Cell::Quoted)).then_some(bytes.len())
}

#[derive(Clone, Copy)]
enum Cell {
    Start,
    Plain,
    Quoted,
    /// After a quote that ends the cell. If another quote follows, the cell goes on.
    Closed,
}
