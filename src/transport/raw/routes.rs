//! What the kernel tells of its routes through rtnetlink(7): that something changed, and whether there are routes over several
//! next hops.
//!
//! Only reading, and only with what every user may do. Where netlink cannot be had (a sandbox), everything counts as changed
//! once a second, and nothing is known of next hops.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::sys;

/// Groups of messages that may change a source address: links, and of both families addresses, routes and rules; next hops
/// that routes refer to. Bit n - 1 stands for group n (`enum rtnetlink_groups`, include/uapi/linux/rtnetlink.h).
const GROUPS: u32 =
    1 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18 | 1 << (NEXT_HOP_GROUP - 1);
const NEXT_HOP_GROUP: u32 = 32;

/// How long answers are believed where the kernel cannot tell of changes.
const UNTOLD: Duration = Duration::from_secs(1);

/// Bytes read at once. The kernel fills no more than 32 KiB in a dump.
const BUFFER: usize = 32 << 10;

/// Messages of a dump read at the most: full routing tables of the internet have a million. What comes later is not seen.
const MOST_MESSAGES: usize = 4_000_000;

/// The header of a message (`struct nlmsghdr`), of a route (`struct rtmsg`), of an address (`struct ifaddrmsg`), and of an attribute.
const HEADER: usize = 16;
const ROUTE: usize = 12;
const ADDRESS: usize = 8;
const ATTRIBUTE: usize = 4;
/// A next hop in `RTA_MULTIPATH` (`struct rtnexthop`).
const NEXT_HOP: usize = 8;

/// Hears of changes to routes, rules, addresses and links.
pub(super) struct RouteWatch {
    /// `None` where netlink cannot be had.
    socket: Option<Socket>,
    asked_at: Instant,
    buffer: Vec<u8>,
    /// The interfaces of all next hops of routes over several that there are, or were since the run began.
    next_hops: BTreeSet<u32>,
    /// Interfaces by our addresses. Only read if there are such routes.
    interfaces: HashMap<IpAddr, u32>,
}

impl RouteWatch {
    /// Begins to listen, and then looks at what there is.
    pub fn open() -> Self {
        let mut watch = RouteWatch {
            socket: sys::netlink(GROUPS).ok(),
            asked_at: Instant::now(),
            buffer: vec![0; BUFFER],
            next_hops: BTreeSet::new(),
            interfaces: HashMap::new(),
        };
        // What cannot be listed is not known: nothing is pinned then.
        let _ = dump(libc::RTM_GETROUTE, ROUTE, &mut |message| {
            watch.next_hops.extend(message.several_next_hops());
            true
        });
        watch.read_interfaces();
        watch
    }

    /// Whether something may have changed since the last call.
    pub fn has_changed(&mut self) -> bool {
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
                    for message in messages(&self.buffer[..length]) {
                        self.next_hops.extend(message.several_next_hops());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // More changes than the socket could hold.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => changed = true,
                Err(_) => break,
            }
        }
        if changed {
            self.read_interfaces();
        }
        changed
    }

    /// Whether there are routes over several next hops.
    pub fn has_several_next_hops(&self) -> bool {
        !self.next_hops.is_empty()
    }

    /// The interface that has `source`, if it is one of several next hops; else 0.
    pub fn pinned_interface(&self, source: IpAddr) -> u32 {
        let interface = self.interfaces.get(&source).copied();
        // An address of loopback, say, may leave by any of them.
        interface
            .filter(|interface| self.next_hops.contains(interface))
            .unwrap_or(0)
    }

    fn read_interfaces(&mut self) {
        if self.has_several_next_hops() {
            self.interfaces = interfaces().unwrap_or_default();
        }
    }
}

/// Whether any route leads over several next hops. The kernel then chooses one for each flow, from what it knows of the flow.
pub fn has_several_next_hops() -> io::Result<bool> {
    let mut found = false;
    dump(libc::RTM_GETROUTE, ROUTE, &mut |message| {
        found |= message.several_next_hops().next().is_some();
        !found
    })?;
    Ok(found)
}

/// Our addresses, and the interface that each is on.
fn interfaces() -> io::Result<HashMap<IpAddr, u32>> {
    let mut interfaces = HashMap::new();
    dump(libc::RTM_GETADDR, ADDRESS, &mut |message| {
        if let Some((address, interface)) = message.address() {
            interfaces.insert(address, interface);
        }
        true
    })?;
    Ok(interfaces)
}

/// Asks for all entries of a table of both families, and passes them to `visit` until it has seen enough.
fn dump(kind: u16, header: usize, visit: &mut dyn FnMut(&Message<'_>) -> bool) -> io::Result<()> {
    // A socket of its own: changes would come in between, and what is left unread goes with it.
    let mut socket = sys::netlink(0)?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(UNTOLD))?;
    let mut request = Vec::new();
    request.extend(((HEADER + header) as u32).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    // Sequence number, port, and the table's own header: any family, any of its entries.
    request.resize(HEADER + header, 0);
    socket.write_all(&request)?;
    let mut buffer = vec![0; BUFFER];
    let mut seen = 0;
    loop {
        let length = match socket.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        for message in messages(&buffer[..length]) {
            seen += 1;
            match message.kind {
                kind if kind == libc::NLMSG_DONE as u16 => return Ok(()),
                kind if kind == libc::NLMSG_ERROR as u16 => {
                    return Err(io::Error::other("the kernel refuses to list its routes"));
                }
                _ if seen > MOST_MESSAGES || !visit(&message) => return Ok(()),
                _ => {}
            }
        }
        if length == 0 {
            return Ok(());
        }
    }
}

/// One message: its type, and what follows its header.
struct Message<'a> {
    kind: u16,
    body: &'a [u8],
}

impl Message<'_> {
    /// The interfaces of a new route's next hops, if it has two or more.
    fn several_next_hops(&self) -> impl Iterator<Item = u32> {
        let is_route = self.kind == libc::RTM_NEWROUTE;
        let hops = is_route
            .then(|| attributes(self.body, ROUTE))
            .into_iter()
            .flatten()
            .find(|(kind, _)| *kind == libc::RTA_MULTIPATH)
            .map_or(&[][..], |(_, hops)| hops);
        let is_several = next_hops(hops).nth(1).is_some();
        next_hops(hops).filter(move |_| is_several)
    }

    /// The address of a new address, and its interface.
    fn address(&self) -> Option<(IpAddr, u32)> {
        if self.kind != libc::RTM_NEWADDR {
            return None;
        }
        let index = u32::from_ne_bytes(*self.body.get(4..)?.first_chunk()?);
        // On a line between two hosts IFA_ADDRESS is the other one's, where there is an IFA_LOCAL.
        let of = |wanted: u16| {
            attributes(self.body, ADDRESS)
                .find(|(kind, _)| *kind == wanted)
                .and_then(|(_, value)| read_address(value))
        };
        let address = of(libc::IFA_LOCAL).or_else(|| of(libc::IFA_ADDRESS))?;
        Some((address, index))
    }
}

fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        16 => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// The messages in what was read, up to the first that is not whole.
fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

/// The interfaces of the next hops in `RTA_MULTIPATH`, up to the first that is not whole.
fn next_hops(hops: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = hops;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let hop = rest.get(..length.max(NEXT_HOP))?;
        rest = rest
            .get(hop.len().next_multiple_of(4)..)
            .unwrap_or_default();
        Some(u32::from_ne_bytes(*hop.get(4..)?.first_chunk()?))
    })
}

/// The attributes behind a header of `header` bytes, up to the first that is not whole.
fn attributes(body: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = body.get(header..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(ATTRIBUTE..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message around a header and attributes.
    fn message(kind: u16, header: &[u8], parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = header.to_vec();
        for (kind, value) in parts {
            body.extend(((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes
    }

    fn hops(count: usize) -> Vec<u8> {
        // Length 16 with a gateway attribute, flags, weight, interface.
        let mut hop = vec![0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 5, 0, 10, 9, 1, 2];
        hop[..2].copy_from_slice(&16_u16.to_ne_bytes());
        hop[4..8].copy_from_slice(&2_u32.to_ne_bytes());
        hop.repeat(count)
    }

    #[test]
    fn a_route_over_two_next_hops_is_told_from_one() {
        for count in 0..4 {
            let hops = hops(count);
            let parts = [(7, &[1, 2, 3][..]), (libc::RTA_MULTIPATH, &hops)];
            let bytes = message(libc::RTM_NEWROUTE, &[0; ROUTE], &parts);
            let found: Vec<u32> = messages(&bytes)
                .flat_map(|message| message.several_next_hops().collect::<Vec<_>>())
                .collect();
            let expected = if count < 2 { 0 } else { count };
            assert_eq!(found, vec![2; expected], "{count} next hops");
            let gone = message(libc::RTM_DELROUTE, &[0; ROUTE], &parts);
            assert!(messages(&gone).all(|message| message.several_next_hops().count() == 0));
        }
    }

    #[test]
    fn our_own_end_of_a_line_is_our_address() {
        let mut header = [0; ADDRESS];
        header[4..].copy_from_slice(&7_u32.to_ne_bytes());
        let parts = [
            (libc::IFA_ADDRESS, &[10, 0, 0, 2][..]),
            (libc::IFA_LOCAL, &[10, 0, 0, 1]),
        ];
        let both = [
            message(libc::RTM_NEWADDR, &header, &parts),
            message(
                libc::RTM_NEWADDR,
                &header,
                &[(libc::IFA_ADDRESS, &[0xfe; 16])],
            ),
        ]
        .concat();
        let found: Vec<_> = messages(&both)
            .filter_map(|message| message.address())
            .collect();
        let expected = [
            (Ipv4Addr::new(10, 0, 0, 1).into(), 7),
            (Ipv6Addr::from([0xfe; 16]).into(), 7),
        ];
        assert_eq!(found, expected);
        // Cut short anywhere, it says less, and nothing else.
        for size in 0..both.len() {
            let cut = messages(&both[..size]).filter_map(|message| message.address());
            assert!(cut.eq(expected.into_iter().take(usize::from(size >= 40))));
        }
    }

    #[test]
    fn the_kernel_lists_the_address_of_loopback() {
        let interfaces = interfaces().expect("netlink");
        assert!(
            interfaces.is_empty() || interfaces.contains_key(&Ipv4Addr::LOCALHOST.into()),
            "{interfaces:?}"
        );
        has_several_next_hops().expect("netlink");
    }
}
