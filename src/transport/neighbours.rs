//! What the kernel knows about a packet's next hop. It is asked when it takes no more packets.
//!
//! A next hop with an unknown hardware address takes an entry in the kernel's neighbour table. Its packets wait there for three
//! seconds, charged to the socket that sent them. If many next hops do not answer (a scan of absent hosts on the link), one of two
//! things is full. Neither concerns packets with other next hops:
//!
//! | full | the kernel's error | how to recognise it |
//! |---|---|---|
//! | the table (`gc_thresh3`, 1,024 for all namespaces of a machine) | ENOBUFS, with IPv6 EINVAL | the next hop has no entry. (If the device's queue is full, it has one: the entry is made first.) |
//! | the socket's send buffer | EAGAIN for every packet of the socket | the buffer is half full, some neighbours are awaited, and the next hop is not known |
//!
//! The table must not fill up. The kernel would forget neighbours that it knows, such as our gateway, and would find no room to
//! ask for them again. Other programs of the machine would suffer, too. So packets to unknown next hops are held back as soon as
//! half of the table is awaited. The awaited neighbours are counted again when the packets offered since may have filled that half.
//!
//! Single next hops are not looked up in advance, because a look-up costs tens of microseconds. With a kernel that does not
//! answer (before Linux 5.0), full queues are reported as [`Stopped::Full`].

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::Stopped;
use super::origin::Origin;
use super::rtnetlink::{Tables, message, message::Way};
use super::sys;
use crate::model::UnsentReason;

/// The size of the kernel's table if the kernel does not state it: the default.
const TABLE_SIZE: u32 = 1_024;
/// How long a count of awaited neighbours other than 0 is used.
const FRESH: Duration = Duration::from_millis(20);
/// How long a send buffer that had room is assumed to have room.
const GLANCE: Duration = Duration::from_millis(1);

/// Indices in the words of `SO_MEMINFO` (include/uapi/linux/sock_diag.h): bytes under way, and their limit.
const WRITE_ALLOCATED: usize = 2;
const SEND_BUFFER: usize = 3;

/// States in which packets to the neighbour can be sent at once.
const KNOWN: u16 = libc::NUD_REACHABLE
    | libc::NUD_STALE
    | libc::NUD_DELAY
    | libc::NUD_PROBE
    | libc::NUD_NOARP
    | libc::NUD_PERMANENT;

/// What the kernel knows about a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextHop {
    /// Its hardware address is known or not needed, or the kernel does not answer.
    Known,
    /// The kernel is asking for it.
    Awaited,
    /// The kernel asked for it and got no answer.
    Failed,
    /// The kernel has no entry for it.
    Missing,
}

/// The number of neighbours that the kernel is asking for.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    awaited: usize,
    /// Half of what the table holds.
    most: usize,
    /// Packets that may be offered before the next count: each may go to a new neighbour.
    budget: usize,
    seen: Option<Instant>,
}

/// Asks the kernel about neighbours.
pub(super) struct Neighbours {
    tables: Tables,
    /// The interface that all packets leave by, if the user asked for one.
    interface: Option<u32>,
    /// Flags by interface number.
    flags: HashMap<u32, u32>,
    /// For IPv4 and for IPv6.
    watches: [Watch; 2],
    /// When the send buffer of each socket was last read, and whether it was half full.
    buffers: HashMap<RawFd, (Instant, bool)>,
}

impl Neighbours {
    /// Prepares to ask about packets from `origin`.
    pub(super) fn new(origin: &Origin) -> Self {
        let mut tables = Tables::open();
        let interface = origin.interface.as_ref().and_then(|name| {
            let request = message::ask_link_named(name);
            let answer = tables.ask(&request, |answer| answer.link());
            answer.ok().flatten().map(|(number, _)| number)
        });
        Neighbours {
            tables,
            interface,
            flags: HashMap::new(),
            watches: [Watch::default(); 2],
            buffers: HashMap::new(),
        }
    }

    /// Returns how many of the next `packets` packets may be offered to `socket` now, or why the first one, from `source` to
    /// `destination`, must be held back.
    pub(super) fn admit(
        &mut self,
        socket: &Socket,
        source: Option<IpAddr>,
        destination: IpAddr,
        packets: usize,
    ) -> Result<usize, Stopped> {
        let Some(crowd) = self.crowd(socket, destination.is_ipv6(), packets) else {
            return Ok(packets);
        };
        match self.keep_back(crowd, source, destination) {
            Some(stopped) => Err(stopped),
            // One by one: only the next hop of this packet is known.
            None => Ok(1),
        }
    }

    /// Why a packet from `source` to `destination` must be held back while many neighbours are awaited (`crowd` says why);
    /// `None` if it may be sent.
    ///
    /// | next hop | shared (gateway, or device without hardware addresses) | not shared |
    /// |---|---|---|
    /// | known | send | send |
    /// | missing | send: it takes one entry for all its destinations, and the kernel forgets even gateways | hold back |
    /// | awaited | hold back only if the send buffer is full | hold back |
    /// | failed | as awaited | refuse: it is not asked for again while others wait |
    fn keep_back(
        &mut self,
        crowd: UnsentReason,
        source: Option<IpAddr>,
        destination: IpAddr,
    ) -> Option<Stopped> {
        match self.look_up(source, destination).ok().flatten()? {
            (NextHop::Known, _) | (NextHop::Missing, true) => None,
            (_, true) if crowd == UnsentReason::NeighbourTableFull => None,
            (NextHop::Failed, false) => Some(Stopped::Refused(UnsentReason::HostUnreachable)),
            _ => Some(Stopped::Crowded(crowd)),
        }
    }

    /// Why packets to unknown next hops must be held back now; `None` if they need not. Call it before up to `packets` packets are
    /// offered to `socket`.
    fn crowd(&mut self, socket: &Socket, ipv6: bool, packets: usize) -> Option<UnsentReason> {
        let half_full = self.is_half_full(socket);
        let watch = self.watches[usize::from(ipv6)];
        let is_stale = || watch.seen.is_none_or(|seen| seen.elapsed() >= FRESH);
        let spent = watch.budget < packets && (watch.awaited < watch.most || is_stale());
        if spent || ((half_full || watch.awaited > 0) && is_stale()) {
            self.count_awaited(ipv6);
        }
        let watch = &mut self.watches[usize::from(ipv6)];
        watch.budget = watch.budget.saturating_sub(packets);
        if watch.awaited >= watch.most {
            Some(UnsentReason::NeighbourTableFull)
        } else {
            (half_full && watch.awaited > 0).then_some(UnsentReason::NeighbourQueueFull)
        }
    }

    /// Whether packets hold half of the socket's send buffer. The answer `false` is used for [`GLANCE`]: no machine fills the other
    /// half in that time.
    fn is_half_full(&mut self, socket: &Socket) -> bool {
        let now = Instant::now();
        let key = socket.as_raw_fd();
        if let Some((looked, false)) = self.buffers.get(&key)
            && now.duration_since(*looked) < GLANCE
        {
            return false;
        }
        let words = sys::option_words::<9>(socket.as_fd(), libc::SOL_SOCKET, sys::SO_MEMINFO);
        let is_so = words.is_ok_and(|words| words[WRITE_ALLOCATED] > words[SEND_BUFFER] / 2);
        self.buffers.insert(key, (now, is_so));
        is_so
    }

    /// Whether `error`, for a packet from `source` to `destination`, means that the neighbour table is full.
    pub(super) fn lack_room(
        &mut self,
        error: &io::Error,
        source: Option<IpAddr>,
        destination: IpAddr,
    ) -> bool {
        let says_so = match error.raw_os_error() {
            Some(libc::ENOBUFS) => true,
            Some(libc::EINVAL) => destination.is_ipv6(),
            _ => false,
        };
        says_so && self.next_hop(source, destination) == NextHop::Missing
    }

    /// What the kernel knows about the next hop of packets from `source` to `destination`.
    fn next_hop(&mut self, source: Option<IpAddr>, destination: IpAddr) -> NextHop {
        self.look_up(source, destination)
            .ok()
            .flatten()
            .map_or(NextHop::Known, |(next_hop, _)| next_hop)
    }

    /// What the kernel knows about a next hop, and whether several destinations share it: it is a gateway, or the device needs no
    /// hardware addresses.
    fn look_up(
        &mut self,
        source: Option<IpAddr>,
        destination: IpAddr,
    ) -> io::Result<Option<(NextHop, bool)>> {
        let request = message::ask_way(destination, source, self.interface);
        let Some(Way {
            kind: libc::RTN_UNICAST,
            gateway,
            interface,
        }) = self.tables.ask(&request, |answer| answer.way())?
        else {
            return Ok(None);
        };
        let flags = self.flags(interface)?;
        let has = |flag: libc::c_int| flags & flag as u32 != 0;
        let is_shared = gateway.is_some() || has(libc::IFF_NOARP);
        let mut address = gateway.unwrap_or(destination);
        // A device with one other end, or loopback (arp_constructor in net/ipv4/arp.c).
        if address.is_ipv4() && (has(libc::IFF_POINTOPOINT) || has(libc::IFF_LOOPBACK)) {
            // One entry for all destinations.
            address = Ipv4Addr::UNSPECIFIED.into();
        }
        let request = message::ask_neighbour(address, interface);
        let next_hop = match self.tables.ask(&request, |answer| answer.neighbour_state()) {
            Ok(state) => state.map(|state| {
                if state & KNOWN != 0 {
                    NextHop::Known
                } else if state & libc::NUD_FAILED != 0 {
                    NextHop::Failed
                } else {
                    NextHop::Awaited
                }
            }),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Some(NextHop::Missing),
            Err(error) => return Err(error),
        };
        Ok(next_hop.map(|next_hop| (next_hop, is_shared)))
    }

    /// The flags of an interface.
    fn flags(&mut self, interface: u32) -> io::Result<u32> {
        if let Some(known) = self.flags.get(&interface) {
            return Ok(*known);
        }
        let request = message::ask_link(interface);
        let link = self.tables.ask(&request, |answer| answer.link())?;
        let flags = link.map_or(0, |(_, flags)| flags);
        self.flags.insert(interface, flags);
        Ok(flags)
    }

    /// Counts the neighbours of a family that the kernel is asking for now.
    fn count_awaited(&mut self, ipv6: bool) {
        let mut watch = self.watches[usize::from(ipv6)];
        if watch.seen.is_none() {
            let mut size = None;
            let _ = self.tables.ask(&message::ask_table(ipv6), |answer| {
                size = size.or(answer.table_size());
                // Read to the end of the list.
                None::<()>
            });
            watch.most = (size.unwrap_or(TABLE_SIZE) as usize / 2).max(1);
        }
        watch.awaited = 0;
        // If the kernel does not answer, the count stays 0.
        let _ = self.tables.ask(&message::ask_neighbours(ipv6), |answer| {
            let state = answer.neighbour_state()?;
            watch.awaited += usize::from(state & libc::NUD_INCOMPLETE != 0);
            // Read to the end of the list.
            None::<()>
        });
        watch.budget = watch.most.saturating_sub(watch.awaited);
        watch.seen = Some(Instant::now());
        self.watches[usize::from(ipv6)] = watch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_a_known_next_hop() {
        let mut neighbours = Neighbours::new(&Origin::default());
        for ours in ["127.0.0.1", "::1"] {
            let ours = ours.parse().unwrap();
            assert_eq!(neighbours.next_hop(None, ours), NextHop::Known);
        }
    }
}
