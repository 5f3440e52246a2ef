//! Reassembles fragmented packets: replies that were too large for a link on the way back.
//!
//! Packet rings and networks in virtual time need this, because they deliver packets before the kernel reassembles them. Raw
//! IPv4 sockets and ordinary sockets deliver whole packets.
//!
//! - At most [`DATAGRAMS`] packets are open at a time, with [`FRAGMENTS`] fragments each and [`BYTES`] bytes altogether. The
//!   oldest is dropped to make room.
//! - A packet is dropped if it is incomplete [`AGE`] after its first fragment, by the timestamps of the packets. Linux does the
//!   same.
//! - An overlap spoils the whole packet, including the fragments still to come (RFC 5722). A copy of a fragment does not
//!   (RFC 8200).
//! - A reassembled packet has the header of its first fragment. Its timestamp is that of the fragment that completed it, as in
//!   the kernel.
//!
//! A reassembled packet counts as one packet. [`Reassembler::take_dropped`] returns every fragment that was not used.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::checksum::Sum;
use super::headers::{self, FRAGMENT_HEADER};
use super::ip::{IPV4_HEADER, IPV6_HEADER};
use crate::model::{DiscardReason, Time};

/// The most packets that are open at a time.
pub const DATAGRAMS: usize = 256;
/// The most bytes of fragments that are kept, over all open packets.
pub const BYTES: usize = 1 << 20;
/// The most fragments of one packet. A packet of 64 KiB in fragments of 1,280 bytes has 52.
pub const FRAGMENTS: usize = 64;
/// How long a packet stays open.
pub const AGE: Duration = Duration::from_secs(30);

/// The size of the largest packet: the length field has 16 bits.
const LARGEST: usize = 0xffff;

/// The result of taking a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<'a> {
    /// The packet is whole: it was not fragmented, or it is reassembled now.
    Whole(&'a [u8]),
    /// The packet is a fragment and others are missing; or it was dropped, and [`Reassembler::take_dropped`] returns it.
    Kept,
}

/// A packet or fragment that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When it was received.
    pub at: Time,
    /// Why it was dropped.
    pub reason: DiscardReason,
    /// The packet as received.
    pub packet: Vec<u8>,
}

/// The fragments of incomplete packets.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// Oldest first.
    open: VecDeque<Open>,
    bytes: usize,
    whole: Vec<u8>,
    dropped: Vec<Dropped>,
}

/// The fields that identify the packet of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// Part of the key in IPv4 only.
    protocol: Option<u8>,
}

/// A packet that is not complete.
#[derive(Debug)]
struct Open {
    key: Key,
    since: Time,
    /// Sorted by offset; they do not overlap.
    fragments: Vec<Fragment>,
    /// Fragments have overlapped. The packet is never completed.
    spoilt: bool,
}

/// A fragment.
#[derive(Debug)]
struct Fragment {
    at: Time,
    packet: Vec<u8>,
    part: Part,
}

/// The part of a packet that a fragment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// The position of the part in the fragmented data.
    offset: usize,
    /// Whether more fragments follow.
    more: bool,
    /// The start of the part in the fragment.
    starts: usize,
    /// The end of the fragment. Bytes after it are padding.
    ends: usize,
    /// IPv6: the positions of the fragment header and of the byte that names it, and the number of the next header.
    header: Option<(usize, usize, u8)>,
}

impl Part {
    /// The end of the part in the fragmented data.
    fn until(&self) -> usize {
        self.offset + (self.ends - self.starts)
    }
}

impl Reassembler {
    /// Takes a received packet, starting with its IP header. Returns a packet that is not a fragment unchanged, readable or
    /// not.
    #[inline]
    pub fn take<'a>(&'a mut self, packet: &'a [u8], at: Time) -> Taken<'a> {
        match may_be_fragment(packet) {
            false => Taken::Whole(packet),
            true => self.take_fragment(packet, at),
        }
    }

    /// Removes and returns what was dropped since the last call.
    pub fn take_dropped(&mut self) -> std::vec::Drain<'_, Dropped> {
        self.dropped.drain(..)
    }

    /// Drops all incomplete packets, at the end of a run.
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

    /// Opens a packet and returns its index. Drops older ones to make room.
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

    /// Drops the oldest packets until the limit on bytes is kept.
    fn shrink(&mut self) {
        while self.bytes > BYTES && self.drop_oldest() {}
    }

    /// Drops the oldest open packet. Returns `false` if none is open.
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

/// How a fragment fits in with those that the packet already has.
enum Fit {
    /// It is missing. This is its index.
    At(usize),
    /// It is a copy, byte for byte.
    Copy,
    /// It overlaps, lies beyond the end, or exceeds the limit on fragments.
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

/// Whether the packet may be a fragment. Two comparisons decide this for nearly all packets.
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

/// Reads a fragment. `None` if the packet is not fragmented, or of a kind that is not reassembled.
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
    // Only the last fragment may end at another position than a multiple of 8. No fragment reaches beyond the largest packet.
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

/// Writes the packet that `fragments` form. They must be complete and in order.
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
