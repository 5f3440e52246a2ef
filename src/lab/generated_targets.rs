//! Which addresses are targets of a generated network.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Every prefix with targets, as the fewest prefixes that say so.
pub(super) fn target_prefixes() -> Vec<Ipv4Net> {
    let everything = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
    let mut found = Vec::new();
    cut(everything, &mut found);
    found
}

/// Whether the addresses with these first three bytes are targets.
pub(super) fn is_target(block: u32) -> bool {
    !EXCLUDED
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&block))
}

/// The /24s without targets, as ranges of the first three bytes.
const EXCLUDED: [(u32, u32); 5] = [
    (0x000000, 0x00ffff),
    (0x0a0000, 0x0affff),
    (0x7f0000, 0x7fffff),
    (0xc00002, 0xc00002),
    (0xe00000, 0xffffff),
];

/// Halves a prefix until each part is wholly targets or has none.
fn cut(prefix: Ipv4Net, found: &mut Vec<Ipv4Net>) {
    let [start, end] = [prefix.network(), prefix.broadcast()].map(|a| u32::from(a) >> 8);
    let mut touching = EXCLUDED
        .iter()
        .filter(|(first, last)| *first <= end && *last >= start)
        .peekable();
    if touching.peek().is_none() {
        found.push(prefix);
    } else if !touching.any(|(first, last)| *first <= start && *last >= end) {
        for half in prefix
            .subnets(prefix.prefix_len() + 1)
            .into_iter()
            .flatten()
        {
            cut(half, found);
        }
    }
}
