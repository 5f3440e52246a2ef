//! The addresses of this host, as they are now.
//!
//! If a next hop does not answer, our own kernel answers for it: it says host unreachable from one of our addresses. That answer
//! is not a hop. Addresses may come and go during a run. So they are read again when an error comes from an address that is not
//! known to be ours, at most once in [`FRESH`]; such an error follows its probe by seconds.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::rtnetlink::{Tables, message};

/// How long the list of addresses is taken to be complete.
const FRESH: Duration = Duration::from_millis(100);

/// The addresses of this host, in the network namespace in which the value was opened.
pub struct OwnAddresses {
    tables: Tables,
    known: HashSet<IpAddr>,
    read_at: Option<Instant>,
}

impl OwnAddresses {
    /// Prepares to read the addresses. If they cannot be read, only loopback addresses are known.
    pub fn open() -> Self {
        OwnAddresses {
            tables: Tables::open(),
            known: HashSet::new(),
            read_at: None,
        }
    }

    /// Whether `address` is an address of this host.
    pub fn have(&mut self, address: IpAddr) -> bool {
        if address.is_loopback() || self.known.contains(&address) {
            return true;
        }
        if self.read_at.is_some_and(|read| read.elapsed() < FRESH) {
            return false;
        }
        self.read();
        self.known.contains(&address)
    }

    fn read(&mut self) {
        let mut read = HashSet::new();
        let asked = self.tables.ask(&message::ask_addresses(), |answer| {
            read.extend(answer.own_address().map(|(address, _)| address));
            // Read to the end of the list.
            None::<()>
        });
        if asked.is_ok() {
            self.known = read;
        }
        self.read_at = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_ours_and_documentation_is_not() {
        let mut own = OwnAddresses::open();
        for (address, ours) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("192.0.2.77", false),
            ("2001:db8::77", false),
        ] {
            assert_eq!(own.have(address.parse().unwrap()), ours, "{address}");
        }
    }
}
