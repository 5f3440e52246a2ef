//! Replies beyond a probe's first: their numbers, and their turn behind the probe's own row.

use super::{Findings, Tracker};
use crate::engine::ledger::{Held, State};
use crate::model::{DiscardReason, ProbeId, Status};

/// A reply beyond a probe's first.
#[derive(Debug)]
pub(super) struct Further {
    pub held: Held,
    pub status: Status,
    /// Whether it is known that this probe is the one answered; else only its flow is.
    pub hop_known: bool,
}

impl Tracker {
    /// Records a further reply: at once where the probe's own row is out, else right behind that row.
    pub(super) fn take_further(&mut self, id: ProbeId, further: Further, out: &mut Findings) {
        let Some(entry) = self.ledger.get_mut(id) else {
            return;
        };
        // The entry lives as long as replies are recognised: no number comes twice.
        entry.extra_replies += 1;
        let index = entry.extra_replies;
        match entry.state {
            State::Unstamped | State::Waiting => {
                self.waiting.entry(id).or_default().push((index, further));
            }
            _ => self.emit_further(id, index, further, out),
        }
    }

    /// Records what waited for the probe's own row, which is out.
    pub(super) fn release_further(&mut self, id: ProbeId, out: &mut Findings) {
        // Asked of every probe, and mostly in vain.
        if self.waiting.is_empty() {
            return;
        }
        let Some(waiting) = self.waiting.remove(&id) else {
            return;
        };
        let state = self.ledger.get(id).map(|entry| entry.state);
        for (index, further) in waiting {
            // A refused probe cannot have been answered: what came for it quoted something else.
            match state == Some(State::Refused) && further.hop_known {
                true => self.counts.discard(DiscardReason::Unknown),
                false => self.emit_further(id, index, further, out),
            }
        }
    }

    fn emit_further(&self, id: ProbeId, index: u16, further: Further, out: &mut Findings) {
        self.emit(id, index, further.status, Some(further.held), out);
        // Which of the flow's probes it answers is not known, so neither is the hop.
        if let Some(row) = out.rows.last_mut().filter(|_| !further.hop_known) {
            (row.ttl, row.rtt_us) = (None, None);
        }
    }
}
