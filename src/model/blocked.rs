//! The interface between a blocklist and the engine.

use std::net::IpAddr;

/// Addresses that are not to be probed any more.
pub trait Blocked: Send + Sync {
    /// Whether `address` is on the list.
    fn is_blocked(&self, address: IpAddr) -> bool;
}
