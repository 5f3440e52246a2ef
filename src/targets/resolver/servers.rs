//! The servers to ask, and the content of the hosts file. The servers come from the command line or from the system's files.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, Resolver};

use super::dns::AT_ONCE;
use super::provider::Provider;
use super::zones;

/// The port of DNS.
const PORT: u16 = 53;

/// Parses `ADDRESS[:PORT]` of a DNS server. An IPv6 address with a port needs brackets. A link-local address may have a zone, which is the name
/// or the index of an interface.
///
/// # Errors
/// A message with the accepted forms, or with the interfaces of this host.
pub fn parse_server(text: &str) -> Result<SocketAddr, String> {
    if let Some((address, port)) = with_zone(text) {
        let (address, zone) = address?;
        let server = SocketAddrV6::new(address, port, 0, zone);
        return Ok(server.into());
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = match (text.parse::<IpAddr>(), bare.map(str::parse::<IpAddr>)) {
        (Ok(address), _) | (_, Some(Ok(address @ IpAddr::V6(_)))) => {
            Some(SocketAddr::new(address, PORT))
        }
        _ if text.contains('%') => None,
        _ => text.parse::<SocketAddr>().ok(),
    };
    let usable = |server: &SocketAddr| {
        let address = server.ip();
        server.port() != 0 && !address.is_unspecified() && !address.is_multicast()
    };
    address.filter(usable).ok_or_else(|| {
        "give the address of a DNS server, such as 192.0.2.53, 192.0.2.53:5353, 2001:db8::53, [2001:db8::53]:5353 or fe80::53%eth0"
            .to_owned()
    })
}

/// A link-local address with its zone, or why it cannot be used; and the port.
type Zoned = (Result<(Ipv6Addr, u32), String>, u16);

/// Parses `ADDRESS%ZONE`, `[ADDRESS%ZONE]` or `[ADDRESS%ZONE]:PORT`. `None` if the text has another form.
fn with_zone(text: &str) -> Option<Zoned> {
    let Some(inside) = text.strip_prefix('[') else {
        return Some((zones::parse(text)?, PORT));
    };
    let (inside, behind) = inside.split_once(']')?;
    let port = match behind {
        "" => PORT,
        port => {
            let digits = port.strip_prefix(':')?;
            let all_digits = digits.bytes().all(|digit| digit.is_ascii_digit());
            digits
                .parse()
                .ok()
                .filter(|port| all_digits && *port != 0)?
        }
    };
    Some((zones::parse(inside)?, port))
}

/// The system's configuration files.
#[derive(Debug)]
pub(super) struct SystemFiles {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
}

impl Default for SystemFiles {
    fn default() -> Self {
        SystemFiles {
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
        }
    }
}

/// The resolver that asks one server.
pub(super) type Server = Resolver<Provider>;

/// The sources of answers.
pub(super) struct Sources {
    /// One resolver per server, in the order in which they are asked. If there is no server: the reason.
    pub(super) servers: Result<Vec<Server>, String>,
    /// The hosts file. Empty if servers were given.
    pub(super) hosts: Hosts,
}

impl Sources {
    /// Only these servers.
    pub(super) fn named(servers: &[SocketAddr], patience: Duration) -> Self {
        let configs = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), configs.collect());
        let zones: Vec<u32> = servers.iter().map(zones::of).collect();
        Sources {
            servers: one_each(config, &zones, &ResolverOpts::default(), patience)
                .map_err(|error| error.to_string()),
            hosts: Hosts::default(),
        }
    }

    /// The system's configuration. Uses the search list and `ndots` from its files, but not its timeouts and attempts.
    pub(super) fn of_system(files: &SystemFiles, patience: Duration) -> Self {
        let servers = std::fs::read(&files.resolv_conf)
            .map_err(|error| error.to_string())
            .and_then(|text| {
                let (config, zones, options) = read_resolv_conf(&String::from_utf8_lossy(&text))?;
                one_each(config, &zones, &options, patience).map_err(|error| error.to_string())
            })
            .map_err(|error| format!("{}: {error}", files.resolv_conf.display()));
        Sources {
            servers,
            // If the file cannot be read, there are no hosts.
            hosts: read_hosts(files).unwrap_or_default(),
        }
    }
}

/// Reads a resolv.conf. Returns the configuration, the zone of each server, and the options. A server behind an interface that this host does
/// not have is left out, unless no other server is left.
///
/// # Errors
/// A message.
fn read_resolv_conf(text: &str) -> Result<(ResolverConfig, Vec<u32>, ResolverOpts), String> {
    let mut listed = Vec::new();
    let plain: Vec<String> = text
        .lines()
        .map(|line| without_zone(line, &mut listed))
        .collect();
    let read = parse_resolv_conf(plain.join("\n")).map_err(|error| error.to_string())?;
    let (config, options) = read;
    let (domain, search, servers) = config.into_parts();
    let (mut kept, mut zones, mut unusable) = (Vec::new(), Vec::new(), None);
    // Both have the order of the file.
    let mut listed = listed.into_iter();
    for server in servers {
        let zone = listed.find(|(address, _)| server.ip == *address);
        let zone = match zone.map(|(_, zone)| zone) {
            None => 0,
            Some(Ok(zone)) => zone,
            Some(Err(why)) => {
                unusable.get_or_insert(why);
                continue;
            }
        };
        kept.push(server);
        zones.push(zone);
    }
    match unusable {
        Some(why) if kept.is_empty() => Err(why),
        _ => Ok((
            ResolverConfig::from_parts(domain, search, kept),
            zones,
            options,
        )),
    }
}

/// A line of resolv.conf without the zone of its server. Adds the server and its zone to `listed`. The parser of the file drops zones, and
/// refuses those with other characters than letters and digits, such as `br-lan`.
///
/// The zone of an address that is not link-local is ignored: such an address is the same behind every interface.
fn without_zone(line: &str, listed: &mut Vec<(IpAddr, Result<u32, String>)>) -> String {
    let text = line.split([';', '#']).next().unwrap_or(line);
    let mut words = text.split_whitespace();
    let server = match (words.next(), words.next()) {
        (Some("nameserver"), Some(server)) => server,
        _ => return line.to_owned(),
    };
    if let Ok(address) = server.parse() {
        listed.push((address, Ok(0)));
        return line.to_owned();
    }
    let Some((address, zone)) = zones::split(server) else {
        return line.to_owned();
    };
    let zone = match address.is_unicast_link_local() {
        true => zones::index(zone),
        false => Ok(0),
    };
    listed.push((address.into(), zone));
    format!("nameserver {address}")
}

fn read_hosts(files: &SystemFiles) -> io::Result<Hosts> {
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf(std::fs::File::open(&files.hosts)?)?;
    Ok(hosts)
}

/// Creates a separate resolver for each server. So the caller chooses the server for each question, and a server that refuses does not
/// stop the others. `zones` has one for each server.
fn one_each(
    config: ResolverConfig,
    zones: &[u32],
    system: &ResolverOpts,
    patience: Duration,
) -> Result<Vec<Server>, NetError> {
    let (domain, search, servers) = config.into_parts();
    let build = |(server, zone): (_, &u32)| {
        let config = ResolverConfig::from_parts(domain.clone(), search.clone(), vec![server]);
        let mut builder = Resolver::builder_with_config(config, Provider::new(*zone));
        let options = builder.options_mut();
        options.ndots = system.ndots;
        options.edns0 = system.edns0;
        options.timeout = patience;
        options.attempts = 0;
        // The limit for one TCP connection. Any further question would fail.
        options.max_active_requests = AT_ONCE;
        // We read the hosts file ourselves, before the search list.
        options.use_hosts_file = ResolveHosts::Never;
        builder.build()
    };
    servers.into_iter().zip(zones).map(build).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_and_without_a_port() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
            ("::1", "[::1]:53"),
        ] {
            assert_eq!(parse_server(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "",
            "dns.example",
            "192.0.2.53:",
            "192.0.2.53:0",
            "192.0.2.53:65536",
            "192.0.2",
            "[192.0.2.53]",
            "[2001:db8::53]5353",
            "0.0.0.0",
            "[::]:53",
            "224.0.0.251",
            "fe80::1%",
            "[fe80::1%]:53",
            "[fe80::1%lo]:0",
            "[fe80::1%lo]:+53",
            "[fe80::1%lo]53",
            "[fe80::1]%lo",
            "192.0.2.53%lo",
            "ff02::fb%lo",
        ] {
            let error = parse_server(text).unwrap_err();
            let form = if text.starts_with("ff02") {
                "only link-local addresses"
            } else {
                "[2001:db8::53]:5353 or fe80::53%eth0"
            };
            assert!(error.contains(form), "{text}: {error}");
        }
    }

    #[test]
    fn a_link_local_server_may_have_a_zone() {
        let zone = parse_server("fe80::1%lo")
            .map(|server| zones::of(&server))
            .unwrap();
        assert!(zone > 0);
        for (text, port) in [
            ("fe80::1%lo".to_owned(), 53),
            ("[fe80::1%lo]".to_owned(), 53),
            ("[fe80::1%lo]:5353".to_owned(), 5353),
            (format!("fe80::1%{zone}"), 53),
            (format!("[fe80::1%{zone}]:5353"), 5353),
        ] {
            let server = parse_server(&text).unwrap();
            assert_eq!(
                server.to_string(),
                format!("[fe80::1%{zone}]:{port}"),
                "{text}"
            );
        }
        for text in ["fe80::1%none0", "[fe80::1%none0]:53"] {
            let error = parse_server(text).unwrap_err();
            assert!(
                error.contains("there is no interface `none0`: this host has "),
                "{error}"
            );
        }
    }

    /// The servers of a resolv.conf, with their zones.
    fn servers_of(text: &str) -> Result<Vec<(String, u32)>, String> {
        let (config, zones, _) = read_resolv_conf(text)?;
        let (_, _, servers) = config.into_parts();
        assert_eq!(servers.len(), zones.len());
        let servers = servers.into_iter().map(|server| server.ip.to_string());
        Ok(servers.zip(zones).collect())
    }

    #[test]
    fn servers_of_resolv_conf_keep_their_zones() {
        let zone = zones::of(&parse_server("fe80::1%lo").unwrap());
        let text = format!(
            "# ours\nnameserver 192.0.2.53\nnameserver fe80::1%lo\nsearch corp.example\n nameserver\tfe80::2%{zone} # second\nnameserver fe80::1\n"
        );
        let server = |address: &str, zone| (address.to_owned(), zone);
        let expected = [
            server("192.0.2.53", 0),
            server("fe80::1", zone),
            server("fe80::2", zone),
            server("fe80::1", 0),
        ];
        assert_eq!(servers_of(&text).unwrap(), expected);
        // A zone belongs to the server of its own line.
        let twice = format!("nameserver fe80::1\nnameserver x\nnameserver fe80::1%{zone};ours\n");
        let expected = [server("fe80::1", 0), server("fe80::1", zone)];
        assert_eq!(servers_of(&twice).unwrap(), expected);
        // Of servers behind unknown interfaces, one alone is an error.
        let other = "nameserver fe80::1%br-lan.7\nnameserver 192.0.2.53\n";
        assert_eq!(servers_of(other).unwrap(), [server("192.0.2.53", 0)]);
        let error = servers_of("nameserver fe80::1%br-lan.7\n").unwrap_err();
        assert!(
            error.contains("there is no interface `br-lan.7`: this host has "),
            "{error}"
        );
    }

    #[test]
    fn a_zone_in_resolv_conf_is_ignored_if_the_address_needs_none() {
        for zone in ["lo", "br-lan.7", "none0"] {
            let text =
                format!("nameserver fd00::53%{zone}\nnameserver 2001:db8::53%{zone} # ours\n");
            let expected = ["fd00::53", "2001:db8::53"].map(|address| (address.to_owned(), 0));
            assert_eq!(servers_of(&text).unwrap(), expected, "{zone}");
        }
    }
}
