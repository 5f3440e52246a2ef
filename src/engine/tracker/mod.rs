//! Ledger and matcher together: probes, replies and time go in; finished rows and outcomes come out.
//!
//! Every probe leaves here as exactly one row with `reply_index` 0, and every reply as a row or as a counted
//! discard; a probe's own row leaves before those of its further replies. What a row says is settled here; only one thing is left
//! to the assembler, which knows which traces are still open: whether a late reply takes the place of its `timeout` row.

mod findings;
mod further;
mod local;
mod row;
mod sending;

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{
    DiscardReason, Evidence, ProbeId, ProbeResult, Reply, Statistics, Status, Time, UnsentReason,
};
use crate::wire::checksum;
use crate::wire::token::TokenMaker;

use super::format::ProbeFormat;
use super::ledger::{AnswerMark, Entry, Held, Ledger, State};
use super::matcher;
use super::nat::NatLearner;
pub use findings::{Findings, Patience};
use further::Further;
use row::{outcome_of, rtt_us};

/// `reply_index` of a probe's own row.
const OWN: u16 = 0;

/// Replies recorded beyond the first, a probe: loops that multiply packets must not fill the memory.
const MOST_EXTRA_REPLIES: u16 = 1_000;

/// Follows every probe from sending to its end.
#[derive(Debug)]
pub struct Tracker {
    format: ProbeFormat,
    patience: Patience,
    tokens: TokenMaker,
    ledger: Ledger,
    nat: NatLearner,
    /// How many serials were drawn.
    drawn: u64,
    /// The oldest probe whose timeout has not been looked at.
    unsettled: u64,
    /// Probes answered before the kernel's return told when they were sent.
    early: Vec<ProbeId>,
    /// Further replies, with their numbers, to probes whose own row is not out: a weak reply is held until the timeout.
    waiting: HashMap<ProbeId, Vec<(u16, Further)>>,
    /// Discards by reason, and candidates for accidental weak matches.
    counts: Statistics,
}

impl Tracker {
    /// Prepares to follow about `expected` live probes.
    pub fn new(
        format: ProbeFormat,
        patience: Patience,
        tokens: TokenMaker,
        expected: usize,
    ) -> Self {
        Tracker {
            format,
            patience,
            tokens,
            ledger: Ledger::new(expected, format.shows_ttl()),
            nat: NatLearner::default(),
            drawn: 0,
            unsettled: 0,
            early: Vec::new(),
            waiting: HashMap::new(),
            counts: Statistics::default(),
        }
    }

    /// How probes look on the wire.
    pub fn format(&self) -> &ProbeFormat {
        &self.format
    }

    /// Takes a packet that could not be read as a reply. Gives the reason back.
    pub fn discard(&mut self, reason: DiscardReason) -> DiscardReason {
        self.counts.packets_received += 1;
        self.counts.discard(reason);
        reason
    }

    /// Takes a reply of another host. Returns why it was discarded, if it was.
    pub fn reply(&mut self, reply: Box<Reply>, out: &mut Findings) -> Option<DiscardReason> {
        self.reply_of(reply, false, out)
    }

    /// As [`reply`](Tracker::reply). `is_ours`: the responder is an address of this host.
    pub fn reply_of(
        &mut self,
        reply: Box<Reply>,
        is_ours: bool,
        out: &mut Findings,
    ) -> Option<DiscardReason> {
        self.counts.packets_received += 1;
        let refused = match self.find(&reply) {
            Ok(found) => self.attribute(found, reply, is_ours, out),
            Err(reason) => Some(reason),
        };
        if let Some(reason) = refused {
            self.counts.discard(reason);
        }
        refused
    }

    /// Lets time pass: replies that waited for a send stamp are settled, unanswered probes time out, old ones are forgotten.
    /// Every packet received before `now` must have been given to [`reply`](Tracker::reply).
    ///
    /// Stops after `limit` rows, so that whoever shares the tracker gets a turn; returns whether all that was due is done.
    pub fn advance(&mut self, now: Time, limit: usize, out: &mut Findings) -> bool {
        let most_rows = out.rows.len().saturating_add(limit);
        self.settle_early(out);
        let timeout = self.patience.timeout;
        while let Some(entry) = self.ledger.get(ProbeId(self.unsettled)) {
            if out.rows.len() >= most_rows {
                return false;
            }
            match entry.state {
                State::Unstamped => break,
                State::Waiting if entry.sent_at + timeout >= now => break,
                State::Waiting => self.settle_silent(ProbeId(self.unsettled), out),
                State::Answered | State::TimedOut | State::Refused => {}
            }
            self.unsettled += 1;
        }
        let lifetime = timeout + self.patience.late_window;
        while let Some((id, entry)) = self.ledger.front() {
            if id.0 >= self.unsettled || entry.sent_at + lifetime >= now {
                break;
            }
            self.ledger.retire();
        }
        true
    }

    /// When [`advance`](Tracker::advance) next has something to do; `None` while every probe has ended.
    pub fn next_timeout(&self) -> Option<Time> {
        let entry = self.ledger.get(ProbeId(self.unsettled))?;
        Some(entry.sent_at + self.patience.timeout + Duration::from_nanos(1))
    }

    /// Whether every probe has ended.
    pub fn is_settled(&self) -> bool {
        self.ledger.get(ProbeId(self.unsettled)).is_none()
    }

    /// Whether a reply waits for the stamp of its probe.
    pub fn awaits_stamp(&self) -> bool {
        !self.early.is_empty()
    }

    /// Packets received and discarded so far. Rows are counted where they are written.
    pub fn counts(&self) -> &Statistics {
        &self.counts
    }

    /// What a 1:1 NAT before us adds to quoted checksums, if that was learned.
    pub fn nat_checksum_delta(&self) -> Option<u16> {
        self.nat.delta()
    }

    fn find(&mut self, reply: &Reply) -> Result<matcher::Match, DiscardReason> {
        let finding = matcher::find(&self.ledger, &self.format, &self.nat, reply);
        self.counts.weak_candidates += u64::from(finding.weak_candidates);
        let found = finding.result?;
        // Every open fact is right; a quote with the tag teaches as well as one that is too short to hold it.
        if found.evidence != Evidence::Rewritten
            && let Some(quoted) = &reply.quoted
            && let Some(sent) = self.ledger.get(found.probe).and_then(Entry::marked)
            && self.format.check_covers_addresses(sent.destination)
            && self.format.serial_is_as_sent(&sent, quoted)
            && let Some(quoted_checksum) = quoted.checksum()
            && !checksum::same(sent.marks.check, quoted_checksum)
        {
            self.nat
                .observe(sent.marks.check, quoted_checksum, reply.responder);
        }
        Ok(found)
    }

    /// Gives a reply to the probe that it answers.
    fn attribute(
        &mut self,
        found: matcher::Match,
        reply: Box<Reply>,
        is_ours: bool,
        out: &mut Findings,
    ) -> Option<DiscardReason> {
        let id = found.probe;
        let entry = self.ledger.get_mut(id)?;
        // Forgotten in time, whether or not anything happened since that made the ledger forget it.
        let lifetime = self.patience.timeout + self.patience.late_window;
        if reply.received_at > entry.sent_at + lifetime {
            return Some(DiscardReason::Unknown);
        }
        let local = local::of(entry, &reply, is_ours);
        let new = Held {
            reply,
            evidence: found.evidence,
        };
        let further = |held, status| Further {
            held,
            status,
            hop_known: found.hop_known,
        };
        if let Some(local) = local {
            self.note_local(id, local, out);
            return Some(DiscardReason::Local);
        }
        match entry.state {
            _ if entry.extra_replies >= MOST_EXTRA_REPLIES && !is_first(entry, &found) => {
                return Some(DiscardReason::Excess);
            }
            State::Unstamped | State::Waiting if found.hop_known => self.take_first(id, new, out),
            State::TimedOut if found.hop_known => {
                self.note_answer(id, &new);
                self.tell(id, &new.reply, true, out);
                self.take_further(id, further(new, Status::Late), out);
            }
            // What was settled for want of anything better gives way.
            State::Answered if found.hop_known && gives_way(entry, &found) => {
                let status = self.patience.status_of(&new.reply, entry.sent_at);
                self.note_answer(id, &new);
                self.tell(id, &new.reply, true, out);
                self.take_further(id, further(new, status), out);
            }
            State::Unstamped | State::Waiting | State::Answered | State::TimedOut => {
                if !found.hop_known {
                    let late = !matches!(entry.state, State::Unstamped | State::Waiting);
                    let outcome = outcome_of(entry, ProbeResult::OneOfSeveral, late);
                    out.outcomes.push(outcome);
                } else {
                    self.tell_further(id, &new, out);
                }
                self.take_further(id, further(new, Status::Duplicate), out);
            }
            // The kernel said no, and yet it was answered: there is no such thing.
            State::Refused => return Some(DiscardReason::Unknown),
        }
        None
    }

    /// A reply to a probe that has none settled: settle it, or hold it if it is weak or the send time is not yet known.
    fn take_first(&mut self, id: ProbeId, new: Held, out: &mut Findings) {
        let Some(entry) = self.ledger.get_mut(id) else {
            return;
        };
        // Of one probe at a time nothing stronger follows.
        let settles = new.is_final() || self.format.is_one_by_one();
        let unstamped = entry.state == State::Unstamped;
        let displaced = match entry.held.take() {
            Some(held) if held.evidence >= new.evidence => {
                entry.held = Some(held);
                Some(new)
            }
            before => {
                if unstamped && before.is_none() {
                    self.early.push(id);
                }
                if unstamped || !settles {
                    entry.held = Some(new);
                } else {
                    self.settle_answered(id, new, out);
                }
                before
            }
        };
        if let Some(held) = displaced {
            self.tell_further(id, &held, out);
            let further = Further {
                held,
                status: Status::Duplicate,
                hop_known: true,
            };
            self.take_further(id, further, out);
        }
    }

    fn settle_early(&mut self, out: &mut Findings) {
        for id in std::mem::take(&mut self.early) {
            let Some(entry) = self.ledger.get_mut(id) else {
                continue;
            };
            match entry.state {
                State::Unstamped => self.early.push(id),
                State::Waiting => {
                    let settles = |held: &mut Held| held.is_final() || self.format.is_one_by_one();
                    if let Some(held) = entry.held.take_if(settles) {
                        self.settle_answered(id, held, out);
                    }
                }
                // A refused probe cannot have been answered: what was held quoted something else.
                _ => {
                    if entry.held.take().is_some() {
                        self.counts.discard(DiscardReason::Unknown);
                    }
                }
            }
        }
    }

    fn settle_answered(&mut self, id: ProbeId, held: Held, out: &mut Findings) {
        let Some(entry) = self.ledger.get(id) else {
            return;
        };
        let status = self.patience.status_of(&held.reply, entry.sent_at);
        self.note_answer(id, &held);
        self.tell(id, &held.reply, false, out);
        self.emit(id, OWN, status, Some(held), out);
        self.release_further(id, out);
    }

    /// Notes what a probe was answered with.
    fn note_answer(&mut self, id: ProbeId, held: &Held) {
        if let Some(entry) = self.ledger.get_mut(id) {
            entry.state = State::Answered;
            entry.evidence = Some(held.evidence);
            entry.said = Some(entry.says(&held.reply));
            // Only where one answers at a time, or from another address, is it asked for.
            let other_address = held.reply.responder != entry.probe.destination;
            let marks = self.format.is_one_by_one() || other_address && held.reply.quoted.is_none();
            entry.answer = marks.then(|| AnswerMark::of(&held.reply));
        }
    }

    /// The timeout of a probe has passed.
    fn settle_silent(&mut self, id: ProbeId, out: &mut Findings) {
        let Some(entry) = self.ledger.get_mut(id) else {
            return;
        };
        if let Some(weak) = entry.held.take() {
            return self.settle_answered(id, weak, out);
        }
        entry.state = State::TimedOut;
        let outcome = outcome_of(entry, ProbeResult::Silent, false);
        out.outcomes.push(outcome);
        self.emit(id, OWN, Status::Timeout, None, out);
        self.release_further(id, out);
    }

    fn settle_refused(&mut self, id: ProbeId, reason: UnsentReason, out: &mut Findings) {
        let Some(entry) = self.ledger.get(id) else {
            return;
        };
        let result = match reason {
            UnsentReason::TooLarge => ProbeResult::TooLarge,
            _ => ProbeResult::NotSent,
        };
        out.outcomes.push(outcome_of(entry, result, false));
        out.rows.extend(self.refused_row(id, reason));
        self.release_further(id, out);
    }

    /// Tells the strategy of a further answer that says something else: one probe may bring a router's complaint and then the
    /// target's answer. What is weak may be somebody else's.
    fn tell_further(&self, id: ProbeId, further: &Held, out: &mut Findings) {
        let Some(entry) = self.ledger.get(id) else {
            return;
        };
        let held = entry.held.as_ref().map(|held| entry.says(&held.reply));
        let known = entry.said.or(held);
        if further.is_final() && known != Some(entry.says(&further.reply)) {
            self.tell(id, &further.reply, true, out);
        }
    }

    /// Tells the strategy of an answer.
    fn tell(&self, id: ProbeId, reply: &Reply, late: bool, out: &mut Findings) {
        let Some(entry) = self.ledger.get(id) else {
            return;
        };
        let result = ProbeResult::Answered {
            responder: reply.responder,
            kind: reply.kind,
            quoted_ttl: reply.quoted.as_ref().and_then(|quoted| quoted.ttl),
            reply_ttl: reply.ttl,
            next_hop_mtu: reply.next_hop_mtu,
            from_target: reply.responder == entry.probe.destination,
        };
        out.outcomes.push(outcome_of(entry, result, late));
    }

    /// Adds a row about a probe: its own, or that of a further reply.
    fn emit(
        &self,
        id: ProbeId,
        reply_index: u16,
        status: Status,
        held: Option<Held>,
        out: &mut Findings,
    ) {
        let Some(entry) = self.ledger.get(id) else {
            return;
        };
        let mut row = self.row(id, entry, status);
        row.reply_index = reply_index;
        if let Some(Held { reply, evidence }) = held {
            row.rtt_us = rtt_us(entry.sent_at, reply.received_at);
            row.evidence = Some(evidence);
            row.reply = Some(reply);
        }
        out.rows.push(row);
    }
}

/// Whether `found` is the answer that the probe was sent for, as far as it has one: however many came before, this one counts.
fn is_first(entry: &Entry, found: &matcher::Match) -> bool {
    let open = matches!(
        entry.state,
        State::Unstamped | State::Waiting | State::TimedOut
    );
    let weaker = |held: &Held| held.evidence < found.evidence;
    found.hop_known && open && entry.held.as_ref().is_none_or(weaker)
}

/// Whether the probe's own row rests on a weak answer, and `found` is a surer one.
fn gives_way(entry: &Entry, found: &matcher::Match) -> bool {
    entry.evidence == Some(Evidence::Weak) && found.evidence > Evidence::Weak
}

#[cfg(test)]
mod tests;
