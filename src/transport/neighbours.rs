//! What the kernel knows of a packet's next hop, asked for when it takes no more packets.
//!
//! A next hop whose hardware address is not known costs the kernel an entry in its table of neighbours, and its packets wait for
//! three seconds, charged to the socket that sent them. If many next hops do not answer (a scan of absent hosts on the
//! link), one of two things is full, and neither concerns packets with other next hops:
//!
//! | full | the kernel says | how it is told apart |
//! |---|---|---|
//! | the table (`gc_thresh3`, 1,024 for all namespaces of a machine) | ENOBUFS, with IPv6 EINVAL | the next hop has no entry. If the device's queue is full it has one: the entry is made first |
//! | the socket's send buffer | EAGAIN for every packet of the socket | it is half full, some neighbours are awaited, and the next hop is not a known one |
//!
//! A full table must not come about: the kernel then forgets neighbours that it knows, our gateway among them, and finds no
//! room to ask for it again; nor do other programs of the machine. So packets to next hops that are not known are held back
//! from the time when as many are awaited as half of the table holds. The neighbours awaited are counted every time when so
//! many packets were offered that they might have filled it.
//!
//! Of single next hops nothing is asked before: a look-up costs tens of microseconds. A kernel that does not answer (before
//! Linux 5.0) leaves full queues what they were before.

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

/// The size of the kernel's table if it does not tell: the default.
const TABLE_SIZE: u32 = 1_024;
/// How long the number of awaited neighbours is believed, if there are some.
const FRESH: Duration = Duration::from_millis(20);
/// How long a send buffer with room is taken to have room.
const GLANCE: Duration = Duration::from_millis(1);

/// Places in the words of `SO_MEMINFO` (include/uapi/linux/sock_diag.h): bytes under way, and the most that may be.
const WRITE_ALLOCATED: usize = 2;
const SEND_BUFFER: usize = 3;

/// States in which packets to the neighbour can be sent at once.
const KNOWN: u16 = libc::NUD_REACHABLE
    | libc::NUD_STALE
    | libc::NUD_DELAY
    | libc::NUD_PROBE
    | libc::NUD_NOARP
    | libc::NUD_PERMANENT;

/// What is known of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextHop {
    /// Its hardware address, or that it needs none; or nobody could be asked.
    Known,
    /// It is being asked for.
    Awaited,
    /// It was asked for and has not answered.
    Failed,
    /// The kernel has no entry for it.
    Missing,
}

/// How many neighbours the kernel is asking for.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    awaited: usize,
    /// Half of what the table holds.
    most: usize,
    /// Packets that may be offered before it is looked at again: each may be to a new neighbour.
    budget: usize,
    seen: Option<Instant>,
}

/// Asks the kernel about neighbours.
pub(super) struct Neighbours {
    tables: Tables,
    /// The interface that everything leaves by.
    interface: Option<u32>,
    /// The interfaces' flags, by number.
    flags: HashMap<u32, u32>,
    /// Of IPv4 and IPv6.
    watches: [Watch; 2],
    /// When the send buffer of each socket was looked at, and whether it was half full.
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

    /// Why a packet from `source` to `destination` must be kept from the kernel in a crowd; `None` if it need not. What did not
    /// answer a moment ago is not asked for once more while others wait. A shared next hop takes one entry for all that it
    /// leads to, and the kernel forgets even gateways in a crowd: it may be asked for at any time.
    pub(super) fn keep_back(
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

    /// Why packets to next hops that are not known must be kept from the kernel now; `None` if they need not. Asked before up to
    /// `packets` are offered to `socket`.
    pub(super) fn crowd(
        &mut self,
        socket: &Socket,
        ipv6: bool,
        packets: usize,
    ) -> Option<UnsentReason> {
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

    /// Whether packets hold half of the socket's send buffer. An answer is believed for [`GLANCE`] unless it is yes: at any rate
    /// that a machine sends at, the other half does not fill within.
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

    /// Whether `error` came of a packet from `source` to `destination` because the table of neighbours is full.
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

    /// What is known of the next hop of packets from `source` to `destination`.
    fn next_hop(&mut self, source: Option<IpAddr>, destination: IpAddr) -> NextHop {
        self.look_up(source, destination)
            .ok()
            .flatten()
            .map_or(NextHop::Known, |(next_hop, _)| next_hop)
    }

    /// What is known of a next hop, and whether it is shared: by all that is behind a gateway, or on a device that needs no
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
        // To one other end only, or to ourselves (arp_constructor in net/ipv4/arp.c).
        if address.is_ipv4() && (has(libc::IFF_POINTOPOINT) || has(libc::IFF_LOOPBACK)) {
            // One entry stands for all.
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

    /// Counts the neighbours of the family that the kernel is asking for now.
    fn count_awaited(&mut self, ipv6: bool) {
        let mut watch = self.watches[usize::from(ipv6)];
        if watch.seen.is_none() {
            let mut size = None;
            let _ = self.tables.ask(&message::ask_table(ipv6), |answer| {
                size = size.or(answer.table_size());
                // To the end of the list.
                None::<()>
            });
            watch.most = (size.unwrap_or(TABLE_SIZE) as usize / 2).max(1);
        }
        watch.awaited = 0;
        // If they cannot be counted, the number stays 0.
        let _ = self.tables.ask(&message::ask_neighbours(ipv6), |answer| {
            let state = answer.neighbour_state()?;
            watch.awaited += usize::from(state & libc::NUD_INCOMPLETE != 0);
            // To the end of the list.
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
    fn we_ourselves_are_a_known_next_hop() {
        let mut neighbours = Neighbours::new(&Origin::default());
        for ours in ["127.0.0.1", "::1"] {
            let ours = ours.parse().unwrap();
            assert_eq!(neighbours.next_hop(None, ours), NextHop::Known);
        }
    }
}
