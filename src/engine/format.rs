//! From a probe to its packet: see [`wire::format`](crate::wire::format).

use crate::transport::PacketBatch;
use crate::wire::ip::Ends;

pub use crate::wire::format::{Marked, OpenFacts, ProbeFormat};

impl ProbeFormat {
    /// Writes a probe to the end of `batch`. A probe between addresses of different families is the caller's mistake and writes
    /// nothing.
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
