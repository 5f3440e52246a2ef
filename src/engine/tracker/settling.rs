//! Ends probes with a reply, a timeout or a refusal.

use std::collections::HashMap;

use super::further::Further;
use super::row::rtt_us;
use super::{Settled, Timeouts, local};
use crate::engine::core::Event;
use crate::engine::format::ProbeFormat;
use crate::engine::ledger::{AnswerMark, Entry, Held, State};
use crate::engine::matcher::Match;
use crate::model::{
    DiscardReason, Evidence, Outcome, ProbeId, ProbeResult, Reply, Statistics, Status, UnsentReason,
};

/// `reply_index` of a probe's own row.
const OWN: u16 = 0;

/// Most replies that are recorded for one probe beyond the first. It bounds the memory if a loop multiplies packets.
pub(super) const MOST_EXTRA_REPLIES: u16 = 1_000;

/// A live probe: its number and its ledger entry.
pub(super) struct Live<'a> {
    pub id: ProbeId,
    pub entry: &'a mut Entry,
}

/// Settles probes. It holds what is common to all probes of a run. The caller passes the entry of each probe.
#[derive(Debug)]
pub(super) struct Settler {
    pub format: ProbeFormat,
    pub timeouts: Timeouts,
    /// Further replies, with their numbers, that wait for the own row of their probe.
    pub pending: HashMap<ProbeId, Vec<(u16, Further)>>,
    /// Discards by reason, and candidates for accidental weak matches.
    pub counts: Statistics,
}

impl Settler {
    pub fn new(format: ProbeFormat, timeouts: Timeouts) -> Self {
        Settler {
            format,
            timeouts,
            pending: HashMap::new(),
            counts: Statistics::default(),
        }
    }

    /// Takes a reply that was matched to the probe.
    ///
    /// | the probe | effect of the reply |
    /// |---|---|
    /// | is past its lifetime, or was refused | discarded as unknown |
    /// | has too many replies already, and this one cannot be its own answer | discarded as excess |
    /// | is one of several that may be answered | credited to the trace |
    /// | is pending | settles the probe, or is held |
    /// | timed out | late reply, better than the `timeout` row |
    /// | has a weak answer, and this one is stronger | replaces the answer |
    /// | was answered | duplicate |
    ///
    /// A reply from this host that is no answer is discarded as local.
    pub fn reply(
        &mut self,
        mut live: Live<'_>,
        found: Match,
        reply: Box<Reply>,
        is_ours: bool,
        out: &mut Settled,
    ) -> Result<(), DiscardReason> {
        let entry = &*live.entry;
        // The ledger may still hold a probe whose lifetime is over. The result must not depend on that.
        if reply.received_at > entry.sent_at + self.timeouts.lifetime() {
            return Err(DiscardReason::Unknown);
        }
        if let Some(local) = local::of(entry, &reply, is_ours) {
            self.note_local(live, local, out);
            return Err(DiscardReason::Local);
        }
        if entry.extra_replies >= MOST_EXTRA_REPLIES && !is_first(entry, &found) {
            return Err(DiscardReason::Excess);
        }
        let new = Held {
            reply,
            evidence: found.evidence,
        };
        match entry.state {
            // A probe that was not sent cannot have an answer.
            State::Refused => return Err(DiscardReason::Unknown),
            _ if !found.hop_known => self.credit(live, new, out),
            State::Unstamped | State::Waiting => self.first(live, new, out),
            State::TimedOut => self.surer(live, new, Status::Late, out),
            State::Answered if gives_way(entry, &found) => {
                let status = self.timeouts.status_of(&new.reply, entry.sent_at);
                self.surer(live, new, status, out);
            }
            State::Answered => {
                tell_further(live.entry, &new, out);
                self.further(&mut live, Further::duplicate(new), out);
            }
        }
        Ok(())
    }

    /// Credits a reply to the trace, because it may answer any of several probes of the flow.
    fn credit(&mut self, mut live: Live<'_>, new: Held, out: &mut Settled) {
        let late = !matches!(live.entry.state, State::Unstamped | State::Waiting);
        let outcome = Outcome::of(&live.entry.probe, ProbeResult::OneOfSeveral, late);
        out.outcomes.push(outcome);
        let further = Further {
            held: new,
            status: Status::Duplicate,
            hop_known: false,
        };
        self.further(&mut live, further, out);
    }

    /// Takes a reply that is better than the probe's own row, which shows a timeout or a weak answer. The assembler puts it in
    /// the place of that row if the trace is still open.
    fn surer(&mut self, mut live: Live<'_>, new: Held, status: Status, out: &mut Settled) {
        self.note_answer(live.entry, &new);
        tell(live.entry, &new.reply, true, out);
        let further = Further {
            held: new,
            status,
            hop_known: true,
        };
        self.further(&mut live, further, out);
    }

    /// Takes a reply to a pending probe. The strongest reply settles the probe or is held; the others become further replies.
    /// A reply is held if the send time is not yet known, or if a stronger reply may follow.
    fn first(&mut self, mut live: Live<'_>, new: Held, out: &mut Settled) {
        let displaced = match live.entry.held.take() {
            Some(held) if held.evidence >= new.evidence => {
                live.entry.held = Some(held);
                Some(new)
            }
            before => {
                live.entry.held = Some(new);
                self.settle_held(&mut live, out);
                before
            }
        };
        if let Some(held) = displaced {
            tell_further(live.entry, &held, out);
            self.further(&mut live, Further::duplicate(held), out);
        }
    }

    /// Settles the probe with the held reply, if the send time is known and no stronger reply can follow.
    pub fn settle_held(&mut self, live: &mut Live<'_>, out: &mut Settled) {
        if live.entry.state == State::Unstamped {
            return;
        }
        // If a flow has only one pending probe, a weak reply settles it at once.
        let settles = |held: &mut Held| held.is_final() || self.format.is_one_by_one();
        if let Some(held) = live.entry.held.take_if(settles) {
            self.answered(live, held, out);
        }
    }

    fn answered(&mut self, live: &mut Live<'_>, held: Held, out: &mut Settled) {
        let status = self.timeouts.status_of(&held.reply, live.entry.sent_at);
        self.note_answer(live.entry, &held);
        tell(live.entry, &held.reply, false, out);
        self.emit(live, OWN, status, Some(held), out);
        self.release_further(live, out);
    }

    /// Marks the probe as answered, and records what the answer says.
    fn note_answer(&self, entry: &mut Entry, held: &Held) {
        entry.state = State::Answered;
        entry.evidence = Some(held.evidence);
        entry.said = Some(entry.says(&held.reply));
        // The mark is read only if a flow has one pending probe at a time, or if the answer came from another address.
        let other_address = held.reply.responder != entry.probe.destination;
        let marks = self.format.is_one_by_one() || other_address && held.reply.quoted.is_none();
        entry.answer = marks.then(|| AnswerMark::of(&held.reply));
    }

    /// Ends a probe whose timeout has passed. A held weak reply becomes its answer.
    pub fn silent(&mut self, mut live: Live<'_>, out: &mut Settled) {
        if let Some(weak) = live.entry.held.take() {
            return self.answered(&mut live, weak, out);
        }
        live.entry.state = State::TimedOut;
        out.outcomes
            .push(Outcome::of(&live.entry.probe, ProbeResult::Silent, false));
        self.emit(&live, OWN, Status::Timeout, None, out);
        self.release_further(&mut live, out);
    }

    /// Ends a probe that was not sent. A held reply cannot be its answer and is discarded.
    pub fn refused(&mut self, mut live: Live<'_>, reason: UnsentReason, out: &mut Settled) {
        self.forget_held(live.entry);
        let result = match reason {
            UnsentReason::TooLarge => ProbeResult::TooLarge,
            _ => ProbeResult::NotSent,
        };
        out.outcomes
            .push(Outcome::of(&live.entry.probe, result, false));
        let row = self.unsent_row(&live, Status::SendError, Some(reason));
        out.events.push_back(Event::Row(row));
        self.release_further(&mut live, out);
    }

    /// Ends a probe that was never handed to the kernel.
    pub fn skipped(&mut self, mut live: Live<'_>, reason: UnsentReason, out: &mut Settled) {
        self.forget_held(live.entry);
        let outcome = Outcome::of(&live.entry.probe, ProbeResult::Skipped, false);
        out.outcomes.push(outcome);
        let row = self.unsent_row(&live, Status::Skipped, Some(reason));
        out.events.push_back(Event::Row(row));
        self.release_further(&mut live, out);
    }

    /// Discards the held reply of a probe that was not sent.
    pub fn forget_held(&mut self, entry: &mut Entry) {
        if entry.held.take().is_some() {
            self.counts.discard(DiscardReason::Unknown);
        }
    }

    /// Counts all replies out that are held for a probe which gets no row under this number.
    pub fn forget_all(&mut self, live: &mut Live<'_>) {
        self.forget_held(live.entry);
        for _ in self.pending.remove(&live.id).into_iter().flatten() {
            self.counts.discard(DiscardReason::Unknown);
        }
    }

    /// Adds the probe's own row, or the row of a further reply.
    pub fn emit(
        &self,
        live: &Live<'_>,
        reply_index: u16,
        status: Status,
        held: Option<Held>,
        out: &mut Settled,
    ) {
        let mut row = self.row(live.id, live.entry, status);
        row.reply_index = reply_index;
        if let Some(Held { reply, evidence }) = held {
            row.rtt_us = rtt_us(live.entry.sent_at, reply.received_at);
            row.evidence = Some(evidence);
            row.reply = Some(reply);
        }
        out.events.push_back(Event::Row(row));
    }
}

/// Reports an answer to the strategy.
fn tell(entry: &Entry, reply: &Reply, late: bool, out: &mut Settled) {
    let result = ProbeResult::Answered {
        responder: reply.responder,
        kind: reply.kind,
        quoted_ttl: reply.quoted.as_ref().and_then(|quoted| quoted.ttl),
        reply_ttl: reply.ttl,
        next_hop_mtu: reply.next_hop_mtu,
        from_target: reply.responder == entry.probe.destination,
    };
    out.outcomes.push(Outcome::of(&entry.probe, result, late));
}

/// Reports a further answer to the strategy if it says something else than the known one. For example, a router can complain
/// about a probe and still forward it, and then the target answers. Weak answers are not reported, because they may be to other
/// packets.
fn tell_further(entry: &Entry, further: &Held, out: &mut Settled) {
    let held = entry.held.as_ref().map(|held| entry.says(&held.reply));
    let known = entry.said.or(held);
    if further.is_final() && known != Some(entry.says(&further.reply)) {
        tell(entry, &further.reply, true, out);
    }
}

/// Whether `found` can become the probe's own answer. The limit on further replies does not apply to it.
fn is_first(entry: &Entry, found: &Match) -> bool {
    let open = matches!(
        entry.state,
        State::Unstamped | State::Waiting | State::TimedOut
    );
    let weaker = |held: &Held| held.evidence < found.evidence;
    found.hop_known && open && entry.held.as_ref().is_none_or(weaker)
}

/// Whether the probe's own row shows a weak answer and `found` has stronger evidence.
fn gives_way(entry: &Entry, found: &Match) -> bool {
    entry.evidence == Some(Evidence::Weak) && found.evidence > Evidence::Weak
}
