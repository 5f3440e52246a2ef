//! Puts fragmented packets together again: answers that were too large for a line on the way back.
//!
//! It serves what the kernel passes on before it has put fragments together itself: packet rings, and networks in virtual time. Raw
//! IPv4 sockets and ordinary sockets get whole packets from the kernel.
//!
//! - At most [`DATAGRAMS`] packets are open at a time, with [`BYTES`] bytes and [`FRAGMENTS`] fragments each. The oldest gives way.
//! - A packet whose first fragment came [`AGE`] before, by the packets' own stamps, is given up, as Linux does.
//! - Fragments that overlap spoil the whole packet, those still to come included (RFC 5722). A copy of a fragment does not (RFC 8200).
//! - The packet that comes out has the first fragment's header. Its time is that of the fragment that completed it, as with the kernel.
//!
//! A packet put together counts as one packet. Every fragment that became part of none comes out of [`Reassembler::take_dropped`].

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::checksum::Sum;
use super::headers::{self, FRAGMENT_HEADER};
use super::ip::{IPV4_HEADER, IPV6_HEADER};
use crate::model::{DiscardReason, Time};

/// Packets put together at a time.
pub const DATAGRAMS: usize = 256;
/// Bytes of fragments kept.
pub const BYTES: usize = 1 << 20;
/// Fragments of one packet. A packet of 64 KiB in pieces of 1,280 bytes has 52.
pub const FRAGMENTS: usize = 64;
/// How long the rest of a packet is waited for.
pub const AGE: Duration = Duration::from_secs(30);

/// The largest packet: its length has 16 bits.
const LARGEST: usize = 0xffff;

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<'a> {
    /// It is whole: as it came, or put together.
    Whole(&'a [u8]),
    /// It is a fragment, and others are awaited; or it was dropped, and comes out of [`Reassembler::take_dropped`].
    Kept,
}

/// A packet or fragment that became part of no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When it came.
    pub at: Time,
    /// Why it was dropped.
    pub reason: DiscardReason,
    /// As it came.
    pub packet: Vec<u8>,
}

/// Fragments that wait for others.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// Oldest first.
    open: VecDeque<Open>,
    bytes: usize,
    whole: Vec<u8>,
    dropped: Vec<Dropped>,
}

/// What the fragments of a packet share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// Only IPv4 tells packets apart by it.
    protocol: Option<u8>,
}

/// A packet of which fragments are there.
#[derive(Debug)]
struct Open {
    key: Key,
    since: Time,
    /// In the order of their offsets; they do not overlap.
    fragments: Vec<Fragment>,
    /// Fragments have overlapped: nothing comes of it any more.
    spoilt: bool,
}

/// A fragment.
#[derive(Debug)]
struct Fragment {
    at: Time,
    packet: Vec<u8>,
    part: Part,
}

/// Which part of a packet a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// Where it begins in what was cut.
    offset: usize,
    /// Whether more follows.
    more: bool,
    /// Where its bytes begin in the fragment.
    starts: usize,
    /// Where the fragment ends: what stands behind is no part of it.
    ends: usize,
    /// IPv6: the fragment header's place, that of the byte which names it, and the number of the header behind it.
    header: Option<(usize, usize, u8)>,
}

impl Part {
    /// Where it ends in what was cut.
    fn until(&self) -> usize {
        self.offset + (self.ends - self.starts)
    }
}

impl Reassembler {
    /// Takes a received packet, from its IP header on. What is no fragment is given back as it is, readable or not.
    #[inline]
    pub fn take<'a>(&'a mut self, packet: &'a [u8], at: Time) -> Taken<'a> {
        match may_be_fragment(packet) {
            false => Taken::Whole(packet),
            true => self.take_fragment(packet, at),
        }
    }

    /// What was dropped since the last call.
    pub fn take_dropped(&mut self) -> std::vec::Drain<'_, Dropped> {
        self.dropped.drain(..)
    }

    /// Gives up what is incomplete: at the end of a run.
    pub fn give_up(&mut self) {
        while self.drop_oldest() {}
    }

    fn take_fragment<'a>(&'a mut self, packet: &'a [u8], at: Time) -> Taken<'a> {
        let (key, part) = match read(packet) {
            Ok(Some(fragment)) => fragment,
            Ok(None) => return Taken::Whole(packet),
            Err(reason) => {
                self.drop(packet.to_vec(), at, reason);
                return Taken::Kept;
            }
        };
        while self
            .open
            .front()
            .is_some_and(|oldest| at.since(oldest.since) > AGE)
        {
            self.drop_oldest();
        }
        let packet = packet[..part.ends].to_vec();
        let known = self.open.iter().position(|open| open.key == key);
        let place = known.unwrap_or_else(|| self.begin(key, at, packet.len()));
        let open = &mut self.open[place];
        match open.fit(part, &packet) {
            Fit::At(index) => {
                self.bytes += packet.len();
                open.fragments.insert(index, Fragment { at, packet, part });
            }
            Fit::Copy => {
                self.drop(packet, at, DiscardReason::Fragment);
                return Taken::Kept;
            }
            Fit::Spoils => {
                open.spoilt = true;
                let spoilt = std::mem::take(&mut open.fragments);
                self.forget(spoilt);
                self.drop(packet, at, DiscardReason::Fragment);
                return Taken::Kept;
            }
        }
        if !open.is_complete() {
            self.shrink();
            return Taken::Kept;
        }
        if let Some(complete) = self.open.remove(place) {
            let sizes = complete.fragments.iter().map(|part| part.packet.len());
            self.bytes -= sizes.sum::<usize>();
            join(&complete.fragments, &mut self.whole);
        }
        Taken::Whole(&self.whole)
    }

    /// Begins a packet, at whose cost older ones give way, and returns its place.
    fn begin(&mut self, key: Key, since: Time, bytes: usize) -> usize {
        while self.open.len() >= DATAGRAMS || self.bytes + bytes > BYTES {
            if !self.drop_oldest() {
                break;
            }
        }
        self.open.push_back(Open {
            key,
            since,
            fragments: Vec::new(),
            spoilt: false,
        });
        self.open.len() - 1
    }

    /// Keeps to the bound in bytes.
    fn shrink(&mut self) {
        while self.bytes > BYTES && self.drop_oldest() {}
    }

    /// Gives up the packet that was begun first; `false` when there is none.
    fn drop_oldest(&mut self) -> bool {
        match self.open.pop_front() {
            Some(oldest) => {
                self.forget(oldest.fragments);
                true
            }
            None => false,
        }
    }

    fn forget(&mut self, fragments: Vec<Fragment>) {
        for fragment in fragments {
            self.bytes -= fragment.packet.len();
            self.drop(fragment.packet, fragment.at, DiscardReason::Fragment);
        }
    }

    fn drop(&mut self, packet: Vec<u8>, at: Time, reason: DiscardReason) {
        self.dropped.push(Dropped { at, reason, packet });
    }
}

/// How a fragment fits to those that are there.
enum Fit {
    /// Between others, at this place among them.
    At(usize),
    /// It is there already, byte for byte.
    Copy,
    /// It overlaps, reaches behind the end, or is one too many.
    Spoils,
}

impl Open {
    fn fit(&self, part: Part, packet: &[u8]) -> Fit {
        if self.spoilt {
            return Fit::Spoils;
        }
        let behind = self
            .fragments
            .partition_point(|there| there.part.offset < part.offset);
        if let Some(next) = self.fragments.get(behind) {
            let same = next.part == part && next.packet[part.starts..] == packet[part.starts..];
            if same {
                return Fit::Copy;
            }
            if !part.more || next.part.offset < part.until() {
                return Fit::Spoils;
            }
        }
        if let Some(before) = self.fragments[..behind].last()
            && (!before.part.more || before.part.until() > part.offset)
        {
            return Fit::Spoils;
        }
        match self.fragments.len() < FRAGMENTS {
            true => Fit::At(behind),
            false => Fit::Spoils,
        }
    }

    fn is_complete(&self) -> bool {
        let mut until = 0;
        for fragment in &self.fragments {
            if fragment.part.offset != until {
                return false;
            }
            until = fragment.part.until();
        }
        self.fragments.last().is_some_and(|last| !last.part.more)
    }
}

/// Whether it is worth a closer look: for nearly all packets two comparisons.
#[inline]
fn may_be_fragment(packet: &[u8]) -> bool {
    match packet {
        [first, ..] if first >> 4 == 6 => packet
            .get(6)
            .is_some_and(|next| headers::is_extension(*next)),
        [first, _, _, _, _, _, flags, offset, ..] if first >> 4 == 4 => {
            flags & 0x3f != 0 || *offset != 0
        }
        _ => false,
    }
}

/// Reads a fragment; `None` if the packet is whole, or nothing that is put together.
fn read(packet: &[u8]) -> Result<Option<(Key, Part)>, DiscardReason> {
    let found = match packet[0] >> 4 {
        6 => read_v6(packet)?,
        _ => read_v4(packet)?,
    };
    let Some((key, part)) = found else {
        return Ok(None);
    };
    if packet.len() < part.ends {
        return Err(DiscardReason::Truncated);
    }
    let size = part.ends.saturating_sub(part.starts);
    // All but the last end at a multiple of 8, and none reaches behind the largest packet.
    if size == 0 || part.more && size % 8 != 0 || part.starts + part.offset + size > LARGEST {
        return Err(DiscardReason::Fragment);
    }
    Ok(Some((key, part)))
}

fn read_v4(packet: &[u8]) -> Result<Option<(Key, Part)>, DiscardReason> {
    let header = packet
        .first_chunk::<IPV4_HEADER>()
        .ok_or(DiscardReason::Truncated)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let starts = usize::from(header[0] & 0x0f) * 4;
    let ends = usize::from(word(2));
    if starts < IPV4_HEADER || ends < starts {
        return Err(DiscardReason::Malformed);
    }
    let [source, destination] = [12, 16].map(|at| {
        let octets = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        IpAddr::from(octets)
    });
    let key = Key {
        source,
        destination,
        identification: word(4).into(),
        protocol: Some(header[9]),
    };
    let part = Part {
        offset: usize::from(word(6) & 0x1fff) * 8,
        more: word(6) & 0x2000 != 0,
        starts,
        ends,
        header: None,
    };
    Ok((part.more || part.offset > 0).then_some((key, part)))
}

fn read_v6(packet: &[u8]) -> Result<Option<(Key, Part)>, DiscardReason> {
    let (header, behind) = packet
        .split_first_chunk::<IPV6_HEADER>()
        .ok_or(DiscardReason::Truncated)?;
    let carried = headers::walk_uncut(header[6], behind)?;
    let Some(fragment) = carried.fragment.filter(|fragment| !fragment.is_atomic()) else {
        return Ok(None);
    };
    let [source, destination] = [8, 24].map(|at| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        IpAddr::from(octets)
    });
    let key = Key {
        source,
        destination,
        identification: fragment.identification,
        protocol: None,
    };
    let at = IPV6_HEADER + fragment.at;
    let part = Part {
        offset: fragment.offset,
        more: fragment.more,
        starts: at + FRAGMENT_HEADER,
        ends: IPV6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]])),
        header: Some((
            at,
            fragment.named_at.map_or(6, |named| IPV6_HEADER + named),
            fragment.next,
        )),
    };
    Ok(Some((key, part)))
}

/// Writes the packet that `fragments` make, which are complete and in order.
fn join(fragments: &[Fragment], whole: &mut Vec<u8>) {
    whole.clear();
    let Some(first) = fragments.first() else {
        return;
    };
    let headers_end = first.part.header.map_or(first.part.starts, |(at, ..)| at);
    whole.extend_from_slice(&first.packet[..headers_end]);
    for fragment in fragments {
        whole.extend_from_slice(&fragment.packet[fragment.part.starts..]);
    }
    let size = u16::try_from(whole.len()).unwrap_or(u16::MAX);
    match first.part.header {
        Some((_, named_at, next)) => {
            whole[named_at] = next;
            whole[4..6].copy_from_slice(&(size - IPV6_HEADER as u16).to_be_bytes());
        }
        None => {
            whole[2..4].copy_from_slice(&size.to_be_bytes());
            whole[6] &= 0xc0;
            whole[7] = 0;
            whole[10..12].fill(0);
            let checksum = Sum::default().bytes(&whole[..headers_end]).checksum();
            whole[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
