//! The source address that the kernel chooses for a destination.
//!
//! Only the kernel knows it: routes, policy rules, devices and address selection all take part. So the kernel is asked with a
//! whole destination address, by connecting a socket of the kind that sends. An answer is kept until the kernel says that routes,
//! rules, addresses or links changed. It serves that destination, and with IPv4 all destinations that no route and no rule
//! distinguishes from it ([`regions`](super::rtnetlink::regions)).

mod lookup;
mod usable;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use socket2::Domain;

use super::rtnetlink::changes::RouteWatch;
use super::{Origin, TransportError, is_without_ipv6};
use crate::model::UnsentReason;

use lookup::Lookup;
pub(super) use lookup::SendingSocket;

/// The sets of a table, and the entries of a set. The table holds 262,144 destinations. A quarter as many hardly ever displace one
/// another. The table takes 2 MiB for IPv4 and 8 MiB for IPv6.
const SETS: usize = 1 << 16;
const WAYS: usize = 4;

/// The shortest time between two checks for changes.
const GLANCE: Duration = Duration::from_millis(1);

/// Looks up source addresses and caches them by destination, so that the sending loop pays one memory access for a destination
/// that it probed recently. Failures are not cached.
pub(super) struct SourceTable {
    v4: Lookup,
    /// Absent on a machine without IPv6, which has no IPv6 routes either.
    v6: Option<Lookup>,
    entries_v4: Entries<Ipv4Addr>,
    entries_v6: Entries<Ipv6Addr>,
    /// The source by region of destinations; `None` if the kernel was not asked yet. Empty if regions are not known.
    by_region: Vec<Option<Ipv4Addr>>,
    watch: RouteWatch,
    /// Whether changes were looked for since the last batch was sent.
    is_fresh: bool,
    /// When changes were last looked for.
    looked_at: Instant,
}

impl SourceTable {
    /// Prepares look-ups from `origin` for probes that leave by `sockets`.
    pub(super) fn new(sockets: SendingSocket, origin: &Origin) -> Result<Self, TransportError> {
        let v4 =
            Lookup::open(sockets, Domain::IPV4, origin)?.map_err(|error| sockets.refused(error))?;
        let v6 = match Lookup::open(sockets, Domain::IPV6, origin)? {
            Ok(lookup) => Some(lookup),
            Err(error) if is_without_ipv6(&error) => None,
            Err(error) => return Err(sockets.refused(error)),
        };
        let mut table = SourceTable {
            v4,
            v6,
            entries_v4: Entries::default(),
            entries_v6: Entries::default(),
            by_region: Vec::new(),
            watch: RouteWatch::open(),
            looked_at: Instant::now(),
            is_fresh: false,
        };
        table.forget_regions();
        Ok(table)
    }

    /// The source address of packets to `destination`.
    pub(super) fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        if !std::mem::replace(&mut self.is_fresh, true) {
            self.look_for_changes();
        }
        let several = self.watch.has_several_next_hops();
        match destination {
            IpAddr::V4(to) if !self.by_region.is_empty() => self.source_in_region(to),
            IpAddr::V4(to) => self
                .entries_v4
                .get_or_ask(to, u32::from(to).into(), || {
                    self.v4.ask(destination, several)
                })
                .map(IpAddr::V4),
            IpAddr::V6(to) => {
                let lookup = self.v6.as_ref().ok_or(UnsentReason::NoRoute)?;
                let bits = to.to_bits();
                let key = (bits >> 64) as u64 ^ (bits as u64).rotate_left(32);
                self.entries_v6
                    .get_or_ask(to, key, || lookup.ask(destination, several))
                    .map(IpAddr::V6)
            }
        }
    }

    /// Forgets the answers if something changed.
    fn look_for_changes(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.looked_at) < GLANCE {
            return;
        }
        self.looked_at = now;
        let knew_regions = self.watch.regions().is_some();
        let changed = self.watch.has_changed();
        if changed {
            self.entries_v4.clear();
            self.entries_v6.clear();
        }
        if changed || !knew_regions {
            self.forget_regions();
        }
    }

    fn forget_regions(&mut self) {
        self.by_region.clear();
        if let Some(regions) = self.watch.regions() {
            self.by_region.resize(regions.count(), None);
        }
    }

    /// The source towards a destination whose region is known.
    fn source_in_region(&mut self, destination: Ipv4Addr) -> Result<IpAddr, UnsentReason> {
        let region = self.watch.regions().map(|regions| regions.of(destination));
        let known = region.and_then(|region| self.by_region.get_mut(region));
        if let Some(Some(source)) = known {
            return Ok((*source).into());
        }
        let source = self.v4.ask(destination.into(), false)?;
        // A local route makes every destination its own source.
        if let (Some(known), IpAddr::V4(source)) = (known, source)
            && source != destination
        {
            *known = Some(source);
        }
        Ok(source)
    }

    /// Notes that a batch was sent: changes are looked for before the next one. Within a batch the answers stay the same, so that
    /// its packets agree.
    pub(super) fn batch_sent(&mut self) {
        self.is_fresh = false;
    }

    /// Whether the kernel needs more than the destination to send a raw packet by the route of the look-up.
    pub(super) fn tells_way(&self) -> bool {
        self.watch.has_several_next_hops() || self.watch.goes_by_source()
    }

    /// The interface that a packet from `source` must leave by; 0 leaves the choice to the kernel.
    ///
    /// With several next hops the kernel would choose again, by a hash of other fields than at the look-up. So the interface of
    /// the source is given. A socket that is bound to an interface or a source leaves no choice.
    pub(super) fn pinned_interface(&self, source: IpAddr) -> u32 {
        let lookup = match source {
            IpAddr::V4(_) => Some(&self.v4),
            IpAddr::V6(_) => self.v6.as_ref(),
        };
        match lookup {
            Some(lookup) if lookup.has_choice() => self.watch.pinned_interface(source),
            _ => 0,
        }
    }

    /// Why there is no route to `destination`; `None` if there is one. Unlike [`source_for`](Self::source_for), it asks the kernel also
    /// if the user chose the source.
    pub(super) fn refusal_at_start(&mut self, destination: IpAddr) -> Option<UnsentReason> {
        let refusal = self.source_for(destination).err();
        let lookup = match destination {
            IpAddr::V4(_) => Some(&self.v4),
            IpAddr::V6(_) => self.v6.as_ref(),
        };
        match lookup {
            Some(lookup) if refusal.is_none() && lookup.has_fixed_source() => {
                lookup.refusal(destination)
            }
            _ => refusal,
        }
    }

    /// Asks the kernel again for a route to `destination`. Returns why there is none, or `None` if there is one.
    pub(super) fn refusal(&self, destination: IpAddr) -> Option<UnsentReason> {
        let lookup = match destination {
            IpAddr::V4(_) => Some(&self.v4),
            IpAddr::V6(_) => self.v6.as_ref(),
        };
        match lookup {
            Some(lookup) => lookup.refusal(destination),
            None => Some(UnsentReason::NoRoute),
        }
    }
}

/// An address of one family.
trait Address: Copy + Eq {
    /// The address that stands for an empty entry.
    const NONE: Self;

    fn of(address: IpAddr) -> Option<Self>;
}

impl Address for Ipv4Addr {
    const NONE: Self = Ipv4Addr::UNSPECIFIED;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

impl Address for Ipv6Addr {
    const NONE: Self = Ipv6Addr::UNSPECIFIED;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }
    }
}

/// Destinations and their sources, newest first.
type Set<A> = [(A, A); WAYS];

/// Source addresses by destination. In each set a new destination replaces the oldest.
struct Entries<A>(Vec<Set<A>>);

impl<A> Default for Entries<A> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<A: Address> Entries<A> {
    fn clear(&mut self) {
        self.0.fill([(A::NONE, A::NONE); WAYS]);
    }

    /// The source for `destination`, from the table or from `ask`. `key` spreads destinations over the table.
    #[inline]
    fn get_or_ask(
        &mut self,
        destination: A,
        key: u64,
        ask: impl FnOnce() -> Result<IpAddr, UnsentReason>,
    ) -> Result<A, UnsentReason> {
        if destination == A::NONE {
            return Err(UnsentReason::Invalid);
        }
        if self.0.is_empty() {
            self.0 = vec![[(A::NONE, A::NONE); WAYS]; SETS];
        }
        let set = &mut self.0[place(key)];
        if let Some((_, source)) = set.iter().find(|(known, _)| *known == destination) {
            return Ok(*source);
        }
        let source = A::of(ask()?).ok_or(UnsentReason::NoRoute)?;
        set.rotate_right(1);
        set[0] = (destination, source);
        Ok(source)
    }
}

/// Spreads keys over the table (multiplication by 2^64 / golden ratio).
fn place(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ports::DgramProtocol;

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
    fn a_cached_source_serves_no_other_destination() {
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
    fn sixty_thousand_adjacent_destinations_are_each_looked_up_about_once() {
        let mut entries = Entries::<Ipv4Addr>::default();
        let mut asked = 0;
        for round in 0..4_u32 {
            for host in 0..1 << 16 {
                // Another order in each round.
                let host: u32 = (host ^ (round * 0x5555)) & 0xffff;
                let destination = Ipv4Addr::from(0xC612_0001 + host);
                let source = entries.get_or_ask(destination, u32::from(destination).into(), || {
                    asked += 1;
                    Ok(Ipv4Addr::LOCALHOST.into())
                });
                assert_eq!(source, Ok(Ipv4Addr::LOCALHOST));
            }
        }
        assert!(asked < (1 << 16) * 11 / 10, "{asked}");
    }
}
