//! Which of our addresses the kernel sends from, per destination.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::{sys, unsent_reason};
use crate::model::UnsentReason;

/// Entries of the table: with 65,536 a survey in prefix order hardly ever asks the kernel, and it stays within a core's cache.
const ENTRIES: usize = 1 << 16;

/// Any port will do: connecting a UDP socket sends nothing, it only looks up the route.
const PORT: u16 = 33434;

/// Looks up source addresses and remembers them by destination /24, so that the sending loop pays one memory access.
///
/// Routes narrower than a /24 share the answer of whichever of their addresses was asked first. Failures are not remembered.
pub(super) struct SourceTable {
    lookup: Socket,
    entries: Box<[Entry]>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The destination's upper 24 bits; [`Entry::EMPTY`] is above them all.
    prefix: u32,
    source: Ipv4Addr,
}

impl Entry {
    const EMPTY: Entry = Entry {
        prefix: u32::MAX,
        source: Ipv4Addr::UNSPECIFIED,
    };
}

impl SourceTable {
    pub(super) fn new() -> io::Result<Self> {
        Ok(SourceTable {
            lookup: Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?,
            entries: vec![Entry::EMPTY; ENTRIES].into_boxed_slice(),
        })
    }

    /// The address that packets to `destination` leave with.
    pub(super) fn source_for(&mut self, destination: Ipv4Addr) -> Result<Ipv4Addr, UnsentReason> {
        let prefix = u32::from(destination) >> 8;
        let slot = slot(prefix);
        let entry = self.entries[slot];
        if entry.prefix == prefix {
            return Ok(entry.source);
        }
        let source = self.ask_kernel(destination)?;
        self.entries[slot] = Entry { prefix, source };
        Ok(source)
    }

    fn ask_kernel(&self, destination: Ipv4Addr) -> Result<Ipv4Addr, UnsentReason> {
        if destination.is_unspecified() {
            return Err(UnsentReason::Invalid);
        }
        let ask = || {
            // A socket once connected keeps its source address over further connects: that must be undone first.
            sys::disconnect(self.lookup.as_fd())?;
            let there = SocketAddr::V4(SocketAddrV4::new(destination, PORT));
            self.lookup.connect(&there.into())?;
            self.lookup.local_addr()
        };
        let address = ask()
            .map_err(|error| unsent_reason(error.raw_os_error().unwrap_or(libc::EIO)))?
            .as_socket_ipv4()
            .ok_or(UnsentReason::NoRoute)?;
        Ok(*address.ip())
    }
}

/// Spreads prefixes over the table (multiplication by 2^32 / golden ratio); neighbours never share a slot.
fn slot(prefix: u32) -> usize {
    (prefix.wrapping_mul(0x9E37_79B9) >> 16) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        let mut table = SourceTable::new().unwrap();
        for _ in 0..2 {
            assert_eq!(
                table.source_for(Ipv4Addr::new(127, 0, 0, 9)),
                Ok(Ipv4Addr::LOCALHOST)
            );
        }
    }

    #[test]
    fn the_unspecified_address_is_refused_before_the_kernel_takes_it_for_loopback() {
        let mut table = SourceTable::new().unwrap();
        assert_eq!(
            table.source_for(Ipv4Addr::UNSPECIFIED),
            Err(UnsentReason::Invalid)
        );
    }

    #[test]
    fn a_whole_region_of_neighbours_fits_without_collisions() {
        let slots: std::collections::HashSet<_> = (0x0A_0000..0x0A_4000).map(super::slot).collect();
        assert!(slots.len() > 0x4000 * 9 / 10, "only {} slots", slots.len());
    }
}
