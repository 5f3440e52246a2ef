//! Targets of one family as sorted, disjoint segments. A million plain addresses need 13 bytes each. A /8 of drawn hosts needs about 20
//! bytes in total.

mod stored;

use super::labels::PLAIN;
use super::prefixes::{Draw, Family};

/// Set in `owner` if the segment holds the drawn hosts of each block. Otherwise the segment holds every address.
const DRAWN: u32 = 1 << 31;

/// Consecutive targets with the same entry. The fields are stored together, so that a random look-up needs one memory access.
#[derive(Clone, Copy, Debug)]
struct Segment<A> {
    /// First address. For a drawn segment: the start of its first block.
    start: A,
    /// Number of its first target.
    first: u32,
    /// The entry of the segment's input, and the flag `DRAWN`.
    owner: u32,
}

/// Sorted, disjoint segments, and the numbers of their targets.
#[derive(Debug)]
pub(super) struct Segments<A> {
    segments: Vec<Segment<A>>,
    /// The segment of every target whose number is a multiple of 2^shift, and the last segment.
    hints: Vec<u32>,
    shift: u32,
    len: u128,
    /// The address or block start that would extend the last segment.
    next: u128,
    draw: Draw,
}

impl<A: Family> Segments<A> {
    pub(super) fn new(draw: Draw) -> Self {
        Segments {
            segments: Vec::new(),
            hints: Vec::new(),
            shift: 0,
            len: 0,
            next: 0,
            draw,
        }
    }

    /// How hosts of prefixes are drawn.
    pub(super) fn draw(&self) -> Draw {
        self.draw
    }

    /// The number of targets. The loader refuses more than `u32::MAX`.
    pub(super) fn len(&self) -> u128 {
        self.len
    }

    /// Adds every address from `first` to `last`. They must be higher than all addresses added before.
    pub(super) fn push_all(&mut self, first: u128, last: u128, entry: u32) {
        self.push(first, entry);
        self.len += last - first + 1;
        self.next = last.wrapping_add(1);
    }

    /// Adds the drawn hosts of the blocks from `first` to `last`. They must be higher than all addresses added before.
    pub(super) fn push_drawn(&mut self, first: u64, last: u64, entry: u32) {
        self.push(A::block_first(first), entry | DRAWN);
        self.len += u128::from(last - first + 1) * u128::from(A::per_block(&self.draw));
        self.next = A::block_last(last).wrapping_add(1);
    }

    fn push(&mut self, start: u128, owner: u32) {
        let last = self.segments.last();
        if last.is_some_and(|last| last.owner == owner) && self.next == start {
            return;
        }
        self.segments.push(Segment {
            start: A::from_bits(start),
            // A set with too many targets is refused before any look-up.
            first: self.len as u32,
            owner,
        });
    }

    /// Prepares the segments for look-ups.
    pub(super) fn finish(&mut self) {
        self.segments.shrink_to_fit();
        let Some(last) = self.len.checked_sub(1).and_then(|n| u32::try_from(n).ok()) else {
            return;
        };
        let wanted = (self.segments.len() / 4).max(1) as u32;
        while last >> self.shift > wanted {
            self.shift += 1;
        }
        self.hints.reserve_exact((last >> self.shift) as usize + 2);
        let mut segment = 0;
        for bucket in 0..=last >> self.shift {
            let next = |at: usize| self.segments.get(at + 1);
            while next(segment).is_some_and(|next| next.first <= bucket << self.shift) {
                segment += 1;
            }
            self.hints.push(segment as u32);
        }
        self.hints.push(self.segments.len() as u32 - 1);
    }

    /// Returns the segment of target `id`. Reads one hint, then searches the few segments up to the next hint.
    fn segment(&self, id: u32) -> &Segment<A> {
        let bucket = (id >> self.shift) as usize;
        let low = self.hints[bucket] as usize;
        let high = self.hints[bucket + 1] as usize;
        let behind = self.segments[low + 1..=high].partition_point(|s| s.first <= id);
        &self.segments[low + behind]
    }

    /// The address of target `id`, counted from 0 within this family.
    pub(super) fn address(&self, id: u32) -> A {
        let segment = self.segment(id);
        let (start, behind) = (segment.start, id - segment.first);
        if segment.owner & DRAWN == 0 {
            return A::from_bits(start.bits() + u128::from(behind));
        }
        let each = u32::from(A::per_block(&self.draw));
        let block = start.block_of() + u64::from(behind / each);
        A::drawn(
            A::from_bits(A::block_first(block)),
            (behind % each) as u8,
            &self.draw,
        )
    }

    /// The entry of target `id`, or [`PLAIN`] if it has none.
    pub(super) fn entry(&self, id: u32) -> u32 {
        self.segment(id).owner & PLAIN
    }

    /// Bytes of memory in use.
    pub(super) fn heap_bytes(&self) -> usize {
        self.segments.capacity() * size_of::<Segment<A>>()
            + self.hints.capacity() * size_of::<u32>()
    }
}
