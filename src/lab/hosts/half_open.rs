//! Half-open TCP connections at hosts: the host answered a SYN and waits for the handshake to complete.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::model::Time;

/// How long a host waits for the third segment. Linux repeats its SYN-ACK five times, the last time after 31 s, and gives up after
/// another 32 s.
pub(in crate::lab) const LIFETIME: Duration = Duration::from_secs(63);

/// Most connections that are remembered. Beyond that, the oldest is dropped. About 8 MiB.
pub(in crate::lab) const MOST: usize = 65_536;

/// The key of a connection. The vantage point has one address per family, so its port is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::lab) struct Ends {
    pub(in crate::lab) host: IpAddr,
    pub(in crate::lab) host_port: u16,
    pub(in crate::lab) vantage_port: u16,
}

/// The state of a half-open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct HalfOpen {
    /// Sequence number of the SYN.
    pub(in crate::lab) theirs: u32,
    /// Sequence number of the host's SYN-ACK.
    pub(in crate::lab) ours: u32,
    since: Time,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(in crate::lab) struct HalfOpens {
    standing: HashMap<Ends, HalfOpen>,
    /// All connections in the order of their SYNs, including closed ones.
    order: VecDeque<(Time, Ends)>,
}

impl HalfOpens {
    /// Drops the connections that are too old at `now`. `now` never goes back.
    pub(in crate::lab) fn expire(&mut self, now: Time) {
        while let Some((since, _)) = self.order.front()
            && now.since(*since) >= LIFETIME
        {
            self.forget_oldest();
        }
    }

    pub(in crate::lab) fn get(&self, ends: Ends) -> Option<HalfOpen> {
        self.standing.get(&ends).copied()
    }

    /// Records that the host answered a SYN with number `theirs` by a SYN-ACK with number `ours`.
    pub(in crate::lab) fn open(&mut self, ends: Ends, theirs: u32, ours: u32, now: Time) {
        if self.order.len() >= MOST {
            self.forget_oldest();
        }
        let connection = HalfOpen {
            theirs,
            ours,
            since: now,
        };
        self.standing.insert(ends, connection);
        self.order.push_back((now, ends));
    }

    pub(in crate::lab) fn close(&mut self, ends: Ends) {
        self.standing.remove(&ends);
    }

    /// The number of half-open connections.
    pub(in crate::lab) fn len(&self) -> usize {
        self.standing.len()
    }

    fn forget_oldest(&mut self) {
        let Some((since, ends)) = self.order.pop_front() else {
            return;
        };
        // A later connection may have the same key.
        if self.standing.get(&ends).is_some_and(|c| c.since == since) {
            self.standing.remove(&ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ends(number: u32) -> Ends {
        Ends {
            host: Ipv4Addr::from(number).into(),
            host_port: 80,
            vantage_port: 24000,
        }
    }

    fn at(millis: u64) -> Time {
        Time::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn a_connection_is_forgotten_after_its_time() {
        let mut half_open = HalfOpens::default();
        half_open.open(ends(1), 5, 6, at(0));
        half_open.expire(at(62_999));
        assert_eq!(half_open.len(), 1);
        half_open.expire(at(63_000));
        assert_eq!((half_open.len(), half_open.get(ends(1))), (0, None));
    }

    #[test]
    fn a_connection_opened_again_has_its_own_time() {
        let mut half_open = HalfOpens::default();
        half_open.open(ends(1), 5, 6, at(0));
        half_open.close(ends(1));
        half_open.open(ends(1), 7, 8, at(1));
        half_open.expire(at(63_000));
        assert_eq!(half_open.get(ends(1)).map(|c| c.theirs), Some(7));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut half_open = HalfOpens::default();
        for number in 0..MOST as u32 + 10 {
            half_open.open(ends(number), 5, 6, at(0));
        }
        assert_eq!((half_open.len(), half_open.order.len()), (MOST, MOST));
        assert!(half_open.get(ends(9)).is_none() && half_open.get(ends(10)).is_some());
        // Also if each connection is closed again.
        for number in 0..2 * MOST as u32 {
            half_open.open(ends(number), 5, 6, at(1));
            half_open.close(ends(number));
        }
        assert!(half_open.order.len() <= MOST);
    }
}
