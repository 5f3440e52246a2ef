//! Changes to routes, as the kernel tells them, and what there is to know of routes over several next hops.
//!
//! If netlink cannot be had (a sandbox), everything counts as changed once a second, and nothing is known of next hops.

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

/// How long answers are believed if the kernel cannot tell of changes.
const UNTOLD: Duration = Duration::from_secs(1);
/// Between two lists of all routes: where routes change all the time, listing them must not become the work.
const BETWEEN_LISTS: Duration = Duration::from_secs(1);

/// Hears of changes to routes, rules, addresses and links.
pub(in crate::transport) struct RouteWatch {
    /// `None` if netlink cannot be had.
    socket: Option<Socket>,
    asked_at: Instant,
    buffer: Vec<u8>,
    tables: Tables,
    /// The interfaces of all next hops of routes over several that there are, or were since the run began.
    next_hops: BTreeSet<u32>,
    /// Whether rules or routes are for some sources only, or were since the run began.
    by_source: bool,
    /// Interfaces by our addresses. Only read if there are such routes.
    interfaces: HashMap<IpAddr, u32>,
    /// As routes and rules are now; `None` if that is not known, or there are too many.
    regions: Option<Regions>,
    /// When routes and rules were listed, and whether that is ever worth it again.
    listed_at: Instant,
    lists: bool,
}

impl RouteWatch {
    /// Begins to listen, and then looks at what there is.
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
        // Without the kernel's word of changes, what is read now may be wrong in a moment.
        let mut is_whole = self.socket.is_some() && self.tables.are_open();
        for request in [message::ask_routes(), message::ask_rules()] {
            // What cannot be listed is not known: the kernel is told nothing then.
            let listed = self.tables.ask(&request, |answer| {
                self.next_hops.extend(answer.several_next_hops());
                self.by_source |= answer.is_for_sources();
                if let Some(destinations) = answer.destinations_v4() {
                    regions.divide(destinations);
                }
                // To the end of the list.
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
                // More changes than the socket could hold.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => changed = true,
                Err(_) => break,
            }
        }
        if changed {
            self.regions = None;
        }
        // What changes meanwhile is told at the next call.
        let is_due = self.listed_at.elapsed() >= BETWEEN_LISTS;
        let lists = self.lists && self.regions.is_none() && is_due;
        if lists {
            self.list();
        }
        // A list may have shown next hops that no message named.
        if changed || lists {
            self.read_interfaces();
        }
        changed
    }

    /// Regions of IPv4 destinations that the kernel treats alike, as of the last call of [`has_changed`](Self::has_changed). None if
    /// there are several next hops, or if the regions are not known.
    pub(in crate::transport) fn regions(&self) -> Option<&Regions> {
        self.regions.as_ref().filter(|_| self.next_hops.is_empty())
    }

    /// Whether there are routes over several next hops.
    pub(in crate::transport) fn has_several_next_hops(&self) -> bool {
        !self.next_hops.is_empty()
    }

    /// Whether rules or routes are for some sources only: the kernel must be told the source to follow them.
    pub(in crate::transport) fn goes_by_source(&self) -> bool {
        self.by_source
    }

    /// The interface that has `source`, if it is one of several next hops; else 0.
    pub(in crate::transport) fn pinned_interface(&self, source: IpAddr) -> u32 {
        let interface = self.interfaces.get(&source).copied();
        // An address of loopback, say, may leave by any of them.
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

/// Whether any route leads over several next hops; `None` if the kernel does not tell. It then chooses one for each flow, from
/// what it knows of the flow.
pub fn has_several_next_hops() -> Option<bool> {
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

/// The interfaces of next hops that stand in a group of several. Routes refer to such groups by number
/// (`net.ipv4.nexthop_compat_mode=0` keeps the kernel from listing the next hops with the routes).
fn grouped(tables: &mut Tables) -> BTreeSet<u32> {
    let mut interfaces = HashMap::new();
    let mut members = Vec::new();
    // A kernel that refuses knows no such groups.
    let _ = tables.ask(&message::ask_next_hops(), |answer| {
        if let Some(object) = answer.next_hop_object() {
            interfaces.extend(object.interface.map(|interface| (object.id, interface)));
            if object.members.len() > 1 {
                members.extend(object.members);
            }
        }
        // To the end of the list.
        None::<()>
    });
    members
        .iter()
        .filter_map(|id| interfaces.get(id).copied())
        .collect()
}
