//! A network that records what it did. A test can then compare a dataset with what happened, and not only with the truth.

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::lab::{Delivery, Respond};
use crate::model::Time;

/// A packet that entered the network, and the replies to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When the vantage point sent it.
    pub sent_at: Time,
    /// The packet, from its IP header on.
    pub packet: Vec<u8>,
    /// The replies. Empty if the packet or its reply was lost, or if no machine answered.
    pub deliveries: Vec<Delivery>,
}

/// Passes packets to a network and records them. For tests: memory grows with every packet.
#[derive(Debug)]
pub struct Recording<R> {
    network: R,
    log: RecordingLog,
}

/// The record. It can be read while a driver owns the network, and afterwards.
#[derive(Clone, Debug, Default)]
pub struct RecordingLog(Arc<Mutex<Vec<Recorded>>>);

impl RecordingLog {
    /// Returns and removes what has been recorded so far, in the order of sending.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<R> Recording<R> {
    /// Wraps `network`. Also returns the log.
    pub fn new(network: R) -> (Self, RecordingLog) {
        let log = RecordingLog::default();
        let recording = Recording {
            network,
            log: log.clone(),
        };
        (recording, log)
    }
}

impl<R: Respond> Respond for Recording<R> {
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
        let before = deliveries.len();
        self.network.respond(packet, now, deliveries);
        let mut log = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(Recorded {
            sent_at: now,
            packet: packet.to_vec(),
            deliveries: deliveries[before..].to_vec(),
        });
    }

    fn vantage_v6(&self) -> Option<Ipv6Addr> {
        self.network.vantage_v6()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mirror;

    impl Respond for Mirror {
        fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
            if packet != [0] {
                deliveries.push(Delivery {
                    at: now,
                    packet: packet.to_vec(),
                });
            }
        }
    }

    #[test]
    fn every_packet_is_recorded_with_its_own_answers() {
        let (mut network, log) = Recording::new(Mirror);
        let mut deliveries = Vec::new();
        for byte in [7, 0, 9] {
            network.respond(&[byte], Time::from_nanos(u64::from(byte)), &mut deliveries);
        }
        assert_eq!(deliveries.len(), 2);
        let recorded = log.take();
        let counts: Vec<_> = recorded.iter().map(|r| r.deliveries.len()).collect();
        assert_eq!(counts, [1, 0, 1]);
        assert_eq!(recorded[2].deliveries[0].packet, [9]);
        assert_eq!(log.take(), []);
    }
}
