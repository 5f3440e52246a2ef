//! A set of the items that earlier sessions of a run finished.
//!
//! Memory: one bit an item, 40 MB for 320 million items.

/// Which of a number of items are finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    words: Vec<u64>,
    items: u64,
    count: u64,
}

impl Finished {
    /// A set for the items `0..items`. No item is finished.
    pub fn new(items: u64) -> Self {
        let words = usize::try_from(items.div_ceil(64)).unwrap_or(usize::MAX);
        Finished {
            words: vec![0; words],
            items,
            count: 0,
        }
    }

    /// Adds an item. Returns whether it is new. An item beyond the last is ignored.
    pub fn insert(&mut self, item: u64) -> bool {
        let Some((at, bit)) = self.place(item) else {
            return false;
        };
        let is_new = self.words[at] & bit == 0;
        self.words[at] |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    /// Whether the item is finished.
    #[inline]
    pub fn contains(&self, item: u64) -> bool {
        self.place(item)
            .is_some_and(|(at, bit)| self.words[at] & bit != 0)
    }

    /// How many items there are, finished or not.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// How many items are finished.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether no item is finished.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The word and the bit of an item.
    #[inline]
    fn place(&self, item: u64) -> Option<(usize, u64)> {
        (item < self.items).then_some(((item / 64) as usize, 1 << (item % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_counts_once_and_items_beyond_the_last_are_ignored() {
        for items in [0, 1, 63, 64, 65, 1_000] {
            let mut finished = Finished::new(items);
            for item in (0..items + 70).step_by(3) {
                assert_eq!(finished.insert(item), item < items);
                assert!(!finished.insert(item));
            }
            for item in 0..items + 70 {
                assert_eq!(finished.contains(item), item < items && item % 3 == 0);
            }
            assert_eq!(finished.len(), items.div_ceil(3));
            assert_eq!(finished.is_empty(), items == 0);
        }
    }

    #[test]
    fn a_set_takes_one_bit_an_item() {
        assert_eq!(Finished::new(320_000_000).words.len() * 8, 40_000_000);
    }
}
