//! Resolves host names to addresses: the trait that the loader uses, and an implementation that asks DNS servers.
//!
//! A resolver gets many names at once, and returns the answers in the order of the names. So results do not depend on the order in which
//! answers arrive. [`DnsResolver`] reads the hosts file itself. It asks the servers over UDP, and over TCP if an answer is truncated.
//!
//! Left out: DNSSEC, TLS, and other sources of names.

mod dns;
mod provider;
mod servers;
mod sys;
mod unresolved;
mod zones;

use std::io;
use std::net::IpAddr;

use super::Families;

pub use dns::DnsResolver;
pub use servers::parse_server;
pub use unresolved::Unresolved;

/// Turns host names into addresses.
pub type Resolve<'a> = dyn ResolveNames + Sync + 'a;

/// The result for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its addresses, in any order. Addresses of families that were not asked for are ignored.
    pub addresses: Vec<IpAddr>,
    /// Why there is no address, or why the addresses of one family are missing. `None` if the name has addresses of the other family only.
    pub failure: Option<Unresolved>,
}

impl Answer {
    /// An answer without an address, and its reason.
    pub fn failed(why: Unresolved) -> Self {
        Answer {
            addresses: Vec::new(),
            failure: Some(why),
        }
    }
}

/// Finds the addresses of many names. Any function from a name to addresses implements it.
pub trait ResolveNames {
    /// Returns the addresses of `names` in `families`: one answer per name, in order. `names` are distinct.
    fn resolve(&self, names: &[&str], families: Families) -> Vec<Answer>;
}

impl<F: Fn(&str) -> io::Result<Vec<IpAddr>>> ResolveNames for F {
    fn resolve(&self, names: &[&str], _: Families) -> Vec<Answer> {
        let answer = |name: &&str| match self(name) {
            Ok(addresses) => Answer {
                addresses,
                failure: None,
            },
            Err(error) => Answer::failed(Unresolved::Other(error.to_string())),
        };
        names.iter().map(answer).collect()
    }
}

/// Fails for every name, for runs in which no name can be resolved.
pub struct NoNames(pub Unresolved);

impl ResolveNames for NoNames {
    fn resolve(&self, names: &[&str], _: Families) -> Vec<Answer> {
        names
            .iter()
            .map(|_| Answer::failed(self.0.clone()))
            .collect()
    }
}
