//! Texts and labels in a stored target set.

use std::io::{self, BufRead, Write};

use super::{Entry, Labels, NONE, PLAIN, Strings};
use crate::targets::store::{NumberReader, NumberWriter, StoreError};

impl Labels {
    /// The number of entries.
    pub(in crate::targets) fn entries(&self) -> u32 {
        // There are less than `PLAIN` of them.
        self.entries.len() as u32
    }

    pub(in crate::targets) fn store(
        &self,
        writer: &mut NumberWriter<impl Write>,
    ) -> io::Result<()> {
        writer.length(self.names.len())?;
        for name in &self.names {
            writer.text(name)?;
        }
        writer.length(self.columns.len())?;
        for columns in &self.columns {
            store_list(columns, writer)?;
        }
        store_list(&self.cells, writer)?;
        writer.length(self.strings.ends.len())?;
        let mut start = 0;
        for end in &self.strings.ends {
            writer.number(end - start)?;
            start = *end;
        }
        writer.bytes(self.strings.bytes.as_bytes())?;
        writer.length(self.entries.len())?;
        let mut last = Entry { text: 0, row: 0 };
        for entry in &self.entries {
            last.text = store_optional(last.text, entry.text, writer)?;
            last.row = store_optional(last.row, entry.row, writer)?;
        }
        Ok(())
    }

    /// Reads texts and labels. Every number in them leads to something that is there.
    pub(in crate::targets) fn load(
        reader: &mut NumberReader<impl BufRead>,
    ) -> Result<Self, StoreError> {
        let mut labels = Labels::default();
        for _ in 0..reader.small::<u32>()? {
            labels.names.push(reader.text()?);
        }
        for _ in 0..reader.small::<u32>()? {
            labels.columns.push(reader.list()?);
        }
        let names = labels.names.len();
        let mut columns = labels.columns.iter().flatten();
        if !columns.all(|name| (*name as usize) < names) {
            return Err(StoreError::Content("its label columns"));
        }
        labels.cells = reader.list()?;
        labels.strings = Strings::load(reader)?;
        let mut last = Entry { text: 0, row: 0 };
        for _ in 0..reader.small::<u32>()? {
            let text = load_optional(&mut last.text, reader)?;
            let row = load_optional(&mut last.row, reader)?;
            let entry = Entry { text, row };
            if !labels.holds(entry) || labels.entries.len() + 1 >= PLAIN as usize {
                return Err(StoreError::Content("its entries"));
            }
            labels.entries.push(entry);
        }
        labels.finish();
        Ok(labels)
    }

    /// Whether the text and the row of an entry are there, with all values of the row.
    fn holds(&self, entry: Entry) -> bool {
        let strings = self.strings.ends.len();
        let has_text = entry.text == NONE || (entry.text as usize) < strings;
        let has_row = entry.row == NONE || {
            let row = entry.row as usize;
            let columns = self.cells.get(row).map(|input| *input as usize);
            let columns = columns.and_then(|input| self.columns.get(input));
            let values = columns.and_then(|columns| self.cells.get(row + 1..=row + columns.len()));
            values.is_some_and(|values| values.iter().all(|cell| *cell as usize <= strings))
        };
        has_text && has_row
    }
}

impl Strings {
    fn load(reader: &mut NumberReader<impl BufRead>) -> Result<Self, StoreError> {
        let wrong = || StoreError::Content("its texts");
        let mut ends: Vec<u32> = Vec::new();
        let mut end = 0_u32;
        for _ in 0..reader.small::<u32>()? {
            end = end.checked_add(reader.small()?).ok_or_else(wrong)?;
            ends.push(end);
        }
        let bytes = reader.utf8(end.into())?;
        let whole = |end: &u32| bytes.is_char_boundary(*end as usize);
        match ends.iter().all(whole) {
            true => Ok(Strings { bytes, ends }),
            false => Err(wrong()),
        }
    }
}

fn store_list(list: &[u32], writer: &mut NumberWriter<impl Write>) -> io::Result<()> {
    writer.length(list.len())?;
    list.iter().try_for_each(|number| writer.number(*number))
}

/// Writes a number that may be [`NONE`]. Returns the last number that was not.
fn store_optional(
    last: u32,
    number: u32,
    writer: &mut NumberWriter<impl Write>,
) -> io::Result<u32> {
    writer.number(u8::from(number != NONE))?;
    if number == NONE {
        return Ok(last);
    }
    writer.step(last, number)?;
    Ok(number)
}

fn load_optional(
    last: &mut u32,
    reader: &mut NumberReader<impl BufRead>,
) -> Result<u32, StoreError> {
    match reader.small::<u8>()? {
        0 => Ok(NONE),
        1 => {
            *last = reader.step(*last)?;
            Ok(*last)
        }
        _ => Err(StoreError::Content("its entries")),
    }
}
