//! Host names: resolved several at once, because each one waits for a server.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};

use rayon::prelude::*;

/// Asked at once. Each waits on the network, not on the processor.
const AT_ONCE: usize = 32;

/// Turns a host name into its addresses, in the order in which they should be tried.
pub type Resolve<'a> = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Sync + 'a;

/// Asks the system's resolver (the hosts file, DNS and whatever else is configured).
pub fn system_resolver(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0)
        .to_socket_addrs()?
        .map(|address| address.ip())
        .collect())
}

/// Resolves names in parallel; answers stand in the order of the names.
#[derive(Debug, Default)]
pub(super) struct Names {
    pool: Option<rayon::ThreadPool>,
}

impl Names {
    pub(super) fn resolve(
        &mut self,
        names: &[&str],
        resolve: &Resolve<'_>,
    ) -> Vec<io::Result<Vec<IpAddr>>> {
        if names.is_empty() {
            return Vec::new();
        }
        if self.pool.is_none() {
            // Without threads of their own (a limit on processes) the names share those of the rest.
            self.pool = rayon::ThreadPoolBuilder::new()
                .num_threads(AT_ONCE)
                .build()
                .ok();
        }
        let work = || {
            names
                .par_iter()
                .with_max_len(1)
                .map(|name| resolve(name))
                .collect()
        };
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}
