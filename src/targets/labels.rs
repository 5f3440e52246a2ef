//! Texts and labels of the targets, stored compactly.
//!
//! All strings are in one allocation. Equal label values are stored once, because columns such as a country or a network repeat. An
//! address without labels needs no entry: its text is the address itself.

mod stored;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

/// Stands for a target without an entry: its text is its address, and it has no labels.
pub(super) const PLAIN: u32 = u32::MAX >> 1;
const NONE: u32 = u32::MAX;

/// The texts or labels need more than 4 GiB, or there are more of them than can be numbered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Strings in one allocation, found by number.
#[derive(Debug, Default)]
struct Strings {
    bytes: String,
    ends: Vec<u32>,
}

impl Strings {
    fn push(&mut self, text: &str) -> Result<u32, Full> {
        let number = u32::try_from(self.ends.len()).map_err(|_| Full)?;
        let end = u32::try_from(self.bytes.len() + text.len()).map_err(|_| Full)?;
        self.bytes.push_str(text);
        self.ends.push(end);
        Ok(number)
    }

    fn get(&self, number: u32) -> &str {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start as usize..self.ends[at] as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Number of the text. `NONE`: the text is the address.
    text: u32,
    /// Position of the labels in `cells`, or `NONE`.
    row: u32,
}

/// A hasher for keys that are hashes already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        // Only u64 keys are hashed. Other keys would be hashed badly, but would still be found.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Texts and labels of the targets that need them.
#[derive(Debug, Default)]
pub(super) struct Labels {
    names: Vec<String>,
    /// For each input with labels: the numbers of its columns in `names`.
    columns: Vec<Vec<u32>>,
    entries: Vec<Entry>,
    /// Rows. Each starts with the number of its input in `columns`; then follows one cell per column: 0 if empty, else the string's number + 1.
    cells: Vec<u32>,
    strings: Strings,
    /// Label values by their hash. Only while loading.
    seen: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    row: Vec<u32>,
    last_row: Option<u32>,
}

impl Labels {
    /// Names of all label columns, in the order in which they appeared.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Registers an input's label columns. Returns the number by which its rows refer to them.
    pub(super) fn add_columns(&mut self, names: &[String]) -> u32 {
        let columns = names.iter().map(|name| {
            let known = self.names.iter().position(|known| known == name);
            known.unwrap_or_else(|| {
                self.names.push(name.clone());
                self.names.len() - 1
            }) as u32
        });
        let columns = columns.collect();
        self.columns.push(columns);
        self.columns.len() as u32 - 1
    }

    /// Stores the text (`None`: the address itself) and the labels of a target. Returns the entry's number, or [`PLAIN`] if there is
    /// nothing to store.
    pub(super) fn add<'a>(
        &mut self,
        text: Option<&str>,
        columns: u32,
        values: impl Iterator<Item = &'a str>,
    ) -> Result<u32, Full> {
        self.row.clear();
        self.row.push(columns);
        for value in values {
            let cell = if value.is_empty() {
                0
            } else {
                self.intern(value)? + 1
            };
            self.row.push(cell);
        }
        let labelled = self.row[1..].iter().any(|cell| *cell != 0);
        if text.is_none() && !labelled {
            return Ok(PLAIN);
        }
        let row = if labelled { self.keep_row()? } else { NONE };
        let text = text.map_or(Ok(NONE), |text| self.strings.push(text))?;
        let entry = Entry { text, row };
        // Consecutive targets with the same labels share an entry.
        if text != NONE || self.entries.last() != Some(&entry) {
            self.entries.push(entry);
        }
        let number = self.entries.len() as u32 - 1;
        if number < PLAIN {
            Ok(number)
        } else {
            Err(Full)
        }
    }

    /// Stores the current row, unless it equals the previous one. Returns its position.
    fn keep_row(&mut self) -> Result<u32, Full> {
        let last = self.last_row.map(|at| &self.cells[at as usize..]);
        if let (Some(at), true) = (self.last_row, last == Some(&self.row)) {
            return Ok(at);
        }
        let at = u32::try_from(self.cells.len()).map_err(|_| Full)?;
        self.cells.extend_from_slice(&self.row);
        self.last_row = Some(at);
        Ok(at)
    }

    fn intern(&mut self, value: &str) -> Result<u32, Full> {
        let hash = SipHasher13::new_with_keys(0, 0).hash(value.as_bytes());
        match self.seen.get(&hash) {
            Some(number) if self.strings.get(*number) == value => Ok(*number),
            // Another string has the same hash. This string is stored without being shared.
            Some(_) => self.strings.push(value),
            None => {
                let number = self.strings.push(value)?;
                self.seen.insert(hash, number);
                Ok(number)
            }
        }
    }

    /// Frees the memory that only loading needs.
    pub(super) fn finish(&mut self) {
        self.seen = HashMap::default();
        self.row = Vec::new();
        self.entries.shrink_to_fit();
        self.cells.shrink_to_fit();
        self.strings.bytes.shrink_to_fit();
        self.strings.ends.shrink_to_fit();
    }

    /// The text of an entry. `None`: the text is the address.
    pub(super) fn text(&self, entry: u32) -> Option<&str> {
        let entry = self.entries.get(entry as usize)?;
        (entry.text != NONE).then(|| self.strings.get(entry.text))
    }

    /// The labels of an entry, in the order of [`names`](Self::names). Empty if it has none.
    pub(super) fn labels(&self, entry: u32) -> Vec<Option<&str>> {
        let Some(entry) = self.entries.get(entry as usize).filter(|e| e.row != NONE) else {
            return Vec::new();
        };
        let row = entry.row as usize;
        let columns = &self.columns[self.cells[row] as usize];
        let mut labels = vec![None; self.names.len()];
        for (column, cell) in columns.iter().zip(&self.cells[row + 1..]) {
            labels[*column as usize] = cell.checked_sub(1).map(|number| self.strings.get(number));
        }
        labels
    }

    /// Whether an entry has a label.
    pub(super) fn is_labelled(&self, entry: u32) -> bool {
        let entry = self.entries.get(entry as usize);
        entry.is_some_and(|entry| entry.row != NONE)
    }

    /// Whether an address loses a label of entry `loser` if it has the labels of entry `winner`.
    pub(super) fn are_lost(&self, loser: u32, winner: u32) -> bool {
        if loser == winner || !self.is_labelled(loser) {
            return false;
        }
        let row = |entry: u32| self.entries.get(entry as usize).map(|entry| entry.row);
        row(loser) != row(winner) && {
            let (lost, kept) = (self.labels(loser), self.labels(winner));
            let is_lost = |(at, label): (usize, &Option<&str>)| {
                label.is_some() && kept.get(at).is_none_or(|kept| kept != label)
            };
            lost.iter().enumerate().any(is_lost)
        }
    }

    /// Bytes of memory in use.
    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + (self.cells.capacity() + self.strings.ends.capacity()) * size_of::<u32>()
            + self.strings.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_address_uses_no_memory() {
        let mut labels = Labels::default();
        let columns = labels.add_columns(&["asn".to_owned()]);
        assert_eq!(labels.add(None, columns, [""].into_iter()), Ok(PLAIN));
        assert_eq!(labels.text(PLAIN), None);
        assert!(labels.labels(PLAIN).is_empty());
        labels.finish();
        assert_eq!(labels.heap_bytes(), 0);
    }

    #[test]
    fn columns_of_several_inputs_are_joined_by_name() {
        let mut labels = Labels::default();
        let first = labels.add_columns(&["asn".to_owned(), "city".to_owned()]);
        let second = labels.add_columns(&["country".to_owned(), "asn".to_owned()]);
        let a = labels
            .add(Some("a"), first, ["64500", ""].into_iter())
            .unwrap();
        let b = labels
            .add(None, second, ["CH", "64500"].into_iter())
            .unwrap();
        assert_eq!(labels.names(), ["asn", "city", "country"]);
        assert_eq!(labels.labels(a), [Some("64500"), None, None]);
        assert_eq!(labels.labels(b), [Some("64500"), None, Some("CH")]);
        assert_eq!((labels.text(a), labels.text(b)), (Some("a"), None));
    }

    #[test]
    fn repeated_labels_are_stored_once() {
        let mut labels = Labels::default();
        let columns = labels.add_columns(&["asn".to_owned()]);
        let all: Vec<u32> = (0..1000)
            .map(|_| labels.add(None, columns, ["64500"].into_iter()).unwrap())
            .collect();
        assert!(all.iter().all(|entry| *entry == all[0]));
        labels.finish();
        assert!(labels.heap_bytes() < 100);
    }

    #[test]
    fn the_end_of_a_long_row_is_not_taken_for_a_short_one() {
        let mut labels = Labels::default();
        let long = labels.add_columns(&["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        let short = labels.add_columns(&["d".to_owned()]);
        // The long row ends in the cells (1, 2): string 0 as "1" and string 1 as "2", which read as a short row of input 1.
        let first = labels.add(None, long, ["", "x", "y"].into_iter()).unwrap();
        let second = labels.add(None, short, ["y"].into_iter()).unwrap();
        assert_eq!(labels.labels(first), [None, Some("x"), Some("y"), None]);
        assert_eq!(labels.labels(second), [None, None, None, Some("y")]);
    }
}
