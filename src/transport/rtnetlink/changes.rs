//! Changes to routes, as the kernel announces them, and routes over several next hops.
//!
//! If netlink is not available (a sandbox), everything counts as changed once a second, and nothing is known about next hops.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::message::{self, answers};
use super::regions::Regions;
use super::{PART, Tables, sys};

/// Groups of messages that may change a source address: links, and of both families addresses, routes and rules; next hops
/// that routes refer to. Bit n - 1 stands for group n (`enum rtnetlink_groups`, include/uapi/linux/rtnetlink.h).
const GROUPS: u32 = 1 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18 | 1 << 31;

/// How long answers are used if the kernel cannot announce changes.
const UNTOLD: Duration = Duration::from_secs(1);
/// The shortest time between two lists of all routes: if routes change all the time, listing them must not take all the time.
const BETWEEN_LISTS: Duration = Duration::from_secs(1);

/// Receives changes to routes, rules, addresses and links.
pub(in crate::transport) struct RouteWatch {
    /// `None` if netlink is not available.
    socket: Option<Socket>,
    asked_at: Instant,
    buffer: Vec<u8>,
    tables: Tables,
    /// The interfaces of all next hops of routes over several next hops, present and past ones since the run began.
    next_hops: BTreeSet<u32>,
    /// Whether a rule or route is, or was since the run began, for some sources only.
    by_source: bool,
    /// The interface of each of our addresses. Only read if there are routes over several next hops.
    interfaces: HashMap<IpAddr, u32>,
    /// The regions by the present routes and rules; `None` if they are not known or too many.
    regions: Option<Regions>,
    /// When routes and rules were last listed.
    listed_at: Instant,
    /// Whether to list them again; `false` if there were too many.
    lists: bool,
}

impl RouteWatch {
    /// Subscribes to changes, and then reads the present routes and rules.
    pub(in crate::transport) fn open() -> Self {
        let mut watch = RouteWatch {
            socket: sys::listening(GROUPS).ok(),
            asked_at: Instant::now(),
            buffer: vec![0; PART],
            tables: Tables::open(),
            next_hops: BTreeSet::new(),
            by_source: false,
            interfaces: HashMap::new(),
            regions: None,
            listed_at: Instant::now(),
            lists: true,
        };
        watch.list();
        watch.read_interfaces();
        watch
    }

    /// Reads all routes and rules.
    fn list(&mut self) {
        let mut regions = Regions::default();
        // If the kernel does not announce changes, what is read now may be wrong in a moment.
        let mut is_whole = self.socket.is_some() && self.tables.are_open();
        for request in [message::ask_routes(), message::ask_rules()] {
            // If they cannot be listed, packets are sent without an interface or source for the kernel.
            let listed = self.tables.ask(&request, |answer| {
                self.next_hops.extend(answer.several_next_hops());
                self.by_source |= answer.is_for_sources();
                if let Some(destinations) = answer.destinations_v4() {
                    regions.divide(destinations);
                }
                // Read to the end of the list.
                None::<()>
            });
            is_whole &= listed.is_ok();
        }
        self.next_hops.extend(grouped(&mut self.tables));
        let regions = regions.finish();
        self.lists = regions.is_some();
        self.regions = regions.filter(|_| is_whole);
        self.listed_at = Instant::now();
    }

    /// Whether something may have changed since the last call.
    pub(in crate::transport) fn has_changed(&mut self) -> bool {
        let Some(socket) = &mut self.socket else {
            let is_old = self.asked_at.elapsed() >= UNTOLD;
            if is_old {
                self.asked_at = Instant::now();
            }
            return is_old;
        };
        let mut changed = false;
        loop {
            match socket.read(&mut self.buffer) {
                Ok(length) => {
                    changed = true;
                    for told in answers(&self.buffer[..length]) {
                        self.next_hops.extend(told.several_next_hops());
                        self.by_source |= told.is_for_sources();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // There were more changes than the socket could hold.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => changed = true,
                Err(_) => break,
            }
        }
        if changed {
            self.regions = None;
        }
        // Changes during this call are found by the next call.
        let is_due = self.listed_at.elapsed() >= BETWEEN_LISTS;
        let lists = self.lists && self.regions.is_none() && is_due;
        if lists {
            self.list();
        }
        // A list may show next hops that no message named.
        if changed || lists {
            self.read_interfaces();
        }
        changed
    }

    /// Regions of IPv4 destinations that the kernel treats alike, as of the last call of [`has_changed`](Self::has_changed).
    /// `None` if there are routes over several next hops, or if the regions are not known.
    pub(in crate::transport) fn regions(&self) -> Option<&Regions> {
        self.regions.as_ref().filter(|_| self.next_hops.is_empty())
    }

    /// Whether there are routes over several next hops.
    pub(in crate::transport) fn has_several_next_hops(&self) -> bool {
        !self.next_hops.is_empty()
    }

    /// Whether a rule or route is for some sources only: the kernel then needs the source of a packet to follow it.
    pub(in crate::transport) fn goes_by_source(&self) -> bool {
        self.by_source
    }

    /// The interface of `source`, if it is one of several next hops; otherwise 0.
    pub(in crate::transport) fn pinned_interface(&self, source: IpAddr) -> u32 {
        let interface = self.interfaces.get(&source).copied();
        // Packets from an address of another interface, such as loopback, may leave by any of them.
        interface
            .filter(|interface| self.next_hops.contains(interface))
            .unwrap_or(0)
    }

    fn read_interfaces(&mut self) {
        if !self.has_several_next_hops() {
            return;
        }
        let mut interfaces = HashMap::new();
        let _ = self.tables.ask(&message::ask_addresses(), |answer| {
            interfaces.extend(answer.own_address());
            None::<()>
        });
        self.interfaces = interfaces;
    }
}

/// Whether any route has several next hops, among which the kernel chooses one per flow. `None` if the kernel does not answer.
pub(crate) fn has_several_next_hops() -> Option<bool> {
    let mut found = false;
    let mut tables = Tables::open();
    if !tables.are_open() {
        return None;
    }
    let listed = tables.ask(&message::ask_routes(), |answer| {
        found |= answer.several_next_hops().next().is_some();
        None::<()>
    });
    found |= !grouped(&mut tables).is_empty();
    listed.is_ok().then_some(found)
}

/// The interfaces of next hops in groups of several. Routes refer to such groups by number. With
/// `net.ipv4.nexthop_compat_mode=0` the kernel does not list the next hops with the routes.
fn grouped(tables: &mut Tables) -> BTreeSet<u32> {
    let mut interfaces = HashMap::new();
    let mut members = Vec::new();
    // A kernel that refuses the request has no such groups.
    let _ = tables.ask(&message::ask_next_hops(), |answer| {
        if let Some(object) = answer.next_hop_object() {
            interfaces.extend(object.interface.map(|interface| (object.id, interface)));
            if object.members.len() > 1 {
                members.extend(object.members);
            }
        }
        // Read to the end of the list.
        None::<()>
    });
    members
        .iter()
        .filter_map(|id| interfaces.get(id).copied())
        .collect()
}
