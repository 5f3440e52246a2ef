//! Rows with labels that are not used, because another row names the same address.
//!
//! An address has the labels of the first row that names it, alone or in a prefix. The labels of a later row are lost, unless they are the
//! same. Memory while loading: a bit per row with lost labels, and 16 bytes per row with labels whose line does not follow that of the row
//! before it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::errors::Place;
use super::labels::Labels;

/// The number of rows that are named.
const MOST_NAMED: usize = 5;

/// The lines of the rows with labels, by the number of the input.
#[derive(Debug, Default)]
struct Places {
    files: Vec<Arc<str>>,
    /// Rows on consecutive lines of a file. Ascending.
    starts: Vec<Start>,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    line: u64,
    order: u32,
    file: u32,
}

impl Places {
    fn add(&mut self, order: u32, file: Arc<str>, line: u64) {
        let same_file = self.files.last() == Some(&file);
        if let (Some(start), true) = (self.starts.last(), same_file)
            && line.checked_sub(start.line) == Some(u64::from(order - start.order))
        {
            return;
        }
        if !same_file {
            self.files.push(file);
        }
        self.starts.push(Start {
            line,
            order,
            file: self.files.len() as u32 - 1,
        });
    }

    /// `file:line` of an input that was added.
    fn find(&self, order: u32) -> Option<String> {
        let behind = self.starts.partition_point(|start| start.order <= order);
        let start = self.starts[..behind].last()?;
        let file = &self.files[start.file as usize];
        Some(format!(
            "{file}:{}",
            start.line + u64::from(order - start.order)
        ))
    }
}

/// The rows whose labels are not used for one of their addresses.
#[derive(Debug, Default)]
pub(super) struct UnusedLabels {
    places: Places,
    /// A bit for each input.
    seen: Vec<u64>,
    count: u64,
    /// The lowest numbers of inputs.
    first: BTreeSet<u32>,
}

impl UnusedLabels {
    /// Keeps the place of an input with labels. The numbers of inputs ascend.
    pub(super) fn add_place(&mut self, order: u32, place: Place) {
        // Arguments have no labels.
        if let Place::Line { file, line } = place {
            self.places.add(order, file, line);
        }
    }

    /// Looks for unused labels. `labels` has the entries of all inputs.
    pub(super) fn conflicts<'a>(&'a mut self, labels: &'a Labels) -> Conflicts<'a> {
        Conflicts {
            labels,
            unused: self,
        }
    }

    /// The number of rows with unused labels.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The first of them, as `file:line`.
    pub(super) fn first(&self) -> Vec<String> {
        self.first
            .iter()
            .filter_map(|order| self.places.find(*order))
            .collect()
    }

    /// Whether an input was added.
    fn has(&self, order: u32) -> bool {
        let word = self.seen.get(order as usize / 64);
        word.is_some_and(|word| word & (1 << (order % 64)) != 0)
    }

    fn add(&mut self, order: u32) {
        let (word, bit) = (order as usize / 64, 1 << (order % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= bit;
        self.count += 1;
        self.first.insert(order);
        if self.first.len() > MOST_NAMED {
            self.first.pop_last();
        }
    }
}

/// Compares the labels of inputs that name the same address.
pub(super) struct Conflicts<'a> {
    labels: &'a Labels,
    unused: &'a mut UnusedLabels,
}

impl Conflicts<'_> {
    /// Notes that an address of the input `loser` (its number and its entry) has the labels of the entry `winner`. Returns whether more can
    /// be learnt about the loser: see [`is_open`](Conflicts::is_open).
    pub(super) fn note(&mut self, loser: (u32, u32), winner: u32) -> bool {
        if !self.is_open(loser) {
            return false;
        }
        let (order, entry) = loser;
        let lost = self.labels.are_lost(entry, winner);
        if lost {
            self.unused.add(order);
        }
        !lost
    }

    /// Whether an input (its number and its entry) has labels, and none of its addresses is known to have others.
    pub(super) fn is_open(&self, (order, entry): (u32, u32)) -> bool {
        self.labels.is_labelled(entry) && !self.unused.has(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_and_consecutive_lines_share_an_entry() {
        let mut places = Places::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a.csv".into(), "b.csv".into());
        let rows = [
            (0, &a, 2),
            (1, &a, 3),
            (2, &a, 4),
            (3, &a, 7),
            // Input 4 has no labels.
            (5, &a, 9),
            (6, &b, 10),
            (7, &b, 11),
            (8, &b, 11),
        ];
        for (order, file, line) in rows {
            places.add(order, Arc::clone(file), line);
        }
        for (order, file, line) in rows {
            assert_eq!(places.find(order), Some(format!("{file}:{line}")));
        }
        assert_eq!((places.starts.len(), places.files.len()), (4, 2));
    }
}
