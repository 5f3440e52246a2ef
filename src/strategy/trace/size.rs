//! Searches for the path MTU (RFC 1191, RFC 8201). Probes that must not be fragmented start large and shrink to what the path
//! carries.

use std::collections::BTreeMap;

/// Sizes to try when a router does not state the MTU of its next link. The plateaus of RFC 1191, section 7, and the MTUs of
/// common tunnels over Ethernet.
const PLATEAUS: [u16; 18] = [
    65_535, 32_000, 17_914, 9_000, 8_166, 4_352, 2_002, 1_500, 1_492, 1_480, 1_460, 1_420, 1_400,
    1_280, 1_006, 576, 296, 68,
];

/// How often one hop, or the distance, is asked again because the probe was too large.
const MOST_RESENDS: u8 = 24;

/// What a probe asks for. At the maximum TTL both are asked for, and each counts its attempts separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// The distance of the target.
    Distance,
    /// The hop at this TTL.
    Hop(u8),
}

/// The current probe size of a path.
#[derive(Debug, Default)]
pub struct SizeFinder {
    current: Option<u16>,
    resends: BTreeMap<Asked, u8>,
}

impl SizeFinder {
    /// Starts with probes of `start` bytes. `None`: sizes are not searched for.
    pub fn new(start: Option<u16>) -> Self {
        SizeFinder {
            current: start,
            resends: BTreeMap::new(),
        }
    }

    /// The size of the next probe, in bytes.
    pub fn current(&self) -> Option<u16> {
        self.current
    }

    /// How many attempts at the hop with `ttl` were repeated because they were too large.
    pub fn resends(&self, ttl: u8) -> u8 {
        self.resends.get(&Asked::Hop(ttl)).copied().unwrap_or(0)
    }

    /// Records that a probe of `sent` bytes was too large for a link with the MTU `limit`.
    /// Returns whether a smaller probe is to be sent in its place.
    pub fn too_large(&mut self, asked: Asked, sent: Option<u16>, limit: Option<u32>) -> bool {
        let (Some(current), Some(sent)) = (self.current, sent) else {
            return false;
        };
        let resends = self.resends.entry(asked).or_default();
        if *resends >= MOST_RESENDS {
            return false;
        }
        let told = limit
            .and_then(|limit| u16::try_from(limit).ok())
            .filter(|limit| (PLATEAUS[PLATEAUS.len() - 1]..sent).contains(limit));
        let smaller = told.or_else(|| PLATEAUS.into_iter().find(|size| *size < sent));
        let Some(smaller) = smaller else {
            return false;
        };
        *resends += 1;
        self.current = Some(current.min(smaller));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_that_a_router_states_is_taken() {
        let mut finder = SizeFinder::new(Some(1_500));
        assert!(finder.too_large(Asked::Hop(5), Some(1_500), Some(1_400)));
        assert_eq!(finder.current(), Some(1_400));
        // Another probe of the first size was pending. It is sent again with the smallest size known.
        assert!(finder.too_large(Asked::Hop(6), Some(1_500), Some(1_450)));
        assert_eq!((finder.current(), finder.resends(6)), (Some(1_400), 1));
    }

    #[test]
    fn without_a_stated_size_the_next_plateau_is_tried() {
        let mut finder = SizeFinder::new(Some(1_500));
        for wanted in [1_492, 1_480, 1_460] {
            assert!(finder.too_large(Asked::Hop(5), finder.current(), Some(0)));
            assert_eq!(finder.current(), Some(wanted));
        }
        // A stated size that is larger than the probe is ignored.
        assert!(finder.too_large(Asked::Hop(5), Some(1_460), Some(9_000)));
        assert_eq!(finder.current(), Some(1_420));
    }

    #[test]
    fn the_search_gives_up_after_a_bounded_number_of_probes() {
        let mut finder = SizeFinder::new(Some(1_500));
        let count = (0..1_000)
            .take_while(|_| finder.too_large(Asked::Hop(9), finder.current(), None))
            .count();
        assert_eq!(count, 10, "down to 68 bytes");
        let mut stuck = SizeFinder::new(Some(1_500));
        let count = (0..1_000)
            .take_while(|_| stuck.too_large(Asked::Hop(9), Some(1_500), None))
            .count();
        assert_eq!(count, usize::from(MOST_RESENDS));
        assert!(!SizeFinder::default().too_large(Asked::Hop(1), Some(1_500), Some(1_400)));
    }
}
