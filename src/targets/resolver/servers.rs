//! The servers to ask, and the content of the hosts file. The servers come from the command line or from the system's files.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, Resolver, TokioResolver};

use super::dns::AT_ONCE;

/// The port of DNS.
const PORT: u16 = 53;

/// Parses `ADDRESS[:PORT]` of a DNS server. An IPv6 address with a port needs brackets.
///
/// # Errors
/// A message with the accepted forms.
pub fn parse_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = match (text.parse::<IpAddr>(), bare.map(str::parse::<IpAddr>)) {
        (Ok(address), _) | (_, Some(Ok(address @ IpAddr::V6(_)))) => {
            Some(SocketAddr::new(address, PORT))
        }
        _ => text.parse::<SocketAddr>().ok(),
    };
    let usable = |server: &SocketAddr| {
        let address = server.ip();
        server.port() != 0 && !address.is_unspecified() && !address.is_multicast()
    };
    address.filter(usable).ok_or_else(|| {
        "give the address of a DNS server, such as 192.0.2.53, 192.0.2.53:5353, 2001:db8::53 or [2001:db8::53]:5353"
            .to_owned()
    })
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

/// The sources of answers.
pub(super) struct Sources {
    /// One resolver per server, in the order in which they are asked. If there is no server: the reason.
    pub(super) servers: Result<Vec<TokioResolver>, String>,
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
        Sources {
            servers: one_each(config, &ResolverOpts::default(), patience)
                .map_err(|error| error.to_string()),
            hosts: Hosts::default(),
        }
    }

    /// The system's configuration. Uses the search list and `ndots` from its files, but not its timeouts and attempts.
    pub(super) fn of_system(files: &SystemFiles, patience: Duration) -> Self {
        let broken =
            |error: &dyn std::fmt::Display| format!("{}: {error}", files.resolv_conf.display());
        let servers = std::fs::read(&files.resolv_conf)
            .map_err(NetError::from)
            .and_then(parse_resolv_conf)
            .and_then(|(config, options)| one_each(config, &options, patience))
            .map_err(|error| broken(&error));
        Sources {
            servers,
            // If the file cannot be read, there are no hosts.
            hosts: read_hosts(files).unwrap_or_default(),
        }
    }
}

fn read_hosts(files: &SystemFiles) -> io::Result<Hosts> {
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf(std::fs::File::open(&files.hosts)?)?;
    Ok(hosts)
}

/// Creates a separate resolver for each server. So the caller chooses the server for each question, and a server that refuses does not
/// stop the others.
fn one_each(
    config: ResolverConfig,
    system: &ResolverOpts,
    patience: Duration,
) -> Result<Vec<TokioResolver>, NetError> {
    let (domain, search, servers) = config.into_parts();
    let build = |server| {
        let config = ResolverConfig::from_parts(domain.clone(), search.clone(), vec![server]);
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
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
    servers.into_iter().map(build).collect()
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
        ] {
            let error = parse_server(text).unwrap_err();
            assert!(error.contains("[2001:db8::53]:5353"), "{text}: {error}");
        }
    }
}
