//! Encodes probes into batches of packets. The format itself is in [`wire::format`](crate::wire::format).

use crate::transport::PacketBatch;
use crate::wire::ip::Ends;

pub use crate::wire::format::{AnsweredFlow, Marked, OpenFacts, ProbeFormat};

impl ProbeFormat {
    /// Appends the packet of a probe to `batch`. Source and destination must be of the same address family. If they are not,
    /// nothing is written.
    pub fn encode(&self, probe: &Marked, batch: &mut PacketBatch) {
        let Some(ends) = Ends::new(probe.source, probe.destination) else {
            debug_assert!(false, "a probe between two families");
            return;
        };
        let size = self.size(probe.destination, probe.ttl, probe.size);
        let packet = batch.push(probe.destination, usize::from(size));
        self.write(probe, &ends, packet);
    }
}
