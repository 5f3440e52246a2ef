//! Packets that are sent together.

use std::net::IpAddr;

/// IP packets, one after the other in one buffer. Its memory is reused from batch to batch.
#[derive(Debug, Default)]
pub struct PacketBatch {
    bytes: Vec<u8>,
    packets: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    destination: IpAddr,
    start: usize,
    end: usize,
}

impl PacketBatch {
    /// Removes the packets and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }

    /// Adds a packet of `size` zero bytes and returns it for the caller to fill in.
    pub fn push(&mut self, destination: IpAddr, size: usize) -> &mut [u8] {
        let start = self.bytes.len();
        let end = start + size;
        self.bytes.resize(end, 0);
        self.packets.push(Entry {
            destination,
            start,
            end,
        });
        &mut self.bytes[start..end]
    }

    /// The number of packets.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are no packets.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The packet at `index` and its destination.
    pub fn get(&self, index: usize) -> Option<(IpAddr, &[u8])> {
        let entry = self.packets.get(index)?;
        Some((entry.destination, &self.bytes[entry.start..entry.end]))
    }

    /// The packets from `first` on.
    pub fn iter_from(&self, first: usize) -> impl Iterator<Item = (IpAddr, &[u8])> {
        (first..self.len()).filter_map(|index| self.get(index))
    }
}
