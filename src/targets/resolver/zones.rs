//! Zones of link-local addresses: `fe80::1%eth0` is the host `fe80::1` behind the interface `eth0` (RFC 4007).

use std::net::{Ipv6Addr, SocketAddr};

use super::sys;

/// Parses `ADDRESS%ZONE`. The zone is the name or the index of an interface. Returns the address, and the interface's index.
///
/// # Errors
/// A message that names the interface and lists those of this host. `None` if the text has another form.
pub(super) fn parse(text: &str) -> Option<Result<(Ipv6Addr, u32), String>> {
    let (address, zone) = split(text)?;
    if !address.is_unicast_link_local() {
        let why = format!("only link-local addresses (fe80::/10) have a zone: leave out `%{zone}`");
        return Some(Err(why));
    }
    Some(index(zone).map(|index| (address, index)))
}

/// Splits `ADDRESS%ZONE`. `None` if the text has another form.
pub(super) fn split(text: &str) -> Option<(Ipv6Addr, &str)> {
    let (address, zone) = text.split_once('%')?;
    let address = address.parse().ok()?;
    (!zone.is_empty()).then_some((address, zone))
}

/// The index of the interface that a zone names.
///
/// # Errors
/// A message that names the interface and lists those of this host.
pub(super) fn index(zone: &str) -> Result<u32, String> {
    let number = zone.parse::<u32>().ok().filter(|number| *number > 0);
    let interfaces = match (sys::interfaces(), number) {
        (Ok(interfaces), _) => interfaces,
        // The kernel knows whether there is such an interface.
        (Err(_), Some(number)) => return Ok(number),
        (Err(error), None) => {
            return Err(format!(
                "interfaces cannot be listed ({error}): give the interface's index instead of `{zone}`"
            ));
        }
    };
    let named = interfaces.iter().find(|(_, name)| name == zone);
    let numbered = || interfaces.iter().find(|(index, _)| Some(*index) == number);
    if let Some((index, _)) = named.or_else(numbered) {
        return Ok(*index);
    }
    let names: Vec<&str> = interfaces.iter().map(|(_, name)| name.as_str()).collect();
    Err(format!(
        "there is no interface `{zone}`: this host has {}",
        names.join(", ")
    ))
}

/// The server with the zone, if it has an IPv6 address. Zone 0 means no zone.
pub(super) fn within(server: SocketAddr, zone: u32) -> SocketAddr {
    match server {
        SocketAddr::V6(mut server) => {
            server.set_scope_id(zone);
            server.into()
        }
        SocketAddr::V4(_) => server,
    }
}

/// The zone of a server. 0 if it has none.
pub(super) fn of(server: &SocketAddr) -> u32 {
    match server {
        SocketAddr::V6(server) => server.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_has_a_name_and_an_index() {
        let loopback = sys::interfaces().unwrap();
        let (index, _) = loopback.iter().find(|(_, name)| name == "lo").unwrap();
        let address: Ipv6Addr = "fe80::1".parse().unwrap();
        for text in ["fe80::1%lo".to_owned(), format!("fe80::1%{index}")] {
            assert_eq!(parse(&text), Some(Ok((address, *index))), "{text}");
        }
        for (text, why) in [
            (
                "fe80::1%none",
                "there is no interface `none`: this host has ",
            ),
            ("fe80::1%4294967295", "there is no interface `4294967295`"),
            ("fe80::1%0", "there is no interface `0`"),
            ("fe80::1%lo:53", "there is no interface `lo:53`"),
            ("2001:db8::1%lo", "only link-local addresses"),
            ("::1%lo", "leave out `%lo`"),
        ] {
            let error = parse(text).unwrap().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let listed = parse("fe80::1%none").unwrap().unwrap_err();
        assert!(listed.contains(" lo"), "{listed}");
        for text in ["fe80::1", "fe80::1%", "192.0.2.1%lo", "host%lo", "%lo"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
