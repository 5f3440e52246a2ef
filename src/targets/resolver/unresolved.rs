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
    /// The name has no address of this family. The run probes the other family as well.
    #[error(
        "it has no {} address: leave it out, or resolve both families with --resolve-targets both",
        family(.0)
    )]
    NoAddressOfOne(Families),
    /// No server answered within this time, in any attempt.
    #[error(
        "no DNS server answered, asked {TRIES} times for {} s: check the network, or give a server with --resolver",
        .0.as_secs_f64()
    )]
    Silent(Duration),
    /// REFUSED.
    #[error(
        "the DNS server refused to answer (REFUSED): it may not serve this host; give one that does with --resolver"
    )]
    Refused,
    /// SERVFAIL.
    #[error(
        "the DNS server failed (SERVFAIL): the servers of the name may have failed; try later, or give another server with --resolver"
    )]
    Failed,
    /// Another error code, by its name.
    #[error("the DNS server answered `{0}`: give another server with --resolver")]
    Code(String),
    /// Truncated over UDP, and no answer over TCP.
    #[error(
        "the DNS server's answer is too long for UDP, and there was no answer over TCP: allow connections to the server's TCP port, \
         or give another server with --resolver"
    )]
    TooLong,
    /// The system cannot send to the servers.
    #[error(
        "no DNS server can be reached ({0}): check the network, or give a server with --resolver"
    )]
    Unreachable(String),
    /// Not asked, because the servers are silent.
    #[error(
        "not asked, because no server answered the {0} questions before it: check the network, or give a server with --resolver"
    )]
    NotAsked(usize),
    /// The system's configuration names no server.
    #[error("there is no DNS server to ask ({0}): give one with --resolver")]
    NoServer(String),
    /// A run in the lab, which has no DNS server.
    #[error(
        "the lab has no DNS server, and servers outside the lab are never asked: give an address, or a server in the lab with --resolver"
    )]
    Lab,
    /// A run in the lab in virtual time, which opens no sockets.
    #[error(
        "the lab has no DNS server, and servers outside the lab are never asked: give an address"
    )]
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

    /// Whether the name certainly has no address. Asking again is then useless.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Unresolved::NoSuchName | Unresolved::NoAddress(_))
    }

    /// Converts the error of a question for addresses of `family` that waited for `patience`.
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
            // The error does not report the result of the TCP connection.
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
