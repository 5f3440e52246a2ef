//! Host names to addresses: what the list reader asks of a resolver, and the one that asks DNS servers.
//!
//! A resolver is given many names at once and answers in their order, whichever answer came first: what follows from a list
//! does not depend on the network's mood. [`DnsResolver`] reads the hosts file itself and asks the servers over UDP, and over
//! TCP where an answer is cut off. DNSSEC, TLS and other sources of names are left out.

mod dns;
mod servers;
mod unresolved;

use std::io;
use std::net::IpAddr;

use super::Families;

pub use dns::DnsResolver;
pub use servers::parse_server;
pub use unresolved::Unresolved;

/// Turns host names into addresses.
pub type Resolve<'a> = dyn ResolveNames + Sync + 'a;

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its addresses, in any order; of other families than those asked for, they are not heeded.
    pub addresses: Vec<IpAddr>,
    /// Why there is no address, or why one family's are missing: not where the name has none of that family beside others.
    pub failure: Option<Unresolved>,
}

impl Answer {
    /// No address, and the reason.
    pub fn failed(why: Unresolved) -> Self {
        Answer {
            addresses: Vec::new(),
            failure: Some(why),
        }
    }
}

/// Finds the addresses of many names. Any function from one name to its addresses will do.
pub trait ResolveNames {
    /// The addresses of `names` in `families`: an answer each, in the order of the names, none of which is there twice.
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

/// For runs in which no name can be resolved: says so of each.
pub struct NoNames(pub Unresolved);

impl ResolveNames for NoNames {
    fn resolve(&self, names: &[&str], _: Families) -> Vec<Answer> {
        names
            .iter()
            .map(|_| Answer::failed(self.0.clone()))
            .collect()
    }
}
