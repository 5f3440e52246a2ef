//! Why a name has no address, with a remedy.

use std::time::Duration;

use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;

use super::Families;
use super::dns::TRIES;

/// Why a name could not be resolved. Each message names a remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// NXDOMAIN.
    #[error("there is no such name (NXDOMAIN): check its spelling")]
    NoSuchName,
    /// The name exists, but has no address of these families.
    #[error("it has no {} address: leave it out", family(.0))]
    NoAddress(Families),
    /// The same for one family. The run probes the other as well.
    #[error(
        "it has no {} address: leave it out, or ask for both families with --resolve-targets both",
        family(.0)
    )]
    NoAddressOfOne(Families),
    /// No server answered within this time, in any attempt.
    #[error(
        "no DNS server answered, asked {TRIES} times for {} s: check the network, or name a server with --resolver",
        .0.as_secs_f64()
    )]
    Silent(Duration),
    /// REFUSED.
    #[error(
        "the DNS server refused to answer (REFUSED): it may serve others only; name one that serves this host with --resolver"
    )]
    Refused,
    /// SERVFAIL.
    #[error(
        "the DNS server failed (SERVFAIL): the name's own servers may be broken; try later, or name a server with --resolver"
    )]
    Failed,
    /// Another error code, by its name.
    #[error("the DNS server answered `{0}`: name another server with --resolver")]
    Code(String),
    /// Truncated over UDP, and no answer over TCP.
    #[error(
        "the DNS server's answer is too long for UDP, and over TCP there was none: let connections to the server's TCP port out, or \
         name another server with --resolver"
    )]
    TooLong,
    /// The system cannot send to the servers.
    #[error(
        "no DNS server can be reached ({0}): check the network, or name a server with --resolver"
    )]
    Unreachable(String),
    /// Not asked, because the servers are silent.
    #[error(
        "not asked, because no server answered the {0} questions before it: check the network, or name a server with --resolver"
    )]
    NotAsked(usize),
    /// The system's configuration names no server.
    #[error("there is no DNS server to ask ({0}): name one with --resolver")]
    NoServer(String),
    /// A run in the lab, which has no DNS server.
    #[error(
        "the lab has no DNS server, and servers outside are never asked: give its address, or a server inside with --resolver"
    )]
    Lab,
    /// A run in the lab in virtual time, which opens no sockets.
    #[error("the lab has no DNS server, and servers outside are never asked: give its address")]
    LabInVirtualTime,
    /// Any other error of a resolver.
    #[error("{0}")]
    Other(String),
}

impl Unresolved {
    /// Whether no server answered.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Unresolved::Silent(_) | Unresolved::Unreachable(_))
    }

    /// Whether the name is known to have no address. Then asking again is useless.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Unresolved::NoSuchName | Unresolved::NoAddress(_))
    }

    /// The reason that follows from `error`. The question was for addresses of `family`, and waited for `patience`.
    pub(super) fn from_error(error: &NetError, family: Families, patience: Duration) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
                match response_code {
                    ResponseCode::NoError => Unresolved::NoAddress(family),
                    code => Unresolved::from_code(*code),
                }
            }
            NetError::Dns(DnsError::ResponseCode(code)) => Unresolved::from_code(*code),
            NetError::Timeout => Unresolved::Silent(patience),
            // The error does not say what became of the TCP connection.
            NetError::Truncated => Unresolved::TooLong,
            NetError::Io(error) => Unresolved::Unreachable(error.to_string()),
            NetError::NoConnections => Unresolved::Unreachable("no connection".to_owned()),
            other => Unresolved::Other(other.to_string()),
        }
    }

    fn from_code(code: ResponseCode) -> Self {
        match code {
            ResponseCode::NXDomain => Unresolved::NoSuchName,
            ResponseCode::ServFail => Unresolved::Failed,
            ResponseCode::Refused => Unresolved::Refused,
            other => Unresolved::Code(other.to_string()),
        }
    }
}

fn family(families: &Families) -> &'static str {
    match families {
        Families::Ipv4 => "IPv4",
        Families::Ipv6 => "IPv6",
        Families::Both => "IPv4 or IPv6",
    }
}
