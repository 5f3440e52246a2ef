//! A network that remembers what it did, so that a dataset can be checked against what happened and not only against
//! what should have.

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::lab::{Delivery, Respond};
use crate::model::Time;

/// A packet that entered the network, and what it brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When the vantage point sent it.
    pub sent_at: Time,
    /// The packet, from its IP header on.
    pub packet: Vec<u8>,
    /// What came back; empty where it or its answer was lost, or nobody answered.
    pub deliveries: Vec<Delivery>,
}

/// Passes packets to a network and records them. Memory grows with every packet: for tests.
#[derive(Debug)]
pub struct Recording<R> {
    network: R,
    log: RecordingLog,
}

/// The record, which can be read while and after a driver owns the network.
#[derive(Clone, Debug, Default)]
pub struct RecordingLog(Arc<Mutex<Vec<Recorded>>>);

impl RecordingLog {
    /// Takes out what has been recorded so far, in the order of sending.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<R> Recording<R> {
    /// Records what `network` does.
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
