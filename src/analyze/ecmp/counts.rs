//! How often each value occurs.

use std::collections::BTreeMap;

use serde::Serialize;

/// How often each value occurs. Memory grows with the number of distinct values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: BTreeMap<u64, u64>,
}

/// The values from `least` to `most`, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// The least value of the bin.
    pub least: u64,
    /// The greatest value of the bin.
    pub most: u64,
    /// The number of values in the bin.
    pub count: u64,
}

/// The middle and the end of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The least value that at least half of all values do not exceed. `None` if there is no value.
    pub median: Option<u64>,
    /// The least value that at least nine tenths of all values do not exceed.
    pub p90: Option<u64>,
    /// The greatest value.
    pub max: Option<u64>,
    /// The sum of all values.
    pub total: u64,
}

impl Histogram {
    /// Counts a value.
    pub fn add(&mut self, value: u64) {
        *self.counts.entry(value).or_default() += 1;
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: Histogram) {
        for (value, count) in other.counts {
            *self.counts.entry(value).or_default() += count;
        }
    }

    /// A bin for every value that occurs, by value.
    pub fn values(&self) -> Vec<Bin> {
        let bin = |(&value, &count)| Bin {
            least: value,
            most: value,
            count,
        };
        self.counts.iter().map(bin).collect()
    }

    /// The bins 0, 1, 2, 3–4, 5–8, 9–16 and so on that are not empty.
    pub fn doubling(&self) -> Vec<Bin> {
        let mut bins: Vec<Bin> = Vec::new();
        for (&value, &count) in &self.counts {
            match bins.last_mut() {
                Some(bin) if value <= bin.most => bin.count += count,
                _ => {
                    let most = value.checked_next_power_of_two().unwrap_or(u64::MAX);
                    let (least, most) = match value {
                        0 => (0, 0),
                        _ => (most / 2 + 1, most),
                    };
                    bins.push(Bin { least, most, count });
                }
            }
        }
        bins
    }

    /// The quantiles by the nearest rank: each is a value that occurs.
    pub fn spread(&self) -> Spread {
        let all = self.counts.values().sum();
        let total = self.counts.iter();
        Spread {
            median: self.quantile(all, 5),
            p90: self.quantile(all, 9),
            max: self.counts.last_key_value().map(|(value, _)| *value),
            total: total.fold(0, |sum, (value, count)| {
                sum.saturating_add(value.saturating_mul(*count))
            }),
        }
    }

    /// The least value that at least `tenths` of `all` values do not exceed.
    fn quantile(&self, all: u64, tenths: u64) -> Option<u64> {
        let rank = (u128::from(all) * u128::from(tenths)).div_ceil(10);
        let mut so_far = 0;
        let found = self.counts.iter().find(|(_, count)| {
            so_far += u128::from(**count);
            so_far >= rank
        });
        found.map(|(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.add(*value));
        histogram
    }

    #[test]
    fn bins_double() {
        let values = [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 96, 128, 129, u64::MAX];
        let found = of(&values).doubling();
        let found: Vec<_> = found.iter().map(|b| (b.least, b.most, b.count)).collect();
        let high = 1 << 63;
        assert_eq!(
            found,
            [
                (0, 0, 1),
                (1, 1, 1),
                (2, 2, 1),
                (3, 4, 2),
                (5, 8, 2),
                (9, 16, 2),
                (17, 32, 1),
                (65, 128, 2),
                (129, 256, 1),
                (high, u64::MAX, 1),
            ]
        );
    }

    #[test]
    fn quantiles_are_values_that_occur() {
        let spread = |values: &[u64]| {
            let spread = of(values).spread();
            (spread.median, spread.p90, spread.max, spread.total)
        };
        assert_eq!(spread(&[]), (None, None, None, 0));
        assert_eq!(spread(&[7]), (Some(7), Some(7), Some(7), 7));
        assert_eq!(spread(&[4, 1, 3, 2]), (Some(2), Some(4), Some(4), 10));
        let ten: Vec<u64> = (1..=10).collect();
        assert_eq!(spread(&ten), (Some(5), Some(9), Some(10), 55));
    }

    proptest! {
        #[test]
        fn a_merged_histogram_is_that_of_all_values(
            a in proptest::collection::vec(0u64..300, 0..40),
            b in proptest::collection::vec(0u64..300, 0..40),
        ) {
            let mut merged = of(&a);
            merged.merge(of(&b));
            let mut all = [a, b].concat();
            prop_assert_eq!(&merged, &of(&all));
            all.sort_unstable();
            let rank = (all.len() * 9).div_ceil(10);
            prop_assert_eq!(merged.spread().p90, rank.checked_sub(1).map(|at| all[at]));
            for bin in merged.doubling() {
                let inside = all.iter().filter(|value| (bin.least..=bin.most).contains(value));
                prop_assert_eq!(inside.count() as u64, bin.count);
            }
        }
    }
}
