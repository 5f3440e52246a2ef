//! Which of our addresses the kernel sends from, per destination.
//!
//! Only the kernel knows: routes, policy rules, devices and address selection all take part. So it is asked for every whole
//! destination address, by connecting a socket of the kind that sends. An answer is remembered for that destination alone,
//! until the kernel tells that routes, rules, addresses or links changed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::origin::Origin;
use super::ports::DgramProtocol;
use super::routes::RouteWatch;
use super::{TransportError, sys, unsent_reason};
use crate::model::UnsentReason;

/// Entries of a table: the active targets of a trace fit, and it stays within a core's cache.
const ENTRIES: usize = 1 << 16;

/// Any port will do: connecting a datagram socket sends nothing, it only looks up the route.
const PORT: u16 = 33434;

/// Looks up source addresses and remembers them by destination, so that the sending loop pays one memory access for a
/// destination that it probed recently.
///
/// Failures are not remembered.
pub(in crate::transport) struct SourceTable {
    v4: Lookup,
    /// Absent on a machine without IPv6, which has no IPv6 routes either.
    v6: Option<Lookup>,
    entries_v4: Entries<Ipv4Addr>,
    entries_v6: Entries<Ipv6Addr>,
    watch: RouteWatch,
    /// Whether the kernel was asked for changes since the last batch was sent.
    is_fresh: bool,
}

/// What sends: look-ups use sockets of the same kind, so that rules by protocol and the hashes of multipath routes give the
/// same answer as they will give to the probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum SendingSocket {
    /// A raw socket (IPPROTO_RAW).
    Raw,
    /// An ordinary one.
    Dgram(DgramProtocol),
}

impl SendingSocket {
    fn open(self, domain: Domain) -> io::Result<Socket> {
        let (kind, protocol) = match self {
            SendingSocket::Raw => (Type::RAW, Protocol::from(libc::IPPROTO_RAW)),
            SendingSocket::Dgram(DgramProtocol::Udp) => (Type::DGRAM, Protocol::UDP),
            SendingSocket::Dgram(DgramProtocol::Icmp) if domain == Domain::IPV6 => {
                (Type::DGRAM, Protocol::ICMPV6)
            }
            SendingSocket::Dgram(DgramProtocol::Icmp) => (Type::DGRAM, Protocol::ICMPV4),
        };
        Socket::new(domain, kind, Some(protocol))
    }

    /// The port to connect to. Raw probes have none as far as the routing tables are concerned.
    fn port(self) -> u16 {
        match self {
            SendingSocket::Raw => 0,
            SendingSocket::Dgram(_) => PORT,
        }
    }
}

impl SourceTable {
    /// Prepares look-ups from `origin` for probes that leave by `sockets`.
    pub(in crate::transport) fn new(
        sockets: SendingSocket,
        origin: &Origin,
    ) -> Result<Self, TransportError> {
        let v4 =
            Lookup::open(sockets, Domain::IPV4, origin)?.map_err(TransportError::setup(OPENING))?;
        let v6 = Lookup::open(sockets, Domain::IPV6, origin)?.ok();
        Ok(SourceTable {
            v4,
            v6,
            entries_v4: Entries::default(),
            entries_v6: Entries::default(),
            watch: RouteWatch::open(),
            is_fresh: false,
        })
    }

    /// The address that packets to `destination` leave with.
    pub(in crate::transport) fn source_for(
        &mut self,
        destination: IpAddr,
    ) -> Result<IpAddr, UnsentReason> {
        if !std::mem::replace(&mut self.is_fresh, true) && self.watch.has_changed() {
            self.entries_v4.clear();
            self.entries_v6.clear();
        }
        match destination {
            IpAddr::V4(to) => self
                .entries_v4
                .get_or_ask(to, u32::from(to).into(), || self.v4.ask(destination))
                .map(IpAddr::V4),
            IpAddr::V6(to) => {
                let lookup = self.v6.as_ref().ok_or(UnsentReason::NoRoute)?;
                let bits = to.to_bits();
                let key = (bits >> 64) as u64 ^ (bits as u64).rotate_left(32);
                self.entries_v6
                    .get_or_ask(to, key, || lookup.ask(destination))
                    .map(IpAddr::V6)
            }
        }
    }

    /// Says that a batch was sent: before the next one the kernel is asked whether something changed. In between answers stay
    /// as they are, so that the packets of a batch agree.
    pub(in crate::transport) fn batch_sent(&mut self) {
        self.is_fresh = false;
    }

    /// The interface that a packet from `source` must leave by, where the kernel might choose one of several next hops anew for
    /// each flow; 0 where the choice is the kernel's.
    pub(in crate::transport) fn pinned_interface(&self, source: IpAddr) -> u32 {
        // What is bound to an interface has no choice.
        match self.v4.interface {
            Some(_) => 0,
            None => self.watch.pinned_interface(source),
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
}

const OPENING: &str = "opening a socket for route look-ups";

/// An address of one family, as the table keeps it.
trait Address: Copy + Eq {
    fn of(address: IpAddr) -> Option<Self>;
}

impl Address for Ipv4Addr {
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

impl Address for Ipv6Addr {
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }
    }
}

/// Source addresses by destination. A destination that shares a place with another replaces it.
struct Entries<A>(Vec<Option<(A, A)>>);

impl<A> Default for Entries<A> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<A: Address> Entries<A> {
    fn clear(&mut self) {
        self.0.fill(None);
    }

    /// The source for `destination`, from the table or else from `ask`. `key` spreads destinations over the table.
    #[inline]
    fn get_or_ask(
        &mut self,
        destination: A,
        key: u64,
        ask: impl FnOnce() -> Result<IpAddr, UnsentReason>,
    ) -> Result<A, UnsentReason> {
        if self.0.is_empty() {
            self.0 = vec![None; ENTRIES];
        }
        let entry = &mut self.0[slot(key)];
        if let Some((known, source)) = *entry
            && known == destination
        {
            return Ok(source);
        }
        let source = A::of(ask()?).ok_or(UnsentReason::NoRoute)?;
        *entry = Some((destination, source));
        Ok(source)
    }
}

/// A socket that is connected and disconnected, and never sends.
struct Lookup {
    socket: Socket,
    port: u16,
    /// The address of ours that was asked for: every packet leaves with it.
    fixed: Option<IpAddr>,
    interface: Option<String>,
}

impl Lookup {
    /// The inner error: the kernel does not have such sockets.
    fn open(
        sockets: SendingSocket,
        domain: Domain,
        origin: &Origin,
    ) -> Result<io::Result<Self>, TransportError> {
        let socket = match sockets.open(domain) {
            Ok(socket) => socket,
            Err(error) => return Ok(Err(error)),
        };
        origin.check_interface(&socket)?;
        origin.fix(&socket, domain)?;
        Ok(Ok(Lookup {
            socket,
            port: sockets.port(),
            fixed: origin.source(domain == Domain::IPV6),
            interface: origin.interface.clone(),
        }))
    }

    /// The source towards `destination`. Where it was asked for, the kernel is not: if it has no way, it says so when the probe
    /// is sent.
    fn ask(&self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        if destination.is_unspecified() {
            return Err(UnsentReason::Invalid);
        }
        match self.fixed {
            Some(source) => Ok(source),
            None => self.ask_kernel(destination),
        }
    }

    fn ask_kernel(&self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        if destination.is_unspecified() {
            return Err(UnsentReason::Invalid);
        }
        let ask = || {
            // A socket once connected keeps its source address over further connects: that must be undone first. With the
            // address the kernel forgets the interface.
            sys::disconnect(self.socket.as_fd())?;
            if let Some(name) = &self.interface {
                self.socket.bind_device(Some(name.as_bytes()))?;
            }
            let to = SocketAddr::new(destination, self.port);
            self.socket.connect(&to.into())?;
            self.socket.local_addr()
        };
        ask()
            .map_err(|error| unsent_reason(error.raw_os_error().unwrap_or(libc::EIO)))?
            .as_socket()
            .map(|address| address.ip())
            .ok_or(UnsentReason::NoRoute)
    }
}

/// Spreads keys over the table (multiplication by 2^64 / golden ratio).
fn slot(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SourceTable {
        let sockets = SendingSocket::Dgram(DgramProtocol::Udp);
        SourceTable::new(sockets, &Origin::default()).expect("UDP sockets")
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
    fn an_answer_serves_no_other_destination() {
        let mut entries = Entries::<Ipv4Addr>::default();
        let mut asked = 0;
        for last in [1, 2, 1, 2, 3] {
            let destination = Ipv4Addr::new(198, 18, 0, last);
            let source = entries.get_or_ask(destination, u32::from(destination).into(), || {
                asked += 1;
                Ok(Ipv4Addr::new(10, 0, 0, last).into())
            });
            assert_eq!(source, Ok(Ipv4Addr::new(10, 0, 0, last)));
        }
        assert_eq!(asked, 3);
        entries.clear();
        let failed = entries.get_or_ask(Ipv4Addr::new(198, 18, 0, 1), 0, || {
            Err(UnsentReason::NoRoute)
        });
        assert_eq!(failed, Err(UnsentReason::NoRoute));
    }

    #[test]
    fn a_whole_region_of_neighbours_fits_without_many_collisions() {
        let slots: std::collections::HashSet<_> = (0x0A_0000..0x0A_4000).map(super::slot).collect();
        assert!(slots.len() > 0x4000 * 9 / 10, "only {} slots", slots.len());
    }
}
