//! Replies beyond a probe's first. They are numbered, and their rows follow the probe's own row.

use super::Settled;
use super::settling::{Live, Settler};
use crate::engine::core::Event;
use crate::engine::ledger::{Held, State};
use crate::model::{DiscardReason, Status};

/// A reply beyond a probe's first.
#[derive(Debug)]
pub(super) struct Further {
    pub held: Held,
    pub status: Status,
    /// Whether the answered probe is known. If not, only the flow is known.
    pub hop_known: bool,
}

impl Further {
    /// A further reply to this probe, with the status `Duplicate`.
    pub fn duplicate(held: Held) -> Self {
        Further {
            held,
            status: Status::Duplicate,
            hop_known: true,
        }
    }
}

impl Settler {
    /// Records a further reply. If the probe's own row has not been written, the reply waits for it.
    pub fn further(&mut self, live: &mut Live<'_>, further: Further, out: &mut Settled) {
        // The entry lives as long as replies are recognised, so no number is used twice.
        live.entry.extra_replies += 1;
        let index = live.entry.extra_replies;
        match live.entry.state {
            State::Unstamped | State::Waiting => {
                self.pending
                    .entry(live.id)
                    .or_default()
                    .push((index, further));
            }
            _ => self.emit_further(live, index, further, out),
        }
    }

    /// Records the further replies that waited for the probe's own row. Call it after that row was written.
    pub fn release_further(&mut self, live: &mut Live<'_>, out: &mut Settled) {
        // This runs for every probe, and usually nothing waits.
        if self.pending.is_empty() {
            return;
        }
        for (index, further) in self.pending.remove(&live.id).unwrap_or_default() {
            // A refused probe cannot have been answered: the reply belongs to another packet.
            match live.entry.state == State::Refused && further.hop_known {
                true => self.counts.discard(DiscardReason::Unknown),
                false => self.emit_further(live, index, further, out),
            }
        }
    }

    fn emit_further(&self, live: &Live<'_>, index: u16, further: Further, out: &mut Settled) {
        self.emit(live, index, further.status, Some(further.held), out);
        // If the answered probe is not known, the hop and the round-trip time are not known either.
        if let Some(Event::Row(row)) = out.events.back_mut()
            && !further.hop_known
        {
            (row.ttl, row.rtt_us) = (None, None);
        }
    }
}
