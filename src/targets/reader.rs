//! Reads target lists from bytes. Lists are cut into pieces at line ends, and the pieces are parsed in parallel.
//!
//! - At most one buffer of a list is in memory.
//! - For any bytes, every line becomes a good or bad row, or is blank, a comment or the header.

use std::io::{self, Read};
use std::sync::Arc;

use rayon::prelude::*;

use super::csv_list::{self, Header};
use super::errors::TargetError;
use super::line::{Fault, LineTarget, parse};
use super::text_lines::{first_line, is_whole, last_end, lines, without_end};
use super::utf16;

/// The longest valid line in bytes, or the longest row of a CSV.
pub(super) const LONGEST: usize = 1 << 16;
/// The size of the buffer in bytes.
const BUFFER: usize = 1 << 20;
/// The size of the piece that one thread parses, in bytes.
const PIECE: usize = 1 << 15;

/// The rows of a piece.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    /// All lines of the piece, also blank ones.
    pub(super) lines: u64,
    text: String,
    cells: Vec<(u32, u32)>,
}

/// One target or one error.
#[derive(Debug)]
pub(super) struct Row {
    /// The number of lines before it in the piece.
    pub(super) line: u64,
    pub(super) target: Result<LineTarget, Fault>,
    text: (u32, u32),
    cells: (u32, u32),
}

impl Batch {
    /// Creates a batch of `lines` lines, without rows.
    pub(super) fn of_lines(lines: u64) -> Self {
        Batch {
            lines,
            ..Batch::default()
        }
    }

    /// Adds the target `text` with its labels. The text is stored only if it differs from the address.
    pub(super) fn add<'a>(&mut self, line: u64, text: &str, labels: impl Iterator<Item = &'a str>) {
        let target = parse(text);
        let kept = match target {
            Ok(LineTarget::Address(address))
                if address.is_ipv4() || address.to_string() == text =>
            {
                ""
            }
            _ => text,
        };
        let text = self.keep(kept);
        let first = self.cells.len() as u32;
        for label in labels {
            let cell = self.keep(label);
            self.cells.push(cell);
        }
        let cells = (first, self.cells.len() as u32);
        self.rows.push(Row {
            line,
            target,
            text,
            cells,
        });
    }

    /// Adds an error.
    pub(super) fn add_bad(&mut self, line: u64, bytes: &[u8], fault: Fault) {
        // This is enough text to recognise the line.
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * 81)]);
        let text = self.keep(text.trim());
        self.rows.push(Row {
            line,
            target: Err(fault),
            text,
            cells: (0, 0),
        });
    }

    fn keep(&mut self, text: &str) -> (u32, u32) {
        // A piece has little more than LONGEST bytes, so these numbers suffice.
        let start = self.text.len() as u32;
        self.text.push_str(text);
        (start, self.text.len() as u32)
    }

    fn slice(&self, (from, to): (u32, u32)) -> &str {
        &self.text[from as usize..to as usize]
    }

    /// The target as it is written in the list. `None` if it is an address in canonical form.
    pub(super) fn text(&self, row: &Row) -> Option<&str> {
        Some(self.slice(row.text)).filter(|text| !text.is_empty())
    }

    /// The row's labels, in the order of the header. Empty cells are empty strings.
    pub(super) fn labels(&self, row: &Row) -> impl Iterator<Item = &str> {
        self.cells[row.cells.0 as usize..row.cells.1 as usize]
            .iter()
            .map(|cell| self.slice(*cell))
    }
}

/// Whole lines of a list, or a line or a row that is known to be bad.
pub(super) enum Piece<'a> {
    Lines(&'a [u8]),
    Bad(&'a [u8], Fault),
}

/// A buffer that was cut into pieces.
#[derive(Default)]
pub(super) struct Cut<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
    /// Bytes in the pieces.
    pub(super) consumed: usize,
    /// Whether the last piece is the beginning of a line that is longer than the buffer. The rest of that line is skipped.
    pub(super) endless: bool,
}

/// Receives the content of a list in order.
pub(super) trait Sink {
    /// Called once if the list is a CSV, with the names of its label columns.
    fn columns(&mut self, names: &[String]);
    /// Called for each piece. The piece starts at line `first` of `file`.
    fn batch(&mut self, file: &Arc<str>, first: u64, batch: &Batch) -> Result<(), TargetError>;
}

/// Reads one list to its end. With `csv`, a list whose header has a column `target` is read as CSV.
pub(super) fn read_list(
    file: &Arc<str>,
    input: &mut dyn Read,
    csv: bool,
    sink: &mut dyn Sink,
) -> Result<(), TargetError> {
    let broken = |source| TargetError::Read {
        file: file.to_string(),
        source,
    };
    let mut buffer = Buffer::new(input);
    buffer.fill().map_err(broken)?;
    buffer.skip_mark().map_err(broken)?;
    let mut line = 1;
    let mut header = None;
    // The first line that is not blank or a comment may be the header of a CSV.
    while let Some(first) = buffer.whole_line().map_err(broken)? {
        if is_blank_or_comment(first) {
            buffer.consume_line();
            sink.batch(file, line, &Batch::of_lines(1))?;
            line += 1;
            continue;
        }
        header = Header::read(first).filter(|_| csv);
        break;
    }
    if let Some(header) = &header {
        if let Some(column) = header.duplicate() {
            return Err(TargetError::Header {
                file: file.to_string(),
                line,
                column,
            });
        }
        buffer.consume_line();
        sink.columns(header.labels());
        sink.batch(file, line, &Batch::of_lines(1))?;
        line += 1;
    }
    loop {
        buffer.fill().map_err(broken)?;
        if buffer.bytes().is_empty() {
            return Ok(());
        }
        let cut = match &header {
            Some(_) => csv_list::cut(buffer.bytes(), buffer.at_end),
            None => cut_lines(buffer.bytes(), buffer.at_end),
        };
        let batches: Vec<Batch> = cut
            .pieces
            .par_iter()
            .map(|piece| read_piece(piece, header.as_ref()))
            .collect();
        for batch in &batches {
            sink.batch(file, line, batch)?;
            line += batch.lines;
        }
        let (consumed, endless) = (cut.consumed, cut.endless);
        buffer.consume(consumed);
        if endless {
            buffer.skip_line().map_err(broken)?;
        }
    }
}

fn read_piece(piece: &Piece<'_>, header: Option<&Header>) -> Batch {
    match (piece, header) {
        (Piece::Bad(bytes, fault), _) => {
            let mut batch = Batch::of_lines(lines(bytes).count() as u64);
            batch.add_bad(0, without_end(first_line(bytes)), fault.clone());
            batch
        }
        (Piece::Lines(bytes), Some(header)) => header.rows(bytes),
        (Piece::Lines(bytes), None) => read_lines(bytes),
    }
}

/// Parses plain lines.
fn read_lines(bytes: &[u8]) -> Batch {
    let mut batch = Batch::default();
    for line in lines(bytes) {
        let number = batch.lines;
        batch.lines += 1;
        if line.len() > LONGEST {
            batch.add_bad(number, line, Fault::Long);
            continue;
        }
        let content = line
            .split(|b| *b == b'#')
            .next()
            .unwrap_or(line)
            .trim_ascii();
        match std::str::from_utf8(content).map(str::trim) {
            Ok("") => {}
            Ok(text) => batch.add(number, text, std::iter::empty()),
            Err(_) => batch.add_bad(number, line, Fault::Encoding),
        }
    }
    batch
}

/// Whether a line is blank or a comment.
pub(super) fn is_blank_or_comment(line: &[u8]) -> bool {
    matches!(line.trim_ascii().first(), None | Some(b'#'))
}

fn cut_lines(bytes: &[u8], at_end: bool) -> Cut<'_> {
    let whole = match last_end(bytes) {
        _ if at_end => bytes.len(),
        0 => return endless(bytes),
        end => end,
    };
    let mut cut = Cut {
        consumed: whole,
        ..Cut::default()
    };
    let mut rest = &bytes[..whole];
    while !rest.is_empty() {
        let behind = rest.get(PIECE..).map(|behind| first_line(behind).len());
        let (piece, others) = rest.split_at(behind.map_or(rest.len(), |length| PIECE + length));
        cut.pieces.push(Piece::Lines(piece));
        rest = others;
    }
    cut
}

/// Handles a full buffer without a whole line.
pub(super) fn endless(bytes: &[u8]) -> Cut<'_> {
    // A `\r` at the end may be the first half of a line end. The rest of the line then starts with this line end.
    let line = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    Cut {
        pieces: vec![Piece::Bad(line, Fault::Long)],
        consumed: line.len(),
        endless: true,
    }
}

/// A window over the input.
struct Buffer<'a> {
    input: &'a mut dyn Read,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
}

impl<'a> Buffer<'a> {
    fn new(input: &'a mut dyn Read) -> Self {
        Buffer {
            input,
            bytes: vec![0; BUFFER],
            start: 0,
            end: 0,
            at_end: false,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Reads until the buffer is full, or the input ends.
    fn fill(&mut self) -> io::Result<()> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while !self.at_end && self.end < self.bytes.len() {
            match self.input.read(&mut self.bytes[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Skips the byte order mark of UTF-8. UTF-16 and entries between NUL bytes are errors: otherwise every line would be an error.
    fn skip_mark(&mut self) -> io::Result<()> {
        if let Some(utf16) = utf16::recognise(self.bytes()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, utf16));
        }
        if let Some(separated) = utf16::recognise_nul(self.bytes()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, separated));
        }
        if self.bytes().starts_with(b"\xEF\xBB\xBF") {
            self.consume(3);
        }
        Ok(())
    }

    /// Returns the line at the start of the buffer. Returns `None` at the end of the input, and if the line is longer than the buffer.
    fn whole_line(&mut self) -> io::Result<Option<&[u8]>> {
        if !is_whole(self.bytes(), first_line(self.bytes()).len()) {
            self.fill()?;
        }
        let line = first_line(self.bytes());
        let found = !line.is_empty() && (self.at_end || is_whole(self.bytes(), line.len()));
        Ok(found.then_some(line))
    }

    fn consume_line(&mut self) {
        let length = first_line(self.bytes()).len();
        self.consume(length);
    }

    /// Skips the rest of a line.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            self.fill()?;
            let line = first_line(self.bytes());
            let length = line.len();
            if self.at_end || is_whole(self.bytes(), length) {
                self.consume(length);
                return Ok(());
            }
            // A `\r` at the end may be the first half of a line end.
            let open = usize::from(line.ends_with(b"\r"));
            self.consume(length - open);
        }
    }
}
