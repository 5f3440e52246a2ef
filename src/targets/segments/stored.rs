//! Segments in a stored target set.
//!
//! A segment is three numbers: the addresses between the segment before and this one, its further blocks or addresses, and its owner. The
//! owner is two flags (the segment is drawn; it has an entry), and the step from the last entry if it has one.

use std::io::{self, BufRead, Write};

use super::{DRAWN, Segments};
use crate::targets::labels::PLAIN;
use crate::targets::prefixes::{Draw, Family};
use crate::targets::store::{NumberReader, NumberWriter, StoreError};

const IS_DRAWN: u8 = 1;
const HAS_ENTRY: u8 = 2;

impl<A: Family> Segments<A> {
    pub(in crate::targets) fn store(
        &self,
        writer: &mut NumberWriter<impl Write>,
    ) -> io::Result<()> {
        writer.length(self.segments.len())?;
        let each = u128::from(A::per_block(&self.draw));
        let (mut next, mut entry) = (0_u128, 0);
        for (at, segment) in self.segments.iter().enumerate() {
            let behind = self.segments.get(at + 1);
            let end = behind.map_or(self.len, |behind| u128::from(behind.first));
            let targets = end - u128::from(segment.first);
            let drawn = segment.owner & DRAWN != 0;
            let start = segment.start.bits();
            let (further, last) = if drawn {
                let further = targets / each - 1;
                // Block numbers have at most 48 bits.
                let block = segment.start.block_of() + further as u64;
                (further, A::block_last(block))
            } else {
                (targets - 1, start + (targets - 1))
            };
            writer.number(start - next)?;
            writer.number(further)?;
            // There is no segment behind the last address.
            next = last.wrapping_add(1);
            let owner = segment.owner & PLAIN;
            let has_entry = owner != PLAIN;
            writer.number(u8::from(drawn) * IS_DRAWN + u8::from(has_entry) * HAS_ENTRY)?;
            if has_entry {
                writer.step(entry, owner)?;
                entry = owner;
            }
        }
        Ok(())
    }

    /// Reads segments. Their entries are less than `entries`.
    pub(in crate::targets) fn load(
        reader: &mut NumberReader<impl BufRead>,
        draw: Draw,
        entries: u32,
    ) -> Result<Self, StoreError> {
        let wrong = StoreError::Content("its segments");
        let top = u128::MAX >> (128 - u32::from(A::BITS));
        let blocks = 1_u128 << A::BLOCK;
        let mut segments = Segments::new(draw);
        let count: u32 = reader.small()?;
        let (mut next, mut entry) = (Some(0_u128), 0);
        for _ in 0..count {
            let start = next.and_then(|next| next.checked_add(reader.number().ok()?));
            // No set has more targets than that, and no sum below can overflow.
            let further = u128::from(reader.small::<u32>()?);
            let Some(start) = start.filter(|start| *start <= top) else {
                return Err(wrong);
            };
            let flags: u8 = reader.small()?;
            let owner = if flags & HAS_ENTRY == 0 {
                PLAIN
            } else {
                entry = reader.step(entry)?;
                entry
            };
            if flags & !(IS_DRAWN | HAS_ENTRY) != 0 || (owner != PLAIN && owner >= entries) {
                return Err(wrong);
            }
            let last = if flags & IS_DRAWN == 0 {
                let last = start.checked_add(further).filter(|last| *last <= top);
                last.inspect(|last| segments.push_all(start, *last, owner))
            } else {
                let block = A::from_bits(start).block_of();
                let last = u128::from(block).checked_add(further);
                let last = last.filter(|last| *last < blocks && A::block_first(block) == start);
                // It is less than 2^48.
                last.map(|last| last as u64).map(|last| {
                    segments.push_drawn(block, last, owner);
                    A::block_last(last)
                })
            };
            let Some(last) = last.filter(|_| segments.len() <= u128::from(u32::MAX)) else {
                return Err(wrong);
            };
            next = last.checked_add(1);
        }
        segments.finish();
        Ok(segments)
    }
}
