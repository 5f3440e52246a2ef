//! Network namespaces of our own: a fresh one holds a loopback device and nothing else, so nothing sent in it gets out.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::netlink::{Netlink, Route, Via};
use super::{NamespaceError, sys};

/// Our address in a namespace that drops everything (TEST-NET-1, RFC 5737).
const DROP_SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The same in IPv6 (RFC 3849).
const DROP_SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Gateway of devices with neighbours (link-local, RFC 3927). One neighbour for all destinations: with each destination as
/// its own neighbour the kernel's table of 1,024 would overflow. It is never seen in a packet.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);

/// The same in IPv6, on devices of any kind: there the kernel keeps an entry for each neighbour without a gateway.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// A kernel that needs longer for its own route is not going to make it.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(10);

/// Hardware addresses of the two ends of a pair (locally administered).
pub(super) const NEAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub(super) const FAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

/// Which namespaces are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A network namespace; we are privileged outside it, too.
    Network,
    /// A user and a network namespace: privileged inside only.
    UserAndNetwork,
}

/// A route that refuses packets in its own way: for tests of send errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// As if there were no route (a `throw` route): ENETUNREACH.
    Missing,
    /// EHOSTUNREACH.
    Unreachable,
    /// EACCES.
    Prohibit,
    /// EINVAL.
    Blackhole,
}

/// The namespace that the thread holding this value is in, and every thread and program that it starts.
///
/// There is no way back out. The value stays with its thread, because other threads may be elsewhere.
#[derive(Debug)]
pub struct Namespace {
    isolation: Isolation,
    stays: PhantomData<*const ()>,
}

impl Namespace {
    /// Which namespaces are ours.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Adds a route to `destination`/`prefix_length` that refuses packets.
    pub fn add_refusing_route(
        &self,
        destination: impl Into<IpAddr>,
        prefix_length: u8,
        kind: RouteKind,
    ) -> Result<(), NamespaceError> {
        let kind = match kind {
            RouteKind::Missing => libc::RTN_THROW,
            RouteKind::Unreachable => libc::RTN_UNREACHABLE,
            RouteKind::Prohibit => libc::RTN_PROHIBIT,
            RouteKind::Blackhole => libc::RTN_BLACKHOLE,
        };
        let route = Route {
            destination: destination.into(),
            prefix_length,
            kind,
            via: None,
        };
        open_netlink()?
            .add_route(&route)
            .map_err(NamespaceError::network("adding a route that refuses"))
    }
}

/// Enters a fresh network namespace: with CAP_SYS_ADMIN that alone, otherwise within a fresh user namespace, which only a
/// process without other threads can do. Loopback is up; programs inside may use ping sockets.
pub fn enter_namespace() -> Result<Namespace, NamespaceError> {
    match enter_network_namespace() {
        // Also where we may create a network namespace but not administer it (CAP_SYS_ADMIN without CAP_NET_ADMIN).
        Err(error) if error.is_refusal() => enter_user_namespace(),
        other => other,
    }
}

fn enter_network_namespace() -> Result<Namespace, NamespaceError> {
    sys::unshare(libc::CLONE_NEWNET).map_err(|source| NamespaceError::Unshare {
        namespaces: "network",
        source,
    })?;
    furnish(Isolation::Network)
}

/// Enters a fresh user and network namespace whoever we are: what [`enter_namespace`] does for an ordinary user.
/// Only a process without other threads can.
pub fn enter_user_namespace() -> Result<Namespace, NamespaceError> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(NamespaceError::Threads { threads });
    }
    let (user, group) = sys::effective_ids();
    // Not fatal: the writes below tell whether it was needed.
    let _ = sys::own_proc_files();
    sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET).map_err(|source| {
        NamespaceError::Unshare {
            namespaces: "user and network",
            source,
        }
    })?;
    // In this order: without CAP_SETGID outside, the group map is refused until setgroups is.
    for (file, content) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ] {
        fs::write(file, content).map_err(|source| NamespaceError::Map { file, source })?;
    }
    furnish(Isolation::UserAndNetwork)
}

/// Enters a fresh namespace whose only route leads to a device that takes every packet at once and drops it: what sending
/// costs, and nothing else. The device is the kernel's `dummy`, or a veth pair with nobody at its far end.
pub fn enter_drop_namespace() -> Result<Namespace, NamespaceError> {
    let namespace = enter_namespace()?;
    let mut netlink = open_netlink()?;
    netlink
        .create_dummy(("drop0", NEAR_MAC))
        .or_else(|_| netlink.create_veth(("drop0", NEAR_MAC), ("drop1", FAR_MAC)))
        .map_err(NamespaceError::network(
            "creating a device that drops packets",
        ))?;
    let near = index("drop0")?;
    if let Ok(far) = sys::interface_index("drop1") {
        // Frames carry the near end's hardware address as their destination (NOARP): the far end drops them unlooked at.
        up(&mut netlink, far, None)?;
    }
    up(&mut netlink, near, None)?;
    route_everything(&mut netlink, near, DROP_SOURCE, true)?;
    // A kernel without IPv6 still drops IPv4.
    let _ = route_all_ipv6("drop0", DROP_SOURCE_V6);
    Ok(namespace)
}

/// What every namespace of ours gets.
fn furnish(isolation: Isolation) -> Result<Namespace, NamespaceError> {
    up(&mut open_netlink()?, index("lo")?, None)?;
    // A container may mount /proc/sys read-only. Without it only ping sockets are missed.
    let _ = fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0");
    Ok(Namespace {
        isolation,
        stays: PhantomData,
    })
}

pub(super) fn open_netlink() -> Result<Netlink, NamespaceError> {
    Netlink::open().map_err(NamespaceError::network("opening a netlink socket"))
}

pub(super) fn index(name: &str) -> Result<u32, NamespaceError> {
    sys::interface_index(name).map_err(NamespaceError::network("looking up a network device"))
}

pub(super) fn up(
    netlink: &mut Netlink,
    interface: u32,
    queue: Option<u32>,
) -> Result<(), NamespaceError> {
    // A kernel without IPv6 has nothing to switch off; and packets of that kind are told from probes anyway.
    let _ = netlink.no_link_local(interface);
    netlink
        .up(interface, queue)
        .map_err(NamespaceError::network("switching a network device on"))
}

/// Gives `interface` the address `source` and the default route; over a gateway where it has neighbours to tell apart.
pub(super) fn route_everything(
    netlink: &mut Netlink,
    interface: u32,
    source: Ipv4Addr,
    neighbours: bool,
) -> Result<(), NamespaceError> {
    let set_up = |netlink: &mut Netlink| -> io::Result<()> {
        netlink.add_address(interface, source.into())?;
        netlink.add_route(&Route {
            destination: Ipv4Addr::UNSPECIFIED.into(),
            prefix_length: 0,
            kind: libc::RTN_UNICAST,
            via: Some(Via {
                interface,
                source: source.into(),
                gateway: neighbours.then_some(GATEWAY.into()),
            }),
        })
    };
    set_up(netlink).map_err(NamespaceError::network(
        "adding the address and the default route",
    ))
}

/// Gives the interface `name` the IPv6 address `source` and the default route. Neighbours are not looked for: the devices
/// have none (NOARP), and no routers: none ever answers.
pub(super) fn route_all_ipv6(name: &str, source: Ipv6Addr) -> Result<(), NamespaceError> {
    // A container may mount /proc/sys read-only, and a kernel have no IPv6. What has to work is tried below.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "0");
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_ra"), "0");
    let interface = index(name)?;
    let mut netlink = open_netlink()?;
    let mut set_up = || -> io::Result<()> {
        netlink.add_address(interface, source.into())?;
        netlink.add_route(&Route {
            destination: Ipv6Addr::UNSPECIFIED.into(),
            prefix_length: 0,
            kind: libc::RTN_UNICAST,
            via: Some(Via {
                interface,
                source: source.into(),
                gateway: Some(GATEWAY_V6.into()),
            }),
        })
    };
    set_up()
        .and_then(|()| await_local_route(source))
        .map_err(NamespaceError::network(
            "adding the IPv6 address and default route",
        ))
}

/// Waits until the kernel takes in what is sent to `address`. It acknowledges an IPv6 address at once but makes the route to it
/// in a work queue, a moment later; until then answers are dropped.
fn await_local_route(address: Ipv6Addr) -> io::Result<()> {
    let began = Instant::now();
    while began.elapsed() < ADDRESS_PATIENCE {
        if has_local_route(
            &fs::read_to_string("/proc/thread-self/net/ipv6_route")?,
            address,
        ) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "the kernel does not take in what is sent to the address",
    ))
}

/// Whether the kernel's `table` of IPv6 routes leads `address` to this host: destination, prefix length (hexadecimal, as all)
/// and, in the ninth column, RTF_LOCAL.
fn has_local_route(table: &str, address: Ipv6Addr) -> bool {
    let wanted = format!("{:032x}", u128::from(address));
    table.lines().any(|line| {
        let mut columns = line.split_ascii_whitespace();
        let [destination, length] = [columns.next(), columns.next()];
        let flags = columns.nth(6).and_then(|f| u32::from_str_radix(f, 16).ok());
        destination == Some(wanted.as_str())
            && length == Some("80")
            && flags.is_some_and(|flags| flags & 0x8000_0000 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_route_is_told_from_others_to_the_same_address() {
        let line = |address: &str, length: &str, flags: &str| {
            let zero = "0".repeat(32);
            format!(
                "{address} {length} {zero} 00 {zero} 00000000 00000001 00000000 {flags}     lab0\n"
            )
        };
        let own = "20010db8000000000000000000000001";
        let is_local = |table: &str| has_local_route(table, DROP_SOURCE_V6);
        assert!(is_local(&line(own, "80", "80200001")));
        let others = [
            line(own, "80", "00000001"),
            line(own, "40", "80200001"),
            line(&own.replace('1', "2"), "80", "80200001"),
            "rubbish\n".to_owned(),
        ]
        .concat();
        assert!(!is_local(&others));
        assert!(is_local(&(others + &line(own, "80", "80200001"))));
    }
}
