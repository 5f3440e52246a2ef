//! Turns stretches into disjoint segments without excluded addresses. The stretches may overlap, and may come in any order.
//!
//! - An address belongs to the first input that contains it.
//! - Prefixes are nested or disjoint. So one walk over them in order, with a stack of the open prefixes, finds the owner of each stretch.
//! - A block is handled address by address only if it holds single addresses, or if an exclusion covers a part of it. All other blocks
//!   stay whole.

use std::cmp::Reverse;

use rayon::slice::ParallelSliceMut;

use super::conflicts::Conflicts;
use super::exclusions::{Excluded, Exclusion};
use super::prefixes::{Draw, Family};
use super::segments::Segments;
use super::special::SpecialUse;

/// A stretch of targets within one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Explicit<A> {
    pub(super) first: A,
    /// The number of the input. If several inputs contain an address, the lowest number owns it.
    pub(super) order: u32,
    pub(super) entry: u32,
    /// The number of addresses after the first.
    pub(super) further: u8,
}

/// Addresses or blocks from `first` to `last`, both included, with one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) first: u128,
    pub(super) last: u128,
    pub(super) order: u32,
    pub(super) entry: u32,
}

/// The stretches of one family.
#[derive(Debug)]
pub(super) struct Requested<A> {
    pub(super) explicit: Vec<Explicit<A>>,
    /// Prefixes shorter than a block, in numbers of blocks.
    pub(super) drawn: Vec<Stretch>,
}

impl<A> Default for Requested<A> {
    fn default() -> Self {
        Requested {
            explicit: Vec::new(),
            drawn: Vec::new(),
        }
    }
}

/// Counts of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Distinct addresses in the inputs.
    pub(super) distinct: u128,
    /// By special use.
    pub(super) special: [u128; SpecialUse::ALL.len()],
    pub(super) blocked: u128,
}

/// Turns nested or disjoint stretches into disjoint ones, in ascending order. Each part belongs to the stretch with the lowest `order` that
/// contains it.
///
/// For each part, calls `lost` with every other stretch that contains it, and with the part. A stretch for which `lost` returns `false` is
/// not given to `lost` again.
pub(super) fn flatten(
    stretches: &mut [Stretch],
    mut emit: impl FnMut(Stretch),
    mut lost: impl FnMut(&Stretch, &Stretch) -> bool,
) {
    stretches.sort_unstable_by_key(|s| (s.first, Reverse(s.last), s.order));
    // Each with the order and the entry of its owner.
    let mut open: Vec<Stretch> = Vec::new();
    // Those that contain the next part, as they were given. Also some that have ended.
    let mut losers: Vec<Stretch> = Vec::new();
    // All numbers below this one were emitted. `None` after the largest number.
    let mut at = Some(0);
    let mut close = |at: &mut Option<u128>, losers: &mut Vec<Stretch>, top: Stretch| {
        if let Some(first) = at.filter(|first| *first <= top.last) {
            let part = Stretch { first, ..top };
            losers.retain(|loser| {
                loser.last >= first && (loser.order == part.order || lost(loser, &part))
            });
            emit(part);
            *at = top.last.checked_add(1);
        }
    };
    for stretch in stretches.iter() {
        while let Some(top) = open.pop_if(|top| top.last < stretch.first) {
            close(&mut at, &mut losers, top);
        }
        let mut inner = *stretch;
        if let Some(top) = open.last() {
            if stretch.first > 0 {
                let last = stretch.first - 1;
                close(&mut at, &mut losers, Stretch { last, ..*top });
            }
            if top.order < inner.order {
                (inner.order, inner.entry) = (top.order, top.entry);
            }
        }
        if at.is_some() {
            at = at.max(Some(stretch.first));
        }
        open.push(inner);
        losers.push(*stretch);
    }
    while let Some(top) = open.pop() {
        close(&mut at, &mut losers, top);
    }
}

/// Builds the segments of one family. Notes the labels that are not used in `conflicts`.
pub(super) fn merge<A: Family>(
    mut requested: Requested<A>,
    excluded: &[Excluded],
    draw: Draw,
    conflicts: &mut Conflicts<'_>,
) -> (Segments<A>, Tally) {
    requested
        .explicit
        .par_sort_unstable_by_key(|e| (e.first, e.order));
    let mut runs = Vec::new();
    flatten(&mut requested.drawn, |run| runs.push(run), |_, _| false);
    let mut losers = Losers {
        conflicts,
        later: &requested.drawn,
        around: Vec::new(),
    };
    let mut merger = Merger {
        segments: Segments::new(draw),
        tally: Tally::default(),
        excluded,
        draw,
        parts: Vec::new(),
    };
    let mut runs = runs.into_iter().peekable();
    for group in requested
        .explicit
        .chunk_by(|a, b| a.first.block_of() == b.first.block_of())
    {
        let block = u128::from(group[0].first.block_of());
        while let Some(run) = runs.next_if(|run| run.last < block) {
            merger.run(run, &mut losers);
        }
        let around = runs.peek_mut().filter(|run| run.first <= block);
        let owner = around.as_deref().copied();
        if let Some(run) = around {
            if run.first < block {
                let last = block - 1;
                merger.run(Stretch { last, ..*run }, &mut losers);
            }
            run.first = block + 1;
            if run.first > run.last {
                runs.next();
            }
        }
        merger.block(block as u64, group, owner, &mut losers);
    }
    for run in runs {
        merger.run(run, &mut losers);
    }
    merger.segments.finish();
    (merger.segments, merger.tally)
}

/// Notes the inputs that lose labels.
struct Losers<'a, 'l> {
    conflicts: &'a mut Conflicts<'l>,
    /// The drawn prefixes that start behind the current block, in order.
    later: &'a [Stretch],
    /// The drawn prefixes that contain the current block and may lose labels there.
    around: Vec<Stretch>,
}

impl Losers<'_, '_> {
    /// Goes on to a block. Blocks ascend.
    fn go_to(&mut self, block: u128) {
        while let Some((next, later)) = self.later.split_first()
            && next.first <= block
        {
            self.around.push(*next);
            self.later = later;
        }
        let conflicts = &*self.conflicts;
        self.around
            .retain(|s| s.last >= block && conflicts.is_open((s.order, s.entry)));
    }

    /// Notes that `loser` does not own the part. Returns whether more can be learnt about `loser`.
    fn note(&mut self, loser: &Stretch, part: &Stretch) -> bool {
        self.conflicts.note((loser.order, loser.entry), part.entry)
    }

    /// Notes the inputs that lose drawn hosts to the owner of a run. All blocks of a run lie in the same prefixes.
    fn note_run(&mut self, run: &Stretch) {
        self.go_to(run.first);
        for loser in &self.around {
            if loser.order != run.order {
                self.conflicts.note((loser.order, loser.entry), run.entry);
            }
        }
    }
}

struct Merger<'a, A> {
    segments: Segments<A>,
    tally: Tally,
    excluded: &'a [Excluded],
    draw: Draw,
    parts: Vec<Stretch>,
}

impl<'a, A: Family> Merger<'a, A> {
    /// The exclusions that overlap the addresses from `first` to `last`.
    fn excluded(&self, first: u128, last: u128) -> &'a [Excluded] {
        let from = self.excluded.partition_point(|e| e.last < first);
        let rest = &self.excluded[from..];
        &rest[..rest.partition_point(|e| e.first <= last)]
    }

    fn exclude(&mut self, why: Exclusion, addresses: u128) {
        match why {
            Exclusion::Special(special) => self.tally.special[special as usize] += addresses,
            Exclusion::Blocked => self.tally.blocked += addresses,
        }
    }

    /// Adds the drawn hosts of the blocks in `run`. No input has single addresses in these blocks.
    fn run(&mut self, run: Stretch, losers: &mut Losers<'_, '_>) {
        losers.note_run(&run);
        let each = u128::from(A::per_block(&self.draw));
        // Block numbers have at most 48 bits.
        let (mut first, last) = (run.first as u64, run.last as u64);
        for excluded in self.excluded(A::block_first(first), A::block_last(last)) {
            let from = A::from_bits(excluded.first.max(A::block_first(first)));
            let to = A::from_bits(excluded.last.min(A::block_last(last)));
            // If an earlier exclusion overlaps this block, the block was handled then, with all its exclusions.
            if to.block_of() < first {
                continue;
            }
            let partial =
                |block| from.bits() > A::block_first(block) || to.bits() < A::block_last(block);
            let (head, tail) = (from.block_of().max(first), to.block_of());
            if first < head {
                self.drawn(first, head - 1, run.entry);
            }
            first = head;
            if partial(first) {
                self.block(first, &[], Some(run), losers);
                first += 1;
            }
            let whole_to = if partial(tail) { tail } else { tail + 1 };
            if first < whole_to {
                let addresses = u128::from(whole_to - first) * each;
                self.tally.distinct += addresses;
                self.exclude(excluded.why, addresses);
                first = whole_to;
            }
            if first == tail {
                self.block(first, &[], Some(run), losers);
                first += 1;
            }
            if first > last {
                return;
            }
        }
        self.drawn(first, last, run.entry);
    }

    fn drawn(&mut self, first: u64, last: u64, entry: u32) {
        self.tally.distinct += u128::from(last - first + 1) * u128::from(A::per_block(&self.draw));
        self.segments.push_drawn(first, last, entry);
    }

    /// Adds one block address by address: the addresses in `group`, and the drawn hosts if the block lies in a run.
    fn block(
        &mut self,
        block: u64,
        group: &[Explicit<A>],
        run: Option<Stretch>,
        losers: &mut Losers<'_, '_>,
    ) {
        losers.go_to(block.into());
        let mut parts = std::mem::take(&mut self.parts);
        parts.clear();
        parts.extend(group.iter().map(|e| Stretch {
            first: e.first.bits(),
            last: e.first.bits() + u128::from(e.further),
            order: e.order,
            entry: e.entry,
        }));
        if let Some(run) = run {
            let start = A::from_bits(A::block_first(block));
            let others = losers.around.iter().filter(|s| s.order != run.order);
            for nth in 0..A::per_block(&self.draw) {
                let first = A::drawn(start, nth, &self.draw).bits();
                let host = |prefix: &Stretch| Stretch {
                    first,
                    last: first,
                    ..*prefix
                };
                parts.push(host(&run));
                parts.extend(others.clone().map(host));
            }
        }
        flatten(
            &mut parts,
            |part| self.part(part),
            |loser, part| losers.note(loser, part),
        );
        self.parts = parts;
    }

    /// Adds a stretch without its excluded addresses.
    fn part(&mut self, part: Stretch) {
        self.tally.distinct += part.last - part.first + 1;
        let mut first = Some(part.first);
        for excluded in self.excluded(part.first, part.last) {
            let Some(from) = first else { return };
            if from < excluded.first {
                self.segments.push_all(from, excluded.first - 1, part.entry);
            }
            let (from, to) = (from.max(excluded.first), part.last.min(excluded.last));
            self.exclude(excluded.why, to - from + 1);
            first = to.checked_add(1);
        }
        if let Some(first) = first.filter(|first| *first <= part.last) {
            self.segments.push_all(first, part.last, part.entry);
        }
    }
}
