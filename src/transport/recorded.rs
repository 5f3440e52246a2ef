//! A receive side that keeps its packets: it copies each, with its timestamp, into batches for another thread to write.
//!
//! The receiving thread must not wait for a disk: a write can take seconds while the kernel writes back, and the receive buffer
//! holds one second of replies. So the batches go through a channel with room for [`BATCHES`] batches of [`BATCH`] bytes.
//!
//! - If the channel is full, receiving waits. The kernel drops and counts what its buffer cannot hold meanwhile.
//! - If the writer is gone, receiving fails. The writer ends early only with an error of its own.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver as ChannelReceiver, Sender as ChannelSender};

use super::{Arrival, PacketReceiver, Received};

/// Bytes of packets in a batch, about; some thousand replies.
const BATCH: usize = 256 << 10;
/// Batches that may wait for the writer: 64 MiB, half a million replies.
const BATCHES: usize = 256;

/// Received packets, oldest first.
#[derive(Debug, Default)]
pub(crate) struct ReceivedBatch {
    bytes: Vec<u8>,
    /// The end of each packet in `bytes`, and its timestamp.
    packets: Vec<(usize, u64)>,
}

impl ReceivedBatch {
    /// Whether there are no packets.
    fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Each packet from its IP header on, and when it was received, in nanoseconds of the wall clock.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let starts = std::iter::once(0).chain(self.packets.iter().map(|(end, _)| *end));
        starts
            .zip(&self.packets)
            .map(|(start, (end, stamp))| (&self.bytes[start..*end], *stamp))
    }

    fn push(&mut self, packet: &[u8], stamp: u64) {
        self.bytes.extend_from_slice(packet);
        self.packets.push((self.bytes.len(), stamp));
    }
}

/// Receives through another receiver and passes on a copy of every whole packet. When it is dropped, it passes on the rest.
pub(crate) struct RecordedReceiver {
    inner: Box<dyn PacketReceiver>,
    batch: ReceivedBatch,
    batches: ChannelSender<ReceivedBatch>,
}

impl RecordedReceiver {
    /// Wraps `inner`. The copies come through the channel, which closes when the receiver is dropped.
    pub(crate) fn new(inner: Box<dyn PacketReceiver>) -> (Self, ChannelReceiver<ReceivedBatch>) {
        let (batches, received) = crossbeam_channel::bounded(BATCHES);
        let recorded = RecordedReceiver {
            inner,
            batch: ReceivedBatch::default(),
            batches,
        };
        (recorded, received)
    }

    /// Passes the batch on. Waits if the channel is full.
    fn pass_on(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.batches
            .send(batch)
            .map_err(|_| io::Error::other("received packets cannot be kept any more"))
    }
}

impl PacketReceiver for RecordedReceiver {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        let batch = &mut self.batch;
        let received = self.inner.receive(timeout, &mut |arrival, stamp| {
            if let Arrival::Packet(packet) = arrival {
                batch.push(packet, stamp.unwrap_or_else(wall_clock));
            }
            visit(arrival, stamp);
        })?;
        // If nothing came, pass on the batch as it is: nobody knows when more will come.
        if received.count == 0 || self.batch.bytes.len() >= BATCH {
            self.pass_on()?;
        }
        Ok(received)
    }

    fn dropped(&self) -> Option<u64> {
        self.inner.dropped()
    }
}

impl Drop for RecordedReceiver {
    fn drop(&mut self) {
        // A writer that is gone has failed, and reports the error itself.
        let _ = self.pass_on();
    }
}

/// The timestamp of packets without one of the kernel's.
fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its packets one a call, then nothing.
    struct Script(std::vec::IntoIter<Vec<u8>>);

    impl PacketReceiver for Script {
        fn receive(
            &mut self,
            _timeout: Duration,
            visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
        ) -> io::Result<Received> {
            let Some(packet) = self.0.next() else {
                return Ok(Received::default());
            };
            visit(Arrival::Packet(&packet), Some(packet.len() as u64));
            Ok(Received {
                count: 1,
                drained_until: None,
            })
        }

        fn dropped(&self) -> Option<u64> {
            Some(7)
        }
    }

    fn recorded(packets: Vec<Vec<u8>>) -> (RecordedReceiver, ChannelReceiver<ReceivedBatch>) {
        RecordedReceiver::new(Box::new(Script(packets.into_iter())))
    }

    #[test]
    fn every_packet_is_received_and_kept_in_order() {
        let packets: Vec<Vec<u8>> = (1..2_000_usize)
            .map(|at| vec![at as u8; at % 1_500 + 1])
            .collect();
        let (mut receiver, batches) = recorded(packets.clone());
        let mut seen = Vec::new();
        for _ in &packets {
            let count = receiver.receive(Duration::ZERO, &mut |arrival, _| {
                seen.push(arrival.bytes().to_vec())
            });
            assert_eq!(count.unwrap().count, 1);
        }
        assert_eq!(receiver.dropped(), Some(7));
        drop(receiver);
        let batches: Vec<ReceivedBatch> = batches.iter().collect();
        assert!(batches.len() > 2, "{}", batches.len());
        let kept: Vec<(Vec<u8>, u64)> = batches
            .iter()
            .flat_map(ReceivedBatch::iter)
            .map(|(packet, stamp)| (packet.to_vec(), stamp))
            .collect();
        let expected: Vec<(Vec<u8>, u64)> = packets
            .iter()
            .map(|packet| (packet.clone(), packet.len() as u64))
            .collect();
        assert_eq!(kept, expected);
        assert_eq!(seen, packets);
    }

    #[test]
    fn an_idle_receiver_passes_on_an_unfinished_batch() {
        let (mut receiver, batches) = recorded(vec![vec![1, 2, 3]]);
        for expected in [1, 0] {
            let count = receiver.receive(Duration::ZERO, &mut |_, _| {});
            assert_eq!(count.unwrap().count, expected);
        }
        assert_eq!(batches.try_recv().unwrap().iter().count(), 1);
    }

    #[test]
    fn without_a_writer_receiving_fails() {
        let (mut receiver, batches) = recorded(vec![vec![1, 2, 3]]);
        drop(batches);
        assert!(receiver.receive(Duration::ZERO, &mut |_, _| {}).is_ok());
        assert!(receiver.receive(Duration::ZERO, &mut |_, _| {}).is_err());
    }
}
