//! Private network namespaces. A new namespace has only a loopback device, so no packet can leave it.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};

use super::netlink::{Netlink, Route, Via};
use super::{NamespaceError, sys};

/// Our address in a namespace that drops all packets (TEST-NET-1, RFC 5737).
const DROP_SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The same in IPv6 (RFC 3849).
const DROP_SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Gateway of devices with neighbours (link-local, RFC 3927). All destinations share this neighbour. If each destination were a
/// neighbour, the kernel's table of 1,024 would overflow. The address never appears in a packet.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);

/// The same in IPv6, on all kinds of devices: without a gateway, the kernel keeps an entry per destination.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// If the kernel needs longer to add its own route, it will not do so at all.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(10);

/// Hardware addresses of a pair's two ends (locally administered).
pub(super) const NEAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub(super) const FAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

/// The kind of namespaces that we entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A network namespace. We also have privileges outside it.
    Network,
    /// A user namespace and a network namespace. We have privileges only inside.
    UserAndNetwork,
}

/// A route that refuses packets with a certain error. For tests of send errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// As without a route (a `throw` route): ENETUNREACH.
    Missing,
    /// EHOSTUNREACH.
    Unreachable,
    /// EACCES.
    Prohibit,
    /// EINVAL.
    Blackhole,
}

/// The namespace of the thread that holds this value, and of all threads and programs that it starts.
///
/// A thread cannot leave the namespace. The value cannot move to another thread, which may be in another namespace.
#[derive(Debug)]
pub struct Namespace {
    isolation: Isolation,
    stays: PhantomData<*const ()>,
}

impl Namespace {
    /// The kind of namespaces that we entered.
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

/// Enters a new network namespace. Without CAP_SYS_ADMIN, it enters a new user namespace as well, which only a process with one
/// thread can do. Loopback is up. Programs inside may use ping sockets.
pub fn enter_namespace() -> Result<Namespace, NamespaceError> {
    match enter_network_namespace() {
        // Also if we may create a network namespace but not configure it (CAP_SYS_ADMIN without CAP_NET_ADMIN).
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

/// Enters a new user namespace and a new network namespace, as [`enter_namespace`] does for an ordinary user.
/// The process must have one thread.
pub fn enter_user_namespace() -> Result<Namespace, NamespaceError> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(NamespaceError::Threads { threads });
    }
    let (user, group) = sys::effective_ids();
    // In the new namespace every user has all capabilities, so this is asked before.
    let lacks_setfcap = user == 0
        && caps::has_cap(None, CapSet::Effective, Capability::CAP_SETFCAP).is_ok_and(|has| !has);
    // An error here is not fatal. The writes below show whether the step was needed.
    let _ = sys::own_proc_files();
    sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET).map_err(|source| {
        NamespaceError::Unshare {
            namespaces: "user and network",
            source,
        }
    })?;
    // This order matters. Without CAP_SETGID outside, the group map is refused until setgroups is denied.
    for (file, content) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ] {
        fs::write(file, content).map_err(|source| NamespaceError::Map {
            file,
            lacks_setfcap,
            source,
        })?;
    }
    furnish(Isolation::UserAndNetwork)
}

/// Enters a new namespace whose only route leads to a device that accepts and drops every packet. It shows the cost of sending alone.
/// The device is the kernel's `dummy`, or a veth pair without a receiver.
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
        // Frames are addressed to the near end's hardware address (NOARP). So the far end drops them at once.
        up(&mut netlink, far, None)?;
    }
    up(&mut netlink, near, None)?;
    route_everything(&mut netlink, near, DROP_SOURCE, true)?;
    // A kernel without IPv6 still drops IPv4 packets.
    let _ = route_all_ipv6("drop0", DROP_SOURCE_V6);
    Ok(namespace)
}

/// The setup that all our namespaces share.
fn furnish(isolation: Isolation) -> Result<Namespace, NamespaceError> {
    up(&mut open_netlink()?, index("lo")?, None)?;
    // /proc/sys may be read-only in a container. Then only ping sockets are missing.
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
    // A kernel without IPv6 has nothing to switch off. Packets of this kind are told apart from probes in any case.
    let _ = netlink.no_link_local(interface);
    netlink
        .up(interface, queue)
        .map_err(NamespaceError::network("switching a network device on"))
}

/// Gives `interface` the address `source` and the default route. If the device has neighbours, the route has a gateway.
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

/// Gives the interface `name` the IPv6 address `source` and the default route. It looks for no neighbours, because the devices have
/// none (NOARP), and for no routers, because none answers.
pub(super) fn route_all_ipv6(name: &str, source: Ipv6Addr) -> Result<(), NamespaceError> {
    // /proc/sys may be read-only in a container, and a kernel may lack IPv6. The steps below report errors that matter.
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

/// Waits until the kernel accepts packets to `address`. It acknowledges a new IPv6 address at once, but adds the route to it a moment
/// later in a work queue. Until then it drops replies.
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

/// Whether the kernel's `table` of IPv6 routes leads `address` to this host. Columns are destination and prefix length (hexadecimal,
/// as all columns) and, as the ninth, flags with RTF_LOCAL.
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
