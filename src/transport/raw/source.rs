//! Which of our addresses the kernel sends from, per destination.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::origin::Origin;
use super::{TransportError, sys, unsent_reason};
use crate::model::UnsentReason;

/// Entries of the table: with 65,536 a survey in prefix order hardly ever asks the kernel, and it stays within a core's cache.
const ENTRIES: usize = 1 << 16;

/// Any port will do: connecting a UDP socket sends nothing, it only looks up the route.
const PORT: u16 = 33434;

/// Looks up source addresses and remembers them by destination /24 (IPv6: /64), so that the sending loop pays one memory
/// access.
///
/// Routes narrower than that share the answer of whichever of their addresses was asked first. Failures are not
/// remembered.
pub(in crate::transport) struct SourceTable {
    v4: Lookup,
    v6: Option<Lookup>,
    entries_v4: Box<[Option<(u32, Ipv4Addr)>]>,
    /// Made when the first IPv6 destination is asked for.
    entries_v6: Vec<Option<(u64, Ipv6Addr)>>,
}

/// A UDP socket that is connected and disconnected, and never sends.
struct Lookup(Socket);

impl SourceTable {
    /// Prepares look-ups from `origin`.
    pub(in crate::transport) fn new(origin: &Origin) -> Result<Self, TransportError> {
        let v4 = Lookup::open(Domain::IPV4).map_err(TransportError::setup(
            "opening a UDP socket for route look-ups",
        ))?;
        // A machine without IPv6 has no such sockets, and no IPv6 routes either.
        let v6 = Lookup::open(Domain::IPV6).ok();
        origin.check_interface(&v4.0)?;
        origin.fix(&v4.0, Domain::IPV4)?;
        if let Some(v6) = &v6 {
            origin.fix(&v6.0, Domain::IPV6)?;
        }
        Ok(SourceTable {
            v4,
            v6,
            entries_v4: vec![None; ENTRIES].into_boxed_slice(),
            entries_v6: Vec::new(),
        })
    }

    /// The address that packets to `destination` leave with.
    pub(in crate::transport) fn source_for(
        &mut self,
        destination: IpAddr,
    ) -> Result<IpAddr, UnsentReason> {
        match destination {
            IpAddr::V4(destination) => self.source_v4(destination).map(IpAddr::V4),
            IpAddr::V6(destination) => self.source_v6(destination).map(IpAddr::V6),
        }
    }

    /// Why the kernel finds no way to `destination` now, whatever it found before; `None` where it does find one.
    pub(in crate::transport) fn refusal(&self, destination: IpAddr) -> Option<UnsentReason> {
        let lookup = match destination {
            IpAddr::V4(_) => Some(&self.v4),
            IpAddr::V6(_) => self.v6.as_ref(),
        };
        match lookup {
            Some(lookup) => lookup.ask_kernel(destination).err(),
            None => Some(UnsentReason::NoRoute),
        }
    }

    fn source_v4(&mut self, destination: Ipv4Addr) -> Result<Ipv4Addr, UnsentReason> {
        let prefix = u32::from(destination) >> 8;
        let entry = &mut self.entries_v4[slot(prefix.into())];
        if let Some((known, source)) = *entry
            && known == prefix
        {
            return Ok(source);
        }
        match self.v4.ask_kernel(destination.into())? {
            IpAddr::V4(source) => {
                *entry = Some((prefix, source));
                Ok(source)
            }
            IpAddr::V6(_) => Err(UnsentReason::NoRoute),
        }
    }

    fn source_v6(&mut self, destination: Ipv6Addr) -> Result<Ipv6Addr, UnsentReason> {
        let lookup = self.v6.as_ref().ok_or(UnsentReason::NoRoute)?;
        if self.entries_v6.is_empty() {
            self.entries_v6 = vec![None; ENTRIES];
        }
        let prefix = (destination.to_bits() >> 64) as u64;
        let entry = &mut self.entries_v6[slot(prefix)];
        if let Some((known, source)) = *entry
            && known == prefix
        {
            return Ok(source);
        }
        match lookup.ask_kernel(destination.into())? {
            IpAddr::V6(source) => {
                *entry = Some((prefix, source));
                Ok(source)
            }
            IpAddr::V4(_) => Err(UnsentReason::NoRoute),
        }
    }
}

impl Lookup {
    fn open(domain: Domain) -> io::Result<Self> {
        Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map(Lookup)
    }

    fn ask_kernel(&self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        if destination.is_unspecified() {
            return Err(UnsentReason::Invalid);
        }
        let ask = || {
            // A socket once connected keeps its source address over further connects: that must be undone first.
            sys::disconnect(self.0.as_fd())?;
            self.0.connect(&SocketAddr::new(destination, PORT).into())?;
            self.0.local_addr()
        };
        ask()
            .map_err(|error| unsent_reason(error.raw_os_error().unwrap_or(libc::EIO)))?
            .as_socket()
            .map(|address| address.ip())
            .ok_or(UnsentReason::NoRoute)
            .and_then(|source| super::fitness::fit(source, destination))
    }
}

/// Spreads prefixes over the table (multiplication by 2^64 / golden ratio).
fn slot(prefix: u64) -> usize {
    (prefix.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SourceTable {
        SourceTable::new(&Origin::default()).expect("UDP sockets")
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        let mut table = table();
        for _ in 0..2 {
            assert_eq!(
                table.source_for(Ipv4Addr::new(127, 0, 0, 9).into()),
                Ok(Ipv4Addr::LOCALHOST.into())
            );
        }
    }

    #[test]
    fn the_unspecified_address_is_refused_before_the_kernel_takes_it_for_loopback() {
        let mut table = table();
        for unspecified in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ] {
            assert!(table.source_for(unspecified).is_err(), "{unspecified}");
        }
    }

    #[test]
    fn a_whole_region_of_neighbours_fits_without_many_collisions() {
        let slots: std::collections::HashSet<_> = (0x0A_0000..0x0A_4000).map(super::slot).collect();
        assert!(slots.len() > 0x4000 * 9 / 10, "only {} slots", slots.len());
    }
}
