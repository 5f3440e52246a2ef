//! Replies beyond a probe's first: their numbers, and their turn behind the probe's own row.

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
    /// Whether it is known that this probe is the one answered; else only its flow is.
    pub hop_known: bool,
}

impl Further {
    /// One more reply to this very probe.
    pub fn duplicate(held: Held) -> Self {
        Further {
            held,
            status: Status::Duplicate,
            hop_known: true,
        }
    }
}

impl Settler {
    /// Records a further reply: at once if the probe's own row is out, else right behind that row.
    pub fn further(&mut self, live: &mut Live<'_>, further: Further, out: &mut Settled) {
        // The entry lives as long as replies are recognised: no number comes twice.
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

    /// Records what waited for the probe's own row, which is out.
    pub fn release_further(&mut self, live: &mut Live<'_>, out: &mut Settled) {
        // Asked of every probe, and mostly in vain.
        if self.pending.is_empty() {
            return;
        }
        for (index, further) in self.pending.remove(&live.id).unwrap_or_default() {
            // A refused probe cannot have been answered: what came for it quoted something else.
            match live.entry.state == State::Refused && further.hop_known {
                true => self.counts.discard(DiscardReason::Unknown),
                false => self.emit_further(live, index, further, out),
            }
        }
    }

    fn emit_further(&self, live: &Live<'_>, index: u16, further: Further, out: &mut Settled) {
        self.emit(live, index, further.status, Some(further.held), out);
        // Which of the flow's probes it answers is not known, so neither is the hop.
        if let Some(Event::Row(row)) = out.events.back_mut()
            && !further.hop_known
        {
            (row.ttl, row.rtt_us) = (None, None);
        }
    }
}
